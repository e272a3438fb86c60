"""Takes the place of pydicom, for a machine without the extra `formats`.

nibabel loads pydicom where there is one, whatever it reads, which costs a worker a third of its
start. The runner and its workers do not need it.
"""

raise ModuleNotFoundError("there is no pydicom on this machine", name="pydicom")

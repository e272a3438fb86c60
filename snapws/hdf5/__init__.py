"""HDF5 files of strangers: transforms of ITK and MINC images, which SimpleITK reads.

Such a file can have its reader open any other file of this machine, ask for any amount of memory,
or end the process. So its structure is looked through first (`structure`), and then SimpleITK reads
it in a process that has limits and nothing to lose (`process`).
"""

from __future__ import annotations

SIGNATURE = b"\x89HDF\r\n\x1a\n"
"""What such a file begins with."""

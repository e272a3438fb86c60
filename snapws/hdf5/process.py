"""A process in which SimpleITK reads one HDF5 file, with limits of time, memory and open files."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from subprocess import DEVNULL, SubprocessError, run
from tempfile import TemporaryFile
from typing import IO

SECONDS = 600
"""The longest time that the process may take,"""

_MEMORY = 4 << 30  # bytes of address space; the library itself takes less than 1 GiB
# Modules come from the folders of a new Python, then from those of this process, in whose first one
# a user's json.py may lie; never from the current folder.
_PROGRAM = (
    "import sys; new = [folder for folder in sys.path if folder]; own, *others = sys.argv[5:]; "
    "sys.path[:] = dict.fromkeys([*new, *others] if own in new else [own, *new, *others]); "
    "from snapws.hdf5.process import main; main(*sys.argv[1:5])"
)
_OWN_FOLDER = str(Path(__file__).parents[2])


class ProcessError(Exception):
    """The file cannot be read: the process failed or reached a limit."""


@contextmanager
def answer(module: str, function: str, file: str, size: int = 0) -> Iterator[IO[bytes]]:
    """Call a function on a file in a separate process, and open the output.

    Args:
        module: The module of the function.
        function: The name of the function. Its only argument is the file's name.
        file: The file, whose structure was checked.
        size: The memory that its data take, in bytes, without the library.

    Raises:
        ProcessError: The process fails.
        OSError: The disk is too full for the output.
    """
    with TemporaryFile(prefix="snapws-") as printed:
        arguments = (module, function, file, str(_MEMORY + 3 * size))
        try:
            run(  # noqa: S603 - this interpreter, and a function of our own
                [sys.executable, "-c", _PROGRAM, *arguments, _OWN_FOLDER, *filter(None, sys.path)],
                stdin=DEVNULL,
                stdout=printed,
                stderr=DEVNULL,
                timeout=SECONDS,
                check=True,
            )
        except SubprocessError:
            raise ProcessError from None
        printed.seek(0)
        yield printed


def main(module: str, function: str, file: str, memory: str) -> None:
    """Call a function on a file, under limits."""
    work = getattr(import_module(module), function)
    import SimpleITK  # noqa: F401 - while files can still be opened

    _limit(int(memory))
    work(file)


def _limit(memory: int) -> None:
    """Limit the memory, and limit open files to one more: the HDF5 file.

    The reader then cannot open any other file, whatever the HDF5 file names.
    """
    if sys.platform == "win32":
        return
    import resource

    free = os.open(os.devnull, os.O_RDONLY)
    os.close(free)
    for limit, value in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_NOFILE, free + 1)):
        hard = resource.getrlimit(limit)[1]
        if hard == resource.RLIM_INFINITY or hard > value:
            # macOS has the limit of address space, but does not enforce it.
            with suppress(ValueError, OSError):
                resource.setrlimit(limit, (value, value))

"""A process in which SimpleITK reads one HDF5 file: with limits of time, memory and open files."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from tempfile import TemporaryFile
from typing import IO

SECONDS = 600
"""How long it may take, at most."""

_MEMORY = 4 << 30  # of addresses; the library itself takes less than 1 GiB
# The folders of modules are this process's; the current folder is not among them.
_PROGRAM = (
    "import sys; sys.path[:] = sys.argv[5:]; "
    "from snapws.hdf5.process import main; main(*sys.argv[1:5])"
)


class ProcessError(Exception):
    """The file cannot be read: the process failed, or came to one of its limits."""


@contextmanager
def answer(module: str, function: str, file: str, size: int = 0) -> Iterator[IO[bytes]]:
    """Call a function on a file in a process of its own, and open what it prints.

    Args:
        module: The module of the function.
        function: Its name. Its only argument is the file's name.
        file: The file, whose structure has been looked through.
        size: How many bytes it has in memory, beside the library.

    Raises:
        ProcessError: It fails.
        OSError: There is no room for what it prints.
    """
    with TemporaryFile(prefix="snapws-") as printed:
        arguments = (module, function, file, str(_MEMORY + 3 * size))
        try:
            subprocess.run(  # noqa: S603 - this interpreter, and a function of our own
                [sys.executable, "-c", _PROGRAM, *arguments, *filter(None, sys.path)],
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.DEVNULL,
                timeout=SECONDS,
                check=True,
            )
        except subprocess.SubprocessError:
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
    """Limit the memory, and the files that are open at a time to one more: the HDF5 file.

    Whatever the file says, none but itself is opened by its reader.
    """
    if sys.platform == "win32":
        return
    import resource

    free = os.open(os.devnull, os.O_RDONLY)
    os.close(free)
    for limit, value in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_NOFILE, free + 1)):
        hard = resource.getrlimit(limit)[1]
        if hard == resource.RLIM_INFINITY or hard > value:
            # macOS knows the limit of addresses and does not keep it.
            with suppress(ValueError, OSError):
                resource.setrlimit(limit, (value, value))

"""The work folder: a folder for each ticket, and the free disk space."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from dss.serving.failure import printed

FAILURE = "failure.txt"
"""File in a ticket's folder with the details of a failure, for the user."""

OUTPUT = "output.txt"
"""File there with the output of the worker."""

WORK = "work"
"""Folder there for the files of the service's function."""

REPORTS = "reports"
"""Folder there for reports to the user."""

PROGRESS = "progress"
"""File in that folder with the progress of the job, 0 to 1."""

TEMPORARY = "tmp"
"""Folder there for temporary files of the function and the programs that it runs."""

_SOCKET_PATH = 103  # bytes of a path that macOS takes; Linux takes four more
_TAIL = 4000  # characters of output that go along with a failure


def folder_of(workdir: Path, ticket: int) -> Path:
    """Return the folder of a ticket's files."""
    return workdir / f"ticket_{ticket:08d}"


def is_too_deep(workdir: Path) -> bool:
    """Return whether a socket among a job's temporary files would have too long a path."""
    socket = folder_of(workdir.resolve(), 1) / TEMPORARY / "pymp-12345678" / "listener-12345678"
    return os.name == "posix" and len(os.fsencode(socket)) > _SOCKET_PATH


def remove(workdir: Path, ticket: int) -> bool:
    """Remove the folder of a ticket; return whether it no longer exists."""
    folder = folder_of(workdir, ticket)
    shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()


def free(workdir: Path) -> int:
    """Return the bytes that are free on the disk."""
    return shutil.disk_usage(workdir).free


def largest(workdir: Path, tickets: Iterable[int], least: float) -> int | None:
    """Return the ticket with the largest files; None if no ticket has at least `least` bytes."""
    sizes = {ticket: _size(folder_of(workdir, ticket)) for ticket in tickets}
    most = max(sizes, key=sizes.__getitem__, default=None)
    return most if most is not None and sizes[most] >= least else None


def progress(workdir: Path, ticket: int) -> float | None:
    """Return the progress of a ticket's job, 0 to 1; None if its folder does not contain one."""
    return read_progress(folder_of(workdir, ticket) / REPORTS)


def read_progress(reports: Path) -> float | None:
    """Return the progress in the file `PROGRESS` of a folder; None if missing or corrupt."""
    with suppress(OSError, ValueError):
        value = float((reports / PROGRESS).read_text(encoding="ascii"))
        return value if 0 <= value <= 1 else None
    return None


def keep_output(workdir: Path, ticket: int) -> None:
    """Write the end of a job's output as the details of its failure.

    Raises:
        OSError: The details cannot be written.
    """
    folder = folder_of(workdir, ticket)
    output = folder / OUTPUT
    if output.is_file() and (said := printed(output)[-_TAIL:]).strip():
        (folder / FAILURE).write_text(said, encoding="utf-8")


def remove_work(workdir: Path, ticket: int) -> None:
    """Remove the files of a service's function, because they may fill the disk."""
    folder = folder_of(workdir, ticket)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in (WORK, TEMPORARY):
        shutil.rmtree(folder / name, ignore_errors=True)


def _size(folder: Path) -> int:
    """Return the bytes of the files in a folder. Files may appear and disappear meanwhile."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += os.lstat(os.path.join(place, name)).st_size  # noqa: PTH118
    return total

"""The lock of a work folder: one runner at a time, also after one was killed."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from dss.errors import JournalError

NAME = "runner.lock"

_PATIENCE = 1.0


@contextmanager
def locked(folder: Path, owner: str) -> Iterator[None]:
    """Hold a work folder, which is made where it is missing, until the end of the block.

    Args:
        folder: The work folder.
        owner: Who holds it, for whoever else wants it.

    Raises:
        JournalError: Another process holds it, it cannot be made, or its path is no Unicode text.
    """
    path = str(folder.absolute())
    known = path.encode("utf-8", "backslashreplace").decode()
    if known != path:
        # Neither the journal nor the environment of a job could name it.
        raise JournalError(
            f"{known} cannot be a work folder: its path is not UTF-8; give another with --workdir"
        )
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # `open` of a path knows no opener; it is closed below.
        file = open(folder / NAME, "a+", encoding="utf-8", opener=_private)  # noqa: SIM115
    except OSError as error:
        raise JournalError(f"{folder} cannot be a work folder: {error.strerror}") from error
    with file:
        end = time.monotonic() + _PATIENCE
        while not _take(file):  # whoever asks `held` may hold it for a moment
            if time.monotonic() > end:
                raise JournalError(f"{folder} is in use by {holder(folder) or 'another runner'}")
            time.sleep(0.05)
        file.truncate(0)
        file.write(owner)
        file.flush()
        yield


def held(folder: Path) -> bool:
    """Tell whether a runner holds a work folder now."""
    try:
        with (folder / NAME).open("r+", encoding="utf-8") as file:
            return not _take(file, alone=False)
    except OSError:
        return False


def holder(folder: Path) -> str:
    """Give who holds a work folder, or held it last."""
    with suppress(OSError):
        return (folder / NAME).read_text(encoding="utf-8").strip()
    return ""


def _private(path: str, how: int) -> int:
    return os.open(path, how, 0o600)


def _take(file: IO[str], *, alone: bool = True) -> bool:
    """Lock a file for as long as it is open; False where another process has.

    Those who do not want it alone do not shut each other out, where the system knows such locks.
    """
    if sys.platform == "win32":
        import msvcrt

        # A byte past its text, which stays readable.
        file.seek(2**20)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
    else:
        import fcntl

        kind = fcntl.LOCK_EX if alone else fcntl.LOCK_SH
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True

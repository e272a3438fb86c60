"""The lock of a work folder: one runner at a time. A killed runner releases the lock."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fnmatch import fnmatch
from pathlib import Path

from dss.errors import JournalError
from snapws import leftovers, locks

NAME = "runner.lock"

_PATIENCE = 1.0

#: The files that a runner makes in a work folder.
_OURS = (NAME, "journal.*", "folder.id", "ticket_*", ".starting_*")


@contextmanager
def locked(folder: Path, owner: str, *, trusted: bool = False) -> Iterator[None]:
    """Lock a work folder until the end of the context. Create the folder if it does not exist.

    Args:
        folder: The work folder.
        owner: The name of this runner, for the message to another runner.
        trusted: Whether to accept files of a runner in the folder without a proof of their owner.

    Raises:
        JournalError: Another process holds the lock, the folder cannot be created, its path is not
            UTF-8, or nothing proves that the runner's files in it are this user's.
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
        _refuse_foreign(folder, trusted)
        # Path.open has no opener. The file is closed below.
        file = open(folder / NAME, "a+", encoding="utf-8", opener=_regular)  # noqa: SIM115
    except OSError as error:
        raise JournalError(f"{folder} cannot be a work folder: {error.strerror}") from error
    with file:
        end = time.monotonic() + _PATIENCE
        while not locks.take(file.fileno()):  # a call of `held` may hold the lock for a moment
            if time.monotonic() > end:
                raise JournalError(f"{folder} is in use by {holder(folder) or 'another runner'}")
            time.sleep(0.05)
        file.truncate(0)
        file.write(owner)
        file.flush()
        yield


def held(folder: Path) -> bool:
    """Return whether a runner holds the lock of a work folder now."""
    try:
        with open(folder / NAME, "r+", encoding="utf-8", opener=_regular) as file:
            return not locks.take(file.fileno(), alone=False)
    except OSError:
        return False


def holder(folder: Path) -> str:
    """Return the runner that holds the lock of a work folder, or held it last."""
    with (
        suppress(OSError),
        open(folder / NAME, encoding="utf-8", opener=_regular) as file,
    ):
        return file.read().strip()
    return ""


def _regular(path: str, how: int) -> int:
    """Open a regular file, and refuse a link or FIFO, which no runner makes."""
    how |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    opened = os.open(path, how, 0o600)
    if not stat.S_ISREG(os.fstat(opened).st_mode):
        os.close(opened)
        raise OSError(errno.EINVAL, "it is not a regular file", path)
    return opened


def _refuse_foreign(folder: Path, trusted: bool) -> None:
    """Refuse a work folder of a runner that was not begun by this user, in this place.

    The journal, links and files in the folder decide which files are removed or sent. In a cloned
    repository or an unpacked archive somebody else has written them. The proof is a note of the
    folder's path and inode, in a folder that only this user can write.

    Raises:
        JournalError: There is no such note, and the folder is not trusted.
    """
    is_new = not any(fnmatch(path.name, one) for path in folder.iterdir() for one in _OURS)
    if not (is_new or trusted or leftovers.is_remembered(folder)):
        if leftovers.state_folder() is None:
            remedy = (
                "set XDG_STATE_HOME to a folder of yours that stays, since there is no home folder "
                "in which a proof could be kept, or say --trust-workdir each time"
            )
        else:
            remedy = (
                "give another with --workdir or, if it is yours (moved, restored, begun with "
                "another home folder), say --trust-workdir once"
            )
        raise JournalError(
            f"{folder} holds files of a runner, and nothing proves that this user began them "
            f"here: {remedy}"
        )
    leftovers.remember(folder)

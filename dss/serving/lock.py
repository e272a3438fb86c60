"""The lock of a folder that a program goes on with: one at a time, also after one was killed."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from dss.errors import JournalError
from snapws import leftovers, locks

NAME = "runner.lock"

_PATIENCE = 1.0


@dataclass(frozen=True)
class Use:
    """What a folder is used for, with the words for it in messages.

    Attributes:
        program: The program that goes on with it.
        folder: The folder.
        lock: Name of the file that is locked.
        made: Patterns of the files that the program makes in the folder.
        option: The option of the command line that names the folder.
        trust: The option that says that the folder is this user's.
    """

    program: str
    folder: str
    lock: str
    made: tuple[str, ...]
    option: str
    trust: str


RUNNER = Use(
    "runner",
    "work folder",
    NAME,
    (NAME, "journal.*", "folder.id", "ticket_*", ".starting_*"),
    "--workdir",
    "--trust-workdir",
)


@contextmanager
def locked(folder: Path, owner: str, *, trusted: bool = False, use: Use = RUNNER) -> Iterator[None]:
    """Lock a folder, created if it does not exist, until the end of the block.

    Args:
        folder: The folder.
        owner: Name of the holder, for messages to others.
        trusted: Whether to accept existing files without a proof that they are this user's.
        use: Use of the folder.

    Raises:
        JournalError: Another process holds the lock, the folder cannot be created, its path is not
            UTF-8, or nothing proves that the runner's files in it are this user's.
    """
    path = str(folder.absolute())
    known = path.encode("utf-8", "backslashreplace").decode()
    if known != path:
        # Neither the journal nor the environment of a job could name it.
        raise JournalError(
            f"{known} cannot be a {use.folder}: its path is not UTF-8; give another with "
            f"{use.option}"
        )
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _refuse_foreign(folder, trusted, use)
        # `open` of a path knows no opener; it is closed below.
        file = open(folder / use.lock, "a+", encoding="utf-8", opener=_regular)  # noqa: SIM115
    except OSError as error:
        raise JournalError(f"{folder} cannot be a {use.folder}: {error.strerror}") from error
    with file:
        end = time.monotonic() + _PATIENCE
        while not locks.take(file.fileno()):  # a call of `held` may hold the lock for a moment
            if time.monotonic() > end:
                whose = holder(folder, use) or f"another {use.program}"
                raise JournalError(f"{folder} is in use by {whose}")
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


def holder(folder: Path, use: Use = RUNNER) -> str:
    """Return who holds a folder, or held it last."""
    with (
        suppress(OSError),
        open(folder / use.lock, encoding="utf-8", opener=_regular) as file,
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


def _refuse_foreign(folder: Path, trusted: bool, use: Use) -> None:
    """Refuse a folder of a program that was not begun by this user, in this place.

    The journal, links and files in the folder decide which files are removed or sent. In a cloned
    repository or an unpacked archive somebody else has written them. The proof is a note of the
    folder's path and inode, in a folder that only this user can write.

    Raises:
        JournalError: There is no such note, and the folder is not trusted.
    """
    is_new = not any(fnmatch(path.name, one) for path in folder.iterdir() for one in use.made)
    if not (is_new or trusted or leftovers.is_remembered(folder)):
        if leftovers.state_folder() is None:
            remedy = (
                "set XDG_STATE_HOME to a folder of yours that stays, since there is no home folder "
                f"in which a proof could be kept, or say {use.trust} each time"
            )
        else:
            remedy = (
                f"give another with {use.option} or, if it is yours (moved, restored, begun with "
                f"another home folder), say {use.trust} once"
            )
        raise JournalError(
            f"{folder} holds files of a {use.program}, and nothing proves that this user began "
            f"them here: {remedy}"
        )
    leftovers.remember(folder)

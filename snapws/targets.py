"""What a file is written to: a place in a folder, or a device, a FIFO, an open stream.

Links that another user made choose nothing: neither a file nor a device.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
import time
from pathlib import Path

_LINKS = 40  # as many as Linux follows
_PATIENCE = 10.0
"""Seconds that a FIFO's reader has to open it."""


def named(target: str | os.PathLike[str]) -> Path:
    """Return the path that is to be written to.

    Raises:
        FileNotFoundError: It is empty, as a variable of a script is that was not set.
    """
    if not os.fspath(target):
        raise FileNotFoundError(errno.ENOENT, "its name is empty: name a file or folder", "''")
    return Path(target)


def through_link(target: Path) -> Path:
    """Return the file that a link leads to, or the path itself: for a file that is edited in place.

    Raises:
        PermissionError: Another user made the link, or may exchange it.
    """
    for _ in range(_LINKS):
        if not target.is_symlink():
            break
        if not _is_trusted(str(target.parent), target.lstat()):
            raise PermissionError(
                errno.EPERM,
                "it is a link that another user made or may exchange: name the file it leads to",
                str(target),
            )
        target = Path(os.path.realpath(target.parent), target.readlink())
    return target


def is_stream(target: str | os.PathLike[str]) -> bool:
    """Return whether a target is written through: nothing is there that could be lost.

    Raises:
        OSError: As of `atomic_write`.
    """
    return stream(Path(target)) is not None


def stream(target: Path) -> int | str | None:
    """Return what to write through: an open descriptor, a device or FIFO; None where neither is.

    A descriptor is written to as it is, and not opened anew: that would begin at the start of the
    file that the standard output was redirected to.
    """
    place = os.fspath(target)
    if not target.is_absolute():  # the current folder may be gone, where nobody needs it
        place = os.path.join(os.getcwd(), place)  # noqa: PTH109, PTH118 - its dots stay as they are
    is_link = False
    for _ in range(_LINKS):
        folder, name = os.path.split(place)
        folder = os.path.realpath(folder)
        if folder in ("/dev/fd", f"/proc/{os.getpid()}/fd") and name.isdecimal():
            return int(name)
        place = os.path.join(folder, name)  # noqa: PTH118
        try:
            found = os.lstat(place)
        except OSError:
            return None  # a new file
        if not stat.S_ISLNK(found.st_mode):
            return _checked_stream(place, found, is_link=is_link)
        if not _is_trusted(folder, found):
            # Where it leads to is for somebody else to say; as a file it would be replaced.
            if _leads_to_file(place):
                return None
            raise PermissionError(errno.EPERM, "it is a link that another user made", str(target))
        is_link = True
        place = os.path.join(folder, os.readlink(place))  # noqa: PTH115, PTH118
    return None


def _checked_stream(place: str, found: os.stat_result, *, is_link: bool) -> str | None:
    if stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode):
        return None
    folder = os.path.dirname(place)  # noqa: PTH120
    if stat.S_ISFIFO(found.st_mode) and not (
        _is_trusted(folder, found) or _is_own_in_sticky(folder, found)
    ):
        raise PermissionError(
            errno.EPERM, "it is a FIFO that another user made or may exchange", place
        )
    if stat.S_ISBLK(found.st_mode) and is_link:
        raise PermissionError(errno.EPERM, f"it is a link to {place}, a disk", place)
    return place


def _leads_to_file(link: str) -> bool:
    try:
        mode = os.stat(link).st_mode  # noqa: PTH116
    except OSError:
        return True
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)


def _is_trusted(folder: str, found: os.stat_result) -> bool:
    """Return whether a link or FIFO is of this user or the system, and nobody may exchange it."""
    if sys.platform == "win32":
        return True
    by_others = os.stat(folder).st_mode & stat.S_IWOTH  # noqa: PTH116
    return found.st_uid in (0, os.geteuid()) and not by_others


def _is_own_in_sticky(folder: str, found: os.stat_result) -> bool:
    """Return whether a file is this user's in a folder like ``/tmp``, where nobody exchanges it."""
    if sys.platform == "win32":
        return False  # it has no such folders
    shared = os.stat(folder)  # noqa: PTH116
    is_sticky = bool(shared.st_mode & stat.S_ISVTX) and shared.st_uid in (0, os.geteuid())
    return is_sticky and found.st_uid == os.geteuid()


def pour(source: Path, through: int | str, target: Path) -> None:
    """Write the whole content of a file through a descriptor, device or FIFO."""
    from shutil import copyfileobj

    for printed in (sys.stdout, sys.stderr):
        printed.flush()
    try:
        opened = os.dup(through) if isinstance(through, int) else _opened(through)
        with source.open("rb") as content, os.fdopen(opened, "wb") as out:
            copyfileobj(content, out)
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(target)) from None


def _opened(place: str) -> int:
    """Open a device or FIFO for writing; wait a while for a FIFO's reader, not for ever."""
    how = os.O_WRONLY | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)
    if sys.platform == "win32" or not stat.S_ISFIFO(os.stat(place).st_mode):  # noqa: PTH116
        return os.open(place, how)
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            opened = os.open(place, how | os.O_NONBLOCK)
        except OSError as error:  # noqa: PERF203 - it waits
            if error.errno != errno.ENXIO:
                raise
            if time.monotonic() > deadline:
                raise OSError(errno.ENXIO, "no program reads this FIFO: start its reader") from None
            time.sleep(0.05)
        else:
            os.set_blocking(opened, True)
            return opened

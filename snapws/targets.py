"""Targets to write to: a file in a folder, a device, a FIFO or an open stream.

Links that another user made are never followed to a device or FIFO.
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
"""Seconds to wait until a program reads a FIFO."""


def named(target: str | os.PathLike[str]) -> Path:
    """Return a target as a path.

    Raises:
        FileNotFoundError: The target is empty, from an unset variable of a script for example.
    """
    if not os.fspath(target):
        raise FileNotFoundError(errno.ENOENT, "its name is empty: name a file or folder", "''")
    return Path(target)


def through_link(target: Path) -> Path:
    """Return the target of a link, to edit that file in place; any other path as it is.

    Raises:
        PermissionError: Another user made the link, or may replace it.
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
    """Return whether a target is a device, FIFO or open stream: no file that could be lost.

    Raises:
        OSError: Another user made the link or FIFO.
    """
    return stream(Path(target)) is not None


def stream(target: Path) -> int | str | None:
    """Return the open descriptor, or the path of the device or FIFO, of a target; None for a file.

    An open descriptor must not be opened again: that would overwrite the beginning of the file that
    the standard output is redirected to.
    """
    place = os.fspath(target)
    if not target.is_absolute():  # else do not ask for the current folder: it may not exist
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
            # Its owner can change where the link leads. A link to a file is replaced anyway.
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
    """Return whether this user or the system owns a link or FIFO, and nobody may replace it."""
    if sys.platform == "win32":
        return True
    by_others = os.stat(folder).st_mode & stat.S_IWOTH  # noqa: PTH116
    return found.st_uid in (0, os.geteuid()) and not by_others


def _is_own_in_sticky(folder: str, found: os.stat_result) -> bool:
    """Return whether this user owns a file in a folder like ``/tmp``: nobody may replace it."""
    if sys.platform == "win32":
        return False  # Windows has no such folders
    shared = os.stat(folder)  # noqa: PTH116
    is_sticky = bool(shared.st_mode & stat.S_ISVTX) and shared.st_uid in (0, os.geteuid())
    return is_sticky and found.st_uid == os.geteuid()


def pour(source: Path, through: int | str, target: Path) -> None:
    """Write the complete content of a file to a descriptor, device or FIFO."""
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
    """Open a device or FIFO for writing; for a FIFO, wait until a program reads it."""
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

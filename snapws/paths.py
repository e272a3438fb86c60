"""Where a layer's file is: moved workspaces, other systems' paths, and addresses of servers.

A workspace stores absolute paths and the folder that it was saved in. When the workspace has moved
since, a path is understood relative to that folder and applied to the new one (the rule of
ITK-SNAP's readers), with the separators, drives and letter case of the system that wrote it.
"""

from __future__ import annotations

import errno
import ntpath
import os
import posixpath
import re
import stat
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import BinaryIO

_URL = re.compile(r"(?!(?i:file):)[A-Za-z][A-Za-z0-9+.-]+://")
_FILE_URL = re.compile(r"(?i:file):(?://(?P<host>[^/\\]*))?(?P<path>/.*)", re.DOTALL)
_WINDOWS = re.compile(r"[A-Za-z]:[\\/]|\\\\|//[^/]+/[^/]")


def is_url(path: str) -> bool:
    """Return whether `path` is the address of a file on a server (``https://``, ``fw://`` …).

    ``file:///data/t1.nii`` is none: it is a path, see `local`.
    """
    return _URL.match(path) is not None


def local(path: str) -> str:
    """Return the path that a ``file:`` URL means, or the path itself.

    >>> local("file:///data/my%20scan.nii"), local("file:///C:/scan.nii"), local("/data/scan.nii")
    ('/data/my scan.nii', 'C:/scan.nii', '/data/scan.nii')
    """
    found = _FILE_URL.fullmatch(path) if path[:5].lower() == "file:" else None
    if found is None:
        return path
    from urllib.parse import unquote

    named = unquote(found["path"])
    host = found["host"] or ""
    if host.lower() not in ("", "localhost", "127.0.0.1"):
        return f"//{host}{named}"
    return named[1:] if _WINDOWS.match(named[1:]) else named


def absolute(path: str | os.PathLike[str]) -> str:
    """Give the absolute form of a path that a user typed, as workspaces store it.

    Separators are written as ``/``, ``file:`` URLs as paths. Addresses and absolute paths of
    another system are left as they are.
    """
    text = local(os.fspath(path))
    if is_url(text) or (os.name != "nt" and _WINDOWS.match(text)):
        return text
    return Path(os.path.abspath(text)).as_posix()  # noqa: PTH100 - not through symbolic links


def resolve(stored: str, saved_in: str, folder: Path) -> str:
    """Find where a stored path leads now.

    Args:
        stored: the path as the workspace has it.
        saved_in: the workspace's ``SaveLocation``; empty or ``.`` where it names no folder.
        folder: the absolute folder that the workspace file is in now.

    Returns:
        The path of the file in its new place if there is one, else `stored`.
    """
    stored = local(stored)
    if is_url(stored) or not stored:
        return stored
    there = moved(stored, saved_in, folder)
    return Path(there).as_posix() if there is not None and os.path.exists(there) else stored  # noqa: PTH110


def unusable(path: Path) -> str:
    """Say why there is no file to read at a path; nothing, if there is one."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        from snapws import stand_ins

        return stand_ins.of_missing(path)
    except OSError as error:  # in a folder that one may not enter, or with too long a name
        return f"cannot be reached: {error.strerror}"
    return "" if stat.S_ISREG(mode) else "is no file"


class StandIn(OSError):
    """Something else stands in the place of a file: a pointer to it, or a page of a server."""


def open_file(path: str | Path) -> BinaryIO:
    """Open a file to read: one on a disk, and no pipe or device, which may never end or answer.

    Raises:
        OSError: There is none, it is something else, or it cannot be read.
    """
    try:
        return open(path, "rb", opener=_open_regular)
    except FileNotFoundError as error:
        from snapws import stand_ins

        why = stand_ins.of_missing(Path(path))
        if why == stand_ins.NOT_THERE:
            raise
        raise FileNotFoundError(error.errno, f"it {why}", str(path)) from None


def read_file(path: str | Path, most: int | None = None) -> bytes:
    """Read a file as `open_file` opens it, and nothing that stands in its place.

    Args:
        path: The file.
        most: How many bytes it may have.

    Raises:
        OSError: As of `open_file`, or it is larger.
        StandIn: It is a pointer of Git LFS or git-annex or a page of HTML (`snapws.stand_ins`).
    """
    with open_file(path) as file:
        # Not so many at once as it may have: a buffer of that size would be made.
        data = file.read(min(os.fstat(file.fileno()).st_size, most) + 1 if most else -1)
    if most and len(data) > most:
        raise OSError(errno.EFBIG, f"more than {most / 1e6:.0f} MB are not read", str(path))
    from snapws import stand_ins

    if what := stand_ins.of_content(data[: stand_ins.POINTER]):
        raise StandIn(errno.EINVAL, what, str(path))
    return data


def stand_in(path: Path) -> str:
    """Return what really stands at an image's path; empty if not known, or unreadable."""
    from snapws import stand_ins

    try:
        with open_file(path) as file:
            start = file.read(stand_ins.POINTER)
    except (OSError, ValueError):
        return ""
    # The voxels of a pair may well begin with zeros.
    return stand_ins.of_content(start) if path.suffix == ".img" else stand_ins.of_image(start)


def _open_regular(path: str, flags: int) -> int:
    mode = os.stat(path).st_mode  # noqa: PTH116 - some devices do something when they are opened
    if stat.S_ISREG(mode):
        # Another file may have come in its place: a pipe that nobody writes to would not even open.
        file = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
        mode = os.fstat(file).st_mode
        if stat.S_ISREG(mode):
            return file
        os.close(file)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    raise OSError(errno.EINVAL, "it is a pipe or a device, not a file: copy it to one", path)


def rerooted(path: str, old: str, new: str) -> str | None:
    r"""Give a path below the folder `old` as one below the folder `new`, or None where it is not.

    Whole components are compared, as the system that wrote the path compares them.

    >>> rerooted("C:\\Users\\Jane\\t1.nii", "c:/users/jane", "/data")
    '/data/t1.nii'
    >>> rerooted("/home/jane2/t1.nii", "/home/jane", "/data")
    """
    pure = PureWindowsPath if _WINDOWS.match(path) or _WINDOWS.match(old) else PurePosixPath
    try:
        relative = pure(path).relative_to(pure(old))
    except ValueError:
        return None
    root = new.replace("\\", "/") if _WINDOWS.match(new) else new
    return f"{root.rstrip('/')}/{relative.as_posix()}"


def moved(stored: str, saved_in: str, folder: Path) -> str | None:
    """Give where a stored path would lead in the folder that the workspace is in now.

    Args:
        stored: as for `resolve`, no URL.
        saved_in: as for `resolve`.
        folder: as for `resolve`.

    Returns:
        The path, whether there is a file or not; None where the file cannot have moved along.
    """
    stored = local(stored)
    windows = _WINDOWS.match(stored) or _WINDOWS.match(saved_in)
    pure = PureWindowsPath if windows else PurePosixPath
    path, root = pure(stored), pure(saved_in)
    relative: PurePosixPath | PureWindowsPath
    if not path.anchor:
        relative = path
    elif not path.is_absolute() or not root.is_absolute() or root == pure(folder):
        return None
    else:
        try:
            relpath = (ntpath if windows else posixpath).relpath(stored, saved_in)
        except ValueError:  # another drive
            return None
        relative = pure(relpath)
    try:
        return os.path.normpath(folder.joinpath(*relative.parts))
    except ValueError:  # a NUL character
        return None

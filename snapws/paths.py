"""Paths of layer files: of moved workspaces, of other systems, and URLs.

A workspace stores absolute paths and the folder that it was saved in. If the workspace has moved,
the path of a file relative to the old folder is applied to the new one (as ITK-SNAP does), with the
separators, drives and letter case of the system that wrote the path.
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
    """Return whether `path` is the URL of a file on a server (``https://``, ``fw://`` …).

    ``file:///data/t1.nii`` counts as a path; see `local`.
    """
    return _URL.match(path) is not None


def local(path: str) -> str:
    """Return the path of a ``file:`` URL; any other text as it is.

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
    """Return a path that a user typed as an absolute path, in the form that workspaces store.

    Separators become ``/``, and ``file:`` URLs become paths. Other URLs and absolute paths of
    another system are left as they are.
    """
    text = local(os.fspath(path))
    if is_url(text) or (os.name != "nt" and _WINDOWS.match(text)):
        return text
    return Path(os.path.abspath(text)).as_posix()  # noqa: PTH100 - not through symbolic links


def resolve(stored: str, saved_in: str, folder: Path) -> str:
    """Return the present path of a stored path.

    Args:
        stored: The path in the workspace.
        saved_in: ``SaveLocation`` of the workspace; empty or ``.`` if unknown.
        folder: The absolute path of the folder of the workspace file.

    Returns:
        The path in the new folder if a file exists there, else `stored`.
    """
    stored = local(stored)
    if is_url(stored) or not stored:
        return stored
    there = moved(stored, saved_in, folder)
    return Path(there).as_posix() if there is not None and os.path.exists(there) else stored  # noqa: PTH110


def unusable(path: Path) -> str:
    """Return why a path is not a file that can be read, as text; empty if it is."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        from snapws import stand_ins

        return stand_ins.of_missing(path)
    except OSError as error:  # no permission for the folder, or the name is too long
        return f"cannot be reached: {error.strerror}"
    return "" if stat.S_ISREG(mode) else "is not a file"


class StandIn(OSError):
    """A placeholder was found instead of a file: a pointer to the file, or an HTML page."""


def open_file(path: str | Path) -> BinaryIO:
    """Open a regular file to read. Pipes and devices are refused: they may never end or answer.

    Raises:
        OSError: The file does not exist, is not a regular file, or cannot be read.
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
    """Read a regular file; see `open_file`. Placeholders are refused; see `snapws.stand_ins`.

    Args:
        path: The file.
        most: The greatest size in bytes.

    Raises:
        OSError: The file cannot be opened or read, or is larger than `most`.
        StandIn: The file is a pointer of Git LFS or git-annex, or an HTML page.
    """
    with open_file(path) as file:
        # read(most) would allocate a buffer of that size: read no more than the file has.
        data = file.read(min(os.fstat(file.fileno()).st_size, most) + 1 if most else -1)
    if most and len(data) > most:
        raise OSError(errno.EFBIG, f"more than {most / 1e6:.0f} MB are not read", str(path))
    from snapws import stand_ins

    if placeholder := stand_ins.of_content(data[: stand_ins.POINTER]):
        raise StandIn(errno.EINVAL, placeholder, str(path))
    return data


def stand_in(path: Path) -> str:
    """Return the kind of placeholder that an image file is; empty for a real or unreadable file."""
    from snapws import stand_ins

    try:
        with open_file(path) as file:
            start = file.read(stand_ins.POINTER)
    except (OSError, ValueError):
        return ""
    # The voxel file of a .hdr/.img pair may begin with zeros.
    return stand_ins.of_content(start) if path.suffix == ".img" else stand_ins.of_image(start)


def _open_regular(path: str, flags: int) -> int:
    mode = os.stat(path).st_mode  # noqa: PTH116 - opening a device can have effects
    if stat.S_ISREG(mode):
        # The file may have been replaced by a pipe: without O_NONBLOCK, open would wait for ever.
        file = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
        mode = os.fstat(file).st_mode
        if stat.S_ISREG(mode):
            return file
        os.close(file)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    raise OSError(errno.EINVAL, "it is a pipe or a device, not a file: copy it to one", path)


def rerooted(path: str, old: str, new: str) -> str | None:
    r"""Return a path with the folder `old` replaced by `new`; None if it is not below `old`.

    Complete components are compared, by the rules of the system that wrote the path.

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
    """Return the path that a file has if it moved along with the workspace.

    Args:
        stored: See `resolve`; not a URL.
        saved_in: See `resolve`.
        folder: See `resolve`.

    Returns:
        The path, whether a file exists there or not; None if the file cannot have moved along.
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

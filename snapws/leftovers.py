"""Temporary files and folders that killed processes left behind, recognised by notes.

A name proves nothing: anybody can choose the names in a folder. So for each temporary file or
folder, a note is written to a folder that only this user can write, and locked as long as the
process lives. A note holds host, path and inode. A file that differs in any of them, or belongs to
another user, is not touched.
"""

from __future__ import annotations

import os
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal, NamedTuple

from snapws import locks

#: The kind of a note: a file that replaces another one, files that move together
#: (`snapws.files`), or a temporary folder.
Kind = Literal["file", "move", "temporary"]

_staying = False  # see `staying`


class _Note(NamedTuple):
    kind: str
    host: str
    path: str
    inode: int | None  # None until the file or folder is made

    def proves(self) -> bool:
        """Return whether the file or folder of the note still exists, and is the same one."""
        try:
            found = os.lstat(self.path)
            is_kind = stat.S_ISREG if self.kind == "file" else stat.S_ISDIR
            if not (is_kind(found.st_mode) and is_own(found)):
                return False
            return _is_empty(self.path) if self.inode is None else found.st_ino == self.inode
        except OSError:
            return False


def is_own(found: os.stat_result) -> bool:
    """Return whether a file belongs to the user of this process, where the system can tell."""
    return sys.platform == "win32" or found.st_uid == os.geteuid()


@contextmanager
def made(path: Path, kind: Kind, mode: int = 0o700) -> Iterator[None]:
    """Make a temporary file or folder, with a note of it until the end of the block.

    If the user has no folder for notes, no note is written: leftovers of a killed process stay.

    Raises:
        OSError: The file or folder cannot be made.
    """
    path = Path(os.path.realpath(path.parent), path.name)
    note = _Note(kind, host(), str(path), None)
    file, descriptor = _begin(note)
    try:
        try:
            if kind == "file":
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode))
            else:
                path.mkdir(mode)
            if descriptor is not None:
                _write(descriptor, note._replace(inode=os.lstat(path).st_ino))
        except FileExistsError:
            raise
        except BaseException:
            _remove_empty(path)
            raise
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)
            if not os.path.lexists(path):
                file.unlink(missing_ok=True)


def found(folder: Path, kind: Kind) -> Iterator[Path]:
    """Yield the leftovers of this user's killed processes in a folder, for the caller to remove.

    Until the next one is requested, the note is locked against other processes. Notes of files that
    no longer exist are removed.
    """
    state = state_folder()
    if state is None or _staying:
        return
    parent = os.path.realpath(folder)
    for file in sorted(state.glob("[0-9a-f]*")):
        is_gone = False
        with _taken(file) as note:
            if note is not None and note.host == host():
                place = (note.kind, os.path.dirname(note.path))  # noqa: PTH120
                if place == (kind, parent) and note.proves():
                    yield Path(note.path)
                is_gone = not note.proves()
        if is_gone:
            file.unlink(missing_ok=True)


@contextmanager
def staying() -> Iterator[None]:
    """Keep all leftovers until the end of the block: `found` finds none."""
    global _staying
    before, _staying = _staying, True
    try:
        yield
    finally:
        _staying = before


@contextmanager
def temporary(prefix: str, parent: Path | None = None) -> Iterator[Path]:
    """Make a private temporary folder, which is removed at the end of the block.

    Temporary folders that killed processes left in `parent` are removed, too.

    Raises:
        OSError: The folder cannot be made.
    """
    import shutil
    import tempfile

    parent = parent or Path(tempfile.gettempdir())
    for left in found(parent, "temporary"):
        shutil.rmtree(left, ignore_errors=True)
    folder = parent / f"{prefix}{os.urandom(8).hex()}"
    with made(folder, "temporary"):
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def state_folder() -> Path | None:
    """Return the folder that only this user can write, made if missing; None if impossible."""
    try:
        home = Path.home()
        named = os.environ.get("XDG_STATE_HOME") or os.environ.get("LOCALAPPDATA") or ""
        base = Path(named) if os.path.isabs(named) else home / ".local" / "state"  # noqa: PTH117
        folder = base / "snapws"
        if not folder.is_dir():
            if not is_own((base if base.is_dir() else home).stat()):
                return None  # under sudo, the owner of this home could not use the folder later
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except (OSError, RuntimeError):
        return None
    is_private = os.name != "posix" or not found.st_mode & 0o022
    return folder if stat.S_ISDIR(found.st_mode) and is_own(found) and is_private else None


def remember(folder: Path) -> None:
    """Write a lasting note that this user started the work in a folder, at this path."""
    if is_remembered(folder):
        return  # a note that is written again could be lost
    note = _lasting(folder)
    with suppress(OSError):  # without a note, the folder is not remembered
        if note:
            note.write_text(str(folder.stat().st_ino), encoding="ascii")


def is_remembered(folder: Path) -> bool:
    """Return whether this user started the work in a folder, at this path."""
    note = _lasting(folder)
    try:
        known = note.read_text(encoding="ascii") if note else ""
        return known == str(folder.stat().st_ino) and is_own(folder.stat())
    except OSError:
        return False


def _lasting(folder: Path) -> Path | None:
    import hashlib

    state = state_folder()
    place = os.fsencode(os.path.realpath(folder))
    name = hashlib.md5(place, usedforsecurity=False).hexdigest()
    return state / f"of-{name}" if state else None


def host() -> str:
    """Return a name that distinguishes this machine from others with the same home folder."""
    if sys.platform == "win32":
        return os.environ.get("COMPUTERNAME", "")
    name = os.uname().nodename
    with suppress(OSError):
        return f"{name} {Path('/etc/machine-id').read_text(encoding='ascii').strip()}"
    return name


def _begin(note: _Note) -> tuple[Path, int | None]:
    """Write and lock a note."""
    state = state_folder()
    if state is None:
        return Path(), None
    file = state / os.urandom(16).hex()
    descriptor = None
    try:
        descriptor = os.open(file, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        # An empty note is ignored: before it is locked, it would look like that of a dead process.
        while not locks.take(descriptor):
            time.sleep(0.01)
        _write(descriptor, note)
    except OSError:  # a full disk, or a file system without locks: go on without a note
        if descriptor is not None:
            os.close(descriptor)
            file.unlink(missing_ok=True)
        return file, None
    return file, descriptor


def _write(descriptor: int, note: _Note) -> None:
    os.lseek(descriptor, 0, os.SEEK_SET)
    # None is written as an empty text. So the second text, with an inode, is longer than the first
    # and overwrites it completely.
    inode = "" if note.inode is None else str(note.inode)
    os.write(descriptor, os.fsencode("\0".join((note.kind, note.host, note.path, inode))))


def _is_empty(path: str) -> bool:
    with suppress(NotADirectoryError), os.scandir(path) as inside:
        return next(inside, None) is None
    return os.lstat(path).st_size == 0


def _remove_empty(path: Path) -> None:
    with suppress(OSError):
        if _is_empty(str(path)):
            path.rmdir() if path.is_dir() else path.unlink()


@contextmanager
def _taken(file: Path) -> Iterator[_Note | None]:
    """Lock and read the note of a dead process; None if the process lives or it is corrupt."""
    try:
        descriptor = os.open(file, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
    except OSError:
        yield None
        return
    try:
        yield _read(descriptor)
    finally:
        os.close(descriptor)


def _read(descriptor: int) -> _Note | None:
    try:
        if not locks.take(descriptor):
            return None
        kind, host, path, inode = os.fsdecode(os.read(descriptor, 2**16)).split("\0")
        return _Note(kind, host, path, int(inode) if inode else None)
    except (OSError, ValueError):
        return None

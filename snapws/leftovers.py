"""What killed processes leave behind: files and folders on their way, found and proved by notes.

No name on the disk makes anything a leftover: whoever packs a folder chooses the names in it. For
each file or folder on its way there is a note in a folder that only its user writes, locked for as
long as its process lives. A note names host, path and inode; what differs in any of them, or is
another user's, stays as it is.
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

#: What a note is of: a file that takes another one's place, files that move together
#: (`snapws.files`), a temporary folder.
Kind = Literal["file", "move", "temporary"]

_staying = False  # see `staying`


class _Note(NamedTuple):
    kind: str
    host: str
    path: str
    inode: int | None  # None until it is made

    def proves(self) -> bool:
        """Return whether what the note is of is still in its place, and nothing else is."""
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
    """Make a file or folder on its way, with a note of it that lasts until the end of the block.

    Where the user has no folder for notes, there is none: then what a killed process leaves stays.

    Raises:
        OSError: It cannot be made.
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
    """Find what killed processes of this user have left in a folder, for the caller to remove.

    Nobody else finds the same until the next is asked for. Notes of what is gone are removed.
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
    """Find no leftovers, and so remove none, until the end of the block."""
    global _staying
    before, _staying = _staying, True
    try:
        yield
    finally:
        _staying = before


@contextmanager
def temporary(prefix: str, parent: Path | None = None) -> Iterator[Path]:
    """Make a private temporary folder, which goes at the end of the block.

    Those that killed processes have left in the same place go, too.

    Raises:
        OSError: It cannot be made.
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
    """Return the folder that only this user writes, made if need be; None where there is none."""
    try:
        home = Path.home()
        named = os.environ.get("XDG_STATE_HOME") or os.environ.get("LOCALAPPDATA") or ""
        base = Path(named) if os.path.isabs(named) else home / ".local" / "state"  # noqa: PTH117
        folder = base / "snapws"
        if not folder.is_dir():
            if not is_own((base if base.is_dir() else home).stat()):
                return None  # somebody else's, as under sudo: he could not use it any more
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except (OSError, RuntimeError):
        return None
    is_private = os.name != "posix" or not found.st_mode & 0o022
    return folder if stat.S_ISDIR(found.st_mode) and is_own(found) and is_private else None


def remember(folder: Path) -> None:
    """Keep a lasting note that this user has begun what is in a folder, in this place."""
    note = _lasting(folder)
    with suppress(OSError):  # then it is not remembered
        if note:
            note.write_text(str(folder.stat().st_ino), encoding="ascii")


def is_remembered(folder: Path) -> bool:
    """Return whether this user has begun what is in a folder, in this place."""
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
    """Return what tells this machine from others that the same home folder is on."""
    if sys.platform == "win32":
        return os.environ.get("COMPUTERNAME", "")
    name = os.uname().nodename
    with suppress(OSError):
        return f"{name} {Path('/etc/machine-id').read_text(encoding='ascii').strip()}"
    return name


def _begin(note: _Note) -> tuple[Path, int | None]:
    """Write a note, and hold it locked."""
    state = state_folder()
    if state is None:
        return Path(), None
    file = state / os.urandom(16).hex()
    descriptor = None
    try:
        descriptor = os.open(file, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        # It is empty until it is locked: so nobody takes it for that of a process that has died.
        while not locks.take(descriptor):
            time.sleep(0.01)
        _write(descriptor, note)
    except OSError:  # a full disk, or one without locks: as if there were no such folder
        if descriptor is not None:
            os.close(descriptor)
            file.unlink(missing_ok=True)
        return file, None
    return file, descriptor


def _write(descriptor: int, note: _Note) -> None:
    os.lseek(descriptor, 0, os.SEEK_SET)
    # None is nothing: so a note that becomes one of an inode is longer, and none of the old stays.
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
    """Lock a note whose process has died, and read it; None if it lives, or the note is damaged."""
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

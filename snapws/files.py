"""Atomic writes: of one file, or of several files in a folder together.

This project writes every file that a user names with `atomic_write`, `write_bytes` or
`atomic_files`. An existing file is replaced at the end. A symbolic link is replaced itself; its
target stays. A device, a FIFO or an open stream of this process (``/dev/stdout``) is written to.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from snapws import targets

_ASIDE = ".appearing-"
_PATIENCE = 60.0  # seconds to wait for the lock of a folder
_TRIES = 100  # to make a folder that other processes make and remove at the same time


@contextmanager
def atomic_write(target: str | os.PathLike[str], mode: int = 0o666) -> Iterator[Path]:
    """Make a new, empty file for the block to write; at the end it replaces the target.

    The content is on the disk before the target is replaced. If the block raises, the new file is
    removed and the target is unchanged. A symbolic link is replaced itself; its target stays.
    Permissions of an existing file are kept; a new file gets `mode`, less the process's umask.
    A device, a FIFO or an open stream, also behind a link, gets the complete content at the end.

    Raises:
        OSError: The folder is missing, full or not writable; the target is a folder; or another
            user made the link or FIFO.
    """
    target = targets.named(target)
    through = targets.stream(target)
    if through is not None:
        from snapws import leftovers

        with leftovers.temporary("snapws-") as folder:
            aside = folder / "whole"
            aside.touch()
            yield aside
            targets.pour(aside, through, target)
        return
    with _beside(Path(os.path.realpath(target.parent), target.name), mode) as aside:
        yield aside


def write_bytes(target: str | os.PathLike[str], data: bytes) -> None:
    """Write `data` to `target` as `atomic_write` does."""
    with atomic_write(target) as aside:
        aside.write_bytes(data)


@contextmanager
def new(target: Path) -> Iterator[Path]:
    """Make a new, empty file for the block to write; see `atomic_write`. Nothing is overwritten.

    Raises:
        FileExistsError: A file, a folder or a link (a broken one, too) already has the name.
        OSError: The folder is missing, full or not writable.
    """
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, "it already exists", str(target))
    place = Path(os.path.realpath(target.parent), target.name)
    with _beside(place, 0o666, is_new=True) as aside:
        yield aside


@contextmanager
def _beside(target: Path, mode: int, *, is_new: bool = False) -> Iterator[Path]:
    """Make a file beside a target that it replaces at the end; `is_new`: only if none exists."""
    from snapws import leftovers

    if target.is_dir() and not target.is_symlink():
        raise IsADirectoryError(errno.EISDIR, "it is a folder: name a file", str(target))
    for left in leftovers.found(target.parent, "file"):
        with suppress(OSError):
            left.unlink(missing_ok=True)
    aside = target.with_name(f".{os.urandom(8).hex()}.new")
    try:
        with leftovers.made(aside, "file", mode):
            try:
                yield aside
                if target.exists() and not target.is_symlink():
                    aside.chmod(stat.S_IMODE(target.stat().st_mode))
                with aside.open("rb+") as file:
                    os.fsync(file.fileno())
                if is_new:
                    _take_free(aside, target)
                else:
                    aside.replace(target)
            except BaseException:
                aside.unlink(missing_ok=True)
                raise
    except OSError as error:
        if error.filename not in (None, str(aside)) or not error.errno:
            raise
        reason = error.strerror or str(error)
        if not target.parent.is_dir():
            reason += " (there is no such folder: make it first)"
        raise type(error)(error.errno, reason, str(target)) from None


def _take_free(aside: Path, target: Path) -> None:
    """Move a file to a name that is not in use; atomically, where the file system can."""
    try:
        os.link(aside, target)
    except FileExistsError:
        raise
    except (OSError, NotImplementedError):  # the file system has no hard links
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, "it already exists", str(target)) from None
        aside.rename(target)
    else:
        aside.unlink()


# ---------------------------------------------------------------------- several files


@contextmanager
def atomic_files(folder: Path, *, last: str, instead: bool = False) -> Iterator[Path]:
    """Make an empty folder for the block to write files, which all move to `folder` at the end.

    Another process that calls this for `folder` waits, for at most a minute. If the block raises,
    or the files cannot be moved, `folder` is as it was before; a folder that was made is removed.
    If the process is killed, `folder` holds either all files or none named `last`. The next call of
    the same user on the same machine restores the old files. It trusts no file in `folder`: the
    proof is a note in another place (`snapws.leftovers`).

    Args:
        folder: The folder of the files. Missing folders are made.
        last: Name of the file that is useless without the others. The new one is moved last; an old
            one is removed first.
        instead: Whether to replace all files that are in `folder`; else only files of the same
            names.

    Raises:
        OSError: The folder cannot be made, is full or not writable; or, with `instead`, another
            program has added a file to it meanwhile.
        TimeoutError: Another process has held the lock of the folder for a minute.
    """
    from snapws import leftovers

    folder = targets.named(folder)
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    with _locked(folder) as alone:
        try:
            for left in leftovers.found(folder, "move") if alone else ():
                with suppress(OSError):  # a folder is in the way: leave it, and go on
                    _Move(folder, left).undo_if_unchanged()
            before = listed(folder)
            aside = folder / f"{_ASIDE}{os.urandom(6).hex()}"
            with leftovers.made(aside, "move"):
                move = _Move(folder, aside)
                try:
                    move.new.mkdir()
                    yield move.new
                    move.do(last, before if instead else None)
                except BaseException:
                    move.undo()
                    raise
        except BaseException:
            with suppress(OSError):  # a folder that another program has used meanwhile stays
                for made in missing:
                    made.rmdir()
            raise


def listed(folder: Path) -> list[Path]:
    """Return the entries of a folder, without the temporary folders of `atomic_files`."""
    return sorted(path for path in folder.iterdir() if not path.name.startswith(_ASIDE))


class _Move:
    """A move of files from a temporary folder to their destination.

    The files that they replace are kept in the temporary folder until all have moved. The list
    `_begun` of their names is written before the first file moves: with it, a later process can
    undo the move, whenever this process was killed.

    Attributes:
        new: The temporary folder of the new files.
    """

    def __init__(self, folder: Path, aside: Path) -> None:
        self.new = aside / "new"
        self._folder = folder
        self._aside = aside
        self._old = aside / "old"
        self._begun = aside / "begun"

    def do(self, last: str, before: list[Path] | None) -> None:
        """Move all files, the one named `last` at the end.

        Args:
            last: The file that is useless without the others.
            before: The files to remove from the folder; None: only files of the same names.
        """
        names = sorted(
            (path.name for path in self.new.iterdir()), key=lambda one: (one == last, one)
        )
        places = [self._folder / name for name in names]
        for path in listed(self._folder):
            if before is not None and path not in before:
                raise FileExistsError(errno.EEXIST, f"{path.name} has come into it meanwhile")
        self._old.mkdir()
        for path in {*places, *(before or ())}:
            if path.exists() or path.is_symlink():
                _keep(path, self._old / path.name)
        (self._aside / "names").write_text("\0".join(names), encoding="utf-8")
        (self._aside / "names").replace(self._begun)
        (self._folder / last).unlink(missing_ok=True)
        for path in set(before or ()) - set(places):
            path.unlink(missing_ok=True)
        for name, place in zip(names, places, strict=True):
            (self.new / name).replace(place)
        self._remove()

    def undo(self) -> None:
        """Restore the folder, unless all files have moved. A second call is no error."""
        names = self._read_names()
        if names and os.path.lexists(self.new / names[-1]):
            old = {path.name for path in self._old.iterdir()}
            for name in names:
                if name not in old and not (self.new / name).exists():
                    (self._folder / name).unlink(missing_ok=True)
            # Old files stay aside until all are restored: this process may be killed, too.
            for name in sorted(old, key=lambda name: name == names[-1]):
                back = self._aside / "back"
                back.unlink(missing_ok=True)
                _keep(self._old / name, back)
                back.replace(self._folder / name)
        self._remove()

    def undo_if_unchanged(self) -> None:
        """Undo the move of a killed process, unless the last file was written again since."""
        from filecmp import cmp

        for last in self._read_names()[-1:]:
            place, old = self._folder / last, self._old / last
            is_same = old.is_file() and place.is_file() and cmp(place, old, shallow=False)
            if os.path.lexists(place) and os.path.lexists(self.new / last) and not is_same:
                return
        self.undo()

    def _read_names(self) -> list[str]:
        """Return the names of the files that have begun to move, the last one at the end.

        Empty if the move has not begun, or the list is corrupt.
        """
        if not all(map(_is_real_folder, (self._aside, self.new, self._old))):
            return []
        try:
            names = self._begun.read_text(encoding="utf-8").split("\0")
        except (OSError, ValueError):
            return []
        return names if all(os.path.basename(name) == name for name in names) else []  # noqa: PTH119

    def _remove(self) -> None:
        from shutil import rmtree

        # Without the list, nothing is undone any more.
        self._begun.unlink(missing_ok=True)
        rmtree(self._aside, ignore_errors=True)


def _keep(file: Path, copy: Path) -> None:
    """Keep a file under a second name, by a hard link or a copy."""
    if file.is_dir():
        raise IsADirectoryError(errno.EISDIR, f"{file.name} in it is a folder")
    if not (file.is_file() or file.is_symlink()):  # a FIFO could not be copied back
        raise FileExistsError(errno.EEXIST, f"{file.name} in it is not a regular file")
    try:
        os.link(file, copy, follow_symlinks=False)
    except (OSError, NotImplementedError):  # the file system has no hard links
        from shutil import copy2

        copy2(file, copy, follow_symlinks=False)


def _is_real_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False


@contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """Lock a folder for the block; a missing folder is made.

    Yields whether the folder is really locked: some file systems have no locks.

    Raises:
        TimeoutError: Another process has held the lock for too long.
    """
    from snapws import locks

    end = time.monotonic() + _PATIENCE
    tries = _TRIES
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            held = _open_lock(folder)
        except (FileExistsError, FileNotFoundError):
            # The process that made the folder may have failed and removed it just now.
            tries -= 1
            if not tries or (os.path.lexists(folder) and not folder.is_dir()):
                raise
            continue
        if held is None:
            yield False
            return
        try:
            try:
                alone = locks.take(held)
                if not alone:
                    _wait(folder, end)
                    continue
            except OSError as error:
                if not locks.is_unknown(error):
                    raise
                alone = False
            # The process that made the folder may have failed and removed it meanwhile.
            if sys.platform == "win32":
                folder.mkdir(parents=True, exist_ok=True)
            elif not (folder.exists() and os.path.samestat(os.fstat(held), folder.stat())):
                continue
            yield alone
            return
        finally:
            os.close(held)


def _open_lock(folder: Path) -> int | None:
    """Open the file to lock for a folder: the folder itself; on Windows, a file in our state."""
    if sys.platform != "win32":
        return os.open(folder, os.O_RDONLY)
    import hashlib

    from snapws import leftovers

    state = leftovers.state_folder()
    if state is None:
        return None
    place = os.path.normcase(folder.resolve()).encode()
    name = hashlib.md5(place, usedforsecurity=False).hexdigest()
    return os.open(state / f"lock-{name}", os.O_CREAT | os.O_RDWR, 0o600)


def _wait(folder: Path, end: float) -> None:
    if time.monotonic() > end:
        raise TimeoutError(
            errno.ETIMEDOUT,
            f"another process has held this folder for {_PATIENCE:g} s: try again when it has "
            "ended, or choose another folder",
            str(folder),
        )
    time.sleep(0.05)

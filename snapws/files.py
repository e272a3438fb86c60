"""Files that are old or new, never half; alone, or several together in a folder.

All that this project writes where a user says goes through `atomic_write`, `write_bytes` or
`atomic_files`. A file takes the place of an old one and of a symbolic link, never of what the link
leads to; a device, a FIFO and an open stream of this process (``/dev/stdout``) are written through.
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
_PATIENCE = 60.0  # seconds, for whoever else holds a folder
_TRIES = 100  # to make a folder that others make and remove at the same time


@contextmanager
def atomic_write(target: str | os.PathLike[str], mode: int = 0o666) -> Iterator[Path]:
    """Open a new, empty file to write to; at the end it takes the target's place.

    The content is on the disk before the name changes. Where the block raises, the new file is
    removed and the target is as it was. A target that is a symbolic link is replaced; what it leads
    to stays. An existing target's permissions are kept; a new one gets `mode`, but for what the
    process masks. A device, a FIFO or an open stream gets the whole content at the end, also where
    a link leads there.

    Raises:
        OSError: The folder is missing, full or not writable; the target is a folder; or it is the
            way of another user to a device or FIFO.
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
    """Return a new, empty file to write to, as `atomic_write`. It never replaces a file.

    Raises:
        FileExistsError: The name is taken, by a link that leads nowhere, too.
        OSError: The folder is missing, full or not writable.
    """
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, "it is there already", str(target))
    place = Path(os.path.realpath(target.parent), target.name)
    with _beside(place, 0o666, is_new=True) as aside:
        yield aside


@contextmanager
def _beside(target: Path, mode: int, *, is_new: bool = False) -> Iterator[Path]:
    """Return a new file beside a target, whose place it takes at the end, if that `is_new`."""
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
    """Move a file to a name that is free, as far as the system can say so in one step."""
    try:
        os.link(aside, target)
    except FileExistsError:
        raise
    except (OSError, NotImplementedError):  # the file system has no hard links
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, "it is there already", str(target)) from None
        aside.rename(target)
    else:
        aside.unlink()


# ---------------------------------------------------------------------- several files


@contextmanager
def atomic_files(folder: Path, *, last: str, instead: bool = False) -> Iterator[Path]:
    """Make an empty folder for files that appear in `folder` together at the end, or not at all.

    Whoever else wants to write to `folder` in this way waits until it is done, but not for ever.
    Where the block raises, or the files cannot be moved, `folder` is as it was, or is not there if
    it was not. A process that is killed leaves no file named `last`, or all files; the next call of
    the same user on the same machine puts back what was there before. Of that, nothing is believed
    that is in `folder`: the proof is in a note elsewhere (`snapws.leftovers`).

    Args:
        folder: Where they appear; it and those above it are made where they are missing.
        last: Name of the file that means nothing without the others. It comes last, and an old one
            goes first.
        instead: Whether they come in place of everything that is in `folder`, but for folders; else
            only of files of the same names.

    Raises:
        OSError: The folder cannot be made, is full or not writable; or, with `instead`, something
            has come into it meanwhile.
        TimeoutError: Another process has held the folder for a minute.
    """
    from snapws import leftovers

    folder = targets.named(folder)
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    with _locked(folder) as alone:
        try:
            for left in leftovers.found(folder, "move") if alone else ():
                with suppress(OSError):  # a folder is in the way: it stays, and stops nothing
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
            with suppress(OSError):  # a folder in which another program has put something stays
                for made in missing:
                    made.rmdir()
            raise


def listed(folder: Path) -> list[Path]:
    """List what is in a folder, but for what is on its way to it, or was when its process died."""
    return sorted(path for path in folder.iterdir() if not path.name.startswith(_ASIDE))


class _Move:
    """Files on their way from a folder aside to their place.

    What they replace is kept aside until all are there. A list of their names says that they have
    begun to move: whoever finds it can undo what was done, whenever the process died.

    Attributes:
        new: The folder aside of the files that come.
    """

    def __init__(self, folder: Path, aside: Path) -> None:
        self.new = aside / "new"
        self._folder = folder
        self._aside = aside
        self._old = aside / "old"
        self._begun = aside / "begun"

    def do(self, last: str, before: list[Path] | None) -> None:
        """Move all files, that named `last` at the end.

        Args:
            last: That which means nothing without the others.
            before: What was in the folder, and goes; None if only files of the same names do.
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
        """Put everything back as it was, unless all files are in their place; again is no error."""
        names = self._read_names()
        if names and os.path.lexists(self.new / names[-1]):
            old = {path.name for path in self._old.iterdir()}
            for name in names:
                if name not in old and not (self.new / name).exists():
                    (self._folder / name).unlink(missing_ok=True)
            # What is kept stays there until all is back: this may be cut short, too.
            for name in sorted(old, key=lambda name: name == names[-1]):
                back = self._aside / "back"
                back.unlink(missing_ok=True)
                _keep(self._old / name, back)
                back.replace(self._folder / name)
        self._remove()

    def undo_if_unchanged(self) -> None:
        """Undo what a killed process did, unless the file that came last has come since."""
        from filecmp import cmp

        for last in self._read_names()[-1:]:
            place, old = self._folder / last, self._old / last
            is_same = old.is_file() and place.is_file() and cmp(place, old, shallow=False)
            if os.path.lexists(place) and os.path.lexists(self.new / last) and not is_same:
                return
        self.undo()

    def _read_names(self) -> list[str]:
        """Return the names of the files that have begun to move, the last one at the end.

        None if it cannot be of ours, whatever file system lost it: the folder aside is private.
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

        # From here on there is nothing to undo.
        self._begun.unlink(missing_ok=True)
        rmtree(self._aside, ignore_errors=True)


def _keep(file: Path, copy: Path) -> None:
    """Keep a file under another name, while its own stays in use."""
    if file.is_dir():
        raise IsADirectoryError(errno.EISDIR, f"{file.name} in it is a folder")
    if not (file.is_file() or file.is_symlink()):  # a FIFO could not be copied back
        raise FileExistsError(errno.EEXIST, f"{file.name} in it is not a regular file")
    try:
        os.link(file, copy, follow_symlinks=False)
    except (OSError, NotImplementedError):  # not everywhere are there links
        from shutil import copy2

        copy2(file, copy, follow_symlinks=False)


def _is_real_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False


@contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """Hold a folder, which is made where it is missing, until the end of the block.

    It gives whether nobody else can hold it: some file systems know no locks.

    Raises:
        TimeoutError: Another process holds it, and goes on to.
    """
    from snapws import locks

    end = time.monotonic() + _PATIENCE
    tries = _TRIES
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            held = _open_lock(folder)
        except (FileExistsError, FileNotFoundError):
            # Whoever made it may have failed, and removed it between two looks at it.
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
            # Whoever made the folder may have failed and removed it while we waited.
            if sys.platform == "win32":
                folder.mkdir(parents=True, exist_ok=True)
            elif not (folder.exists() and os.path.samestat(os.fstat(held), folder.stat())):
                continue
            yield alone
            return
        finally:
            os.close(held)


def _open_lock(folder: Path) -> int | None:
    """Open what is locked for a folder: itself; on Windows, a file that only this user writes."""
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

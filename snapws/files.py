"""Files that are old or new, never half; alone, or several together in a folder."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_ASIDE = ".appearing-"


@contextmanager
def replacing(target: Path, mode: int = 0o666) -> Iterator[Path]:
    """Give a new, empty file beside `target` to write to; at the end it takes the target's place.

    The content is on the disk before the name changes. Where the block raises, the new file is
    removed and the target is as it was. A target that is a symbolic link stays one: the file that
    it leads to is replaced. An existing target's permissions are kept; a new one gets `mode`, but
    for what the process masks.

    Raises:
        OSError: the folder is missing, full or not writable.
    """
    target = Path(os.path.realpath(target))
    aside = target.with_name(f".{os.urandom(8).hex()}.new")
    try:
        os.close(os.open(aside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode))
    except OSError as error:
        reason = error.strerror or str(error)
        if not target.parent.is_dir():
            reason += " (there is no such folder: make it first)"
        raise type(error)(error.errno, reason, str(target)) from None
    try:
        yield aside
        if target.exists():
            aside.chmod(target.stat().st_mode)
        with aside.open("rb+") as file:
            os.fsync(file.fileno())
        aside.replace(target)
    except BaseException as error:
        aside.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename in (None, str(aside)) and error.errno:
            raise type(error)(error.errno, error.strerror, str(target)) from None
        raise


def write_bytes(target: Path, data: bytes) -> None:
    """Write `data` to `target` as `replacing` does."""
    with replacing(target) as aside:
        aside.write_bytes(data)


@contextmanager
def appearing(folder: Path, *, last: str, instead: bool = False) -> Iterator[Path]:
    """Give an empty folder for files that appear in `folder` together at the end, or not at all.

    Whoever else wants to write to `folder` in this way waits until it is done. Where the block
    raises, or the files cannot be moved, `folder` is as it was, or is not there if it was not. A
    process that is killed leaves no file named `last`, or all files; the next call puts back what
    was there before.

    Args:
        folder: where they appear; it and those above it are made where they are missing.
        last: name of the file that means nothing without the others. It comes last, and an old one
            goes first.
        instead: whether they come in place of everything that is in `folder`, but for folders; else
            only of files of the same names.

    Raises:
        OSError: the folder cannot be made, is full or not writable; or, with `instead`, something
            has come into it meanwhile.
    """
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    with _locked(folder) as alone:
        try:
            for left in folder.glob(f"{_ASIDE}*") if alone else ():
                _Move(folder, left).undo()
            before = listed(folder)
            move = _Move(folder, folder / f"{_ASIDE}{os.urandom(6).hex()}")
            move.new.mkdir(parents=True)
            try:
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
        new: the folder aside of the files that come.
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
            last: that which means nothing without the others.
            before: what was in the folder, and goes; None if only files of the same names do.
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
        names = self._begun.read_text(encoding="utf-8").split("\0") if self._begun.exists() else []
        if names and (self.new / names[-1]).exists():
            old = {path.name for path in self._old.iterdir()}
            for name in names:
                if name not in old and not (self.new / name).exists():
                    (self._folder / name).unlink(missing_ok=True)
            for name in sorted(old, key=lambda name: name == names[-1]):
                (self._old / name).replace(self._folder / name)
        self._remove()

    def _remove(self) -> None:
        from shutil import rmtree

        # From here on there is nothing to undo.
        self._begun.unlink(missing_ok=True)
        rmtree(self._aside, ignore_errors=True)


def _keep(file: Path, copy: Path) -> None:
    """Keep a file under another name, while its own stays in use."""
    if file.is_dir():
        raise IsADirectoryError(errno.EISDIR, f"{file.name} in it is a folder")
    try:
        os.link(file, copy, follow_symlinks=False)
    except (OSError, NotImplementedError):  # not everywhere are there links
        from shutil import copy2

        copy2(file, copy, follow_symlinks=False)


@contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """Hold a folder, which is made where it is missing, until the end of the block.

    It gives whether nobody else can hold it: some file systems know no locks.
    """
    if sys.platform == "win32":
        import hashlib
        import msvcrt
        import tempfile
        import time

        folder.mkdir(parents=True, exist_ok=True)
        place = os.path.normcase(folder.resolve()).encode()
        name = hashlib.md5(place, usedforsecurity=False).hexdigest()
        with Path(tempfile.gettempdir(), f"{name}.lock").open("a+b") as file:
            while True:
                file.seek(0)
                try:
                    msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
                    break
                except OSError as error:
                    if error.errno not in (errno.EACCES, errno.EDEADLK):
                        raise
                    time.sleep(0.1)
            try:
                folder.mkdir(parents=True, exist_ok=True)
                yield True
            finally:
                file.seek(0)
                msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)
    else:
        import fcntl

        while True:
            folder.mkdir(parents=True, exist_ok=True)
            held = os.open(folder, os.O_RDONLY)
            try:
                try:
                    fcntl.flock(held, fcntl.LOCK_EX)
                    alone = True
                except OSError as error:
                    if error.errno not in (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK):
                        raise
                    alone = False
                # Whoever made the folder may have failed and removed it while we waited.
                if folder.exists() and os.path.samestat(os.fstat(held), folder.stat()):
                    yield alone
                    return
            finally:
                os.close(held)

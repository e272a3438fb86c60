"""Files that are old or new, never half; alone, or several together in a folder."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_ASIDE = ".appearing-"


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Give a new, empty file beside `target` to write to; at the end it takes the target's place.

    The content is on the disk before the name changes. Where the block raises, the new file is
    removed and the target is as it was. A target that is a symbolic link stays one: the file that
    it leads to is replaced. An existing target's permissions are kept.

    Raises:
        OSError: the folder is missing, full or not writable.
    """
    target = Path(os.path.realpath(target))
    aside = target.with_name(f".{os.urandom(8).hex()}.new")
    os.close(os.open(aside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    try:
        yield aside
        if target.exists():
            aside.chmod(target.stat().st_mode)
        with aside.open("rb+") as file:
            os.fsync(file.fileno())
        aside.replace(target)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def write_bytes(target: Path, data: bytes) -> None:
    """Write `data` to `target` as `replacing` does."""
    with replacing(target) as aside:
        aside.write_bytes(data)


@contextmanager
def appearing(folder: Path, *, last: str, alone: bool = False) -> Iterator[Path]:
    """Give an empty folder for files that appear in `folder` together at the end, or not at all.

    Whoever else wants to write to `folder` in this way waits until it is done. Where the block
    raises, or the files cannot be moved, `folder` is as it was, or is not there if it was not. A
    process that is killed leaves no file named `last`, or all files; what else it leaves is
    removed by the next call.

    Args:
        folder: where they appear; it and those above it are made where they are missing.
        last: name of the file that means nothing without the others. It comes last, and an old one
            goes first.
        alone: whether everything else that is in `folder` goes; else only files of the same names.

    Raises:
        OSError: the folder cannot be made, is full or not writable.
    """
    import shutil

    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        with _locked(folder):
            for left in folder.glob(f"{_ASIDE}*"):
                shutil.rmtree(left)
            aside = folder / f"{_ASIDE}{os.urandom(6).hex()}"
            aside.mkdir()
            try:
                yield aside
                _move(aside, folder, last, alone=alone)
            finally:
                shutil.rmtree(aside, ignore_errors=True)
    except BaseException:
        with suppress(OSError):  # a folder in which another program has put something stays
            for made in missing:
                made.rmdir()
        raise


def listed(folder: Path) -> list[Path]:
    """List what is in a folder, but for what a killed process left there aside."""
    return sorted(path for path in folder.iterdir() if not path.name.startswith(_ASIDE))


def _move(aside: Path, folder: Path, last: str, *, alone: bool) -> None:
    new = sorted((path.name for path in aside.iterdir()), key=lambda name: (name == last, name))
    old = [path.name for path in listed(folder) if alone or path.name in new]
    old.sort(key=lambda name: name != last)
    replaced = aside / "replaced"
    replaced.mkdir()
    gone, come = [], []
    try:
        for name in old:
            (folder / name).replace(replaced / name)
            gone.append(name)
        for name in new:
            (aside / name).replace(folder / name)
            come.append(name)
    except BaseException:
        for name in reversed(come):
            (folder / name).unlink()
        for name in reversed(gone):
            (replaced / name).replace(folder / name)
        raise


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a folder, which is made where it is missing, until the end of the block."""
    if sys.platform == "win32":
        import hashlib
        import msvcrt
        import tempfile
        import time

        name = hashlib.md5(str(folder.resolve()).encode(), usedforsecurity=False).hexdigest()
        with Path(tempfile.gettempdir(), f"{name}.lock").open("a+b") as file:
            while True:
                file.seek(0)
                try:
                    msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
                    break
                except OSError:
                    time.sleep(0.1)
            try:
                folder.mkdir(parents=True, exist_ok=True)
                yield
            finally:
                file.seek(0)
                msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)
    else:
        import errno
        import fcntl

        while True:
            folder.mkdir(parents=True, exist_ok=True)
            held = os.open(folder, os.O_RDONLY)
            try:
                try:
                    fcntl.flock(held, fcntl.LOCK_EX)
                except OSError as error:
                    # Some file systems know no locks; there, users take turns by themselves.
                    if error.errno not in (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK):
                        raise
                # Whoever made the folder may have failed and removed it while we waited.
                if folder.exists() and os.path.samestat(os.fstat(held), folder.stat()):
                    yield
                    return
            finally:
                os.close(held)

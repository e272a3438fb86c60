"""Files that are old or new, never half."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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

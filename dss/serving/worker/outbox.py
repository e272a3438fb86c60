"""The queue of log lines and attachments for a ticket's user, on the disk for the next worker."""

from __future__ import annotations

import json
import shutil
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from dss.serving.job import Attached
from snapws.files import atomic_write, write_bytes

if TYPE_CHECKING:
    from dss.provider import Category


class Line(NamedTuple):
    """A line for a ticket's log."""

    category: Category
    message: str


class Outbox:
    """A queue of lines and files, each sent once.

    An item that was being sent when its process died is not sent again, because it may have
    arrived. Errors are the exception: the reason of a failure may be sent twice.

    Args:
        folder: The folder of the queue, created if it does not exist. Its old items come first.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self._folder = folder
        numbers = sorted({int(file.stem) for file in folder.glob("[0-9]*.*")})
        self._last = numbers[-1] if numbers else 0
        waiting = [number for number in numbers if self._file(number, "json").exists()]
        self._waiting = deque(number for number in waiting if self._is_whole(number))

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, item: Attached | Line) -> None:
        """Add a line, or a copy of a file.

        Raises:
            OSError: The file cannot be read, or the disk is full.
        """
        number = self._last = self._last + 1
        words = item._asdict()
        if isinstance(item, Attached):
            with atomic_write(self._file(number, "data")) as data:
                shutil.copyfile(item.file, data)
            del words["file"]
        write_bytes(self._file(number, "json"), json.dumps(words).encode("ascii"))
        self._waiting.append(number)

    def first(self) -> Attached | Line:
        """Return the oldest item of a queue that is not empty."""
        return self._read(self._waiting[0])

    def begin(self) -> None:
        """Mark the first item as about to be sent."""
        item = self.first()
        if not (isinstance(item, Line) and item.category == "error"):
            number = self._waiting[0]
            self._file(number, "json").replace(self._file(number, "sent"))

    def again(self) -> None:
        """Mark the first item as not sent after all."""
        number = self._waiting[0]
        with suppress(FileNotFoundError):
            self._file(number, "sent").replace(self._file(number, "json"))

    def done(self) -> None:
        """Remove the first item."""
        number = self._waiting.popleft()
        for kind in ("json", "sent", "data"):
            self._file(number, kind).unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove all items."""
        while self._waiting:
            self.done()

    def _is_whole(self, number: int) -> bool:
        try:
            self._read(number)
        except (OSError, TypeError, ValueError):
            # Truncated by a power failure, or corrupt: skip the item.
            return False
        return True

    def _read(self, number: int) -> Attached | Line:
        words = json.loads(self._file(number, "json").read_text(encoding="ascii"))
        if "message" in words:
            return Line(**words)
        return Attached(file=self._file(number, "data"), **words)

    def _file(self, number: int, kind: str) -> Path:
        return self._folder / f"{number:06d}.{kind}"

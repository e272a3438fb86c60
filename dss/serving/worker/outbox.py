"""The queue of log lines and attachments for a ticket's user, on the disk for the next worker."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter, deque
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


_SENT = "sent"
"""File with the hash of each item that was sent, a line each."""


class Outbox:
    """A queue of lines and files, each sent once.

    An item that was being sent when its process died is not sent again, because it may have
    arrived. A function that runs again in a later process repeats its lines and files: those that
    an earlier process has sent are not sent again, either. Errors are the exception: the reason of
    a failure may be sent twice.

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
        self._sent = Counter(self._read_sent())  # by earlier processes

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, item: Attached | Line) -> None:
        """Add a line, or a copy of a file, unless an earlier process has sent the same.

        Raises:
            OSError: The file cannot be read, or the disk is full.
        """
        if not _is_error(item) and self._sent[digest := _digest(item)]:
            self._sent[digest] -= 1
            return
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
        if not _is_error(item):
            number = self._waiting[0]
            with suppress(OSError), (self._folder / _SENT).open("a", encoding="ascii") as sent:
                sent.write(f"{_digest(item)}\n")
            self._file(number, "json").replace(self._file(number, "sent"))

    def again(self) -> None:
        """Mark the first item as not sent after all."""
        number = self._waiting[0]
        if self._file(number, "sent").exists():
            text = "".join(f"{digest}\n" for digest in self._read_sent()[:-1])
            write_bytes(self._folder / _SENT, text.encode("ascii"))
        with suppress(FileNotFoundError):
            self._file(number, "sent").replace(self._file(number, "json"))

    def done(self) -> None:
        """Remove the first item."""
        number = self._waiting.popleft()
        for kind in ("json", "sent", "data"):
            self._file(number, kind).unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove all items that wait."""
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

    def _read_sent(self) -> list[str]:
        with suppress(OSError, ValueError):  # nothing was sent yet
            return (self._folder / _SENT).read_text(encoding="ascii").split()
        return []

    def _file(self, number: int, kind: str) -> Path:
        return self._folder / f"{number:06d}.{kind}"


def _is_error(item: Attached | Line) -> bool:
    return isinstance(item, Line) and item.category == "error"


def _digest(item: Attached | Line) -> str:
    """Return a hash of what the user would read."""
    words = item._asdict()
    if isinstance(item, Attached):
        with item.file.open("rb") as file:
            words["file"] = hashlib.sha256()
            while block := file.read(2**20):
                words["file"].update(block)
        words["file"] = words["file"].hexdigest()
    return hashlib.sha256(json.dumps(words).encode("ascii")).hexdigest()

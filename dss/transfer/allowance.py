"""How many bytes a download may put on the disk: a server may send for ever."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

from dss.errors import TooLarge

_OF_FREE = 0.9  # of the room on a disk, what a download may have unless it is said


class Allowance:
    """The bytes that a download has left; several threads may take of them.

    Args:
        most: How many there are.
        why: Where that number comes from, for the message.
        whole: Whether `most` is for all files of a download, those included that are there
            already, and not for those alone that come.
    """

    def __init__(self, most: int, why: str, *, whole: bool) -> None:
        self._most = self._left = most
        self._why = why
        self._whole = whole
        self._lock = threading.Lock()

    @classmethod
    def at(cls, place: Path, most: int | None) -> Allowance:
        """Return what may be put into a folder: `most` bytes, or nine tenths of its disk's room.

        Raises:
            OSError: The disk does not say how much is free.
        """
        if most is not None:
            return cls(most, "see --max-size (max_size)", whole=True)
        there = next(one for one in (place, *place.absolute().parents) if one.exists())
        free = int(_OF_FREE * shutil.disk_usage(there).free)
        why = "nine tenths of what is free on the disk; for more see --max-size (max_size)"
        return cls(free, why, whole=False)

    def take(self, size: int) -> None:
        """Take some bytes.

        Raises:
            TooLarge: So many are not left.
        """
        with self._lock:
            if size > self._left:
                raise TooLarge(
                    f"the files have more than the {_in_units(self._most)} that a download may "
                    f"have here: {self._why}"
                )
            self._left -= size

    def give_back(self, size: int) -> None:
        """Return bytes that were taken for what is not kept."""
        with self._lock:
            self._left += size

    def take_present(self, file: Path) -> None:
        """Take the bytes of a file that is there already, where these count.

        Raises:
            TooLarge: So many are not left.
        """
        if self._whole:
            self.take(file.stat().st_size)


def _in_units(size: int) -> str:
    value, unit = float(size), "bytes"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:.4g} {unit}"

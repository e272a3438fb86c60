"""The number of bytes that a download may write to the disk: a server may send for ever."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

from dss.errors import TooLarge

_OF_FREE = 0.9  # the share of the free disk space that a download may use by default


class Allowance:
    """The bytes that a download may still write. Several threads may share an allowance.

    Args:
        most: The number of bytes at the beginning.
        why: The reason for that number, for the message.
        whole: Whether `most` limits all files of a download, including files that already exist.
            False limits the received files only.
    """

    def __init__(self, most: int, why: str, *, whole: bool) -> None:
        self._most = self._left = most
        self._why = why
        self._whole = whole
        self._lock = threading.Lock()

    @classmethod
    def at(cls, place: Path, most: int | None) -> Allowance:
        """Return the allowance of a folder: `most` bytes, or 90 % of the free disk space.

        Raises:
            OSError: The free disk space cannot be read.
        """
        if most is not None:
            return cls(most, "see --max-size (max_size)", whole=True)
        there = next(one for one in (place, *place.absolute().parents) if one.exists())
        free = int(_OF_FREE * shutil.disk_usage(there).free)
        why = "nine tenths of the free disk space; for more see --max-size (max_size)"
        return cls(free, why, whole=False)

    def take(self, size: int) -> None:
        """Take some bytes from the allowance.

        Raises:
            TooLarge: Fewer bytes are left.
        """
        with self._lock:
            if size > self._left:
                raise TooLarge(
                    f"the files have more than the {_in_units(self._most)} that a download may "
                    f"have here: {self._why}"
                )
            self._left -= size

    def give_back(self, size: int) -> None:
        """Add the bytes of a discarded file to the allowance again."""
        with self._lock:
            self._left += size

    def take_present(self, file: Path) -> None:
        """Take the bytes of a file that already exists, if the allowance covers such files.

        Raises:
            TooLarge: Fewer bytes are left.
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

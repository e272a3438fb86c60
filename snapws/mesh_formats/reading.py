"""A reader of words, lines, numbers and raw bytes of mesh files, which checks all it reads."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Hashable, Iterator

import numpy as np
import numpy.typing as npt

from snapws.archive_names import STANDARD_ARRAYS
from snapws.errors import MeshDamaged, MeshError, MeshUnsupported

Integers = npt.NDArray[np.int64]

#: The keyword for the coordinate system of a mesh, and its values. 3D Slicer and ITK-SNAP write it
#: in the title of a file or as an array. It is kept, since it names nobody.
SPACE = b"SPACE"
_SPACES = (b"RAS", b"LPS")
_SPACE_TOKEN = re.compile(rb"(?<![^\s.,:;])SPACE=(?:RAS|LPS)(?![^\s.,;\0])")

_WORD = re.compile(rb"\s*(\S{1,255})(?!\S)")
_SPACE = re.compile(rb"\s*")
_COUNT = re.compile(rb"[0-9]{1,18}")
_CHUNK = 1 << 20
_LONGEST_NUMBER = 64
#: The most components of values of small types: colours with opacity have four. More can be text.
_MOST_SMALL = 4
_INTEGER = b"+-0123456789"
_REAL = b"+-.0123456789eEnaifNAIF"  # with nan and inf


def space_token(title: bytes) -> bytes:
    """Return ``SPACE=RAS`` or ``SPACE=LPS`` if a title says so; empty otherwise.

    >>> space_token(b"ITK-SNAP coord sys for 3D Slicer: SPACE=RAS")
    b'SPACE=RAS'
    """
    found = _SPACE_TOKEN.search(title)
    return found[0] if found else b""


def is_space(text: bytes) -> bool:
    """Return whether a text is the name of a coordinate system."""
    return text in _SPACES


class Names:
    """Neutral names for arrays: ``array_0``, ``array_1`` …, the same for the same name."""

    def __init__(self) -> None:
        self._given: dict[Hashable, str] = {}
        self._kept: set[str] = set()

    def neutral(self, name: str | None) -> str:
        """Return the neutral name of an array's name; each array without a name gets a new one."""
        if name in STANDARD_ARRAYS:
            self._kept.add(name)
            return name
        return self._given.setdefault(name or object(), f"array_{len(self._given)}")

    def known(self) -> dict[str, str]:
        """Return the neutral name of each array that had a name."""
        kept = {name: name for name in self._kept}
        return kept | {name: new for name, new in self._given.items() if isinstance(name, str)}


class Reader:
    """The data of a file, read from the start.

    Attributes:
        data: The complete file, or the part with numbers as text.
        position: The start of the next read, in bytes.
        binary: Whether numbers are binary; then messages count bytes, else lines.
    """

    def __init__(self, data: bytes, source: str, first_line: int = 1) -> None:
        self.data = data
        self.position = 0
        self.binary = False
        self._source = source
        self._first_line = first_line

    def damaged(self, reason: str) -> MeshDamaged:
        """Return an error about corrupt data at the position."""
        return MeshDamaged(f"{self._place()}: {reason}")

    def unsupported(self, reason: str) -> MeshError:
        """Return an error about an unsupported part at the position, or about a truncated file."""
        if self.is_cut():
            return self.damaged("the file ends too early")
        return MeshUnsupported(f"{self._place()}: {reason}")

    def is_cut(self) -> bool:
        """Return whether the data end at the position, within a line."""
        return self.at_end() and not self.data.endswith(b"\n")

    def at_end(self) -> bool:
        """Return whether nothing but white space is left."""
        space = _SPACE.match(self.data, self.position)
        return space is not None and space.end() == len(self.data)

    def word(self) -> bytes:
        """Read up to the next white space."""
        if self.at_end():
            raise self.damaged("the file ends too early")
        found = _WORD.match(self.data, self.position)
        if not found:
            raise self.damaged("a word has more than 255 letters")
        self.position = found.end()
        return found[1]

    def expect(self, keyword: bytes) -> None:
        """Read a keyword, in any case."""
        if self.word().lower() != keyword:
            raise self.damaged(f"{keyword.decode().upper()} is missing")

    def count(self) -> int:
        """Read a count."""
        word = self.word()
        if not _COUNT.fullmatch(word):
            raise self.damaged("expected a count, found another word")
        return int(word)

    def line(self) -> bytes:
        """Read up to the end of the line, and return the text without the line end."""
        if self.position >= len(self.data):
            raise self.damaged("the file ends too early")
        start = self.position
        self.skip_line()
        return self.data[start : self.position].rstrip(b"\r\n")

    def skip_line(self) -> None:
        """Go to the start of the next line, or to the end of the file."""
        end = self.data.find(b"\n", self.position)
        self.position = end + 1 if end >= 0 else len(self.data)

    def raw(self, size: int) -> bytes:
        """Read `size` bytes from the start of the next line."""
        if not size:
            return b""
        if self.line().strip():
            raise self.damaged("there are too many words before binary data")
        return self.take(size)

    def take(self, size: int) -> bytes:
        """Read `size` bytes from the position."""
        taken = self.data[self.position : self.position + size]
        if len(taken) < size:
            raise self.damaged(f"{size - len(taken)} bytes are missing at the end")
        self.position += size
        return taken

    def numbers(self, count: int, *, whole: bool = False) -> bytes:
        """Read numbers in text, and return them one per line.

        Args:
            count: How many numbers to read.
            whole: Whether the numbers must be integers.
        """
        lines: list[bytes] = []
        for words in self._words(count, lambda words: _are_numbers(words, whole), whole=whole):
            lines += (b"\n".join(words), b"\n" if words else b"")
        return b"".join(lines)

    def values(self, count: int, *, whole: bool = False) -> npt.NDArray[np.generic]:
        """Read numbers in text, and return their values.

        This takes a third of the time of `numbers`, which also refuses what merely begins like a
        number.

        Args:
            count: How many numbers to read.
            whole: Whether the numbers must be integers.
        """
        dtype = np.int64 if whole else np.float64
        found = [np.empty(0, dtype)]

        def are_numbers(words: list[bytes]) -> bool:
            text = b"\n".join(words)
            if text.translate(None, _INTEGER + b"\n" if whole else _REAL + b"\n"):
                return False
            try:
                found.append(np.fromstring(text, dtype, sep="\n"))
            except (ValueError, DeprecationWarning):  # by versions of numpy, and filters
                return False
            return len(found[-1]) == len(words)

        for _ in self._words(count, are_numbers, whole=whole):
            pass
        return np.concatenate(found)

    def _words(
        self, count: int, are_numbers: Callable[[list[bytes]], bool], *, whole: bool
    ) -> Iterator[list[bytes]]:
        """Read so many words, and yield them in blocks."""
        left = count
        if left > len(self.data):
            raise self.damaged(f"{left} numbers are announced, more than the file has bytes")
        while left > 0:
            # Split only the likely needed part: many short arrays would each split the rest.
            end = self.position + min(_CHUNK, 1024 + 32 * left)
            chunk = self.data[self.position : end]
            words = chunk.split(None, min(left, len(chunk)))
            rest = b""
            if len(words) > left or (end < len(self.data) and not chunk[-1:].isspace()):
                rest = words.pop()  # not requested, or may be truncated
            if not chunk:
                raise self.damaged(f"{left} numbers are missing at the end")
            if not are_numbers(words) or (rest and not words):
                raise self._not_a_number(words, whole)
            self.position += len(chunk) - len(rest)
            left -= len(words)
            yield words

    def integers(self, lines: bytes) -> Integers:
        """Return the values of integers that `numbers` has read, clipped to 64 bits."""
        return np.fromstring(lines, np.int64, sep="\n")

    def _not_a_number(self, words: list[bytes], whole: bool) -> MeshDamaged:
        for word in words:
            self.position = self.data.index(word, self.position)
            if not _are_numbers([word], whole):
                break
            self.position += len(word)
        return self.damaged(f"a word that is not {'an integer' if whole else 'a number'}")

    def _place(self) -> str:
        if self.binary:
            return f"{self._source}, byte {self.position}"
        line = self._first_line + self.data.count(b"\n", 0, self.position)
        return f"{self._source}, line {line}"


def room_for_text(kind: str, itemsize: int, components: int) -> str:
    """Return why an array of points or cells may be text and not values; empty if it is values.

    Args:
        kind: The type of the array, for the message.
        itemsize: Bytes of a number; 0 for bits.
        components: How many numbers each point or cell has.
    """
    if not components:
        return "an array without components: remove it"
    if itemsize > 1 or components <= _MOST_SMALL:
        return ""
    return (
        f"{components} numbers of type {kind} for each point or cell can be a text: "
        "save them as numbers of more bytes, or remove the array"
    )


def without_padding(data: bytes, count: int) -> bytes:
    """Return packed bits (the first is the highest bit of its byte) with unused bits set to 0."""
    unused = -count % 8
    return data[:-1] + bytes([data[-1] >> unused << unused]) if unused else data


def _are_numbers(words: list[bytes], whole: bool) -> bool:
    # Python's float() accepts underscores; the characters allowed here exclude them.
    if b"".join(words).translate(None, _INTEGER if whole else _REAL):
        return False
    if max(map(len, words), default=0) > _LONGEST_NUMBER:
        return False
    try:
        deque(map(int if whole else float, words), maxlen=0)
    except ValueError:
        return False
    return True

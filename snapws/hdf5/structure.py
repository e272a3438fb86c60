"""Checks that an HDF5 file refers to no other file.

HDF5 can refer to other files in three ways: links to other files, data stored in other files, and
data sets composed of other files. All three stand in the headers of objects. This module reads the
header of each object that a reader can reach by name. It refuses storage forms that programs for
transforms and MINC do not write, because it cannot check them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from snapws.hdf5 import SIGNATURE

_NOWHERE = (1 << 64) - 1  # the address of an absent object
_MOST_OBJECTS = 10_000
_MOST_BYTES = 1 << 20  # bytes of one header, or of one part of it
_MOST_READ = 16 << 20  # in all
_LEAST_COUNTED = 64  # the cost of reading a few bytes

# Messages of an object's header.
_LINKS, _LINK, _OTHER_FILES, _LAYOUT, _CONTINUED, _GROUP, _DRIVER = 2, 6, 7, 8, 16, 17, 20
_HARD, _FIRST_OF_OTHER_FILES = 0, 64  # kinds of links
_MADE_OF_OTHERS = 3  # a kind of layout

_TREE, _SYMBOLS = b"TREE", b"SNOD"
_CACHED_GROUP, _CACHED_NAME = 1, 2


class OutsideError(ValueError):
    """The file refers to another file, or cannot be checked."""


class InvalidError(ValueError):
    """The file is not a valid HDF5 file."""


def refuse_other_files(file: BinaryIO) -> None:
    """Refuse an HDF5 file that refers to other files.

    Raises:
        OutsideError: The file refers to another file, or cannot be checked.
        InvalidError: The file is not a valid HDF5 file.
        OSError: The file cannot be read.
    """
    try:
        _Walk(file).run()
    except (struct.error, IndexError, OverflowError):
        raise InvalidError("it is cut short or damaged") from None


@dataclass
class _Walk:
    """A walk over all objects of a file, by their addresses."""

    file: BinaryIO
    seen: set[int] = field(default_factory=set)
    waiting: list[int] = field(default_factory=list)
    left: int = _MOST_READ

    def run(self) -> None:
        self._begin()
        while self.waiting:
            address = self.waiting.pop()
            if address in self.seen:
                continue
            self.seen.add(address)
            if len(self.seen) > _MOST_OBJECTS:
                raise OutsideError(f"it has more than {_MOST_OBJECTS} parts, which are too many")
            for kind, data in self._messages(address):
                self._look_at(kind, data)

    def _begin(self) -> None:
        """Find the first objects, named by the header of the file."""
        head = self._bytes(0, 9)
        if head[:8] != SIGNATURE:
            raise InvalidError("it does not begin as HDF5 does")
        version = head[8]
        if version in (0, 1):
            sizes, at = self._bytes(13, 2), 24 + 4 * version
            base, _, _, driver = self._numbers(at, 4)
            self._refuse_odd(sizes, base, driver)
            self._entry(self._bytes(at + 32, 40))
        elif version in (2, 3):
            base, extension, _, root = self._numbers(12, 4)
            self._refuse_odd(self._bytes(9, 2), base, _NOWHERE)
            self.waiting += [one for one in (root, extension) if one != _NOWHERE]
        else:
            raise OutsideError(f"version {version} of its header is not known")

    def _refuse_odd(self, sizes: bytes, base: int, driver: int) -> None:
        if sizes != b"\x08\x08" or base or driver != _NOWHERE:
            raise OutsideError("it is stored in a way that is not read")

    def _look_at(self, kind: int, data: bytes) -> None:
        if kind == _OTHER_FILES:
            raise OutsideError("it says that its data are in other files")
        if kind == _LAYOUT and self._layout(data) == _MADE_OF_OTHERS:
            raise OutsideError("it says that its data are put together from other files")
        if kind == _LINK:
            self._link(data)
        elif kind == _LINKS:
            flags = data[1]
            (heap,) = struct.unpack_from("<Q", data, 2 + 8 * (flags & 1))
            if heap != _NOWHERE:
                raise OutsideError("it has a group of so many parts that they are not read")
        elif kind == _GROUP:
            self._tree(struct.unpack_from("<Q", data)[0])
        elif kind == _DRIVER:
            raise OutsideError("it says that it is stored in several files")

    @staticmethod
    def _layout(data: bytes) -> int:
        return data[1] if data[0] >= 3 else data[2]

    def _link(self, data: bytes) -> None:
        flags, at = data[1], 2
        kind = data[at] if flags & 8 else _HARD
        if kind >= _FIRST_OF_OTHER_FILES:
            raise OutsideError("it has a link to another file")
        if kind != _HARD:
            return  # a name within the file
        at += (1 if flags & 8 else 0) + (8 if flags & 4 else 0) + (1 if flags & 16 else 0)
        width = 1 << (flags & 3)
        at += width + int.from_bytes(data[at : at + width], "little")
        self.waiting.append(struct.unpack_from("<Q", data, at)[0])

    def _tree(self, address: int) -> None:
        """Find the objects of a group in the tree of its names."""
        waiting = [address]
        while waiting:
            at = waiting.pop()
            if at in self.seen:
                continue
            self.seen.add(at)
            sign = self._bytes(at, 4)
            if sign == _SYMBOLS:
                (count,) = struct.unpack("<H", self._bytes(at + 6, 2))
                for number in range(count):
                    self._entry(self._bytes(at + 8 + 40 * number, 40))
            elif sign == _TREE and self._bytes(at + 4, 1) == b"\0":
                (count,) = struct.unpack("<H", self._bytes(at + 6, 2))
                # Keys and children alternate, beginning with a key.
                waiting += self._numbers(at + 24, 2 * count + 1)[1::2]
            else:
                raise InvalidError("the tree of a group's names is damaged")

    def _entry(self, data: bytes) -> None:
        """Find the object of an entry in a group."""
        _, address, cached = struct.unpack_from("<QQI", data)
        # A soft link within the file has no object; the root has one, whatever its entry says.
        if cached != _CACHED_NAME or address != _NOWHERE:
            self.waiting.append(address)
        if cached == _CACHED_GROUP:
            self._tree(struct.unpack_from("<Q", data, 24)[0])

    def _messages(self, address: int) -> Iterator[tuple[int, bytes]]:
        """Return kind and content of each message in the header of an object."""
        start = self._bytes(address, 6)
        if start[:4] == b"OHDR":
            flags, at = start[5], address + 6
            at += (16 if flags & 32 else 0) + (4 if flags & 16 else 0)
            width = 1 << (flags & 3)
            length = int.from_bytes(self._bytes(at, width), "little")
            yield from self._parts(at + width, length, 6 if flags & 4 else 4)
        elif start[:2] == b"\x01\0":
            (length,) = struct.unpack("<I", self._bytes(address + 8, 4))
            yield from self._parts(address + 16, length, 8)
        else:
            raise InvalidError("the header of one of its parts is damaged")

    def _parts(self, begin: int, length: int, head: int) -> Iterator[tuple[int, bytes]]:
        """Return the messages in the parts of a header; their heads have 4, 6 or 8 bytes."""
        waiting, seen = [(begin, length)], {begin}
        while waiting:
            begin, length = waiting.pop()
            data, at = self._bytes(begin, length), 0
            while at + head <= length:
                if head == 8:
                    kind, size = struct.unpack_from("<HH", data, at)
                else:
                    kind, size = struct.unpack_from("<BH", data, at)
                content = data[at + head : at + head + size]
                at += head + size
                if kind != _CONTINUED:
                    yield kind, content
                    continue
                place, more = struct.unpack_from("<QQ", content)
                if place in seen:
                    raise InvalidError("the header of one of its parts is damaged")
                seen.add(place)
                # Parts of the newer form stand between a signature and a checksum.
                waiting.append((place, more) if head == 8 else (place + 4, more - 8))

    def _numbers(self, at: int, count: int) -> tuple[int, ...]:
        return struct.unpack(f"<{count}Q", self._bytes(at, 8 * count))

    def _bytes(self, at: int, count: int) -> bytes:
        if not 0 <= count <= _MOST_BYTES or at >= 1 << 62:
            raise InvalidError("the header of one of its parts is damaged")
        self.left -= max(count, _LEAST_COUNTED)
        if self.left < 0:
            raise OutsideError("it has too many parts to look through")
        self.file.seek(at)
        data = self.file.read(count)
        if len(data) < count:
            raise InvalidError("it is cut short or damaged")
        return data

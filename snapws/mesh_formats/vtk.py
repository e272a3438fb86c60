"""Legacy VTK files with polygonal data.

The rules are those of VTK's documentation of its simple legacy formats and of the metadata blocks
in them, and of how VTK's own reader takes what these leave open: keywords in any case, binary data
big-endian and from the start of the line after their header, ``vtkIdType`` stored as 32 bits,
``long`` as 64 bits (Windows has 32; such a file does not come out even and is refused).
"""

from __future__ import annotations

import re

import numpy as np

from snapws.errors import MeshError
from snapws.mesh_formats.reading import Integers, Names, Reader

_HEADER = re.compile(rb"# vtk DataFile Version[ \t]+([0-9]{1,3}\.[0-9]{1,3})[^\n]*\n[^\n]*\n")
_VERSIONS = re.compile(rb"[1-4]\.[0-9]|5\.[01]")
_TITLE = b"vtk output"
_METADATA = re.compile(rb"\s*metadata[ \t\r]*\n", re.IGNORECASE)
_TEXTS_FOLLOW = re.compile(rb"DATA ([0-9]{1,9})\r?\n(?!\r?\n|NAME )")

#: Types of numbers: the name, and how numpy calls it.
_TYPES = {
    name.lower(): (name, code)
    for name, code in (
        (b"bit", ""),
        (b"char", "i1"),
        (b"signed_char", "i1"),
        (b"unsigned_char", "u1"),
        (b"short", ">i2"),
        (b"unsigned_short", ">u2"),
        (b"int", ">i4"),
        (b"unsigned_int", ">u4"),
        (b"vtkIdType", ">i4"),
        (b"long", ">i8"),
        (b"unsigned_long", ">u8"),
        (b"vtktypeint64", ">i8"),
        (b"vtktypeuint64", ">u8"),
        (b"float", ">f4"),
        (b"double", ">f8"),
    )
}
_REAL = (b"float", b"double")
_TEXTS = (b"string", b"utf8_string", b"variant")

_CELLS = (b"vertices", b"lines", b"polygons", b"triangle_strips")
#: Arrays that stand as keyword, name and type, and how many numbers they have a tuple.
_SIMPLE = {
    b"vectors": 3,
    b"normals": 3,
    b"tensors": 9,
    b"tensors6": 6,
    b"global_ids": 1,
    b"pedigree_ids": 1,
    b"edge_flags": 1,
}


def scrub(data: bytes, source: str) -> bytes:
    """Write a legacy VTK file afresh; see `snapws.mesh_formats`."""
    reader = Reader(data, source)
    header = _HEADER.match(data)
    if not header:
        raise reader.damaged("this is no legacy VTK file, or its first two lines are not whole")
    version = header[1]
    if not _VERSIONS.fullmatch(version):
        raise reader.unsupported("versions 1.0 to 5.1 are known: save it as one of these")
    reader.position = header.end()
    encoding = reader.word().lower()
    if encoding not in (b"ascii", b"binary"):
        raise reader.damaged("neither ASCII nor BINARY")
    reader.expect(b"dataset")
    if reader.word().lower() != b"polydata":
        raise reader.unsupported("only DATASET POLYDATA is known: save the mesh as polygonal data")
    reader.binary = encoding == b"binary"
    lines = (b"# vtk DataFile Version " + version, _TITLE, encoding.upper(), b"DATASET POLYDATA\n")
    return b"\n".join(lines) + _PolyData(reader, version >= b"5").scrub()


class _PolyData:
    """What follows the header: sections, each a keyword, its counts and its numbers."""

    def __init__(self, reader: Reader, has_offsets: bool) -> None:
        self.reader = reader
        self.has_offsets = has_offsets
        self.names = Names()
        self.tables: dict[bytes, bytes] = {b"default": b"default"}
        self.points: int | None = None
        self.cells: dict[bytes, int] = {}
        self.highest_id = -1
        self.written: list[bytes] = []

    def scrub(self) -> bytes:
        """Write the sections afresh."""
        reader = self.reader
        tuples: int | None = None
        while not reader.at_end():
            start = reader.position
            keyword = reader.word().lower()
            if keyword in (b"point_data", b"cell_data"):
                tuples = self._tuples(keyword)
            elif keyword == b"field":
                self._field(tuples is not None)
            elif tuples is not None:
                self._attribute(keyword, tuples, start)
            elif keyword == b"points" and self.points is None:
                self.points = reader.count()
                kind, coordinates = self._numbers(reader.word(), self.points, 3)
                self._write(b"POINTS %d %b" % (self.points, kind), coordinates)
            elif keyword in _CELLS and keyword not in self.cells:
                self._topology(keyword)
            else:
                raise self._unknown(keyword, start)
        if self.highest_id >= (self.points or 0):
            raise reader.damaged(
                f"a cell has point {self.highest_id}, where there are {self.points or 0} points"
            )
        return b"".join(self.written)

    def _unknown(self, keyword: bytes, start: int) -> MeshError:
        self.reader.position = start
        if not re.fullmatch(rb"[a-z_]+6?", keyword):
            return self.reader.damaged("what follows is no section: its data may be too long")
        return self.reader.unsupported(
            "a section that is not known here, or stands twice: "
            "save the mesh afresh, with points, cells and arrays of numbers"
        )

    def _write(self, header: bytes, numbers: bytes) -> None:
        self.written += (header, b"\n", numbers, b"\n" if self.reader.binary else b"")

    def _topology(self, keyword: bytes) -> None:
        reader = self.reader
        first, second = reader.count(), reader.count()
        self.written.append(b"%b %d %d\n" % (keyword.upper(), first, second))
        self.cells[keyword] = max(first - 1, 0) if self.has_offsets else first
        if not self.has_offsets:
            kind, numbers = self._numbers(b"int", second, 1)
            self.written += (numbers, b"\n" if reader.binary else b"")
            ids = _without_lengths(self._integers(kind, numbers), first)
        elif first:
            ends = self._integers(*self._part(b"offsets", first))
            ids = self._integers(*self._part(b"connectivity", second))
            if ends[0] or ends[-1] != second or (ends[1:] < ends[:-1]).any():
                ids = None
        else:
            ids = np.empty(0, np.int64) if not second else None
        if ids is None:
            raise reader.damaged(f"the lengths of the {keyword.decode()} do not add up")
        if ids.min(initial=0) < 0:
            raise reader.damaged(f"{keyword.decode()} have a point with a negative number")
        self.highest_id = max(self.highest_id, int(ids.max(initial=-1)))

    def _part(self, keyword: bytes, count: int) -> tuple[bytes, bytes]:
        self.reader.expect(keyword)
        kind, numbers = self._numbers(self.reader.word(), count, 1)
        if kind in (b"bit", *_REAL):
            raise self.reader.damaged(f"{keyword.decode().upper()} are not integers")
        self._write(keyword.upper() + b" " + kind, numbers)
        return kind, numbers

    def _integers(self, kind: bytes, numbers: bytes) -> Integers:
        if not self.reader.binary:
            return self.reader.integers(numbers)
        return np.frombuffer(numbers, _TYPES[kind.lower()][1]).astype(np.int64)

    def _tuples(self, keyword: bytes) -> int:
        tuples = self.reader.count()
        there = (self.points or 0) if keyword == b"point_data" else sum(self.cells.values())
        if tuples != there:
            raise self.reader.damaged(f"data of {tuples} points or cells, where there are {there}")
        self.written.append(b"%b %d\n" % (keyword.upper(), tuples))
        return tuples

    def _attribute(self, keyword: bytes, tuples: int, start: int) -> None:
        reader = self.reader
        if keyword in _SIMPLE:
            name, kind, components = reader.word(), reader.word(), _SIMPLE[keyword]
            form = keyword.upper() + b" %(name)b %(kind)b"
        elif keyword == b"texture_coordinates":
            name, components, kind = reader.word(), reader.count(), reader.word()
            form = b"TEXTURE_COORDINATES %%(name)b %d %%(kind)b" % components
        elif keyword == b"scalars":
            name, kind = reader.word(), reader.word()
            components, table = self._scalars()
            form = b"SCALARS %%(name)b %%(kind)b %d\nLOOKUP_TABLE %b" % (components, table)
        elif keyword == b"color_scalars":
            name, components = reader.word(), reader.count()
            kind = b"unsigned_char" if reader.binary else b"float"
            form = b"COLOR_SCALARS %%(name)b %d" % components
        elif keyword == b"lookup_table":
            table, size = self._table(reader.word()), reader.count()
            colors = self._numbers(b"unsigned_char" if reader.binary else b"float", size, 4)[1]
            return self._write(b"LOOKUP_TABLE %b %d" % (table, size), colors)
        else:
            raise self._unknown(keyword, start)
        if kind.lower() in _TEXTS:
            return self._skip_texts(kind.lower(), tuples, components)
        kind, numbers = self._numbers(kind, tuples, components)
        return self._write(form % {b"name": self._name(name), b"kind": kind}, numbers)

    def _scalars(self) -> tuple[int, bytes]:
        word = self.reader.word()
        components = b"1"
        if word.lower() != b"lookup_table":
            components = word
            self.reader.expect(b"lookup_table")
        if not re.fullmatch(rb"[0-9]{1,9}", components):
            raise self.reader.damaged("SCALARS without a number of components")
        return int(components), self._table(self.reader.word())

    def _field(self, kept: bool) -> None:
        reader = self.reader
        reader.word()
        arrays = []
        for _ in range(reader.count()):
            name = reader.word()
            if name == b"NULL_ARRAY":
                continue
            components, tuples, kind = reader.count(), reader.count(), reader.word()
            if kind.lower() in _TEXTS:
                self._skip_texts(kind.lower(), tuples, components)
                continue
            kind, numbers = self._numbers(kind, tuples, components)
            if kept:
                header = b"%b %d %d %b" % (self._name(name), components, tuples, kind)
                arrays.append((header, numbers))
        if arrays:
            self.written.append(b"FIELD FieldData %d\n" % len(arrays))
            for header, numbers in arrays:
                self._write(header, numbers)

    def _name(self, name: bytes) -> bytes:
        return self.names.neutral(name.decode("latin-1")).encode()

    def _table(self, name: bytes) -> bytes:
        return self.tables.setdefault(name, b"table_%d" % (len(self.tables) - 1))

    def _numbers(self, kind: bytes, tuples: int, components: int) -> tuple[bytes, bytes]:
        """Read an array of numbers; give its type, spelt as VTK does, and what to write."""
        reader = self.reader
        try:
            kind, code = _TYPES[kind.lower()]
        except KeyError:
            raise reader.unsupported("an array of a type that is not known here") from None
        count = tuples * components
        if not reader.binary:
            numbers = reader.numbers(count, whole=kind not in _REAL)
        else:
            numbers = reader.raw(count * np.dtype(code).itemsize if code else (count + 7) // 8)
        self._skip_metadata(components)
        return kind, numbers

    def _skip_texts(self, kind: bytes, tuples: int, components: int) -> None:
        reader = self.reader
        if kind != b"variant" and tuples * components:
            reader.line()
        for _ in range(tuples * components):
            if kind == b"variant":
                reader.word(), reader.word()
            elif reader.binary:
                # The top two bits of the length tell how many bytes it has: 8, 4, 2 or 1.
                first = reader.data[reader.position : reader.position + 1] or b"\0"
                bits = 8 * (8 >> (first[0] >> 6))
                reader.take(int.from_bytes(reader.take(bits // 8), "big") % (1 << (bits - 2)))
            else:
                reader.line()
        self._skip_metadata(components)

    def _skip_metadata(self, components: int) -> None:
        """Skip the names of components and the keys that may follow an array, to an empty line."""
        reader = self.reader
        found = _METADATA.match(reader.data, reader.position)
        if not found:
            return
        reader.position = found.end()
        while (start := reader.position) < len(reader.data) and (line := reader.line()):
            lines = 0
            if line.lower().startswith(b"component_names"):
                lines = components
            elif texts := _TEXTS_FOLLOW.match(reader.data, start):
                lines = int(texts[1])  # an empty one among them does not end the metadata
            for _ in range(lines):
                reader.line()


def _without_lengths(numbers: Integers, cells: int) -> Integers | None:
    """Give the points of cells that each have their length before them; none if it is wrong."""
    if cells > len(numbers) or not cells:
        return None if cells or len(numbers) else numbers
    width = len(numbers) // cells
    table = numbers[: cells * width].reshape(cells, width)
    if cells * width == len(numbers) and (table[:, 0] == width - 1).all():
        return table[:, 1:].reshape(-1)
    lengths = numbers.tolist()
    starts = []
    start = 0
    while start < len(lengths) and lengths[start] >= 0:
        starts.append(start)
        start += lengths[start] + 1
    return np.delete(numbers, starts) if (len(starts), start) == (cells, len(lengths)) else None

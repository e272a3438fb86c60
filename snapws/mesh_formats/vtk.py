"""Scrubbing of legacy VTK files with polygonal data.

The rules are from VTK's documentation of its simple legacy formats and of their metadata blocks.
Where the documentation is silent, VTK's reader is followed: keywords in any case, binary data
big-endian from the start of the line after their header, ``vtkIdType`` stored as 32 bits, ``long``
as 64 bits (Windows has 32; the sizes of such a file do not match, and it is refused).

The format has no mark of its end. A truncated file is recognised by a last section with too little
data, by points without cells, by no white space after the last number of an array, or by metadata
without the empty line at their end. A file that was truncated exactly between two sections of cells
or two arrays is a valid file, and is accepted.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

import numpy as np
import numpy.typing as npt

from snapws.errors import MeshError
from snapws.mesh_formats.reading import (
    SPACE,
    Integers,
    Names,
    Reader,
    is_space,
    room_for_text,
    space_token,
    without_padding,
)
from snapws.mesh_formats.surfaces import Surface

_HEADER = re.compile(rb"# vtk DataFile Version[ \t]+([0-9]{1,3}\.[0-9]{1,3})[^\n]*\n([^\n]*)\n")
_VERSIONS = re.compile(rb"[1-4]\.[0-9]|5\.[01]")
_TITLE = b"vtk output"
_METADATA = re.compile(rb"\s*metadata[ \t\r]*\n", re.IGNORECASE)
_TEXTS_FOLLOW = re.compile(rb"DATA ([0-9]{1,9})\r?\n(?!\r?\n|NAME )")

#: Types of numbers: their names in VTK and in numpy.
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

_NO_TABLE = b"default"

_CELLS = (b"vertices", b"lines", b"polygons", b"triangle_strips")
#: Arrays with a header of keyword, name and type, and their numbers per tuple.
_SIMPLE = {
    b"vectors": 3,
    b"normals": 3,
    b"tensors": 9,
    b"tensors6": 6,
    b"global_ids": 1,
    b"pedigree_ids": 1,
    b"edge_flags": 1,
}


def scrub(data: bytes, source: str, names: Names, surface: Surface | None = None) -> bytes:
    """Return a scrubbed legacy VTK file; see `snapws.mesh_formats`."""
    reader = Reader(data, source)
    header = _HEADER.match(data)
    if not header:
        raise reader.damaged("this is not a legacy VTK file, or its first two lines are not whole")
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
    title = space_token(header[2]) or _TITLE
    lines = (b"# vtk DataFile Version " + version, title, encoding.upper(), b"DATASET POLYDATA\n")
    if surface:
        surface.see_space(title)
    return b"\n".join(lines) + _PolyData(reader, version >= b"5", names, surface).scrub()


class _PolyData:
    """The sections after the header: each has a keyword, counts and numbers.

    Attributes:
        awaited: The part that the file must still have; empty if the file may end.
        data_header: The header of the arrays of points or cells, until the first one is written.
        tables: The new names of lookup tables.
        without_table: For each lookup table that scalars name, their places in `written`, until the
            table is read. Points and cells may have tables of the same name.
        surface: Collects points and triangles. Arrays of points and cells are then not read.
    """

    def __init__(
        self, reader: Reader, has_offsets: bool, names: Names, surface: Surface | None
    ) -> None:
        self.reader = reader
        self.has_offsets = has_offsets
        self.names = names
        self.surface = surface
        self.tables: dict[bytes, bytes] = {_NO_TABLE: _NO_TABLE}
        self.without_table: dict[bytes, list[int]] = {}
        self.awaited = "POINTS"
        self.data_header = b""
        self.points: int | None = None
        self.cells: dict[bytes, int] = {}
        self.highest_id = -1
        self.written: list[bytes] = []

    def scrub(self) -> bytes:
        """Return the scrubbed sections."""
        reader = self.reader
        tuples: int | None = None
        while not reader.at_end():
            start = reader.position
            keyword = reader.word().lower()
            if keyword in (b"point_data", b"cell_data"):
                if self.surface:
                    self.awaited = ""
                    break
                tuples = self._tuples(keyword)
            elif keyword == b"field":
                self._field(tuples)
            elif keyword == b"lookup_table" and tuples is not None:
                self._lookup_table(reader.word(), reader.count())
            elif tuples is not None:
                self._attribute(keyword, tuples, start)
            elif keyword == b"points" and self.points is None:
                self.points = reader.count()
                kind, coordinates = self._numbers(reader.word(), self.points, 3)
                self._write(b"POINTS %d %b" % (self.points, kind), coordinates)
                if self.surface:
                    self.surface.add_points(self._values(kind, coordinates))
                self.awaited = "a cell" if self.points and not any(self.cells.values()) else ""
            elif keyword in _CELLS and keyword not in self.cells:
                self._topology(keyword)
            else:
                raise self._unknown(keyword, start)
        if self.highest_id >= (self.points or 0):
            raise reader.damaged(
                f"a cell has point {self.highest_id}, but the file has {self.points or 0} points"
            )
        self._refuse_cut()
        return b"".join(self.written)

    def _refuse_cut(self) -> None:
        if self.awaited:
            raise self.reader.damaged(f"the file ends before {self.awaited}: it is cut short")
        is_text = self.reader.at_end() and not self.reader.binary
        if is_text and not self.reader.data[-1:].isspace():
            raise self.reader.damaged(
                "the last line has no end, and so may be cut short: "
                "save the mesh afresh, or end the line if nothing is missing"
            )

    def _unknown(self, keyword: bytes, start: int) -> MeshError:
        is_cut = self.reader.is_cut()
        self.reader.position = start
        if is_cut or not re.fullmatch(rb"[a-z_]+6?", keyword):
            return self.reader.damaged(
                "what follows is not a section: its data may be too long, or the file cut short"
            )
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
        if self.cells[keyword] and self.points is not None:
            self.awaited = ""
        if not self.has_offsets:
            kind, numbers = self._numbers(b"int", second, 1)
            self.written += (numbers, b"\n" if reader.binary else b"")
            cells = _without_lengths(self._integers(kind, numbers), first)
        elif first:
            ends = self._integers(*self._part(b"offsets", first))
            ids = self._integers(*self._part(b"connectivity", second))
            is_sorted = not ends[0] and ends[-1] == second and (ends[1:] >= ends[:-1]).all()
            cells = (ids, ends[1:]) if is_sorted else None
        else:
            cells = _without_lengths(np.empty(0, np.int64), second)
        if cells is None:
            raise reader.damaged(f"the lengths of the {keyword.decode()} do not add up")
        ids, ends = cells
        if ids.min(initial=0) < 0:
            raise reader.damaged(f"{keyword.decode()} have a point with a negative number")
        self.highest_id = max(self.highest_id, int(ids.max(initial=-1)))
        if self.surface and keyword == b"polygons":
            self.surface.add_polygons(ids, ends)
        elif self.surface and keyword == b"triangle_strips":
            self.surface.add_strips(ids, ends)

    def _part(self, keyword: bytes, count: int) -> tuple[bytes, bytes]:
        self.reader.expect(keyword)
        kind, numbers = self._numbers(self.reader.word(), count, 1)
        if kind in (b"bit", *_REAL):
            raise self.reader.damaged(f"{keyword.decode().upper()} are not integers")
        self._write(keyword.upper() + b" " + kind, numbers)
        return kind, numbers

    def _integers(self, kind: bytes, numbers: bytes) -> Integers:
        if not self.reader.binary and not self.surface:
            return self.reader.integers(numbers)
        return self._values(kind, numbers).astype(np.int64)

    def _values(self, kind: bytes, numbers: bytes) -> npt.NDArray[np.generic]:
        """Return the values in the bytes that `_numbers` returns for a surface."""
        if not self.reader.binary:
            return np.frombuffer(numbers, np.float64 if kind in _REAL else np.int64)
        if kind == b"bit":
            return np.unpackbits(np.frombuffer(numbers, np.uint8))[: 3 * (self.points or 0)]
        return np.frombuffer(numbers, _TYPES[kind.lower()][1])

    def _tuples(self, keyword: bytes) -> int:
        tuples = self.reader.count()
        there = (self.points or 0) if keyword == b"point_data" else sum(self.cells.values())
        if tuples != there:
            raise self.reader.damaged(f"data of {tuples} points or cells, but the file has {there}")
        self.data_header = b"%b %d\n" % (keyword.upper(), tuples)
        self.awaited = self.awaited or ("an array of its data" if tuples else "")
        return tuples

    def _attribute(self, keyword: bytes, tuples: int, start: int) -> None:
        reader = self.reader
        table = b""
        if keyword in _SIMPLE:
            name, kind, components = reader.word(), reader.word(), _SIMPLE[keyword]
            form = keyword.upper() + b" %(name)b %(kind)b"
        elif keyword == b"texture_coordinates":
            name, components, kind = reader.word(), self._few(3), reader.word()
            form = b"TEXTURE_COORDINATES %%(name)b %d %%(kind)b" % components
        elif keyword == b"scalars":
            name, kind = reader.word(), reader.word()
            components, table = self._scalars()
            form = b"SCALARS %%(name)b %%(kind)b %d" % components
        elif keyword == b"color_scalars":
            name, components = reader.word(), self._few(4)
            kind = b"unsigned_char" if reader.binary else b"float"
            form = b"COLOR_SCALARS %%(name)b %d" % components
        else:
            raise self._unknown(keyword, start)
        self.awaited = "" if not table or table in self.tables else "the table of the scalars"
        if kind.lower() in _TEXTS:
            self._skip_texts(kind.lower(), tuples, components)
            return
        kind, numbers = self._numbers(kind, tuples, components)
        if tuples:
            self._write_array(form % {b"name": self._name(name), b"kind": kind}, numbers, table)

    def _few(self, most: int) -> int:
        components = self.reader.count()
        if not 1 <= components <= most:
            raise self.reader.damaged(f"{components} components, where 1 to {most} can be")
        return components

    def _scalars(self) -> tuple[int, bytes]:
        word = self.reader.word()
        components = b"1"
        if word.lower() != b"lookup_table":
            components = word
            self.reader.expect(b"lookup_table")
        if not re.fullmatch(rb"[0-9]{1,9}", components):
            raise self.reader.damaged("SCALARS without a number of components")
        return int(components), self.reader.word()

    def _lookup_table(self, name: bytes, size: int) -> None:
        """Read a lookup table of colours, and write it if earlier scalars have named it."""
        kind = b"unsigned_char" if self.reader.binary else b"float"
        colors = self._numbers(kind, size, 4)[1]
        self.awaited = ""
        scalars = self.without_table.pop(name, ())
        if scalars:
            table = self.tables.setdefault(name, b"table_%d" % (len(self.tables) - 1))
            for place in scalars:
                self.written[place] = table
            self._write(b"LOOKUP_TABLE %b %d" % (table, size), colors)

    def _field(self, tuples: int | None) -> None:
        """Read arrays, and write those of points or cells; these must have `tuples` tuples."""
        reader = self.reader
        reader.word()
        arrays = []
        for _ in range(reader.count()):
            name = reader.word()
            if name == b"NULL_ARRAY":
                continue
            components, there, kind = reader.count(), reader.count(), reader.word()
            if tuples is not None and there != tuples:
                raise reader.damaged(f"{there} tuples, but the file has {tuples} points or cells")
            if kind.lower() in _TEXTS:
                text = self._skip_texts(kind.lower(), there, components)
                if tuples is None and name == SPACE and there * components == 1 and is_space(text):
                    self._write_space(text)
                continue
            kind, numbers = self._numbers(kind, there, components, kept=bool(tuples))
            if tuples:
                header = b"%b %d %d %b" % (self._name(name), components, there, kind)
                arrays.append((header, numbers))
        if tuples is not None:
            self.awaited = ""
        if arrays:
            self._write_data_header()
            self.written.append(b"FIELD FieldData %d\n" % len(arrays))
            for header, numbers in arrays:
                self._write(header, numbers)

    def _write_array(self, header: bytes, numbers: bytes, table: bytes) -> None:
        self._write_data_header()
        if table:
            self.written += (header, b"\nLOOKUP_TABLE ", self.tables.get(table, _NO_TABLE))
            header = b""
            if table != _NO_TABLE:
                self.without_table.setdefault(table, []).append(len(self.written) - 1)
        self._write(header, numbers)

    def _write_data_header(self) -> None:
        self.written.append(self.data_header)
        self.data_header = b""

    def _name(self, name: bytes) -> bytes:
        # Decode the name: in the file, blanks and other characters are %xx.
        return self.names.neutral(unquote(name.decode("utf-8", "surrogateescape"))).encode()

    def _numbers(
        self, kind: bytes, tuples: int, components: int, *, kept: bool = True
    ) -> tuple[bytes, bytes]:
        """Read an array of numbers; return its type, as spelt by VTK, and the bytes to write."""
        reader = self.reader
        try:
            kind, code = _TYPES[kind.lower()]
        except KeyError:
            raise reader.unsupported("an array of a type that is not known here") from None
        itemsize = np.dtype(code).itemsize if code else 0
        if kept and tuples and (reason := room_for_text(kind.decode(), itemsize, components)):
            raise reader.unsupported(reason)
        count = tuples * components
        if not reader.binary and self.surface:
            numbers = reader.values(count, whole=kind not in _REAL).tobytes()
        elif not reader.binary:
            numbers = reader.numbers(count, whole=kind not in _REAL)
        elif code:
            numbers = reader.raw(count * itemsize)
        else:
            numbers = without_padding(reader.raw((count + 7) // 8), count)
        self._skip_metadata(components)
        return kind, numbers

    def _write_space(self, text: bytes) -> None:
        """Write the array with the coordinate system, as 3D Slicer does."""
        if self.surface:
            self.surface.see_space(text)
        length = bytes([0xC0 | len(text)]) if self.reader.binary else b""
        array = b"%b 1 1 string\n%b%b\n" % (SPACE, length, text)
        self.written.append(b"FIELD FieldData 1\n" + array)

    def _skip_texts(self, kind: bytes, tuples: int, components: int) -> bytes:
        """Read an array of texts, and return the last of them."""
        reader, text = self.reader, b""
        if kind != b"variant" and tuples * components:
            reader.line()
        for _ in range(tuples * components):
            if kind == b"variant":
                reader.word(), reader.word()
            elif reader.binary:
                # The top two bits of the length give its size in bytes: 8, 4, 2 or 1.
                first = reader.data[reader.position : reader.position + 1] or b"\0"
                bits = 8 * (8 >> (first[0] >> 6))
                size = int.from_bytes(reader.take(bits // 8), "big") % (1 << (bits - 2))
                text = reader.take(size)
            else:
                text = reader.line().strip()
        self._skip_metadata(components)
        return text

    def _skip_metadata(self, components: int) -> None:
        """Skip the metadata that may follow an array, up to an empty line."""
        reader = self.reader
        found = _METADATA.match(reader.data, reader.position)
        if not found:
            return
        reader.position = found.end()
        start = reader.position
        while line := reader.line():
            lines = 0
            if line.lower().startswith(b"component_names"):
                lines = components
            elif texts := _TEXTS_FOLLOW.match(reader.data, start):
                lines = int(texts[1])  # an empty one among them does not end the metadata
            for _ in range(lines):
                reader.line()
            start = reader.position


def _without_lengths(numbers: Integers, cells: int) -> tuple[Integers, Integers] | None:
    """Separate the points of cells from the length before each cell; None if a length is wrong.

    Returns:
        The points of all cells, and where those of each cell end.
    """
    if cells > len(numbers) or not cells:
        return None if cells or len(numbers) else (numbers, numbers)
    width = len(numbers) // cells
    table = numbers[: cells * width].reshape(cells, width)
    if cells * width == len(numbers) and (table[:, 0] == width - 1).all():
        return table[:, 1:].reshape(-1), np.arange(1, cells + 1) * (width - 1)
    lengths = memoryview(numbers.data)  # a list of numbers needs four times as much
    starts = []
    start = 0
    while start < len(lengths) and lengths[start] >= 0:
        starts.append(start)
        start += lengths[start] + 1
    if (len(starts), start) != (cells, len(lengths)):
        return None
    return np.delete(numbers, starts), np.array([*starts[1:], start]) - np.arange(1, cells + 1)

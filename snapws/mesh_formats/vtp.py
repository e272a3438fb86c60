"""Scrubbing of VTK's XML files with polygonal data.

The rules are from VTK's documentation of its XML formats. Numbers are text, base64 in their
element, or appended data, raw or in base64. Data are one block after its length, or several blocks
compressed by zlib. Appended raw data are not XML, and are removed before the XML is parsed.

Numbers in text stay text. All others are written as appended raw data in the byte order of the
file; compressed blocks stay as they are, after a new header.
"""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt
from lxml import etree

from snapws.errors import MeshDamaged, MeshError, MeshUnsupported
from snapws.mesh_formats import vtp_xml
from snapws.mesh_formats.reading import (
    SPACE,
    Integers,
    Names,
    Reader,
    is_space,
    room_for_text,
    without_padding,
)
from snapws.mesh_formats.surfaces import Surface

_TYPES = {
    "Bit": "",
    "Int8": "i1",
    "UInt8": "u1",
    "Int16": "i2",
    "UInt16": "u2",
    "Int32": "i4",
    "UInt32": "u4",
    "Int64": "i8",
    "UInt64": "u8",
    "Float32": "f4",
    "Float64": "f8",
}
#: The roles of arrays of points or cells: attributes of their section.
_ROLES = (
    "Scalars",
    "Vectors",
    "Normals",
    "Tensors",
    "TCoords",
    "GlobalIds",
    "PedigreeIds",
    "EdgeFlag",
    "Tangents",
    "RationalWeights",
    "HigherOrderDegrees",
    "ProcessIds",
)
_CELLS = ("Verts", "Lines", "Strips", "Polys")
_ENDS = {"LittleEndian": "<", "BigEndian": ">"}
_WORDS = {"UInt32": "u4", "UInt64": "u8"}
_COMPRESSOR = "vtkZLibDataCompressor"
#: Bytes of the name of a coordinate system, including the final zero.
_SPACE_SIZE = 4
#: Compressed bytes to inflate at once: zlib's output can be a thousand times as large.
_SLICE: Final = 1 << 14

_T = TypeVar("_T")


def scrub(data: bytes, source: str, names: Names, surface: Surface | None = None) -> bytes:
    """Return a scrubbed XML polygonal data file; see `snapws.mesh_formats`."""
    document, appended = vtp_xml.cut_appended(data, source)
    return _PolyData(vtp_xml.parse(document, source), appended, source, names, surface).scrub()


class _Numbers:
    """The numbers of an array, collected piece by piece."""

    dtype: type[np.generic] = np.float64
    pattern = ""  # of the types that the array may have

    def __init__(self) -> None:
        self._rest = b""
        self._pieces: list[npt.NDArray[Any]] = []

    @property
    def values(self) -> npt.NDArray[Any]:
        """All numbers."""
        return np.concatenate([np.empty(0, self.dtype), *self._pieces])

    def see_text(self, lines: bytes) -> None:
        """Collect numbers in text."""
        self.see(np.fromstring(lines, self.dtype, sep="\n"))

    def see_bytes(self, piece: bytes, dtype: np.dtype[Any]) -> None:
        """Collect the next bytes of numbers; the last number may be incomplete."""
        data = self._rest + piece
        whole = len(data) - len(data) % dtype.itemsize
        self._rest = data[whole:]
        self.see(np.frombuffer(data[:whole], dtype).astype(self.dtype))

    def see(self, numbers: npt.NDArray[Any]) -> None:
        """Collect the next numbers."""
        self._pieces.append(numbers)


class _Ids(_Numbers):
    """The integers in an array of cells: their statistics, and themselves where they are kept.

    Args:
        is_kept: Whether the integers are kept.
    """

    dtype = np.int64
    pattern = "U?Int"

    def __init__(self, *, is_kept: bool) -> None:
        super().__init__()
        self._is_kept = is_kept
        self.lowest = 0
        self.highest = -1
        self.last = 0
        self.is_sorted = True

    def see(self, numbers: Integers) -> None:
        """Count the next numbers."""
        if self._is_kept:
            super().see(numbers)
        if len(numbers):
            ahead, behind = numbers[1:], numbers[:-1]
            self.is_sorted &= bool(numbers[0] >= self.last and (ahead >= behind).all())
            self.lowest = min(self.lowest, int(numbers.min()))
            self.highest = max(self.highest, int(numbers.max()))
            self.last = int(numbers[-1])


class _PolyData:
    """A file with one or more pieces of polygonal data."""

    def __init__(
        self,
        root: etree._Element,
        appended: bytes,
        source: str,
        names: Names,
        surface: Surface | None,
    ) -> None:
        self.root = root
        self.source = source
        self.names = names
        self.surface = surface
        self.appended = Reader(appended, f"{source}, appended data")
        self.appended.binary = True
        section = self._only(root, "AppendedData")
        self.appended_encoded = section is None or section.get("encoding", "base64") != "raw"
        self.unread = len(appended)
        self.components: dict[tuple[str, str | None], int] = {}
        self.raw: list[bytes] = []
        self.raw_size = 0
        if root.tag != "VTKFile":
            raise MeshDamaged(f"{source}: this is no VTK file")
        if root.get("type") != "PolyData":
            raise self._unsupported(root, "not of type PolyData: save the mesh as polygonal data")
        self.compressed = self._one_of("compressor", {_COMPRESSOR: True, "": False}, "")
        self.ends = self._one_of("byte_order", _ENDS, "LittleEndian")
        self.word = np.dtype(self.ends + self._one_of("header_type", _WORDS, "UInt32"))

    def scrub(self) -> bytes:
        """Return the scrubbed file."""
        polydata = self._only(self.root, "PolyData")
        if polydata is None:
            raise self._damaged(self.root, "<PolyData> is missing")
        elements = polydata.findall("Piece")
        for element in elements:
            self._count_components(element)
        space = self._space(polydata)
        pieces = space + b"".join(map(self._piece, elements))
        version = self.root.get("version", "0.1")
        if not re.fullmatch(r"[0-2]\.[0-9]", version):
            raise self._unsupported(self.root, "versions 0.1 to 2.9 are known: save it as one")
        order = "LittleEndian" if self.ends == "<" else "BigEndian"
        attributes = f'type="PolyData" version="{version}" byte_order="{order}"'
        attributes += f' header_type="UInt{8 * self.word.itemsize}"'
        if self.compressed:
            attributes += f' compressor="{_COMPRESSOR}"'
        head = f'<?xml version="1.0"?>\n<VTKFile {attributes}>\n<PolyData>\n'.encode()
        raw = [b'<AppendedData encoding="raw">\n_', *self.raw, b"\n</AppendedData>\n"]
        return b"".join(
            [head, pieces, b"</PolyData>\n", *(raw if self.raw else ()), b"</VTKFile>\n"]
        )

    def _space(self, polydata: etree._Element) -> bytes:
        """Return a new array of text with the coordinate system; empty if the file has none."""
        for parent in (polydata, self.root):
            for array in parent.findall("FieldData/*"):
                if array.get("type") == "String" and array.get("Name") == SPACE.decode():
                    text = self._text_in(array).rstrip(b"\0")
                    if is_space(text):
                        if self.surface:
                            self.surface.see_space(text)
                        codes = " ".join(map(str, (*text, 0)))
                        start = '<FieldData><Array type="String" Name="SPACE" NumberOfTuples="1"'
                        return f'{start} format="ascii">{codes}</Array></FieldData>\n'.encode()
        return b""

    def _text_in(self, array: etree._Element) -> bytes:
        """Return the bytes of an array with one short text; empty if the text is longer."""
        if array.get("format", "ascii") == "ascii":
            words = _text_of(array).split()
            few = len(words) <= _SPACE_SIZE and all(re.fullmatch(b"[0-9]{1,2}", w) for w in words)
            return bytes(map(int, words)) if few else b""
        position, unread = self.appended.position, self.unread
        try:
            return self._bytes_of(array, _SPACE_SIZE)
        except MeshError:
            self.appended.position, self.unread = position, unread
            return b""

    def _count_components(self, piece: etree._Element) -> None:
        """Record the components of arrays that have tuples in a piece."""
        cells = sum(self._count(piece, f"NumberOf{name}") for name in _CELLS)
        for name, tuples in (
            ("PointData", self._count(piece, "NumberOfPoints")),
            ("CellData", cells),
        ):
            for array in piece.findall(f"{name}/DataArray") if tuples else ():
                components = self._count(array, "NumberOfComponents", 1)
                self.components.setdefault((name, array.get("Name")), components)

    def _piece(self, piece: etree._Element) -> bytes:
        points = self._count(piece, "NumberOfPoints")
        cells = {name: self._count(piece, f"NumberOf{name}") for name in _CELLS}
        counts = "".join(f' NumberOf{name}="{count}"' for name, count in cells.items())
        parts = [f'<Piece NumberOfPoints="{points}"{counts}>\n'.encode()]
        parts += self._attributes(piece, "PointData", points)
        parts += self._attributes(piece, "CellData", sum(cells.values()))
        if points:
            section = self._section(piece, "Points")
            array = self._only(section, "DataArray")
            if array is None or self._count(array, "NumberOfComponents", 1) != 3:
                raise self._damaged(section, "no array with the coordinates of points")
            found = _Numbers() if self.surface else None
            parts += (b"<Points>\n", self._array(array, points, "Points", found), b"</Points>\n")
            if self.surface and found:
                self.surface.add_points(found.values)
        for name, count in cells.items():
            if count:
                parts += self._topology(self._section(piece, name), name, count, points)
        return b"".join([*parts, b"</Piece>\n"])

    def _attributes(self, piece: etree._Element, name: str, tuples: int) -> list[bytes]:
        section = self._only(piece, name)
        if section is None or self.surface:  # the arrays have no part in a surface
            return []
        arrays = []
        names = {}
        for array in section.findall("DataArray"):
            given = array.get("Name")
            if array.get("type") == "String":
                continue
            # The components of an array without tuples count only if other pieces have tuples.
            if not tuples and (name, given) not in self.components:
                continue
            components = self._count(array, "NumberOfComponents", 1)
            if given is not None and components != self.components[name, given]:
                raise self._damaged(array, "an array that has other components in another place")
            names[given] = self.names.neutral(given)
            arrays.append(self._array(array, tuples, names[given]))
        roles = "".join(
            f' {role}="{names[section.get(role)]}"' for role in _ROLES if section.get(role) in names
        )
        return [f"<{name}{roles}>\n".encode(), *arrays, f"</{name}>\n".encode()]

    def _topology(
        self, section: etree._Element, name: str, count: int, points: int
    ) -> tuple[bytes, ...]:
        arrays = {array.get("Name"): array for array in section.findall("DataArray")}
        if not {"connectivity", "offsets"} <= arrays.keys():
            raise self._damaged(section, f"<{name}> without connectivity or offsets")
        is_kept = self.surface is not None
        ends, ids = _Ids(is_kept=is_kept), _Ids(is_kept=is_kept)
        offsets = self._array(arrays["offsets"], count, "offsets", ends)
        if not ends.is_sorted:
            raise self._damaged(section, f"the lengths of <{name}> do not add up")
        connectivity = self._array(arrays["connectivity"], ends.last, "connectivity", ids)
        if ids.lowest < 0 or ids.highest >= points:
            raise self._damaged(section, f"<{name}> have a point beyond the {points}")
        if self.surface and name == "Polys":
            self.surface.add_polygons(ids.values, ends.values)
        elif self.surface and name == "Strips":
            self.surface.add_strips(ids.values, ends.values)
        tag = name.encode()
        return b"<" + tag + b">\n", connectivity, offsets, b"</" + tag + b">\n"

    def _array(
        self, element: etree._Element, tuples: int, name: str, found: _Numbers | None = None
    ) -> bytes:
        """Read an array, and write it as text or append it to the appended data.

        Args:
            element: The array.
            tuples: The required number of tuples.
            name: The new name of the array.
            found: Collects the numbers.
        """
        kind = element.get("type", "")
        if kind not in _TYPES or element.get("TimeStep") is not None:
            raise self._unsupported(element, "an array of an unknown type, or of several times")
        if found and not re.match(found.pattern, kind):
            raise self._damaged(element, "arrays of cells must have integers")
        components = self._count(element, "NumberOfComponents", 1)
        itemsize = np.dtype(_TYPES[kind]).itemsize if _TYPES[kind] else 0
        if tuples and (reason := room_for_text(kind, itemsize, components)):
            raise self._unsupported(element, reason)
        id_type = ' IdType="1"' if element.get("IdType") == "1" else ""
        start = f'<DataArray type="{kind}"{id_type} Name="{name}"'
        start += f' NumberOfComponents="{components}"'
        count = tuples * components
        if element.get("format", "ascii") == "ascii" or not count:
            numbers = self._text(element, count, whole=not kind.startswith("Float"))
            if found:
                found.see_text(numbers)
            return f'{start} format="ascii">\n'.encode() + numbers + b"</DataArray>\n"
        stored = self._binary(element, count, _TYPES[kind], found)
        written = f'{start} format="appended" offset="{self.raw_size}"/>\n'.encode()
        self.raw.append(stored)
        self.raw_size += len(stored)
        return written

    def _text(self, element: etree._Element, count: int, *, whole: bool) -> bytes:
        text = _text_of(element) if count else b""
        reader = Reader(text, self.source, element.sourceline or 1)
        numbers = reader.numbers(count, whole=whole)
        if not reader.at_end():
            raise reader.damaged(f"more than {count} numbers")
        return numbers

    def _binary(
        self, element: etree._Element, count: int, code: str, found: _Numbers | None
    ) -> bytes:
        """Read an array of bytes, and return it after the header with its size."""
        if found and not code:
            raise self._unsupported(element, "coordinates that are bits: save them as Float32")
        seen = partial(found.see_bytes, dtype=np.dtype(self.ends + code)) if found else None
        size = count * np.dtype(code).itemsize if code else (count + 7) // 8
        if not code and self.compressed:
            raise self._unsupported(element, "compressed bits: save them as numbers of type UInt8")
        stored = self._stored(element, size, seen)
        return stored if code else without_padding(stored, count)

    def _bytes_of(self, element: etree._Element, size: int) -> bytes:
        found: list[bytes] = []
        self._stored(element, size, found.append)
        return b"".join(found)

    def _stored(
        self, element: etree._Element, size: int, see: Callable[[bytes], object] | None
    ) -> bytes:
        """Read bytes as they are stored, with their header; pass the inflated bytes to `see`."""
        form = element.get("format")
        if form == "appended":
            reader, encoded = self.appended, self.appended_encoded
            reader.position = self._count(element, "offset")
        elif form == "binary":
            text = b"".join(_text_of(element).split())
            reader = Reader(text, f"{self.source}, line {element.sourceline}")
            reader.binary = encoded = True
        else:
            raise self._unsupported(element, "a format other than ascii, binary and appended")
        start = reader.position
        try:
            stored, pieces = (self._blocks if self.compressed else self._block)(
                reader, encoded, size
            )
            for piece in pieces:
                if see:
                    see(piece)
        except (binascii.Error, zlib.error) as error:
            raise reader.damaged(f"binary data are damaged: {error}") from None
        if form == "appended":
            self.unread -= reader.position - start
            if self.unread < 0:
                raise reader.damaged("arrays that share their bytes")
        return stored

    def _block(self, reader: Reader, encoded: bool, size: int) -> tuple[bytes, Iterator[bytes]]:
        start = reader.position
        (stored_size,) = self._words(_take(reader, self.word.itemsize, encoded))
        if stored_size != size:
            raise reader.damaged(f"{stored_size} bytes of data, where {size} belong")
        reader.position = start
        stored = _take(reader, self.word.itemsize + size, encoded)
        return stored, iter((stored[self.word.itemsize :],))

    def _blocks(self, reader: Reader, encoded: bool, size: int) -> tuple[bytes, Iterator[bytes]]:
        start = reader.position
        blocks, full, last = self._words(_take(reader, 3 * self.word.itemsize, encoded))
        last = last or full
        if blocks == 1:
            full = last  # of blocks of full size, `last` must be 0: other values could be a text
        if not blocks or not 0 < last <= full or (blocks - 1) * full + last != size:
            raise reader.damaged(f"the blocks of data are not those of {size} bytes")
        reader.position = start
        sizes = self._words(_take(reader, (3 + blocks) * self.word.itemsize, encoded))[3:]
        stored = Reader(_take(reader, sum(sizes), encoded), self.source)

        def inflated() -> Iterator[bytes]:
            for number, packed in enumerate(sizes, 1):
                wanted = last if number == blocks else full
                try:
                    yield from _inflated(stored.take(packed), wanted)
                except ValueError as error:
                    raise reader.damaged(f"block {number} of the data is {error}") from None

        header = np.array([blocks, full, last % full, *sizes], self.word)
        return header.tobytes() + stored.data, inflated()

    def _words(self, header: bytes) -> list[int]:
        return [int(word) for word in np.frombuffer(header, self.word)]

    def _count(self, element: etree._Element, attribute: str, default: int = 0) -> int:
        value = element.get(attribute, str(default)).strip()
        if not re.fullmatch("[0-9]{1,15}", value):
            raise self._damaged(element, f"{attribute} is not a count")
        return int(value)

    def _one_of(self, attribute: str, known: dict[str, _T], default: str) -> _T:
        try:
            return known[self.root.get(attribute, default)]
        except KeyError:
            packed = re.fullmatch("vtk(LZ4|LZMA)DataCompressor", self.root.get(attribute, ""))
            if packed:
                raise self._unsupported(
                    self.root,
                    f"its data are compressed by {packed[1]}: save the mesh anew with ZLib, in "
                    "ParaView by Save Data with Compressor Type ZLib, in Python by "
                    "vtkXMLPolyDataWriter.SetCompressorTypeToZLib()",
                ) from None
            raise self._unsupported(
                self.root,
                f"{attribute} is not {' or '.join(filter(None, known))}: save the mesh with it",
            ) from None

    def _only(self, parent: etree._Element, tag: str) -> etree._Element | None:
        found = parent.findall(tag)
        if len(found) > 1:
            raise self._damaged(found[1], f"<{tag}> stands twice")
        return found[0] if found else None

    def _section(self, piece: etree._Element, tag: str) -> etree._Element:
        section = self._only(piece, tag)
        if section is None:
            raise self._damaged(piece, f"<{tag}> is missing")
        return section

    def _damaged(self, element: etree._Element, reason: str) -> MeshError:
        return MeshDamaged(f"{self.source}, line {element.sourceline}: {reason}")

    def _unsupported(self, element: etree._Element, reason: str) -> MeshError:
        return MeshUnsupported(f"{self.source}, line {element.sourceline}: {reason}")


def _take(reader: Reader, size: int, encoded: bool) -> bytes:
    """Read bytes that may be encoded in base64, as a separate text."""
    if not encoded:
        return reader.take(size)
    taken = base64.b64decode(reader.take(-(-size // 3) * 4), validate=True)[:size]
    if len(taken) < size:
        raise reader.damaged("the text ends before the data do")
    return taken


def _inflated(packed: bytes, size: int) -> Iterator[bytes]:
    """Inflate a block in pieces, each of bounded size.

    Raises:
        ValueError: The block is not exactly one stream, of exactly this size.
        zlib.error: The block is corrupt.
    """
    inflate = zlib.decompressobj()
    left = size
    for start in range(0, len(packed), _SLICE):
        piece = inflate.decompress(packed[start : start + _SLICE])
        left -= len(piece)
        if left < 0:
            break
        yield piece
    if left or not inflate.eof or inflate.unused_data:
        raise ValueError("not whole")


def _text_of(element: etree._Element) -> bytes:
    """Return the text of an element, without the text of its children."""
    return "".join([element.text or "", *(child.tail or "" for child in element)]).encode()

"""VTK's XML files with polygonal data.

The rules are those of VTK's documentation of its XML formats: numbers as text, as base64 in their
element, or appended, raw or in base64, in one block with its length before it or in blocks that
zlib has compressed. Appended raw data are no XML; they are cut out before the rest is parsed.

Numbers that are text stay text; all others are written as appended raw data, compressed blocks as
they are behind a header of their own, in the byte order of the file.
"""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from typing import NamedTuple, TypeVar

import numpy as np
from lxml import etree

from snapws.errors import MeshDamaged, MeshError, MeshUnsupported
from snapws.mesh_formats.reading import Integers, Names, Reader

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
#: What an array of points or cells is for, as its section's attributes say.
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
_MARKUP = re.compile(rb"<(!--|!\[CDATA\[|\?|AppendedData\b)")
_MARKUP_ENDS = {b"!--": b"-->", b"![CDATA[": b"]]>", b"?": b"?>"}

_T = TypeVar("_T")


def scrub(data: bytes, source: str) -> bytes:
    """Write an XML polygonal data file afresh; see `snapws.mesh_formats`."""
    document, appended = _cut_appended(data, source)
    return _PolyData(_parse(document, source), appended, source).scrub()


def _cut_appended(data: bytes, source: str) -> tuple[bytes, bytes]:
    """Part the XML from the appended data, whatever bytes these are."""
    position = 0
    while found := _MARKUP.search(data, position):
        if end := _MARKUP_ENDS.get(found[1]):
            position = data.find(end, found.end())
            if position < 0:
                raise MeshDamaged(f"{source}, byte {found.start()}: {end.decode()} is missing")
            continue
        start = data.find(b">", found.end()) + 1
        if start and data[start - 2 : start] == b"/>":
            break
        end_tag = data.rfind(b"</AppendedData", start)
        if not start or end_tag < 0:
            raise MeshDamaged(f"{source}: the appended data are cut short")
        underscore = data.find(b"_", start, end_tag)
        if underscore < 0 or data[start:underscore].strip():
            raise MeshDamaged(f"{source}, byte {start}: appended data have to start with _")
        return data[:start] + data[end_tag:], data[underscore + 1 : end_tag]
    return data, b""


def _parse(document: bytes, source: str) -> etree._Element:
    # Coordinates are longer than the parser's limit on a text. What the limit is there against,
    # entities that grow, needs a document type, which is refused; the encoding is laid down so that
    # none can hide from the search. Texts in other encodings are only ever compared or dropped.
    if b"<!DOCTYPE" in document:
        raise MeshDamaged(f"{source}: a document type, which no mesh needs: remove it")
    parser = etree.XMLParser(
        encoding="ISO-8859-1",
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        huge_tree=True,
        recover=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        return etree.fromstring(document, parser)
    except etree.XMLSyntaxError as error:
        # What follows a colon is a piece of the file, of any length.
        reason = (error.msg or "").partition(":")[0].split(", line ")[0]
        raise MeshDamaged(
            f"{source}, line {error.lineno or 1}: not well-formed: {reason}"
        ) from None


class _Array(NamedTuple):
    """One array: its element as it is written, and its numbers, as text where there is no type."""

    element: bytes
    numbers: bytes
    type: str


class _PolyData:
    """A file with one or more pieces of polygonal data."""

    def __init__(self, root: etree._Element, appended: bytes, source: str) -> None:
        self.root = root
        self.source = source
        self.names = Names()
        self.appended = Reader(appended, f"{source}, appended data")
        self.appended.binary = True
        section = self._only(root, "AppendedData")
        self.appended_encoded = section is None or section.get("encoding", "base64") != "raw"
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
        """Write the file afresh."""
        polydata = self._only(self.root, "PolyData")
        if polydata is None:
            raise self._damaged(self.root, "<PolyData> is missing")
        pieces = b"".join(map(self._piece, polydata.findall("Piece")))
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
            parts += (b"<Points>\n", self._array(array, points, "Points").element, b"</Points>\n")
        for name, count in cells.items():
            if count:
                parts += self._topology(self._section(piece, name), name, count, points)
        return b"".join([*parts, b"</Piece>\n"])

    def _attributes(self, piece: etree._Element, name: str, tuples: int) -> list[bytes]:
        section = self._only(piece, name)
        if section is None:
            return []
        arrays = []
        names = {}
        for array in section.findall("DataArray"):
            if array.get("type") == "String":
                continue
            neutral = self.names.neutral(array.get("Name"))
            names[array.get("Name")] = neutral
            arrays.append(self._array(array, tuples, neutral).element)
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
        offsets = self._array(arrays["offsets"], count, "offsets")
        ends = self._integers(arrays["offsets"], offsets)
        if ends[0] < 0 or (ends[1:] < ends[:-1]).any():
            raise self._damaged(section, f"the lengths of <{name}> do not add up")
        connectivity = self._array(arrays["connectivity"], int(ends[-1]), "connectivity")
        ids = self._integers(arrays["connectivity"], connectivity)
        if ids.min(initial=0) < 0 or ids.max(initial=-1) >= points:
            raise self._damaged(section, f"<{name}> have a point that is none of the {points}")
        tag = name.encode()
        return b"<" + tag + b">\n", connectivity.element, offsets.element, b"</" + tag + b">\n"

    def _integers(self, element: etree._Element, array: _Array) -> Integers:
        if not re.match("U?Int", element.get("type", "")):
            raise self._damaged(element, "what belongs to cells are integers")
        if not array.type:
            return Reader(b"", self.source, element.sourceline or 1).integers(array.numbers)
        return np.frombuffer(array.numbers, self.ends + array.type).astype(np.int64)

    def _array(self, element: etree._Element, tuples: int, name: str) -> _Array:
        """Read an array, and write it as text or as the next of the appended data."""
        kind = element.get("type", "")
        if kind not in _TYPES or element.get("TimeStep") is not None:
            raise self._unsupported(element, "an array of an unknown type, or of several times")
        components = self._count(element, "NumberOfComponents", 1)
        count = tuples * components
        id_type = ' IdType="1"' if element.get("IdType") == "1" else ""
        start = f'<DataArray type="{kind}"{id_type} Name="{name}"'
        start += f' NumberOfComponents="{components}"'
        form = element.get("format", "ascii")
        text = "".join([element.text or "", *(child.tail or "" for child in element)]).encode()
        if form == "ascii" or not count:
            reader = Reader(text if count else b"", self.source, element.sourceline or 1)
            numbers = reader.numbers(count, whole=not kind.startswith("Float"))
            if not reader.at_end():
                raise reader.damaged(f"more than {count} numbers")
            written = f'{start} format="ascii">\n'.encode() + numbers + b"</DataArray>\n"
            return _Array(written, numbers, "")
        if form == "appended":
            reader = self.appended
            reader.position = self._count(element, "offset")
            encoded = self.appended_encoded
        elif form == "binary":
            reader = Reader(b"".join(text.split()), f"{self.source}, line {element.sourceline}")
            reader.binary = encoded = True
        else:
            raise self._unsupported(element, "a format that is none of ascii, binary and appended")
        code = _TYPES[kind]
        size = count * np.dtype(code).itemsize if code else (count + 7) // 8
        read = self._blocks if self.compressed else self._block
        try:
            stored, numbers = read(reader, encoded, size)
        except (binascii.Error, zlib.error) as error:
            raise reader.damaged(f"binary data are damaged: {error}") from None
        written = f'{start} format="appended" offset="{self.raw_size}"/>\n'.encode()
        self.raw.append(stored)
        self.raw_size += len(stored)
        return _Array(written, numbers, code)

    def _block(self, reader: Reader, encoded: bool, size: int) -> tuple[bytes, bytes]:
        start = reader.position
        (stored_size,) = self._words(_take(reader, self.word.itemsize, encoded))
        if stored_size != size:
            raise reader.damaged(f"{stored_size} bytes of data, where {size} belong")
        reader.position = start
        stored = _take(reader, self.word.itemsize + size, encoded)
        return stored, stored[self.word.itemsize :]

    def _blocks(self, reader: Reader, encoded: bool, size: int) -> tuple[bytes, bytes]:
        start = reader.position
        blocks, full, last = self._words(_take(reader, 3 * self.word.itemsize, encoded))
        last = last or full
        if blocks == 1:
            full = last  # of blocks of full size there is none: anything could stand there
        if not blocks or not 0 < last <= full or (blocks - 1) * full + last != size:
            raise reader.damaged(f"the blocks of data are not those of {size} bytes")
        reader.position = start
        sizes = self._words(_take(reader, (3 + blocks) * self.word.itemsize, encoded))[3:]
        stored = Reader(_take(reader, sum(sizes), encoded), self.source)
        numbers = []
        for number, packed in enumerate(sizes, 1):
            inflate = zlib.decompressobj()
            wanted = last if number == blocks else full
            numbers.append(inflate.decompress(stored.take(packed), wanted + 1))
            if len(numbers[-1]) != wanted or not inflate.eof or inflate.unused_data:
                raise reader.damaged(f"block {number} of the data is not whole")
        header = np.array([blocks, full, last % full, *sizes], self.word)
        return header.tobytes() + stored.data, b"".join(numbers)

    def _words(self, header: bytes) -> list[int]:
        return [int(word) for word in np.frombuffer(header, self.word)]

    def _count(self, element: etree._Element, attribute: str, default: int = 0) -> int:
        value = element.get(attribute, str(default)).strip()
        if not re.fullmatch("[0-9]{1,15}", value):
            raise self._damaged(element, f"{attribute} is not a number of things")
        return int(value)

    def _one_of(self, attribute: str, known: dict[str, _T], default: str) -> _T:
        try:
            return known[self.root.get(attribute, default)]
        except KeyError:
            raise self._unsupported(
                self.root, f"{attribute} is not {' or '.join(filter(None, known))}, as it has to be"
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
    """Read bytes that may be encoded in base64, as a text of their own."""
    if not encoded:
        return reader.take(size)
    taken = base64.b64decode(reader.take(-(-size // 3) * 4), validate=True)[:size]
    if len(taken) < size:
        raise reader.damaged("the text ends before the data do")
    return taken

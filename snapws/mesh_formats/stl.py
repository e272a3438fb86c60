"""Scrubbing of STL files, text and binary: only triangles and their normals are kept.

The two attribute bytes of each binary triangle are set to zero. Some programs store a colour there,
which ITK-SNAP does not read, but the bytes can also hold a text. In a text file, names of solids
and lines with colours are removed.
"""

from __future__ import annotations

import re
from typing import Final

import numpy as np

from snapws.errors import MeshDamaged
from snapws.mesh_formats.reading import Names, Reader, space_token

_HEADER: Final = 80
_TRIANGLE: Final = 50
_NUMBERS: Final = 48
_NUMBER = (
    rb"([-+]?(?:(?:[0-9]{1,32}(?:\.[0-9]{0,32})?|\.[0-9]{1,32})(?:e[-+]?[0-9]{1,4})?|nan|inf))"
)
_XYZ = (rb"\s+" + _NUMBER) * 3
_FACET = re.compile(
    rb"\s*facet\s+normal" + _XYZ + rb"\s+outer\s+loop" + (rb"\s+vertex" + _XYZ) * 3
    + rb"\s+endloop\s+endfacet(?!\S)",
    re.IGNORECASE,
)  # fmt: skip
_WRITTEN = (
    b"facet normal %b %b %b\nouter loop\n" + b"vertex %b %b %b\n" * 3 + b"endloop\nendfacet\n"
)


def scrub(data: bytes, source: str, _names: Names) -> bytes:
    """Return a scrubbed STL file; see `snapws.mesh_formats`."""
    triangles = int.from_bytes(data[_HEADER : _HEADER + 4], "little")
    if len(data) == _HEADER + 4 + triangles * _TRIANGLE:
        return _binary(data)
    if data[:512].lstrip()[:5].lower() == b"solid":
        return _text(Reader(data, source))
    if len(data) < _HEADER + 4:
        raise MeshDamaged(f"{source}: {len(data)} bytes are no STL file")
    raise MeshDamaged(
        f"{source}, byte {_HEADER}: {triangles} triangles are announced, which does not agree with "
        f"the {len(data)} bytes of the file"
    )


def _binary(data: bytes) -> bytes:
    table = np.frombuffer(data, np.uint8, offset=_HEADER + 4).reshape(-1, _TRIANGLE).copy()
    table[:, _NUMBERS:] = 0
    header = space_token(data[:_HEADER]).ljust(_HEADER, b"\0")
    return b"".join((header, data[_HEADER : _HEADER + 4], table.tobytes()))


def _text(reader: Reader) -> bytes:
    written = []
    while not reader.at_end():
        reader.expect(b"solid")
        title = reader.line()
        written.append(b" ".join(filter(None, (b"solid", space_token(title)))) + b"\n")
        while True:
            if facet := _FACET.match(reader.data, reader.position):
                written.append(_WRITTEN % facet.groups())
                reader.position = facet.end()
                continue
            before = reader.position
            keyword = reader.word().lower()
            if keyword not in (b"color", b"endsolid"):
                reader.position = before
                raise reader.damaged("what follows is not a triangle of three vertices")
            reader.skip_line()
            if keyword == b"endsolid":
                written.append(b"endsolid\n")
                break
    return b"".join(written)

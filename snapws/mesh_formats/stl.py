"""Scrubbing of STL files, text and binary: only triangles and their normals are kept.

The two attribute bytes of each binary triangle are set to zero. Some programs store a colour there,
which ITK-SNAP does not read, but the bytes can also hold a text. In a text file, names of solids
and lines with colours are removed.
"""

from __future__ import annotations

import re
from typing import Final

import numpy as np
import numpy.typing as npt

from snapws.errors import MeshDamaged
from snapws.mesh_formats.reading import Names, Reader, space_token
from snapws.mesh_formats.surfaces import Surface

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


def scrub(data: bytes, source: str, _names: Names, surface: Surface | None = None) -> bytes:
    """Return a scrubbed STL file; see `snapws.mesh_formats`."""
    triangles = int.from_bytes(data[_HEADER : _HEADER + 4], "little")
    if len(data) == _HEADER + 4 + triangles * _TRIANGLE:
        return _binary(data, surface)
    if data[:512].lstrip()[:5].lower() == b"solid":
        return _text(Reader(data, source), surface)
    if len(data) < _HEADER + 4:
        raise MeshDamaged(f"{source}: {len(data)} bytes are no STL file")
    raise MeshDamaged(
        f"{source}, byte {_HEADER}: {triangles} triangles are announced, which does not agree with "
        f"the {len(data)} bytes of the file"
    )


def _binary(data: bytes, surface: Surface | None) -> bytes:
    table = np.frombuffer(data, np.uint8, offset=_HEADER + 4).reshape(-1, _TRIANGLE)
    space = space_token(data[:_HEADER])
    if surface:
        corners = np.ascontiguousarray(table[:, _NUMBERS // 4 : _NUMBERS]).view("<f4")
        _collect(surface, space, corners)
        return b""
    table = table.copy()
    table[:, _NUMBERS:] = 0
    return b"".join((space.ljust(_HEADER, b"\0"), data[_HEADER : _HEADER + 4], table.tobytes()))


def _collect(surface: Surface, space: bytes, corners: npt.NDArray[np.generic]) -> None:
    """Add triangles that share no points: three corners each, three numbers a corner."""
    surface.see_space(space)
    surface.add_points(corners)
    count = corners.size // 3
    surface.add_polygons(np.arange(count), np.arange(3, count + 1, 3))


def _text(reader: Reader, surface: Surface | None) -> bytes:
    written = []
    corners: list[bytes] = []
    while not reader.at_end():
        reader.expect(b"solid")
        title = reader.line()
        space = space_token(title)
        written.append(b" ".join(filter(None, (b"solid", space))) + b"\n")
        while True:
            if facet := _FACET.match(reader.data, reader.position):
                written.append(_WRITTEN % facet.groups())
                if surface:
                    corners += facet.groups()[3:]
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
                if surface:
                    _collect(surface, space, np.array(corners).astype(np.float64))
                    corners.clear()
                break
    return b"".join(written)

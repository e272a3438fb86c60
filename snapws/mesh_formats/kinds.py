"""Recognition of mesh formats by content: names of files prove nothing.

The signatures are from the documentation of the formats.
"""

from __future__ import annotations

import re
from typing import Final

#: The known formats, for messages.
NAMES: Final = "VTK, PLY, OBJ, OFF, VRML, GIFTI, FreeSurfer"

_START: Final = 1 << 16
_SIGNATURES = [
    re.compile(pattern)
    for pattern in (
        rb"# vtk DataFile Version[ \t]+[0-9.]+[^\n]*\n[^\n]*\n\s*(?i:ascii|binary)\s+"
        rb"(?i:dataset\s+(?:polydata|unstructured_grid|structured_grid))\s",
        rb"(?:\xef\xbb\xbf)?\s*(?=<)[^\0]*?<VTKFile\s[^>\0]{0,999}?\btype\s*=\s*"
        rb"[\"'](?:PolyData|UnstructuredGrid|StructuredGrid)[\"']",
        rb"ply\r?\nformat (?:ascii|binary_little_endian|binary_big_endian) 1\.0\r?"
        rb"(?=\n)[^\0]*?\nelement vertex [0-9]+\s",
        rb"(?:ST)?C?N?4?n?OFF(?: BINARY\s|(?:\s+#[^\n]*)*\s+[0-9]+\s+[0-9]+\s+[0-9]+\s)",
        rb"#VRML V(?:1\.0 ascii|2\.0 utf8)\s",
        rb"(?:\xef\xbb\xbf)?\s*(?=<[^\0]*NIFTI_INTENT_POINTSET)[^\0]*?<GIFTI\s",
    )
]
#: The formats that ITK-SNAP opens, by extension.
_OPENED: Final = {
    ".vtk": re.compile(
        rb"# vtk DataFile Version[^\n]*\n[^\n]*\n\s*(?i:ascii|binary)\s+(?i:dataset\s+polydata)\s"
    ),
    ".vtp": re.compile(rb"[^\0]*?<VTKFile\s[^>\0]{0,999}?\btype\s*=\s*[\"']PolyData[\"']"),
}
_STL: Final = re.compile(rb"\s*solid\b[^\n]*\n\s*(?:color|facet|endsolid)\b", re.IGNORECASE)
_TRIANGLE: Final = 50  # bytes of a triangle of a binary STL file
_STL_HEADER: Final = 84

_FREESURFER: Final = b"\xff\xff\xfe"
_REALS = rb"(?:[ \t]+[-+]?(?:[0-9]{1,32}(?:\.[0-9]{0,32})?|\.[0-9]{1,32})(?:[eE][-+]?[0-9]{1,4})?)"
_OBJ_LINE = re.compile(
    rb"(?:(?P<points>v)" + _REALS + rb"{3,8}|v[tnp]" + _REALS + rb"{1,4}"
    rb"|(?P<cells>[flp])(?:[ \t]+[-0-9/]+)+|(?:(?:o|g|s|usemtl|mtllib)(?=\s)|#)[^\n]*)?"
    rb"[ \t\r]*(?:\n|\Z)"
)  # fmt: skip


def is_mesh(data: bytes) -> bool:
    """Return whether bytes are a mesh file of a known format, scrubbed or not."""
    start = data[:_START]
    return any(one.match(start) for one in _SIGNATURES) or _is_freesurfer(data) or _is_obj(data)


def is_stl(data: bytes) -> bool:
    """Return whether bytes may be an STL file, text or binary."""
    triangles = int.from_bytes(data[_STL_HEADER - 4 : _STL_HEADER], "little")
    is_text = _STL.match(data[:_START]) is not None
    return is_text or len(data) == _STL_HEADER + triangles * _TRIANGLE


def unopened(data: bytes, suffix: str) -> str:
    """Return why ITK-SNAP cannot open a mesh; empty if it can.

    Args:
        data: The content of the file, scrubbed or not.
        suffix: The extension of the file.
    """
    known = _OPENED.get(suffix.lower())
    if known and known.match(data[:_START]):
        return ""
    what = "a mesh of this kind" if known is None else "what this file holds"
    return (
        f"ITK-SNAP cannot open {what}: it reads polygonal data in .vtk (legacy) and .vtp files; "
        "convert it to one of these"
    )


def _is_freesurfer(data: bytes) -> bool:
    """Return whether data are a triangle surface: a text, two counts, and as many numbers."""
    counts = data.find(b"\n\n", 3, _START) + 2
    if not data.startswith(_FREESURFER) or counts < 5 or len(data) < counts + 8:
        return False
    points = int.from_bytes(data[counts : counts + 4], "big")
    triangles = int.from_bytes(data[counts + 4 : counts + 8], "big")
    return bool(points and triangles) and counts + 8 + 12 * (points + triangles) <= len(data)


def _is_obj(data: bytes) -> bool:
    """Return whether all lines are of a Wavefront OBJ file, with points and cells among them."""
    position = 0
    found = set()
    while position < len(data):
        line = _OBJ_LINE.match(data, position)
        if not line or line.end() == position:
            return False
        found.add(line.lastgroup)
        position = line.end()
    return {"points", "cells"} <= found

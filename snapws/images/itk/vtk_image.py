"""The header of an image in VTK's legacy format (``.vtk``)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from snapws.errors import ImageDamaged, ImageUnsupported
from snapws.images.itk.stored import Stored, header_lines
from snapws.text import excerpt

_COUNT = r"[1-9][0-9]{0,9}"
_NUMBER = r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
_LINES = {
    "DATASET": re.compile(r"STRUCTURED_POINTS", re.IGNORECASE),
    "DIMENSIONS": re.compile(rf"{_COUNT} {_COUNT} {_COUNT}"),
    **dict.fromkeys(
        ("SPACING", "ASPECT_RATIO", "ORIGIN"), re.compile(rf"{_NUMBER} {_NUMBER} {_NUMBER}")
    ),
    "POINT_DATA": re.compile(_COUNT),
}
# The line of the voxels, without the name of the array.
_VOXELS = {
    "SCALARS": re.compile(r"\S+ (\w+)(?: ([1-9][0-9]?))?"),
    "VECTORS": re.compile(r"\S+ (\w+)()"),
    "COLOR_SCALARS": re.compile(r"\S+ ([1-4])()"),
}
_FOLLOWING = re.compile(
    rb"\s*(?:\Z|(?:SCALARS|VECTORS|NORMALS|TENSORS|TEXTURE_COORDINATES|COLOR_SCALARS|LOOKUP_TABLE|"
    rb"FIELD|METADATA|CELL_DATA|POINT_DATA)\b)",
    re.IGNORECASE,
)


def parse(file: BinaryIO, path: Path) -> Stored:
    """Read the header at the beginning of a file, up to its first array.

    Raises:
        ImageDamaged: The header is corrupt.
        ImageUnsupported: The form of the file is not supported.
        ImageError: The file cannot be read.
    """
    lines = header_lines(file, path)
    first, _title, form = (next(lines, "").strip() for _ in range(3))
    if not first.lower().startswith("# vtk datafile") or form.upper() not in ("ASCII", "BINARY"):
        raise ImageDamaged(f"{path}: the header is corrupt: it does not begin like VTK")
    said = ["# vtk DataFile Version 3.0", "image", "BINARY", *_said(lines, path)]
    start = file.tell()
    if said[-1].startswith("SCALARS"):
        table = next(lines, "").split()
        if table[:1] and table[0].upper() == "LOOKUP_TABLE":
            start = file.tell()
        said.append("LOOKUP_TABLE default")
    if said[-1].startswith("COLOR_SCALARS") and form.upper() == "ASCII":
        raise ImageUnsupported(f"{path}: its colours are written as text: convert it to NIfTI")
    return Stored(
        path,
        ".vtk",
        "\n".join([*said, ""]).encode(),
        start,
        encoding="text" if form.upper() == "ASCII" else "raw",
        big_endian=True,
        following=_FOLLOWING,
    )


def _said(lines: Iterator[str], path: Path) -> Iterator[str]:
    """Return the lines of size, geometry and type; the last line is that of the voxels."""
    seen: dict[str, str] = {}
    for line in lines:
        words = line.split()
        if not words:
            continue
        key, value = words[0].upper(), " ".join(words[1:])
        if key in _VOXELS and (match := _VOXELS[key].fullmatch(value)):
            points = 1
            for length in seen.get("DIMENSIONS", "").split():
                points *= int(length)
            if points != int(seen.get("POINT_DATA", "0")):
                raise ImageDamaged(
                    f"{path}: the header is corrupt: POINT_DATA is not the product of DIMENSIONS"
                )
            yield " ".join(filter(None, (key, "voxels", match[1].lower(), match[2])))
            return
        if key not in _LINES or not _LINES[key].fullmatch(value) or key in seen:
            break
        seen[key] = value
        yield f"{key} {value}"
    raise ImageUnsupported(
        f"{path}: a VTK image of an unsupported form"
        f"{': ' + excerpt(line) if seen else ''}: convert it to NIfTI"
    )

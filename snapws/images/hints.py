"""Hints of a workspace on how to read the file of an image: ``IOHints`` of a layer."""

from __future__ import annotations

import re
from typing import NamedTuple

from snapws.errors import InvalidValue
from snapws.registry import Registry

_RAW = "Raw Binary"
_LENGTHS = re.compile(r"[1-9][0-9]{0,9}( [1-9][0-9]{0,9}){2}")
_NUMBER = r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
_SPACINGS = re.compile(rf"{_NUMBER}(?: {_NUMBER}){{2}}")
_TYPES = {
    "UCHAR": "u1",
    "CHAR": "i1",
    "USHORT": "u2",
    "SHORT": "i2",
    "UINT": "u4",
    "INT": "i4",
    "FLOAT": "f4",
    "DOUBLE": "f8",
}


class Raw(NamedTuple):
    """The storage of voxels in a file without any header.

    Attributes:
        size: The number of voxels along x, y and z.
        spacing: The voxel size in mm.
        dtype: The type of a voxel, ``i2`` for example.
    """

    size: tuple[int, int, int]
    spacing: tuple[float, float, float]
    dtype: str


class Hints(NamedTuple):
    """Hints on how to read the file of an image.

    Attributes:
        series: ITK-SNAP's name of the DICOM series in the folder; empty if not given.
        raw: The storage of the voxels, if the file has no header.
    """

    series: str = ""
    raw: Raw | None = None


NO_HINTS = Hints()
"""Nothing is said."""


def read(layer: Registry) -> Hints:
    """Read the hints of a layer.

    Raises:
        InvalidValue: The hints for raw voxels are invalid or not supported.
    """
    folder = layer.folder("IOHints")
    if folder is None:
        return NO_HINTS
    raw = folder.folder("Raw") if folder.get("Format") == _RAW else None
    return Hints(folder.get("DICOM.SeriesId"), _raw(raw) if raw is not None else None)


def _raw(folder: Registry) -> Raw:
    said = dict(folder.entries)
    size = said.pop("Dimensions", "")
    spacing = said.pop("Spacing", "1 1 1")
    kind = said.pop("PixelType", "")
    if more := [key for key, value in said.items() if value not in ("", "0")]:
        raise InvalidValue(f"the hints for its raw voxels have {more[0]}, which is not supported")
    if not _LENGTHS.fullmatch(size) or not _SPACINGS.fullmatch(spacing) or kind not in _TYPES:
        raise InvalidValue(
            f"the hints for its raw voxels are invalid: Dimensions {size!r}, Spacing {spacing!r}, "
            f"PixelType {kind!r}"
        )
    x, y, z = map(int, size.split())
    a, b, c = map(float, spacing.split())
    return Raw((x, y, z), (a, b, c), _TYPES[kind])

"""DICOM series: which files of a folder are the slices of one image, and in which order."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from snapws.errors import ImageDamaged, ImageError, ImageUnsupported
from snapws.itk_formats.reading import Grid, grid_of, read_information

_SOP_CLASS, _SERIES = "0008|0016", "0020|000e"
_DICOM_START = 1 << 18  # the series is named before the voxels, among the first elements

# Slices may lie this much of their distance away from where even spacing has them: less than what a
# missing slice makes, more than scanners that round positions do.
_PLACE_TOLERANCE = 0.1
_SLICE_TOLERANCE = 1e-4  # of the slices' cosines, and of their spacing in mm

_Array = npt.NDArray[np.float64]


def find_series(path: Path) -> tuple[tuple[Path, ...], Grid]:
    """Find the slices of the series that a DICOM file is of, in order, and what they make up.

    ITK's own list of a series (`GetGDCMSeriesFileNames`) has the same order, but holds a whole
    folder in memory, and says nothing of slices that it cannot read.

    Raises:
        ImageUnsupported: the slices differ in size, orientation or voxel type.
        ImageDamaged: a slice is damaged, missing or doubled.
    """
    reader = read_information(path)
    grid, series = grid_of(reader), _text(reader, _SERIES)
    if not series or grid.size[2] > 1:
        return (path,), grid
    found = dict(_members(path, series, _text(reader, _SOP_CLASS)))
    if len(found) == 1:
        return (path,), grid
    normal = np.reshape(grid.direction, (3, 3))[:, 2]
    slices = tuple(sorted(found, key=lambda file: float(normal @ found[file].origin)))
    first = found[slices[0]]
    for file in slices:
        if not _alike(first, found[file]):
            raise ImageUnsupported(
                f"{file}: a slice of another size, orientation or voxel type than "
                f"{slices[0].name} of the same series: convert the series to NIfTI first"
            )
    distance = _distance(slices, np.array([found[file].origin for file in slices]), normal)
    return slices, first._replace(
        size=(*first.size[:2], len(slices)), spacing=(*first.spacing[:2], distance)
    )


def _members(path: Path, series: str, sop_class: str) -> Iterator[tuple[Path, Grid]]:
    """List the files of a series that are in the folder of one of them."""
    # How both are written in a file that is too damaged for GDCM, but not in one that merely names
    # this series, as those of contours and reports do.
    kind, member = _element(b"\2\0\2\0", sop_class), _element(b"\x20\0\x0e\0", series)
    try:
        files = sorted(path.parent.iterdir())
    except OSError as error:
        raise ImageError(f"{path.parent}: {error.strerror or error}") from None
    for file in files:
        start = _start(file) if file.is_file() else b""
        if start[128:132] != b"DICM":
            continue
        try:
            reader = read_information(file)
        except ImageDamaged:
            if kind.search(start) and member.search(start):
                raise ImageDamaged(
                    f"{file}: a slice of the series of {path.name}, and cut short or damaged"
                ) from None
            continue
        if _text(reader, _SERIES) == series:
            yield file, grid_of(reader)


def _alike(one: Grid, other: Grid) -> bool:
    """Tell whether two slices are of one image, their places aside."""
    return (
        (one.size, one.voxel, one.components) == (other.size, other.voxel, other.components)
        and np.allclose(one.direction, other.direction, rtol=0, atol=_SLICE_TOLERANCE)
        and np.allclose(one.spacing[:2], other.spacing[:2], rtol=0, atol=_SLICE_TOLERANCE)
    )


def _distance(slices: tuple[Path, ...], places: _Array, normal: _Array) -> float:
    """Give the distance of slices in mm, if they are evenly stacked along their normal.

    ITK takes it from the first and the last, and only warns of what is between them.
    """
    distance = float(np.linalg.norm(places[-1] - places[0])) / (len(slices) - 1)
    even = places[0] + np.arange(len(slices))[:, None] * distance * normal
    away = np.linalg.norm(places - even, axis=1)
    if distance == 0:
        raise ImageDamaged(
            f"{slices[0]}: the slices of its series are all in one place, or say none: convert it "
            "to NIfTI first"
        )
    if away.max() > _PLACE_TOLERANCE * distance:
        worst = slices[int(away.argmax())]
        raise ImageDamaged(
            f"{worst}: {away.max():.3g} mm from where {len(slices)} evenly stacked slices have it: "
            "a slice of its series is missing, doubled or tilted: complete it, or convert it to "
            "NIfTI first"
        )
    return distance


def _start(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_DICOM_START)
    except OSError as error:
        raise ImageError(f"{path}: {error.strerror or error}") from None


def _element(tag: bytes, uid: str) -> re.Pattern[bytes]:
    """Give the pattern of a little-endian element with a UID, its type being written or not."""
    value = uid.encode() + b"\0" * (len(uid) % 2)
    length = len(value).to_bytes(2, "little")
    form = b"(?:UI%b|%b\0\0)" % (re.escape(length), re.escape(length))
    return re.compile(re.escape(tag) + form + re.escape(value))


def _text(reader: Any, tag: str) -> str:
    """Give a DICOM element of a file; nothing if it has none."""
    return str(reader.GetMetaData(tag)).strip(" \0") if reader.HasMetaDataKey(tag) else ""

"""DICOM series: which files of a folder are the slices of one image, and in which order."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from snapws.errors import ImageDamaged, ImageError, ImageUnsupported
from snapws.images import voxel_files
from snapws.images.itk import frames
from snapws.images.itk.reading import Grid, grid_of, read_information
from snapws.images.voxel_files import Purpose

_SOP_CLASS, _SERIES = "0008|0016", "0020|000e"
# What tells series of one UID apart: number, sequence, slice thickness, rows and columns.
_KIND = ("0020|0011", "0018|0024", "0018|0050", "0028|0010", "0028|0011")
_NOT_IN_NAMES = re.compile(r"[^0-9A-Za-z.]")
_DICOM_BEGIN = 132
_SAME_PLACE = 1e-3  # mm
_DICOM_ENDINGS = (".dcm", ".dicom", ".ima")
_DICOM_START = 1 << 18  # the series is named before the voxels, among the first elements

# Elements with the class of a file and its series: little-endian, their type being written or not,
# or big-endian.
_CLASS_ELEMENT = (re.compile(rb"\x02\0\x02\0UI(..)", re.DOTALL),)
_SERIES_ELEMENT = (
    re.compile(rb"\x20\0\x0e\0UI(..)", re.DOTALL),
    re.compile(rb"\x20\0\x0e\0(..)\0\0", re.DOTALL),
    re.compile(rb"\0\x20\0\x0eUI\0(.)", re.DOTALL),
)

# Slices may lie this much of their distance away from where even spacing has them: less than what a
# missing slice makes, more than scanners that round positions do.
_PLACE_TOLERANCE = 0.1
_SLICE_TOLERANCE = 1e-4  # of the slices' cosines, and of their spacing in mm

_Array = npt.NDArray[np.float64]


class Series(NamedTuple):
    """An image of a DICOM series.

    Attributes:
        slices: Its files, in order of place.
        grid: Size and place of the image that they make up.
        set_aside: How many files of the same UID are of other images.
    """

    slices: tuple[Path, ...]
    grid: Grid
    set_aside: int = 0

    @property
    def remarks(self) -> tuple[str, ...]:
        """A line on the files that were set aside, if there are any."""
        if not self.set_aside:
            return ()
        files = "1 file" if self.set_aside == 1 else f"{self.set_aside} files"
        return (
            f"{files} of its DICOM series, of another number, sequence, slice thickness or size "
            f"(a localizer, for example), set aside: the image is of the other {len(self.slices)}",
        )


def find_series(path: Path, purpose: Purpose, identifier: str = "") -> Series:
    """Find the slices of the series that a DICOM file is of, in order, and what they make up.

    Images of one ``SeriesInstanceUID`` that differ in series number, sequence, slice thickness or
    size are series of their own, as ITK-SNAP tells them apart; so a localizer is set aside. A file
    that names no series is of that of all such files in its folder.

    ITK's own list of a series (`GetGDCMSeriesFileNames`) has the same order, but holds a whole
    folder in memory, and says nothing of slices that it cannot read.

    Args:
        path: The file.
        purpose: What is done with the voxels.
        identifier: Which series of the folder is meant, as ITK-SNAP names them; without it, or if
            there is no such series, that of the file.

    Raises:
        ImageUnsupported: The slices differ in orientation or voxel type, several are at one place,
            one is a link to a file elsewhere, or the frames of a file are not evenly stacked.
        ImageDamaged: A slice is damaged, missing or doubled, or a file may be what is left of one.
        ImageError: The file cannot be read.
    """
    voxel_files.open_regular(path).close()
    reader = read_information(path)
    grid, series = grid_of(reader), _text(reader, _SERIES)
    if grid.size[2] > 1:
        frames.refuse_unstacked(path, grid)
        return Series((path,), grid)
    members = {member.path: member for member in _members(path, reader, purpose)}
    kinds = {member.kind for member in members.values() if identifier in member.identifiers(series)}
    kind = kinds.pop() if len(kinds) == 1 else members[path].kind
    found = {file: member.grid for file, member in members.items() if member.kind == kind}
    if len(found) == 1:
        (file,) = found
        return Series((file,), found[file], len(members) - 1)
    normal = np.reshape(found[min(found)].direction, (3, 3))[:, 2]
    slices = tuple(sorted(found, key=lambda file: float(normal @ found[file].origin)))
    first = found[slices[0]]
    for file in slices:
        if not _alike(first, found[file]):
            raise ImageUnsupported(
                f"{file}: a slice of another orientation or voxel type than "
                f"{slices[0].name} of the same series: convert the series to NIfTI first"
            )
    distance = _distance(slices, np.array([found[file].origin for file in slices]), normal)
    whole = first._replace(
        size=(*first.size[:2], len(slices)), spacing=(*first.spacing[:2], distance)
    )
    return Series(slices, whole, len(members) - len(slices))


class _Member(NamedTuple):
    """A file of a series, with what tells its series from others of the same UID."""

    path: Path
    kind: tuple[str, ...]
    grid: Grid

    def identifiers(self, series: str) -> Iterator[str]:
        """Yield the names that ITK-SNAP can give its series.

        They are the UID and the letters and digits of what tells it apart, in one word; whether a
        thickness keeps its zeros depends on the version.
        """
        number, sequence, thickness, *size = self.kind
        with suppress(ValueError):
            for one in (thickness, f"{float(thickness):g}"):
                words = (_NOT_IN_NAMES.sub("", word) for word in (number, sequence, one, *size))
                yield f"{series}.{''.join(words)}"


def _members(path: Path, reader: Any, purpose: Purpose) -> Iterator[_Member]:
    """List the files in the folder of a DICOM file that have the same ``SeriesInstanceUID``.

    Args:
        path: The file.
        reader: What SimpleITK knows of it.
        purpose: What is done with the voxels.

    Raises:
        ImageUnsupported: One of them is a link to a file elsewhere.
        ImageDamaged: One is cut short, or a file is so damaged that it could be one of them.
        ImageError: The folder or a file cannot be read.
    """
    series, sop_class = _text(reader, _SERIES), _text(reader, _SOP_CLASS)
    try:
        files = sorted(file for file in path.parent.iterdir() if file.is_file())
    except OSError as error:
        raise ImageError(f"{path.parent}: {error.strerror or error}") from None
    leftovers, members = [], []
    reference = _start(path)
    has_preamble = voxel_files.has_dicom_preamble(reference)
    for file in files:
        start = _start(file)
        if not voxel_files.has_dicom_preamble(start) and (
            has_preamble or not voxel_files.is_bare_dicom(start)
        ):
            # Nothing, or zeros where a disk was full; or less than each DICOM file begins with.
            begun = start[:_DICOM_BEGIN]
            if not begun.strip(b"\0") or (
                len(begun) < _DICOM_BEGIN and reference.startswith(begun)
            ):
                leftovers.append(file)
            continue
        try:
            voxel_files.refuse_outside(path, file, purpose)
            found = read_information(file)
        except ImageUnsupported:
            if not _is_of_another(start, series, sop_class):
                raise
            continue
        except ImageDamaged:
            if not _is_of_another(start, series, sop_class):
                raise ImageDamaged(
                    f"{file}: a slice of the series of {path.name}, or what could be one, and cut "
                    "short or damaged: put it back whole, or take it away"
                ) from None
            continue
        if _text(found, _SERIES) == series:
            members.append(file)
            yield _Member(file, tuple(_text(found, tag) for tag in _KIND), grid_of(found))
    for file in leftovers:
        if _is_called_alike(file, members):
            raise ImageDamaged(
                f"{file}: a slice of the series of {path.name} by its name, and empty or cut "
                "short: put it back whole, or take it away"
            )


def _is_of_another(start: bytes, series: str, sop_class: str) -> bool:
    """Return whether a DICOM file is of another class or series, as its first elements say.

    Files of contours and reports name the series that they are about, and are of another class. A
    file that is cut before it says so could be of this series.
    """
    for element, uid in ((_CLASS_ELEMENT, sop_class), (_SERIES_ELEMENT, series)):
        found = {value for form in element for value in _values(form, start)}
        if found and uid.encode() not in found:
            return True
    return False


def _values(element: re.Pattern[bytes], start: bytes) -> Iterator[bytes]:
    """Return the values of an element that are all there."""
    for found in element.finditer(start):
        end = found.end() + int.from_bytes(found[1], "little")
        if end <= len(start):
            yield start[found.end() : end].rstrip(b"\0 ")


def _is_called_alike(file: Path, members: list[Path]) -> bool:
    """Return whether a file is called like one of the slices: by its ending, if names have one."""
    ending = _ending(file)
    is_hidden = file.name.startswith(".")
    return not is_hidden and ending in (*_DICOM_ENDINGS, *map(_ending, members))


def _ending(file: Path) -> str:
    """Return the ending of a name; nothing for digits behind a dot, which number slices."""
    suffix = file.suffix.lower()
    return suffix if not suffix[1:].isdigit() else ""


def _alike(one: Grid, other: Grid) -> bool:
    """Return whether two slices are of one image, their places aside."""
    return (
        (one.size, one.voxel, one.components) == (other.size, other.voxel, other.components)
        and np.allclose(one.direction, other.direction, rtol=0, atol=_SLICE_TOLERANCE)
        and np.allclose(one.spacing[:2], other.spacing[:2], rtol=0, atol=_SLICE_TOLERANCE)
    )


def _distance(slices: tuple[Path, ...], places: _Array, normal: _Array) -> float:
    """Return the distance of slices in mm, if they are evenly stacked along their normal.

    ITK takes it from the first and the last, and only warns of what is between them.
    """
    along = places @ normal
    different = 1 + int((np.diff(along) > _SAME_PLACE).sum())
    if 1 < different < len(slices) and len(slices) % different == 0:
        raise ImageUnsupported(
            f"{slices[0]}: its series has {len(slices) // different} images at each of {different} "
            "places (echoes or time points): convert it to NIfTI first, one image for each"
        )
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
        with voxel_files.open_regular(path) as file:
            return file.read(_DICOM_START)
    except OSError as error:
        raise ImageError(f"{path}: {error.strerror or error}") from None


def _text(reader: Any, tag: str) -> str:
    """Return a DICOM element of a file; nothing if it has none."""
    return str(reader.GetMetaData(tag)).strip(" \0") if reader.HasMetaDataKey(tag) else ""

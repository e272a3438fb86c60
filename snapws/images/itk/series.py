"""DICOM series: finds the files of a folder that are slices of one image, and their order."""

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
from snapws.images.itk.reading import read_information
from snapws.images.voxel_files import Purpose
from snapws.simpleitk import Grid, grid_of

_SOP_CLASS, _SERIES = "0008|0016", "0020|000e"
# Elements that distinguish series with one UID: number, sequence, slice thickness, rows, columns.
_KIND = ("0020|0011", "0018|0024", "0018|0050", "0028|0010", "0028|0011")
_NOT_IN_NAMES = re.compile(r"[^0-9A-Za-z.]")
_DICOM_BEGIN = 132
_SAME_PLACE = 1e-3  # mm
_DICOM_ENDINGS = (".dcm", ".dicom", ".ima")
_DICOM_START = 1 << 18  # the series UID precedes the voxels, among the first elements

# Elements with the class of a file and its series: little-endian with or without types, or
# big-endian.
_CLASS_ELEMENT = (re.compile(rb"\x02\0\x02\0UI(..)", re.DOTALL),)
_SERIES_ELEMENT = (
    re.compile(rb"\x20\0\x0e\0UI(..)", re.DOTALL),
    re.compile(rb"\x20\0\x0e\0(..)\0\0", re.DOTALL),
    re.compile(rb"\0\x20\0\x0eUI\0(.)", re.DOTALL),
)

# How far a slice may be from its evenly spaced position, as a fraction of the spacing: less than a
# missing slice causes, more than the rounding of scanners.
_PLACE_TOLERANCE = 0.1
_SLICE_TOLERANCE = 1e-4  # tolerances of direction cosines, and of spacing in mm

_Array = npt.NDArray[np.float64]


class Series(NamedTuple):
    """An image of a DICOM series.

    Attributes:
        slices: The files, in order of position.
        grid: Size and position of the image.
        set_aside: The number of files with the same UID that belong to other images.
    """

    slices: tuple[Path, ...]
    grid: Grid
    set_aside: int = 0

    @property
    def remarks(self) -> tuple[str, ...]:
        """A line on the files that belong to other images, if any."""
        if not self.set_aside:
            return ()
        files = "1 file" if self.set_aside == 1 else f"{self.set_aside} files"
        return (
            f"{files} of its DICOM series, of another number, sequence, slice thickness or size "
            f"(a localizer, for example), set aside: the image is of the other {len(self.slices)}",
        )


def find_series(path: Path, purpose: Purpose, identifier: str = "") -> Series:
    """Find the slices of the series of a DICOM file, in order, and the grid of their image.

    As in ITK-SNAP, images of one ``SeriesInstanceUID`` are separate series if they differ in series
    number, sequence, slice thickness or size. This sets a localizer aside. All files of a
    folder without a series UID form one series.

    ITK's own list of a series (`GetGDCMSeriesFileNames`) has the same order, but holds a whole
    folder in memory, and does not report slices that it cannot read.

    Args:
        path: The file.
        purpose: The use of the voxels.
        identifier: ITK-SNAP's name of the series in the folder; without it, or if no series has
            that name, the series of the file.

    Raises:
        ImageUnsupported: The slices differ in orientation or voxel type, several have the same
            position, one is a link to a file elsewhere, or frames are not evenly stacked.
        ImageDamaged: A slice is corrupt, missing or doubled, or a file may be the rest of a slice.
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
    """A file of a series, with the elements that distinguish series of one UID."""

    path: Path
    kind: tuple[str, ...]
    grid: Grid

    def identifiers(self, series: str) -> Iterator[str]:
        """Yield the names that ITK-SNAP can give the series.

        A name is the UID with the letters and digits of the distinguishing elements, in one word.
        Versions differ in whether a thickness keeps its zeros.
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
        reader: SimpleITK's reader, after reading the header of the file.
        purpose: The use of the voxels.

    Raises:
        ImageUnsupported: A file is a link to a file elsewhere.
        ImageDamaged: A file of the series is truncated, or a corrupt file may belong to it.
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
            # An empty file, zeros from a full disk, or less than the beginning of a DICOM file.
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
                    f"{file}: cut short or damaged, and it is or may be a slice of the series of "
                    f"{path.name}: restore or remove it"
                ) from None
            continue
        if _text(found, _SERIES) == series:
            members.append(file)
            yield _Member(file, tuple(_text(found, tag) for tag in _KIND), grid_of(found))
    for file in leftovers:
        if _is_called_alike(file, members):
            raise ImageDamaged(
                f"{file}: by its name a slice of the series of {path.name}, but empty or cut "
                "short: restore or remove it"
            )


def _is_of_another(start: bytes, series: str, sop_class: str) -> bool:
    """Return whether the first elements of a DICOM file name another class or series.

    Contours and reports name the series that they describe, but have another class. A file that is
    truncated before these elements may belong to this series.
    """
    for element, uid in ((_CLASS_ELEMENT, sop_class), (_SERIES_ELEMENT, series)):
        found = {value for form in element for value in _values(form, start)}
        if found and uid.encode() not in found:
            return True
    return False


def _values(element: re.Pattern[bytes], start: bytes) -> Iterator[bytes]:
    """Return the values of an element that are complete."""
    for found in element.finditer(start):
        end = found.end() + int.from_bytes(found[1], "little")
        if end <= len(start):
            yield start[found.end() : end].rstrip(b"\0 ")


def _is_called_alike(file: Path, members: list[Path]) -> bool:
    """Return whether a file has a name like the slices: the same ending, if they have one."""
    ending = _ending(file)
    is_hidden = file.name.startswith(".")
    return not is_hidden and ending in (*_DICOM_ENDINGS, *map(_ending, members))


def _ending(file: Path) -> str:
    """Return the ending of a name; empty for digits behind a dot, which number slices."""
    suffix = file.suffix.lower()
    return suffix if not suffix[1:].isdigit() else ""


def _alike(one: Grid, other: Grid) -> bool:
    """Return whether two slices can belong to one image, whatever their positions."""
    return (
        (one.size, one.voxel, one.components) == (other.size, other.voxel, other.components)
        and np.allclose(one.direction, other.direction, rtol=0, atol=_SLICE_TOLERANCE)
        and np.allclose(one.spacing[:2], other.spacing[:2], rtol=0, atol=_SLICE_TOLERANCE)
    )


def _distance(slices: tuple[Path, ...], places: _Array, normal: _Array) -> float:
    """Return the distance of slices in mm, if they are evenly stacked along their normal.

    ITK computes it from the first and the last slice, and only warns if others do not fit.
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
            f"{slices[0]}: the slices of its series have one position, or state none: convert it "
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
    """Return a DICOM element of a file; empty if absent."""
    return str(reader.GetMetaData(tag)).strip(" \0") if reader.HasMetaDataKey(tag) else ""

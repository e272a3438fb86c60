"""DICOM files of several frames: checks that the frames form one image, as SimpleITK assumes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from struct import error as StructError  # noqa: N812 - an error, by whatever case
from typing import Any, NamedTuple

import numpy as np

from snapws.errors import ImageDamaged, ImageUnsupported
from snapws.extras import install_hint
from snapws.simpleitk import Grid

# Storage classes of segmentations, and of label maps.
_SEGMENTATIONS = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
_TOLERANCE = 0.1  # fraction of the distance of frames
_ALIKE = 1e-4


class _Frame(NamedTuple):
    """The properties of a frame by the functional groups; None where they state no position."""

    place: tuple[float, ...] | None
    orientation: tuple[float, ...] | None
    scaling: tuple[float, float]


def refuse_unstacked(path: Path, grid: Grid) -> None:
    """Refuse a file whose frames do not form one image.

    SimpleITK stacks frames in file order, uses spacing 1 1 1 if they are not evenly stacked, and
    scales all by the slope of the first. Therefore the description of each frame is compared with
    SimpleITK's grid.

    Args:
        path: The file.
        grid: The size and position by SimpleITK.

    Raises:
        ImageUnsupported: The frames are not evenly stacked, or have different slopes; the file is a
            segmentation; or pydicom is not installed.
        ImageDamaged: The description of the frames cannot be read.
    """
    dataset = _dataset(path)
    if str(dataset.get("SOPClassUID", "")) in _SEGMENTATIONS:
        raise ImageUnsupported(
            f"{path}: a DICOM segmentation, which is not an image of labels: convert it first, "
            "with dcmqi's segimage2itkimage or 3D Slicer"
        )
    try:
        frames = list(_frames(dataset))
    except (AttributeError, TypeError, ValueError, IndexError, RecursionError) as error:
        raise ImageDamaged(f"{path}: the description of its frames is invalid: {error}") from None
    if not frames:
        return  # frames of the older kind share one position and one slope
    if len(frames) != grid.size[2]:
        raise ImageDamaged(f"{path}: it describes {len(frames)} of its {grid.size[2]} frames")
    if len({frame.scaling for frame in frames}) > 1:
        raise ImageUnsupported(
            f"{path}: each of its frames has a slope or intercept of its own: convert it to NIfTI "
            "first, with dcm2niix for example"
        )
    if why := _misplaced(frames, grid):
        raise ImageUnsupported(
            f"{path}: its {len(frames)} frames {why}: convert it to NIfTI first, with dcm2niix for "
            "example"
        )


def _dataset(path: Path) -> Any:
    """Read a DICOM file up to its voxels."""
    try:
        import pydicom
        from pydicom.errors import InvalidDicomError
    except ImportError:
        raise ImageUnsupported(
            f"{path}: a DICOM file of several frames needs pydicom; {install_hint('formats')}"
        ) from None
    try:
        return pydicom.dcmread(path, stop_before_pixels=True, force=True)
    except (
        *(InvalidDicomError, OSError, EOFError, StructError, RecursionError),
        *(AttributeError, KeyError, TypeError, ValueError, NotImplementedError),
    ) as error:
        raise ImageDamaged(f"{path}: its elements cannot be read: {error}") from None


def _frames(dataset: Any) -> Iterator[_Frame]:
    shared = next(iter(dataset.get("SharedFunctionalGroupsSequence") or ()), None)
    for own in dataset.get("PerFrameFunctionalGroupsSequence") or ():

        def said(group: str, element: str, own: Any = own) -> Any:
            for one in (own, shared):
                found = next(iter((one is not None and one.get(group)) or ()), None)
                if found is not None and element in found:
                    return found.get(element)
            return None

        place = said("PlanePositionSequence", "ImagePositionPatient")
        orientation = said("PlaneOrientationSequence", "ImageOrientationPatient")
        slope = said("PixelValueTransformationSequence", "RescaleSlope")
        intercept = said("PixelValueTransformationSequence", "RescaleIntercept")
        yield _Frame(
            tuple(map(float, place)) if place else None,
            tuple(map(float, orientation)) if orientation else None,
            (
                1.0 if slope is None else float(slope),
                0.0 if intercept is None else float(intercept),
            ),
        )


def _misplaced(frames: list[_Frame], grid: Grid) -> str:
    """Return why frames are not at the positions of a grid, or nothing."""
    if len({frame.orientation for frame in frames}) > 1:
        return "have different orientations"
    places = [frame.place for frame in frames]
    if None in places:
        return "" if not any(places) else "have a place in part"
    normal = np.reshape(grid.direction, (3, 3))[:, 2]
    at = np.array(places, dtype=np.float64)
    different = len({tuple(place) for place in at.round(3).tolist()})
    if different == 1:
        return "are all at one place (echoes or time points)"
    if different < len(frames) and len(frames) % different == 0:
        return (
            f"are {len(frames) // different} images at each of {different} places (echoes or time "
            "points)"
        )
    meant = np.array(grid.origin) + np.outer(np.arange(len(frames)) * grid.spacing[2], normal)
    away = np.linalg.norm(at - meant, axis=1).max()
    if not away <= max(_TOLERANCE * grid.spacing[2], _ALIKE):
        return "are not evenly stacked"
    return ""

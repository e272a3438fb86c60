"""Segmentations on the grid of the main image: ITK-SNAP ignores the affines of their headers.

ITK-SNAP does not open a segmentation of another size or another number of time points.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from snapws import geometry
from snapws.errors import WorkspaceError
from snapws.layers import Role

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

    from snapws.images.header import ImageHeader
    from snapws.workspace import Workspace

#: How far the header may put the corners of a segmentation off those of the main image, as a
#: fraction of the voxel size. Headers that are rounded to four decimals stay below.
TOLERANCE = 0.05


def misfit(header: ImageHeader, main: ImageHeader) -> str:
    """Return why ITK-SNAP does not open a segmentation over a main image; empty if it does.

    Args:
        header: The header of the segmentation.
        main: The header of the main image.
    """
    if header.spatial_shape != main.spatial_shape:
        return f"its size is {_size(header)}, that of the main image {_size(main)}"
    ours, theirs = time_points(header), time_points(main)
    if ours != theirs:
        points = "1 time point" if ours == 1 else f"{ours} time points"
        return f"it has {points}, the main image {theirs}"
    return ""


def misfits(workspace: Workspace) -> dict[int, str]:
    """Return the segmentations that ITK-SNAP does not open, as reasons by layer number.

    Images that cannot be read are left out.
    """
    found: dict[int, str] = {}
    try:
        main = workspace.main.header()
    except WorkspaceError:
        return found
    for layer in workspace.layers(role=Role.SEGMENTATION):
        with suppress(WorkspaceError):
            if why := misfit(layer.header(), main):
                found[layer.number] = why
    return found


def displacement(header: ImageHeader, main: ImageHeader) -> str:
    """Return how the header of a segmentation puts it off the main image; empty if it does not.

    Args:
        header: The header of the segmentation, of the main image's size.
        main: The header of the main image.

    Raises:
        snapws.ImageDamaged: A header has no valid affine.
    """
    found, expected = geometry.affine(header), geometry.affine(main)
    distance = geometry.max_corner_shift(main, found, expected)
    if distance <= TOLERANCE * min(geometry.voxel_sizes(expected)):
        return ""
    return f"it lies up to {distance:.3g} mm off the main image: {_how(found, expected)}"


def time_points(header: ImageHeader) -> int:
    """Return how many time points an image has."""
    return header.shape[3] if len(header.shape) > 3 else 1


def _how(found: npt.NDArray[np.float64], expected: npt.NDArray[np.float64]) -> str:
    axes, main_axes = geometry.orientation(found), geometry.orientation(expected)
    if axes != main_axes:
        return f"its axes run {axes}, those of the main image {main_axes}"
    lengths, main_lengths = geometry.voxel_sizes(found), geometry.voxel_sizes(expected)
    if not np.allclose(lengths, main_lengths, rtol=1e-3):
        return f"its voxels measure {_by(lengths)} mm, those of the main image {_by(main_lengths)}"
    if not np.allclose(found[:3, :3], expected[:3, :3], atol=1e-3 * min(main_lengths)):
        return "its axes are turned against those of the main image"
    return f"it is shifted by {_by(found[:3, 3] - expected[:3, 3], ', ')} mm (RAS)"


def _size(header: ImageHeader) -> str:
    return " x ".join(str(length) for length in header.spatial_shape)


def _by(numbers: Iterable[float], sign: str = " x ") -> str:
    return sign.join(f"{number:.3g}" for number in numbers)

"""The geometry of images: affine, voxel sizes and orientation, as ITK-SNAP reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
from nibabel.orientations import aff2axcodes

from snapws.errors import ImageDamaged

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

    from snapws.images.header import ImageHeader


def affine(header: ImageHeader) -> npt.NDArray[np.float64]:
    """Return the 4x4 matrix from voxel indices (x, y, z from 0) to RAS mm.

    This is the place where ITK-SNAP shows the image; see `snapws.images.placement`.
    """
    return header.placement.affine


def to_voxels(header: ImageHeader) -> npt.NDArray[np.float64]:
    """Return the 4x4 matrix from RAS mm to voxel indices (x, y, z from 0): the inverse of `affine`.

    Raises:
        ImageDamaged: The affine has no inverse, because voxels have no size along an axis.
    """
    try:
        return np.asarray(np.linalg.inv(affine(header)))
    except np.linalg.LinAlgError:
        raise ImageDamaged(
            f"{header.path}: the header is corrupt: its voxels have no size along an axis"
        ) from None


def voxel_sizes(matrix: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    """Return the voxel sizes of an `affine` along x, y, z, in mm.

    >>> voxel_sizes(np.diag([-1.0, -1.0, 2.0, 1.0]))
    (1.0, 1.0, 2.0)
    """
    # Headers have single precision: more digits mean nothing.
    x, y, z = (round(float(length), 6) for length in np.linalg.norm(matrix[:3, :3], axis=0))
    return x, y, z


def orientation(matrix: npt.NDArray[np.float64]) -> str:
    """Return the directions of the axes of an `affine`: ``RAS`` is right, anterior, superior.

    An axis without a direction is ``?``.

    >>> orientation(np.diag([-1.0, -1.0, 2.0, 1.0]))
    'LPS'
    """
    codes = cast("tuple[str | None, ...]", aff2axcodes(matrix))
    return "".join(code or "?" for code in codes)


def max_corner_shift(
    header: ImageHeader, matrix: npt.NDArray[np.float64], other: npt.NDArray[np.float64]
) -> float:
    """Return the greatest distance, in mm, between an image's corners by two affines."""
    apart = corners(header.spatial_shape) @ (matrix - other).T
    return float(np.linalg.norm(apart[:, :3], axis=1).max())


def corners(shape: Iterable[int]) -> npt.NDArray[np.float64]:
    """Return the homogeneous voxel indices of an image's eight corners: 8 x 4."""
    last = np.array(tuple(shape)[:3]) - 1
    return np.array([[*(last * side), 1.0] for side in np.ndindex(2, 2, 2)])

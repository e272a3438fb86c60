"""Where an image's voxels lie, as ITK-SNAP takes it from a header."""

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

    ITK's reading of the header, and so where ITK-SNAP shows the image (`snapws.images.placement`).
    """
    return header.placement.affine


def to_voxels(header: ImageHeader) -> npt.NDArray[np.float64]:
    """Return the 4x4 matrix from RAS mm to voxel indices (x, y, z from 0): the inverse of `affine`.

    Raises:
        ImageDamaged: There is none, because voxels have no extent along an axis.
    """
    try:
        return np.asarray(np.linalg.inv(affine(header)))
    except np.linalg.LinAlgError:
        raise ImageDamaged(
            f"{header.path}: the header is impossible: its voxels have no size along an axis"
        ) from None


def voxel_sizes(matrix: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    """Return the distance of neighbouring voxels along x, y, z of an `affine`, in mm.

    >>> voxel_sizes(np.diag([-1.0, -1.0, 2.0, 1.0]))
    (1.0, 1.0, 2.0)
    """
    # Headers hold it in single precision, which has no more digits.
    x, y, z = (round(float(length), 6) for length in np.linalg.norm(matrix[:3, :3], axis=0))
    return x, y, z


def orientation(matrix: npt.NDArray[np.float64]) -> str:
    """Return where the axes of an `affine` run to: ``RAS`` is right, anterior, superior.

    An axis along which nothing lies is ``?``.

    >>> orientation(np.diag([-1.0, -1.0, 2.0, 1.0]))
    'LPS'
    """
    codes = cast("tuple[str | None, ...]", aff2axcodes(matrix))
    return "".join(code or "?" for code in codes)


def max_corner_shift(
    header: ImageHeader, matrix: npt.NDArray[np.float64], other: npt.NDArray[np.float64]
) -> float:
    """Return by how many mm two affines disagree at most about the corners of an image."""
    apart = corners(header.spatial_shape) @ (matrix - other).T
    return float(np.linalg.norm(apart[:, :3], axis=1).max())


def corners(shape: Iterable[int]) -> npt.NDArray[np.float64]:
    """Return the voxel indices of an image's eight corners, each with a 1 behind it: 8 x 4."""
    last = np.array(tuple(shape)[:3]) - 1
    return np.array([[*(last * side), 1.0] for side in np.ndindex(2, 2, 2)])

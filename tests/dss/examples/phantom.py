"""A head on a neck and shoulders, of known size, sampled on any grid."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

#: The highest point of the head, and where 180 mm from 10 mm above it end: z in RAS mm.
TOP = 104.0
CUT = TOP + 10 - 180

_RADII = np.array([76.0, 96.0, 112.0])
_TISSUES = ((1.0, 260.0), (0.94, 12.0), (0.88, 110.0))  # scalp, skull, brain: size, brightness


def upright(spacing: tuple[float, float, float] = (3, 3, 3), *, top: float = 140.0) -> Any:
    """Return shape and affine of a grid of 240 x 264 x 300 mm; its upper face is at z = `top`."""
    size = np.array([240.0, 264.0, 300.0])
    shape = np.floor(size / spacing).astype(int)
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = -size / 2 + np.array(spacing) / 2
    affine[2, 3] = top - (shape[2] - 0.5) * spacing[2]
    return tuple(int(n) for n in shape), affine


def heights(shape: tuple[int, ...], affine: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return z in mm of every voxel."""
    return _world(shape, affine)[2]


def head(
    shape: tuple[int, ...],
    affine: npt.NDArray[np.float64],
    *,
    noise: float = 5.0,
    haze: float = 0.0,
    fat: float = 260.0,
) -> npt.NDArray[np.float32]:
    """Sample the phantom; brain is 110, and air what Rician noise makes of it.

    Args:
        shape: of the grid.
        affine: from its voxels to RAS mm.
        noise: standard deviation of each part of the complex signal.
        haze: brightness of the air at the skin, which fades out within some centimetres.
        fat: brightness of the scalp.
    """
    x, y, z = _world(shape, affine)
    centre = TOP - _RADII[2]
    distance = np.sqrt(
        (x / _RADII[0]) ** 2 + (y / _RADII[1]) ** 2 + ((z - centre) / _RADII[2]) ** 2
    )
    image = haze * np.exp(-np.clip(distance - 1, 0, None) / 0.3)
    neck = (np.hypot(x, y + 10) < 58) & (z < centre)
    shoulders = (np.hypot(x / 1.9, y + 10) < 62) & (z < -140)
    image[neck | shoulders] = 80.0
    for size, brightness in _TISSUES:
        image[distance < size] = fat if size == 1.0 else brightness
    generator = np.random.default_rng(1)
    real, imaginary = noise * generator.standard_normal((2, *shape), np.float32)
    return np.asarray(np.hypot(image + real, imaginary), np.float32)


def _world(shape: tuple[int, ...], affine: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    i, j, k = np.ogrid[: shape[0], : shape[1], : shape[2]]
    return np.stack([x * i + y * j + z * k + origin for x, y, z, origin in affine[:3]])

"""Resampling of layers to the grid of another layer, at the place where ITK-SNAP shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from snapws import geometry
from snapws.errors import ImageUnsupported, InvalidValue
from snapws.layers import Layer, Role
from snapws.simpleitk import simpleitk

if TYPE_CHECKING:
    import numpy.typing as npt


def resample(
    layer: Layer, like: Layer | str | int, *, labels: bool | None = None
) -> npt.NDArray[Any]:
    """Resample a layer's image to the grid of another layer. Both transforms are applied.

    Args:
        layer: The layer to resample.
        like: The layer with the target grid, or its tag or specification.
        labels: Whether values are labels: nearest neighbour, the type stays. Else interpolation is
            linear, and values are floating-point numbers. By default, segmentations are labels.

    Returns:
        The values, axes as in `Layer.array`; 0 outside of the layer's image.

    Raises:
        LayerNotFound: `like` names no layer.
        LayerFileMissing: The file of a layer does not exist.
        InvalidValue: A transform has no inverse.
        ImageUnsupported: SimpleITK is not installed, or does not support the voxel type.
        ImageError: An image cannot be read.
    """
    other = layer.workspace.like(like)
    sitk = simpleitk(layer.path)
    values = np.asarray(layer.array())
    other.existing()
    try:
        matrix = np.linalg.inv(_to_main(layer)) @ _to_main(other)
    except np.linalg.LinAlgError:
        raise InvalidValue("a layer's transform or its image's affine has no inverse") from None
    to_layer = sitk.AffineTransform(3)
    to_layer.SetMatrix(matrix[:3, :3].ravel().tolist())
    to_layer.SetTranslation(matrix[:3, 3].tolist())
    nearest = layer.role is Role.SEGMENTATION if labels is None else labels
    dtype = values.dtype if nearest else np.dtype(_floating(values.dtype))
    how = sitk.sitkNearestNeighbor if nearest else sitk.sitkLinear
    size = other.header().spatial_shape
    result = np.zeros((*size, *values.shape[3:]), dtype, order="F")
    for place in np.ndindex(values.shape[3:]):
        here = (..., *place)
        volume = values[here].astype(dtype, copy=False)
        try:
            image = sitk.GetImageFromArray(volume.transpose(2, 1, 0))
        except (TypeError, KeyError):
            raise ImageUnsupported(
                f"{layer.file}: SimpleITK has no voxels of type {dtype}"
            ) from None
        moved = sitk.Resample(
            *(image, size, to_layer, how),
            *((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), np.eye(3).ravel().tolist(), 0.0),
        )
        result[here] = sitk.GetArrayViewFromImage(moved).transpose(2, 1, 0)
    return result


def _to_main(layer: Layer) -> npt.NDArray[np.float64]:
    """Return the matrix from a layer's voxels to RAS mm of the main image."""
    if layer.role is Role.SEGMENTATION:  # ITK-SNAP ignores the affine of its header
        return geometry.affine(layer.workspace.main.header())
    return np.asarray(np.linalg.inv(layer.transform) @ geometry.affine(layer.header()))


def _floating(dtype: np.dtype[Any]) -> type[np.floating[Any]]:
    """Return the floating-point type for values interpolated between values of a type."""
    is_exact = np.can_cast(dtype, np.float32)
    return np.float32 if is_exact else np.float64

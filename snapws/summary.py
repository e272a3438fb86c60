"""What a layer's image is, in the words of a table."""

from __future__ import annotations

from dataclasses import dataclass

from snapws import geometry
from snapws.check import missing_file
from snapws.errors import ImageError
from snapws.layers import Layer


@dataclass(frozen=True)
class ImageSummary:
    """What the header of an image says, or why it says nothing.

    Attributes:
        size: Voxels along x, y, z and, of several volumes, their number.
        components: Of a voxel.
        spacing: Distance of neighbouring voxels along x, y, z, in mm.
        voxel_type: As NIfTI names it, ``int16`` for example.
        orientation: Where the axes run to: ``RAS`` is right, anterior, superior.
        problem: Why all others are None; else None.
    """

    size: tuple[int, ...] | None = None
    components: int | None = None
    spacing: tuple[float, float, float] | None = None
    voxel_type: str | None = None
    orientation: str | None = None
    problem: str | None = None


def image_summary(layer: Layer) -> ImageSummary:
    """Read the header of a layer's image."""
    missing = missing_file(layer.workspace, layer.file, "")
    if missing:
        return ImageSummary(problem=missing.message)
    try:
        header = layer.header()
        affine = geometry.affine(header)
    except ImageError as error:
        return ImageSummary(problem=str(error))
    several = len(header.shape) > 3 and header.shape[3] > 1
    return ImageSummary(
        header.shape[:4] if several else header.spatial_shape,
        header.components,
        geometry.voxel_sizes(affine),
        header.voxel_type,
        geometry.orientation(affine),
    )

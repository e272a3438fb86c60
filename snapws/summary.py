"""Summaries of layers' images, for tables."""

from __future__ import annotations

from dataclasses import dataclass

from snapws import geometry
from snapws.check import missing_file
from snapws.errors import ImageError
from snapws.layers import Layer


@dataclass(frozen=True)
class ImageSummary:
    """The properties of an image in its header, or why the header cannot be read.

    Attributes:
        size: Voxels along x, y, z and, if there are several, the number of time points.
        components: The number of components of a voxel.
        spacing: Voxel sizes along x, y, z, in mm.
        voxel_type: The name of the type in NIfTI, ``int16`` for example.
        orientation: The directions of the axes: ``RAS`` is right, anterior, superior.
        problem: Why the header cannot be read; then all others are None.
    """

    size: tuple[int, ...] | None = None
    components: int | None = None
    spacing: tuple[float, float, float] | None = None
    voxel_type: str | None = None
    orientation: str | None = None
    problem: str | None = None


def image_summary(layer: Layer) -> ImageSummary:
    """Return the summary of a layer's image, from its header."""
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

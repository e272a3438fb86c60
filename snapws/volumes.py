"""How much of an image is which label."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from snapws import geometry
from snapws.errors import ImageUnsupported
from snapws.images.header import ImageHeader
from snapws.labels import MAX_INDEX
from snapws.pictures.sampling import labels, scaled

if TYPE_CHECKING:
    import numpy.typing as npt


@dataclass(frozen=True)
class LabelVolumes:
    """The labels of a segmentation's voxels, counted.

    Attributes:
        voxels: Of each time point, in order, how many voxels have each label that is there, the
            background (0) included.
        voxel_volume: The volume of one voxel in mm3.
    """

    voxels: tuple[dict[int, int], ...]
    voxel_volume: float


def label_volumes(header: ImageHeader, main: ImageHeader | None = None) -> LabelVolumes:
    """Count the voxels of each label in a segmentation, as a stream: memory stays flat.

    A number between two labels counts as ITK-SNAP casts it: without its fraction. What is no label
    (0 to 65535, scaling applied) is not counted.

    Args:
        header: The segmentation.
        main: The main image, whose voxels ITK-SNAP takes those of the segmentation for; without
            it, a voxel has the volume that the segmentation's own header says.

    Raises:
        ImageUnsupported: The image has not one real number a voxel.
        ImageDamaged: It is cut short or its checksum is wrong; known at the end.
        ImageError: It cannot be read.
    """
    if header.components > 1 or header.dtype.kind not in "iuf":
        raise ImageUnsupported(
            f"{header.path}: it has not one real number a voxel, as a segmentation has"
        )
    dtype = header.dtype.newbyteorder("<")
    size = int(np.prod(header.shape[:3]))
    found: list[dict[int, int]] = []
    counts: Counter[int] = Counter()
    missing = size
    for piece in header.voxels():
        values = np.frombuffer(piece, dtype)
        while len(values):
            here, values = values[:missing], values[missing:]
            counts.update(_counted(_labels(here, header)))
            missing -= len(here)
            if not missing:
                found.append(dict(sorted(counts.items())))
                counts, missing = Counter(), size
    axes = geometry.affine(header if main is None else main)[:3, :3]
    return LabelVolumes(tuple(found), float(abs(np.linalg.det(axes))))


def _counted(found: npt.NDArray[np.intp]) -> dict[int, int]:
    """Return how often each label is there."""
    if len(found) > MAX_INDEX:
        each = np.bincount(found)
        present = np.flatnonzero(each)
        counts = each[present]
    else:  # of a million time points, each may have one voxel
        present, counts = np.unique(found, return_counts=True)
    return dict(zip(present.tolist(), counts.tolist(), strict=True))


def _labels(values: npt.NDArray[Any], header: ImageHeader) -> npt.NDArray[np.intp]:
    """Return those of an image's stored values that are labels."""
    if values.dtype.kind == "u" and values.dtype.itemsize <= 2 and not header.scaling:
        return values.astype(np.intp)
    numbers = labels(scaled(values, header))
    with np.errstate(invalid="ignore"):
        is_label = (numbers > -1) & (numbers < MAX_INDEX + 1)
    found: npt.NDArray[np.intp] = numbers[is_label].astype(np.intp)
    return found

"""Volumes of labels, and the mean of the main image under each label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from snapws import geometry, segmentations
from snapws.errors import ImageUnsupported, InvalidValue
from snapws.images.header import ImageHeader
from snapws.labels import MAX_INDEX
from snapws.layers import Role
from snapws.pictures.sampling import labels, scaled

if TYPE_CHECKING:
    import numpy.typing as npt

    from snapws.workspace import Workspace

_BLOCK = 1 << 18  # voxels of both images per block


@dataclass(frozen=True)
class LabelVolume:
    """The measurements of a label at a time point of a segmentation.

    Attributes:
        layer: The number of the segmentation.
        time_point: The number of the time point, from 1.
        label: The label.
        name: Its name in the label table; empty if it has none.
        voxels: The number of its voxels.
        volume_mm3: The volume, by the voxel size of the main image.
        mean: The mean of the finite voxels of the main image there; None if no voxel is finite,
            or the main image has several components.
    """

    layer: int
    time_point: int
    label: int
    name: str
    voxels: int
    volume_mm3: float
    mean: float | None


def volumes(workspace: Workspace) -> list[LabelVolume]:
    """Measure the labels in each segmentation of a workspace, without the background (0).

    Images are streamed: memory does not grow with their size.

    Raises:
        LayerNotFound: The workspace has no main image.
        LayerFileMissing: The file of an image is missing.
        InvalidValue: A segmentation differs from the main image in size or time points.
        ImageUnsupported: A segmentation does not have one real number per voxel.
        ImageError: An image cannot be read.
    """
    workspace.main.existing()
    main = workspace.main.header()
    names = {label.index: label.name for label in workspace.labels}
    found: list[LabelVolume] = []
    for layer in workspace.layers(role=Role.SEGMENTATION):
        layer.existing()
        header = layer.header()
        if why := segmentations.misfit(header, main):
            raise InvalidValue(f"{header.path}: {why}: resample it to the main image")
        counted = label_volumes(header, main)
        means = _means(header, main, len(counted.voxels))
        for point, (counts, mean) in enumerate(zip(counted.voxels, means, strict=True), 1):
            found += [
                LabelVolume(
                    *(layer.number, point, label, names.get(label, ""), count),
                    volume_mm3=count * counted.voxel_volume,
                    mean=mean.get(label),
                )
                for label, count in counts.items()
                if label
            ]
    return found


@dataclass(frozen=True)
class LabelVolumes:
    """The labels of a segmentation's voxels, counted.

    Attributes:
        voxels: For each time point, the number of voxels by label, with the background (0).
        voxel_volume: The volume of one voxel in mm3.
    """

    voxels: tuple[dict[int, int], ...]
    voxel_volume: float


def label_volumes(header: ImageHeader, main: ImageHeader | None = None) -> LabelVolumes:
    """Count the voxels of each label in a segmentation, as a stream.

    As in ITK-SNAP, a fraction is truncated. Values outside of 0 to 65535, after scaling, are not
    labels and not counted.

    Args:
        header: The segmentation.
        main: The main image, whose voxel size ITK-SNAP uses for the segmentation; without it, the
            voxel size is that of the segmentation's own header.

    Raises:
        ImageUnsupported: The image does not have one real number per voxel.
        ImageDamaged: The image is truncated or its checksum is wrong; raised at the end.
        ImageError: The image cannot be read.
    """
    if not _is_scalar(header):
        raise ImageUnsupported(f"{header.path}: a segmentation needs one real number per voxel")
    found: list[dict[int, int]] = []
    counts: Counter[int] = Counter()
    for values, is_last in _blocks(header):
        counts.update(_counted(_labels(values, header)))
        if is_last:
            found.append(dict(sorted(counts.items())))
            counts = Counter()
    axes = geometry.affine(header if main is None else main)[:3, :3]
    return LabelVolumes(tuple(found), float(abs(np.linalg.det(axes))))


def _counted(found: npt.NDArray[np.intp]) -> dict[int, int]:
    """Return the count of each label."""
    if len(found) > MAX_INDEX:
        each = np.bincount(found)
        present = np.flatnonzero(each)
        counts = each[present]
    else:  # there may be a million time points of one voxel each
        present, counts = np.unique(found, return_counts=True)
    return dict(zip(present.tolist(), counts.tolist(), strict=True))


def _means(header: ImageHeader, main: ImageHeader, points: int) -> list[dict[int, float]]:
    """Return the mean of the main image under each label, for each time point."""
    if not _is_scalar(main):
        return [{} for _ in range(points)]
    found: list[dict[int, float]] = []
    sums: dict[int, tuple[int, float]] = {}
    for (here, is_last), (there, _) in zip(_blocks(header), _blocks(main), strict=True):
        numbers = scaled(there, main).astype(np.float64)
        is_meant = np.isfinite(numbers)
        is_label, values = _as_labels(here, header)
        if is_label is not None:
            is_meant &= is_label
            values = values[is_meant[is_label]]
        else:
            values = values[is_meant]
        present, inverse = np.unique(values, return_inverse=True)
        counts = np.bincount(inverse, minlength=len(present)).tolist()
        weights = np.bincount(inverse, numbers[is_meant], len(present)).tolist()
        for label, count, weight in zip(present.tolist(), counts, weights, strict=True):
            before = sums.get(label, (0, 0.0))
            sums[label] = before[0] + count, before[1] + weight
        if is_last:
            means = {label: weight / count for label, (count, weight) in sums.items()}
            found.append({label: mean for label, mean in means.items() if np.isfinite(mean)})
            sums = {}
    return found


def _is_scalar(header: ImageHeader) -> bool:
    """Return whether an image has one real number per voxel."""
    return header.components == 1 and header.dtype.kind in "iuf"


def _blocks(header: ImageHeader) -> Iterator[tuple[npt.NDArray[Any], bool]]:
    """Yield the stored values in blocks, and whether a block is the last of its time point.

    For images of the same size and number of time points, the blocks hold the same voxels.
    """
    dtype = header.dtype.newbyteorder("<")
    size = int(np.prod(header.shape[:3]))
    missing, left = size, np.zeros(0, dtype)
    for piece in header.voxels():
        values = np.frombuffer(piece, dtype)
        left = np.concatenate((left, values)) if len(left) else values
        while len(left) >= min(_BLOCK, missing):
            here, left = left[: min(_BLOCK, missing)], left[min(_BLOCK, missing) :]
            missing -= len(here)
            yield here, not missing
            missing = missing or size


def _labels(values: npt.NDArray[Any], header: ImageHeader) -> npt.NDArray[np.intp]:
    """Return the labels among the stored values of an image."""
    return _as_labels(values, header)[1]


def _as_labels(
    values: npt.NDArray[Any], header: ImageHeader
) -> tuple[npt.NDArray[np.bool_] | None, npt.NDArray[np.intp]]:
    """Return a mask of the stored values that are labels (None: all), and the labels."""
    if values.dtype.kind == "u" and values.dtype.itemsize <= 2 and not header.scaling:
        return None, values.astype(np.intp)
    numbers = labels(scaled(values, header))
    with np.errstate(invalid="ignore"):
        is_label = (numbers > -1) & (numbers < MAX_INDEX + 1)
    return is_label, numbers[is_label].astype(np.intp)

"""Volumes of labels, and the mean of the main image under each label."""

from __future__ import annotations

from collections import defaultdict
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
        volume = _voxel_volume(main)
        for point, labels_there in enumerate(_time_points(header, main), 1):
            found += [
                LabelVolume(
                    *(layer.number, point, label, names.get(label, ""), sums.voxels),
                    volume_mm3=sums.voxels * volume,
                    mean=sums.mean,
                )
                for label, sums in labels_there.items()
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
    found = [
        {label: sums.voxels for label, sums in labels_there.items()}
        for labels_there in _time_points(header)
    ]
    return LabelVolumes(tuple(found), _voxel_volume(header if main is None else main))


@dataclass
class _Sums:
    """Sums over the voxels of a label; in `meant` of them the main image is a finite number."""

    voxels: int = 0
    meant: int = 0
    total: float = 0.0

    @property
    def mean(self) -> float | None:
        mean = self.total / self.meant if self.meant else np.nan
        return mean if np.isfinite(mean) else None


def _voxel_volume(header: ImageHeader) -> float:
    return float(abs(np.linalg.det(geometry.affine(header)[:3, :3])))


def _time_points(
    header: ImageHeader, main: ImageHeader | None = None
) -> Iterator[dict[int, _Sums]]:
    """Yield the labels of each time point, in order, each image read once.

    Args:
        header: The segmentation.
        main: The main image, for means; no means are known if it has several components.
    """
    if not _is_scalar(header):
        raise ImageUnsupported(f"{header.path}: a segmentation needs one real number per voxel")
    blocks: Iterator[tuple[tuple[npt.NDArray[Any], bool], npt.NDArray[Any] | None]]
    if main and _is_scalar(main):
        # Both are read to their ends, where a checksum may be wrong.
        blocks = zip(_blocks(header), (values for values, _ in _blocks(main)), strict=True)
    else:
        blocks = ((block, None) for block in _blocks(header))
    found: dict[int, _Sums] = defaultdict(_Sums)
    for (stored, is_last), beside in blocks:
        is_label, values = as_labels(stored, header)
        for label, (voxels, _) in _by_label(values).items():
            found[label].voxels += voxels
        if main and beside is not None:
            numbers = scaled(beside, main).astype(np.float64)
            numbers = numbers if is_label is None else numbers[is_label]
            is_finite = np.isfinite(numbers)
            for label, (voxels, total) in _by_label(values[is_finite], numbers[is_finite]).items():
                found[label].meant += voxels
                found[label].total += total
        if is_last:
            yield dict(sorted(found.items()))
            found.clear()


def _by_label(
    values: npt.NDArray[np.intp], weights: npt.NDArray[np.float64] | None = None
) -> dict[int, tuple[int, float]]:
    """Return the count of each label, and the sum of its weights."""
    if len(values) > MAX_INDEX:
        labels_there, index = None, values
    else:  # there may be a million time points of one voxel each
        labels_there, index = np.unique(values, return_inverse=True)
    counts = np.bincount(index)
    present = np.flatnonzero(counts)
    sums = np.bincount(index, weights)[present] if weights is not None else np.zeros(len(present))
    counted = zip(counts[present].tolist(), sums.tolist(), strict=True)
    return dict(
        zip((present if labels_there is None else labels_there).tolist(), counted, strict=True)
    )


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


def as_labels(
    values: npt.NDArray[Any], header: ImageHeader
) -> tuple[npt.NDArray[np.bool_] | None, npt.NDArray[np.intp]]:
    """Return a mask of the stored values that are labels (None: all), and the labels."""
    if values.dtype.kind == "u" and values.dtype.itemsize <= 2 and not header.scaling:
        return None, values.astype(np.intp)
    numbers = labels(scaled(values, header))
    with np.errstate(invalid="ignore"):
        is_label = (numbers > -1) & (numbers < MAX_INDEX + 1)
    return is_label, numbers[is_label].astype(np.intp)

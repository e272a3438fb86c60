"""MRI-NeckCut: trim a T1 scan of an adult head to 180 mm, from 10 mm above the head downwards.

"Up" is superior in the scanner's coordinates (RAS, mm), in whatever order the voxels are stored. An
oblique scan keeps all slices that reach into these 180 mm above, in or below the head.

Numpy finds the head: `scipy.ndimage` would do it in fewer lines, but takes 144 MB more.
"""

from __future__ import annotations

from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt

from dss import Job, ServiceError, service
from snapws import Label, geometry, images

HEIGHT, MARGIN = 180.0, 10.0  # mm
BLOCK = 4.0  # mm, minimum: blocks of this size separate a head from noise and specks
LEAST_AREA = 100.0  # mm²: a head reaches it less than 1 mm below its highest point
LEAST_VOLUME = 200e3  # mm³: an adult's head has ten times as much
LABELS = Label(1, "Head", (230, 159, 0)), Label(2, "Neck", (86, 180, 233))

Voxels = npt.NDArray[Any]


@service(name="MRI-NeckCut", tags=["T1-MRI"])
def neck_cut(job: Job) -> None:
    """Add the trimmed scan, and a segmentation of the whole scan in head and neck."""
    path = job.workspace.layer(tag="T1-MRI").path
    with job.phase("Reading the scan", 0.0, 0.3):
        image: Any = nib.Nifti1Image.from_filename(path)
        scaling = image.dataobj.slope, image.dataobj.inter
        if image.get_data_dtype().kind not in "iuf" or scaling[0] < 0:
            raise ServiceError("the scan tagged T1-MRI is not T1: in colours, complex or inverted")
        if image.ndim < 3 or max(image.shape[3:], default=1) > 1:
            raise ServiceError(f"the scan tagged T1-MRI is not one volume: its size {image.shape}")
        stored = image.dataobj.get_unscaled().reshape(image.shape[:3])  # scaled, they are floats
        affine = geometry.affine(images.read_header(path))  # as ITK-SNAP has it: qform first

    with job.phase("Finding the head", 0.3, 0.7):
        spacing = np.linalg.norm(affine[:3, :3], axis=0)
        up = int(np.argmax(abs(affine[2, :3]) / spacing))
        labels = find_body(stored, spacing, up)
        slices = np.moveaxis(labels, up, 0)  # a view: writing to it changes the labels

        # The height of a voxel is that of its slice, plus its rise within an oblique slice.
        rises = [affine[2, axis] * np.arange(stored.shape[axis]) for axis in range(3)]
        heights = rises.pop(up) + affine[2, 3]
        within = np.add.outer(*rises)
        step, bottom = abs(affine[2, up]), heights.min() + within.min()
        areas = np.zeros(round((heights.max() + within.max() - bottom) / step) + 1)
        for height, voxels in zip(heights, slices, strict=True):
            levels = np.rint((height + within[voxels > 0] - bottom) / step).astype(int)
            areas += np.bincount(levels, minlength=areas.size) * spacing.prod() / step
        if areas.sum() * step < LEAST_VOLUME:
            raise ServiceError(
                f"no head found: the largest object has {areas.sum() * step:.0f} mm³"
            )
        top = bottom + step * (np.flatnonzero(areas >= LEAST_AREA)[-1] + 0.5)

        # A little higher, so that a slice on the border counts the same in every orientation.
        ceiling, floor = top + MARGIN + 1e-3, top + MARGIN - HEIGHT + 1e-3
        if len(slices) * step <= HEIGHT + 1e-3:
            ceiling, floor = np.inf, -np.inf
        for height, voxels in zip(heights, slices, strict=True):
            voxels[(voxels > 0) & (height + within <= floor)] = 2
        reach = within[(slices == 1).any(axis=0)]
        kept = np.flatnonzero((heights + reach.max() > floor) & (heights + reach.min() <= ceiling))
        if np.count_nonzero(slices[heights.argmax()]) * spacing.prod() >= LEAST_AREA * step:
            job.warn("The head reaches the upper end of the scan: its top may be missing")
        if heights.argmin() in kept:
            job.warn("There is nothing to cut below the head: the scan ends there")
        job.log(f"Top of the head at z = {top:.0f} mm; {len(kept)} of {len(slices)} slices kept")

    with job.phase("Writing the results", 0.7, 1.0):
        start = np.where(np.arange(3) == up, kept[0], 0)
        slab = np.moveaxis(np.moveaxis(stored, up, 0)[kept[0] : kept[-1] + 1], 0, up)
        trimmed, parts = job.workdir / "trimmed.nii.gz", job.workdir / "parts.nii.gz"
        nib.save(placed(slab, image, affine, start, scaling), trimmed)
        nib.save(placed(labels, image, affine), parts)
        # A segmentation needs the grid of the main image, so the whole scan stays the main image.
        job.workspace.add_overlay(trimmed, nickname="Trimmed T1", tags={"Trimmed"})
        job.workspace.add_segmentation(parts, nickname="Head and neck", tags={"HeadNeck"})
        job.workspace.labels = (*job.workspace.labels, *LABELS)  # the last label of an index counts


def find_body(stored: Voxels, spacing: Voxels, up: int) -> Voxels:
    """Return a uint8 mask of the largest object and its cavities; slices are across axis `up`."""
    shape = np.array(stored.shape)
    blocks = np.clip(np.ceil(BLOCK / spacing).astype(int), 1, shape)
    count = shape // blocks
    parts = stored[tuple(slice(length) for length in count * blocks)]
    parts = parts.reshape(np.column_stack([count, blocks]).ravel())
    means = np.nan_to_num(parts.mean(axis=(1, 3, 5), dtype=np.float32), posinf=0, neginf=0)
    threshold = find_threshold(means)
    body = means > threshold
    for part in np.moveaxis(body, up, 0):
        part[:] = enclosed(part)  # or a dark skull would separate scalp and brain
    body = spread(largest_object(body))  # by a block: the head fills blocks at its edge only partly
    for axis in range(3):
        body = body.repeat(blocks[axis], axis)
    body = np.pad(body, [(0, rest) for rest in shape % blocks], mode="edge")
    for values, part in zip(np.moveaxis(stored, up, 0), np.moveaxis(body, up, 0), strict=True):
        part[:] = enclosed(part & (values > threshold))
    return body.view(np.uint8)


def enclosed(tissue: Voxels) -> Voxels:
    """Add voxels with tissue on all four sides to the tissue in a slice: skull, fluid and air."""
    inside = np.ones_like(tissue)
    for axis in (0, 1):
        inside &= np.logical_or.accumulate(tissue, axis)
        inside &= np.flip(np.logical_or.accumulate(np.flip(tissue, axis), axis), axis)
    return inside


def find_threshold(means: Voxels) -> float:
    """Find the best threshold of air and tissue (Otsu 1979, doi:10.1109/TSMC.1979.4310076)."""
    low, high = np.percentile(means, (0.5, 99.5))
    if low == high:
        raise ServiceError("the scan tagged T1-MRI is empty: all its voxels are the same")
    # Square roots, or the threshold may separate bright fat from everything darker.
    counts, edges = np.histogram(np.sqrt(np.clip(means, low, high) - low), 256)
    sums = np.cumsum(counts * (edges[1:] + edges[:-1]) / 2)
    below = np.cumsum(counts)[:-1] / counts.sum()
    between = (sums[-1] * below - sums[:-1]) ** 2 / (below * (1 - below))
    return float(low + edges[between.argmax() + 1] ** 2)


def largest_object(mask: Voxels) -> Voxels:
    """Keep the largest connected object; each object takes on the greatest number of its voxels."""
    numbers = np.arange(1, mask.size + 1, dtype=np.int32).reshape(mask.shape) * mask
    while not np.array_equal(numbers, grown := spread(numbers) * mask):
        # The number names a voxel of the same object, which may have a greater number by now.
        numbers = grown.ravel()[grown - 1] * mask
    found: Voxels = numbers == np.bincount(numbers[mask]).argmax()
    return found


def spread(values: Voxels) -> Voxels:
    """Return the greatest value among each voxel and the 26 around it."""
    values = np.pad(values, 1)
    for axis in range(3):
        line = np.moveaxis(values, axis, 0)
        line[1:-1] = np.maximum(np.maximum(line[:-2], line[1:-1]), line[2:])
    return values[1:-1, 1:-1, 1:-1]


def placed(voxels: Any, image: Any, affine: Any, start: Any = 0, scaling: Any = (1, 0)) -> Any:
    """Return an image with the header of another image, in which it begins at voxel `start`."""
    shift = np.eye(4)
    shift[:3, 3] = start
    result: Any = nib.Nifti1Image(voxels, affine @ shift, image.header, dtype=voxels.dtype)
    result.header.set_slope_inter(*scaling)
    for get, put in ((image.get_qform, result.set_qform), (image.get_sform, result.set_sform)):
        form, code = get(coded=True)
        if code:
            put(form @ shift, code)
    return result

"""MetaImage, NRRD, GIPL, VTK and DICOM images, read through SimpleITK (extra ``formats``).

SimpleITK reads a file as a whole, so that one file's voxels are in memory while they are streamed:
those of the image, or of one slice of a DICOM series. Of vector images, whose components NIfTI
keeps apart, all files are in memory at once: one copy of the image.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.nifti1 import Nifti1Header

from snapws import compression
from snapws.errors import ImageError, ImageUnsupported
from snapws.images import ImageHeader, refuse_sheared
from snapws.itk_formats.reading import SUFFIXES, Grid, grid_of, read, read_information, simpleitk
from snapws.itk_formats.series import find_series
from snapws.itk_formats.whole import refuse_damaged, voxel_path
from snapws.nifti import new_header

_VECTOR_INTENT = 1007
_RGB = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
_TYPES = {
    **{f"{8 * size}-bit signed integer": f"<i{size}" for size in (1, 2, 4, 8)},
    **{f"{8 * size}-bit unsigned integer": f"<u{size}" for size in (1, 2, 4, 8)},
    **{f"{8 * size}-bit float": f"<f{size}" for size in (4, 8)},
    **{f"complex of {8 * size}-bit float": f"<c{2 * size}" for size in (4, 8)},
}


@dataclass(frozen=True)
class ItkImageHeader(ImageHeader):
    """The header of an image that SimpleITK reads; its voxels as they are stored in NIfTI.

    Attributes:
        slices: what SimpleITK reads: one file, or those of a DICOM series in order of place.
    """

    slices: tuple[Path, ...]

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that it is read from."""
        return self.slices if len(self.slices) > 1 else super().files

    @property
    def whole(self) -> bool:
        """Whether reading its content takes all of it in memory at once."""
        return self.components > 1 or len(self.slices) == 1

    def voxels(self) -> Iterator[bytes]:
        """Give the voxels little-endian, first axis fastest, the component of vectors slowest.

        Raises:
            ImageDamaged: a file holds fewer, its checksum is wrong, or SimpleITK cannot read it.
            ImageUnsupported: whether a file is whole cannot be told.
        """
        sitk = simpleitk(self.path)
        refuse_damaged(self)
        images: Iterable[Any] = map(read, self.slices)
        if self.components > 1:
            images = tuple(images)
        for component in range(self.components):
            for image in images:
                values = sitk.GetArrayViewFromImage(image).ravel()
                if self.dtype == _RGB:
                    values = values.view(_RGB)
                planes = values.reshape(-1, self.components)
                step = compression.PIECE // self.dtype.itemsize
                for start in range(0, len(planes), step):
                    yield planes[start : start + step, component].astype(self.dtype).tobytes()


def read_header(path: Path) -> ItkImageHeader:
    """Read the header of an image, and no voxels.

    A file whose name has none of the `SUFFIXES` is taken for DICOM: the image is that of all slices
    in its folder that are of its series (`SeriesInstanceUID`), or its own if it has several frames
    or is alone. Its values are those that ITK computes: with rescale slope and intercept.

    Three bytes a voxel are a colour in DICOM. In the other formats SimpleITK does not tell colours
    from vectors, and they are vectors; the hash is the same.

    Raises:
        ImageUnsupported: SimpleITK is not installed, NIfTI has no such voxels or axes, or a series
            is not of one image.
        ImageDamaged: SimpleITK cannot read the header, or a slice is missing or cannot be read.
        ImageError: there is no such file.
    """
    if not path.exists():
        raise ImageError(f"{path}: No such file or directory")
    is_dicom = not path.name.lower().endswith(SUFFIXES)
    slices, grid = find_series(path) if is_dicom else ((path,), grid_of(read_information(path)))
    if grid.voxel not in _TYPES or len(grid.size) > 4:
        raise ImageUnsupported(
            f"{path}: an image of {grid.voxel} with {len(grid.size)} axes, which is not read"
        )
    dtype = np.dtype(_TYPES[grid.voxel])
    if is_dicom and dtype == np.uint8 and grid.components == 3:
        # What is a vector in other formats is always colour in this one.
        grid, dtype = grid._replace(components=1), _RGB
    try:
        nifti = _nifti(path, grid, dtype)
        return ItkImageHeader(path, voxel_path(path), 0, dtype, nifti, slices)
    except ValueError as error:
        raise ImageUnsupported(f"{path}: {error}") from None


def _nifti(path: Path, grid: Grid, dtype: np.dtype[Any]) -> Nifti1Header:
    """Describe an image in a NIfTI header, its axes turned from LPS to RAS."""
    axes = len(grid.size)
    shape = list(grid.size)
    if grid.components > 1:
        shape += [1] * (4 - axes) + [grid.components]
    spatial = min(axes, 3)
    spacing = np.array(grid.spacing)
    affine = np.eye(4)
    direction = np.reshape(grid.direction, (axes, axes))[:spatial, :spatial]
    affine[:spatial, :spatial] = direction * spacing[:spatial]
    affine[:spatial, 3] = grid.origin[:spatial]
    affine[:2] *= -1
    refuse_sheared(affine[:3, :3], path)
    nifti = new_header(shape, dtype)
    nifti["pixdim"][1 : axes + 1] = spacing
    nifti.set_xyzt_units("mm")
    nifti.set_qform(affine, code="scanner")
    nifti.set_sform(affine, code="scanner")
    if grid.components > 1:
        nifti["intent_code"] = _VECTOR_INTENT
    return nifti

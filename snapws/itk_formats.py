"""MetaImage, NRRD, GIPL and VTK images, read through SimpleITK (extra ``formats``).

These formats are read as a whole: their voxels are in memory while they are streamed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from nibabel.nifti1 import Nifti1Header

from snapws import compression
from snapws.errors import ImageDamaged, ImageError, ImageUnsupported
from snapws.images import ImageHeader, new_header, refuse_sheared

#: Endings of the names of these images. DICOM is not among them: a file is one slice of many.
SUFFIXES = (".mha", ".mhd", ".nrrd", ".nhdr", ".gipl", ".gipl.gz", ".vtk")

_VECTOR_INTENT = 1007
_GIPL_HEADER = 256
_VTK_DATA = re.compile(
    rb"\nBINARY\s.*?\n(?:LOOKUP_TABLE|VECTORS|TENSORS|COLOR_SCALARS)[^\n]*\n", re.DOTALL
)
_TYPES = {
    **{f"{8 * size}-bit signed integer": f"<i{size}" for size in (1, 2, 4, 8)},
    **{f"{8 * size}-bit unsigned integer": f"<u{size}" for size in (1, 2, 4, 8)},
    **{f"{8 * size}-bit float": f"<f{size}" for size in (4, 8)},
    **{f"complex of {8 * size}-bit float": f"<c{2 * size}" for size in (4, 8)},
}


@dataclass(frozen=True)
class ItkImageHeader(ImageHeader):
    """The header of an image that SimpleITK reads; its voxels as they are stored in NIfTI."""

    def voxels(self) -> Iterator[bytes]:
        """Give the voxels little-endian, first axis fastest, the component of vectors slowest.

        Raises:
            ImageDamaged: the file holds fewer, or SimpleITK cannot read them.
        """
        self._refuse_short()
        sitk = _simpleitk(self.path)
        try:
            image = sitk.ReadImage(str(self.path))
        except RuntimeError as error:
            raise ImageDamaged(f"{self.path}: {_reason(error)}") from None
        values = sitk.GetArrayViewFromImage(image)
        planes = values.reshape(-1, self.components)
        step = compression.PIECE // self.dtype.itemsize
        for component in range(self.components):
            for start in range(0, len(planes), step):
                yield planes[start : start + step, component].astype(self.dtype).tobytes()

    def _refuse_short(self) -> None:
        """Refuse a file that is too short, where SimpleITK would fill up with zeros."""
        name = self.path.name.lower()
        try:
            with self.path.open("rb") as file:
                if ".gipl" in name:
                    found = sum(map(len, compression.pieces(file))) - _GIPL_HEADER
                elif name.endswith(".vtk"):
                    start = _VTK_DATA.search(file.read(compression.PIECE))
                    found = self.path.stat().st_size - start.end() if start else self.size
                else:
                    return
        except compression.GzipDamaged as error:
            raise ImageDamaged(f"{self.path}: {error}") from None
        except OSError as error:
            raise ImageError(f"{self.path}: {error.strerror}") from None
        if found < self.size:
            raise ImageDamaged(
                f"{self.path}: cut short, {self.size - found} of {self.size} bytes of voxels "
                "missing"
            )


def read_header(path: Path) -> ItkImageHeader:
    """Read the header of an image, and no voxels.

    Raises:
        ImageUnsupported: SimpleITK is not installed, or NIfTI has no such voxels or axes.
        ImageDamaged: SimpleITK cannot read the header.
        ImageError: there is no such file.
    """
    sitk = _simpleitk(path)
    if not path.exists():
        raise ImageError(f"{path}: No such file or directory")
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise ImageDamaged(f"{path}: {_reason(error)}") from None
    kind = sitk.GetPixelIDValueAsString(reader.GetPixelID()).removeprefix("vector of ")
    if kind not in _TYPES or reader.GetDimension() > 4:
        axes = reader.GetDimension()
        raise ImageUnsupported(f"{path}: an image of {kind} with {axes} axes, which is not read")
    dtype = np.dtype(_TYPES[kind])
    try:
        return ItkImageHeader(path, path, 0, dtype, _nifti(path, reader, dtype))
    except ValueError as error:
        raise ImageUnsupported(f"{path}: {error}") from None


def _nifti(path: Path, reader: Any, dtype: np.dtype[Any]) -> Nifti1Header:
    """Describe an image in a NIfTI header, its axes turned from LPS to RAS."""
    axes, components = reader.GetDimension(), reader.GetNumberOfComponents()
    shape = list(reader.GetSize())
    if components > 1:
        shape += [1] * (4 - axes) + [components]
    spatial = min(axes, 3)
    spacing = np.array(reader.GetSpacing())
    affine = np.eye(4)
    direction = np.reshape(reader.GetDirection(), (axes, axes))[:spatial, :spatial]
    affine[:spatial, :spatial] = direction * spacing[:spatial]
    affine[:spatial, 3] = reader.GetOrigin()[:spatial]
    affine[:2] *= -1
    refuse_sheared(affine[:3, :3], path)
    nifti = new_header(shape, dtype)
    nifti["pixdim"][1 : axes + 1] = spacing
    nifti.set_xyzt_units("mm")
    nifti.set_qform(affine, code="scanner")
    nifti.set_sform(affine, code="scanner")
    if components > 1:
        nifti["intent_code"] = _VECTOR_INTENT
    return nifti


def _simpleitk(path: Path) -> ModuleType:
    try:
        import SimpleITK as sitk  # noqa: N813 - its usual name
    except ImportError:
        raise ImageUnsupported(
            f"{path}: reading this format takes SimpleITK: pip install 'snapws[formats]'"
        ) from None
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    return sitk


def _reason(error: RuntimeError) -> str:
    """Give the words of a SimpleITK error without the places in its source."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    words = [line.partition("): ")[2] or line for line in lines if "ITK ERROR" in line]
    return (words or lines[-1:] or ["SimpleITK cannot read it"])[-1]

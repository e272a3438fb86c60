"""What SimpleITK is asked: the header of a file, and its voxels."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from snapws.errors import ImageDamaged, ImageUnsupported

# What reads them, by the ending of their name. It is not left to SimpleITK to choose by what is in
# the file: some formats that it would take name further files.
_READERS = {
    ".mha": "MetaImageIO",
    ".mhd": "MetaImageIO",
    ".nrrd": "NrrdImageIO",
    ".nhdr": "NrrdImageIO",
    ".gipl": "GiplImageIO",
    ".gipl.gz": "GiplImageIO",
    ".vtk": "VTKImageIO",
}

#: Endings of the names of these images. DICOM has none: its files are told by their content.
SUFFIXES = tuple(_READERS)


class Grid(NamedTuple):
    """Size and place of an image as ITK has them: in LPS mm, directions in rows of a matrix."""

    size: tuple[int, ...]
    spacing: tuple[float, ...]
    origin: tuple[float, ...]
    direction: tuple[float, ...]
    voxel: str
    components: int


def grid_of(reader: Any) -> Grid:
    """Give size and place of the image whose header a reader has read."""
    kind = simpleitk().GetPixelIDValueAsString(reader.GetPixelID())
    return Grid(
        reader.GetSize(),
        reader.GetSpacing(),
        reader.GetOrigin(),
        reader.GetDirection(),
        kind.removeprefix("vector of "),
        reader.GetNumberOfComponents() if kind.startswith("vector of ") else 1,
    )


def simpleitk(path: Path | str = "image") -> ModuleType:
    """Give SimpleITK, which keeps its warnings to itself.

    Raises:
        ImageUnsupported: it is not installed; the message names the file that needs it.
    """
    try:
        import SimpleITK as sitk  # noqa: N813 - its usual name
    except ImportError:
        raise ImageUnsupported(
            f"{path}: reading this format takes SimpleITK; run: pip install 'snapws[formats]' "
            "(in the checkout: '.[formats]')"
        ) from None
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    return sitk


def _reader(path: Path) -> Any:
    reader = simpleitk(path).ImageFileReader()
    name = path.name.lower()
    kinds = (kind for ending, kind in _READERS.items() if name.endswith(ending))
    reader.SetImageIO(next(kinds, "GDCMImageIO"))
    reader.SetFileName(str(path))
    return reader


def read_information(path: Path) -> Any:
    """Have SimpleITK read the header of one file.

    Raises:
        ImageDamaged: it cannot.
    """
    reader = _reader(path)
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise ImageDamaged(f"{path}: {_reason(error)}") from None
    return reader


def read(path: Path) -> Any:
    """Have SimpleITK read one file.

    Raises:
        ImageDamaged: it cannot.
    """
    try:
        return _reader(path).Execute()
    except RuntimeError as error:
        raise ImageDamaged(f"{path}: {_reason(error)}") from None


def _reason(error: RuntimeError) -> str:
    """Give the words of a SimpleITK error without the places in its source."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    last = (lines or ["SimpleITK cannot read it"])[-1]
    words = [line.partition("): ")[2] or line for line in lines if "ITK ERROR" in line]
    return last if last.startswith("[nrrd]") else (words or [last])[-1]

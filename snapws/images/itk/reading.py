"""What SimpleITK is asked: headers in our words, and files that it decodes."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any, NamedTuple

from snapws.errors import ImageDamaged, ImageError, ImageUnsupported
from snapws.extras import install_hint
from snapws.images.itk.stored import Stored

# What reads a header in our words, by its ending; it is not left to SimpleITK to choose.
_READERS = {
    ".mha": "MetaImageIO",
    ".nrrd": "NrrdImageIO",
    ".gipl": "GiplImageIO",
    ".vtk": "VTKImageIO",
}
DICOM = "GDCMImageIO"
"""What reads DICOM files."""

_SILENCE = threading.Lock()


class Grid(NamedTuple):
    """Size and place of an image as ITK has them: in LPS mm, directions in rows of a matrix."""

    size: tuple[int, ...]
    spacing: tuple[float, ...]
    origin: tuple[float, ...]
    direction: tuple[float, ...]
    voxel: str
    components: int


def grid_of(reader: Any) -> Grid:
    """Return size and place of the image whose header a reader has read."""
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
    """Import SimpleITK, and have it keep its warnings to itself.

    Raises:
        ImageUnsupported: It is not installed; the message names the file that needs it.
    """
    try:
        import SimpleITK as sitk  # noqa: N813 - its usual name
    except ImportError:
        raise ImageUnsupported(
            f"{path}: this format needs SimpleITK; {install_hint('formats')}"
        ) from None
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    return sitk


def described(stored: Stored) -> Any:
    """Have SimpleITK read a header in our words, and no file of the image's own.

    Raises:
        ImageDamaged: It cannot.
        ImageError: There is no room for a temporary file.
    """
    simpleitk(stored.path)
    try:
        with TemporaryDirectory(prefix="snapws-") as folder:
            file = Path(folder, f"header{stored.ending}")
            file.write_bytes(stored.header)
            return _information(file, _READERS[stored.ending], stored.path)
    except OSError as error:
        raise ImageError(
            f"{stored.path}: its header cannot be written to a temporary folder: {error.strerror}"
        ) from None


def read_information(path: Path, kind: str = DICOM) -> Any:
    """Have SimpleITK read the header of one file.

    Raises:
        ImageDamaged: It cannot.
    """
    with _silence(kind):
        return _information(path, kind, path)


def _information(file: Path, kind: str, path: Path) -> Any:
    reader = _reader(file, kind)
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise ImageDamaged(f"{path}: {_reason(error)}") from None
    return reader


def read(path: Path, kind: str = DICOM) -> Any:
    """Have SimpleITK read one file.

    Raises:
        ImageDamaged: It cannot.
    """
    try:
        with _silence(kind):
            return _reader(path, kind).Execute()
    except RuntimeError as error:
        raise ImageDamaged(f"{path}: {_reason(error)}") from None


@contextmanager
def _silence(kind: str) -> Iterator[None]:
    """Keep what the decoders of PNG, JPEG and TIFF write to standard error to themselves.

    They know no other way to tell, and their errors come back as such. The whole process writes to
    nowhere meanwhile.
    """
    if kind == DICOM:
        yield
        return
    with _SILENCE:
        try:
            kept = os.dup(2)
        except OSError:  # it is closed
            yield
            return
        try:
            with Path(os.devnull).open("wb") as nowhere:
                os.dup2(nowhere.fileno(), 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def _reader(file: Path, kind: str) -> Any:
    reader = simpleitk(file).ImageFileReader()
    reader.SetImageIO(kind)
    reader.SetFileName(str(file))
    return reader


def _reason(error: RuntimeError) -> str:
    """Return the words of a SimpleITK error without the places in its source."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    last = (lines or ["SimpleITK cannot read it"])[-1]
    words = [line.partition("): ")[2] or line for line in lines if "ITK ERROR" in line]
    return last if last.startswith("[nrrd]") else (words or [last])[-1]

"""Calls of SimpleITK, for headers that we rewrote and for files that it decodes."""

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

# SimpleITK's readers of rewritten headers, by ending, so that SimpleITK does not choose one itself.
_READERS = {
    ".mha": "MetaImageIO",
    ".nrrd": "NrrdImageIO",
    ".gipl": "GiplImageIO",
    ".vtk": "VTKImageIO",
}
DICOM = "GDCMImageIO"
"""The name of SimpleITK's reader of DICOM files."""

_SILENCE = threading.Lock()


class Grid(NamedTuple):
    """Size and position of an image in ITK: in LPS mm, the directions as a matrix by rows."""

    size: tuple[int, ...]
    spacing: tuple[float, ...]
    origin: tuple[float, ...]
    direction: tuple[float, ...]
    voxel: str
    components: int


def grid_of(reader: Any) -> Grid:
    """Return size and position of an image, from a reader that read its header."""
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
    """Import SimpleITK, and turn off its warnings.

    Raises:
        ImageUnsupported: SimpleITK is not installed; the message names the file.
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
    """Read a rewritten header with SimpleITK, which opens no file of the image itself.

    Raises:
        ImageDamaged: SimpleITK cannot read the header.
        ImageError: The temporary file cannot be written.
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
    """Read the header of one file with SimpleITK.

    Raises:
        ImageDamaged: SimpleITK cannot read it.
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
    """Read one file with SimpleITK.

    Raises:
        ImageDamaged: SimpleITK cannot read it.
    """
    try:
        with _silence(kind):
            return _reader(path, kind).Execute()
    except RuntimeError as error:
        raise ImageDamaged(f"{path}: {_reason(error)}") from None


@contextmanager
def _silence(kind: str) -> Iterator[None]:
    """Discard the warnings that decoders of PNG, JPEG and TIFF print to standard error.

    They have no other way to warn; their errors become exceptions. Meanwhile, standard error of the
    whole process is discarded.
    """
    if kind == DICOM:
        yield
        return
    with _SILENCE:
        try:
            kept = os.dup(2)
        except OSError:  # standard error is closed
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
    """Return the text of a SimpleITK error without the lines of its source."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    last = (lines or ["SimpleITK cannot read it"])[-1]
    words = [line.partition("): ")[2] or line for line in lines if "ITK ERROR" in line]
    return last if last.startswith("[nrrd]") else (words or [last])[-1]

"""Calls of SimpleITK, for headers that we rewrote and for files that it decodes."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from snapws.errors import ImageDamaged, ImageError
from snapws.images.itk.stored import Stored
from snapws.simpleitk import simpleitk

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

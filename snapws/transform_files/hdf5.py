"""ITK transforms in HDF5, which SimpleITK reads, in a process of its own."""

from __future__ import annotations

import json
import sys
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from snapws.errors import ImageUnsupported, InvalidValue, TextFileError, WorkspaceError
from snapws.hdf5 import process, structure
from snapws.simpleitk import simpleitk
from snapws.text import excerpt
from snapws.transform_files import itk
from snapws.transforms import Matrix, checked, swap_axes


def read(data: bytes, path: str | Path) -> Matrix:
    """Read a file as a RAS matrix.

    Raises:
        TextFileError: It is damaged, has its reader open other files, or is not of one linear
            transform in 3-D.
        WorkspaceError: SimpleITK is not installed, or there is no room for a temporary file.
    """
    try:
        simpleitk(path)
    except ImageUnsupported:
        raise itk.no_library(path, "an ITK transform in HDF5") from None
    try:
        structure.refuse_other_files(BytesIO(data))
    except (structure.OutsideError, structure.InvalidError) as error:
        raise TextFileError(f"{path}: SimpleITK cannot read a transform in it: {error}") from None
    answer = _ask(data, path)
    if answer["dimension"] != 3 or not answer["is_linear"]:
        raise itk.not_linear(path, excerpt(str(answer["kind"])))
    try:
        return checked(swap_axes(answer["lps"]))
    except InvalidValue as error:
        raise TextFileError(f"{path}: {error}") from None


def print_transform(file: str) -> None:
    """Print the transform that SimpleITK reads in a file, as JSON."""
    transform = simpleitk().ReadTransform(file)
    dimension, is_linear = transform.GetDimension(), transform.IsLinear()
    answer = {
        "dimension": dimension,
        "is_linear": is_linear,
        "kind": transform.GetName(),
        "lps": itk.evaluated(transform) if dimension == 3 and is_linear else [],
    }
    sys.stdout.write(json.dumps(answer))


def _ask(data: bytes, path: str | Path) -> dict[str, Any]:
    try:
        with TemporaryDirectory(prefix="snapws-") as folder:
            file = Path(folder, "transform.h5")
            file.write_bytes(data)
            with process.answer(__name__, print_transform.__name__, str(file)) as printed:
                answer: dict[str, Any] = json.load(printed)
    except OSError as error:
        raise WorkspaceError(
            f"{path}: it cannot be copied to a temporary folder: {error.strerror}"
        ) from None
    except (process.ProcessError, ValueError):
        raise TextFileError(f"{path}: SimpleITK cannot read a transform in it") from None
    return answer

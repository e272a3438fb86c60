"""MINC 2 images, which are HDF5: SimpleITK reads them in a separate process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from snapws.errors import ImageDamaged, ImageError, ImageUnsupported
from snapws.hdf5 import SIGNATURE, process, structure
from snapws.hdf5 import minc as answers
from snapws.images import voxel_files
from snapws.simpleitk import Grid, simpleitk

ENDING = ".mnc"

REMARK = (
    "ITK-SNAP opens MINC only where its ITK was built with it, and takes the file's mm for LPS, "
    "half a turn about z from where nibabel and the MINC tools put it: to have all agree, convert "
    "it to NIfTI"
)
"""Remarks for users on every MINC image."""

_NETCDF = b"CDF"


def read_grid(path: Path) -> Grid:
    """Read size and position of an image, after checking that its file refers to no other.

    Raises:
        ImageUnsupported: The file is MINC 1, or refers to other files; or SimpleITK is not
            installed, or was built without MINC.
        ImageDamaged: The file is truncated, or SimpleITK cannot read it.
        ImageError: The file cannot be read.
    """
    _refuse(path)
    try:
        with process.answer(answers.__name__, answers.print_grid.__name__, str(path)) as printed:
            size, spacing, origin, direction, voxel, components = json.load(printed)
    except (process.ProcessError, ValueError):
        raise _unread(path) from None
    except OSError as error:
        raise ImageError(f"{path}: SimpleITK cannot be run on it: {error}") from None
    return Grid(
        tuple(size), tuple(spacing), tuple(origin), tuple(direction), voxel, int(components)
    )


def read_values(path: Path, dtype: np.dtype[Any], size: int) -> npt.NDArray[Any]:
    """Read the voxels of an image, with interleaved components.

    Args:
        path: The file.
        dtype: The type of a number.
        size: The size of the voxels by the header, in bytes.

    Raises:
        ImageUnsupported: As for `read_grid`.
        ImageDamaged: The file has too few or too many voxels, or SimpleITK cannot read it.
        ImageError: The file cannot be read.
    """
    _refuse(path)
    values = np.empty(size // dtype.itemsize, dtype)
    try:
        with process.answer(
            answers.__name__, answers.print_values.__name__, str(path), size
        ) as printed:
            count = printed.readinto(values.data.cast("B"))  # type: ignore[attr-defined]
            if count != size or printed.read(1):
                raise ImageDamaged(f"{path}: the number of voxels is not that of the header")
    except process.ProcessError:
        raise _unread(path) from None
    except OSError as error:
        raise ImageError(f"{path}: SimpleITK cannot be run on it: {error}") from None
    return values


def _refuse(path: Path) -> None:
    with voxel_files.open_regular(path) as file:
        start = file.read(len(SIGNATURE))
        if start.startswith(_NETCDF):
            raise ImageUnsupported(
                f"{path}: MINC 1 is not supported: convert it with mincconvert -2, or to NIfTI "
                "with mnc2nii"
            )
        if start != SIGNATURE:
            raise ImageDamaged(f"{path}: it has the name of a MINC file, but other content")
        if answers.READER not in simpleitk(path).ImageFileReader().GetRegisteredImageIOs():
            raise ImageUnsupported(
                f"{path}: this SimpleITK was built without MINC: convert it to NIfTI (mnc2nii)"
            )
        try:
            structure.refuse_other_files(file)
        except structure.OutsideError as error:
            raise ImageUnsupported(
                f"{path}: {error}: no file is taken from elsewhere; convert it to NIfTI (mnc2nii)"
            ) from None
        except structure.InvalidError as error:
            raise ImageDamaged(f"{path}: {error}") from None
        except OSError as error:
            raise ImageError(f"{path}: {error.strerror or error}") from None


def _unread(path: Path) -> ImageDamaged:
    return ImageDamaged(f"{path}: SimpleITK cannot read an image in it: it is corrupt, or not MINC")

"""Matrices of FLIRT: from the moving image's voxels in mm to those of the reference.

FSL measures both from the corner of the image, along its axes, and counts x from the other end in
an image that is not radiological (FSL's documentation, "FLIRT/FAQ" and "Orientation explained").
So a matrix means nothing without the two images.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from snapws.transforms import Matrix

if TYPE_CHECKING:
    from snapws.transform_files.grids import Array, Grid

#: Names of FLIRT matrices that FSL's programs write, or that contain the word.
_NAMES = re.compile(
    r"flirt|fsl|(^|[^a-z])(feat|melodic|bbr)([^a-z]|$)"
    r"|^(example_func|highres|standard|initial_highres|diff|str|struct|nodif)\w*2\w+\.mat$"
    r"|^MAT_\d{4}$",
    re.IGNORECASE,
)
#: Names of neighbouring files and of parent folders that only FSL's programs make.
_NEIGHBOURS = re.compile(r"flirt|^design\.(fsf|mat|con)$|\.ecclog$|^MAT_\d{4}$", re.IGNORECASE)
_FOLDERS = re.compile(r"\.(feat|gfeat|ica|anat|bedpostX)$|flirt|fsl", re.IGNORECASE)

# FLIRT writes two blanks behind each number, also behind the last of a line.
_ROWS = re.compile(rb"(\s*([-+.\deE]+  ){4}\r?\n){4}\s*")


def to_ras(matrix: Matrix, moving: Grid, reference: Grid) -> Array:
    """Convert a FLIRT matrix to the map from the reference to the moving image, both in RAS mm."""
    inverse = np.linalg.inv(np.array(matrix))
    return _from_fsl(moving) @ inverse @ np.linalg.inv(_from_fsl(reference))


def from_ras(ras: Array, moving: Grid, reference: Grid) -> Array:
    """Convert the map from the reference to the moving image, both in RAS mm, to a FLIRT matrix."""
    inverse = np.linalg.inv(ras)
    return np.linalg.inv(_from_fsl(reference)) @ inverse @ _from_fsl(moving)


def hint(path: Path, data: bytes) -> str:
    """Return a sign that FLIRT wrote a file: its format, name or neighbours; empty without one."""
    if _ROWS.fullmatch(data):
        return "it is written as FLIRT writes"
    if _NAMES.search(path.name):
        return "its name says FLIRT"
    place = path.absolute()
    if named := next((one.name for one in place.parents[:3] if _FOLDERS.search(one.name)), ""):
        return f"it is in the folder {named}"
    if found := sorted(name for name in _names(place.parent) if _NEIGHBOURS.search(name)):
        return f"{found[0]} is beside it"
    return ""


def _from_fsl(grid: Grid) -> Array:
    """Return the 4x4 matrix from FSL's mm of an image to its RAS mm."""
    scale = np.diag([*grid.sizes, 1.0])
    if grid.is_mirrored:
        scale[0] = [-grid.sizes[0], 0, 0, (grid.shape[0] - 1) * grid.sizes[0]]
    return np.asarray(grid.affine @ np.linalg.inv(scale))


def _names(folder: Path) -> Iterable[str]:
    try:
        return [one.name for one in folder.iterdir()]
    except OSError:  # a folder that cannot be listed gives no sign
        return []

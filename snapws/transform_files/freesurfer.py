"""Transforms of FreeSurfer: LTA, and ``register.dat`` of tkregister.

An LTA holds the grids of both of its volumes, and maps points of the source to points of the
destination, in RAS mm or in voxels. ``register.dat`` maps FreeSurfer's mm of the reference (the
anatomical scan) to FreeSurfer's mm of the moving image (the functional one). These are millimetres
from the middle of the image along its axes: x to the left, y to the top and z to the front of a
volume of FreeSurfer (its documentation, "CoordinateSystems").
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from snapws import geometry
from snapws.errors import TextFileError
from snapws.registry.fields import format_number
from snapws.text import excerpt

if TYPE_CHECKING:
    from snapws.transform_files.grids import Array, Grid

_VOXELS, _RAS = "0", "1"
_GEOMETRY = ("volume", "voxelsize", "xras", "yras", "zras", "cras")
# NiTransforms writes the right matrix, but exchanges the names of the two volumes.
_EXCHANGED = "created by NiTransforms"


@dataclass(frozen=True)
class Volume:
    """The grid of a volume in an LTA.

    Attributes:
        shape: Voxels along x, y, z.
        sizes: Sizes of a voxel, in mm.
        affine: 4x4, from voxel indices to RAS mm.
    """

    shape: tuple[float, ...]
    sizes: tuple[float, ...]
    affine: Array

    def is_of(self, grid: Grid) -> bool:
        """Return whether an image has this grid; its corners may differ by a tenth of a voxel."""
        if self.shape != grid.shape:
            return False
        apart = np.linalg.norm(geometry.corners(grid.shape) @ (self.affine - grid.affine).T, axis=1)
        return bool(apart.max() < 0.1 * min(grid.sizes))


@dataclass(frozen=True)
class Lta:
    """The content of an LTA file.

    Attributes:
        ras: 4x4, from RAS mm of the source to RAS mm of the destination.
        source: The grid of the moving image; None if the file has none.
        destination: The grid of the reference.
    """

    ras: Array
    source: Volume | None
    destination: Volume | None

    def is_reversed(self, moving: Grid, reference: Grid) -> bool:
        """Return whether the file's source and destination are the two images, swapped."""
        if self.source is None or self.destination is None:
            return False
        is_right = self.source.is_of(moving) and self.destination.is_of(reference)
        return not is_right and self.source.is_of(reference) and self.destination.is_of(moving)


def is_lta(words: str) -> bool:
    """Return whether a text is an LTA file."""
    return re.search(r"^\s*nxforms\s*=", words[:4000], re.MULTILINE) is not None


def is_register_dat(words: str) -> bool:
    """Return whether a text is a ``register.dat``: four lines, a matrix, and a rounding mode."""
    counts = [len(line.split()) for line in words.splitlines() if line.strip()]
    return counts[:8] == [1, 1, 1, 1, 4, 4, 4, 4] and len(counts) <= 9


def parse_lta(words: str, path: str | Path) -> Lta:
    """Read an LTA file.

    Raises:
        TextFileError: The file is corrupt, holds several transforms, or its type is unknown.
    """
    lines = [line.partition("#")[0].strip() for line in words.splitlines()]
    lines = [line for line in lines if line]
    before, matrix, after = _around_matrix(lines, path)
    fields = dict(_entry(line) for line in before)
    if fields.get("nxforms") != "1":
        raise TextFileError(f"{path}: holds several transforms; a layer has one")
    volumes = _volumes(after, path)
    source, destination = volumes.get("src"), volumes.get("dst")
    ras = _in_ras(matrix, fields.get("type", ""), source, destination, path)
    if _EXCHANGED in words[:400]:
        source = destination = None
    return Lta(ras, source, destination)


def parse_register_dat(words: str, path: str | Path) -> Array:
    """Read the matrix of a ``register.dat``.

    Raises:
        TextFileError: The file does not hold finite numbers.
    """
    lines = [line for line in words.splitlines() if line.strip()]
    return _matrix(lines[4:8], path)


def from_register_dat(matrix: Array, moving: Grid, reference: Grid) -> Array:
    """Convert the matrix to the map from RAS mm of the reference to RAS mm of the moving image."""
    to_moving = moving.affine @ np.linalg.inv(own_mm(moving.shape, moving.sizes))
    from_reference = own_mm(reference.shape, reference.sizes) @ np.linalg.inv(reference.affine)
    return np.asarray(to_moving @ matrix @ from_reference)


def to_lta(ras: Array, moving: Grid, reference: Grid) -> str:
    """Return an LTA file for the map from RAS mm of the reference to RAS mm of the moving image."""
    matrix = np.linalg.inv(ras)
    rows = [" ".join(format_number(float(value)) for value in row) for row in matrix]
    return "\n".join(
        [
            "# transform file written by snapws",
            "type      = 1 # LINEAR_RAS_TO_RAS",
            "nxforms   = 1",
            "mean      = 0.0000 0.0000 0.0000",
            "sigma     = 1.0000",
            "1 4 4",
            *rows,
            *_volume_lines("src", moving),
            *_volume_lines("dst", reference),
            "subject unknown",
            "fscale 0.100000",
            "",
        ]
    )


def own_mm(shape: tuple[float, ...], sizes: tuple[float, ...]) -> Array:
    """Return the 4x4 matrix from voxel indices to FreeSurfer's own mm.

    >>> own_mm((256, 256, 256), (1, 1, 1)) @ [0, 0, 0, 1]
    array([ 128., -128.,  128.,    1.])
    """
    half = [n * size / 2 for n, size in zip(shape, sizes, strict=True)]
    return np.array(
        [
            [-sizes[0], 0, 0, half[0]],
            [0, 0, sizes[2], -half[2]],
            [0, -sizes[1], 0, half[1]],
            [0, 0, 0, 1],
        ],
        dtype=np.float64,
    )


def _in_ras(
    matrix: Array, kind: str, source: Volume | None, destination: Volume | None, path: str | Path
) -> Array:
    if kind == _RAS:
        return matrix
    if kind != _VOXELS:
        raise TextFileError(
            f"{path}: an LTA of type {excerpt(kind) or 'none'}, not of voxels or RAS: convert it "
            "with lta_convert --outlta"
        )
    if source is None or destination is None:
        raise TextFileError(
            f"{path}: an LTA of voxels needs the geometry of both volumes, which is not in it"
        )
    return np.asarray(destination.affine @ matrix @ np.linalg.inv(source.affine))


def _around_matrix(lines: list[str], path: str | Path) -> tuple[list[str], Array, list[str]]:
    try:
        at = lines.index("1 4 4")
    except ValueError:
        raise TextFileError(f"{path}: an LTA without a 4x4 matrix") from None
    return lines[:at], _matrix(lines[at + 1 : at + 5], path), lines[at + 5 :]


def _matrix(lines: list[str], path: str | Path) -> Array:
    rows = [_numbers(line, path) for line in lines]
    if [len(row) for row in rows] != [4, 4, 4, 4]:
        raise TextFileError(f"{path}: it is cut short: a 4x4 matrix has 16 numbers")
    return np.array(rows)


def _volumes(lines: list[str], path: str | Path) -> dict[str, Volume]:
    found: dict[str, dict[str, str]] = {}
    fields: dict[str, str] = {}
    for line in lines:
        if line.endswith("volume info"):
            fields = found.setdefault(line.split()[0], {})
        else:
            name, value = _entry(line)
            fields.setdefault(name, value)
    return {
        name: _volume(fields, path)
        for name, fields in found.items()
        if fields.get("valid", "").split()[:1] == ["1"]
    }


def _volume(fields: dict[str, str], path: str | Path) -> Volume:
    values = [_numbers(fields.get(name, ""), path) for name in _GEOMETRY]
    if any(len(one) != 3 for one in values):
        raise TextFileError(f"{path}: it is cut short: the geometry of a volume is missing")
    shape, sizes, *axes, center = (np.array(one) for one in values)
    affine = np.eye(4)
    affine[:3, :3] = np.array(axes).T * sizes
    affine[:3, 3] = center - affine[:3, :3] @ (shape / 2)
    if abs(np.linalg.det(affine)) < 1e-9:
        raise TextFileError(f"{path}: the geometry of a volume has no size along an axis")
    return Volume(tuple(shape.tolist()), tuple(sizes.tolist()), affine)


def _volume_lines(name: str, grid: Grid) -> list[str]:
    directions = grid.affine[:3, :3] / np.array(grid.sizes)
    center = grid.affine[:3, 3] + grid.affine[:3, :3] @ (np.array(grid.shape) / 2)
    vectors = [grid.shape, grid.sizes, *directions.T.tolist(), center.tolist()]
    lines = [
        f"{key} = {' '.join(format_number(float(value)) for value in vector)}"
        for key, vector in zip(_GEOMETRY, vectors, strict=True)
    ]
    file = excerpt(grid.path.name)
    return [f"{name} volume info", "valid = 1  # volume info valid", f"filename = {file}", *lines]


def _entry(line: str) -> tuple[str, str]:
    name, _, value = line.partition("=")
    return name.strip(), value.strip()


def _numbers(words: str, path: str | Path) -> list[float]:
    try:
        numbers = [float(word) for word in words.split()]
    except ValueError:
        raise TextFileError(f"{path}: holds something that is not a number") from None
    if not all(map(math.isfinite, numbers)):
        raise TextFileError(f"{path}: a transform's elements are finite numbers")
    return numbers

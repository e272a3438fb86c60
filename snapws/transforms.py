"""Affine transforms of layers: RAS in this package, LPS in the workspace file.

A transform maps points of the main image to points of the layer, both in RAS mm, as ``c3d`` and
``greedy`` write it. The registry (and ITK's transform files) hold the same map in LPS mm. A matrix
is four rows of four floats, so that reading one needs no array library.

>>> from snapws.registry import Registry
>>> folder = Registry()
>>> write(folder, checked([[1, 0, 0, 5], [0, 1, 0, 0], [0, 0, 1, 2], [0, 0, 0, 1]]))
>>> folder["Offset.Element[0]"], folder["Offset.Element[2]"]  # 5 mm to the right is -5 in LPS
('-5', '2')
>>> read(folder)[0]
(1.0, 0.0, 0.0, 5.0)
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from snapws.errors import InvalidValue, TextFileError
from snapws.registry import Registry
from snapws.registry.fields import format_number

Matrix = tuple[tuple[float, ...], ...]

IDENTITY: Matrix = tuple(tuple(float(i == j) for j in range(4)) for i in range(4))

#: The signs that turn a point in RAS into LPS, or back.
RAS_LPS = (-1.0, -1.0, 1.0)

#: How far the last row of a matrix may differ from 0 0 0 1: some programs round it.
_NEARLY = 1e-6

#: The volume of the box of a matrix' rows, each made of length 1, below which it has no inverse:
#: above rounding, and far below the results of registrations.
_FLAT = 1e-12


def read(folder: Registry | None) -> Matrix:
    """Read the transform of a layer's ``ImageTransform`` folder, in RAS.

    A missing element has the value of the identity matrix. Without ``IsIdentity``, ITK-SNAP uses no
    matrix (see `unused`). A missing folder is the identity.

    Raises:
        InvalidValue: An element, or ``IsIdentity``, is not a number.
    """
    if folder is None or _is_identity(folder):
        return swap_axes(IDENTITY)
    return _stored(folder)


def unused(folder: Registry | None) -> bool:
    """Return whether a folder holds a matrix but no ``IsIdentity``: ITK-SNAP ignores the matrix.

    Raises:
        InvalidValue: An element is not a number.
    """
    if folder is None or folder.get("IsIdentity"):
        return False
    return _stored(folder) != swap_axes(IDENTITY)


def _is_identity(folder: Registry) -> bool:
    return _element(folder, "IsIdentity", 1.0) != 0


def _stored(folder: Registry) -> Matrix:
    lps = [list(row) for row in IDENTITY]
    for i in range(3):
        for j in range(3):
            lps[i][j] = _element(folder, f"Matrix.Element[{i}][{j}]", lps[i][j])
        lps[i][3] = _element(folder, f"Offset.Element[{i}]", 0.0)
    return swap_axes(lps)


def write(folder: Registry, ras: Matrix) -> None:
    """Write a RAS transform to a layer's ``ImageTransform`` folder, each number exactly."""
    if ras == IDENTITY:
        folder["IsIdentity"] = "1"
        return
    folder["IsIdentity"] = "0"
    lps = swap_axes(ras)
    for i in range(3):
        for j in range(3):
            folder[f"Matrix.Element[{i}][{j}]"] = format_number(lps[i][j])
        folder[f"Offset.Element[{i}]"] = format_number(lps[i][3])


def checked(rows: Iterable[Iterable[float]]) -> Matrix:
    """Return `rows` as the matrix of an invertible affine transform.

    Raises:
        InvalidValue: The rows are not 4x4, not finite, have no inverse, or the last row is not
            0 0 0 1 to a millionth.
    """
    matrix = tuple(tuple(float(value) for value in row) for row in rows)
    if [len(row) for row in matrix] != [4, 4, 4, 4]:
        raise InvalidValue("a transform is a 4x4 matrix")
    if not all(math.isfinite(value) for row in matrix for value in row):
        raise InvalidValue("a transform's elements are finite numbers")
    if any(abs(a - b) > _NEARLY for a, b in zip(matrix[3], IDENTITY[3], strict=True)):
        last = " ".join(f"{value:g}" for value in matrix[3])
        raise InvalidValue(f"an affine transform's last row is 0 0 0 1, not {last}")
    matrix = (*matrix[:3], IDENTITY[3])
    if not has_inverse(matrix):
        raise InvalidValue(
            "the matrix has no inverse: it flattens space, and no image is so placed"
        )
    return matrix


def has_inverse(matrix: Matrix) -> bool:
    """Return whether the linear part of a matrix can be inverted, whatever its scale.

    >>> has_inverse(((1, 0, 0, 0), (2, 0, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)))
    False
    """
    a, b, c = ([float(value) for value in row[:3]] for row in matrix[:3])
    lengths = [math.hypot(*row) for row in (a, b, c)]
    if not all(0 < length < math.inf for length in lengths):
        return False
    a, b, c = (
        [value / length for value in row] for row, length in zip((a, b, c), lengths, strict=True)
    )
    volume = (
        a[0] * (b[1] * c[2] - b[2] * c[1])
        - a[1] * (b[0] * c[2] - b[2] * c[0])
        + a[2] * (b[0] * c[1] - b[1] * c[0])
    )
    return abs(volume) > _FLAT


def parse(words: str, path: str | Path) -> Matrix:
    """Read 16 numbers as the rows of a matrix.

    Raises:
        TextFileError: There are more or fewer numbers, or they are not an affine transform.
    """
    try:
        numbers = [_number(word) for word in words.split()]
    except ValueError:
        raise TextFileError(f"{path}: holds something that is not a number") from None
    if len(numbers) != 16:
        raise TextFileError(f"{path}: a 4x4 matrix has 16 numbers, the file has {len(numbers)}")
    try:
        return checked(numbers[i : i + 4] for i in range(0, 16, 4))
    except InvalidValue as error:
        raise TextFileError(f"{path}: {error}") from None


def _number(word: str) -> float:
    """Convert a text to a number as C does: digits of other scripts and ``1_000`` are invalid."""
    if "_" in word or not word.isascii():
        raise ValueError(word)
    return float(word)


def format_file(ras: Iterable[Iterable[float]]) -> str:
    """Return a matrix as text, one row per line, as ``c3d`` and ``greedy`` write it."""
    return "".join(" ".join(map(format_number, row)) + "\n" for row in ras)


def swap_axes(matrix: Sequence[Sequence[float]]) -> Matrix:
    """Convert a matrix from RAS to LPS or back: the first two axes are reversed."""
    sign = (*RAS_LPS, 1.0)
    rows = [
        tuple(-value if sign[i] != sign[j] else value for j, value in enumerate(row))
        for i, row in enumerate(matrix[:3])
    ]
    return (*rows, IDENTITY[3])


def _element(folder: Registry, key: str, default: float) -> float:
    stored = folder.get(key, "")
    try:
        value = float(stored) if stored else default
        if math.isfinite(value):
            return value
    except ValueError:
        pass
    raise InvalidValue(f"the transform's {key} holds {stored!r}, not a finite number")

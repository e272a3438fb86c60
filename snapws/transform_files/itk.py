"""Linear transforms of ITK: the text format, and the meaning of the parameters of each type.

ITK maps points of the fixed image to points of the moving one, in LPS mm. A matrix M, a translation
t and a centre c mean ``M (x - c) + c + t``. A composite applies its last member first. Matrices and
translations are computed here. SimpleITK computes rotations, scales and similarities from a new
file with checked numbers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from functools import reduce
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from snapws.errors import ImageUnsupported, InvalidValue, TextFileError, WorkspaceError
from snapws.extras import install_hint
from snapws.registry.fields import format_number
from snapws.text import excerpt
from snapws.transforms import IDENTITY, Matrix, checked, swap_axes

SIGNATURE = "#Insight Transform File"

#: Types with the nine numbers of a matrix and a translation as parameters.
_MATRICES = (
    "AffineTransform",
    "MatrixOffsetTransformBase",
    "FixedCenterOfRotationAffineTransform",
    "Rigid3DTransform",
)

#: Types that SimpleITK computes, and how many parameters they have.
_COMPUTED = {
    "Euler3DTransform": 6,
    "QuaternionRigidTransform": 7,
    "ScaleLogarithmicTransform": 3,
    "ScaleSkewVersor3DTransform": 15,
    "ScaleTransform": 3,
    "ScaleVersor3DTransform": 9,
    "Similarity3DTransform": 7,
    "VersorRigid3DTransform": 6,
    "VersorTransform": 3,
}

#: Types with the centre in their parameters: the number of parameters before it, and the type
#: without it.
_CENTERED = {
    "CenteredAffineTransform": ("AffineTransform", 9),
    "CenteredEuler3DTransform": ("Euler3DTransform", 3),
}

_COMPOSITE = "CompositeTransform"
_MAX_MEMBERS = 1000

# A power of two adds no rounding.
_FAR = 1024.0


class Record(NamedTuple):
    """One transform in a file: type, parameters, and fixed parameters."""

    type: str
    parameters: tuple[float, ...]
    fixed: tuple[float, ...]


def parse_text(words: str, path: str | Path) -> list[Record]:
    """Read the records of a text file.

    Raises:
        TextFileError: A line is invalid, or a number is not finite.
    """
    found: list[dict[str, str]] = []
    for line in words.splitlines():
        name, colon, value = line.partition(":")
        if line.startswith("#") or not colon:
            if line.strip() and not line.startswith("#"):
                raise TextFileError(f"{path}: holds a line that is not of an ITK transform file")
        elif name == "Transform":
            found.append({name: value.strip()})
        elif name not in ("Parameters", "FixedParameters") or not found or name in found[-1]:
            raise TextFileError(
                f"{path}: an ITK transform has one type, Parameters and FixedParameters: "
                "a line is out of place"
            )
        else:
            found[-1][name] = value
    return [
        Record(
            one["Transform"],
            _numbers(one.get("Parameters", ""), path),
            _numbers(one.get("FixedParameters", ""), path),
        )
        for one in found
    ]


def to_ras(records: Sequence[Record], path: str | Path) -> Matrix:
    """Convert the records of a file to one RAS matrix.

    Raises:
        TextFileError: The records are not one linear transform in 3-D, or numbers are missing.
        WorkspaceError: SimpleITK is needed and not installed.
    """
    if not records:
        raise TextFileError(f"{path}: an ITK transform of type none, not a linear one in 3-D")
    first, *members = records
    if _is_composite(first):
        if first.parameters or not 0 < len(members) <= _MAX_MEMBERS:
            raise TextFileError(
                f"{path}: a composite ITK transform without its members: a .mat file cannot hold "
                "them; save it as .txt or .h5"
            )
    elif members:
        raise TextFileError(f"{path}: holds several transforms; a layer has one")
    lps = reduce(product, (_to_lps(one, path) for one in members or [first]))
    try:
        return checked(swap_axes(lps))
    except InvalidValue as error:
        raise TextFileError(f"{path}: {error}") from None


def to_text(ras: Matrix) -> str:
    """Return a RAS matrix as the text file of an affine transform, which all programs read well."""
    lps = swap_axes(ras)
    numbers = [lps[i][j] for i in range(3) for j in range(3)] + [lps[i][3] for i in range(3)]
    return _text(Record("AffineTransform_double_3_3", tuple(numbers), (0.0, 0.0, 0.0)))


def product(first: Sequence[Sequence[float]], second: Sequence[Sequence[float]]) -> Matrix:
    """Return the matrix product. It applies `second` to a point first.

    >>> product(IDENTITY, IDENTITY) == IDENTITY
    True
    """
    return tuple(
        tuple(sum(first[i][k] * second[k][j] for k in range(4)) for j in range(4)) for i in range(4)
    )


def evaluated(transform: Any) -> Matrix:
    """Return the LPS matrix of a linear transform of SimpleITK, computed from four points."""
    origin = transform.TransformPoint((0.0, 0.0, 0.0))
    ends = [transform.TransformPoint([_FAR * (i == j) for i in range(3)]) for j in range(3)]
    rows = [(*((end[i] - origin[i]) / _FAR for end in ends), float(origin[i])) for i in range(3)]
    return (*rows, IDENTITY[3])


def no_library(path: str | Path, kind: str) -> WorkspaceError:
    """Return the error for a file that needs SimpleITK, if it is not installed."""
    return WorkspaceError(
        f"{path}: {kind} needs SimpleITK; {install_hint('formats')}, or save it as an "
        "AffineTransform"
    )


def not_linear(path: str | Path, kind: str) -> TextFileError:
    """Return the error for a transform that a layer cannot have."""
    return TextFileError(
        f"{path}: an ITK transform of type {kind}, not a linear one in 3-D: a layer has a linear "
        "transform; apply this one to the image by the program that made it"
    )


def _is_composite(record: Record) -> bool:
    return record.type.partition("_")[0] == _COMPOSITE


def _to_lps(record: Record, path: str | Path) -> Matrix:
    name, _, rest = record.type.partition("_")
    if not re.fullmatch(r"(double|float)_3_3", rest):
        raise not_linear(path, excerpt(record.type))
    if name in _CENTERED:
        name, start = _CENTERED[name]
        _expect(record, path, start + 6, (0, 3, 4))
        numbers = record.parameters
        order = record.fixed[3:]  # the order of rotations of an Euler transform
        record = Record(
            f"{name}_{rest}",
            numbers[:start] + numbers[start + 3 :],
            numbers[start : start + 3] + order,
        )
    if name == "IdentityTransform":
        return IDENTITY
    if name == "TranslationTransform":
        _expect(record, path, 3, (0, 3))
        rows = [(*IDENTITY[i][:3], record.parameters[i]) for i in range(3)]
        return (*rows, IDENTITY[3])
    if name in _MATRICES:
        _expect(record, path, 12, (0, 3))
        return _around_center(record)
    if name in _COMPUTED:
        _expect(record, path, _COMPUTED[name], (0, 3, 4) if name.startswith("Euler") else (0, 3))
        return _computed(record, path)
    raise not_linear(path, excerpt(record.type))


def _around_center(record: Record) -> Matrix:
    numbers, center = record.parameters, record.fixed or (0.0, 0.0, 0.0)
    rows = []
    for i in range(3):
        linear = numbers[3 * i : 3 * i + 3]
        moved_center = sum(linear[j] * center[j] for j in range(3))
        rows.append((*linear, numbers[9 + i] + center[i] - moved_center))
    return (*rows, IDENTITY[3])


def _computed(record: Record, path: str | Path) -> Matrix:
    from snapws.simpleitk import simpleitk

    try:
        sitk = simpleitk(path)
    except ImageUnsupported:
        kind = record.type.partition("_")[0]
        raise no_library(path, f"an ITK transform of type {kind}") from None
    try:
        with TemporaryDirectory(prefix="snapws-") as folder:
            file = Path(folder, "transform.txt")
            file.write_text(_text(record), encoding="ascii")
            return evaluated(sitk.ReadTransform(str(file)))
    except OSError as error:
        raise WorkspaceError(
            f"{path}: it cannot be copied to a temporary folder: {error.strerror}"
        ) from None
    except RuntimeError:
        raise TextFileError(
            f"{path}: ITK does not take the numbers of its {record.type.partition('_')[0]}"
        ) from None


def _text(record: Record) -> str:
    lines = [
        f"{SIGNATURE} V1.0",
        "#Transform 0",
        f"Transform: {record.type.replace('_float_', '_double_')}",
        f"Parameters: {_words(record.parameters)}",
        f"FixedParameters: {_words(record.fixed or (0.0, 0.0, 0.0))}",
    ]
    return "\n".join(lines) + "\n"


def _words(numbers: Iterable[float]) -> str:
    # Reversed axes give -0; adding 0 makes it 0.
    return " ".join(format_number(number + 0.0) for number in numbers)


def _expect(record: Record, path: str | Path, count: int, fixed: tuple[int, ...]) -> None:
    if len(record.parameters) != count or len(record.fixed) not in fixed:
        raise TextFileError(
            f"{path}: an ITK transform of type {record.type.partition('_')[0]} has {count} "
            f"parameters and {max(fixed[:2])} fixed ones, the file has {len(record.parameters)} "
            f"and {len(record.fixed)}"
        )


def _numbers(words: str, path: str | Path) -> tuple[float, ...]:
    try:
        numbers = tuple(float(word) for word in words.split())
    except ValueError:
        raise TextFileError(f"{path}: holds a parameter that is not a number") from None
    if not all(map(math.isfinite, numbers)):
        raise TextFileError(f"{path}: holds a parameter that is not a finite number")
    return numbers

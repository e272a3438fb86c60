"""ITK transforms in MATLAB's level-4 format, which ANTs writes: two arrays for each transform.

An array has a header of five 32-bit numbers (number type, rows, columns, whether it has an
imaginary part, length of the name), its name, and its numbers. The first array has the name of the
transform's type, the second the name ``fixed``.
"""

from __future__ import annotations

import math
import re
import struct
from pathlib import Path

from snapws.errors import TextFileError
from snapws.transform_files.itk import Record

_HEADER = 20
_TYPE = re.compile(rb"[A-Za-z0-9]+_(double|float)_\d_\d\0")
_MAX_NUMBERS = 64


def matches(data: bytes) -> bool:
    """Return whether bytes are a transform file in this format."""
    return _TYPE.match(data, _HEADER) is not None


def parse(data: bytes, path: str | Path) -> list[Record]:
    """Read the records of a file.

    Raises:
        TextFileError: The file is truncated or invalid.
    """
    arrays, at = [], 0
    while at < len(data):
        name, numbers, at = _array(data, at, path)
        arrays.append((name, numbers))
    names = [name for name, _ in arrays]
    if len(arrays) % 2 or any(name != "fixed" for name in names[1::2]):
        raise TextFileError(f"{path}: a transform without its fixed parameters")
    return [
        Record(name, numbers, fixed[1])
        for (name, numbers), fixed in zip(arrays[::2], arrays[1::2], strict=True)
    ]


def _array(data: bytes, at: int, path: str | Path) -> tuple[str, tuple[float, ...], int]:
    if len(data) < at + _HEADER:
        raise TextFileError(f"{path}: the binary transform is cut short")
    # The first number is small only in the right byte order.
    order = "<" if data[at + 2 : at + 4] == b"\0\0" else ">"
    kind, rows, columns, imaginary, length = struct.unpack_from(f"{order}5i", data, at)
    # 1000: big-endian; 100: stored by rows, which is the same for one column; 10: single precision.
    is_known = kind in (0, 10, 100, 110) if order == "<" else kind in (1000, 1010, 1100, 1110)
    count = rows * columns
    if (
        not is_known
        or imaginary
        or min(rows, columns) < 0
        or (count and 1 not in (rows, columns))
        or not 0 < length <= 128
    ):
        raise TextFileError(f"{path}: not a binary transform as ITK and ANTs write it")
    code, size = ("f", 4) if kind % 100 == 10 else ("d", 8)
    start = at + _HEADER + length
    if count > _MAX_NUMBERS:
        raise TextFileError(
            f"{path}: a transform of {count} numbers, not a linear one in 3-D, which is all that "
            "a layer can have"
        )
    end = start + count * size
    if len(data) < end:
        raise TextFileError(f"{path}: the binary transform is cut short")
    name = data[at + _HEADER : start].partition(b"\0")[0].decode("ascii", "replace")
    numbers = struct.unpack_from(f"{order}{count}{code}", data, start)
    if not all(map(math.isfinite, numbers)):
        raise TextFileError(f"{path}: holds a parameter that is not a finite number")
    return name, numbers, end

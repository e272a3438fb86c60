"""The header of MetaImage (``.mha``, ``.mhd``)."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from snapws.errors import ImageDamaged, ImageUnsupported
from snapws.images.itk.stored import Encoding, Stored, header_lines, pattern_names
from snapws.text import excerpt

# Fields of size, type and geometry; the count of their numbers is this power of the axis count.
_LENGTHS = {
    "DimSize": 1,
    **dict.fromkeys(("ElementSpacing", "ElementSize"), 1),
    **dict.fromkeys(("Offset", "Position", "Origin", "CenterOfRotation"), 1),
    **dict.fromkeys(("TransformMatrix", "Rotation", "Orientation"), 2),
    "ElementNumberOfChannels": 0,
}
_FIELDS = (
    *(*_LENGTHS, "ObjectType", "NDims", "ElementType"),
    *("BinaryData", "BinaryDataByteOrderMSB", "ElementByteOrderMSB", "CompressedData"),
    *("CompressedDataSize", "HeaderSize", "ElementDataFile"),
)
_ELEMENT = re.compile(r"MET_(U?(CHAR|SHORT|INT|LONG|LONG_LONG)|FLOAT|DOUBLE)(_ARRAY)?")
_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")
_UNCLEAR = ""
_COUNT = re.compile(r"[1-9][0-9]{0,9}")


def parse(file: BinaryIO, path: Path) -> Stored:
    """Read the header at the beginning of a file.

    Raises:
        ImageDamaged: The header is corrupt, or contains a key twice.
        ImageUnsupported: The header is too long, the voxel type is not supported, or the name of
            the voxel file is too general.
        ImageError: The file cannot be read.
    """
    fields: dict[str, str] = {}
    lines = header_lines(file, path)
    loose = 0  # a line that continues a text: readers of this format read the next key with it
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        if _is_loose(line):
            loose = number
            continue
        key, value = _field(line, number, path)
        if key == _UNCLEAR:
            fields["ElementDataFile"] = f"{line}\n"  # not the name of a file to open
            break
        if loose and key in _FIELDS:
            raise _no_field(loose, path)
        loose = 0
        if key not in _FIELDS:
            continue
        if key in fields:
            raise ImageDamaged(f"{path}: the header is corrupt: it contains {key} twice")
        fields[key] = value
        if key == "ElementDataFile":
            break
    start = file.tell()
    names, misfit = _names(fields, lines, path)
    encoding = _encoding(fields, path)
    deflated = _integer(fields, "CompressedDataSize", path) if encoding == "zlib" else 0
    return Stored(
        path,
        ".mha",
        _in_our_words(fields, path),
        start,
        names,
        encoding,
        big_endian=_is_big_endian(fields, path),
        skip=_skip(fields, path, 0 if names else start, encoding),
        deflated=deflated,
        misfit=misfit,
    )


def _is_loose(line: str) -> bool:
    """Return whether a line has no key and is plain text."""
    return line.isprintable() and not set(line) & set("=:") and "datafile" not in line.lower()


def _no_field(number: int, path: Path) -> ImageDamaged:
    return ImageDamaged(f"{path}: the header is corrupt: line {number} is not a key and a value")


def _field(line: str, number: int, path: Path) -> tuple[str, str]:
    key, separator, value = re.split(r"([=:]|\Z)", line, maxsplit=1)
    key = key.strip(" \t")
    if not separator or any(sign < " " for sign in key):
        # Readers of this format continue to the next separator, across lines and words.
        if "datafile" in line.lower():
            return _UNCLEAR, ""
        raise _no_field(number, path)
    return key, value.strip(" \t")


def _names(fields: dict[str, str], lines: Iterator[str], path: Path) -> tuple[tuple[str, ...], str]:
    """Return the names of the voxel files, and the reason if they cannot be complete."""
    value = fields.get("ElementDataFile", "")
    words = value.split()
    if not words:
        raise ImageDamaged(f"{path}: the header is corrupt: it does not say where the voxels are")
    if value.upper() == "LOCAL":
        return (), ""
    if "%" in value:
        names = pattern_names(path, words)
    elif words[0].upper() == "LIST":
        names = tuple(filter(None, (line.strip(" \t") for line in lines)))
    else:
        return (value,), ""
    axes = _numbers(fields, "NDims", 1, path)[0]
    within = re.fullmatch(r"LIST\s+([0-9]{1,2})D?", value, re.IGNORECASE)
    most = int(within[1]) if within else int(axes) - 1
    expected = math.prod(map(int, _numbers(fields, "DimSize", int(axes), path)[most:]))
    if len(names) == expected:
        return names, ""
    return names, f"it names {len(names)} voxel files, expected {expected}"


def _in_our_words(fields: dict[str, str], path: Path) -> bytes:
    """Return a new header with only the fields of size, type and geometry.

    Raises:
        ImageDamaged: A field is missing, or has the wrong count of numbers.
        ImageUnsupported: The voxel type is not supported.
    """
    (axes,) = _numbers(fields, "NDims", 1, path)
    _numbers(fields, "DimSize", int(axes), path)
    element = fields.get("ElementType", "")
    if not _ELEMENT.fullmatch(element):
        raise ImageUnsupported(
            f"{path}: the voxel type {excerpt(element) or '(none)'} is not supported: "
            "convert it first"
        )
    said = [("ObjectType", "Image"), ("NDims", axes)]
    for key in fields:  # in order of precedence, where several keys mean the same
        if key in _LENGTHS:
            numbers = _numbers(fields, key, int(axes) ** _LENGTHS[key], path)
            said.append((key, " ".join(numbers)))
    said += [("ElementType", element), ("ElementDataFile", "LOCAL")]
    return "".join(f"{key} = {value}\n" for key, value in said).encode()


def _numbers(fields: dict[str, str], key: str, count: int, path: Path) -> list[str]:
    words = fields.get(key, "").split()
    form = _COUNT if key in ("NDims", "DimSize", "ElementNumberOfChannels") else _NUMBER
    if len(words) != count or not all(map(form.fullmatch, words)):
        raise ImageDamaged(
            f"{path}: the header is corrupt: {key} is not {count} numbers of their kind: "
            f"{excerpt(fields.get(key, '')) or 'it is missing'}"
        )
    return words


def _encoding(fields: dict[str, str], path: Path) -> Encoding:
    compressed = _is_true(fields.get("CompressedData", ""))
    if "BinaryData" in fields and not _is_true(fields["BinaryData"]):
        if compressed:
            raise ImageUnsupported(
                f"{path}: its voxels are compressed text, which is not supported: convert it first"
            )
        return "text"
    return "zlib" if compressed else "raw"


def _is_big_endian(fields: dict[str, str], path: Path) -> bool:
    keys = ("BinaryDataByteOrderMSB", "ElementByteOrderMSB")
    said = {_is_true(fields[key]) for key in keys if key in fields}
    if len(said) > 1:
        raise ImageDamaged(f"{path}: the header is corrupt: {' and '.join(keys)} differ")
    return True in said


def _is_true(value: str) -> bool:
    """Return whether MetaIO reads a value as yes: it compares only the first letter."""
    return value[:1] in ("T", "t", "1")


def _integer(fields: dict[str, str], key: str, path: Path) -> int:
    try:
        return int(fields.get(key, "") or 0)
    except ValueError:
        raise ImageDamaged(f"{path}: the header is corrupt: {key} is not a number") from None


def _skip(fields: dict[str, str], path: Path, start: int, encoding: Encoding) -> int:
    """Return the count of bytes in front of the voxels, -1 if the voxels end the file.

    Raises:
        ImageDamaged: The voxels would begin within the header.
    """
    skip = _integer(fields, "HeaderSize", path)
    if start and skip in (0, start):
        return 0
    if start or skip < -1 or (skip < 0 and encoding != "raw"):
        raise ImageDamaged(
            f"{path}: the header is corrupt: by HeaderSize = {skip} the voxels begin within "
            "it, or at an unknown place"
        )
    return skip

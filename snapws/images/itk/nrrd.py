"""The header of NRRD (``.nrrd``, ``.nhdr``)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from snapws.errors import ImageDamaged, ImageUnsupported
from snapws.images.itk.stored import Encoding, Stored, header_lines, pattern_names
from snapws.text import excerpt

_MAGIC = re.compile(r"NRRD(000[1-5]|00\.01)")
_SEPARATOR = re.compile(r":=|: ")

# Fields of size, type and geometry, to be read by SimpleITK.
_PASSED = (
    *("type", "dimension", "sizes", "spacings", "thicknesses", "axis mins", "axis maxs"),
    *("centers", "centerings", "kinds", "space", "space dimension", "space directions"),
    "space origin",
)
_STORING = ("encoding", "endian", "line skip", "byte skip", "data file")
_SILENT = (
    *("content", "number", "block size", "labels", "units", "min", "max", "old min", "old max"),
    *("sample units", "space units", "measurement frame"),
)
_FIELDS = {name: name for name in (*_PASSED, *_STORING, *_SILENT)}
_FIELDS |= {name.replace(" ", ""): name for name in _FIELDS if not name.startswith("space")}

_VALUE = re.compile(r"[-+\w .,()?\t]{1,4096}", re.ASCII)
_ENCODINGS: dict[str, Encoding] = {
    **dict.fromkeys(("raw",), "raw"),
    **dict.fromkeys(("gz", "gzip"), "gzip"),
    **dict.fromkeys(("ascii", "txt", "text"), "text"),
}
# Kinds of spatial axes; all other axes count components.
_PLACES = ("domain", "space", "time", "none", "???")
_ONE_BYTE = re.compile(r"(un)?signed char|u?char|u?int8(_t)?")


def parse(file: BinaryIO, path: Path) -> Stored:
    """Read the header at the beginning of a file.

    Raises:
        ImageDamaged: The header is corrupt, or contains a field twice.
        ImageUnsupported: The header is too long, the encoding or the axes are not supported, or the
            name of the voxel file is too general.
        ImageError: The file cannot be read.
    """
    lines = header_lines(file, path)
    if not _MAGIC.fullmatch(next(lines, "")):
        raise ImageDamaged(f"{path}: the header is corrupt: it does not begin as one of NRRD does")
    fields: dict[str, str] = {}
    is_closed = False
    for number, line in enumerate(lines, 2):
        if not line:
            is_closed = True
            break
        _add(fields, line, number, path)
        if fields.get("data file", "").upper().startswith("LIST"):
            break
    names, misfit = _names(fields, lines, path)
    if not is_closed and not names:
        raise ImageDamaged(f"{path}: cut short, its header does not end")
    encoding = _encoding(fields, path)
    return Stored(
        path,
        ".nrrd",
        _in_our_words(fields, path),
        0 if names else file.tell(),
        names,
        encoding,
        big_endian=_is_big_endian(fields, encoding, path),
        lines=_integer(fields, "line skip", 0, path),
        skip=_skip(fields, encoding, path, is_attached=not names),
        is_planar=_is_planar(fields, path),
        special=True,
        misfit=misfit,
    )


def _add(fields: dict[str, str], line: str, number: int, path: Path) -> None:
    if line.startswith("#"):
        return
    separator = _SEPARATOR.search(line)
    if separator is None:
        raise ImageDamaged(f"{path}: the header is corrupt: line {number} is not a field")
    if separator[0] == ":=":
        return
    told = line[: separator.start()]
    name = _FIELDS.get(told.lower())
    if name is None:
        raise ImageDamaged(f"{path}: the header is corrupt: NRRD has no field {excerpt(told)!r}")
    if name in fields:
        raise ImageDamaged(f"{path}: the header is corrupt: it contains the field {name!r} twice")
    fields[name] = line[separator.end() :].strip(" \t")


def _names(fields: dict[str, str], lines: Iterator[str], path: Path) -> tuple[tuple[str, ...], str]:
    """Return the names of the voxel files, and the reason if they cannot be complete."""
    if "data file" not in fields:
        return (), ""
    value = fields["data file"]
    words = value.split()
    if not words:
        raise ImageDamaged(f"{path}: the header is corrupt: its data file has no name")
    if "%" in value:
        names = pattern_names(path, words[:4])
        within = words[4:]
    elif words[0].upper() == "LIST":
        names = tuple(filter(None, (line.strip(" \t") for line in lines)))
        within = words[1:]
    else:
        return (value,), ""
    return names, _misfit(names, within, fields, path)


def _misfit(names: tuple[str, ...], within: list[str], fields: dict[str, str], path: Path) -> str:
    """Return why this number of files cannot hold the voxels, or nothing.

    A file holds the voxels along the stated number of axes, by default all axes but one. If it has
    all axes, the files divide the slowest axis.
    """
    try:
        sizes = [int(word) for word in fields.get("sizes", "").split()]
        axes = int(*within) if within else len(sizes) - 1
    except (ValueError, TypeError):
        raise ImageDamaged(f"{path}: the header is corrupt: its sizes, or axes of a file") from None
    expected = 1
    for size in sizes[axes:]:
        expected *= size
    fits = names and sizes and sizes[-1] % len(names) == 0
    if not (fits if axes == len(sizes) else len(names) == expected):
        return f"it names {len(names)} voxel files, which do not fit its sizes"
    return ""


def _in_our_words(fields: dict[str, str], path: Path) -> bytes:
    """Return a new header with only the fields of size, type and geometry."""
    said = ["NRRD0005"]
    for name, value in fields.items():
        if name in _PASSED:
            if not _VALUE.fullmatch(value):
                raise ImageDamaged(f"{path}: the header is corrupt: {name}: {excerpt(value)}")
            said.append(f"{name}: {value}")
    return "\n".join([*said, "encoding: raw", "endian: little", "", ""]).encode()


def _encoding(fields: dict[str, str], path: Path) -> Encoding:
    value = fields.get("encoding", "").lower()
    if value not in _ENCODINGS:
        raise ImageUnsupported(
            f"{path}: {excerpt(value) or 'no'} encoding not available: convert it to NIfTI"
        )
    return _ENCODINGS[value]


def _is_big_endian(fields: dict[str, str], encoding: Encoding, path: Path) -> bool:
    value = fields.get("endian", "").lower()
    if value in ("big", "little"):
        return value == "big"
    if value or not (encoding == "text" or _ONE_BYTE.fullmatch(fields.get("type", "").lower())):
        raise ImageDamaged(f"{path}: the header is corrupt: it does not state the byte order")
    return False


def _integer(fields: dict[str, str], name: str, least: int, path: Path) -> int:
    value = fields.get(name, "0")
    if not re.fullmatch(r"-?[0-9]{1,15}", value) or int(value) < least:
        raise ImageDamaged(f"{path}: the header is corrupt: {name}: {excerpt(value)} is not valid")
    return int(value)


def _skip(fields: dict[str, str], encoding: Encoding, path: Path, *, is_attached: bool) -> int:
    """Return the count of bytes in front of the voxels, -1 if the voxels end the file."""
    skip = _integer(fields, "byte skip", -1, path)
    if skip < 0 and (is_attached or encoding == "text"):
        raise ImageDamaged(
            f"{path}: the header is corrupt: with byte skip: -1 the voxels begin at an "
            "unknown place"
        )
    return skip


def _is_planar(fields: dict[str, str], path: Path) -> bool:
    """Return whether the components of a voxel are stored apart, one image after the other.

    Raises:
        ImageUnsupported: The axis of components is in the middle, or there are several.
    """
    kinds = [kind.lower() for kind in fields.get("kinds", "").split()]
    counting = [axis for axis, kind in enumerate(kinds) if kind not in _PLACES]
    if not counting or counting == [0]:
        return False
    if counting != [len(kinds) - 1] or kinds[-1] == "complex":
        raise ImageUnsupported(
            f"{path}: the axis of components is neither the first nor the last: convert it to "
            "NIfTI first"
        )
    return True

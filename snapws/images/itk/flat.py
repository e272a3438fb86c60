"""PNG, JPEG and TIFF: checks that a file is complete, before SimpleITK decodes it.

The decoders fill missing parts with grey or leave out pages, and only print a warning to standard
error. A changed byte in a JPEG cannot be found, because the format has no checksum.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from snapws.errors import ImageDamaged, ImageUnsupported
from snapws.images import voxel_files

_PIECE = 1 << 20
_MOST_PAGES = 2**15
_OFFSETS, _COUNTS = ((273, 324), (279, 325))  # tags of strips and tiles
_SIZES = {1: 1, 3: 2, 4: 4, 16: 8}  # bytes of the integer types
_FORMS = {1: "B", 3: "H", 4: "I", 16: "Q"}


_GREY_AND_OPACITY = 4


class _Cut(Exception):
    """The file is truncated or invalid."""


def refuse_incomplete(path: Path) -> str:
    """Check that a file is complete, and return the name of SimpleITK's reader for it.

    Raises:
        ImageDamaged: The file is truncated, or its content does not match its name.
        ImageUnsupported: The file has grey values with opacity.
        ImageError: The file cannot be read.
    """
    with voxel_files.open_regular(path) as file:
        start = file.read(8)
        for signs, reader, check in _KINDS:
            if start.startswith(signs):
                try:
                    check(file, os.fstat(file.fileno()).st_size)
                except (_Cut, struct.error, zlib.error) as error:
                    raise ImageDamaged(f"{path}: cut short or damaged: {error}") from None
                except ImageUnsupported as error:
                    raise ImageUnsupported(f"{path}: {error}") from None
                return reader
    raise ImageDamaged(f"{path}: by its name it is PNG, JPEG or TIFF, and by its content it is not")


def _png(file: BinaryIO, size: int) -> None:
    """Check the chunks of a PNG and their checksums, up to the last one."""
    file.seek(25)
    if file.read(1) == bytes([_GREY_AND_OPACITY]):
        raise ImageUnsupported(
            "grey values with opacity are not supported: save it without opacity"
        )
    kind, place = b"", 8
    while kind != b"IEND":
        file.seek(place)
        head = file.read(8)
        if len(head) < 8:
            raise _Cut("its last chunk is missing")
        (length,), kind = struct.unpack(">I", head[:4]), head[4:]
        place += 12 + length
        if place > size:
            raise _Cut(f"its chunk {kind.decode('ascii', 'replace')!r} is not all there")
        checksum = zlib.crc32(kind)
        while length:
            piece = file.read(min(length, _PIECE))
            checksum = zlib.crc32(piece, checksum)
            length -= len(piece)
        if struct.unpack(">I", file.read(4)) != (checksum,):
            raise _Cut(f"the checksum of its chunk {kind.decode('ascii', 'replace')!r} is wrong")


def _jpeg(file: BinaryIO, size: int) -> None:
    """Check that a JPEG ends with its last marker; zeros may follow as padding."""
    file.seek(max(0, size - 4096))
    if not file.read().rstrip(b"\0").endswith(b"\xff\xd9"):
        raise _Cut("its last marker is missing")


def _tiff(file: BinaryIO, size: int) -> None:
    """Check that all parts of all pages of a TIFF are within the file."""
    file.seek(0)
    order = "<" if file.read(2) == b"II" else ">"
    (version,) = struct.unpack(f"{order}H", file.read(2))
    is_big = version == 43
    width, count_form, count_size = (8, "Q", 8) if is_big else (4, "I", 2)
    file.seek(8 if is_big else 4)
    (place,) = struct.unpack(order + count_form, file.read(width))
    seen: set[int] = set()
    while place:
        if place in seen or len(seen) == _MOST_PAGES:
            raise _Cut("its pages have no end")
        seen.add(place)
        file.seek(place)
        (entries,) = struct.unpack(order + ("Q" if is_big else "H"), file.read(count_size))
        entry_size = 12 + 2 * (width - 4)
        if place + count_size + entries * entry_size + width > size:
            raise _Cut("a page's directory is not all there")
        table = file.read(entries * entry_size)
        (place,) = struct.unpack(order + count_form, file.read(width))
        found = {}
        for at in range(0, len(table), entry_size):
            tag, kind = struct.unpack(f"{order}HH", table[at : at + 4])
            if tag in (*_OFFSETS, *_COUNTS):
                found[tag] = _numbers(file, order, table[at : at + entry_size], kind, width, size)
        for offsets, counts in zip(_OFFSETS, _COUNTS, strict=True):
            pairs = zip(found.get(offsets, ()), found.get(counts, ()), strict=False)
            if any(offset + count > size for offset, count in pairs):
                raise _Cut("voxels of a page are not all there")
        if not any(tag in found for tag in _OFFSETS):
            raise _Cut("a page has no voxels")


def _numbers(
    file: BinaryIO, order: str, entry: bytes, kind: int, width: int, size: int
) -> tuple[int, ...]:
    """Return the integers of an entry, from the entry itself or another place in the file."""
    form = order + ("Q" if width == 8 else "I")
    (count,) = struct.unpack(form, entry[4 : 4 + width])
    if kind not in _SIZES:
        raise _Cut("a page says in no known way where its voxels are")
    length = count * _SIZES[kind]
    if length <= width:
        data = entry[4 + width :][:length]
    else:
        (place,) = struct.unpack(form, entry[4 + width :])
        if place + length > size:
            raise _Cut("a page's table of voxels is not all there")
        file.seek(place)
        data = file.read(length)
    return struct.unpack(f"{order}{count}{_FORMS[kind]}", data)


_KINDS: tuple[tuple[bytes | tuple[bytes, ...], str, Callable[[BinaryIO, int], None]], ...] = (
    (b"\x89PNG\r\n\x1a\n", "PNGImageIO", _png),
    (b"\xff\xd8\xff", "JPEGImageIO", _jpeg),
    ((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), "TIFFImageIO", _tiff),
)

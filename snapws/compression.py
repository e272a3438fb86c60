"""Gzip streams, with ISA-L if it is installed, else with zlib."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Generator
from typing import Any, BinaryIO, cast

try:
    from isal import isal_zlib

    _codec: Any = isal_zlib
    LEVEL = 3
except ImportError:
    _codec = zlib
    LEVEL = 1

#: Compression levels, from fast to small. ISA-L has the first three, zlib the others.
LEVELS = range(1, 10)
_HIGHEST_ISAL_LEVEL = 3

GZIP_MAGIC = b"\x1f\x8b"

#: The greatest size of a piece, in bytes.
PIECE = 1 << 20

# Bytes of gzip read at a time. With more, each piece would copy a longer rest that is not yet
# inflated, and the inflated bytes would not fit into a core's cache.
_READ = 1 << 17

_EITHER_FORM = 47  # window bits that accept both zlib and gzip
_GZIP_FORM = 31  # window bits that select the header and checksum of gzip

# Deflate, no name, comment, extra field or time, and a level and a system that the format defines.
_CLEAN_START = re.compile(GZIP_MAGIC + rb"\x08\0{5}[\0\2\4][\0-\x0d\xff]")

# Flags of a gzip header, in the order of the optional fields behind its first bytes.
_SHORTEST_HEADER = 10
_HAS_EXTRA, _HAS_NAME, _HAS_COMMENT, _HAS_CHECKSUM, _UNKNOWN_FLAGS = 4, 8, 16, 2, 0xE0

# A clean header, as ISA-L and zlib write it.
_ISAL_START = GZIP_MAGIC + b"\x08\0\0\0\0\0\0\xff"
_ZLIB_START = GZIP_MAGIC + b"\x08\0\0\0\0\0%c\x03"
_LEVEL_SIGNS = {1: 4, 9: 2}


class GzipDamaged(Exception):
    """A gzip stream is truncated, or its checksum is wrong."""


class ZlibDamaged(Exception):
    """A zlib stream is truncated, its checksum is wrong, or data follow it."""


class GzipNotClean(Exception):
    """A gzip file holds more than one clean stream."""


#: Called with each inflated piece and the number of compressed bytes that held it.
Observer = Callable[[bytes, int], None]


def iter_decompressed(
    file: BinaryIO,
    *,
    clean: bool = False,
    copy: BinaryIO | None = None,
    observe: Observer | None = None,
) -> Generator[bytes, None, None]:
    """Yield the content of a file in pieces of at most `PIECE` bytes, inflated if it is gzip.

    Reads a gzip stream to its end, and checks its checksum.

    Args:
        file: The file, open for reading.
        clean: Whether to require a single gzip stream without name, comment or time, of a known
            level and system, and nothing behind it.
        copy: A file to which the deflated stream is copied; then nothing may follow the stream.
            Without `clean`, the copy gets a gzip header of ours.
        observe: Called with the pieces of a gzip stream before they are yielded.

    Raises:
        GzipDamaged: A gzip stream is truncated or corrupt, or other data follow it.
        GzipNotClean: The file is not clean, or cannot be copied.
        OSError: The file cannot be read.
    """
    start = file.read(_READ)
    if clean and not _CLEAN_START.match(start):
        raise GzipNotClean("it is not gzip, or has a name, a comment, a time or the like in it")
    if copy:
        copy.write(start if clean else gzip_start(LEVEL) + start[_end_of_gzip_header(start) :])
        file = cast(BinaryIO, _Copying(file, copy))
    if not start.startswith(GZIP_MAGIC):
        start += file.read(PIECE - len(start))
        while start:
            yield start
            start = file.read(PIECE)
        return
    try:
        yield from _inflated(file, start, clean or bool(copy), observe)
    except (zlib.error, _codec.error) as error:
        words = "its checksum is wrong" if "checksum" in str(error).lower() else "it is not deflate"
        raise GzipDamaged(f"the gzip stream is damaged: {words}") from None


def has_padded_members(file: BinaryIO) -> bool:
    """Return whether zeros separate gzip streams in a file; stop at the first corrupt stream.

    Raises:
        OSError: The file cannot be read.
    """
    member, deflated = _codec.decompressobj(_GZIP_FORM), file.read(_READ)
    try:
        while deflated:
            member.decompress(deflated, PIECE)
            if not member.eof:
                deflated = member.unconsumed_tail or file.read(_READ)
                continue
            padded = member.unused_data or file.read(_READ)
            deflated = padded.lstrip(b"\0")
            while not deflated and (more := file.read(_READ)):
                padded, deflated = b"\0", more.lstrip(b"\0")
            if deflated and padded.startswith(b"\0"):
                return True
            member = _codec.decompressobj(_GZIP_FORM)
    except (zlib.error, _codec.error):
        pass  # code that reads the voxels reports the damage
    return False


def iter_zlib_decompressed(file: BinaryIO) -> Generator[bytes, None, None]:
    """Yield the content of a zlib or gzip stream in pieces of at most `PIECE` bytes.

    Raises:
        ZlibDamaged: The stream is truncated or corrupt, or data follow it.
        OSError: The file cannot be read.
    """
    stream = zlib.decompressobj(_EITHER_FORM)
    try:
        while not stream.eof:
            deflated = stream.unconsumed_tail or file.read(_READ)
            inflated = stream.decompress(deflated, PIECE)
            if inflated:
                yield inflated
            elif not deflated:
                raise ZlibDamaged("cut short, its compressed voxels end early")
    except zlib.error as error:
        raise ZlibDamaged(f"the compressed voxels are damaged: {error}") from None
    if stream.unused_data or file.read(1):
        raise ZlibDamaged("something follows its compressed voxels")


class _Copying:
    """A file that copies all bytes read to another file."""

    def __init__(self, file: BinaryIO, copy: BinaryIO) -> None:
        self._file = file
        self._copy = copy

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        self._copy.write(data)
        return data


def codec(level: int) -> Any:
    """Return the module that compresses at a level. It has the interface of zlib.

    Args:
        level: One of `LEVELS`.
    """
    return _codec if level <= _HIGHEST_ISAL_LEVEL else zlib


def gzip_start(level: int) -> bytes:
    """Return a gzip header without name and time.

    Args:
        level: One of `LEVELS`.
    """
    if codec(level) is zlib:
        return _ZLIB_START % _LEVEL_SIGNS.get(level, 0)
    return _ISAL_START


def gzip_end(checksum: int, size: int) -> bytes:
    """Return the trailer of a gzip stream: checksum and size of the content."""
    return checksum.to_bytes(4, "little") + (size & 0xFFFFFFFF).to_bytes(4, "little")


def crc32(data: bytes | memoryview, so_far: int) -> int:
    """Return the gzip checksum of more data, given the checksum of the data before."""
    checksum: int = _codec.crc32(data, so_far)
    return checksum


def _end_of_gzip_header(start: bytes) -> int:
    """Return where the header of a gzip stream ends.

    Raises:
        GzipNotClean: The data are not gzip, or end within the header.
    """
    flags = start[3] if len(start) > _SHORTEST_HEADER else 0xFF
    if not start.startswith(GZIP_MAGIC + b"\x08") or flags & _UNKNOWN_FLAGS:
        raise GzipNotClean("it is not gzip")
    end = _SHORTEST_HEADER
    if flags & _HAS_EXTRA:
        end += 2 + int.from_bytes(start[end : end + 2], "little")
    for text in (_HAS_NAME, _HAS_COMMENT):
        if flags & text:
            end = start.find(b"\0", end) + 1 or len(start)
    end += 2 * bool(flags & _HAS_CHECKSUM)
    if end >= len(start):
        raise GzipNotClean("its gzip header does not end")
    return end


def _inflated(
    file: BinaryIO, deflated: bytes, clean: bool, observe: Observer | None
) -> Generator[bytes, None, None]:
    member = _codec.decompressobj(_GZIP_FORM)
    while True:
        inflated = member.decompress(deflated, PIECE)
        if observe:
            observe(inflated, len(deflated) - len(member.unconsumed_tail))
        if inflated:
            yield inflated
        if not member.eof:
            deflated = member.unconsumed_tail or file.read(_READ)
            if not deflated and not inflated:
                raise GzipDamaged("the gzip stream ends early")
            continue
        if clean and (member.unused_data or file.read(1)):
            raise GzipNotClean("something follows the gzip stream")
        # A file may hold several gzip streams in a row; zeros behind the last are padding.
        deflated = member.unused_data.lstrip(b"\0")
        while len(deflated) < len(GZIP_MAGIC) and (more := file.read(_READ)):
            deflated = (deflated + more).lstrip(b"\0")
        if not deflated:
            return
        if not deflated.startswith(GZIP_MAGIC):
            raise GzipDamaged("something that is not gzip follows the gzip stream")
        member = _codec.decompressobj(_GZIP_FORM)

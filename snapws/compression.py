"""Gzip as a stream: by ISA-L where it is installed, by zlib elsewhere."""

from __future__ import annotations

import zlib
from collections.abc import Generator
from typing import Any, BinaryIO

try:
    from isal import isal_zlib

    _codec: Any = isal_zlib
    LEVEL = 3
except ImportError:
    _codec = zlib
    LEVEL = 1

GZIP_MAGIC = b"\x1f\x8b"

#: Bytes read, and bytes inflated, at a time.
PIECE = 1 << 20

_GZIP_FORM = 31  # window bits that ask for gzip's header and checksum


class GzipDamaged(Exception):
    """A gzip stream is cut short or its checksum is wrong."""


def pieces(file: BinaryIO) -> Generator[bytes, None, None]:
    """Give the content of a file in pieces, inflated if it is gzip, each of at most `PIECE` bytes.

    A gzip stream is read to its end, so that its checksum is checked.

    Raises:
        GzipDamaged: a gzip stream is cut short, damaged or followed by something else.
        OSError: the file cannot be read.
    """
    start = file.read(PIECE)
    if not start.startswith(GZIP_MAGIC):
        while start:
            yield start
            start = file.read(PIECE)
        return
    try:
        yield from _inflated(file, start)
    except (zlib.error, _codec.error) as error:
        raise GzipDamaged(str(error)) from None


def gzip_compressor(level: int = LEVEL) -> Any:
    """Give a compressor (``compress``, ``flush``) whose stream holds no name and no time."""
    return _codec.compressobj(level, _codec.DEFLATED, _GZIP_FORM)


def _inflated(file: BinaryIO, deflated: bytes) -> Generator[bytes, None, None]:
    member = _codec.decompressobj(_GZIP_FORM)
    while True:
        inflated = member.decompress(deflated, PIECE)
        if inflated:
            yield inflated
        if not member.eof:
            deflated = member.unconsumed_tail or file.read(PIECE)
            if not deflated and not inflated:
                raise GzipDamaged("the gzip stream ends early")
            continue
        # Several gzip streams, one after the other, are one; zeros after the last are padding.
        deflated = (member.unused_data or file.read(PIECE)).lstrip(b"\0")
        while not deflated and (more := file.read(PIECE)):
            deflated = more.lstrip(b"\0")
        if not deflated:
            return
        if not deflated.startswith(GZIP_MAGIC):
            raise GzipDamaged("something that is not gzip follows the gzip stream")
        member = _codec.decompressobj(_GZIP_FORM)

"""The header of GIPL (``.gipl``, ``.gipl.gz``): 256 bytes, big-endian."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import BinaryIO

from snapws import compression
from snapws.errors import ImageDamaged, ImageError
from snapws.images.itk.stored import Stored

_SIZE = 256
_PATIENT = slice(26, 106)


def parse(file: BinaryIO, path: Path) -> Stored:
    """Read the header at the beginning of a file, gzipped or not.

    Raises:
        ImageDamaged: The file is shorter than a header.
        ImageError: The file cannot be read.
    """
    block = b""
    try:
        is_gzip = file.read(2) == compression.GZIP_MAGIC
        file.seek(0)
        with closing(compression.iter_decompressed(file)) as pieces:
            for piece in pieces:
                block += piece[: _SIZE - len(block)]
                if len(block) == _SIZE:
                    break
    except compression.GzipDamaged as error:
        if len(block) < _SIZE:
            raise ImageDamaged(f"{path}: {error}") from None
    except OSError as error:
        raise ImageError(f"{path}: {error.strerror or error}") from None
    if len(block) < _SIZE:
        raise ImageDamaged(f"{path}: cut short, its header is incomplete")
    said = bytearray(block)
    said[_PATIENT] = bytes(len(said[_PATIENT]))
    return Stored(
        path,
        ".gipl",
        bytes(said),
        0 if is_gzip else _SIZE,
        encoding="gzip" if is_gzip else "raw",
        big_endian=True,
        skip=_SIZE if is_gzip else 0,
    )

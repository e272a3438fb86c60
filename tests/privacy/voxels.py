"""The voxels that all images of the study hold, and what files of several formats have."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from tests.privacy.marking import ZIPPED, Marks

#: Writes a file of some format to a folder, with markers, and gives its path.
Writer = Callable[[Path, Marks], Path]

SHAPE = (5, 6, 7)
SPACING = (1.5, 2.0, 2.5)

#: The voxels, first axis fastest, as every archived layer has to hold them; and big-endian.
VOXELS = np.arange(210, dtype="<i2").tobytes()
SWAPPED = np.arange(210, dtype=">i2").tobytes()


def gzipped(data: bytes, mark: Marks, what: str) -> bytes:
    """Return gzip whose header has a name, a comment, an extra field and a time."""
    compressor = zlib.compressobj(6, zlib.DEFLATED, -15)
    note = mark(f"{what}: gzip FEXTRA").encode()
    return b"".join(
        [
            struct.pack("<4BIBB", 0x1F, 0x8B, 8, 4 | 8 | 16, ZIPPED, 0, 3),
            struct.pack("<H2sH", len(note) + 4, b"Zy", len(note)) + note,
            mark(f"{what}: gzip FNAME", accented=True).encode("latin-1") + b".nii\0",
            mark(f"{what}: gzip FCOMMENT").encode() + b"\0",
            compressor.compress(data) + compressor.flush(),
            struct.pack("<II", zlib.crc32(data), len(data)),
        ]
    )


def fill(block: bytearray, fields: Mapping[str, int], mark: Marks, what: str) -> None:
    """Write a marker into each of some fields, which are given by their first byte."""
    for name, start in fields.items():
        text = mark(f"{what}: {name}").encode("latin-1")
        block[start : start + len(text)] = text


def after(mark: Marks, what: str) -> bytes:
    """Return what follows the voxels in a file."""
    return mark(f"{what}: bytes after the voxels").encode()

"""Write an image as NIfTI-1: stored voxels unchanged, behind a new header."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import BinaryIO

from snapws import compression, prefetch
from snapws.deflate import Deflaters, GzipWriter
from snapws.images.header import ImageHeader


def write_nifti(
    header: ImageHeader,
    file: BinaryIO,
    *,
    level: int = compression.LEVEL,
    watch: Callable[[bytes], object] | None = None,
    deflaters: Deflaters | None = None,
) -> None:
    """Copy an image to a little-endian NIfTI-1 file: voxels as stored, scaling and geometry.

    Other threads read and deflate while this one calls `watch` and writes.

    Args:
        header: The image to copy.
        file: The file to write, open for writing.
        level: The gzip level (`compression.LEVELS`); 0 for no compression.
        watch: Called with each piece of voxels, in the calling thread.
        deflaters: The threads that deflate, if several images share them.

    Raises:
        ImageDamaged: The image is truncated or its checksum is wrong; raised at the end.
        ImageError: The image cannot be read.
        OSError: The file cannot be written.
    """
    block = header.block
    with GzipWriter(file, level, deflaters) if level else nullcontext(file) as out:
        out.write(block)
        for voxels in prefetch.prefetched(header.voxels()):
            if watch:
                watch(voxels)
            out.write(voxels)

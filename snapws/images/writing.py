"""Write an image as NIfTI-1, voxel by voxel as it is stored, with a header made afresh."""

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

    Reading and deflating go on in other threads while the voxels are watched and written.

    Args:
        header: The image to copy.
        file: Where to, open for writing.
        level: Of the gzip that is written (`compression.LEVELS`); 0 for none.
        watch: Is fed the voxels on the way, in the thread that calls.
        deflaters: Threads that deflate, where several images share them.

    Raises:
        ImageDamaged: The image is cut short or its checksum is wrong; known at the end.
        ImageError: It cannot be read.
        OSError: The file cannot be written.
    """
    block = header.block
    with GzipWriter(file, level, deflaters) if level else nullcontext(file) as out:
        out.write(block)
        for voxels in prefetch.prefetched(header.voxels()):
            if watch:
                watch(voxels)
            out.write(voxels)

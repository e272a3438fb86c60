"""Write an image as NIfTI-1, voxel by voxel as it is stored, with a header made afresh."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import BinaryIO

from snapws import compression, prefetch
from snapws.images.header import ImageHeader


def write_nifti(
    header: ImageHeader,
    file: BinaryIO,
    *,
    level: int = compression.LEVEL,
    watch: Callable[[bytes], object] | None = None,
) -> None:
    """Copy an image to a little-endian NIfTI-1 file: voxels as stored, scaling and geometry.

    Reading goes on in another thread while what has been read is written.

    Args:
        header: The image to copy.
        file: Where to, open for writing.
        level: Of the gzip that is written (`compression.LEVELS`); 0 for none.
        watch: Is fed the voxels on the way, in the thread that reads.

    Raises:
        ImageDamaged: The image is cut short or its checksum is wrong; known at the end.
        ImageError: It cannot be read.
        OSError: The file cannot be written.
    """
    compressor = compression.gzip_compressor(level) if level else None

    def write(data: bytes) -> None:
        file.write(compressor.compress(data) if compressor else data)

    def watched() -> Iterator[bytes]:
        for voxels in header.voxels():
            if watch:
                watch(voxels)
            yield voxels

    write(header.block)
    for voxels in prefetch.prefetched(watched()):
        write(voxels)
    if compressor:
        file.write(compressor.flush())

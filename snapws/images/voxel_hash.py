"""The hash of an image's content, which names the layers of archives."""

from __future__ import annotations

import hashlib

import numpy as np

from snapws import compression
from snapws.images.header import ImageHeader


class VoxelHash:
    """The MD5 of an image's voxels as ITK presents them, which names the layers of archives.

    Call `update` with the pieces of `ImageHeader.voxels`. The hash covers the stored values. For
    scaled images, it covers ``float32(slope * float32(stored) + intercept)``, computed in float64
    (float64 images stay float64). The components of a vector image are interleaved. Only this needs
    a copy of the image in memory.

    Raises:
        ImageUnsupported: A vector image is larger than `snapws.images.MAX_IN_MEMORY` bytes.
    """

    def __init__(self, header: ImageHeader) -> None:
        header.refuse_too_large()
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._header = header
        self._planes = bytearray()

    def update(self, voxels: bytes) -> None:
        """Add the next piece of stored, little-endian voxels."""
        if self._header.components > 1:
            self._planes += voxels
        else:
            self._md5.update(self._presented(voxels))

    def hexdigest(self) -> str:
        """Return the hash of all voxels added so far, as 32 hexadecimal digits."""
        if self._planes:
            little = self._header.dtype.newbyteorder("<")
            planes = np.frombuffer(self._planes, little).reshape(self._header.components, -1)
            step = max(1, compression.PIECE // (planes.itemsize * len(planes)))
            for start in range(0, planes.shape[1], step):
                self._md5.update(self._presented(planes[:, start : start + step].T.tobytes()))
            self._planes = bytearray()
        return self._md5.hexdigest()

    def _presented(self, voxels: bytes) -> bytes:
        scaling = self._header.scaling
        if scaling is None:
            return voxels
        slope, intercept = scaling
        stored = np.frombuffer(voxels, self._header.dtype.newbyteorder("<"))
        if stored.dtype.kind == "c":
            stored = stored.view(f"<f{stored.itemsize // 2}")
        presented = np.dtype("<f8" if stored.dtype == np.float64 else "<f4")
        with np.errstate(over="ignore", invalid="ignore"):  # overflow to infinity, as in ITK
            values = stored.astype(presented).astype(np.float64)
            values *= slope
            values += intercept
            return values.astype(presented).tobytes()

"""The header of an image, and its voxels as a stream.

Nothing here holds a whole image in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from nibabel.nifti1 import Nifti1Header, data_type_codes

from snapws import compression
from snapws.errors import ImageDamaged, ImageError, ImageHasMetadata, ImageUnsupported
from snapws.images import voxel_files
from snapws.images.nifti import VOXEL_OFFSET
from snapws.images.placement import Placement
from snapws.images.voxel_files import Purpose

# An older name of this field is "regular", with a fixed value that many programs write.
_REGULAR = (38, ord("r"))

Decompress = Callable[[BinaryIO], Generator[bytes, None, None]]

# The bytes of voxel sizes in a header, including those of absent axes.
_VOXEL_SIZES = range(76, 108)

_HEADER_SIZE = 4096

MAX_IN_MEMORY = 2 << 30
"""The most bytes of voxels of an image that must be in memory as a whole."""

# Bytes of padding that may follow the voxels of a pair; a whole row would belong to another image.
_PADDING = 4096
_RGB_CODES = (128, 2304)


@dataclass(frozen=True)
class ImageHeader:
    """The properties of an image that are known without its voxels.

    Attributes:
        path: The file of the header.
        voxel_path: The file of the voxels; a different one for ``.hdr``/``.img`` pairs.
        offset: The position of the first voxel in the inflated file, in bytes.
        dtype: The type of a stored voxel, with its byte order.
        nifti: A little-endian NIfTI-1 header with voxel type, size, scaling, geometry and intent,
            and no other content of the file's own header.
        shape: The length of each axis, the fastest first.
        placement: Where ITK puts the voxels.
        no_nifti: The reason why no NIfTI-1 file can hold the image; empty if one can.
        itk_snap_refuses: The reason why ITK-SNAP does not open the image; empty if it does.
        remarks: Remarks for users on how the format is read, one line each.
        purpose: The use of the voxels, which decides which files may be opened.
    """

    path: Path
    voxel_path: Path
    offset: int
    dtype: np.dtype[Any]
    nifti: Nifti1Header
    shape: tuple[int, ...] = field(kw_only=True)
    placement: Placement = field(kw_only=True)
    no_nifti: str = field(default="", kw_only=True)
    itk_snap_refuses: str = field(default="", kw_only=True)
    remarks: tuple[str, ...] = field(default=(), kw_only=True)
    purpose: Purpose = field(default="show", kw_only=True)

    @property
    def files(self) -> tuple[Path, ...]:
        """The files of the image."""
        return (self.path, self.voxel_path)

    @property
    def needs_whole_image(self) -> bool:
        """Whether the whole image must be in memory to read its content."""
        return self.components > 1

    def refuse_too_large(self) -> None:
        """Refuse an image that must be in memory as a whole and is larger than `MAX_IN_MEMORY`.

        Raises:
            ImageUnsupported: The image is too large.
        """
        if self.needs_whole_image and self.nbytes > MAX_IN_MEMORY:
            raise ImageUnsupported(
                f"{self.path}: {self.nbytes >> 20} MiB of voxels, which have to be in memory as a "
                f"whole: at most {MAX_IN_MEMORY >> 20} MiB can be; divide it into one image for "
                "each component or time point"
            )

    @property
    def block(self) -> bytes:
        """The bytes in front of the voxels in a file that `write_nifti` writes.

        Raises:
            ImageUnsupported: No NIfTI-1 file can hold the image.
        """
        if self.no_nifti:
            raise ImageUnsupported(f"{self.path}: {self.no_nifti}")
        return bytes(self.nifti.binaryblock).ljust(VOXEL_OFFSET, b"\0")

    @property
    def stored_shape(self) -> tuple[int, int, int]:
        """Size in voxels along x, y, z; 0 along an absent axis."""
        x, y, z = (*self.shape, 0, 0, 0)[:3]
        return x, y, z

    @property
    def spatial_shape(self) -> tuple[int, int, int]:
        """Size in voxels along x, y, z; 1 along an absent axis."""
        x, y, z = (max(1, length) for length in self.stored_shape)
        return x, y, z

    @property
    def components(self) -> int:
        """The number of components per voxel: the fifth axis of a vector image, else 1."""
        return self.shape[4] if len(self.shape) > 4 else 1

    @property
    def voxel_type(self) -> str:
        """NIfTI's name of the voxel type, ``int16`` for example."""
        return str(data_type_codes.label[int(self.nifti["datatype"])])

    @property
    def nbytes(self) -> int:
        """Size of the stored voxels in bytes."""
        size = self.dtype.itemsize
        for length in self.shape:
            size *= length
        return size

    @property
    def scaling(self) -> tuple[float, float] | None:
        """Slope and intercept that ITK applies to stored values; None if it applies none.

        A slope that is 0 or not finite counts as 1, an intercept that is not finite as 0.
        """
        slope, intercept = float(self.nifti["scl_slope"]), float(self.nifti["scl_inter"])
        if not np.isfinite(slope) or abs(slope) < np.finfo(np.float64).eps:
            slope = 1.0
        if not np.isfinite(intercept):
            intercept = 0.0
        if (slope, intercept) == (1.0, 0.0) or int(self.nifti["datatype"]) in _RGB_CODES:
            return None
        return slope, intercept

    def voxels(self) -> Iterator[bytes]:
        """Yield the stored voxels in file order, little-endian, in pieces of whole voxels.

        Raises:
            ImageDamaged: The file is truncated, or its gzip checksum is wrong; raised at the end.
            ImageError: The file cannot be read.
        """
        return self._voxels()

    def clean_voxels(self, copy: BinaryIO | None = None) -> Iterator[bytes]:
        """Yield the voxels of a file that `write_nifti` could have written; see `voxels`.

        Args:
            copy: A file to which the bytes of the file are copied unchanged.

        Raises:
            ImageHasMetadata: The file holds more: text in its header, a name in gzip, or data
                behind the voxels; raised at the end.
            ImageDamaged: As for `voxels`.
            ImageError: The file cannot be read.
        """
        return self._voxels(
            clean=True, decompress=partial(compression.iter_decompressed, clean=True, copy=copy)
        )

    def deflated_voxels(
        self, copy: BinaryIO, observe: compression.Observer | None = None
    ) -> Iterator[bytes]:
        """Yield the voxels of a gzipped file with any gzip header; see `clean_voxels`.

        Args:
            copy: A file to which the deflated bytes are copied, behind a gzip header of ours.
            observe: As for `compression.iter_decompressed`.

        Raises:
            ImageError: As for `clean_voxels`.
        """
        decompress = partial(compression.iter_decompressed, copy=copy, observe=observe)
        return self._voxels(clean=True, decompress=decompress)

    def _voxels(
        self,
        *,
        clean: bool = False,
        decompress: Decompress = compression.iter_decompressed,
    ) -> Iterator[bytes]:
        real = self.voxel_path
        if self.voxel_path != self.path:
            real = voxel_files.partner(self.path, self.voxel_path.name, self.purpose)
        try:
            with (
                voxel_files.open_voxels(self.path, real) as file,
                closing(decompress(file)) as pieces,
            ):
                yield from self._cut_out(pieces, clean=clean)
        except compression.GzipNotClean as error:
            raise ImageHasMetadata(f"{self.voxel_path}: {error}") from None
        except OSError as error:
            raise ImageError(f"{self.voxel_path}: {error.strerror or error}") from None

    def _cut_out(self, pieces: Iterator[bytes], *, clean: bool) -> Iterator[bytes]:
        skip, missing, rest, more = self.offset, self.nbytes, b"", 0
        try:
            for piece in self._begun(pieces, clean=clean):
                body = piece[skip : skip + missing]
                if clean and len(piece) > skip + missing:
                    raise ImageHasMetadata(f"{self.voxel_path}: something follows the voxels")
                more += len(piece) - min(len(piece), skip + missing)
                self._refuse_more(more)
                skip -= min(skip, len(piece))
                missing -= len(body)
                whole = rest + body
                end = len(whole) - len(whole) % self.dtype.itemsize
                rest = whole[end:]
                if end:
                    yield self._little_endian(whole[:end])
        except compression.GzipDamaged as error:
            short = f", {missing} of {self.nbytes} bytes of voxels missing" if missing else ""
            raise ImageDamaged(f"{self.voxel_path}: {error}{short}") from None
        if missing:
            raise ImageDamaged(
                f"{self.voxel_path}: cut short, {missing} of {self.nbytes} bytes of voxels missing"
            )

    def _begun(self, pieces: Iterator[bytes], *, clean: bool) -> Iterator[bytes]:
        """Return the pieces, after checking that they do not begin with another image's header."""
        if self.voxel_path == self.path and not clean:
            yield from pieces
            return
        head = b""
        for piece in pieces:
            head += piece
            if len(head) >= max(voxel_files.START, min(self.offset, compression.PIECE)):
                break
        if clean:
            self._refuse_metadata(head)
            yield head
            yield from pieces
            return
        before = head[max(0, self.offset - 12) : self.offset]
        start = head[: voxel_files.START]
        voxel_files.refuse_other_header(self.voxel_path, start, self.offset, before)
        yield head
        yield from pieces

    def _refuse_metadata(self, head: bytes) -> None:
        # Zero in a field for which this package writes a default holds no information, either.
        if not all(
            there == meant or (there == 0 and place in _VOXEL_SIZES) or (place, there) == _REGULAR
            for place, (there, meant) in enumerate(zip(head, self.block, strict=False))
        ):
            raise ImageHasMetadata(f"{self.path}: the header contains more than size and geometry")

    def _refuse_more(self, more: int) -> None:
        row = self.spatial_shape[0] * self.dtype.itemsize
        if self.voxel_path != self.path and more >= min(_PADDING, row):
            raise ImageDamaged(
                f"{self.voxel_path}: more voxels than the header in {self.path.name} states"
            )

    def _little_endian(self, voxels: bytes) -> bytes:
        little = self.dtype.newbyteorder("<")
        if self.dtype == little:
            return voxels
        return np.frombuffer(voxels, self.dtype).astype(little).tobytes()


def read_start(path: Path) -> bytes:
    """Return the first bytes of a file, inflated if it is gzipped.

    Raises:
        ImageDamaged: The file is empty, or its gzip is corrupt.
        ImageError: It cannot be read.
    """
    block = b""
    try:
        with (
            voxel_files.open_regular(path) as file,
            closing(compression.iter_decompressed(file)) as pieces,
        ):
            for piece in pieces:
                block += piece[: _HEADER_SIZE - len(block)]
                if len(block) >= _HEADER_SIZE:
                    break
    except compression.GzipDamaged as error:
        if len(block) < VOXEL_OFFSET:
            raise ImageDamaged(f"{path}: {error}") from None
    except OSError as error:
        raise ImageError(f"{path}: {error.strerror or error}") from None
    if not block:
        raise ImageDamaged(f"{path}: the file is empty")
    return block

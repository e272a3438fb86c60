"""Images: their header, and their voxels as a stream, in and out.

NIfTI-1, NIfTI-2, Analyze and MGH are read here, plain or gzipped, through nibabel's headers; others
in `snapws.itk_formats`. Nothing here holds a whole image in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any, BinaryIO, ParamSpec, TypeVar

import numpy as np
from nibabel.analyze import AnalyzeHeader
from nibabel.freesurfer.mghformat import MGHHeader
from nibabel.nifti1 import Nifti1Header, data_type_codes
from nibabel.nifti2 import Nifti2Header
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError

from snapws import compression, paths, stand_ins, streams, voxel_files
from snapws.errors import ImageDamaged, ImageError, ImageSaysMore, ImageUnsupported
from snapws.hints import NO_HINTS, Hints
from snapws.nifti import VOXEL_OFFSET, end_of_extensions, from_mgh, from_nifti
from snapws.placement import Placement, Sheared, of_nifti
from snapws.voxel_files import Purpose

# An old name of the field at this place, "regular", has one value that many programs write.
_REGULAR = (38, ord("r"))

_HEADER_SIZE = 4096

P = ParamSpec("P")
T = TypeVar("T")

MAX_IN_MEMORY = 2 << 30
"""Bytes of voxels of an image that has to be in memory as a whole, at most."""

# What may follow the voxels of a pair, which is padding; a row more would be of another image.
_PADDING = 4096
_RGB_CODES = (128, 2304)
_UNREAD_TYPES = (1, 1536, 2048)


@dataclass(frozen=True)
class ImageHeader:
    """What there is to know about an image without reading its voxels.

    Attributes:
        path: the file that the header is in.
        voxel_path: the file that the voxels are in; another one for ``.hdr``/``.img`` pairs.
        offset: where they begin in it, in bytes, once inflated.
        dtype: the type of a stored voxel, its byte order included.
        nifti: a little-endian NIfTI-1 header with voxel type, size, scaling, geometry and intent,
            and nothing else of the file's own header.
        shape: The length of each axis, the fastest first.
        placement: Where ITK puts the voxels.
        no_nifti: Why no NIfTI-1 file can hold the image; empty if one can.
        itk_snap_refuses: Why ITK-SNAP does not open the image; empty if it does.
        purpose: What is done with the voxels, on which depends what may be opened.
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
    purpose: Purpose = field(default="show", kw_only=True)

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that it is read from."""
        return (self.path, self.voxel_path)

    @property
    def whole(self) -> bool:
        """Whether reading its content takes all of it in memory at once."""
        return self.components > 1

    def refuse_too_large(self) -> None:
        """Refuse an image that has to be in memory as a whole and is larger than `MAX_IN_MEMORY`.

        Raises:
            ImageUnsupported: It is so.
        """
        if self.whole and self.size > MAX_IN_MEMORY:
            raise ImageUnsupported(
                f"{self.path}: {self.size >> 20} MiB of voxels, which have to be in memory as a "
                f"whole: at most {MAX_IN_MEMORY >> 20} MiB can be; divide it into one image for "
                "each component or time point"
            )

    @property
    def block(self) -> bytes:
        """The bytes of a file that `write_nifti` makes, up to the voxels.

        Raises:
            ImageUnsupported: No NIfTI-1 file can hold the image.
        """
        if self.no_nifti:
            raise ImageUnsupported(f"{self.path}: {self.no_nifti}")
        return bytes(self.nifti.binaryblock).ljust(VOXEL_OFFSET, b"\0")

    @property
    def dimensions(self) -> tuple[int, int, int]:
        """Size in voxels along x, y, z; 0 along an axis that the image does not have."""
        x, y, z = (*self.shape, 0, 0, 0)[:3]
        return x, y, z

    @property
    def extent(self) -> tuple[int, int, int]:
        """Size in voxels along x, y, z; 1 along an axis that the image does not have."""
        x, y, z = (max(1, length) for length in self.dimensions)
        return x, y, z

    @property
    def components(self) -> int:
        """Components of a vector image's voxel (the fifth axis); 1 for all others."""
        return self.shape[4] if len(self.shape) > 4 else 1

    @property
    def voxel_type(self) -> str:
        """The type of a voxel as NIfTI names it, ``int16`` for example."""
        return str(data_type_codes.label[int(self.nifti["datatype"])])

    @property
    def size(self) -> int:
        """Size of the stored voxels in bytes."""
        size = self.dtype.itemsize
        for length in self.shape:
            size *= length
        return size

    @property
    def scaling(self) -> tuple[float, float] | None:
        """Slope and intercept that ITK applies to stored values; None if it takes them as stored.

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
        """Give the stored voxels in the order of the file, little-endian, in whole voxels a piece.

        Raises:
            ImageDamaged: the file holds fewer, or its gzip checksum is wrong; known at the end.
            ImageError: the file cannot be read.
        """
        return self._voxels(bare=False)

    def bare_voxels(self, copy: BinaryIO | None = None) -> Iterator[bytes]:
        """Give the voxels as `voxels` does, of a file that `write_nifti` could have written.

        Args:
            copy: where the bytes of the file go on the way, as they are.

        Raises:
            ImageSaysMore: it says more: text in its header, a name in gzip, anything behind the
                voxels; known at the end.
            ImageDamaged: as `voxels`.
            ImageError: the file cannot be read.
        """
        block = _start(self.path)[:VOXEL_OFFSET]
        # What other programs leave zero where this one writes a default says nothing, either.
        if not all(
            there in (meant, 0) or (place, there) == _REGULAR
            for place, (there, meant) in enumerate(zip(block, self.block, strict=False))
        ):
            raise ImageSaysMore(f"{self.path}: its header says more than size and geometry")
        return self._voxels(bare=True, copy=copy)

    def _voxels(self, *, bare: bool, copy: BinaryIO | None = None) -> Iterator[bytes]:
        real = self.voxel_path
        if self.voxel_path != self.path:
            real = voxel_files.partner(self.path, self.voxel_path.name, self.purpose)
        try:
            with (
                voxel_files.open_voxels(self.path, real) as file,
                closing(compression.pieces(file, bare=bare, copy=copy)) as pieces,
            ):
                yield from self._cut_out(pieces, bare=bare)
        except compression.GzipNotBare as error:
            raise ImageSaysMore(f"{self.voxel_path}: {error}") from None
        except OSError as error:
            raise ImageError(f"{self.voxel_path}: {error.strerror or error}") from None

    def _cut_out(self, pieces: Iterator[bytes], *, bare: bool) -> Iterator[bytes]:
        skip, missing, rest, more = self.offset, self.size, b"", 0
        try:
            for piece in self._begun(pieces):
                body = piece[skip : skip + missing]
                if bare and len(piece) > skip + missing:
                    raise ImageSaysMore(f"{self.voxel_path}: something follows the voxels")
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
            short = f", {missing} of {self.size} bytes of voxels missing" if missing else ""
            raise ImageDamaged(f"{self.voxel_path}: {error}{short}") from None
        if missing:
            raise ImageDamaged(
                f"{self.voxel_path}: cut short, {missing} of {self.size} bytes of voxels missing"
            )

    def _begun(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Return the pieces, once they have not begun with a header that is not this image's."""
        if self.voxel_path == self.path:
            yield from pieces
            return
        head = b""
        for piece in pieces:
            head += piece
            if len(head) >= max(voxel_files.START, min(self.offset, compression.PIECE)):
                break
        before = head[max(0, self.offset - 12) : self.offset]
        start = head[: voxel_files.START]
        voxel_files.refuse_other_header(self.voxel_path, start, self.offset, before)
        yield head
        yield from pieces

    def _refuse_more(self, more: int) -> None:
        row = self.extent[0] * self.dtype.itemsize
        if self.voxel_path != self.path and more >= min(_PADDING, row):
            raise ImageDamaged(
                f"{self.voxel_path}: it holds more voxels than {self.path.name} tells of"
            )

    def _little_endian(self, voxels: bytes) -> bytes:
        little = self.dtype.newbyteorder("<")
        if self.dtype == little:
            return voxels
        return np.frombuffer(voxels, self.dtype).astype(little).tobytes()


def _naming_stand_ins(read: Callable[P, T]) -> Callable[P, T]:
    """Have what fails to read an image say so where something else stands in its place."""

    @wraps(read)
    def reading(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return read(*args, **kwargs)
        except ImageError as error:
            path = Path(str(args[0] if args else kwargs["path"]))
            kind = ImageDamaged if isinstance(error, ImageDamaged) else ImageUnsupported
            for file in dict.fromkeys((path, *_pair(path))):
                if what := _stand_in(file):
                    raise kind(f"{file}: {what}") from None
            raise

    return reading


def _stand_in(path: Path) -> str:
    if what := stand_ins.of_file(path):
        return what
    with suppress(ImageError):
        return stand_ins.of_content(_start(path))  # what a server had compressed on the way
    return ""


@_naming_stand_ins
def read_header(path: Path, purpose: Purpose = "show", hints: Hints = NO_HINTS) -> ImageHeader:
    """Read the header of an image, and no voxels.

    Args:
        path: The file of the image, or of its header.
        hints: What its workspace says of how to read it.
        purpose: What is done with the voxels: which files a header may name depends on it
            (`snapws.voxel_files`).

    Raises:
        ImageUnsupported: it is not of a format that is read here, ITK-SNAP could not open it, or
            its voxels are in a file that may not be opened.
        ImageDamaged: the header is impossible.
        ImageError: the file cannot be read.
    """
    from snapws import itk_formats

    if hints.raw is not None or path.name.lower().endswith(itk_formats.SUFFIXES):
        return itk_formats.read_header(path, purpose, hints)
    header_path, voxel_path = _pair(path)
    real = header_path
    if header_path != path:
        real = voxel_files.partner(path, header_path.name, purpose)
        if not real.exists() and (why := paths.unusable(real)):
            raise ImageError(f"{path}: its header is in {header_path.name}, which {why}")
    block = _start(real)
    header: Any
    try:
        if block[:4] in (b"\x5c\x01\0\0", b"\0\0\x01\x5c"):
            is_nifti = block[344:348] in (b"n+1\0", b"ni1\0")
            kind: Any = Nifti1Header if is_nifti else AnalyzeHeader
            header = kind(block[:348], check=False)
            if is_nifti and block[344:348] == b"n+1\0":
                voxel_path = header_path
        elif block[:4] in (b"\x1c\x02\0\0", b"\0\0\x02\x1c"):
            header = Nifti2Header(block[:540], check=False)
            if block[4:8] != b"ni2\0":
                voxel_path = header_path
        elif block[:4] == b"\0\0\0\x01" and ".mg" in path.name.lower():
            header = MGHHeader(block[:284].ljust(304, b"\0"), check=False)
            voxel_path = header_path
        elif voxel_files.has_dicom_preamble(block) or voxel_files.is_bare_dicom(block):
            return itk_formats.read_header(path, purpose, hints)
        else:
            raise ImageUnsupported(
                f"{path}: not an image of a format that is read here: convert it to NIfTI first"
            )
        if not isinstance(header, MGHHeader) and int(header["datatype"]) in _UNREAD_TYPES:
            raise ImageUnsupported(
                f"{path}: its voxels are bits or 128-bit numbers, which ITK-SNAP does not read: "
                "convert them first"
            )
        offset = int(header.get_data_offset())
        dtype = header.get_data_dtype()
        nifti = from_mgh(header) if isinstance(header, MGHHeader) else from_nifti(header)
        placement = of_nifti(nifti if isinstance(header, MGHHeader) else header)
    except Sheared:
        raise ImageUnsupported(
            f"{path}: its axes are sheared, and ITK-SNAP opens only NIfTI images with "
            "orthonormal axes: resample it first"
        ) from None
    except (
        *(HeaderDataError, WrapStructError),
        *(ValueError, ArithmeticError, KeyError),
    ) as error:
        raise ImageDamaged(f"{path}: the header is impossible: {error}") from None
    found = ImageHeader(
        header_path,
        voxel_path,
        offset,
        dtype,
        nifti,
        shape=tuple(int(length) for length in nifti["dim"][1 : int(nifti["dim"][0]) + 1]),
        placement=placement,
        itk_snap_refuses=_refusal(header),
        purpose=purpose,
    )
    if purpose == "send" and voxel_path != header_path:
        voxel_files.partner(header_path, voxel_path.name, purpose)
    size = 284 if isinstance(header, MGHHeader) else end_of_extensions(block, header)
    _check(found, least_offset=size if voxel_path == header_path else 0)
    return found


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
        header: the image to copy.
        file: where to, open for writing.
        level: of the gzip that is written (`compression.LEVELS`); 0 for none.
        watch: is fed the voxels on the way, in the thread that reads.

    Raises:
        ImageDamaged: the image is cut short or its checksum is wrong; known at the end.
        ImageError: it cannot be read.
        OSError: the file cannot be written.
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
    for voxels in streams.ahead(watched()):
        write(voxels)
    if compressor:
        file.write(compressor.flush())


def _refusal(header: Any) -> str:
    kind = "MGH" if isinstance(header, MGHHeader) else "NIfTI-2"
    if not isinstance(header, (MGHHeader, Nifti2Header)):
        return ""
    return f"ITK-SNAP does not open {kind}: save it as NIfTI-1 (snapws layers copy-image)"


def _check(header: ImageHeader, *, least_offset: int) -> None:
    if not header.dtype.itemsize:
        code = int(header.nifti["datatype"])
        raise ImageDamaged(f"{header.path}: the header is impossible: voxel type {code}")
    if header.offset < least_offset:
        raise ImageDamaged(f"{header.path}: the header is impossible: voxels inside the header")


def _pair(path: Path) -> tuple[Path, Path]:
    """Give the names of header and voxel file of what may be a ``.hdr``/``.img`` pair."""
    stem, suffix = path.name, ""
    if stem.lower().endswith(".gz"):
        stem, suffix = stem[:-3], stem[-3:]
    for this, other in ((".hdr", ".img"), (".img", ".hdr"), (".HDR", ".IMG"), (".IMG", ".HDR")):
        if stem.endswith(this):
            partner = path.with_name(stem[:-4] + other + suffix)
            return (path, partner) if this.lower() == ".hdr" else (partner, path)
    return path, path


def _start(path: Path) -> bytes:
    block = b""
    try:
        with voxel_files.open_regular(path) as file, closing(compression.pieces(file)) as pieces:
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

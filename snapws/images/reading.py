"""Read the header of an image file: NIfTI-1, NIfTI-2, Analyze and MGH here, others in `itk`.

Headers are parsed by nibabel, plain or gzipped.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from nibabel.analyze import AnalyzeHeader
from nibabel.freesurfer.mghformat import MGHHeader
from nibabel.nifti1 import Nifti1Header
from nibabel.nifti2 import Nifti2Header
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError

from snapws import paths, stand_ins
from snapws.errors import ImageDamaged, ImageError, ImageUnsupported
from snapws.images import voxel_files
from snapws.images.header import ImageHeader, read_start
from snapws.images.hints import NO_HINTS, Hints
from snapws.images.nifti import end_of_extensions, from_mgh, from_nifti
from snapws.images.placement import Sheared, of_nifti
from snapws.images.voxel_files import Purpose

P = ParamSpec("P")
T = TypeVar("T")

_UNREAD_TYPES = (1, 1536, 2048)


def _naming_stand_ins(read: Callable[P, T]) -> Callable[P, T]:
    """Add to errors that a stand-in, such as a git-annex pointer, takes the place of the image."""

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
    if what := paths.stand_in(path):
        return what
    with suppress(ImageError):
        return stand_ins.of_content(read_start(path))  # compressed by a server during a download
    return ""


@_naming_stand_ins
def read_header(path: Path, purpose: Purpose = "show", hints: Hints = NO_HINTS) -> ImageHeader:
    """Read the header of an image, without voxels.

    Args:
        path: The file of the image, or of its header.
        hints: The hints of the workspace on how to read the file.
        purpose: The use of the voxels. It decides which files a header may name
            (`snapws.images.voxel_files`).

    Raises:
        ImageUnsupported: This package or ITK-SNAP does not support the format, or the voxels are in
            a file that must not be opened.
        ImageDamaged: The header is corrupt.
        ImageError: The file cannot be read.
    """
    from snapws.images import itk

    if hints.raw is not None or path.name.lower().endswith(itk.SUFFIXES):
        return itk.read_header(path, purpose, hints)
    header_path, voxel_path = _pair(path)
    real = header_path
    if header_path != path:
        real = voxel_files.partner(path, header_path.name, purpose)
        if not real.exists() and (why := paths.unusable(real)):
            raise ImageError(f"{path}: its header is in {header_path.name}, which {why}")
    block = read_start(real)
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
            return itk.read_header(path, purpose, hints)
        else:
            raise ImageUnsupported(
                f"{path}: not an image of a supported format: convert it to NIfTI first"
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
        raise ImageDamaged(f"{path}: the header is corrupt: {error}") from None
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
    _refuse_corrupt_header(found, least_offset=size if voxel_path == header_path else 0)
    return found


def _refusal(header: Any) -> str:
    kind = "MGH" if isinstance(header, MGHHeader) else "NIfTI-2"
    if not isinstance(header, (MGHHeader, Nifti2Header)):
        return ""
    return f"ITK-SNAP does not open {kind}: save it as NIfTI-1 (snapws layers copy-image)"


def _refuse_corrupt_header(header: ImageHeader, *, least_offset: int) -> None:
    """Refuse a corrupt header."""
    if not header.dtype.itemsize:
        code = int(header.nifti["datatype"])
        raise ImageDamaged(f"{header.path}: the header is corrupt: voxel type {code}")
    if header.offset < least_offset:
        raise ImageDamaged(f"{header.path}: the header is corrupt: the voxels inside the header")


def _pair(path: Path) -> tuple[Path, Path]:
    """Return the names of header and voxel file; different for a ``.hdr``/``.img`` pair."""
    stem, suffix = path.name, ""
    if stem.lower().endswith(".gz"):
        stem, suffix = stem[:-3], stem[-3:]
    for this, other in ((".hdr", ".img"), (".img", ".hdr"), (".HDR", ".IMG"), (".IMG", ".HDR")):
        if stem.endswith(this):
            partner = path.with_name(stem[:-4] + other + suffix)
            return (path, partner) if this.lower() == ".hdr" else (partner, path)
    return path, path

"""Whether the voxels of a file are all there, which SimpleITK does not always look at."""

from __future__ import annotations

import re
import zlib
from pathlib import Path
from typing import BinaryIO

from snapws import compression
from snapws.errors import ImageDamaged, ImageError, ImageUnsupported
from snapws.images import ImageHeader
from snapws.itk_formats.reading import SUFFIXES

_GIPL_HEADER = 256
_VTK_DATA = re.compile(
    rb"\n(?:SCALARS|VECTORS|TENSORS|COLOR_SCALARS)[^\n]*\n(?:LOOKUP_TABLE[^\n]*\n)?", re.IGNORECASE
)
_ZLIB_OR_GZIP = 47  # window bits that take either form


def refuse_damaged(header: ImageHeader) -> None:
    """Refuse what SimpleITK would take: voxels that are missing, or whose checksum is wrong.

    Raises:
        ImageDamaged: it is so.
        ImageUnsupported: whether it is so cannot be told.
    """
    path, name = header.path, header.path.name.lower()
    found = header.size
    try:
        with path.open("rb") as file:
            if name.endswith((".gipl", ".gipl.gz")):
                found = sum(map(len, compression.pieces(file))) - _GIPL_HEADER
            elif name.endswith(".vtk"):
                found = _vtk_bytes(header, file)
            elif name.endswith(SUFFIXES):
                _refuse_bad_stream(header, file)
    except (compression.GzipDamaged, zlib.error) as error:
        raise ImageDamaged(f"{path}: {error}") from None
    except OSError as error:
        raise ImageError(f"{path}: {error.strerror or error}") from None
    if found < header.size:
        raise ImageDamaged(
            f"{path}: cut short, {header.size - found} of {header.size} bytes of voxels missing"
        )


def _vtk_bytes(header: ImageHeader, file: BinaryIO) -> int:
    """Give how many bytes of voxels a VTK file has, or would have if it were no text."""
    block = file.read(compression.PIECE)
    start = _VTK_DATA.search(block)
    if start is None:
        raise ImageUnsupported(
            f"{header.path}: a VTK image of a form that is not known here: convert it to NIfTI"
        )
    file.seek(start.end())
    if block.split(b"\n", 3)[2].strip().upper() != b"ASCII":
        return header.path.stat().st_size - start.end()
    numbers = sum(len(line.split()) for line in file)
    _refuse_open_end(header.path, file)
    return numbers * header.dtype.itemsize


def _refuse_bad_stream(header: ImageHeader, file: BinaryIO) -> None:
    """Refuse a MetaImage or NRRD file whose voxels are compressed or text, and not whole.

    SimpleITK finds raw voxels that are too few, but looks at no checksum.
    """
    fields = _header_fields(file)
    encoding = fields.get("encoding", "raw").lower()
    as_text = encoding in ("ascii", "text", "txt")
    compressed = encoding in ("gz", "gzip") or fields.get("compresseddata", "").lower() == "true"
    if not (compressed or as_text):
        return
    if header.voxel_path == header.path and not _is_local(fields):
        raise ImageUnsupported(
            f"{header.path}: its voxels are in several files, compressed or as text: convert it "
            "to NIfTI first"
        )
    with header.voxel_path.open("rb") as voxels:
        voxels.seek(file.tell() if header.voxel_path == header.path else 0)
        if as_text:
            _refuse_open_end(header.voxel_path, voxels)
        else:
            _refuse_bad_checksum(header, voxels)


def _refuse_bad_checksum(header: ImageHeader, file: BinaryIO) -> None:
    found, stream = 0, zlib.decompressobj(_ZLIB_OR_GZIP)
    while not stream.eof:
        deflated = stream.unconsumed_tail or file.read(compression.PIECE)
        inflated = stream.decompress(deflated, compression.PIECE)
        found += len(inflated)
        if not deflated and not inflated:
            break
    if not stream.eof or found < header.size:
        raise ImageDamaged(f"{header.voxel_path}: cut short, its compressed voxels end early")


def _refuse_open_end(path: Path, file: BinaryIO) -> None:
    """Refuse voxels written as text that end within what may be the last number's digits."""
    end = file.seek(0, 2)
    file.seek(max(0, end - 1))
    if not file.read(1).isspace():
        raise ImageDamaged(
            f"{path}: cut short, or its last line has no end: add one if the last number is whole"
        )


def voxel_path(path: Path) -> Path:
    """Give the file that the voxels are in: the header's own, if they are in several."""
    if not path.name.lower().endswith((".mha", ".mhd", ".nrrd", ".nhdr")):
        return path
    with path.open("rb") as file:
        fields = _header_fields(file)
    name = fields.get("elementdatafile") or fields.get("datafile") or ""
    several = name.split(" ")[0].upper() == "LIST" or "%" in name
    return path if several or _is_local(fields) else path.parent / name


def _is_local(fields: dict[str, str]) -> bool:
    name = fields.get("elementdatafile") or fields.get("datafile") or "LOCAL"
    return name.upper() == "LOCAL"


def _header_fields(file: BinaryIO) -> dict[str, str]:
    """Read the header of a MetaImage or NRRD file up to where voxels may follow."""
    fields: dict[str, str] = {}
    is_nrrd = file.read(4) == b"NRRD"
    while line := file.readline(compression.PIECE):
        text = line.decode("utf-8", "replace").strip()
        if is_nrrd and not text:
            break
        key, _, value = text.partition(":" if is_nrrd else "=")
        if not value.startswith("="):  # NRRD's free "key:=value"
            fields[key.strip().lower().replace(" ", "")] = value.strip()
        if "elementdatafile" in fields:
            break
    return fields

"""NIfTI, Analyze and MGH files, with a marker in each field that has nothing to say of voxels."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.nifti1 import Nifti1Header
from nibabel.nifti2 import Nifti2Header

from tests.privacy.marking import Marks
from tests.privacy.voxels import (
    SHAPE,
    SPACING,
    SWAPPED,
    VOXELS,
    Writer,
    after,
    fill,
    gzipped,
)

# Fields of the headers that say nothing of voxels and geometry, by the byte that they begin at.
_NIFTI1_TEXTS = {"data_type": 4, "db_name": 14, "descrip": 148, "aux_file": 228, "intent_name": 328}
_NIFTI1_NUMBERS = {
    "extents, session_error and regular": 32,
    "dim beyond the third": 48,
    "intent_p1 and intent_p2": 56,
    "pixdim beyond the third": 92,
    "cal_max and cal_min": 124,
    "slice_duration and toffset": 132,
    "glmax and glmin": 140,
}
_NIFTI2_TEXTS = {"descrip": 240, "aux_file": 320, "intent_name": 508, "unused_str": 525}
_NIFTI2_NUMBERS = {
    "dim beyond the third": 48,
    "intent_p1": 80,
    "pixdim beyond the third": 136,
    "cal_max": 192,
    "slice_duration": 208,
    "slice_start": 224,
}
_QFORM, _SFORM = {"quatern_b and quatern_c": 256}, {"srow_x": 280, "srow_z": 312}
_ANALYZE_TEXTS = {
    "data_type": 4,
    "db_name": 14,
    "cal_units": 60,
    "descrip": 148,
    "aux_file": 228,
    "originator": 253,
    "generated": 263,
    "scannum": 273,
    "patient_id": 283,
    "exp_date": 293,
    "exp_time": 303,
}
_ANALYZE_NUMBERS = {
    "extents, session_error and regular": 32,
    "dim beyond the third": 48,
    "pixdim beyond the third": 92,
    "funused1 and funused2": 116,
    "cal_max and cal_min": 124,
    "compressed and verified": 132,
    "glmax and glmin": 140,
    "views and vols_added": 316,
    "start_field and field_skip": 324,
    "omax and omin": 332,
    "smax and smin": 340,
}


def _extension(code: int, text: str, order: str = "<") -> bytes:
    return struct.pack(f"{order}ii", 32, code) + text.encode().ljust(24, b"\0")


def _nifti1(
    mark: Marks, what: str, *, sform: bool, order: str = "<", magic: bytes = b"n+1\0"
) -> bytes:
    """Return a header, extensions, and bytes in front of the voxels."""
    header: Any = Nifti1Header(endianness=order)
    header.set_data_dtype(np.int16)
    header["dim"] = [3, *SHAPE, 1, 1, 1, 1]
    header["pixdim"][1:4] = SPACING
    header["magic"] = magic
    header["sform_code" if sform else "qform_code"] = 1
    if sform:
        for row, spacing in enumerate(SPACING):
            header[f"srow_{'xyz'[row]}"][row] = spacing
    gap = mark(f"{what}: bytes before the voxels").encode().ljust(16)
    extensions = b"".join(
        _extension(code, mark(f"{what}: extension of code {code}"), order)
        for code in (0, 2, 4, 6, 44)
    )
    header["vox_offset"] = 0 if magic == b"ni1\0" else 352 + len(extensions) + len(gap)
    block = bytearray(header.binaryblock)
    fill(block, _NIFTI1_TEXTS, mark, what)
    fill(block, _NIFTI1_NUMBERS, mark, what)
    fill(block, _QFORM if sform else _SFORM, mark, what)
    return bytes(block) + b"\1\0\0\0" + extensions + gap


def nifti(folder: Path, mark: Marks) -> Path:
    what = ".nii"
    path = folder / f"{mark(f'{what}: file name', 'file name')}.nii"
    path.write_bytes(_nifti1(mark, what, sform=True) + VOXELS + after(mark, what))
    return path


def nifti_gz(folder: Path, mark: Marks) -> Path:
    what = ".nii.gz"
    name = mark(f"{what}: file name", "file name", accented=True)
    path = folder / f"{name}.{mark(f'{what}: file name after a dot')}.nii.gz"
    data = _nifti1(mark, what, sform=False) + VOXELS + after(mark, what)
    member = gzipped(mark(f"{what}: text of a second gzip member").encode(), mark, f"{what}, 2nd")
    path.write_bytes(gzipped(data, mark, what) + member)
    return path


def nifti_big_endian(folder: Path, mark: Marks) -> Path:
    what = ".nii, big-endian"
    path = folder / f"{mark(f'{what}: file name', 'file name')}.nii"
    path.write_bytes(_nifti1(mark, what, sform=False, order=">") + SWAPPED)
    return path


def nifti_pair(folder: Path, mark: Marks) -> Path:
    what = ".hdr of NIfTI"
    path = folder / f"{mark(f'{what}: file name', 'file name')}.hdr"
    path.write_bytes(_nifti1(mark, what, sform=True, magic=b"ni1\0"))
    path.with_suffix(".img").write_bytes(VOXELS + after(mark, ".img of NIfTI"))
    return path


def _nifti2(mark: Marks, what: str) -> bytes:
    header: Any = Nifti2Header(endianness="<")
    header.set_data_dtype(np.int16)
    header["dim"] = [3, *SHAPE, 1, 1, 1, 1]
    header["pixdim"][1:4] = SPACING
    header["qform_code"] = 1
    extension = _extension(6, mark(f"{what}: extension"))
    header["vox_offset"] = 544 + len(extension)
    block = bytearray(header.binaryblock)
    fill(block, _NIFTI2_TEXTS, mark, what)
    fill(block, _NIFTI2_NUMBERS, mark, what)
    fill(block, {"srow_x": 400, "srow_y": 432}, mark, what)
    return bytes(block) + b"\1\0\0\0" + extension


def nifti2(folder: Path, mark: Marks) -> Path:
    what = "NIfTI-2"
    path = folder / f"{mark(f'{what}: file name', 'file name')}.nii"
    path.write_bytes(_nifti2(mark, what) + VOXELS + after(mark, what))
    return path


def nifti2_gz(folder: Path, mark: Marks) -> Path:
    what = "NIfTI-2, gzipped"
    path = folder / f"{mark(f'{what}: file name', 'file name')}.nii.gz"
    path.write_bytes(gzipped(_nifti2(mark, what) + VOXELS, mark, what))
    return path


def analyze(folder: Path, mark: Marks) -> Path:
    what = "Analyze"
    block = bytearray(348)
    struct.pack_into("<i", block, 0, 348)
    struct.pack_into("<8h", block, 40, 3, *SHAPE, 1, 1, 1, 1)
    struct.pack_into("<2h", block, 70, 4, 16)
    struct.pack_into("<4f", block, 76, 1, *SPACING)
    fill(block, _ANALYZE_TEXTS, mark, what)
    fill(block, _ANALYZE_NUMBERS, mark, what)
    path = folder / f"{mark(f'{what}: file name', 'file name')}.img"
    path.with_suffix(".hdr").write_bytes(block + mark(f"{what}: bytes after the header").encode())
    path.write_bytes(VOXELS + after(mark, what))
    return path


def _mgh(mark: Marks, what: str) -> bytes:
    header = struct.pack(">7ih", 1, *SHAPE, 1, 4, 0, 1)
    header += struct.pack(">15f", *SPACING, *(1, 0, 0, 0, 1, 0, 0, 0, 1), 0, 0, 0)
    header += bytes(16) + mark(f"{what}: unused part of the header").encode()
    footer = struct.pack(">5f", 2000, 0.1, 3, 900, 256)
    for code, name in ((20, "command line"), (30, "transform"), (4, "old transform"), (42, "tag")):
        text = mark(f"{what}: {name} in the footer").encode() + b"\0"
        footer += struct.pack(">iq", code, len(text)) + text
    return header.ljust(284, b"\0") + SWAPPED + footer


def mgh(folder: Path, mark: Marks) -> Path:
    path = folder / f"{mark('.mgh: file name', 'file name')}.mgh"
    path.write_bytes(_mgh(mark, ".mgh"))
    return path


def mgz(folder: Path, mark: Marks) -> Path:
    path = folder / f"{mark('.mgz: file name', 'file name')}.mgz"
    path.write_bytes(gzipped(_mgh(mark, ".mgz"), mark, ".mgz"))
    return path


def _nifti_with(
    folder: Path,
    mark: Marks,
    what: str,
    fields: Mapping[str, int],
    shape: tuple[int, ...],
    code: int,
) -> Path:
    header: Any = Nifti1Header(endianness="<")
    header.set_data_dtype(code)
    header.set_data_shape(shape)
    header["vox_offset"] = 352
    block = bytearray(header.binaryblock)
    fill(block, fields, mark, what)
    path = folder / f"{mark(f'{what}: file name', 'file name')}.nii"
    path.write_bytes(bytes(block) + bytes(4) + VOXELS * 2)
    return path


def nifti_flat(folder: Path, mark: Marks) -> Path:
    fields = {"dim beyond the second": 46, "pixdim beyond the second": 88}
    return _nifti_with(folder, mark, "2-D", fields, SHAPE[:2], 4)


def nifti_without_place(folder: Path, mark: Marks) -> Path:
    return _nifti_with(folder, mark, "no qform, no sform", {**_QFORM, **_SFORM}, SHAPE, 4)


def nifti_handed(folder: Path, mark: Marks) -> Path:
    """Write an image whose pixdim[0] has nothing but its sign to say."""
    path = _nifti_with(folder, mark, "qform", {}, SHAPE, 4)
    data = bytearray(path.read_bytes())
    data[76:80] = mark.put("Zqfc", "pixdim[0]").encode()
    struct.pack_into("<h", data, 252, 1)
    path.write_bytes(data)
    return path


def nifti_codes(folder: Path, mark: Marks) -> Path:
    """Write an image whose codes of qform and sform are letters."""
    path = _nifti_with(folder, mark, "codes", {}, SHAPE, 4)
    data = bytearray(path.read_bytes())
    data[252:256] = mark.put("Zqcd", "qform_code and sform_code").encode()
    path.write_bytes(data)
    return path


def mgh_without_place(folder: Path, mark: Marks) -> Path:
    what = ".mgh without orientation"
    path = folder / f"{mark(f'{what}: file name', 'file name')}.mgh"
    data = bytearray(_mgh(mark, what))
    data[28:30] = bytes(2)
    fill(data, {"spacing": 30, "direction": 42, "center": 78}, mark, what)
    path.write_bytes(data)
    return path


#: Files in which fields that often have a meaning have none. Slope and intercept are not among
#: them: ITK scales also what by NIfTI's rule is not scaled, colours and a slope of 0.
FIELDS_WITHOUT_MEANING: dict[str, Writer] = {
    "2-d": nifti_flat,
    "nifti-without-place": nifti_without_place,
    "pixdim-0": nifti_handed,
    "form-codes": nifti_codes,
    "mgh-without-place": mgh_without_place,
}

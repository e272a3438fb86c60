"""NIfTI-1 headers of written images, made from the headers of other formats."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from nibabel.freesurfer.mghformat import MGHHeader
from nibabel.nifti1 import Nifti1Header, intent_codes
from nibabel.nifti2 import Nifti2Header

VOXEL_OFFSET = 352
"""The offset of the voxels, in bytes: behind the header, without extensions."""

# Fields of a NIfTI header that describe voxels and geometry, besides size and type.
_QFORM_FIELDS = ("quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z")
_SFORM_FIELDS = ("srow_x", "srow_y", "srow_z")
_INTENT_FIELDS = ("intent_p1", "intent_p2", "intent_p3")
_KEPT_FIELDS = (
    *("pixdim", "xyzt_units", "scl_slope", "scl_inter", "intent_code", *_INTENT_FIELDS),
    *("qform_code", *_QFORM_FIELDS, "sform_code", *_SFORM_FIELDS),
)

# Codes that readers know. Other values could encode text.
_FORM_CODES = range(6)
_UNKNOWN_FORM = 2  # aligned to something unnamed; 1 would mean the axes of the scanner
_SPACE_UNITS, _TIME_UNITS = range(4), range(0, 56, 8)

_LARGEST_EXTENSION = 1 << 24
_LAST_CODE = 64  # codes of extensions: even numbers up to about 50

MAX_LENGTH = 32767
"""The most voxels along an axis that the header can state."""

_MAX_AXES = 5  # x, y, z, time, component: the axes that ITK reads


def new_header(shape: Sequence[int], dtype: np.dtype[Any]) -> Nifti1Header:
    """Return an empty header for a written file: little-endian, single file, no extension.

    Raises:
        ValueError: An axis is longer than 32767 voxels, the most that the header can state.
    """
    if max(shape) > MAX_LENGTH:
        raise ValueError(f"an axis is longer than {MAX_LENGTH} voxels")
    nifti = Nifti1Header(endianness="<")
    nifti["vox_offset"] = VOXEL_OFFSET
    nifti.set_data_dtype(dtype)
    # Not set_data_shape: it stores long axes in a form that only one program reads.
    nifti["dim"] = [len(shape), *shape, *[1] * (7 - len(shape))]
    return nifti


def from_nifti(source: Any) -> Nifti1Header:
    """Convert the header of a NIfTI or Analyze image; keep geometry and scaling.

    Raises:
        ValueError: The header has unsupported axes, or axes that are too long.
        FloatingPointError: A number is too large.
    """
    shape = _shape(source)
    axes = len(shape)
    nifti = new_header(shape, source.get_data_dtype())
    names: tuple[str, ...] = _KEPT_FIELDS
    if not isinstance(source, (Nifti1Header, Nifti2Header)):
        names = ("pixdim",)  # Analyze has neither scaling nor orientation
        nifti["xyzt_units"] = 2  # mm
    with np.errstate(over="raise"):
        for name in names:
            nifti[name] = source[name]
    _settle_codes(nifti)
    _blank_meaningless(nifti, axes)
    _settle_numbers(nifti)
    return nifti


def _shape(source: Any) -> list[int]:
    """Return the length of each axis as ITK reads it: below 1 counts as 1, except for the first.

    Raises:
        ValueError: The header has unsupported axes.
    """
    axes = int(source["dim"][0])
    lengths = [int(length) for length in source["dim"][1 : axes + 1]]
    if not 1 <= axes <= len(source["dim"]) - 1 or lengths[0] < 1:
        raise ValueError(f"{axes} axes, the first of length {int(source['dim'][1])}")
    shape = [max(1, length) for length in lengths]
    while len(shape) > _MAX_AXES and shape[-1] == 1:
        shape.pop()
    if len(shape) > _MAX_AXES:
        raise ValueError(f"{len(shape)} axes, expected 1 to {_MAX_AXES}")
    return shape


def _settle_codes(nifti: Nifti1Header) -> None:
    """Replace unknown codes by codes that all readers interpret in the same manner."""
    for name in ("qform_code", "sform_code"):
        if int(nifti[name]) not in _FORM_CODES:
            nifti[name] = _UNKNOWN_FORM if int(nifti[name]) > 0 else 0
    if int(nifti["intent_code"]) not in intent_codes.code:
        nifti["intent_code"] = 0
    units = int(nifti["xyzt_units"])
    space, time = units & 7, units & 56
    nifti["xyzt_units"] = (space if space in _SPACE_UNITS else 0) + (
        time if time in _TIME_UNITS else 0
    )


def _settle_numbers(nifti: Nifti1Header) -> None:
    """Clear the payload bits of NaN, which could hold any data."""
    for name in _KEPT_FIELDS:
        if nifti[name].dtype.kind == "f":
            nifti[name] = np.where(np.isnan(nifti[name]), np.nan, nifti[name])


def _blank_meaningless(nifti: Nifti1Header, axes: int) -> None:
    """Clear the fields that this header does not use, which could hold any data."""
    placed = int(nifti["qform_code"]) > 0  # a form needs spacing along three axes
    nifti["pixdim"][max(axes, 3 if placed else 0) + 1 :] = 1
    if nifti["pixdim"][0] not in (-1, 0, 1):  # readers use only its sign
        nifti["pixdim"][0] = np.sign(nifti["pixdim"][0])
    if not placed:
        nifti["pixdim"][0] = 1
        for name in _QFORM_FIELDS:
            nifti[name] = 0
    if int(nifti["sform_code"]) <= 0:
        for name in _SFORM_FIELDS:
            nifti[name] = 0
    code = int(nifti["intent_code"])
    parameters: Any = intent_codes.parameters.get(code, ())
    for name in _INTENT_FIELDS[len(parameters) :]:
        nifti[name] = 0


def end_of_extensions(block: bytes, header: Any) -> int:
    """Return the end of the extensions of a NIfTI header, as far as they are certain."""
    end = int(header.sizeof_hdr)
    if len(block) < end + 4 or not block[end]:
        return end
    order: Literal["little", "big"] = "little" if header.endianness == "<" else "big"
    at = end + 4
    while at + 8 <= len(block):
        size, code = (int.from_bytes(block[at + n : at + n + 4], order) for n in (0, 4))
        if size < 16 or size % 16 or size > _LARGEST_EXTENSION or code > _LAST_CODE or code % 2:
            break
        at += size
        end = at
    return end


def from_mgh(source: MGHHeader) -> Nifti1Header:
    """Convert the header of an MGH image; keep its geometry."""
    nifti = new_header(source.get_data_shape(), source.get_data_dtype())
    nifti["pixdim"][1:4] = source.get_zooms()[:3]
    nifti.set_xyzt_units("mm")
    nifti.set_qform(source.get_affine(), code="scanner")
    nifti.set_sform(source.get_affine(), code="scanner")
    return nifti

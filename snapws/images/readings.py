"""Images that ITK-SNAP cannot open, or that other programs read differently."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from nibabel import imageglobals
from nibabel.spatialimages import HeaderDataError

from snapws import compression, geometry
from snapws.errors import ImageError
from snapws.images import placement, voxel_files
from snapws.images.header import ImageHeader

# The distance of two readings that is worth a remark, as a fraction of a voxel.
_TOLERANCE = 0.05
_SIZE_TOLERANCE = 1e-3
_QUIET = logging.getLogger(f"{__name__}.nibabel")
_QUIET.addHandler(logging.NullHandler())
_QUIET.propagate = False
_UNITS = {1: "metres", 3: "micrometres"}


def refusal(path: Path, header: ImageHeader) -> str:
    """Return why ITK-SNAP does not open an image; empty if it does.

    Raises:
        ImageError: The file cannot be read.
    """
    if header.itk_snap_refuses:
        return header.itk_snap_refuses
    if path.name.lower().endswith(".nii") and _begins_as_gzip(path):
        return "ITK-SNAP does not open gzip in a file whose name ends in .nii: name it .nii.gz"
    return ""


def differences(path: Path, header: ImageHeader) -> Iterator[str]:
    """Yield a line for each difference between ITK-SNAP and another program that reads an image.

    Raises:
        ImageError: The file cannot be read.
    """
    if path.name.lower().endswith(".gz"):
        if line := read_instead(path):
            yield line
        if _has_padded_members(header):
            yield (
                "zeros separate the gzip streams in it: ITK-SNAP shows zeros from the second "
                "stream on, nibabel all of the voxels: compress it anew"
            )
    yield from header.remarks
    if not header.no_nifti and header.nifti["dim"][0] > 0:
        yield from _of_place(header)


def read_instead(path: Path) -> str:
    """Return a line on the plain file that ITK reads instead of a gzipped one, or nothing."""
    plain = path.with_name(path.name[:-3])
    if not path.name.lower().endswith(".gz") or not plain.exists():
        return ""
    return (
        f"ITK 5.4, and so ITK-SNAP, reads {plain.name} beside it instead; nibabel reads "
        f"{path.name}: move one of them to another folder"
    )


def _of_place(header: ImageHeader) -> Iterator[str]:
    nifti = header.nifti
    unit = int(nifti["xyzt_units"]) & 7
    if unit in _UNITS:
        yield (
            f"its header says {_UNITS[unit]}: ITK-SNAP converts size and place to mm, nibabel and "
            "FSL take the numbers for mm, ITK 5.2 converts the size alone"
        )
    second = placement.sform(nifti)
    sizes = np.abs(placement.voxel_sizes(nifti))[: len(header.shape)]
    if second is not None:
        lengths = second.lengths[: len(sizes)]
        if not np.allclose(lengths, sizes, rtol=_SIZE_TOLERANCE, atol=0):
            older = "takes the qform" if int(nifti["qform_code"]) > 0 else "refuses it"
            yield (
                f"its header gives two sizes of a voxel: ITK-SNAP takes {_words(sizes)} (pixdim), "
                f"nibabel and FSL {_words(lengths)} (sform), ITK 5.2 {older}"
            )
            return
    if unit not in _UNITS:
        yield from _of_nibabel(header)


def _of_nibabel(header: ImageHeader) -> Iterator[str]:
    try:
        repaired = header.nifti.copy()
        repaired.check_fix(_QUIET, imageglobals.error_level)  # as nibabel does first
        with np.errstate(all="ignore"):
            theirs = np.asarray(repaired.get_best_affine(), dtype=np.float64)
    except (HeaderDataError, ValueError) as error:
        yield f"ITK-SNAP opens it, nibabel does not: {error}"
        return
    if not np.isfinite(theirs).all():
        yield "ITK-SNAP takes NaN and infinity in its header for 0 or 1, nibabel as they are"
        return
    ours = geometry.affine(header)
    distance = geometry.max_corner_shift(header, theirs, ours)
    tolerance = _TOLERANCE * min(geometry.voxel_sizes(ours))
    if distance <= tolerance:
        first = placement.qform(header.nifti)
        if first and _takes_sform(header):
            other = placement.Placement(first.lengths, first.offset, first.directions).affine
            if (distance := geometry.max_corner_shift(header, other, ours)) > tolerance:
                yield (
                    f"its two forms lie up to {distance:.3g} mm apart: ITK-SNAP, nibabel and FSL "
                    "take the sform, ITK before 5.2 the qform"
                )
        return
    has_qform, has_sform = (int(header.nifti[f"{name}_code"]) > 0 for name in ("qform", "sform"))
    if len(header.shape) < 3:
        why = "of a flat image ITK-SNAP takes no place along z"
    elif has_qform and has_sform:
        why = "its two forms differ; ITK-SNAP takes the "
        why += "sform with its axes as pixdim has them, " if _takes_sform(header) else "qform, "
        why += "nibabel and FSL the sform"
    elif has_qform or has_sform:
        why = "pixdim is negative, 0 or not finite, which reverses an axis or counts as 1 in ITK"
    else:
        why = (
            "it has no form; ITK-SNAP begins at 0 0 0 with axes to the left and posterior, "
            "nibabel in the middle of the image with axes to the left and anterior"
        )
    yield f"ITK-SNAP and nibabel put it up to {distance:.3g} mm apart: {why}"


def _takes_sform(header: ImageHeader) -> bool:
    taken, second = placement.chosen(header.nifti), placement.sform(header.nifti)
    return bool(taken and second and np.array_equal(taken.directions, second.directions))


def _words(lengths: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> str:
    return " x ".join(f"{length:.6g}" for length in lengths)


def _begins_as_gzip(path: Path) -> bool:
    try:
        with voxel_files.open_regular(path) as file:
            return file.read(len(compression.GZIP_MAGIC)) == compression.GZIP_MAGIC
    except OSError as error:
        raise ImageError(f"{path}: {error.strerror or error}") from None


def _has_padded_members(header: ImageHeader) -> bool:
    """Return whether zeros separate gzip streams; the size in its trailer shows a single stream."""
    try:
        with voxel_files.open_regular(header.voxel_path) as file:
            if file.read(len(compression.GZIP_MAGIC)) != compression.GZIP_MAGIC:
                return False
            file.seek(-4, 2)
            if int.from_bytes(file.read(4), "little") == (header.offset + header.nbytes) % (
                1 << 32
            ):
                return False
            file.seek(0)
            return compression.has_padded_members(file)
    except OSError as error:
        raise ImageError(f"{header.voxel_path}: {error.strerror or error}") from None

"""The position of voxels by a NIfTI header as ITK 5.4 reads it: spacing, origin, directions.

The rules are those of ITK, measured with SimpleITK. They differ from those of nibabel and FSL
(docs/reference/other-programs.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from snapws.transforms import RAS_LPS

if TYPE_CHECKING:
    import numpy.typing as npt

_MILLIMETRES = {
    1: (1000.0, 1.0),
    3: (1.0, 1000.0),
}  # by unit code: multiply, divide by
_SCANNER = 1
_VECTOR_INTENT = 1007

# The limits up to which ITK accepts a form whose columns are not orthonormal, and two forms that
# differ.
_SHEAR = 1e-4
_SIMILAR = 1e-4
_SIMILAR_SHEAR = 1.2e-7
_SAME, _SAME_OFFSET = 1e-5, 1e-7


class Sheared(ValueError):
    """The axes of a header are sheared, and the header gives no other axes."""


class Placement(NamedTuple):
    """The position of the voxels of an image.

    Attributes:
        spacing: The distance of neighbouring voxels along x, y, z, in mm.
        origin: The centre of the first voxel, (3,) in RAS mm.
        directions: Unit vectors along x, y, z: the columns of (3, 3), in RAS.
    """

    spacing: npt.NDArray[np.float64]
    origin: npt.NDArray[np.float64]
    directions: npt.NDArray[np.float64]

    @property
    def affine(self) -> npt.NDArray[np.float64]:
        """The 4x4 matrix from voxel indices (x, y, z from 0) to RAS mm."""
        matrix = np.eye(4)
        matrix[:3, :3] = self.directions * self.spacing
        matrix[:3, 3] = self.origin
        return matrix


class Form(NamedTuple):
    """One of the two positions that a NIfTI header can give, in the unit of the header.

    Attributes:
        directions: Unit vectors along x, y, z: the columns of (3, 3), in RAS.
        lengths: The distance of neighbouring voxels, in the header's unit.
        offset: The centre of the first voxel.
    """

    directions: npt.NDArray[np.float64]
    lengths: npt.NDArray[np.float64]
    offset: npt.NDArray[np.float64]

    @property
    def is_finite(self) -> bool:
        """Whether all numbers are finite."""
        return all(np.isfinite(part).all() for part in self)


def voxel_sizes(header: Any) -> npt.NDArray[np.float64]:
    """Return pixdim of x, y, z as ITK reads it: 0, NaN and infinity become 1; signs stay."""
    sizes = np.asarray(header["pixdim"][1:4], dtype=np.float64)
    return np.where((sizes == 0) | ~np.isfinite(sizes), 1.0, sizes)


def qform(header: Any) -> Form | None:
    """Return the qform of a NIfTI header as ITK reads it; None if it has none."""
    if int(header["qform_code"]) <= 0:
        return None
    b, c, d, *offset = (
        _finite(header[f"{name}"])
        for name in (
            *("quatern_b", "quatern_c", "quatern_d"),
            *("qoffset_x", "qoffset_y", "qoffset_z"),
        )
    )
    length = b * b + c * c + d * d
    if 1 - length < 1e-7:  # so long that no room is left for a, the fourth component
        a = 0.0
        b, c, d = (part / np.sqrt(length) for part in (b, c, d))
    else:
        a = np.sqrt(1 - length)
    directions = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    if header["pixdim"][0] < 0:
        directions[:, 2] *= -1
    return Form(_in_single_precision(directions), np.abs(voxel_sizes(header)), np.array(offset))


def sform(header: Any) -> Form | None:
    """Return the sform of a NIfTI header; None if it has none."""
    if int(header["sform_code"]) <= 0:
        return None
    rows = np.array([header[f"srow_{axis}"] for axis in "xyz"], dtype=np.float64)
    lengths = np.linalg.norm(rows[:, :3], axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        directions = rows[:, :3] / lengths
    return Form(directions, lengths, rows[:, 3])


def of_nifti(header: Any) -> Placement:
    """Return the position of the voxels by a NIfTI or Analyze header, as in ITK.

    Raises:
        Sheared: The axes are sheared; ITK does not open such an image.
        ValueError: An axis has no direction, or origin or axes contain NaN or infinity.
    """
    sizes = voxel_sizes(header)
    if "qform_code" in header:
        form, unit = chosen(header), int(header["xyzt_units"]) & 7
    else:
        form, unit = None, 2
    directions, offset = np.diag(RAS_LPS), np.zeros(3)
    if form is not None:
        directions, offset = form.directions.copy(), form.offset.copy()
    times, divided = _MILLIMETRES.get(unit, (1.0, 1.0))
    spacing, origin = np.abs(sizes) * times / divided, offset * times / divided
    directions *= np.sign(sizes)
    axes = _axes(header)
    if axes < 3:  # ITK ignores the rows and columns of absent axes
        directions[axes:] = directions[:, axes:] = 0
        directions[range(axes, 3), range(axes, 3)] = 1
        spacing[axes:], origin[axes:] = 1, 0
        lengths = np.linalg.norm(directions, axis=0)
        if not lengths.all() or not np.linalg.det(directions):
            raise ValueError("an axis has no direction within the plane of the image")
        directions /= lengths
    placement = Placement(spacing, origin, directions)
    if not np.isfinite(placement.affine).all():
        raise ValueError("its origin or its axes contain NaN or infinity")
    return placement


def chosen(header: Any) -> Form | None:
    """Return the form of a NIfTI header that ITK uses; None if the header has none.

    Raises:
        Sheared: The header has only an sform, which ITK does not accept.
        ValueError: The header has only an sform, which contains NaN or infinity.
    """
    first, second = qform(header), sform(header)
    if second is None:
        return first
    if not second.is_finite:
        if first is None:
            raise ValueError("its origin or its axes contain NaN or infinity")
        return first
    if is_sheared(second.directions):
        if _are_alike(first or Form(np.eye(3), voxel_sizes(header), np.zeros(3)), second):
            return second
        if first is None:
            raise Sheared
        return first
    is_preferred = first is None or int(header["sform_code"]) == _SCANNER
    return second if is_preferred or _are_similar(first, second) else first


def _are_alike(first: Form, second: Form) -> bool:
    """Return whether ITK accepts a sheared form because it is close to the other form.

    The limits apply to the numbers of the header, whatever their unit.
    """
    return np.allclose(first.offset, second.offset, rtol=0, atol=_SAME_OFFSET) and np.allclose(
        first.directions * first.lengths, second.directions * second.lengths, rtol=0, atol=_SAME
    )


def _are_similar(first: Form | None, second: Form) -> bool:
    """Return whether ITK considers an sform equal to the qform.

    ITK compares in single precision: near the limit of 1e-4, the result can depend on the last bit.
    """
    return bool(
        first is not None
        and not is_sheared(second.directions, _SIMILAR_SHEAR)
        and np.allclose(first.lengths, second.lengths, rtol=0, atol=_SIMILAR)
        and np.allclose(first.offset, second.offset, rtol=0, atol=_SIMILAR)
        and np.allclose(_turned(first), _turned(second), rtol=0, atol=_SIMILAR)
    )


def _turned(form: Form) -> npt.NDArray[np.float64]:
    """Return the rotation of a form: its directions without a reflection."""
    sign = 1.0 if np.linalg.det(form.directions) > 0 else -1.0
    return np.asarray(form.directions * np.array([1, 1, sign]))


def is_sheared(directions: npt.NDArray[np.float64], tolerance: float = _SHEAR) -> bool:
    """Return whether ITK's NIfTI reader considers axes, columns of (3, 3), not orthonormal."""
    gram = directions @ directions.T  # rows, not columns: ITK checks the rows
    return not np.allclose(gram, np.eye(3), rtol=0, atol=tolerance)


def _axes(header: Any) -> int:
    """Return the number of spatial axes in ITK.

    In a vector image, axes of length 1 at the end do not count.
    """
    dim = [int(length) for length in header["dim"]]
    axes = dim[0]
    if "intent_code" in header and int(header["intent_code"]) == _VECTOR_INTENT:
        axes = min(axes, 4)
        while axes > 1 and dim[axes] <= 1:
            axes -= 1
    return min(axes, 3)


def _in_single_precision(
    directions: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    rounded = directions.astype(np.float32).astype(np.float64)
    return np.asarray(rounded / np.linalg.norm(rounded, axis=0))


def _finite(value: Any) -> float:
    number = float(value)
    return number if np.isfinite(number) else 0.0

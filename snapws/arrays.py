"""Images of layers as arrays, and arrays as new images."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from snapws import files, geometry
from snapws.deflate import GzipWriter
from snapws.errors import ImageDamaged, ImageUnsupported, InvalidValue, WorkspaceError
from snapws.images import voxel_files
from snapws.images.header import ImageHeader
from snapws.images.nifti import MAX_LENGTH, VOXEL_OFFSET, new_header
from snapws.images.placement import of_nifti
from snapws.labels import MAX_INDEX, Label
from snapws.pictures.sampling import scaled
from snapws.transforms import RAS_LPS

if TYPE_CHECKING:
    from types import ModuleType

    import numpy.typing as npt
    from nibabel.nifti1 import Nifti1Header, Nifti1Image

    from snapws.layers import Layer
    from snapws.workspace import Workspace

_VECTOR_INTENT = 1007
_MAY_DIFFER = 1e-3  # as a fraction of the voxel size; headers have single precision
_INTEGERS = ("u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8")
_NOT_IN_NAMES = re.compile(
    r'[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff<>:"/\\|?*]+'
)
_WINDOWS_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
_MAX_NAME = 100


class ImageArray:
    """The values of an image, read on access.

    Only the requested slices of an uncompressed NIfTI file are read; any other file is read
    completely, once. ``numpy.asarray`` reads all values.

    The axes are x, y, z; then time, if the image has several time points; then the component, if a
    voxel has several (the three of a colour, too). Slope and intercept of the header are applied,
    as in ITK-SNAP.

    Attributes:
        shape: The length of each axis.
        dtype: The type of a value.
    """

    def __init__(self, header: ImageHeader) -> None:
        self._header = header
        self._all: npt.NDArray[Any] | None = None
        stored = header.dtype
        self._fields = stored.names or ()
        kind = stored[0] if self._fields else stored
        self.dtype = np.dtype(np.float32) if header.scaling else kind.newbyteorder("=")
        points = header.shape[3] if len(header.shape) > 3 else 1
        self._volumes = (*header.spatial_shape, points, header.components)
        several = [length for length in self._volumes[3:] if length > 1]
        self._stored_shape = (*header.spatial_shape, *several)
        self.shape = (
            (*self._stored_shape, len(self._fields)) if self._fields else self._stored_shape
        )

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> npt.NDArray[Any]:
        """Return a copy of the values at an index of numpy's form.

        Raises:
            IndexError: The index is out of range.
            ImageDamaged: The image is truncated or its checksum is wrong.
            ImageError: The image cannot be read.
        """
        mapped = self._mapped() if self._all is None else None
        if mapped is None:
            return np.array(self._read()[index])
        found = np.array(mapped[index])
        native = found.astype(found.dtype.newbyteorder("="), copy=False)
        return np.asarray(scaled(native, self._header))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        values = self[...]
        return values if dtype is None else values.astype(dtype, copy=False)

    def __repr__(self) -> str:
        return f"<ImageArray {self.shape} {self.dtype} of {self._header.path}>"

    def _mapped(self) -> npt.NDArray[Any] | None:
        """Return the voxels as a memory-mapped array; None if the file cannot be mapped."""
        header = self._header
        if type(header) is not ImageHeader or header.voxel_path != header.path or self._fields:
            return None
        with voxel_files.open_regular(header.path) as file:
            if file.read(2) == b"\x1f\x8b":
                return None
            if os.fstat(file.fileno()).st_size < header.offset + header.nbytes:
                raise ImageDamaged(
                    f"{header.path}: cut short, {header.nbytes} bytes of voxels belong"
                )
            return np.memmap(
                file, header.dtype, "r", header.offset, shape=self._stored_shape, order="F"
            )

    def _read(self) -> npt.NDArray[Any]:
        if self._all is None:
            header = self._header
            stored = np.frombuffer(b"".join(header.voxels()), header.dtype.newbyteorder("<"))
            values = stored.reshape(self._stored_shape, order="F")
            if self._fields:
                values = np.stack([values[name] for name in self._fields], axis=-1)
            native = values.astype(values.dtype.newbyteorder("="), copy=False)
            self._all = np.asarray(scaled(native, header))
        return self._all


def to_nibabel(header: ImageHeader) -> Nifti1Image:
    """Return an image as a nibabel image. Its sform and qform have the affine of ITK-SNAP.

    Raises:
        ImageUnsupported: A NIfTI header cannot hold the geometry.
        ImageError: The image cannot be read.
    """
    from nibabel.nifti1 import Nifti1Image

    values = np.asarray(ImageArray(header))
    shape = _nifti_shape(header, values.shape)
    block = _header_like(header, shape, values.dtype)
    image = Nifti1Image(values.reshape(shape, order="F"), block.get_best_affine(), block)
    image.header.set_data_dtype(values.dtype)
    return image


def to_simpleitk(header: ImageHeader) -> Any:
    """Return an image as a SimpleITK image: four-dimensional if it has several time points.

    Raises:
        ImageUnsupported: SimpleITK is not installed, or does not support the voxel type.
        ImageError: The image cannot be read.
    """
    sitk = _simpleitk(header.path)
    values = np.asarray(ImageArray(header))
    has_time = len(header.shape) > 3 and header.shape[3] > 1
    axes = 4 if has_time else 3
    is_vector = values.ndim > axes
    order = (*range(axes - 1, -1, -1), *((axes,) if is_vector else ()))
    try:
        image = sitk.GetImageFromArray(values.transpose(order), isVector=is_vector)
    except (TypeError, KeyError, RuntimeError):
        raise ImageUnsupported(
            f"{header.path}: SimpleITK has no voxels of type {values.dtype}"
        ) from None
    placement = header.placement
    flip = np.array(RAS_LPS)
    direction, origin = np.eye(axes), np.zeros(axes)
    direction[:3, :3] = flip[:, None] * placement.directions
    origin[:3] = flip * placement.origin
    step = float(header.nifti["pixdim"][4]) if has_time else 1.0
    spacing = [*placement.spacing.tolist(), *([step if step > 0 else 1.0] if has_time else [])]
    image.SetSpacing(spacing)
    image.SetOrigin(origin.tolist())
    image.SetDirection(direction.ravel().tolist())
    return image


def _simpleitk(path: Path) -> ModuleType:
    from snapws.simpleitk import simpleitk

    return simpleitk(path)


# ------------------------------------------------------------------------ from arrays


def label_values(array: npt.ArrayLike) -> npt.NDArray[Any]:
    """Convert an array to labels of the smallest type that holds them: uint8 or uint16.

    Raises:
        InvalidValue: A value is not a label: a whole number from 0 to 65535.
    """
    values = _numbers(array)
    if values.dtype.kind == "b" or not values.size:
        return values.astype(np.uint8)
    if values.dtype.kind == "f" and not np.array_equal(values, np.rint(values)):
        raise InvalidValue("labels are whole numbers, and the array has others, or NaN")
    least, greatest = values.min(), values.max()
    if least < 0:
        raise InvalidValue(f"labels go from 0 to {MAX_INDEX}, and the array has {least}")
    if greatest > MAX_INDEX:
        raise InvalidValue(
            f"labels go from 0 to {MAX_INDEX}, and the array has {greatest}: renumber them, "
            "numpy.unique(array, return_inverse=True) for example"
        )
    return values.astype(np.uint8 if greatest <= 255 else np.uint16)


def intensity_values(array: npt.ArrayLike) -> npt.NDArray[Any]:
    """Convert an array to the smallest type that holds its values.

    Integers get the smallest integer type; ``float32`` and ``float64`` stay, NaN with them;
    ``bool`` becomes ``uint8``.

    Raises:
        InvalidValue: The array does not have one real number per voxel.
    """
    values = _numbers(array)
    if values.dtype.kind == "b" or not values.size:
        return values.astype(np.uint8)
    if values.dtype.kind == "f":
        return values.astype(np.float64 if values.dtype.itemsize > 4 else np.float32)
    least, greatest = int(values.min()), int(values.max())
    return values.astype(
        next(  # the type that they have holds them, if no other does
            name
            for name in (*_INTEGERS, values.dtype.name)
            if np.iinfo(name).min <= least and greatest <= np.iinfo(name).max
        )
    )


def write(
    workspace: Workspace,
    values: npt.NDArray[Any],
    like: Layer,
    *,
    name: str,
    file: str | Path | None = None,
) -> Path:
    """Write values to a new NIfTI file with the geometry of a layer.

    Args:
        workspace: The workspace; the file is written to its `image_folder`.
        values: The values, axes x, y, z and time, as in `ImageArray`.
        like: The layer with the same grid.
        name: The name of the file without extension; a number is added if it already exists.
        file: The file to write instead, relative to `image_folder`; must not exist.

    Returns:
        The path of the file.

    Raises:
        InvalidValue: The shape is not that of the layer, or the file already exists.
        LayerFileMissing: The file of the layer is missing.
        ImageError: The layer's header cannot be read, or NIfTI cannot hold its geometry.
        WorkspaceError: The file cannot be written.
    """
    like.existing()
    header = like.header()
    shape = _fitting_shape(values.shape, header, like)
    nifti = _header_like(header, shape, values.dtype)
    target = _given_file(workspace, file) if file is not None else None
    stem = safe_name(name) or "image"
    number = 1
    while True:
        again = f"-{number}" if number > 1 else ""
        path = target or workspace.image_folder / f"{stem}{again}.nii.gz"
        try:
            _write_new(path, bytes(nifti.binaryblock).ljust(VOXEL_OFFSET, b"\0"), values)
        except FileExistsError:
            if target:
                raise InvalidValue(f"{target} already exists: choose another name") from None
            number += 1
        except OSError as error:
            raise WorkspaceError(f"cannot write {path}: {error.strerror}") from None
        else:
            return path


def named_labels(workspace: Workspace, names: Mapping[int, str]) -> list[Label]:
    """Return the label table of a workspace with new names for some labels; colours stay.

    Raises:
        InvalidValue: A label is not a number from 1 to 65535.
    """
    from dataclasses import replace

    table = {label.index: label for label in workspace.labels}
    for index, name in names.items():
        if index == 0:
            raise InvalidValue("label 0 is the background, which has no name")
        known = table.get(index)
        table[index] = replace(known, name=name) if known else Label(int(index), name)
    return list(table.values())


def safe_name(text: str) -> str:
    """Convert a text to a file name, without extension, that is valid on any system.

    Invalid characters are replaced. The result may be empty.

    >>> safe_name("T1/T2: result."), safe_name("nul")
    ('T1_T2_ result', '_nul')
    """
    name = _NOT_IN_NAMES.sub("_", text)[:_MAX_NAME].strip(" .")
    return f"_{name}" if _WINDOWS_DEVICES.fullmatch(name) else name


def _numbers(array: npt.ArrayLike) -> npt.NDArray[Any]:
    values = np.asarray(array)
    if values.dtype.kind not in "biuf":
        raise InvalidValue(f"an array of {values.dtype} does not have one real number per voxel")
    return values


def _fitting_shape(shape: tuple[int, ...], header: ImageHeader, like: Layer) -> tuple[int, ...]:
    """Return the shape in which an array is stored, so that it fits the grid of a layer."""
    extent = header.spatial_shape
    flat = len(shape) == 2 and extent[2] == 1
    whole = (*shape, 1) if flat else shape
    if whole[:3] != extent or len(whole) > 4 or max(whole, default=0) > MAX_LENGTH or 0 in whole:
        sizes = [" x ".join(map(str, one)) or "no axes" for one in (shape, extent)]
        raise InvalidValue(
            f"the array is {sizes[0]}, and layer {like.number:03d} is {sizes[1]} (x, y, z; a "
            "fourth axis is time): resample it, or swap its axes"
        )
    return whole


def _nifti_shape(header: ImageHeader, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the NIfTI shape of an image's values; components are the fifth axis."""
    points = header.shape[3] if len(header.shape) > 3 else 1
    components = shape[-1] if header.components > 1 or header.dtype.names else 1
    if components > 1:
        return (*shape[:3], points, components)
    return shape


def _header_like(header: ImageHeader, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Nifti1Header:
    """Return the header of a file with the geometry of an image."""
    nifti = new_header(shape, dtype)
    affine = geometry.affine(header)
    code = int(header.nifti["sform_code"]) or int(header.nifti["qform_code"]) or 2
    nifti.set_qform(affine, code)
    nifti.set_sform(affine, code)
    nifti.set_xyzt_units("mm", "sec")
    if len(shape) > 3 and shape[3] > 1 and len(header.shape) > 3:
        nifti["pixdim"][4] = header.nifti["pixdim"][4]
        nifti["xyzt_units"] = 2 | int(header.nifti["xyzt_units"]) & 56
    if len(shape) > 4:
        nifti["intent_code"] = _VECTOR_INTENT
    is_off = geometry.max_corner_shift(header, of_nifti(nifti).affine, affine)
    if not is_off <= _MAY_DIFFER * min(geometry.voxel_sizes(affine)):
        raise ImageUnsupported(
            f"{header.path}: a NIfTI header would put it {is_off:.3g} mm off its place"
        )
    return nifti


def _given_file(workspace: Workspace, file: str | Path) -> Path:
    target = workspace.image_folder / file
    if not target.name.lower().endswith((".nii", ".nii.gz")):
        raise InvalidValue(f"{target}: a NIfTI file's name ends in .nii or .nii.gz")
    return target


def _write_new(path: Path, block: bytes, values: npt.NDArray[Any]) -> None:
    """Write a new file in one atomic step.

    Raises:
        FileExistsError: The file already exists.
        OSError: The file cannot be written.
    """
    is_zipped = path.name.lower().endswith(".gz")
    little = values.dtype.newbyteorder("<")
    with (
        files.new(path) as aside,
        aside.open("wb") as file,
        GzipWriter(file) if is_zipped else nullcontext(file) as out,
    ):
        for data in chain((block,), _planes(values, little)):
            out.write(data)


def _planes(values: npt.NDArray[Any], dtype: np.dtype[Any]) -> Iterator[bytes]:
    """Yield the bytes of values plane by plane; the first axis varies fastest."""
    for place in np.ndindex(values.shape[:1:-1]):  # time slowest
        here = (..., *reversed(place))
        plane = values[here]
        yield plane.astype(dtype).tobytes(order="F")

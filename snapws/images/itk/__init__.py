"""MetaImage, NRRD, GIPL, VTK, DICOM, MINC, PNG, JPEG, TIFF (extra ``formats``), and raw voxels.

SimpleITK reads DICOM, MINC, PNG, JPEG and TIFF. It decodes whole files, so the voxels of one file
are in memory while they are streamed. For the other formats, `snapws.images.itk.stored` reads
headers and voxels, and SimpleITK only interprets a header that we rewrote. A vector image that
interleaves components, which NIfTI separates, needs one copy of all voxels in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt
from nibabel.nifti1 import Nifti1Header

from snapws import compression
from snapws.errors import ImageDamaged, ImageUnsupported
from snapws.hdf5.minc import READER
from snapws.images import voxel_files
from snapws.images.header import ImageHeader
from snapws.images.hints import NO_HINTS, Hints, Raw
from snapws.images.itk import flat, gipl, metaimage, minc, nrrd, vtk_image
from snapws.images.itk.reading import DICOM, described, read, read_information
from snapws.images.itk.series import find_series
from snapws.images.itk.stored import Stored, StoredVoxels
from snapws.images.nifti import MAX_LENGTH, new_header
from snapws.images.placement import Placement, is_sheared
from snapws.images.voxel_files import Purpose
from snapws.simpleitk import Grid, grid_of, simpleitk
from snapws.transforms import RAS_LPS

# The parsers of headers, by the ending of the file.
_PARSERS: dict[str, Callable[[BinaryIO, Path], Stored]] = {
    ".mha": metaimage.parse,
    ".mhd": metaimage.parse,
    ".nrrd": nrrd.parse,
    ".nhdr": nrrd.parse,
    ".gipl": gipl.parse,
    ".gipl.gz": gipl.parse,
    ".vtk": vtk_image.parse,
}

_FLAT = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
# In a NRRD with this ending, the components are the time points.
_SEQUENCES = (".seq.nrrd", ".seq.nhdr")

#: Endings of these images. DICOM has none: its files are recognised by their content.
SUFFIXES = (*_PARSERS, *_FLAT, minc.ENDING)

_Array = npt.NDArray[Any]
_VECTOR_INTENT = 1007
_RGB = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
_TYPES = {
    **{f"{8 * size}-bit signed integer": f"<i{size}" for size in (1, 2, 4, 8)},
    **{f"{8 * size}-bit unsigned integer": f"<u{size}" for size in (1, 2, 4, 8)},
    **{f"{8 * size}-bit float": f"<f{size}" for size in (4, 8)},
    **{f"complex of {8 * size}-bit float": f"<c{2 * size}" for size in (4, 8)},
}


@dataclass(frozen=True)
class DecodedImageHeader(ImageHeader):
    """The header of an image that SimpleITK decodes, with its voxels as NIfTI stores them.

    Attributes:
        slices: The files that SimpleITK reads: one file, or the slices of a series in order.
        reader: The name of SimpleITK's reader for them.
    """

    slices: tuple[Path, ...]
    reader: str = DICOM

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that it is read from."""
        return self.slices if len(self.slices) > 1 else super().files

    @property
    def needs_whole_image(self) -> bool:
        """Whether reading its content takes all of it in memory at once."""
        return self.components > 1 or len(self.slices) == 1

    def voxels(self) -> Iterator[bytes]:
        """Return the voxels little-endian, first axis fastest, the component of vectors slowest.

        Raises:
            ImageDamaged: A file has too few or too many voxels, or SimpleITK cannot read it.
            ImageUnsupported: The voxels are too large for the memory.
        """
        self.refuse_too_large()
        images: Iterable[tuple[_Array, Any]] = map(self._decoded, self.slices)
        if self.components > 1:
            images = tuple(images)
        for component in range(self.components):
            for path, (values, _) in zip(self.slices, images, strict=True):
                if values.nbytes * len(self.slices) != self.nbytes:
                    raise ImageDamaged(
                        f"{path}: {values.nbytes} bytes of voxels, but its header says "
                        f"{self.nbytes // len(self.slices)}"
                    )
                values = values.view(_RGB) if self.dtype == _RGB else values
                yield from _component(values, self, self.components, component)

    def _decoded(self, path: Path) -> tuple[_Array, Any]:
        """Return the numbers of a file, and the image object that owns their memory."""
        image = read(path, self.reader)
        return simpleitk(path).GetArrayViewFromImage(image).ravel(), image


class MincImageHeader(DecodedImageHeader):
    """The header of a MINC image, which a separate process decodes."""

    def _decoded(self, path: Path) -> tuple[_Array, Any]:
        return minc.read_values(path, self.dtype, self.nbytes), None


@dataclass(frozen=True)
class StoredImageHeader(ImageHeader):
    """The header of an image whose voxels this package reads, from checked files.

    Attributes:
        stored: The storage of the voxels.
        interleaved: The count of adjacent numbers per voxel: components of a vector, or time points
            of a sequence.
    """

    stored: Stored
    interleaved: int = 1

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that it is read from."""
        return (self.path, *self.stored.named)

    @property
    def needs_whole_image(self) -> bool:
        """Whether reading its content takes all of it in memory at once."""
        return self.interleaved > 1

    def voxels(self) -> Iterator[bytes]:
        """Return the voxels little-endian, first axis fastest, component or time point slowest.

        Raises:
            ImageDamaged: The file has too few or too many voxels, a wrong checksum, or a word that
                is not a number.
            ImageUnsupported: The storage is not supported, a file must not be opened, or the voxels
                are too large for the memory.
            ImageError: A file cannot be read.
        """
        row_size = self.spatial_shape[0] * self.interleaved * self.dtype.itemsize
        pieces = StoredVoxels(
            self.stored, self._parts(), self.dtype, self.nbytes, row_size
        ).pieces()
        if self.interleaved == 1:
            yield from pieces
            return
        self.refuse_too_large()
        values = np.frombuffer(b"".join(pieces), self.dtype)
        for component in range(self.interleaved):
            yield from _component(values, self, self.interleaved, component)

    def _parts(self) -> tuple[Path, ...]:
        return self.stored.parts(self.purpose)


class RawImageHeader(StoredImageHeader):
    """The header of a file without any, from the workspace; the whole file is voxels."""

    def _parts(self) -> tuple[Path, ...]:
        return (self.voxel_path,)


def _component(
    values: _Array, header: ImageHeader, components: int, component: int
) -> Iterator[bytes]:
    """Yield one component of voxels, in pieces."""
    planes = values.reshape(-1, components)
    step = compression.PIECE // header.dtype.itemsize
    for start in range(0, len(planes), step):
        yield planes[start : start + step, component].astype(header.dtype).tobytes()


def read_header(path: Path, purpose: Purpose, hints: Hints = NO_HINTS) -> ImageHeader:
    """Read the header of an image, without voxels.

    A file without one of the `SUFFIXES` counts as DICOM. The image then consists of all slices of
    its series in its folder, or of the file alone if that has several frames. The values are those
    of ITK, with rescale slope and intercept applied.

    In DICOM, PNG, JPEG and TIFF, three bytes per voxel are a colour. In the other formats they are
    a vector, because SimpleITK does not distinguish the two; the hash is the same.

    Raises:
        ImageUnsupported: SimpleITK is not installed, NIfTI cannot hold such voxels or axes, a
            series is not a single image, or a file of it must not be opened for that purpose.
        ImageDamaged: The header cannot be read, or a slice is missing or cannot be read.
        ImageError: The file does not exist.
    """
    name = path.name.lower()
    parse = next((one for ending, one in _PARSERS.items() if name.endswith(ending)), None)
    try:
        if hints.raw is not None:
            return _raw(path, hints.raw, purpose)
        if parse is not None:
            return _stored(path, parse, purpose)
        if name.endswith(_FLAT):
            return _flat(path, purpose)
        if name.endswith(minc.ENDING):
            return _minc(path, purpose)
        return _dicom(path, purpose, hints.series)
    except ValueError as error:
        raise ImageUnsupported(f"{path}: {error}") from None


def _stored(
    path: Path, parse: Callable[[BinaryIO, Path], Stored], purpose: Purpose
) -> StoredImageHeader:
    with voxel_files.open_regular(path) as file:
        stored = parse(file, path)
    grid = grid_of(described(stored))
    interleaved = 1 if stored.is_planar else grid.components
    if path.name.lower().endswith(_SEQUENCES) and grid.components > 1 and len(grid.size) == 3:
        grid = _sequence(grid)
    shown = _described(path, grid)
    if purpose == "send":
        stored.parts(purpose)  # check before reading them
    voxel_path = stored.named[0] if len(stored.named) == 1 else path
    return StoredImageHeader(
        path,
        voxel_path,
        stored.start,
        shown.dtype,
        shown.nifti,
        stored,
        interleaved,
        **shown.named,
        purpose=purpose,
    )


def _sequence(grid: Grid) -> Grid:
    """Return a grid whose components are time points, as ITK-SNAP reads a NRRD sequence."""
    direction = np.eye(4)
    direction[:3, :3] = np.reshape(grid.direction, (3, 3))
    return Grid(
        (*grid.size, grid.components),
        (*grid.spacing, 1.0),
        (*grid.origin, 0.0),
        tuple(direction.ravel().tolist()),
        grid.voxel,
        1,
    )


def _dicom(path: Path, purpose: Purpose, identifier: str) -> DecodedImageHeader:
    series = find_series(path, purpose, identifier)
    shown = _described(path, series.grid, has_colours=True)
    return DecodedImageHeader(
        path,
        path,
        0,
        shown.dtype,
        shown.nifti,
        series.slices,
        **shown.named,
        remarks=series.remarks,
        purpose=purpose,
    )


def _flat(path: Path, purpose: Purpose) -> DecodedImageHeader:
    kind = flat.refuse_incomplete(path)
    grid = grid_of(read_information(path, kind))
    shown = _described(path, grid, has_colours=True)
    return DecodedImageHeader(
        path, path, 0, shown.dtype, shown.nifti, (path,), kind, **shown.named, purpose=purpose
    )


def _minc(path: Path, purpose: Purpose) -> MincImageHeader:
    shown = _described(path, minc.read_grid(path))
    return MincImageHeader(
        path,
        path,
        0,
        shown.dtype,
        shown.nifti,
        (path,),
        READER,
        **shown.named,
        remarks=(minc.REMARK,),
        purpose=purpose,
    )


def _raw(path: Path, raw: Raw, purpose: Purpose) -> RawImageHeader:
    """Describe a file that has no header.

    The author of a workspace can name any file as raw voxels. Therefore the file needs the name of
    a voxel file, and must not begin with the header of another format.
    """
    real = voxel_files.headerless(path)
    (voxel,) = (name for name, kind in _TYPES.items() if kind == f"<{raw.dtype}")
    directions = tuple(np.eye(3).ravel().tolist())
    shown = _described(path, Grid(raw.size, raw.spacing, (0.0, 0.0, 0.0), directions, voxel, 1))
    # A non-empty name makes the reader check the beginning of the voxel file.
    stored = Stored(path, ".raw", b"", names=(path.name,))
    return RawImageHeader(
        path, real, 0, shown.dtype, shown.nifti, stored, **shown.named, purpose=purpose
    )


class _Described(NamedTuple):
    """The properties of an image by its header."""

    nifti: Nifti1Header
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    placement: Placement
    no_nifti: str
    itk_snap_refuses: str

    @property
    def named(self) -> dict[str, Any]:
        """The attributes that are keyword arguments of `ImageHeader`."""
        return {
            "shape": self.shape,
            "placement": self.placement,
            "no_nifti": self.no_nifti,
            "itk_snap_refuses": self.itk_snap_refuses,
        }


def _described(path: Path, grid: Grid, *, has_colours: bool = False) -> _Described:
    """Return the NIfTI header, the voxel type and the position in RAS of an image."""
    if grid.voxel not in _TYPES or len(grid.size) > 4:
        raise ImageUnsupported(
            f"{path}: an image of {grid.voxel} with {len(grid.size)} axes is not supported"
        )
    dtype = np.dtype(_TYPES[grid.voxel])
    if has_colours and dtype == np.uint8 and grid.components == 3:
        # In these formats, a vector is always a colour.
        grid, dtype = grid._replace(components=1), _RGB
    axes = len(grid.size)
    shape = list(grid.size)
    if grid.components > 1:
        shape += [1] * (4 - axes) + [grid.components]
    placement = _placement(grid)
    if not np.isfinite(placement.affine).all() or not np.linalg.det(placement.affine):
        raise ImageDamaged(f"{path}: the header is corrupt: its origin or its axes are not finite")
    no_nifti = ""
    lengths = np.linalg.norm(placement.directions, axis=0)
    if is_sheared(placement.directions / lengths):
        no_nifti = "its axes are sheared, which ITK cannot read from NIfTI: resample it first"
    if max(shape) > MAX_LENGTH:
        no_nifti = f"an axis is longer than {MAX_LENGTH} voxels, the most in NIfTI-1"
    nifti = new_header([min(length, MAX_LENGTH) for length in shape], dtype)
    nifti["pixdim"][1 : axes + 1] = np.abs(grid.spacing)
    nifti.set_xyzt_units("mm")
    if not no_nifti:
        nifti.set_qform(placement.affine, code="scanner")
        nifti.set_sform(placement.affine, code="scanner")
    if grid.components > 1:
        nifti["intent_code"] = _VECTOR_INTENT
    refused = ""
    if dtype.kind in "iu" and dtype.itemsize > 4 and not path.name.lower().endswith(".vtk"):
        refused = "ITK-SNAP does not open voxels of 64-bit whole numbers in it: convert them first"
    return _Described(nifti, dtype, tuple(shape), placement, no_nifti, refused)


def _placement(grid: Grid) -> Placement:
    """Return the position of the voxels in RAS, as in ITK; negative spacing reverses an axis."""
    axes = len(grid.size)
    spatial = min(axes, 3)
    signed, origin, directions = np.ones(3), np.zeros(3), np.eye(3)
    signed[:spatial] = grid.spacing[:spatial]
    origin[:spatial] = grid.origin[:spatial]
    directions[:spatial, :spatial] = np.reshape(grid.direction, (axes, axes))[:spatial, :spatial]
    to_ras = np.array(RAS_LPS)
    return Placement(
        np.abs(signed), to_ras * origin, to_ras[:, None] * directions * np.sign(signed)
    )

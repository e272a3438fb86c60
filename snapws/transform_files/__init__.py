"""Transform files of other programs: their formats, readers and writers.

A file is recognised by its content. The transform read is always the map from RAS mm of the main
image to RAS mm of the layer, as resampling needs it: the main image is the reference (or fixed
image), the layer is the moving image.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from snapws import paths, stand_ins, transforms
from snapws.errors import ImageError, InvalidValue, LayerFileMissing, TextFileError
from snapws.hdf5 import SIGNATURE as HDF5
from snapws.transform_files import hdf5, itk, matlab
from snapws.transforms import Matrix

if TYPE_CHECKING:
    from snapws.layers import Layer
    from snapws.transform_files.grids import Array, Grid

#: Formats that are read; ``flirt`` and ``fsl`` are the same.
Format = Literal["ras", "itk", "flirt", "fsl", "lta", "dat"]

#: Formats that are written.
WrittenFormat = Literal["ras", "itk", "flirt", "fsl", "lta"]

_MAX_TEXT = 1 << 20
_MAX_HDF5 = 64 << 20


@dataclass(frozen=True)
class TransformFile:
    """The transform in a file.

    Attributes:
        matrix: From RAS mm of the main image to RAS mm of the layer.
        format: The format of the file.
        remark: One line for the user if the format was assumed; may be empty.
    """

    matrix: Matrix
    format: Format
    remark: str = ""


@dataclass(frozen=True)
class Images:
    """The two images of a registration.

    By default, the moving image is the layer, and the reference is the main image; if `inverse`,
    they are swapped.
    """

    layer: Layer
    moving: str | Path | None = None
    reference: str | Path | None = None
    inverse: bool = False

    def grids(self) -> tuple[Grid, Grid]:
        """Return the grids of the moving image and of the reference.

        Raises:
            LayerNotFound: The workspace has no main image.
            LayerFileMissing: An image's file does not exist.
            ImageError: An image's header cannot be read.
        """
        from snapws.transform_files import grids

        moving, reference = self.layer, self.layer.workspace.main
        if self.inverse:
            moving, reference = reference, moving
        return (
            grids.read(moving.existing() if self.moving is None else self.moving),
            grids.read(reference.existing() if self.reference is None else self.reference),
        )


def read(
    path: str | Path,
    layer: Layer,
    *,
    format: Format | None = None,  # noqa: A002 - as the option is called
    moving: str | Path | None = None,
    reference: str | Path | None = None,
    inverse: bool = False,
) -> TransformFile:
    """Read a transform file for a layer; see `Layer.read_transform`.

    Raises:
        TextFileError: The file is corrupt, its format unknown, its transform not linear or without
            an inverse, or a bare matrix is not plausible as RAS.
        InvalidValue: `format` is not a `Format`.
        ImageError: An image that the format depends on cannot be read.
        LayerFileMissing: An image that the format depends on does not exist.
        WorkspaceError: The file cannot be read, or needs SimpleITK, which is not installed.
    """
    if format is not None and format not in get_args(Format):
        known = ", ".join(get_args(Format))
        raise InvalidValue(f"{format!r} is not a format of transforms: use {known}")
    data = _content(path)
    found = _recognised(data)
    if format is not None and not _is_allowed(found, format):
        raise TextFileError(f"{path}: its format is {found}, not {format}")
    images = Images(layer, moving, reference, inverse)
    matrix, remark = _matrix(data, path, found, format, images)
    if inverse:
        matrix = _inverted(matrix, path)
    _refuse_singular(matrix, path)
    if found == "ras" and format is None:
        remark = _check_as_ras(path, data, matrix, images)
    if matrix == transforms.IDENTITY:
        remark = f"{remark}; it is the identity" if remark else f"{path}: it is the identity"
    return TransformFile(matrix, format or found, remark)


def read_itk_or_ras(path: str | Path) -> Matrix:
    """Read a transform file as ``itksnap-wt`` does: 16 numbers, which are RAS, or an ITK transform.

    `Layer.read_transform` reads more formats, and refuses a matrix that is not plausible as RAS.

    Raises:
        TextFileError: The file has another format, or its transform is not linear in 3-D.
        WorkspaceError: The file cannot be read, or needs SimpleITK, which is not installed.
    """
    data = _content(path)
    if _is_itk(data):
        return _itk(data, path)
    return transforms.parse(_text(data, path), path)


def to_text(
    layer: Layer,
    format: WrittenFormat = "ras",  # noqa: A002
    *,
    inverse: bool = False,
) -> str:
    """Return the transform of a layer as text, in the file format of another program; see `read`.

    Raises:
        TextFileError: The format or the direction needs an inverse, and the transform has none.
        InvalidValue: `format` is not a `WrittenFormat`, or a stored element is not a number.
        ImageError: An image that the format depends on cannot be read.
        LayerFileMissing: An image that the format depends on does not exist.
    """
    if format not in get_args(WrittenFormat):
        names = ", ".join(get_args(WrittenFormat))
        raise InvalidValue(f"{format!r} is not a written format of transforms: use {names}")
    source = f"the transform of layer {layer.number:03d}"
    matrix: Matrix = tuple(map(tuple, layer.transform.tolist()))
    if inverse:
        matrix = _inverted(matrix, source)
    if format == "ras":
        return transforms.format_file(matrix)
    if format == "itk":
        return itk.to_text(matrix)
    _refuse_singular(matrix, source)
    from snapws.transform_files import freesurfer, fsl

    moving, reference = Images(layer, inverse=inverse).grids()
    if format == "lta":
        return freesurfer.to_lta(_array(matrix), moving, reference)
    return transforms.format_file(fsl.from_ras(_array(matrix), moving, reference).tolist())


# ------------------------------------------------------------------------ recognition


def _content(path: str | Path) -> bytes:
    try:
        with paths.open_file(path) as file:
            data = file.read(_MAX_TEXT + 1)
            is_hdf5 = data.startswith(HDF5)
            most = _MAX_HDF5 if is_hdf5 else _MAX_TEXT
            data += file.read(most + 1 - len(data))
    except OSError as error:
        raise TextFileError(f"{path}: {error.strerror}") from None
    except ValueError:
        raise TextFileError("the name of the transform file is not valid") from None
    if placeholder := stand_ins.of_content(data):
        raise TextFileError(f"{path}: {placeholder}")
    if len(data) > most:
        raise TextFileError(
            f"{path}: more than {most >> 20} MiB: not a linear transform, which has only a few "
            "numbers; a layer can have no other"
        )
    return data


def _recognised(data: bytes) -> Format:
    if _is_itk(data):
        return "itk"
    from snapws.transform_files import freesurfer

    words = data.decode("utf-8", "replace")
    if freesurfer.is_lta(words):
        return "lta"
    return "dat" if freesurfer.is_register_dat(words) else "ras"


def _is_itk(data: bytes) -> bool:
    signatures = (HDF5, itk.SIGNATURE.encode())
    return data.startswith(signatures) or matlab.matches(data)


def _is_allowed(found: Format, wanted: Format) -> bool:
    return found == wanted or (found == "ras" and wanted in ("flirt", "fsl"))


def _text(data: bytes, path: str | Path) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise TextFileError(
            f"{path}: not a text file of a 4x4 matrix or an ITK transform"
        ) from None


# ---------------------------------------------------------------------------- meaning


def _matrix(
    data: bytes, path: str | Path, found: Format, wanted: Format | None, images: Images
) -> tuple[Matrix, str]:
    """Return the matrix of a file from the reference to the moving image, and a remark."""
    if found == "itk":
        return _itk(data, path), ""
    words = _text(data, path)
    if found == "lta":
        return _lta(words, path, images), ""
    if found == "dat":
        from snapws.transform_files import freesurfer

        moving, reference = images.grids()
        own = freesurfer.parse_register_dat(words, path)
        return _rows(freesurfer.from_register_dat(own, moving, reference), path), ""
    matrix = transforms.parse(words, path)
    if wanted in ("flirt", "fsl"):
        from snapws.transform_files import fsl

        _refuse_singular(matrix, path)
        moving, reference = images.grids()
        return _rows(fsl.to_ras(matrix, moving, reference), path), ""
    return matrix, ""


def _itk(data: bytes, path: str | Path) -> Matrix:
    if data.startswith(HDF5):
        return hdf5.read(data, path)
    if matlab.matches(data):
        return itk.to_ras(matlab.parse(data, path), path)
    return itk.to_ras(itk.parse_text(_text(data, path), path), path)


def _lta(words: str, path: str | Path, images: Images) -> Matrix:
    from snapws.transform_files import freesurfer

    lta = freesurfer.parse_lta(words, path)
    try:
        is_reversed = lta.is_reversed(*images.grids())
    except (ImageError, LayerFileMissing):
        is_reversed = False  # the file has the map, but its direction cannot be checked
    if is_reversed:
        way_out = "leave out --inverse" if images.inverse else "use --inverse"
        raise TextFileError(
            f"{path}: the transform is reversed: its source is the reference, and its destination "
            f"is the moving image: {way_out}"
        )
    return _inverted(_rows(lta.ras, path), path)


def _check_as_ras(path: str | Path, data: bytes, matrix: Matrix, images: Images) -> str:
    """Return the remark about a bare matrix that is read as RAS.

    Raises:
        TextFileError: The matrix is probably not RAS.
    """
    from snapws.transform_files import fsl, placement

    taken = f"{path}: read as a RAS matrix, the format of c3d and greedy"
    way_out = (
        "use snapws transform set with --format ras if c3d or greedy wrote it, with --format flirt "
        "if FLIRT did"
    )
    if why := fsl.hint(Path(path), data):
        raise TextFileError(
            f"{path}: the format of the 4x4 matrix is unclear, since {why}: {way_out}"
        )
    try:
        layer, main = Images(images.layer).grids()
    except (ImageError, LayerFileMissing):
        return f"{taken}; this was not checked, since the images cannot be read"
    if why := placement.doubt(_array(matrix), layer, main):
        raise TextFileError(f"{path}: the 4x4 matrix, read as RAS, {why}: {way_out}")
    return f"{taken} (of FLIRT: --format flirt)"


# ------------------------------------------------------------------------- arithmetic


def _array(matrix: Matrix) -> Array:
    import numpy as np

    return np.array(matrix, dtype=np.float64)


def _rows(matrix: Array, path: str | Path) -> Matrix:
    rows = matrix.tolist()
    # The last row of a product of affine matrices is 0 0 0 1 except for rounding.
    if max(abs(rows[3][j] - transforms.IDENTITY[3][j]) for j in range(4)) > 1e-9:
        raise TextFileError(f"{path}: an affine transform's last row is 0 0 0 1")
    try:
        return transforms.checked([*rows[:3], transforms.IDENTITY[3]])
    except InvalidValue as error:
        raise TextFileError(f"{path}: {error}") from None


def _inverted(matrix: Matrix, source: str | Path) -> Matrix:
    import numpy as np

    _refuse_singular(matrix, source)
    return _rows(np.asarray(np.linalg.inv(_array(matrix)), dtype=np.float64), source)


def _refuse_singular(matrix: Matrix, source: str | Path) -> None:
    if not transforms.has_inverse(matrix):
        raise TextFileError(f"{source}: the matrix has no inverse: no image can be placed by it")

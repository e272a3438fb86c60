"""Images as NiiVue reads them: NIfTI-1, its header made afresh, its voxels converted in pieces.

Only the pieces that are being converted are in memory, whatever the size of the image.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from snapws.display import ComponentMode
from snapws.errors import ImageUnsupported, InvalidValue
from snapws.images.nifti import MAX_LENGTH, VOXEL_OFFSET, new_header
from snapws.labels import MAX_INDEX
from snapws.pictures import sampling

if TYPE_CHECKING:
    import numpy.typing as npt

    from snapws.images.header import ImageHeader
    from snapws.pictures.rendering import Anatomy

    Values = npt.NDArray[Any]

_PIECE = 1 << 20  # voxels of a component that are looked at together
_MOST_COMPONENTS = 32  # that are read side by side, each from the start of the file

# What NiiVue takes as it is; everything else becomes float32.
_TAKEN = ("u1", "<i2", "<u2", "<f4")
_FLOAT, _LABELS = np.dtype("<f4"), np.dtype("<u2")
_RGB = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
_RGBA = np.dtype([*((part, "u1") for part in "RGBA")])
_ALIGNED = 2  # a form that is aligned to something
_TOLERANCE = 1e-5


@dataclass(frozen=True)
class Volume:
    """A NIfTI-1 file that is made while it is sent.

    Attributes:
        block: Its bytes up to the voxels.
        nbytes: Size of its voxels in bytes.
        pieces: Reads, and yields the voxels.
    """

    block: bytes
    nbytes: int
    pieces: Callable[[], Iterator[bytes]]


def times(header: ImageHeader) -> int:
    """Return the number of time points of an image."""
    return header.shape[3] if len(header.shape) > 3 else 1


def of_labels(header: ImageHeader, affine: npt.NDArray[np.float64]) -> Volume:
    """Return a segmentation as unsigned 16-bit labels.

    Args:
        header: Its image.
        affine: The 4x4 matrix to mm that the file is to have.

    Raises:
        ImageUnsupported: No NIfTI-1 file can hold it.
    """
    return _volume(
        header, affine, _LABELS, lambda: (one.tobytes() for one in _label_values(header))
    )


def labels_of(header: ImageHeader) -> list[int]:
    """Return the labels that a segmentation has, at any time point, but for 0; it is read.

    Raises:
        ImageError: It cannot be read.
    """
    seen = np.zeros(MAX_INDEX + 1, dtype=bool)
    for labels in _label_values(header):
        seen[labels] = True
    found: list[int] = (np.flatnonzero(seen[1:]) + 1).tolist()
    return found


def _label_values(header: ImageHeader) -> Iterator[Values]:
    """Yield labels from 0 to 65535, as pictures show the voxels."""
    for stored in _values(header):
        values = _parts(stored)[:, 0] if stored.dtype.names else _magnitude(stored)
        whole = np.nan_to_num(sampling.labels(sampling.scaled(values, header)))
        yield np.clip(whole, 0, MAX_INDEX).astype(_LABELS)


def of_anatomy(
    anatomy: Anatomy,
    affine: npt.NDArray[np.float64],
    curve: Callable[[], tuple[Sequence[float], Sequence[float]]],
) -> Volume:
    """Return a main image or an overlay as its scalars or, where it is shown in colours, as RGB.

    A displacement field that is to be shown as a grid is shown by its length.

    Args:
        anatomy: The layer.
        affine: The 4x4 matrix to mm that the file is to have.
        curve: Returns the contrast curve of colours.

    Raises:
        ImageUnsupported: No NIfTI-1 file can hold it, or it has too many components.
    """
    header, mode = anatomy.header, anatomy.mode
    if header.dtype.names and mode is ComponentMode.RGB:
        return _volume(header, affine, _RGB, lambda: _colors(header, curve()))
    place = _single_component(anatomy)
    if place is None and not header.dtype.names and mode is ComponentMode.RGB:
        return _volume(header, affine, _RGB, lambda: _components_as_colors(header, curve()))
    kind = header.dtype.newbyteorder("<")
    if place is not None and kind in [np.dtype(one) for one in _TAKEN]:
        stored = partial(_component, header, place)
        return _volume(header, affine, kind, stored, scaling=header.scaling)
    return _volume(
        header,
        affine,
        _FLOAT,
        lambda: (_as_float(one).tobytes() for one in _scalars(anatomy, place)),
    )


def painted(
    anatomy: Anatomy,
    affine: npt.NDArray[np.float64],
    curve: tuple[Sequence[float], Sequence[float]],
) -> Volume:
    """Return a main image or an overlay in its colours, as RGBA.

    Args:
        anatomy: The layer, which is shown as one number of a voxel, and not in colours of its own.
        affine: The 4x4 matrix to mm that the file is to have.
        curve: Its contrast curve.

    Raises:
        ImageUnsupported: No NIfTI-1 file can hold it, or it has too many components.
    """
    place = _single_component(anatomy)

    def pieces() -> Iterator[bytes]:
        for scalars in _scalars(anatomy, place):
            colors = np.rint(anatomy.paint(scalars, *curve) * 255)
            yield colors.astype(np.uint8).tobytes()

    return _volume(anatomy.header, affine, _RGBA, pieces)


def _single_component(anatomy: Anatomy) -> int | None:
    """Return which component alone is shown; None if one number is made of several."""
    header = anatomy.header
    if header.dtype.names:
        return None
    if header.components == 1 or anatomy.mode is ComponentMode.COMPONENT:
        return min(max(anatomy.component, 0), header.components - 1)
    if header.components > _MOST_COMPONENTS:
        raise ImageUnsupported(
            f"{header.path}: {header.components} components, of which the viewer does not make "
            "one number: show one of them"
        )
    return None


def _scalars(anatomy: Anatomy, place: int | None) -> Iterator[Values]:
    """Yield the one number of each voxel that is shown; for `place` see `_single_component`."""
    header = anatomy.header
    if place is not None:
        for stored in _values(header, place):
            yield sampling.scaled(_magnitude(stored), header)
    elif header.dtype.names:
        for stored in _values(header):
            yield anatomy.scalar(_parts(stored))
    else:
        for values in _several(header, header.components):
            yield anatomy.scalar(values)


def _volume(
    header: ImageHeader,
    affine: npt.NDArray[np.float64],
    kind: np.dtype[Any],
    pieces: Callable[[], Iterator[bytes]],
    *,
    scaling: tuple[float, float] | None = None,
) -> Volume:
    shape = [*header.spatial_shape, *([times(header)] if times(header) > 1 else [])]
    try:
        nifti = new_header(shape, kind)
    except ValueError:
        raise ImageUnsupported(
            f"{header.path}: an axis is longer than {MAX_LENGTH} voxels: the viewer shows no such "
            "image"
        ) from None
    _refuse_beyond(affine)
    nifti.set_xyzt_units("mm", "sec")
    nifti["scl_slope"], nifti["scl_inter"] = scaling or (1.0, 0.0)
    # The range is told beside the file. One in the header saves NiiVue a look at all voxels.
    nifti["cal_min"], nifti["cal_max"] = 0, 1
    nifti.set_sform(affine, code=_ALIGNED)
    nifti.set_qform(affine, code=_ALIGNED, strip_shears=True)
    apart = np.abs(nifti.get_qform() - affine).max()
    if not apart <= _TOLERANCE * np.abs(affine).max():
        nifti["qform_code"] = 0  # a sheared affine is no rotation
    size = kind.itemsize * int(np.prod(shape, dtype=np.int64))
    return Volume(bytes(nifti.binaryblock).ljust(VOXEL_OFFSET, b"\0"), size, pieces)


def _refuse_beyond(affine: npt.NDArray[np.float64]) -> None:
    """Raise InvalidValue if an affine has no place in the single precision of a header."""
    with np.errstate(over="ignore"):
        single = affine.astype(np.float32)
        sizes = np.linalg.norm(single[:3, :3].astype(np.float64), axis=0)
        sizes = sizes.astype(np.float32)
    if not (np.isfinite(single).all() and np.isfinite(sizes).all() and sizes.all()):
        raise InvalidValue("its transform leads too far away: set another one")


def _component(header: ImageHeader, place: int) -> Generator[bytes, None, None]:
    """Yield the stored voxels of one component, which is one volume after the other in time."""
    size = header.nbytes // header.components
    skip, missing = place * size, size
    for piece in header.voxels():
        body = piece[skip : skip + missing]
        skip -= min(skip, len(piece))
        missing -= len(body)
        if body:
            yield body
        # The last component is read to its end, where a checksum may be wrong.
        if not missing and place + 1 < header.components:
            return


def _values(header: ImageHeader, place: int = 0) -> Generator[Values, None, None]:
    """Yield the stored voxels of one component, `_PIECE` of them at a time."""
    kind = header.dtype.newbyteorder("<")
    most, rest = _PIECE * kind.itemsize, bytearray()
    with closing(_component(header, place)) as pieces:
        for piece in pieces:
            rest += piece
            while len(rest) >= most:
                yield np.frombuffer(bytes(rest[:most]), kind)
                del rest[:most]
    if rest:
        yield np.frombuffer(bytes(rest), kind)


def _several(header: ImageHeader, count: int) -> Iterator[Values]:
    """Yield the values of voxels, (voxels, components): each component is read by itself."""
    streams = [_values(header, place) for place in range(count)]
    try:
        for together in zip(*streams, strict=True):
            parts = [sampling.scaled(_magnitude(one), header) for one in together]
            yield np.stack(parts, axis=-1).astype(np.float32)
    finally:
        for stream in streams:
            stream.close()


def _components_as_colors(
    header: ImageHeader, curve: tuple[Sequence[float], Sequence[float]]
) -> Iterator[bytes]:
    for values in _several(header, min(3, header.components)):
        yield _as_bytes(values, curve)


def _colors(header: ImageHeader, curve: tuple[Sequence[float], Sequence[float]]) -> Iterator[bytes]:
    for stored in _values(header):
        yield _as_bytes(_parts(stored), curve)


def _as_bytes(values: Values, curve: tuple[Sequence[float], Sequence[float]]) -> bytes:
    """Return voxels as red, green and blue; two components are red and green."""
    colors = np.zeros((len(values), 3), dtype=np.uint8)
    parts = min(3, values.shape[1])
    shown = np.nan_to_num(np.interp(values[:, :parts], *curve)).clip(0, 1)
    colors[:, :parts] = np.rint(shown * 255)
    return colors.tobytes()


def _parts(stored: Values) -> Values:
    names = stored.dtype.names or ()
    return stored.view(stored.dtype[0]).reshape(-1, len(names))


def _magnitude(values: Values) -> Values:
    return np.abs(values) if values.dtype.kind == "c" else values


@np.errstate(over="ignore", invalid="ignore")
def _as_float(values: Values) -> Values:
    return np.asarray(values, dtype=_FLOAT)

"""An image's values on planes through it, from one pass over its voxels.

Only the slices that are being read and the values on the planes are in memory, whatever the size of
the image.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from snapws.errors import InvalidValue
from snapws.pictures.points import Slab, inside_by_plane, points_of

if TYPE_CHECKING:
    import numpy.typing as npt

    from snapws.images.header import ImageHeader
    from snapws.pictures.views import Plane

# Bytes of voxels that are looked at together, and values of an image that its statistics are of.
_SLAB = 1 << 23
_VALUES = 1 << 18
_NEAR = 1e-6  # in parts of a label


class Samples(NamedTuple):
    """An image on planes.

    Attributes:
        planes: Of each plane its values, (height, width, components) float32; NaN outside the
            image.
        ends: Of each component the least and the greatest finite value, (components, 2); infinity
            and minus infinity where there is none.
        some: Values on a regular grid through the image, (values, components) float32.
        inside: Of each plane which pixels lie in the image, (height, width) bool.
    """

    planes: list[npt.NDArray[np.float32]]
    ends: npt.NDArray[np.float64]
    some: npt.NDArray[np.float32]
    inside: list[npt.NDArray[np.bool_]]

    @property
    def least(self) -> float:
        """The least finite value of the image; 0 if no value is finite."""
        least = float(self.ends[:, 0].min())
        return least if np.isfinite(least) else 0.0

    @property
    def greatest(self) -> float:
        """The greatest finite value of the image; 0 if no value is finite."""
        greatest = float(self.ends[:, 1].max())
        return greatest if np.isfinite(greatest) else 0.0


# Of numbers beyond float32, or infinite ones that are interpolated, the result says enough.
@np.errstate(over="ignore", invalid="ignore")
def sample(
    header: ImageHeader, planes: Sequence[Plane], *, time_point: int = 1, nearest: bool = False
) -> Samples:
    """Read an image on planes that are given in its voxel coordinates.

    Args:
        header: The image.
        planes: The planes.
        time_point: Which of its volumes, from 1; of an image with one volume, that one.
        nearest: Whether a point has the value of the voxel that it is in, as labels have to, or
            one that is interpolated linearly from the eight around it; where these do not give a
            number, the point has the value of its voxel.

    Raises:
        InvalidValue: The image has no such time point.
        ImageDamaged: It is cut short, or its checksum is wrong.
        ImageError: It cannot be read.
    """
    volumes = _volumes(header, time_point)
    parts = _parts(header.dtype)
    points = points_of(planes, header, nearest=nearest)
    count = len(volumes) * parts
    values = [
        np.full((plane.height * plane.width, count), np.nan, dtype=np.float32) for plane in planes
    ]
    ends = np.full((count, 2), (np.inf, -np.inf))
    some: list[list[npt.NDArray[np.float32]]] = [[] for _ in volumes]
    step = _stride(header, count)
    for volume, first, slab in _slabs(header, volumes, overlap=not nearest):
        # Of slices that come twice, for the sake of interpolation, the second time counts.
        own = slab if first + len(slab) == header.spatial_shape[2] or nearest else slab[:-1]
        where = slice(-first % step, None, step)
        some[volume].append(own[where, ::step, ::step].reshape(-1, parts).astype(np.float32))
        columns = slice(volume * parts, (volume + 1) * parts)
        for part, end in enumerate(ends[columns]):
            least, greatest = _limits(own[..., part])
            end[:] = min(end[0], least), max(end[1], greatest)
        for these in points:
            targets = [values[number][:, columns] for number in these.numbers]
            these.gather(Slab(slab, first, len(own)), targets)
    slope, intercept = header.scaling or (1.0, 0.0)
    # A slope below 0 turns them round.
    ends = np.where(np.isfinite(ends), np.sort(ends * slope + intercept), ends)
    return Samples(
        [
            scaled(value, header).reshape(plane.height, plane.width, count)
            for plane, value in zip(planes, values, strict=True)
        ],
        ends,
        scaled(np.hstack([np.vstack(pieces) for pieces in some]), header),
        inside_by_plane(points),
    )


@np.errstate(over="ignore", invalid="ignore")
def scaled(stored: npt.NDArray[Any], header: ImageHeader) -> npt.NDArray[Any]:
    """Return the values that stored ones mean: scaled ones as float32, others unchanged."""
    if not header.scaling:
        return stored
    slope, intercept = header.scaling
    return (stored.astype(np.float64) * slope + intercept).astype(np.float32)


@np.errstate(invalid="ignore")
def labels(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Convert values to labels: whole numbers, up to the rounding of a slope.

    A slope of 0.6 is stored as 0.60000002, and 25 of it are 15.000001.
    """
    if values.dtype.kind in "iu":
        return values
    whole = np.rint(values)
    is_near = np.abs(values - whole) <= _NEAR * np.maximum(1, np.abs(whole))
    return np.where(is_near, whole, values)


def center_of_labels(
    header: ImageHeader, time_point: int = 1, hidden: Sequence[int] = ()
) -> tuple[float, ...] | None:
    """Return the voxel coordinates (3) of the centre of mass of labels; None without labels.

    Labels are values of 1 and more.

    Args:
        header: The image.
        time_point: Which of its volumes, from 1; of an image with one volume, that one.
        hidden: Labels that do not count.

    Raises:
        InvalidValue: The image has no such time point.
        ImageDamaged: It is cut short, or its checksum is wrong.
        ImageError: It cannot be read.
    """

    def counts(values: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
        found = values >= 1
        return found & ~np.isin(np.trunc(values), hidden) if hidden else found

    total, sums = 0, np.zeros(3)
    for _, first, slab in _slabs(header, _volumes(header, time_point)[:1], overlap=False):
        if slab.any() or header.scaling:
            # Slice by slice: scaled ones take eight times the room.
            labelled = np.stack([counts(labels(scaled(one[..., 0], header))) for one in slab])
            along_x, along_y = labelled.sum((0, 1)), labelled.sum((0, 2))
            along_z = labelled.sum((1, 2))
            for axis, along in enumerate((along_x, along_y, along_z)):
                start = first if axis == 2 else 0
                sums[axis] += along @ np.arange(start, start + len(along))
            total += int(along_z.sum())
    return tuple(float(one) / total for one in sums) if total else None


def _slabs(
    header: ImageHeader, volumes: Sequence[int], *, overlap: bool
) -> Iterator[tuple[int, int, npt.NDArray[Any]]]:
    """Yield runs of whole slices of volumes.

    Args:
        header: The image.
        volumes: The indices of the volumes in the file, in increasing order.
        overlap: Whether each run, except the last, ends with the first slice of the next run.

    Yields:
        The index in `volumes`, the index of the first slice, and values of shape (z, y, x, parts of
        a voxel). Copy values that are needed after the next run, which uses their memory again.
    """
    width, height, depth = header.spatial_shape
    parts = _parts(header.dtype)
    kind = header.dtype.newbyteorder("<")
    slice_size = width * height * kind.itemsize
    together = max(1 + overlap, _SLAB // slice_size) * slice_size
    volume_size, done = depth * slice_size, 0

    buffer, filled = bytearray(together), 0
    for piece in header.voxels():
        taken = 0
        while taken < len(piece):
            volume, inside = divmod(done, volume_size)
            if volume > volumes[-1]:
                return
            needed = min(together, volume_size - inside)
            part = piece[taken : taken + needed - filled]
            buffer[filled : filled + len(part)] = part
            taken, filled = taken + len(part), filled + len(part)
            if filled < needed:
                break
            if volume in volumes:
                values = _numbers(buffer, kind, needed // kind.itemsize)
                slab = values.reshape(-1, height, width, parts)
                yield volumes.index(volume), inside // slice_size, slab
            last = inside + needed == volume_size
            filled = slice_size if overlap and not last else 0
            buffer[:filled] = buffer[needed - filled : needed]
            done += needed - filled


def _numbers(voxels: bytearray, kind: np.dtype[Any], count: int) -> npt.NDArray[Any]:
    """Return the numbers of stored voxels: the parts of colours, the magnitude of complex ones."""
    values = np.frombuffer(voxels, kind, count)
    if kind.names:
        return values.view(kind[0])
    return np.abs(values) if kind.kind == "c" else values


def _volumes(header: ImageHeader, time_point: int) -> list[int]:
    """Return the positions in the file of a time point's components, each one volume."""
    times = header.shape[3] if len(header.shape) > 3 else 1
    if times > 1 and not 1 <= time_point <= times:
        raise InvalidValue(f"{header.path}: it has time points 1 to {times}, not {time_point}")
    at = time_point - 1 if times > 1 else 0
    return [component * times + at for component in range(header.components)]


def _parts(dtype: np.dtype[Any]) -> int:
    """Return how many numbers a stored voxel has: several for colours."""
    return len(dtype.names) if dtype.names else 1


def _stride(header: ImageHeader, components: int) -> int:
    voxels = float(np.prod(header.spatial_shape)) * components
    return max(1, int(np.ceil((voxels / _VALUES) ** (1 / 3))))


def _limits(values: npt.NDArray[Any]) -> tuple[float, float]:
    if values.dtype.kind == "f":
        values = values[np.isfinite(values)]
        if not values.size:
            return np.inf, -np.inf
    return float(values.min()), float(values.max())

"""An image's values on planes through it, from one pass over its voxels.

Only the slices that are being read and the values on the planes are in memory, whatever the size of
the image.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from snapws.errors import InvalidValue

if TYPE_CHECKING:
    import numpy.typing as npt

    from snapws.images.header import ImageHeader
    from snapws.pictures.views import Plane

# Bytes of voxels that are looked at together, and values of an image that its statistics are of.
_SLAB = 1 << 23
_VALUES = 1 << 18
_POINTS = 1 << 18  # whose values are found together
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
    points = [_Points(plane, header, nearest=nearest) for plane in planes]
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
        for these, target in zip(points, values, strict=True):
            these.gather(slab, first, len(own), target[:, columns])
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
        [these.inside for these in points],
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
    """Return the voxel coordinates (3) of the centre of mass of labels; None if there is none.

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


class _Points:
    """The points of a plane that lie in an image, in the order in which its slices come."""

    def __init__(self, plane: Plane, header: ImageHeader, *, nearest: bool) -> None:
        self._plane = plane
        self._size = np.array(header.spatial_shape)
        self._nearest = nearest
        found = [self._inside(first) for first in range(0, plane.width * plane.height, _POINTS)]
        numbers, slices = (np.concatenate(parts) for parts in zip(*found, strict=True))
        order = np.argsort(slices, kind="stable")
        self._numbers = numbers[order]
        self._starts = np.searchsorted(slices[order], np.arange(self._size[2] + 1))

    @property
    def inside(self) -> npt.NDArray[np.bool_]:
        """Which points of the plane lie in the image: shape (height, width)."""
        found = np.zeros(self._plane.height * self._plane.width, dtype=np.bool_)
        found[self._numbers] = True
        return found.reshape(self._plane.height, self._plane.width)

    def _inside(self, first: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        """Return which of the points that are found together are in the image.

        Returns:
            Their numbers, and the slice with which the value of each is found.
        """
        last = min(first + _POINTS, self._plane.width * self._plane.height)
        numbers = np.arange(first, last, dtype=np.int32)
        places = self._places(numbers)
        inside = np.all((places >= -0.5) & (places <= self._size[:, None] - 0.5), axis=0)
        z = np.clip(places[2, inside], 0, self._size[2] - 1)
        return numbers[inside], (np.rint if self._nearest else np.floor)(z).astype(np.int32)

    def gather(
        self,
        slab: npt.NDArray[Any],
        first: int,
        count: int,
        target: npt.NDArray[np.float32],
    ) -> None:
        """Take the values of the points in `count` slices from `first` on; `slab` begins there."""
        numbers = self._numbers[self._starts[first] : self._starts[first + count]]
        for begin in range(0, len(numbers), _POINTS):
            self._take(slab, first, numbers[begin : begin + _POINTS], target)

    def _take(
        self,
        slab: npt.NDArray[Any],
        first: int,
        numbers: npt.NDArray[np.int32],
        target: npt.NDArray[np.float32],
    ) -> None:
        places = np.clip(self._places(numbers), 0, self._size[:, None] - 1)
        voxels = slab.reshape(-1, slab.shape[3])
        width, height, _ = self._size
        steps = np.array([1, width, width * height])

        def nearest(some: npt.NDArray[np.float64]) -> npt.NDArray[Any]:
            indices = np.rint(some).astype(np.intp)
            indices[2] -= first
            places_of = steps[0] * indices[0] + steps[1] * indices[1] + steps[2] * indices[2]
            found: npt.NDArray[Any] = voxels[places_of]
            return found

        if self._nearest:
            target[numbers] = nearest(places)
            return
        floors = np.floor(places).astype(np.intp)
        fractions = (places - floors).astype(np.float32)
        floors[2] -= first
        corner = steps[0] * floors[0] + steps[1] * floors[1] + steps[2] * floors[2]
        found = np.zeros((len(numbers), slab.shape[3]), dtype=np.float32)
        for offset, weights in _corners(steps, fractions):
            if weights.all():
                found += weights[:, None] * voxels[corner + offset].astype(np.float32)
                continue
            used = np.flatnonzero(weights)  # what has no weight may be infinite, or not there
            values = voxels[corner[used] + offset]
            found[used] += weights[used, None] * values.astype(np.float32)
        unknown = np.flatnonzero(np.isnan(found).any(1))
        if len(unknown):  # beside a voxel without a number, or between infinite ones
            found[unknown] = nearest(places[:, unknown])
        target[numbers] = found

    def _places(self, numbers: npt.NDArray[np.int32]) -> npt.NDArray[np.float64]:
        """Return the voxel coordinates of points: shape (3, points)."""
        down, across = np.divmod(numbers, self._plane.width)
        places: npt.NDArray[np.float64] = (
            self._plane.origin[:, None]
            + self._plane.across[:, None] * across
            + self._plane.down[:, None] * down
        )
        return places


def _corners(
    steps: npt.NDArray[np.intp], fractions: npt.NDArray[np.float32]
) -> Iterator[tuple[int, npt.NDArray[np.float32]]]:
    """Yield the eight voxels around points: how far after the first, and the weight of each.

    Those that have no weight at any point are left out: most, where a plane lies along the axes.
    """

    def sides(axis: int) -> Iterator[tuple[int, npt.NDArray[np.float32]]]:
        for side, weights in enumerate((1 - fractions[axis], fractions[axis])):
            if weights.any():
                yield side * int(steps[axis]), weights

    for x, along_x in sides(0):
        for y, along_y in sides(1):
            both = along_x * along_y
            for z, along_z in sides(2):
                weights = both * along_z
                if weights.any():
                    yield x + y + z, weights


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

"""The points of planes that lie in an image; their values, taken from its slices as they come."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from snapws.images.header import ImageHeader
    from snapws.pictures.views import Plane

_POINTS = 1 << 18  # whose values are found together
_STILL = 1e-9  # voxels along an axis, of the rounding of matrices


class Slab(NamedTuple):
    """A run of whole slices of an image.

    Attributes:
        values: Of these slices, and of the next one: (z, y, x, parts of a voxel).
        first: The index of the first slice.
        depth: How many slices.
    """

    values: npt.NDArray[Any]
    first: int
    depth: int


class Points(ABC):
    """The points of planes that lie in an image.

    Attributes:
        numbers: Which planes of those that were asked for these are.
    """

    numbers: Sequence[int]

    @abstractmethod
    def inside(self) -> Iterator[npt.NDArray[np.bool_]]:
        """Yield for each plane a mask of its points in the image: shape (height, width)."""

    @abstractmethod
    def gather(self, slab: Slab, targets: Sequence[npt.NDArray[np.float32]]) -> None:
        """Take the values of the points in the slices of a slab.

        Args:
            slab: The slices.
            targets: Of each plane where the values go: (points, parts of a voxel), by rows.
        """


def points_of(planes: Sequence[Plane], header: ImageHeader, *, nearest: bool) -> list[Points]:
    """Return the points of planes that are given in an image's voxel coordinates.

    Args:
        planes: The planes.
        header: The image.
        nearest: Whether a point has the value of its voxel, or an interpolated one.
    """
    found: list[Points] = []
    parallel: defaultdict[tuple[object, ...], list[int]] = defaultdict(list)
    for number, plane in enumerate(planes):
        if (fixed := _fixed_axis(plane)) is None:
            found.append(_Oblique(plane, number, header, nearest=nearest))
            continue
        edges = plane._replace(origin=np.delete(plane.origin, fixed))
        parallel[tuple(map(np.ndarray.tobytes, map(np.asarray, edges)))].append(number)
    found.extend(
        _Aligned([planes[one] for one in numbers], numbers, header, nearest=nearest)
        for numbers in parallel.values()
    )
    return found


def inside_by_plane(points: Sequence[Points]) -> list[npt.NDArray[np.bool_]]:
    """Return of each plane which of its points lie in the image, (height, width) bool."""
    found: dict[int, npt.NDArray[np.bool_]] = {}
    for these in points:
        found.update(zip(these.numbers, these.inside(), strict=True))
    return [found[number] for number in sorted(found)]


def _fixed_axis(plane: Plane) -> int | None:
    """Return the axis of the image that a plane stands upon, None if it lies obliquely."""
    moved = np.abs([plane.across * plane.width, plane.down * plane.height]) > _STILL
    is_along = (moved.sum(1) == 1).all() and moved.sum(0).max() == 1
    return int(moved.any(0).argmin()) if is_along else None


class _Aligned(Points):
    """The points of parallel planes whose rows and columns run along two axes of the image.

    Two of a point's voxel coordinates depend on its row or its column alone, and the third on its
    plane. What is found along one axis after the other, for all planes, takes a fraction of the
    time.
    """

    def __init__(
        self, planes: Sequence[Plane], numbers: Sequence[int], header: ImageHeader, *, nearest: bool
    ) -> None:
        self.numbers = numbers
        self._nearest = nearest
        plane = planes[0]
        self._shape = plane.height, plane.width
        self._across, self._down = (int(np.abs(one).argmax()) for one in (plane.across, plane.down))
        self._fixed = 3 - self._across - self._down
        places = {
            self._across: _stepped(plane, self._across, plane.across, plane.width),
            self._down: _stepped(plane, self._down, plane.down, plane.height),
            self._fixed: np.array([one.origin[self._fixed] for one in planes]),
        }
        self._axes = [_Axis(places[axis], header.spatial_shape[axis]) for axis in range(3)]
        z = self._axes[2]
        self._slices = z.nearest if nearest else z.floors

    def inside(self) -> Iterator[npt.NDArray[np.bool_]]:
        plane, rows, columns = (
            self._axes[axis].inside for axis in (self._fixed, self._down, self._across)
        )
        both = rows[:, None] & columns
        return (both & one for one in plane)

    def gather(self, slab: Slab, targets: Sequence[npt.NDArray[np.float32]]) -> None:
        values, first, count = slab
        chosen = [np.arange(len(axis.which)) for axis in self._axes]
        chosen[2] = np.flatnonzero((self._slices >= first) & (self._slices < first + count))
        if not all(map(len, chosen)):
            return
        found = self._values(values, first, chosen, nearest=self._nearest)
        if found.dtype.kind == "f" and (unknown := np.isnan(found).any(-1, keepdims=True)).any():
            # As for points of an oblique plane.
            found = np.where(unknown, self._values(values, first, chosen, nearest=True), found)
        order = (self._fixed, self._down, self._across)
        found = found.transpose(*(2 - axis for axis in order), 3)
        numbers, rows, columns = (self._axes[axis].which[chosen[axis]] for axis in order)
        window = np.ix_(rows, columns)
        for number, of_plane in zip(numbers, found, strict=True):
            targets[number].reshape(*self._shape, -1)[window] = of_plane

    def _values(
        self,
        slab: npt.NDArray[Any],
        first: int,
        chosen: Sequence[npt.NDArray[np.intp]],
        *,
        nearest: bool,
    ) -> npt.NDArray[Any]:
        found: npt.NDArray[Any] = slab
        # The planes come first: there are fewer of them than rows or columns.
        for axis in sorted((0, 1, 2), key=lambda axis: (axis != self._fixed, -axis)):
            take = self._axes[axis].nearest_values if nearest else self._axes[axis].values
            found = take(found, 2 - axis, chosen[axis], first if axis == 2 else 0)
        return found


def _stepped(
    plane: Plane, axis: int, step: npt.NDArray[np.float64], count: int
) -> npt.NDArray[np.float64]:
    """Return the coordinates along an axis of a row of points, or of a column."""
    return np.asarray(plane.origin[axis] + step[axis] * np.arange(count))


class _Axis:
    """Places along one axis of an image.

    Args:
        places: Voxel coordinates.
        size: The number of voxels.

    Attributes:
        inside: Whether each place is in the image.
        which: The numbers of those that are. What follows is of these.
        nearest: The voxels next to them.
        floors: The voxels before them, between which and the next they lie.
    """

    def __init__(self, places: npt.NDArray[np.float64], size: int) -> None:
        self.inside = (places >= -0.5) & (places <= size - 0.5)
        self.which = np.flatnonzero(self.inside)
        kept = np.clip(places[self.inside], 0, size - 1)
        self.nearest = np.rint(kept).astype(np.intp)
        self.floors = np.floor(kept).astype(np.intp)
        self._above = (kept - self.floors).astype(np.float32)
        self._below = 1 - self._above
        self._is_whole = not self._above.any()

    def nearest_values(
        self, values: npt.NDArray[Any], axis: int, chosen: npt.NDArray[np.intp], start: int
    ) -> npt.NDArray[Any]:
        """Return the values of the nearest voxels along an axis.

        Args:
            values: Values of voxels.
            axis: The axis of the array.
            chosen: Which of the places.
            start: The voxel with which the array begins.
        """
        return np.asarray(values.take(self.nearest[chosen] - start, axis))

    def values(
        self, values: npt.NDArray[Any], axis: int, chosen: npt.NDArray[np.intp], start: int
    ) -> npt.NDArray[Any]:
        """Return interpolated values, as float32 but where no place is between two voxels.

        Args:
            values: Values of voxels.
            axis: The axis of the array.
            chosen: Which of the places.
            start: The voxel with which the array begins.
        """
        floors = self.floors[chosen] - start
        lower = np.asarray(values.take(floors, axis))
        if self._is_whole:
            return lower
        lower = lower.astype(np.float32, copy=False)
        shape = [1] * values.ndim
        shape[axis] = -1
        above, below = self._above[chosen].reshape(shape), self._below[chosen].reshape(shape)
        upper = values.take(np.minimum(floors + 1, values.shape[axis] - 1), axis)
        mixed = lower * below
        mixed += upper.astype(np.float32, copy=False) * above
        if values.dtype.kind == "f":
            mixed = np.where(above == 0, lower, mixed)  # what has no weight may be infinite
        return mixed


class _Oblique(Points):
    """The points of any plane, in the order in which the slices of the image come."""

    def __init__(self, plane: Plane, number: int, header: ImageHeader, *, nearest: bool) -> None:
        self.numbers = (number,)
        self._plane = plane
        self._size = np.array(header.spatial_shape)
        self._nearest = nearest
        found = [self._inside(first) for first in range(0, plane.width * plane.height, _POINTS)]
        numbers, slices = (np.concatenate(parts) for parts in zip(*found, strict=True))
        order = np.argsort(slices, kind="stable")
        self._numbers = numbers[order]
        self._starts = np.searchsorted(slices[order], np.arange(self._size[2] + 1))

    def inside(self) -> Iterator[npt.NDArray[np.bool_]]:
        found = np.zeros(self._plane.height * self._plane.width, dtype=np.bool_)
        found[self._numbers] = True
        yield found.reshape(self._plane.height, self._plane.width)

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

    def gather(self, slab: Slab, targets: Sequence[npt.NDArray[np.float32]]) -> None:
        values, first, count = slab
        numbers = self._numbers[self._starts[first] : self._starts[first + count]]
        for begin in range(0, len(numbers), _POINTS):
            self._take(values, first, numbers[begin : begin + _POINTS], targets[0])

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

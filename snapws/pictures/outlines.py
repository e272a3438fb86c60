"""Cuts of surfaces with the slices of a view, and lines, as pixels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from snapws.errors import InvalidValue

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from snapws.pictures.views import Plane

    Numbers = npt.NDArray[np.float64]
    Integers = npt.NDArray[np.int64]
    Points = npt.NDArray[np.floating[Any]]

#: How many segments a surface may have on all slices of a view, and how many pixels these may have.
#: A surface with more is no surface of an organ.
MOST_SEGMENTS = 10_000_000
MOST_PIXELS = 100_000_000

_TRIANGLES = 1 << 17  # that are held against the slices together
_SEGMENTS = 1 << 17  # that are drawn together
_SAMPLES = 1 << 20  # pixels that are drawn together
_DECIMALS = 6  # of places in voxels: more are noise of the headers


class Slices(NamedTuple):
    """Slices of one view, by rising index.

    Attributes:
        axis: The voxel axis that they are perpendicular to.
        indices: Where they are along it, in voxels.
        plane: The raster of one of them. The others differ in the place along the axis alone.
    """

    axis: int
    indices: Integers
    plane: Plane

    @property
    def shape(self) -> tuple[int, int, int]:
        """How many slices there are, and the height and width of each in pixels."""
        return len(self.indices), self.plane.height, self.plane.width

    def pixels(self, points: Numbers) -> Numbers:
        """Return the column and row, (n, 2), of points in voxels, (n, 3)."""
        axes = np.stack([self.plane.across, self.plane.down], axis=1)
        found: Numbers = (points - self.plane.origin) @ (axes / (axes**2).sum(axis=0))
        return found


def cut(points: Points, triangles: Integers, matrix: Numbers, slices: Slices) -> Mask:
    """Return the pixels of the line in which slices cut a surface.

    A triangle that lies in a slice belongs to it with those of its edges that it shares with no
    other such triangle.

    Args:
        points: The points of the surface, (n, 3).
        triangles: The indices of three points each, (m, 3).
        matrix: The 4x4 matrix from the points' coordinates to voxels.
        slices: The slices.

    Raises:
        InvalidValue: There are more segments than `MOST_SEGMENTS`, or they are too long.
    """
    mask = Mask(slices.shape)
    with np.errstate(over="ignore", invalid="ignore"):
        heights = np.round(points @ matrix[slices.axis, :3] + matrix[slices.axis, 3], _DECIMALS)
    # A coordinate that is not finite leads to a height that is not: even 0 times infinity is NaN.
    heights[~np.isfinite(heights)] = np.nan
    left = MOST_SEGMENTS
    for start in range(0, len(triangles), _TRIANGLES):
        some = triangles[start : start + _TRIANGLES]
        levels = heights[some]
        # A slice cuts a triangle that has points below it, and others on it or above it.
        first, second, third = levels.T  # numpy is slow along an axis of three
        lowest = np.minimum(first, np.minimum(second, third))
        highest = np.maximum(first, np.maximum(second, third))
        low = np.searchsorted(slices.indices, lowest, side="right")
        high = np.searchsorted(slices.indices, highest, side="right")
        counts = high - low
        left -= int(counts.sum())
        if left < 0:
            raise InvalidValue(f"it has more than {MOST_SEGMENTS:,} segments on the slices")
        for owners, places in _numbered(counts):
            number = low[owners] + places
            ends = _crossed(points, some[owners], levels[owners], slices.indices[number])
            mask.draw(number, *(slices.pixels(_mapped(matrix, end)) for end in ends))
    flat = _flat(heights, triangles, slices)
    if len(flat):
        ends = _border(points, triangles[flat])
        on = np.searchsorted(slices.indices, np.round(_mapped(matrix, ends[0])[:, slices.axis]))
        mask.draw(on, *(slices.pixels(_mapped(matrix, end)) for end in ends))
    return mask


class Mask:
    """Pixels of slices that are drawn.

    Args:
        shape: How many slices there are, and the height and width of each.
    """

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self._shape = shape
        self._pixels = np.zeros(shape, dtype=bool)
        self._left = MOST_PIXELS
        self._touched: set[int] = set()

    def draw(self, slices: Integers, starts: Numbers, ends: Numbers) -> None:
        """Draw segments: on which slice each is, and the column and row of its ends, (n, 2).

        Raises:
            InvalidValue: There are more pixels than `MOST_PIXELS`.
        """
        _, height, width = self._shape
        starts, ends, inside = _clipped(starts, ends, (width, height))
        slices, starts, ends = slices[inside], starts[inside], ends[inside]
        # One step more than there are pixels: so no rounding leaves a gap.
        steps = np.ceil(np.abs(ends - starts).max(axis=1, initial=0)).astype(np.int64) + 1
        self._touched.update(np.flatnonzero(np.bincount(slices)).tolist())
        self._left -= int((steps + 1).sum())
        if self._left < 0:
            raise InvalidValue(f"its lines have more than {MOST_PIXELS:,} pixels")
        for owners, places in _numbered(steps + 1, _SAMPLES):
            part = (places / steps[owners])[:, None]
            found = starts[owners] * (1 - part) + ends[owners] * part
            column, row = np.floor(found + 0.5).astype(np.int64).T
            column, row = column.clip(0, width - 1), row.clip(0, height - 1)
            self._pixels[slices[owners], row, column] = True

    def widen(self) -> None:
        """Make lines two pixels wide."""
        for number in self._touched:
            one = self._pixels[number]
            one[1:] |= one[:-1].copy()
            one[:, 1:] |= one[:, :-1].copy()

    def of_slices(self) -> list[Integers]:
        """Return the pixels of each slice, as indices into its rows one after the other."""
        nothing = np.empty(0, dtype=np.int64)
        return [
            np.flatnonzero(one) if number in self._touched else nothing
            for number, one in enumerate(self._pixels)
        ]


def _mapped(matrix: Numbers, points: Points) -> Numbers:
    found: Numbers = points @ matrix[:3, :3].T + matrix[:3, 3]
    return found


def _crossed(
    points: Points, triangles: Integers, levels: Numbers, at: Integers
) -> tuple[Numbers, Numbers]:
    """Return where two edges of each triangle, whose points have levels, cross a level."""
    above = levels >= at[:, None]
    # One point is on one side, the two others are on the other.
    alone = np.where(above.sum(axis=1) == 1, above.argmax(axis=1), above.argmin(axis=1))
    row = np.arange(len(triangles))
    ends = []
    for step in (1, 2):
        other = (alone + step) % 3
        from_level, to_level = levels[row, alone], levels[row, other]
        part = ((at - from_level) / (to_level - from_level))[:, None]
        first, second = points[triangles[row, alone]], points[triangles[row, other]]
        ends.append(first * (1 - part) + second * part)
    return ends[0], ends[1]


def _flat(heights: Numbers, triangles: Integers, slices: Slices) -> Integers:
    """Return the numbers of the triangles that lie in a slice."""
    on_slice = np.isin(heights, slices.indices)
    if not on_slice.any():
        return np.empty(0, dtype=np.int64)
    first, second, third = triangles.T
    candidates = np.flatnonzero(on_slice[first] & on_slice[second] & on_slice[third])
    levels = heights[triangles[candidates]]
    found: Integers = candidates[levels.min(axis=1) == levels.max(axis=1)]
    return found


def _border(points: Points, triangles: Integers) -> tuple[Numbers, Numbers]:
    """Return the ends of the edges that belong to one triangle alone, by where their ends are."""
    places, corners = np.unique(points[triangles].reshape(-1, 3), axis=0, return_inverse=True)
    corners = corners.reshape(-1, 3)
    edges = np.sort(np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [2, 0]]]))
    edges, counts = np.unique(edges, axis=0, return_counts=True)
    alone = edges[counts == 1]
    return places[alone[:, 0]], places[alone[:, 1]]


def _numbered(counts: Integers, most: int = _SEGMENTS) -> Iterator[tuple[Integers, Integers]]:
    """Yield, for each item of owners that have so many each, the owner and the item's number.

    Items come in blocks of at most so many, or those of one owner.
    """
    before = np.concatenate(([0], np.cumsum(counts)))
    start = 0
    while start < len(counts):
        end = int(np.searchsorted(before, before[start] + most, side="right")) - 1
        end = max(end, start + 1)
        owners = np.repeat(np.arange(start, end), counts[start:end])
        if len(owners):
            yield owners, np.arange(before[start], before[end]) - before[owners]
        start = end


def _clipped(
    starts: Numbers, ends: Numbers, size: Sequence[int]
) -> tuple[Numbers, Numbers, npt.NDArray[np.bool_]]:
    """Clip segments to a picture, and return also which of them have a part in it."""
    first, last = np.zeros(len(starts)), np.ones(len(starts))
    run = ends - starts
    inside = np.isfinite(run).all(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        for axis, length in enumerate(size):
            low = (-0.5 - starts[:, axis]) / run[:, axis]
            high = (length - 0.5 - starts[:, axis]) / run[:, axis]
            along = run[:, axis] == 0
            within = (starts[:, axis] >= -0.5) & (starts[:, axis] <= length - 0.5)
            inside &= ~along | within
            first = np.where(along, first, np.maximum(first, np.minimum(low, high)))
            last = np.where(along, last, np.minimum(last, np.maximum(low, high)))
        inside &= first <= last
        return starts + run * first[:, None], starts + run * last[:, None], inside

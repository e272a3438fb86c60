"""The surface in a mesh file: its points and triangles, collected while the file is read."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from snapws.transforms import RAS_LPS

Integers = npt.NDArray[np.int64]
Points = npt.NDArray[np.floating[Any]]


class Surface:
    """Points and triangles of a mesh.

    Polygons with more corners than three, and strips, become triangles. Vertices and lines have no
    area, and are left out.
    """

    def __init__(self) -> None:
        self._points: list[Points] = []
        self._triangles: list[Integers] = []
        self._first = 0  # of the last points
        self._is_lps = False

    @property
    def points(self) -> Points:
        """The points in RAS mm, (n, 3). Coordinates are RAS, unless the file states LPS."""
        points = np.concatenate(self._points or [np.empty((0, 3))])
        return points * np.array(RAS_LPS) if self._is_lps else points

    @property
    def triangles(self) -> Integers:
        """The triangles: the indices of three points each, (m, 3)."""
        return np.concatenate(self._triangles or [np.empty((0, 3), np.int64)])

    def see_space(self, text: bytes) -> None:
        """Record the coordinate system that a file states, as ``LPS`` or ``SPACE=LPS``."""
        self._is_lps |= text.endswith(b"LPS")

    def add_points(self, coordinates: npt.NDArray[np.generic]) -> None:
        """Add points, three numbers each. The indices of the cells that follow count from here."""
        self._first = sum(map(len, self._points))
        kind = np.float32 if coordinates.dtype.itemsize <= 4 else np.float64
        self._points.append(coordinates.astype(kind).reshape(-1, 3))

    def add_polygons(self, corners: Integers, ends: Integers) -> None:
        """Add polygons.

        Args:
            corners: The indices of the points of all polygons, one after the other.
            ends: For each polygon, where its corners end.
        """
        starts, counts = _triangles_of(ends)
        if (counts == 1).all() and len(corners) == 3 * len(counts):
            self._triangles.append(corners.reshape(-1, 3) + self._first)
            return
        owner, place = _numbered(counts)
        first = starts[owner]
        found = np.stack([first, first + place + 1, first + place + 2], axis=1)
        self._triangles.append(corners[found] + self._first)

    def add_strips(self, corners: Integers, ends: Integers) -> None:
        """Add strips of triangles: each point forms one with the two before it."""
        starts, counts = _triangles_of(ends)
        owner, place = _numbered(counts)
        first = starts[owner] + place
        found = np.stack([first, first + 1, first + 2], axis=1)
        self._triangles.append(corners[found] + self._first)


def _triangles_of(ends: Integers) -> tuple[Integers, Integers]:
    """Return where the corners of each cell start, and how many triangles the cell has."""
    starts = np.concatenate(([0], ends[:-1])).astype(np.int64)
    return starts, np.maximum(ends - starts - 2, 0)


def _numbered(counts: Integers) -> tuple[Integers, Integers]:
    """Return for each of so many items of each owner: the owner, and its number there."""
    owner = np.repeat(np.arange(len(counts)), counts)
    before = np.cumsum(counts) - counts
    return owner, np.arange(len(owner)) - before[owner]

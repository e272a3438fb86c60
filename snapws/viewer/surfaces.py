"""Surfaces as NiiVue takes them. Landmarks and lines are small solids.

Their file is MZ3: a short header, triangles and points, all little-endian. The format is described
in the documentation of Surf Ice. NiiVue has no reader that takes the points of all mesh formats of
workspaces, and none that moves them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from snapws.mesh_formats.surfaces import Surface

    Array = npt.NDArray[Any]

_MAGIC, _HAS_TRIANGLES, _HAS_POINTS, _HAS_COLORS = 0x5A4D, 1, 2, 4

# A solid with six corners: two at its ends, four around its middle.
_RING = ((2, 3), (3, 4), (4, 5), (5, 2))
_FACES = [face for a, b in _RING for face in ((0, a, b), (1, b, a))]
_FAR = 1e6  # mm
_THIN = 0.3  # of a line, as a part of a landmark's radius


class Shape(NamedTuple):
    """A surface that is moved into the frame of the page.

    Attributes:
        points: (points, 3), float32, in mm of the frame.
        triangles: (triangles, 3), int32, the numbers of their corners.
        colors: Of each point its red, green, blue and opacity, (points, 4), uint8; None if they
            have none of their own.
    """

    points: Array
    triangles: Array
    colors: Array | None = None

    def to_mz3(self) -> bytes:
        """Return the surface as an MZ3 file."""
        parts = _HAS_TRIANGLES | _HAS_POINTS | (0 if self.colors is None else _HAS_COLORS)
        counts = len(self.triangles), len(self.points)
        header = struct.pack("<HHIII", _MAGIC, parts, *counts, 0)
        arrays = [one for one in (self.triangles, self.points, self.colors) if one is not None]
        return b"".join((header, *(one.tobytes() for one in arrays)))


def moved(surface: Surface, matrix: npt.NDArray[np.float64]) -> Shape:
    """Return a surface without the triangles that have a corner nowhere.

    Args:
        surface: The surface.
        matrix: The 4x4 matrix from its mm to those of the frame.
    """
    points, triangles = _moved(surface.points, matrix), surface.triangles
    is_place = np.abs(points).max(axis=1, initial=0) < _FAR  # not so where it is not a number
    triangles = triangles[is_place[triangles].all(axis=1)]
    return _shape(np.where(is_place[:, None], points, 0), triangles)


def marks(
    places: Iterable[tuple[Sequence[Sequence[float]], Array]],
    matrix: npt.NDArray[np.float64],
    radius: float,
) -> Shape:
    """Return landmarks and lines.

    Args:
        places: Of each its one or two points, and its colour, 0 to 1.
        matrix: The 4x4 matrix from the points to the mm of the frame.
        radius: The radius of a landmark in mm.
    """
    solids, colors = [], []
    for points, color in places:
        solids.append(_solid(_moved(np.array(points, dtype=np.float64), matrix), radius))
        colors.append(np.append(np.rint(color * 255), 255).astype(np.uint8))
    if not solids:
        return _shape(np.zeros((0, 3)), np.zeros((0, 3)))
    faces = np.array(_FACES)[None] + 6 * np.arange(len(solids))[:, None, None]
    return _shape(np.concatenate(solids), faces.reshape(-1, 3), np.repeat(colors, 6, axis=0))


def _solid(points: Array, radius: float) -> Array:
    """Return the corners of a landmark, or of a line between two points."""
    if len(points) == 1:
        along, ends = np.array((0.0, 0.0, 1.0)), points + np.array([[0, 0, -1], [0, 0, 1]]) * radius
    else:
        along, ends, radius = points[1] - points[0], points, radius * _THIN
    # Two directions across it, beginning with the axis that it runs along least.
    first = np.cross(along, np.eye(3)[np.argmin(np.abs(along))])
    second = np.cross(along, first)
    around = [one / (np.linalg.norm(one) or 1.0) for one in (first, second, -first, -second)]
    return np.concatenate([ends, ends.mean(axis=0) + np.array(around) * radius])


@np.errstate(over="ignore", invalid="ignore")
def _moved(points: Array, matrix: npt.NDArray[np.float64]) -> Array:
    return np.asarray(points @ matrix[:3, :3].T + matrix[:3, 3])


def _shape(points: Array, triangles: Array, colors: Array | None = None) -> Shape:
    return Shape(points.astype("<f4"), triangles.astype("<i4"), colors)

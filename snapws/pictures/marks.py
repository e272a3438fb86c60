"""Meshes and annotations over the slices of a picture: outlines, crosses and lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from snapws import mesh_formats
from snapws.annotations import Annotation, Landmark, LineSegment
from snapws.errors import InvalidValue, LayerFileMissing, WorkspaceError
from snapws.labels import new_color
from snapws.pictures.outlines import Mask, Slices, cut
from snapws.registry.fields import FolderProxy, number, vector

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from snapws.meshes import MeshLayer
    from snapws.pictures.views import Grid, View
    from snapws.workspace import Workspace

    Place = tuple[View, int]
    Points = npt.NDArray[np.floating[Any]]
    Numbers = npt.NDArray[np.float64]

#: The most mesh layers, and the most annotations, in a picture.
MOST_MESHES = 100
MOST_ANNOTATIONS = 1000

_WIDE = 512  # pixels of a view from which lines are two pixels wide
_ARM = 3  # of a landmark's cross, in pixels
_RED = (1.0, 0.0, 0.0)


class Stroke(NamedTuple):
    """Pixels of one colour on a slice.

    Attributes:
        pixels: Their indices into the rows of the slice, one after the other.
        color: Red, green and blue, each 0 to 1.
        opacity: Their opacity, 0 to 1.
    """

    pixels: npt.NDArray[np.int64]
    color: npt.NDArray[np.float32]
    opacity: float

    def lay_over(self, canvas: npt.NDArray[np.float32]) -> None:
        """Blend it into colours, (height, width, 3)."""
        flat = canvas.reshape(-1, 3)
        flat[self.pixels] += (self.color - flat[self.pixels]) * np.float32(self.opacity)


class _Group(NamedTuple):
    """The slices of one view.

    Attributes:
        slices: The slices, each once.
        numbers: For each of them, its places in the picture.
    """

    slices: Slices
    numbers: list[list[int]]


class _Drawing(NamedTuple):
    """A mask for each group, with the colour and opacity of its pixels."""

    masks: list[Mask]
    color: npt.NDArray[np.float32]
    opacity: float


class _Look(FolderProxy):
    color = vector("SolidColor", 3)
    opacity = number("SliceViewOpacity", 1.0)


class Marks:
    """The meshes and annotations of a workspace, to be drawn over slices of the main image.

    A mesh is drawn as the line in which a slice cuts it. A landmark is a cross on the slices that
    go through its voxel, a line segment is its part within a slice. An annotation that is visible
    in all slices is on every slice of its plane, or of all planes.

    Args:
        workspace: The workspace.
        time_point: The time point of the meshes, from 1.

    Attributes:
        left_out: For each mesh and annotation that cannot be drawn, a line with the reason. It is
            complete once slices are drawn.
    """

    def __init__(self, workspace: Workspace, time_point: int = 1) -> None:
        self._workspace = workspace
        self._time_point = time_point
        self._last: tuple[object, list[list[Stroke]]] | None = None
        self.left_out: list[str] = []

    def strokes(self, grid: Grid, places: Sequence[Place], pixel: float) -> list[list[Stroke]]:
        """Return the strokes on each slice, from below.

        Those of the last slices are kept, since all tiles show the same slices.

        Args:
            grid: The voxel grid of the main image.
            places: Of each slice its view and its index, from 0.
            pixel: The size of a pixel in mm.
        """
        asked = (tuple(places), pixel)
        if self._last is None or self._last[0] != asked:
            self._last = (asked, self._drawn(grid, places, pixel))
        return self._last[1]

    def _drawn(self, grid: Grid, places: Sequence[Place], pixel: float) -> list[list[Stroke]]:
        self.left_out = []
        found: list[list[Stroke]] = [[] for _ in places]
        groups = _groups(grid, places, pixel)
        drawings = chain(self._meshes(grid, groups), self._annotations(grid, groups))
        for masks, color, opacity in drawings:
            for mask, group in zip(masks, groups, strict=True):
                if max(group.slices.shape[1:]) >= _WIDE:
                    mask.widen()
                for pixels, numbers in zip(mask.of_slices(), group.numbers, strict=True):
                    for place in numbers if len(pixels) else ():
                        found[place].append(Stroke(pixels, color, opacity))
        return found

    def _meshes(self, grid: Grid, groups: Sequence[_Group]) -> Iterator[_Drawing]:
        meshes = self._workspace.meshes()
        for mesh in meshes[:MOST_MESHES]:
            where = f"mesh:{mesh.number}"
            files = [one.file for one in mesh.polydata() if one.time_point == self._time_point]
            if not files:
                self.left_out.append(f"{where}: it has no file at time point {self._time_point}")
            for file in files:
                with self._reported(where):
                    color, opacity = mesh_look(mesh)
                    if opacity > 0:
                        yield _Drawing(self._cut(file, grid, groups), color, opacity)
        if more := meshes[MOST_MESHES:]:
            self.left_out.append(
                f"mesh:{more[0].number} and {len(more) - 1} more meshes: a picture has "
                f"{MOST_MESHES} at most"
            )

    @contextmanager
    def _reported(self, where: str) -> Iterator[None]:
        """Leave out what raises an error, with its reason."""
        try:
            yield
        except WorkspaceError as error:
            self.left_out.append(f"{where}: {error}")

    def _cut(self, file: str, grid: Grid, groups: Sequence[_Group]) -> list[Mask]:
        """Return the pixels of a surface file.

        Raises:
            LayerFileMissing: The file is not on this machine.
            MeshError: The file cannot be read.
            InvalidValue: The surface has no triangle in the main image, or too many in the slices.
        """
        path = self._workspace.local_file(file, "it")
        if why := self._workspace.why_missing(file):
            raise LayerFileMissing(f"its file {file} {why}")
        surface = mesh_formats.read_surface(path)
        points, triangles = surface.points, surface.triangles
        if not len(triangles):
            raise InvalidValue(f"{path} has no polygons")
        to_voxels = np.asarray(np.linalg.inv(grid.affine), dtype=np.float64)
        refuse_outside(points, to_voxels, grid, path)
        return [cut(points, triangles, to_voxels, group.slices) for group in groups]

    def _annotations(self, grid: Grid, groups: Sequence[_Group]) -> Iterator[_Drawing]:
        """Yield annotations, those of one colour after each other together."""
        try:
            annotations = self._workspace.annotations
        except InvalidValue as error:
            self.left_out.append(f"annotations: {error}")
            return
        current: _Drawing | None = None
        for index, one in enumerate(annotations[:MOST_ANNOTATIONS]):
            with self._reported(f"annotation {index}"):
                color = annotation_color(one)
                if current is None or (current.color != color).any():
                    if current:
                        yield current
                    masks = [Mask(group.slices.shape) for group in groups]
                    current = _Drawing(masks, color, 1.0)
                _draw(one, grid, groups, current.masks)
        if current:
            yield current
        if more := annotations[MOST_ANNOTATIONS:]:
            self.left_out.append(
                f"annotation {MOST_ANNOTATIONS} and {len(more) - 1} more: a picture has "
                f"{MOST_ANNOTATIONS} at most"
            )


def refuse_outside(points: Points, to_voxels: Numbers, grid: Grid, path: Path) -> None:
    """Refuse a surface that lies completely outside the main image."""
    with np.errstate(over="ignore", invalid="ignore"):
        finite = points[np.isfinite(points @ np.ones(3))]
    if not len(finite):
        raise InvalidValue(f"{path} has no point with three finite coordinates")
    low, high = finite.min(axis=0), finite.max(axis=0)
    box = np.array([np.where(side, high, low) for side in np.ndindex(2, 2, 2)])
    voxels = box @ to_voxels[:3, :3].T + to_voxels[:3, 3]
    last = np.array(grid.shape) - 0.5
    if (voxels.max(axis=0) < -0.5).any() or (voxels.min(axis=0) > last).any():
        extent = " by ".join(f"{a:g} to {b:g}" for a, b in zip(low, high, strict=True))
        raise InvalidValue(
            f"{path} lies outside the main image, at {extent} mm in RAS: "
            "save it in the main image's coordinates, RAS, or with SPACE=LPS in its title"
        )


def mesh_look(mesh: MeshLayer) -> tuple[npt.NDArray[np.float32], float]:
    """Return the colour and opacity of a mesh.

    Raises:
        InvalidValue: They are stored as something else.
    """
    look = _Look(mesh.registry)
    own = tuple(part / 255 for part in new_color(mesh.number + 1))
    opacity = look.opacity
    if not opacity >= 0:
        raise InvalidValue(f"its opacity {opacity:g} is not a number from 0 to 1")
    return _color(look, _Look.color.key, look.color, own), min(opacity, 1.0)


def annotation_color(annotation: Annotation) -> npt.NDArray[np.float32]:
    """Return the colour of an annotation.

    Raises:
        InvalidValue: It is stored as something else.
    """
    return _color(annotation, Annotation.color.key, annotation.color, _RED)


def _color(
    proxy: FolderProxy, key: str, stored: Sequence[float], otherwise: Sequence[float]
) -> npt.NDArray[np.float32]:
    """Return the colour that a folder stores under a key, or another one if it stores none."""
    color = np.array(stored if key in proxy.registry else otherwise, dtype=np.float32)
    if not np.isfinite(color).all():
        raise InvalidValue(f"the entry {key} is not three numbers from 0 to 1")
    return color.clip(0, 1)


def _groups(grid: Grid, places: Sequence[Place], pixel: float) -> list[_Group]:
    found = []
    for view in dict.fromkeys(view for view, _ in places):
        numbers: dict[int, list[int]] = {}
        for place, (other, index) in enumerate(places):
            if other is view:
                numbers.setdefault(index, []).append(place)
        indices = sorted(numbers)
        slices = Slices(grid.axis(view), np.array(indices), grid.plane(view, indices[0], pixel))
        found.append(_Group(slices, [numbers[index] for index in indices]))
    return found


def _draw(one: Annotation, grid: Grid, groups: Sequence[_Group], masks: Sequence[Mask]) -> None:
    if isinstance(one, Landmark):
        points = np.array([one.position])
    elif isinstance(one, LineSegment):
        points = np.array([one.point1, one.point2])
    else:
        raise InvalidValue(f"pictures show no annotations of type {one.type!r}")
    if not np.isfinite(points).all():
        raise InvalidValue("its place has a coordinate that is not a finite number")
    last = np.array(grid.shape) - 0.5
    if (points.max(axis=0) < -0.5).any() or (points.min(axis=0) >= last).any():
        raise InvalidValue("it lies outside the main image")
    for group, mask in zip(groups, masks, strict=True):
        slices = group.slices
        in_all = one.visible_in_all_slices and (
            one.visible_in_all_planes or one.plane == slices.axis
        )
        if len(points) == 1:
            _draw_cross(mask, slices, points[0], in_all=in_all)
        else:
            _draw_line(mask, slices, points, in_all=in_all)


def _draw_cross(mask: Mask, slices: Slices, point: Numbers, *, in_all: bool) -> None:
    is_on = slices.indices == np.floor(point[slices.axis] + 0.5)
    numbers = np.flatnonzero(is_on | in_all)
    center = np.floor(slices.pixels(point[None]) + 0.5)
    size = np.array([slices.plane.width, slices.plane.height])
    if not ((center >= 0) & (center < size)).all():
        return
    for arm in ((_ARM, 0), (0, _ARM)):
        start, end = (np.repeat(center + sign * np.array(arm), len(numbers), 0) for sign in (-1, 1))
        mask.draw(numbers, start, end)


def _draw_line(mask: Mask, slices: Slices, ends: Numbers, *, in_all: bool) -> None:
    """Draw the part of a line that is within each slice, half a voxel before and behind it."""
    first, last = np.zeros(len(slices.indices)), np.ones(len(slices.indices))
    start, run = ends[0, slices.axis], ends[1, slices.axis] - ends[0, slices.axis]
    if in_all:
        numbers = np.arange(len(slices.indices))
    elif run == 0:
        numbers = np.flatnonzero(slices.indices == np.floor(start + 0.5))
    else:
        edges = np.stack([slices.indices - 0.5, slices.indices + 0.5])
        parts = (edges - start) / run
        first, last = np.maximum(first, parts.min(axis=0)), np.minimum(last, parts.max(axis=0))
        numbers = np.flatnonzero(first < last)
    shown = slices.pixels(ends)
    across = shown[1] - shown[0]
    mask.draw(
        numbers,
        shown[0] + across * first[numbers, None],
        shown[0] + across * last[numbers, None],
    )

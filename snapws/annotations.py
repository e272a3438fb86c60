"""Annotations: landmarks and line segments that a person drew on slices.

Points are stored in voxel coordinates of the main image.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite
from typing import TYPE_CHECKING

from snapws.errors import ImageDamaged
from snapws.registry import Registry
from snapws.registry.fields import FolderProxy, as_tags, flag, integer, tags, text, vector

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from snapws.markups import Markup

#: The registry folder of annotations.
KEY = "Annotations"

_FORMAT = "ITK-SNAP Annotation File"
_FORMAT_DATE = "20150624"


class Annotation(FolderProxy):
    """The base of annotations. An annotation of an unknown type is of this class itself."""

    __slots__ = ()

    type = text("Type")
    tags = tags()
    color = vector("Color", 3)  #: red, green, blue, each 0 to 1
    plane = integer("Plane")  #: 0, 1, 2: the voxel axis that the slice is perpendicular to
    selected = flag("Selected")
    visible_in_all_slices = flag("VisibleInAllSlices")
    visible_in_all_planes = flag("VisibleInAllPlanes")

    @property
    def kind(self) -> str:
        """The type as one word, ``Landmark`` or ``LineSegment``; any other type as stored."""
        return self.type.removesuffix("Annotation")

    @property
    def center(self) -> tuple[float, ...] | None:
        """The point in the middle, 3 voxel coordinates, or None for an unknown type."""
        return None

    def __repr__(self) -> str:
        return f"<{self.kind or 'Annotation'} at {self.center}>"


class Landmark(Annotation):
    """A point with a text."""

    __slots__ = ()

    TYPE = "LandmarkAnnotation"
    position = vector("Pos", 3)
    offset = vector("Offset", 2)  #: where the text stands, on the slice, relative to the point
    text = text("Text")

    @property
    def center(self) -> tuple[float, ...]:
        """The point itself, 3 voxel coordinates."""
        return self.position


class LineSegment(Annotation):
    """A line between two points."""

    __slots__ = ()

    TYPE = "LineSegmentAnnotation"
    point1 = vector("Point1", 3)
    point2 = vector("Point2", 3)

    @property
    def center(self) -> tuple[float, ...]:
        """The point half way, 3 voxel coordinates."""
        return tuple((a + b) / 2 for a, b in zip(self.point1, self.point2, strict=True))


class _Annotations(FolderProxy):
    format = text("Format")
    format_date = text("FormatDate")
    size = integer("Annotations.ArraySize")


_KINDS: dict[str, type[Annotation]] = {kind.TYPE: kind for kind in (Landmark, LineSegment)}


def read(workspace: Registry) -> tuple[Annotation, ...]:
    """Return the annotations of a workspace's registry, in their order."""
    folder = workspace.folder(KEY)
    if folder is None:
        return ()
    found = []
    for i in range(_Annotations(folder).size):
        registry = folder.folder(f"Annotations.Element[{i}]")
        if registry is None:
            break
        found.append(_KINDS.get(registry.get("Type"), Annotation)(registry))
    return tuple(found)


def add_landmark(
    workspace: Registry, position: Iterable[float], label: str, tags: Iterable[str] = ()
) -> Landmark:
    """Add a landmark at `position` (3 voxel coordinates) with the text `label`."""
    landmark = Landmark(_draft(Landmark.TYPE, tags))
    landmark.position, landmark.text = tuple(position), label
    landmark.offset = (0.0, 0.0)
    return Landmark(_append(workspace, landmark))


def add_line(
    workspace: Registry,
    point1: Iterable[float],
    point2: Iterable[float],
    tags: Iterable[str] = (),
) -> LineSegment:
    """Add a line between two points (3 voxel coordinates each)."""
    line = LineSegment(_draft(LineSegment.TYPE, tags))
    line.point1, line.point2 = tuple(point1), tuple(point2)
    return LineSegment(_append(workspace, line))


def to_markups(annotations: Iterable[Annotation], affine: npt.NDArray[np.float64]) -> list[Markup]:
    """Convert landmarks and lines to RAS mm.

    Annotations of an unknown type, or whose position is not finite, are left out.

    Args:
        annotations: The annotations of a workspace.
        affine: 4x4, from voxels of the main image to RAS mm.
    """
    from snapws.markups import Markup

    found = []
    for one in annotations:
        if not all(map(isfinite, one.center or ())):
            continue  # it has no place
        if isinstance(one, Landmark):
            found.append(Markup((_mapped(affine, one.position),), one.text))
        elif isinstance(one, LineSegment):
            ends = (_mapped(affine, one.point1), _mapped(affine, one.point2))
            found.append(Markup(ends))
    return found


def add_markups(
    workspace: Registry,
    markups: Iterable[Markup],
    affine: npt.NDArray[np.float64],
    tags: Iterable[str] = (),
) -> None:
    """Add landmarks and lines in RAS mm; for `affine` see `to_markups`.

    Raises:
        ImageDamaged: The main image's voxels have no size along an axis.
    """
    import numpy as np

    try:
        to_voxels = np.asarray(np.linalg.inv(affine), dtype=np.float64)
    except np.linalg.LinAlgError:
        raise ImageDamaged("the main image's voxels have no size along an axis") from None
    tags = as_tags(tags)
    for one in markups:
        points = [_mapped(to_voxels, point) for point in one.points]
        if len(points) == 1:
            add_landmark(workspace, points[0], one.text, tags)
        else:
            add_line(workspace, points[0], points[1], tags)


def _mapped(matrix: npt.NDArray[np.float64], point: Iterable[float]) -> tuple[float, float, float]:
    # Adding 0 turns -0 into 0; headers hold fewer than nine digits.
    x, y, z, _ = (round(float(value), 9) + 0.0 for value in matrix @ [*point, 1])
    return x, y, z


def _draft(kind: str, tags: Iterable[str]) -> Registry:
    annotation = Annotation(Registry())
    annotation.type, annotation.color, annotation.plane = kind, (1.0, 0.0, 0.0), 0
    annotation.selected = annotation.visible_in_all_slices = False
    annotation.visible_in_all_planes = False
    annotation.tags = as_tags(tags)
    return annotation.registry


def _append(workspace: Registry, draft: Annotation) -> Registry:
    count = len(read(workspace))
    folder = workspace.make_folder(KEY)
    annotations = _Annotations(folder)
    annotations.format, annotations.format_date = _FORMAT, _FORMAT_DATE
    annotations.size = count + 1
    element = folder.make_folder(f"Annotations.Element[{count}]")
    element.update(draft.registry)
    return element

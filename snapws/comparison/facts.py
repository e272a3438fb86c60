"""The items of a workspace, with the facts that are compared with another workspace."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from snapws import geometry, mesh_formats, paths, privacy, verify
from snapws.annotations import Annotation, Landmark, LineSegment
from snapws.check import missing_file
from snapws.errors import (
    ImageError,
    LayerFileMissing,
    LayerNotFound,
    MeshError,
    MeshUnsupported,
    WorkspaceError,
)
from snapws.images.header import ImageHeader
from snapws.layers import Layer, Role
from snapws.mesh_formats.reading import Names
from snapws.meshes import MeshLayer
from snapws.pictures import colormaps, rendering
from snapws.workspace import Workspace

if TYPE_CHECKING:
    import numpy.typing as npt

    from snapws.display import Display


@dataclass(frozen=True)
class ComparedItem:
    """One item of a workspace that is compared.

    Attributes:
        place: Its name and number.
        summary: A short text that is shown if the other workspace lacks the item.
        match_keys: The keys by which the same item is found in the other workspace, the strongest
            first. An empty key finds nothing.
        facts: The values that are compared, by name; None is unknown.
    """

    place: str
    summary: str
    match_keys: tuple[Any, ...]
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Unread:
    """A fact that cannot be read, with the reason: it differs from any other fact."""

    told: Any


@dataclass(frozen=True)
class AffineMap:
    """An affine map, and the points (n, 4) that measure its distance from another map."""

    matrix: npt.NDArray[np.float64]
    points: npt.NDArray[np.float64]

    def distance(self, other: AffineMap) -> float:
        """Return the greatest distance between the images of a point under both maps."""
        points = np.vstack([self.points, other.points])
        apart = points @ (self.matrix - other.matrix).T
        return float(np.linalg.norm(apart[:, :3], axis=1).max())


def compared_items(workspace: Workspace, hashes: dict[Path, str]) -> dict[str, list[ComparedItem]]:
    """Return the items of a workspace by kind, in their order. Images and meshes are read.

    Args:
        workspace: The workspace.
        hashes: A cache of voxel hashes, by file.

    Raises:
        InvalidValue: The number of a time point, or of annotations, is invalid.
    """
    shown = {"segmentation_opacity": _value(lambda: rendering.segmentation_opacity(workspace))}
    return {
        "workspace": [ComparedItem("workspace", "", ("workspace",), shown)],
        "layer": _layers(workspace, hashes),
        "mesh": _meshes(workspace),
        "label": _labels(workspace),
        "time_point": _time_points(workspace),
        "annotation": [_annotation(i, one) for i, one in enumerate(workspace.annotations)],
    }


def _layers(workspace: Workspace, hashes: dict[Path, str]) -> list[ComparedItem]:
    corners = _main_corners(workspace)

    def thing(layer: Layer) -> ComparedItem:
        role = layer.registry.get("Role").removesuffix("Role").lower()
        name = PurePosixPath(layer.file).name
        image = _image(layer, hashes)
        facts = {
            "role": role,
            "nickname": layer.nickname,
            "tags": _tags(layer),
            "file": name,
            **image,
            "transform": _value(lambda: AffineMap(layer.transform, corners)),
            "color_map": _value(lambda: _color_map(layer.display)),
            **_values(layer.display, "contrast"),
            # The main image is opaque: ITK-SNAP ignores its opacity.
            **({"opacity": None} if role == "main" else _values(layer.display, "opacity")),
            **_values(layer.display, "sticky"),
            **_values(layer.display, "mode", "component"),
        }
        voxels, summary = image["voxels"], _words(role, layer.nickname, name)
        if isinstance(voxels, Unread):
            summary += f": {voxels.told}"
            voxels = None
        is_known = role != "main" and (layer.tags or layer.nickname)
        match_keys = (voxels, facts["tags"], layer.nickname, name, "" if is_known else role)
        return ComparedItem(f"layer {layer.number:03d}", summary, match_keys, facts)

    return [thing(layer) for layer in workspace.layers()]


def _color_map(display: Display) -> Any:
    """Return the name of a colour map, or the control points of a custom one.

    A point is its place, then red, green, blue and opacity, 0 to 255. If the colours before and
    from the place on differ, both follow.
    """
    points = []
    for place, *sides in colormaps.own_points(display):
        before, after = ([round(255 * part, 6) for part in side] for side in sides)
        points.append((place, *before, *(after if after != before else ())))
    return tuple(points) or display.color_map


def _image(layer: Layer, hashes: dict[Path, str]) -> dict[str, Any]:
    """Return the compared facts of a layer's image; `hashes` caches those of files already read."""
    facts: dict[str, Any] = dict.fromkeys(("size", "type", "spacing", "affine"))
    facts["voxels"] = layer.file
    if paths.is_url(layer.file):
        return facts
    missing = missing_file(layer.workspace, layer.file, "")
    if missing:
        return {**facts, "voxels": Unread(missing.message)}
    try:
        path = layer.path
        header = layer.header()
        facts["size"] = _size(header)
        if layer.role is not Role.SEGMENTATION:  # a segmentation has the main image's affine
            affine = geometry.affine(header)
            facts["spacing"] = geometry.voxel_sizes(affine)
            facts["affine"] = AffineMap(affine, geometry.corners(header.spatial_shape))
        facts["type"] = header.voxel_type
        if path not in hashes:
            hashes[path] = verify.content_hash(path, layer.hints)
        return {**facts, "voxels": hashes[path]}
    except (ImageError, LayerFileMissing) as error:
        return {**facts, "voxels": Unread(str(error))}


def _meshes(workspace: Workspace) -> list[ComparedItem]:
    found = []
    for mesh in workspace.meshes():
        surfaces, known, names = _surfaces(mesh)
        name = PurePosixPath(next((one.file for one in mesh.polydata()), "")).name
        facts = {
            "type": mesh.type,
            "nickname": mesh.nickname,
            "tags": _tags(mesh),
            "solid_color": mesh.registry.get("SolidColor"),
            "slice_opacity": mesh.registry.get("SliceViewOpacity"),
            "arrays": _arrays(mesh, names),
            "surfaces": surfaces if known else Unread(surfaces),
        }
        match_keys = (surfaces if known else None, facts["tags"], mesh.nickname, name, mesh.type)
        place = f"mesh:{mesh.number}"
        found.append(ComparedItem(place, _words(mesh.type, mesh.nickname, name), match_keys, facts))
    return found


def _arrays(mesh: MeshLayer, names: Mapping[str, str]) -> tuple[str, ...]:
    """Return the display settings of each array as one line, under its neutral name."""
    folder = mesh.registry.folder(privacy.ARRAYS)
    found = privacy.neutral_arrays(folder, names or privacy.own_names(folder))
    return tuple(
        " ".join(f"{key}={value}" for key, value in array.walk())
        for _, array in sorted(found.folders.items())
    )


def _surfaces(mesh: MeshLayer) -> tuple[tuple[str, ...], bool, dict[str, str]]:
    """Return each surface's time point and hash (or error), whether all have a hash, and names.

    The hash is the MD5 of the scrubbed file: points and values, and no text. The names are the
    neutral names of arrays.
    """
    found, known, names = [], True, []
    for surface in mesh.polydata():
        missing = missing_file(mesh.workspace, surface.file, "")
        path = mesh.workspace.folder / surface.file
        try:
            if missing:
                raise MeshError(missing.message)
            data = mesh_formats.read(path)
            arrays = Names()
            with suppress(MeshUnsupported):
                data = mesh_formats.scrub(data, path, arrays)
                names.append(arrays.known())
            told = hashlib.md5(data, usedforsecurity=False).hexdigest()
        except MeshError as error:
            told, known = str(error), False
        found.append(f"time point {surface.time_point}: {told}")
    return tuple(found), known, mesh_formats.common_names(names)


def _labels(workspace: Workspace) -> list[ComparedItem]:
    try:
        table = workspace.labels
    except LayerNotFound:
        return []
    except WorkspaceError as error:
        return [ComparedItem("label table", str(error), ("table",))]
    return [
        ComparedItem(
            f"label {label.index}",
            label.name,
            (label.index,),
            _values(label, "name", "color", "alpha", "visible", "mesh_visible"),
        )
        for label in table
    ]


def _time_points(workspace: Workspace) -> list[ComparedItem]:
    return [
        ComparedItem(
            f"time point {point.number}",
            _words(point.nickname, *point.tags),
            (point.number,),
            {"nickname": point.nickname, "tags": _tags(point)},
        )
        for point in workspace.time_points
    ]


def _annotation(number: int, one: Annotation) -> ComparedItem:
    facts: dict[str, Any] = {"kind": one.kind, "points": (), "text": "", "offset": ()}
    if isinstance(one, Landmark):
        facts["points"] = _value(lambda: (one.position,))
        facts |= _values(one, "text", "offset")
    elif isinstance(one, LineSegment):
        facts["points"] = _value(lambda: (one.point1, one.point2))
    # The current selection is not compared.
    facts["tags"] = _tags(one)
    facts |= _values(one, "color", "plane", "visible_in_all_slices", "visible_in_all_planes")
    match_keys = (facts["points"], facts["text"], facts["tags"], one.kind)
    return ComparedItem(f"annotation {number}", _words(one.kind, facts["text"]), match_keys, facts)


def _tags(one: Any) -> tuple[str, ...]:
    return tuple(sorted(set(one.tags)))


def _values(view: Any, *names: str) -> dict[str, Any]:
    """Return the attributes of a view by name."""
    return {name: _value(partial(getattr, view, name)) for name in names}


def _value(read: Callable[[], Any]) -> Any:
    """Return a value, or its error, so that equal errors compare as equal."""
    try:
        return read()
    except WorkspaceError as error:
        return str(error)


def _words(*words: str) -> str:
    return " ".join(word for word in words if word)


def _size(header: ImageHeader) -> tuple[int, ...]:
    """Return the length of each axis, without axes of length 1 at the end."""
    shape = list(header.shape)
    while len(shape) > 3 and shape[-1] == 1:
        del shape[-1]
    return (*shape, *[1] * (3 - len(shape)))


def _main_corners(workspace: Workspace) -> npt.NDArray[np.float64]:
    """Return the corners of the main image in RAS mm (8, 4).

    If it cannot be read, they are the corners of a box of a head's size around the origin.
    """
    try:
        header = workspace.main.header()
        affine = geometry.affine(header)
    except WorkspaceError:
        return geometry.corners((2, 2, 2)) * [200, 200, 200, 1] - [100, 100, 100, 0]
    corners: npt.NDArray[np.float64] = geometry.corners(header.spatial_shape) @ affine.T
    return corners

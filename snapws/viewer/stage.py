"""A workspace as the page shows it: what there is, and each of its files as NiiVue reads it.

NiiVue cuts an image along its own axes, and chooses by a rule of its own which of them is shown as
axial. Where an image lies obliquely that rule and the one of `snapws.pictures` can differ. So all
is sent in the frame of the main image, turned until its axes run along the patient's: about that
no two rules can differ. The page turns places back into the workspace's mm.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from snapws import geometry
from snapws.annotations import Landmark, LineSegment
from snapws.errors import InvalidValue, LayerNotFound, WorkspaceError
from snapws.layers import Layer, Role
from snapws.mesh_formats import read_surface
from snapws.pictures import sampling
from snapws.pictures.marks import MOST_ANNOTATIONS, annotation_color, mesh_look, refuse_outside
from snapws.pictures.rendering import Anatomy, Segmentation
from snapws.pictures.scene import Scene, is_tile, stacking
from snapws.pictures.views import Grid, View
from snapws.viewer import volumes
from snapws.viewer.label_colors import label_colors
from snapws.viewer.surfaces import marks, moved

if TYPE_CHECKING:
    import numpy.typing as npt

    from snapws.meshes import MeshLayer
    from snapws.viewer.surfaces import Shape
    from snapws.viewer.volumes import Volume
    from snapws.workspace import Workspace

    Json = dict[str, Any]

_SHADES = 256  # of a colour map in NiiVue
_BELOW = 2  # the first of them, which are for what is below the range
_GREY = 128  # the opacity that 3-D gives to the brightest voxels of the main image

_FAR = 1e6  # voxels; what lies there is no place, nor is what is not a number

# One at a time: each has a few slices of an image in memory.
_reading = Lock()


def options(contents: Json) -> Json:
    """Return NiiVue's settings for what `Stage.contents` says, by NiiVue's names."""
    return {
        "backColor": [0, 0, 0, 1],
        "crosshairColor": [0.36, 0.6, 1, 0.8],
        "isRadiologicalConvention": True,
        "isSliceMM": True,  # else slices show no meshes
        # Meshes are cut in the middle of a slice.
        "meshThicknessOn2D": float(np.abs(contents["straight"])[:3, :3].max() / 2),
        "sagittalNoseLeft": True,
        "show3Dcrosshair": True,
    }


class Stage:
    """The main image's frame, and the layers in it. Making one reads headers, no voxels.

    Args:
        workspace: The workspace.

    Raises:
        LayerNotFound: There is no main image.
        WorkspaceError: The main image cannot be read.
    """

    def __init__(self, workspace: Workspace) -> None:
        workspace.main.existing()
        self._workspace = workspace
        self._main = header = workspace.main.header()
        self._grid = Grid(geometry.affine(header), header.spatial_shape)
        self._straight = self._grid.straightened()
        self._frame = self._straight @ geometry.to_voxels(header)
        self._labels = workspace.labels
        self._shown: dict[int, Anatomy | Segmentation] = {}
        self._refused: dict[int, WorkspaceError] = {}
        for layer in workspace.layers():
            self._prepare(layer)
        if error := self._refused.get(workspace.main.number):
            raise error

    def _prepare(self, layer: Layer) -> None:
        try:
            layer.existing()
            if layer.role is Role.SEGMENTATION:
                shown = Segmentation(layer, self._grid, self._main, self._labels)
                self._shown[layer.number] = shown
            else:
                ground = layer.role is Role.MAIN
                self._shown[layer.number] = Anatomy(layer, self._grid, ground=ground)
        except WorkspaceError as error:
            self._refused[layer.number] = error

    def contents(self) -> Json:
        """Return what the page has to know before it asks for images, as values of JSON."""
        return {
            "name": self._workspace.name,
            "straight": self._straight.tolist(),
            "voxels": np.linalg.inv(self._straight).tolist(),
            "affine": self._grid.affine.tolist(),
            "views": {
                view.value: {"axis": self._grid.axis(view), "length": self._grid.length(view)}
                for view in View
            },
            "times": self._times(),
            "annotations": self._about_annotations(),
            "meshes": [self._about_mesh(one) for one in self._workspace.meshes()],
            "layers": [self._about(one) for one in sorted(self._workspace.layers(), key=stacking)],
        }

    def _times(self) -> int:
        of_images = [volumes.times(one.header) for one in self._shown.values()]
        of_meshes = [one.time_point for mesh in self._workspace.meshes() for one in mesh.polydata()]
        return max(1, *of_images, *of_meshes)

    def _about(self, layer: Layer) -> Json:
        shown = self._shown.get(layer.number)
        return {
            "number": layer.number,
            "name": layer.nickname or layer.file.replace("\\", "/").rpartition("/")[2],
            "role": layer.role.name.lower(),
            "tags": list(layer.tags),
            "tile": is_tile(layer),
            "opacity": shown.opacity if shown else 0,
            "error": str(self._refused.get(layer.number, "")),
        }

    def _about_mesh(self, mesh: MeshLayer) -> Json:
        about = {
            "number": mesh.number,
            "name": mesh.nickname or f"mesh {mesh.number}",
            "files": [[one.time_point, one.number] for one in mesh.polydata()],
        }
        try:
            color, opacity = mesh_look(mesh)
        except WorkspaceError as error:
            return {**about, "color": [0, 0, 0], "opacity": 0, "error": str(error)}
        rgb = np.rint(color * 255).astype(int).tolist()
        return {**about, "color": rgb, "opacity": opacity, "error": ""}

    def _about_annotations(self) -> list[Json]:
        found = []
        for one in self._annotations():
            voxel = np.clip(np.rint(one.center or ()), 0, np.array(self._grid.shape) - 1)
            text = one.text if isinstance(one, Landmark) else ""
            found.append({"text": text, "voxel": [int(part) for part in voxel]})
        return found

    def _annotations(self) -> list[Landmark | LineSegment]:
        """Return the landmarks and lines that have a place; other annotations are not shown."""
        try:
            annotations = self._workspace.annotations
        except InvalidValue:
            return []
        return [
            one
            for one in annotations[:MOST_ANNOTATIONS]
            if isinstance(one, (Landmark, LineSegment)) and np.abs(_points(one)).max() < _FAR
        ]

    def annotations(self) -> Shape:
        """Return the landmarks and lines.

        Raises:
            InvalidValue: A colour is invalid.
        """
        places = [(_points(one), annotation_color(one)) for one in self._annotations()]
        radius = max(geometry.voxel_sizes(self._straight))
        return marks(places, self._straight, radius)

    def mesh(self, number: int, time_point: int, file: int) -> Shape:
        """Return the surface in a file of a mesh layer, which is read as a whole.

        Raises:
            LayerNotFound: There is no such mesh layer.
            LayerFileMissing: The layer has no such file, or it is not on this machine.
            InvalidValue: The surface lies outside of the main image.
            MeshError: The file cannot be read.
        """
        found = [one for one in self._workspace.meshes() if one.number == number]
        if not found:
            raise LayerNotFound(f"there is no mesh layer {number:03d}")
        path = self._workspace.local_file(found[0].file(time_point, file), f"mesh:{number}")
        with _reading:
            surface = read_surface(path)
            to_voxels = np.asarray(np.linalg.inv(self._grid.affine), dtype=np.float64)
            refuse_outside(surface.points, to_voxels, self._grid, path)
            return moved(surface, self._frame)

    def cursor(self) -> list[int]:
        """Return the voxel through which the views go at first, as `snapws show` has it.

        Raises:
            WorkspaceError: A segmentation cannot be read.
        """
        tiles = {one.number for one in self._workspace.layers() if is_tile(one)}
        readable = [number for number in self._shown if number not in tiles]
        with _reading:
            return list(Scene(self._workspace, readable).cursor())

    def crosshair(self) -> list[float]:
        """Return the place of the `cursor` in the frame, 0 to 1 to the right, front and top."""
        voxel, size = self.cursor(), self._grid.shape
        found = []
        for row in self._straight[:3, :3]:
            axis = int(np.abs(row).argmax())
            part = (voxel[axis] + 0.5) / size[axis]
            found.append(part if row[axis] > 0 else 1 - part)
        return found

    def volume(self, number: int) -> Volume:
        """Return a layer's image as a file that is made while it is sent.

        Raises:
            LayerNotFound: There is no such layer, or it cannot be shown.
            ImageUnsupported: No NIfTI-1 file can hold it.
        """
        shown = self.find(number)
        affine = self._placed(shown)
        if isinstance(shown, Segmentation):
            return volumes.of_labels(shown.header, affine)
        return volumes.of_anatomy(shown, affine, lambda: self._color_curve(shown))

    def painted(self, number: int) -> Volume:
        """Return the image of a layer that has a `curve` in the colours of its first time point.

        Raises:
            ImageError: Its image cannot be read, or no NIfTI-1 file can hold it.
            LayerNotFound: There is no such layer, or it is shown without a curve.
        """
        shown, curve = self.find(number), self.curve(number)
        if isinstance(shown, Segmentation) or curve is None:
            raise LayerNotFound(f"layer {number:03d} has colours of its own")
        return volumes.painted(shown, self._placed(shown), curve)

    def _placed(self, shown: Anatomy | Segmentation) -> npt.NDArray[np.float64]:
        """Return what leads from the voxels of a layer to the main image's, and into the frame."""
        try:
            return np.asarray(self._straight @ np.linalg.inv(shown.matrix))
        except np.linalg.LinAlgError:
            raise InvalidValue("its transform has no inverse: set another one") from None

    def display(self, number: int, time_point: int) -> Json:
        """Return the colours of a layer, for which its image is read; as values of JSON.

        Raises:
            LayerNotFound: There is no such layer, or it cannot be shown.
            ImageError: Its image cannot be read.
        """
        shown = self.find(number)
        if isinstance(shown, Segmentation):
            with _reading:
                return label_colors(volumes.labels_of(shown.header), self._labels)
        curve = self.curve(number, time_point)
        if curve is None:
            return {}
        return _shades(shown, *curve, is_main=number == self._workspace.main.number)

    def curve(self, number: int, time_point: int = 1) -> tuple[list[float], list[float]] | None:
        """Return the contrast curve of a layer: intensities, and their places in the colour map.

        None if its voxels are labels, or shown as red, green and blue.

        Raises:
            WorkspaceError: The layer cannot be shown, or its image cannot be read.
        """
        shown = self.find(number)
        if isinstance(shown, Segmentation) or shown.is_color:
            return None
        time_point = time_point if volumes.times(shown.header) > 1 else 1
        with _reading:
            return shown.window(sampling.sample(shown.header, [], time_point=time_point))

    def _color_curve(self, shown: Anatomy) -> tuple[list[float], list[float]]:
        with _reading:
            return shown.color_window(sampling.sample(shown.header, []))

    def find(self, number: int) -> Anatomy | Segmentation:
        """Return how a layer is shown.

        Raises:
            WorkspaceError: There is no such layer, or it cannot be shown.
        """
        if number in self._shown:
            return self._shown[number]
        raise self._refused.get(number) or LayerNotFound(f"there is no layer {number:03d}")


def _points(one: Landmark | LineSegment) -> tuple[tuple[float, ...], ...]:
    return (one.position,) if isinstance(one, Landmark) else (one.point1, one.point2)


def _shades(shown: Anatomy, inputs: list[float], outputs: list[float], *, is_main: bool) -> Json:
    """Return an intensity range, and the colours of 256 steps through it, contrast included.

    The first steps are of what lies below the range. In 3-D the main image is the more transparent
    the darker it is; on slices its opacity does not count. Of an overlay whose colours begin with
    black, the lower end of the range is transparent: in 3-D it would hide everything.
    """
    width = inputs[-1] - inputs[0] or 1.0
    if not np.isfinite(width):
        raise InvalidValue("its contrast spans more than numbers hold: set another contrast")
    begins_black = not shown.map(np.array(outputs[:1], dtype=np.float64))[..., :3].any()
    below = 0 if begins_black and not is_main else _BELOW
    first = inputs[0] - width * below / (_SHADES - 1 - below)
    steps = np.linspace(first, inputs[0] + width, _SHADES)
    places = np.where(steps < inputs[0], -1.0, np.interp(steps, inputs, outputs))
    places[below] = outputs[0]  # not below it by rounding
    colors = np.rint(shown.map(places.astype(np.float64)) * 255).clip(0, 255).astype(int)
    if is_main:
        colors[:, 3] = np.minimum(colors[:, 3], np.linspace(0, _GREY, _SHADES).astype(int))
    elif not below:
        colors[0, 3] = 0
    return {
        "least": float(first),
        "greatest": float(inputs[0] + width),
        "colors": {
            **{name: colors[:, part].tolist() for part, name in enumerate("RGBA")},
            "I": list(range(_SHADES)),
        },
    }

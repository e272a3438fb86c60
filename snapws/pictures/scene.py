"""A workspace as a picture: its three views through one point, the layers over each other.

Pillow draws the letters and writes files (extra ``pictures``); `Scene` does without it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from snapws import files, geometry, targets
from snapws.annotations import KEY as ANNOTATIONS
from snapws.errors import InvalidValue, PictureError
from snapws.extras import install_hint
from snapws.layers import Layer, Role
from snapws.pictures import sampling
from snapws.pictures.rendering import Anatomy, Drawn, Segmentation, row_blocks
from snapws.pictures.views import Grid, View, round_length
from snapws.prefetch import map_ahead

if TYPE_CHECKING:
    import numpy.typing as npt
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

    from snapws.labels import Label
    from snapws.pictures.marks import Marks, Stroke
    from snapws.pictures.rendering import Colors
    from snapws.workspace import Workspace

__all__ = ["Scene", "View", "draw_picture"]

#: Pixels of the longest side of a view, if nothing else is asked for.
SIZE = 320

#: What may be drawn over each other: layers; and numbers that are looked up, which is the pixels of
#: all slices times the components of all layers. A workspace with more comes from no person.
MOST_LAYERS = 100
MOST_VALUES = 200_000_000

#: Pillow's name of the format of each ending.
FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
_THREADS = 4  # that read layers, beside each other
_AT_ONCE = 20_000_000  # numbers of layers that wait to be drawn, but for one layer
_FULL = 65535  # of a colour on a canvas
_FRONT = (235, 235, 235)
_DIM = (150, 150, 150)


class Scene:
    """The layers of a workspace, ready to be drawn on slices of the main image.

    Making one reads headers, no voxels.

    Args:
        workspace: The workspace. Its main image gives the views, whether it is drawn or not.
        layers: Specifications of the image layers to draw (see `snapws.specifications`); without
            them those that ITK-SNAP lays over each other: the main image, sticky overlays and
            segmentations. They lie in this order, those of a kind by number (overlays that are not
            sticky come right after the main image); the lowest is opaque.
        time_point: Which time point of images that have several, from 1.
        marks: The meshes and annotations that are drawn over the layers; without them there are
            those of the workspace (see `snapws.pictures.marks`), unless layers are chosen.

    Attributes:
        grid: The voxel grid of the main image.
        layers: What is drawn, from below.
        marks: The meshes and annotations over them; None if there are none.

    Raises:
        LayerNotFound: There is no main image, or no such layer.
        LayerFileMissing: A file is not on this machine.
        InvalidValue: The layers are no list, or more than `MOST_LAYERS`; a layer's transform or
            display settings are invalid; a segmentation has not the main image's size or number of
            time points; or there is only one time point and another one is asked for.
        ImageError: A header cannot be read.
    """

    def __init__(
        self,
        workspace: Workspace,
        layers: Iterable[str | int] | None = None,
        time_point: int = 1,
        marks: Marks | None = None,
    ) -> None:
        workspace.main.existing()
        self._main = header = workspace.main.header()
        geometry.to_voxels(header)  # or there is nothing to see
        self.grid = Grid(geometry.affine(header), header.spatial_shape)
        self._time_point = time_point
        self.marks = marks or (marks_of(workspace, time_point) if layers is None else None)
        self._drawn: list[Drawn] = []
        self._labels: tuple[Label, ...] | None = None
        chosen = _chosen(workspace, layers)
        self.layers = tuple(sorted(chosen, key=stacking))
        if len(chosen) > MOST_LAYERS:
            raise InvalidValue(
                f"{len(chosen):,} layers are to be drawn, a picture takes {MOST_LAYERS} at most: "
                "choose some of them"
            )
        for layer in self.layers:
            self._drawn.append(self._ready(layer))
        if time_point != 1 and not self.moves:
            raise InvalidValue(f"what is drawn has one time point, not {time_point}")
        self._segmentations = [one for one in self._drawn if isinstance(one, Segmentation)]

    def _ready(self, layer: Layer) -> Drawn:
        try:
            if layer.role is Role.SEGMENTATION:
                if self._labels is None:
                    self._labels = layer.workspace.labels
                return Segmentation(layer, self.grid, self._main, self._labels)
            return Anatomy(layer, self.grid, ground=not self._drawn)
        except InvalidValue as error:
            raise InvalidValue(f"layer {layer.number:03d}: {error}") from None

    def cursor(self) -> tuple[int, int, int]:
        """Return the voxel of the main image through which the views go, its indices from 0.

        It is the centre of mass of the first segmentation that has any label, of those that are
        shown where it has one, else the middle of the image. Segmentations are read for it.

        Raises:
            InvalidValue: One has no such time point.
            ImageError: One cannot be read.
        """
        for one in self._segmentations:
            for hidden in dict.fromkeys((one.hidden, ())):
                center = sampling.center_of_labels(one.header, self._time_point, hidden)
                if center is not None:
                    return self._nearest(np.array(center))
        return self._nearest((np.array(self.grid.shape) - 1) / 2)

    def draw(self, slices: Sequence[tuple[View, int]], size: int) -> list[npt.NDArray[np.uint8]]:
        """Draw slices, without letters; each layer is read once for all of them.

        Layer after layer is drawn, a few being read ahead: memory is that of the pictures.

        Args:
            slices: Of each slice its view and its index, from 0.
            size: Pixels of the longest side of the largest view; all are drawn to one scale.

        Returns:
            Of each slice its colours, (height, width, 3), 0 to 255.

        Raises:
            InvalidValue: The main image has no such slice, or an image no such time point; the
                size is less than 1, or all of it more than `MOST_VALUES`.
            ImageError: An image cannot be read.
        """
        for view, index in slices:
            if not 0 <= index < self.grid.length(view):
                last = self.grid.length(view) - 1
                raise InvalidValue(f"there is no {view.value} slice {index}, only 0 to {last}")
        pixel = self.pixel(size)
        planes = [self.grid.plane(view, index, pixel) for view, index in slices]
        pixels = sum(plane.height * plane.width for plane in planes)
        if pixels * self.values > MOST_VALUES:
            raise InvalidValue(
                f"{len(planes)} slices of {size} pixels, with {len(self.layers)} layers of "
                f"{self.values:,} components in all, are more than is drawn at once: choose fewer "
                "layers, or a smaller size"
            )

        def read(layer: Drawn) -> Iterator[Colors]:
            return layer.colors(planes, self._time_point)

        largest = pixels * max(one.values for one in self._drawn)
        at_once = max(1, min(_THREADS, _AT_ONCE // max(1, largest)))
        # In 16 bits, finer than a picture's eight, canvases take half the memory of floats.
        canvases = [np.zeros((one.height, one.width, 3), dtype=np.uint16) for one in planes]
        for layer in map_ahead(read, self._drawn, at_once):
            for canvas, colors in zip(canvases, layer, strict=True):
                _lay_over(canvas, colors)
        finished = []
        for _, strokes in zip(planes, self._strokes(slices, pixel), strict=True):
            picture = canvases.pop(0) / np.float32(_FULL)
            for stroke in strokes:
                stroke.lay_over(picture)
            finished.append(np.rint(picture * 255).astype(np.uint8))
        return finished

    def _strokes(self, slices: Sequence[tuple[View, int]], pixel: float) -> list[list[Stroke]]:
        if self.marks is None:
            return [[] for _ in slices]
        return self.marks.strokes(self.grid, slices, pixel)

    @property
    def values(self) -> int:
        """How many numbers are looked up for a pixel: the components of all layers."""
        return sum(one.values for one in self._drawn)

    @property
    def moves(self) -> bool:
        """Whether an image that is drawn has several time points."""
        return any(len(one.header.shape) > 3 and one.header.shape[3] > 1 for one in self._drawn)

    def pixel(self, size: int) -> float:
        """Return the size of a pixel in mm where the longest side of the largest view has `size`.

        Raises:
            InvalidValue: The size is less than 1.
        """
        if size < 1:
            raise InvalidValue(f"a view cannot be drawn with {size} pixels")
        return max(max(self.grid.millimetres(view)) for view in View) / size

    def _nearest(self, point: npt.NDArray[np.float64]) -> tuple[int, int, int]:
        last = np.array(self.grid.shape) - 1
        i, j, k = (int(one) for one in np.clip(np.floor(point + 0.5), 0, last))
        return i, j, k


def draw_picture(
    workspace: Workspace,
    *,
    layers: Iterable[str | int] | None = None,
    slices: Sequence[int] | None = None,
    size: int = SIZE,
    time_point: int = 1,
) -> Image:
    """Draw the axial, sagittal and coronal view of the main image through one of its voxels.

    Overlays lie over it by their headers and transforms, in their colour maps, contrast and opacity
    (a curve whose inputs are all within 0 to 1 is of parts of the intensity range, as ITK-SNAP
    saves it); segmentations voxel on voxel, in the colours of the label table. Letters tell where
    the patient's right (R), left (L), anterior (A), posterior (P), superior (S) and inferior (I)
    are; a bar tells the scale. No text of the workspace is in it.

    Over the layers lie the lines in which the slices cut meshes, landmarks as crosses, and line
    segments. A mesh that cannot be drawn is left out; so are all if layers are chosen.

    Args:
        workspace: The workspace.
        layers: Specifications of the image layers to draw, ``M`` or ``O:0`` for example (see
            `snapws.specifications`); without them those that ITK-SNAP lays over each other: the
            main image, sticky overlays and segmentations. `snapws.pictures.tiles` draws the others.
        slices: The voxel (i, j, k from 0) of the main image that the views go through; without it,
            the centre of the segmentation, or of the image where there is none.
        size: Pixels of the longest side of a view.
        time_point: Which time point of images that have several, from 1.

    Raises:
        PictureError: Pillow is not installed.
        LayerNotFound: There is no main image, or no such layer.
        LayerFileMissing: A file is not on this machine.
        InvalidValue: The layers are no list, or too many; the voxel is none of the image's, an
            image has no such time point, or a display setting is invalid.
        ImageError: An image cannot be read.
    """
    pillow()
    scene = Scene(workspace, layers, time_point)
    return composed(scene, places(scene, slices), size)


def places(scene: Scene, voxel: Sequence[int] | None) -> list[tuple[View, int]]:
    """Return the slice of each view through a voxel of the main image, or through the cursor.

    Raises:
        InvalidValue: Not three indices are given.
        ImageError: A segmentation cannot be read.
    """
    indices = scene.cursor() if voxel is None else tuple(voxel)
    if len(indices) != 3 or not all(isinstance(index, Integral) for index in indices):
        raise InvalidValue(f"expected the three indices i, j and k of a voxel, got {voxel!r}")
    return [(view, indices[scene.grid.axis(view)]) for view in View]


def beside(pictures: Sequence[tuple[str, Image]]) -> Image:
    """Put pictures side by side, each with a caption above it.

    Raises:
        PictureError: Pillow is not installed.
    """
    return _arranged(pictures, across=True)


def below(pictures: Sequence[tuple[str, Image]]) -> Image:
    """Put pictures below each other, each with a caption above it.

    Raises:
        PictureError: Pillow is not installed.
    """
    return _arranged(pictures, across=False)


def _arranged(pictures: Sequence[tuple[str, Image]], *, across: bool) -> Image:
    image_module, draw_module = pillow()
    line, gap = 24, 24 if across else 0
    widths = [image.width + gap for _, image in pictures]
    heights = [image.height + line for _, image in pictures]
    size = (sum(widths) - gap, max(heights)) if across else (max(widths), sum(heights))
    canvas: Image = image_module.new("RGB", size)
    draw, left, top = draw_module.Draw(canvas), 0, 0
    for caption, image in pictures:
        _write(draw, caption, (left + 8, top + line // 2), 14, "lm", _FRONT)
        canvas.paste(image, (left, top + line))
        if across:
            left += image.width + gap
        else:
            top += image.height + line
    return canvas


def save_picture(image: Image, path: str | Path, *workspaces: Workspace) -> None:
    """Write a picture, in the format that the file's name ends in (``.png``, ``.jpg``, ``.webp``).

    The file is the old one or the new one, never half.

    Args:
        image: The picture.
        path: The file.
        workspaces: What it shows: neither they nor their files are overwritten.

    Raises:
        InvalidValue: The name has another ending, and is not that of a device or FIFO (which gets
            a PNG); or it is empty, or that of a file of a workspace.
        OSError: The file cannot be written.
    """
    target = targets.named(path)
    known = checked_format(target, *workspaces)
    with files.atomic_write(target) as aside:
        image.save(aside, known)


def checked_format(target: Path, *workspaces: Workspace) -> str:
    """Return the format that `save_picture` writes to a file, as Pillow names it.

    Raises:
        InvalidValue: As of `save_picture`.
    """
    known = FORMATS.get(target.suffix.lower())
    if targets.is_stream(target):
        return known or "PNG"
    if known is None:
        raise InvalidValue(f"{target}: the name of a picture ends in {', '.join(FORMATS)}")
    for workspace in workspaces:
        workspace.refuse_overwriting(target)
    return known


def pillow() -> tuple[Any, Any]:
    """Import Pillow's modules `Image` and `ImageDraw`.

    Raises:
        PictureError: Pillow is not installed.
    """
    try:
        from PIL import Image, ImageDraw
    except ImportError:
        raise PictureError(f"pictures need Pillow; {install_hint('pictures')}") from None
    return Image, ImageDraw


def _lay_over(canvas: npt.NDArray[np.uint16], colors: Colors) -> None:
    """Blend the colours of a layer into what lies below it."""
    for rows in row_blocks(canvas.shape):
        above = colors[rows]
        if not above[..., 3].any():
            continue
        below = canvas[rows].astype(np.float32)
        change = above[..., :3] * _FULL
        change -= below
        change *= above[..., 3:]
        below += change
        canvas[rows] = np.rint(below, out=below)


def is_tile(layer: Layer) -> bool:
    """Return whether ITK-SNAP shows a layer as a tile beside the main image, not over it."""
    return layer.role not in (Role.MAIN, Role.SEGMENTATION) and not layer.display.sticky


def stacking(layer: Layer) -> tuple[bool, bool, bool]:
    """Return what sorts layers that lie over each other from below."""
    is_segmentation, is_main = layer.role is Role.SEGMENTATION, layer.role is Role.MAIN
    return is_segmentation, not (is_main or is_tile(layer)), not is_main


def marks_of(workspace: Workspace, time_point: int = 1) -> Marks | None:
    """Return the meshes and annotations of a workspace; None if it has neither.

    Args:
        workspace: The workspace.
        time_point: The time point of the meshes, from 1.
    """
    if not workspace.meshes() and not workspace.registry.folder(ANNOTATIONS):
        return None
    from snapws.pictures.marks import Marks

    return Marks(workspace, time_point)


def _chosen(workspace: Workspace, layers: Iterable[str | int] | None) -> list[Layer]:
    if isinstance(layers, str):
        raise InvalidValue(f"layers to draw are a list: [{layers!r}]")
    if layers is None:
        shown = [layer for layer in workspace.layers() if not is_tile(layer)]
        for layer in shown:
            layer.existing()
        return shown
    chosen = {found.number: found for found in (workspace.layer(one) for one in layers)}
    if not chosen:
        raise InvalidValue("no layer was chosen to draw")
    return [chosen[number] for number in sorted(chosen)]


def composed(scene: Scene, places: Sequence[tuple[View, int]], size: int) -> Image:
    """Draw slices side by side, with letters around them and a bar below that tells the scale.

    Raises:
        PictureError: Pillow is not installed.
        InvalidValue: As of `Scene.draw`.
        ImageError: An image cannot be read.
    """
    image_module, draw_module = pillow()
    text = max(9, min(18, size // 18))
    margin, gap = round(text * 1.8), text
    views = scene.draw(places, size)
    height = max(view.shape[0] for view in views)
    width = sum(max(view.shape[1], 4 * text) + 2 * margin + gap for view in views) - gap
    canvas: Image = image_module.new("RGB", (width, height + 2 * margin + 3 * text))
    draw = draw_module.Draw(canvas)
    left, middle = margin, margin + height // 2
    for (view, index), colors in zip(places, views, strict=True):
        high, wide = colors.shape[:2]
        column = max(wide, 4 * text)
        x, y = left + (column - wide) // 2, margin + (height - high) // 2
        canvas.paste(image_module.fromarray(colors), (x, y))
        letters = scene.grid.letters(view)
        anchors = (
            (x - margin // 2, middle),
            (x + wide + margin // 2, middle),
            (x + wide // 2, y - margin // 2),
            (x + wide // 2, y + high + margin // 2),
        )
        for letter, place in zip(letters, anchors, strict=True):
            _write(draw, letter, place, text, "mm", _FRONT)
        axis = "ijk"[scene.grid.axis(view)]
        below = (left, height + 2 * margin + text // 2)
        _write(draw, f"{view.value}  {axis} = {index}", below, round(text * 0.75), "lm", _DIM)
        left += column + 2 * margin + gap
    _draw_scale(draw, scene.pixel(size), size, canvas.size, text)
    return canvas


def _draw_scale(
    draw: ImageDraw, pixel: float, size: int, canvas: tuple[int, int], text: int
) -> None:
    """Draw a bar of a round length, at most a third of a view, in the lower right corner."""
    length = round_length(size * pixel / 3)
    right, y = canvas[0] - text, canvas[1] - text
    left = right - round(length / pixel)
    draw.line([(left, y), (right, y)], fill=_FRONT, width=2)
    for x in (left, right):
        draw.line([(x, y - text // 3), (x, y + text // 3)], fill=_FRONT, width=2)
    _write(draw, f"{length:g} mm", (left - text // 2, y), round(text * 0.75), "rm", _FRONT)


def _write(
    draw: ImageDraw,
    text: str,
    place: tuple[int, int],
    size: int,
    anchor: str,
    color: tuple[int, int, int],
) -> None:
    from PIL import ImageFont

    draw.text(place, text, fill=color, font=ImageFont.load_default(size), anchor=anchor)

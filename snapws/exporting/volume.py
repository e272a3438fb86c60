"""Images in a scene of 3D Slicer: volumes and segmentations, with their transforms and display."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from snapws.display import ComponentMode
from snapws.errors import InvalidValue
from snapws.exporting import mrml, nrrd
from snapws.exporting.images import speaking_name
from snapws.pictures import colormaps
from snapws.pictures.rendering import contrast, segmentation_opacity
from snapws.transform_files import itk
from snapws.transforms import IDENTITY, Matrix, has_inverse

if TYPE_CHECKING:
    from snapws.display import Display
    from snapws.exporting.mrml import Document
    from snapws.exporting.names import Names
    from snapws.exporting.scene import Create
    from snapws.images.header import ImageHeader
    from snapws.labels import Label
    from snapws.layers import Layer

#: What the name of a segmentation's file ends in.
EXTENSION = ".seg.nrrd"

_COLORS = 256  # of a table
_STRAIGHT = 1e-3  # how far a curve may be off a straight line, as a part of white


class Volume:
    """A main image or an overlay.

    Args:
        layer: The layer.
        header: Its header.
        names: Gives the names of files.

    Attributes:
        files: The names of its files.
        left_out: What the scene cannot hold of it, a line each.

    Raises:
        ImageUnsupported: A file of 3D Slicer cannot hold its voxels.
        InvalidValue: A display setting is invalid, or its transform has no inverse.
    """

    def __init__(self, layer: Layer, header: ImageHeader, names: Names) -> None:
        nrrd.volume_type(header)
        self._layer, self._header = layer, header
        self._name = speaking_name(layer) or f"layer {layer.number:03d}"
        self._curve = contrast(layer.display)
        self._transform: Matrix = tuple(tuple(row) for row in layer.transform.tolist())
        if not has_inverse(self._transform):
            raise InvalidValue("its transform has no inverse: set another one")
        self._colors = _colors(layer.display)
        extensions = [".nrrd"]
        extensions += [".tfm"] if self._transform != IDENTITY else []
        extensions += [".ctbl"] if self._colors is not None else []
        self._stem = names.new(self._name, f"layer-{layer.number:03d}", *extensions)
        self.files = [self._stem + extension for extension in extensions]
        self.left_out = list(self._lost(layer.display))

    def _lost(self, display: Display) -> Iterable[str]:
        if nrrd.parts(self._header) > 1:
            if not self._header.dtype.names and display.mode is not ComponentMode.RGB:
                yield f"its display mode {display.mode.value}: 3D Slicer shows vectors as colours"
        elif not is_straight(self._curve) or (
            self._curve and _window(self._curve, (0.0, 1.0)) is None
        ):
            yield "its contrast curve: 3D Slicer has a window, from black to white"

    def write(self, create: Create, document: Document, prefix: str) -> str:
        """Write the image; see `snapws.exporting.contents.Part.write`."""
        with create(f"{self._stem}.nrrd") as file:
            limits = nrrd.write_volume(self._header, file)
        references = {
            "storage": document.add_storage("VolumeArchetype", f"{prefix}{self._stem}.nrrd"),
            "display": self._add_display(create, document, prefix, limits),
            "transform": self._add_transform(create, document, prefix),
        }
        element = "VectorVolume" if nrrd.parts(self._header) > 1 else "Volume"
        return document.add(element, self._name, references, **_described(self._layer))

    def _add_display(
        self, create: Create, document: Document, prefix: str, limits: tuple[float, float]
    ) -> str:
        colors = mrml.GREY
        if self._colors is not None:
            name = f"{self._stem}.ctbl"
            with create(name) as file:
                file.write(_color_table(self._colors))
            title = self._layer.display.color_map or f"Colors of {self._name}"
            colors = document.add_colors(title, prefix + name)
        if nrrd.parts(self._header) > 1:
            return document.add("VectorVolumeDisplay", colorNodeID=colors, autoWindowLevel=1)
        window = _window(self._curve, limits)
        shown: dict[str, Any] = {"autoWindowLevel": 1}
        if window is not None:
            black, white = window
            shown = {"autoWindowLevel": 0, "window": white - black, "level": (black + white) / 2}
        return document.add("VolumeDisplay", colorNodeID=colors, interpolate=1, **shown)

    def _add_transform(self, create: Create, document: Document, prefix: str) -> str:
        """Add the layer's transform, which maps from the main image: from the parent."""
        if self._transform == IDENTITY:
            return ""
        name = f"{self._stem}.tfm"
        with create(name) as file:
            file.write(itk.to_text(self._transform).encode())
        to_parent = tuple(map(tuple, np.linalg.inv(self._transform).tolist()))
        return document.add_transform(f"{self._name} to main image", prefix + name, to_parent)


class Segmentation:
    """A segmentation, voxel on voxel over the main image.

    Args:
        layer: The layer.
        header: Its header.
        main: The header of the main image.
        name: The name of its file, without extension.

    Attributes:
        files: The names of its files.
        reference: The ID of the main image's volume.
    """

    def __init__(self, layer: Layer, header: ImageHeader, main: ImageHeader, name: str) -> None:
        self._layer, self._header, self._main = layer, header, main
        self._table = layer.workspace.labels
        self._opacity = segmentation_opacity(layer.workspace)
        self._name = speaking_name(layer) or name
        self.files = [name + EXTENSION]
        self.reference = ""

    def write(self, create: Create, document: Document, prefix: str) -> str:
        """Write the segmentation; see `snapws.exporting.contents.Part.write`."""
        (name,) = self.files
        with create(name) as file:
            labels = nrrd.write_segmentation(self._header, self._main, self._table, file)
        display = document.add(
            "SegmentationDisplay",
            opacity=self._opacity,
            visibility=True,
            visibility2D=True,
            SegmentationDisplayProperties="".join(map(_shown, labels)),
        )
        references = {
            "storage": document.add_storage("Segmentation", prefix + name),
            "display": display,
            "referenceImageGeometryRef": self.reference,
        }
        return document.add("Segmentation", self._name, references, **_described(self._layer))


def _described(layer: Layer) -> dict[str, str]:
    return {"description": f"Tags: {', '.join(layer.tags)}"} if layer.tags else {}


def _shown(label: Label) -> str:
    """Return how the segment of a label is shown."""
    flags = {
        "Visible": label.visible,
        "Visible3D": label.mesh_visible,
        "Visible2DFill": True,
        "Visible2DOutline": True,
    }
    words = [nrrd.segment_id(label)]
    words += [f"{key}:{'true' if value else 'false'}" for key, value in flags.items()]
    opacity = f"{label.alpha / 255:.6g}"
    words += [f"Opacity{kind}:{opacity}" for kind in ("3D", "2DFill", "2DOutline")]
    return " ".join(words) + "|"


def _colors(display: Display) -> colormaps.ColorMap | None:
    """Return the colour map of a layer; None for the one from black to white."""
    name = display.color_map
    is_grey = name == "Grayscale" or name not in colormaps.NAMED
    if is_grey and not colormaps.own_points(display):
        return None
    return colormaps.color_map(display)


def _color_table(colors: colormaps.ColorMap) -> bytes:
    """Return a colour map as a colour table of 3D Slicer (``.ctbl``)."""
    table = np.rint(colors(np.linspace(0, 1, _COLORS)) * 255).astype(int)
    lines = ["# Color table file", f"# {_COLORS} values"]
    lines += [f"{i} {i} {' '.join(map(str, row))}" for i, row in enumerate(table.tolist())]
    return "\n".join([*lines, ""]).encode()


def is_straight(curve: Sequence[tuple[float, float]]) -> bool:
    """Return whether a contrast curve is a straight line that rises, or none at all."""
    if not curve:
        return True
    (start, dark), (end, light) = curve[0], curve[-1]
    if end <= start or light <= dark:
        return False
    return all(
        abs(dark + (light - dark) * (place - start) / (end - start) - value) <= _STRAIGHT
        for place, value in curve
    )


def _window(
    curve: Sequence[tuple[float, float]], limits: tuple[float, float]
) -> tuple[float, float] | None:
    """Return the intensities of black and white; None if 3D Slicer is to choose them.

    That is where there is no curve, or its numbers are too large.
    """
    if not curve:
        return None
    (start, dark), (end, light) = curve[0], curve[-1]
    if light > dark:  # to 0 and to 1
        step = (end - start) / (light - dark)
        black, white = start - dark * step, end + (1 - light) * step
    else:
        black, white = start, end
    least, greatest = limits
    if start >= 0 and end <= 1 and least <= greatest:  # parts of the range, as ITK-SNAP saves them
        width = greatest - least or 1.0
        black, white = least + black * width, least + white * width
    return (black, white) if math.isfinite(black) and math.isfinite(white - black) else None

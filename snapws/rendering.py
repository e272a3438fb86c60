"""What a layer looks like on planes: contrast, colour map, display mode, labels, opacity."""

from __future__ import annotations

import colorsys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from snapws import geometry, images, sampling
from snapws.colormaps import color_map
from snapws.display import ComponentMode, Display
from snapws.labels import MAX_INDEX, Label
from snapws.sampling import Samples
from snapws.views import Grid, Plane

if TYPE_CHECKING:
    import numpy.typing as npt

    from snapws.layers import Layer

#: Where a layer has no contrast curve, black and white are these percentiles of its intensities.
ROBUST = (0.5, 99.5)

#: How opaque an overlay is that has no opacity of its own, or that ITK-SNAP shows beside the main
#: image, and not over it.
OVERLAY_OPACITY = 0.5

#: How opaque a label is whose own opacity is full: what lies below stays visible.
SEGMENTATION_OPACITY = 0.5

_GRID_MM = 5.0  # between the lines of a deformation grid
_FIRST_COLORS = (0.0, 1 / 3, 2 / 3, 1 / 6, 1 / 2, 5 / 6)  # hues of labels that have no colour
_GOLDEN = 0.618033988749895


class Drawn(ABC):
    """A layer that is drawn: its image, and where that lies in the main image's grid.

    Args:
        layer: The layer.
        grid: The voxel grid of the main image.

    Attributes:
        header: Its image's header.
        matrix: The 4x4 matrix from voxel coordinates of the main image to those of this one.

    Raises:
        LayerFileMissing: Its file is on a server.
        ImageError: Its header cannot be read.
    """

    def __init__(self, layer: Layer, grid: Grid) -> None:
        self.header = images.read_header(layer.path)
        self._grid = grid
        inverse = np.linalg.inv(geometry.affine(self.header))
        self.matrix: npt.NDArray[np.float64] = inverse @ layer.transform @ grid.affine

    @abstractmethod
    def colors(self, planes: Sequence[Plane], time_point: int) -> list[npt.NDArray[np.float64]]:
        """Read the image on planes of the main one, and give its colours: (height, width, 4) each.

        Raises:
            InvalidValue: It has no such time point.
            ImageError: It cannot be read.
        """

    def _sample(self, planes: Sequence[Plane], time_point: int, *, nearest: bool) -> Samples:
        mapped = [plane.mapped(self.matrix) for plane in planes]
        return sampling.sample(self.header, mapped, time_point=time_point, nearest=nearest)


class Anatomy(Drawn):
    """A main image or an overlay.

    Args:
        layer: The layer.
        grid: The voxel grid of the main image.
        ground: Whether it lies below all others, and so is opaque.

    Raises:
        InvalidValue: A display setting is none.
        LayerFileMissing: Its file is on a server.
        ImageError: Its header cannot be read.
    """

    def __init__(self, layer: Layer, grid: Grid, *, ground: bool) -> None:
        super().__init__(layer, grid)
        self._opacity = 1.0 if ground else _opacity(layer.display)
        self._map = color_map(layer.display)
        self._curve = layer.display.contrast
        self._component = layer.display.component
        self._mode = layer.display.mode
        said = layer.registry.get("LayerMetaData.DisplayMapping.SelectedScalarRep")
        if self.header.dtype.names and not said:
            self._mode = ComponentMode.RGB  # an image whose voxels are colours

    def colors(self, planes: Sequence[Plane], time_point: int) -> list[npt.NDArray[np.float64]]:
        """Read the image on planes of the main one, and give its colours: (height, width, 4) each.

        Raises:
            InvalidValue: It has no such time point.
            ImageError: It cannot be read.
        """
        samples = self._sample(planes, time_point, nearest=False)
        several = samples.some.shape[1] > 1
        if several and self._mode is ComponentMode.GRID:
            pairs = zip(planes, samples.planes, strict=True)
            found = [_grid_lines(values, plane, self._grid) for plane, values in pairs]
        elif several and self._mode is ComponentMode.RGB:
            found = self._as_rgb(samples)
        else:
            found = self._mapped(samples)
        for colors in found:
            colors[..., 3] *= self._opacity
        return found

    def _as_rgb(self, samples: Samples) -> list[npt.NDArray[np.float64]]:
        low, high = (0.0, 255.0) if self.header.dtype.names else robust_range(samples)
        found = []
        for values in samples.planes:
            # Two components are red and green.
            colors = np.zeros((*values.shape[:2], 4))
            parts = min(3, values.shape[2])
            colors[..., :parts] = np.clip((values[..., :parts] - low) / (high - low), 0, 1)
            colors[..., 3] = 1
            colors[np.isnan(values).any(-1)] = 0
            found.append(colors)
        return found

    def _mapped(self, samples: Samples) -> list[npt.NDArray[np.float64]]:
        def scalar(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
            return _scalar(values, self._mode, self._component)

        shown = Samples(
            [scalar(values) for values in samples.planes],
            samples.least,
            samples.greatest,
            scalar(samples.some),
        )
        if samples.some.shape[1] > 1:  # the range of all components is not that of what is shown
            shown = shown._replace(
                least=float(np.nanmin(shown.some)), greatest=float(np.nanmax(shown.some))
            )
        inputs, outputs = self._window(shown)
        found = []
        for values in shown.planes:
            # Straight on outside of the window, so that a colour map can tell what is below it.
            place = np.interp(values, inputs, outputs)
            place = np.where(values < inputs[0], -1.0, np.where(values > inputs[-1], 2.0, place))
            found.append(self._map(np.where(np.isnan(values), np.nan, place)))
        return found

    def _window(self, samples: Samples) -> tuple[list[float], list[float]]:
        """Give the contrast curve in intensities: inputs, and what each is shown as, 0 to 1."""
        if not self._curve:
            return list(robust_range(samples)), [0.0, 1.0]
        inputs, outputs = ([float(one) for one in side] for side in zip(*self._curve, strict=True))
        if inputs[0] >= 0 and inputs[-1] <= 1:  # parts of the range, as ITK-SNAP saves a curve
            width = samples.greatest - samples.least or 1.0
            inputs = [samples.least + one * width for one in inputs]
        return inputs, outputs


class Segmentation(Drawn):
    """A segmentation in the colours of the label table.

    Args:
        layer: The layer.
        grid: The voxel grid of the main image.
        table: The labels; one that it does not have is shown in a colour that is made up.

    Raises:
        LayerFileMissing: Its file is on a server.
        ImageError: Its header cannot be read.
    """

    def __init__(self, layer: Layer, grid: Grid, table: Iterable[Label]) -> None:
        super().__init__(layer, grid)
        self._table = table

    def colors(self, planes: Sequence[Plane], time_point: int) -> list[npt.NDArray[np.float64]]:
        """Read the image on planes of the main one, and give its colours: (height, width, 4) each.

        Raises:
            InvalidValue: It has no such time point.
            ImageError: It cannot be read.
        """
        palette = _palette(self._table)
        samples = self._sample(planes, time_point, nearest=True)
        return [
            palette[np.clip(np.nan_to_num(values[..., 0]), 0, MAX_INDEX).astype(np.intp)]
            for values in samples.planes
        ]


def robust_range(samples: Samples) -> tuple[float, float]:
    """Give the intensities that are black and white where nothing else says so; they differ.

    They are percentiles (`ROBUST`), or, of an image that is nearly all of one value, its ends.
    """
    finite = samples.some[np.isfinite(samples.some)]
    low, high = np.percentile(finite, ROBUST) if finite.size else (0.0, 0.0)
    if low == high:
        low, high = samples.least, samples.greatest
    return float(low), float(high) if high > low else float(low) + 1


def made_up_color(index: int) -> tuple[int, int, int]:
    """Give the colour, each part 0 to 255, of a label that no table describes."""
    known = 1 <= index <= len(_FIRST_COLORS)
    hue = _FIRST_COLORS[index - 1] if known else index * _GOLDEN % 1
    red, green, blue = colorsys.hsv_to_rgb(hue, 1.0 if known else 0.6, 1.0)
    return round(255 * red), round(255 * green), round(255 * blue)


def _palette(table: Iterable[Label]) -> npt.NDArray[np.float64]:
    """Give the colours of all labels, by index: (labels, 4)."""
    palette = np.empty((MAX_INDEX + 1, 4))
    palette[:, :3] = [made_up_color(index) for index in range(MAX_INDEX + 1)]
    palette[:, 3] = 255
    for label in table:
        palette[label.index] = (*label.color, label.alpha if label.visible else 0)
    palette[0] = 0
    palette[:, 3] *= SEGMENTATION_OPACITY
    return palette / 255


def _opacity(display: Display) -> float:
    """Give the opacity of an overlay, 0 to 1; files hold it as that, or as 0 to 255."""
    stored = display.opacity
    part = stored if stored <= 1 else min(stored / 255, 1.0)
    return part if part < 1 or display.sticky else OVERLAY_OPACITY


def _scalar(
    values: npt.NDArray[np.float32], mode: ComponentMode, component: int
) -> npt.NDArray[np.float32]:
    """Make one number of the components, which are the last axis."""
    if values.shape[-1] == 1 or mode in (ComponentMode.COMPONENT, ComponentMode.RGB):
        return values[..., min(component, values.shape[-1] - 1)]
    if mode is ComponentMode.MAXIMUM:
        return np.asarray(values.max(-1))
    if mode is ComponentMode.AVERAGE:
        return np.asarray(values.mean(-1))
    return np.asarray(np.linalg.norm(values, axis=-1))


def _grid_lines(
    displacement: npt.NDArray[np.float32], plane: Plane, grid: Grid
) -> npt.NDArray[np.float64]:
    """Draw the lines of a regular grid as a displacement field carries it to its target.

    Args:
        displacement: (height, width, components) in LPS mm, as ITK holds it.
        plane: Where the pixels are, in voxels of the main image.
        grid: The main image's.

    Returns:
        White lines on transparent ground.
    """
    in_mm = plane.mapped(grid.affine)
    moved = np.zeros((plane.height, plane.width, 3))
    count = min(3, displacement.shape[2])
    moved[..., :count] = displacement[..., :count] * np.array([-1, -1, 1])[:count]
    lines = np.zeros((plane.height, plane.width), dtype=bool)
    for step in (in_mm.across, in_mm.down):
        pixel = float(np.linalg.norm(step))
        if not pixel:
            continue
        direction = step / pixel
        rows = np.arange(plane.height)[:, None, None] * in_mm.down
        columns = np.arange(plane.width)[None, :, None] * in_mm.across
        with np.errstate(invalid="ignore"):
            cell = np.floor((rows + columns + moved) @ direction / _GRID_MM)
        lines[:, 1:] |= cell[:, 1:] != cell[:, :-1]
        lines[1:] |= cell[1:] != cell[:-1]
    lines &= ~np.isnan(displacement).any(-1)
    return np.repeat(lines[..., None], 4, axis=2).astype(np.float64)

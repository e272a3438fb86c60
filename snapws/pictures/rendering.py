"""What a layer looks like on planes: contrast, colour map, display mode, labels, opacity."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from snapws import geometry, segmentations
from snapws.display import ComponentMode, Display
from snapws.errors import InvalidValue
from snapws.labels import MAX_INDEX, Label, new_color
from snapws.layers import Layer, Role
from snapws.pictures import sampling
from snapws.pictures.colormaps import ColorMap, color_map
from snapws.pictures.sampling import Samples
from snapws.pictures.views import Grid, Plane
from snapws.registry.fields import FolderProxy, number
from snapws.transforms import RAS_LPS

if TYPE_CHECKING:
    from typing import TypeAlias

    import numpy.typing as npt

    from snapws.images.header import ImageHeader
    from snapws.workspace import Workspace

    #: Red, green, blue and opacity of pixels, each 0 to 1: (height, width, 4).
    Colors: TypeAlias = npt.NDArray[np.float32]

#: Where a layer has no contrast curve, black and white are these percentiles of its intensities.
ROBUST = (0.5, 99.5)

#: How opaque a label is whose own opacity is full, if the workspace does not say: what lies below
#: stays visible.
SEGMENTATION_OPACITY = 0.5

_STEPS = 4096  # of a colour map: more than a picture has shades
_ROUNDING = 1e-6  # of interpolation, in parts of a value
_OUTSIDE = _STEPS + 3  # the place in `_table` of what is not in the image
_BLOCK = 1 << 13  # pixels that are drawn together
_GRID_MM = 5.0  # between the lines of a deformation grid


class Drawn(ABC):
    """A layer that is drawn: its image, and where that lies in the main image's grid.

    Args:
        layer: The layer.
        grid: The voxel grid of the main image.
        matrix: The 4x4 matrix from voxel coordinates of the main image to those of this one; by
            default that of its own header and transform.

    Attributes:
        header: Its image's header.
        matrix: The 4x4 matrix from voxel coordinates of the main image to those of this one.

    Raises:
        LayerFileMissing: Its file is on a server.
        ImageError: Its header cannot be read.
    """

    _nearest = False  # whether a point has the value of its voxel alone

    def __init__(
        self, layer: Layer, grid: Grid, matrix: npt.NDArray[np.float64] | None = None
    ) -> None:
        self.header = layer.header()
        self._grid = grid
        if matrix is None:
            matrix = geometry.to_voxels(self.header) @ layer.transform @ grid.affine
        self.matrix: npt.NDArray[np.float64] = matrix

    @property
    def values(self) -> int:
        """How many numbers its image has at a point."""
        return self.header.components * len(self.header.dtype.names or "1")

    def colors(self, planes: Sequence[Plane], time_point: int) -> Iterator[Colors]:
        """Read the image on planes of the main one, and then give its colours on each of them.

        Raises:
            InvalidValue: It has no such time point.
            ImageError: It cannot be read.
        """
        mapped = [plane.mapped(self.matrix) for plane in planes]
        nearest = self._nearest
        samples = sampling.sample(self.header, mapped, time_point=time_point, nearest=nearest)
        return self._painted(samples, planes)

    @abstractmethod
    def _painted(self, samples: Samples, planes: Sequence[Plane]) -> Iterator[Colors]:
        """Return the colours of samples, plane by plane: all at once would take much memory.

        May empty the lists of samples, to free memory.
        """


class Anatomy(Drawn):
    """A main image or an overlay.

    Args:
        layer: The layer.
        grid: The voxel grid of the main image.
        ground: Whether it lies below all others, and so is opaque.

    Attributes:
        opacity: 0 (transparent) to 1 (opaque).
        map: The colour map.
        mode: How several components are shown.
        component: Which of them is shown in mode COMPONENT.

    Raises:
        InvalidValue: A display setting is invalid.
        LayerFileMissing: Its file is on a server.
        ImageError: Its header cannot be read.
    """

    def __init__(self, layer: Layer, grid: Grid, *, ground: bool) -> None:
        super().__init__(layer, grid)
        self.opacity = 1.0 if ground else layer.display.opacity
        self.map = color_map(layer.display)
        self._curve = contrast(layer.display)
        self.component = layer.display.component
        self.mode = layer.display.mode
        said = layer.registry.get("LayerMetaData.DisplayMapping.SelectedScalarRep")
        if self.header.dtype.names and not said:
            self.mode = ComponentMode.RGB  # an image whose voxels are colours

    def _painted(self, samples: Samples, planes: Sequence[Plane]) -> Iterator[Colors]:
        several = samples.some.shape[1] > 1
        if several and self.mode is ComponentMode.GRID:
            pairs = zip(samples.planes, planes, strict=True)
            found: Iterator[Colors] = (
                _grid_lines(values, plane, self._grid) for values, plane in pairs
            )
        elif several and self.mode is ComponentMode.RGB:
            found = self._as_rgb(samples)
        else:
            return self._by_color_map(samples)
        return (self._seen_through(colors) for colors in found)

    def _seen_through(self, colors: Colors) -> Colors:
        colors[..., 3] *= self.opacity
        return colors

    def _as_rgb(self, samples: Samples) -> Iterator[Colors]:
        inputs, outputs = self.color_window(samples)
        for values in samples.planes:
            # Two components are red and green.
            colors = np.zeros((*values.shape[:2], 4), dtype=np.float32)
            parts = min(3, values.shape[2])
            colors[..., :parts] = np.interp(values[..., :parts], inputs, outputs).clip(0, 1)
            colors[..., 3] = 1
            colors[np.isnan(values).any(-1)] = 0
            yield colors

    # The length of a vector may be beyond float32, and is bright then.
    @np.errstate(over="ignore", invalid="ignore")
    def _by_color_map(self, samples: Samples) -> Iterator[Colors]:
        inputs, outputs = self.window(samples)
        table = _table(self.map)
        table[:, 3] *= self.opacity
        # Until their turn to be painted comes, places take half the memory of samples.
        found = []
        while samples.planes:
            several, inside = samples.planes.pop(), samples.inside.pop()
            places = np.full(inside.shape, _OUTSIDE, dtype=np.uint16)
            for rows in row_blocks(inside.shape):
                if inside[rows].any():
                    scalars = self.scalar(several[rows])
                    places[rows] = _places(scalars, inside[rows], inputs, outputs)
            found.append(places)
        return (table.take(found.pop(), axis=0) for _ in range(len(found)))

    @property
    def is_color(self) -> bool:
        """Whether components are shown as red, green and blue."""
        return self.mode is ComponentMode.RGB and self.values > 1

    def scalar(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the number that is shown of components, which are the last axis."""
        return _scalar(values, self.mode, self.component)

    def paint(
        self, scalars: npt.NDArray[Any], inputs: Sequence[float], outputs: Sequence[float]
    ) -> Colors:
        """Return the colours of what `scalar` gives, by a contrast curve; not its opacity."""
        inside = np.ones(scalars.shape, dtype=bool)
        places = _places(scalars, inside, inputs, outputs)
        return np.asarray(_table(self.map).take(places, axis=0, mode="clip"))

    def window(self, samples: Samples) -> tuple[list[float], list[float]]:
        """Return the contrast curve of what `scalar` gives: inputs, and their places in the map."""
        shown = samples._replace(some=self.scalar(samples.some)[:, None])
        if self.mode in (ComponentMode.COMPONENT, ComponentMode.RGB):
            shown = shown._replace(ends=self.scalar(samples.ends.T)[None])
        elif samples.some.shape[1] > 1:
            # Components come one after the other: what is made of them is known of samples alone.
            finite = shown.some[np.isfinite(shown.some)]
            ends = (finite.min(), finite.max()) if finite.size else (np.inf, -np.inf)
            shown = shown._replace(ends=np.array([ends], dtype=np.float64))
        return self._window(shown, robust_range(shown))

    def color_window(self, samples: Samples) -> tuple[list[float], list[float]]:
        """Return the contrast curve of an image that is shown as red, green and blue."""
        plain = (0.0, 255.0) if self.header.dtype.names else robust_range(samples)
        return self._window(samples, plain)

    def _window(
        self, samples: Samples, plain: tuple[float, float]
    ) -> tuple[list[float], list[float]]:
        """Return the contrast curve in intensities: inputs, and what each is shown as, 0 to 1.

        Args:
            samples: The image.
            plain: What is black and white if there is no curve.
        """
        if not self._curve:
            return list(plain), [0.0, 1.0]
        inputs, outputs = ([float(one) for one in side] for side in zip(*self._curve, strict=True))
        if inputs[0] >= 0 and inputs[-1] <= 1:  # parts of the range, as ITK-SNAP saves a curve
            width = samples.greatest - samples.least or 1.0
            inputs = [samples.least + one * width for one in inputs]
        return inputs, outputs


class Segmentation(Drawn):
    """A segmentation in the colours of the label table, voxel on voxel over the main image.

    Args:
        layer: The layer.
        grid: The voxel grid of the main image.
        main: The header of the main image.
        table: The labels; one that it does not have is shown in the colour of a new label.

    Raises:
        InvalidValue: The opacity of the segmentations is invalid, or the segmentation has
            another size, or another number of time points, than the main image.
        LayerFileMissing: Its file is on a server.
        ImageError: Its header cannot be read.
    """

    _nearest = True

    def __init__(self, layer: Layer, grid: Grid, main: ImageHeader, table: Iterable[Label]) -> None:
        super().__init__(layer, grid, np.eye(4))
        if why := segmentations.misfit(self.header, main):
            raise InvalidValue(f"{why}: ITK-SNAP does not open it; choose other layers to draw")
        self._table = table
        #: The labels that are not shown.
        self.hidden = tuple(label.index for label in table if not label.visible)
        self.opacity = segmentation_opacity(layer.workspace)

    def _painted(
        self,
        samples: Samples,
        planes: Sequence[Plane],  # noqa: ARG002 - a deformation grid alone needs them
    ) -> Iterator[Colors]:
        found = [
            np.clip(np.nan_to_num(sampling.labels(values[..., 0])), 0, MAX_INDEX).astype(np.uint16)
            for values in samples.planes
        ]
        present = np.unique(np.concatenate([np.unique(labels) for labels in found]))
        palette = _palette(self._table, present.tolist())
        palette[:, 3] *= self.opacity
        for labels in found:
            yield palette[labels]


def contrast(display: Display) -> tuple[tuple[float, float], ...]:
    """Return the contrast curve of a layer, none if it has none; see `Display.contrast`.

    Raises:
        InvalidValue: The file holds something that is no curve.
    """
    curve = display.contrast
    if not np.isfinite(curve).all() or any(a[0] > b[0] for a, b in pairwise(curve)):
        raise InvalidValue(
            "its contrast curve has points that are not numbers, or go backwards: set another "
            "contrast"
        )
    return curve


def segmentation_opacity(workspace: Workspace) -> float:
    """Return the opacity of a workspace's segmentations, 0 to 1; its main image's folder holds it.

    Raises:
        InvalidValue: The file holds something that is not a number.
    """
    return min(1.0, max(0.0, stored_segmentation_opacity(workspace)))


def stored_segmentation_opacity(workspace: Workspace) -> float:
    """Return the opacity of a workspace's segmentations as the file has it.

    Raises:
        InvalidValue: The file holds something that is not a number.
    """
    main = workspace.layers(role=Role.MAIN)
    stored = _Segmentations(main[0].registry).opacity if main else SEGMENTATION_OPACITY
    if np.isnan(stored):
        raise InvalidValue("the opacity of the segmentations is not a number: set another one")
    return stored


class _Segmentations(FolderProxy):
    opacity = number(
        "ProjectMetaData.IRIS.LabelState.SegmentationAlpha", default=SEGMENTATION_OPACITY
    )


def robust_range(samples: Samples) -> tuple[float, float]:
    """Return the intensities that are black and white where nothing else says so; they differ.

    They are percentiles (`ROBUST`), or, of an image that is nearly all of one value, its ends.
    """
    finite = samples.some[np.isfinite(samples.some)]
    low, high = np.percentile(finite, ROBUST) if finite.size else (0.0, 0.0)
    if low == high:
        low, high = samples.least, samples.greatest
    return float(low), float(high) if high > low else float(low) + 1


def _palette(table: Iterable[Label], present: Sequence[int]) -> Colors:
    """Return the colours of the labels that are present, by index: (greatest of them + 1, 4)."""
    known = {label.index: label for label in table}
    palette = np.zeros((max(present, default=0) + 1, 4), dtype=np.float32)
    for index in present:
        label = known.get(index) or Label(index, "", new_color(index))
        palette[index] = (*label.color, label.alpha if label.visible else 0)
    palette[0] = 0
    palette /= 255
    return palette


def _table(color_map: ColorMap) -> Colors:
    """Return a colour map by steps: below it, from 0 to 1, above it, of NaN, and of no voxel."""
    places = np.concatenate([[-1.0], np.linspace(0, 1, _STEPS), [2.0, np.nan]])
    return np.vstack([color_map(places), np.zeros(4)]).astype(np.float32)


def row_blocks(shape: Sequence[int]) -> Iterator[slice]:
    """Return the rows of a picture in blocks that stay in a core's cache while they are drawn."""
    height, width = shape[:2]
    step = max(1, _BLOCK // max(1, width))
    return (slice(start, start + step) for start in range(0, height, step))


def _places(
    values: npt.NDArray[Any],
    inside: npt.NDArray[np.bool_],
    inputs: Sequence[float],
    outputs: Sequence[float],
) -> npt.NDArray[np.uint16]:
    """Return where in a colour map by steps (see `_table`) each value stands."""
    shown = np.interp(values, inputs, outputs)
    np.clip(shown, 0, 1, out=shown)
    shown *= _STEPS - 1
    np.rint(shown, out=shown)
    shown += 1
    rounding = _ROUNDING * max(abs(inputs[0]), abs(inputs[-1]))
    np.putmask(shown, values < inputs[0] - rounding, 0)
    np.putmask(shown, values > inputs[-1] + rounding, _STEPS + 1)
    np.putmask(shown, np.isnan(values), _STEPS + 2)
    np.putmask(shown, ~inside, _OUTSIDE)
    places: npt.NDArray[np.uint16] = shown.astype(np.uint16)
    return places


def _scalar(values: npt.NDArray[Any], mode: ComponentMode, component: int) -> npt.NDArray[Any]:
    """Make one number of the components, which are the last axis."""
    if values.shape[-1] == 1 or mode in (ComponentMode.COMPONENT, ComponentMode.RGB):
        return values[..., min(max(component, 0), values.shape[-1] - 1)]
    if mode is ComponentMode.MAXIMUM:
        return np.asarray(values.max(-1))
    if mode is ComponentMode.AVERAGE:
        return np.asarray(values.mean(-1))
    return np.asarray(np.linalg.norm(values, axis=-1))


def _grid_lines(displacement: npt.NDArray[np.float32], plane: Plane, grid: Grid) -> Colors:
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
    moved[..., :count] = displacement[..., :count] * np.array(RAS_LPS[:count])
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
    return np.repeat(lines[..., None], 4, axis=2).astype(np.float32)

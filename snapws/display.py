"""Display settings of a layer: colour map, contrast, opacity, multi-component mode."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from enum import Enum
from itertools import pairwise

from snapws.errors import InvalidValue
from snapws.registry import Registry
from snapws.registry.fields import Field, FolderProxy, flag, format_number, integer, number, text

_ALPHA = "LayerMetaData.Alpha"
_MAPPING = "LayerMetaData.DisplayMapping"
_STICKY = "LayerMetaData.Sticky"


class ComponentMode(str, Enum):
    """The display mode of a layer with several components per voxel."""

    COMPONENT = "Component"  #: one component, `Display.component`
    MAGNITUDE = "Magnitude"  #: the length of the vector
    MAXIMUM = "Maximum"  #: the greatest component
    AVERAGE = "Average"  #: the mean of the components
    RGB = "RGB"  #: three components as red, green and blue
    GRID = "Grid"  #: as a deformation grid


class _ControlPoint(FolderProxy):
    input = number("tValue")
    output = number("xValue")


class _Curve(FolderProxy):
    size = integer("NumberOfControlPoints")


#: The opacity of a layer without a stored opacity.
OPACITY = 0.5


def parse_opacity(value: float | str) -> float:
    """Convert a number or text to an opacity from 0 (transparent) to 1 (opaque).

    Args:
        value: A number from 0 to 1, as a number or text, or a percentage.

    >>> parse_opacity("35%"), parse_opacity("0.35"), parse_opacity(1)
    (0.35, 0.35, 1.0)

    Raises:
        InvalidValue: The value is not a number or percentage, or is out of range.
    """
    words = str(value).strip()
    is_percentage = words.endswith("%")
    try:
        stated = float(words.removesuffix("%"))
    except ValueError:
        stated = math.nan
    if not stated >= 0:
        raise InvalidValue(f"{value!r} is not a valid opacity: give a number from 0 to 1, or 35%")
    if stated > (100 if is_percentage else 1):
        raise InvalidValue(f"opacity goes from 0 to 1 (opaque), not to {words}{_meant(stated)}")
    return stated / 100 if is_percentage else stated


def percentage_of_255(stored: float) -> str:
    """Convert an opacity from 0 to 255 to a percentage, for messages.

    >>> percentage_of_255(90)
    '35%'
    """
    return f"{min(1.0, stored / 255):.0%}"


def _meant(stated: float) -> str:
    if stated <= 100:
        return f": give {stated:g}%, or {percentage_of_255(stated)} for {stated:g} of 255"
    return f": give {percentage_of_255(stated)} for {stated:g} of 255" if stated <= 255 else ""


def _read_opacity(stored: str) -> float:
    """Read the opacity of a layer, clipped to 0 and 1, as in ITK-SNAP; NaN is refused."""
    value = float(stored)
    if math.isnan(value):
        raise InvalidValue("its opacity is not a number: set another one")
    return min(1.0, max(0.0, value))


class _Opacity(Field[float]):
    """The entry of an opacity. Numbers out of range are clipped to 0 and 1, as in ITK-SNAP."""

    def __init__(self) -> None:
        super().__init__(_ALPHA, OPACITY, _read_opacity, format_number)

    def __set__(self, view: FolderProxy, value: float | str) -> None:
        super().__set__(view, parse_opacity(value))


class Display(FolderProxy):
    """The display settings of one layer.

    Attributes:
        opacity: 0 (transparent) to 1 (opaque), 0.5 if not stored; greater stored numbers mean 1.
            Assigning takes a number from 0 to 1 or a percentage (``"35%"``). It affects only a
            layer that is shown over the main image: set `sticky`, too.
        stored_opacity: The number in the file.
        sticky: Whether the layer is shown over the main image; else beside it, as a tile.
        component: The component shown in mode `ComponentMode.COMPONENT`, from 0.
    """

    __slots__ = ()

    opacity = _Opacity()
    stored_opacity = number(_ALPHA, OPACITY)
    sticky = flag(_STICKY)
    component = integer(f"{_MAPPING}.SelectedComponent")
    _rgb = flag(f"{_MAPPING}.UseRGB")
    _grid = flag(f"{_MAPPING}.RenderAsGrid")
    _representation = text(f"{_MAPPING}.SelectedScalarRep")

    @property
    def is_tile(self) -> bool:
        """Whether the file says that the layer is shown beside the main image, not over it."""
        return _STICKY in self.registry and not self.sticky

    @property
    def mode(self) -> ComponentMode:
        """The mode for several components; `ComponentMode.COMPONENT` if not stored.

        Raises:
            InvalidValue: The stored mode is unknown.
        """
        if self._grid:
            return ComponentMode.GRID
        if self._rgb:
            return ComponentMode.RGB
        stored = self._representation or ComponentMode.COMPONENT.value
        try:
            return ComponentMode(stored)
        except ValueError:
            raise InvalidValue(f"SelectedScalarRep holds {stored!r}, not a known mode") from None

    def show(self, mode: ComponentMode, component: int = 0) -> None:
        """Set the mode for several components; `component` is for mode COMPONENT."""
        # ITK-SNAP shows a grid only if the flag for colours is set, too.
        self._rgb = mode in (ComponentMode.RGB, ComponentMode.GRID)
        self._grid = mode is ComponentMode.GRID
        scalar = mode not in (ComponentMode.RGB, ComponentMode.GRID)
        self._representation = mode.value if scalar else ComponentMode.COMPONENT.value
        self.component = component

    @property
    def mapping(self) -> str:
        """The key of the folder with colour map and contrast curve.

        In files saved by ITK-SNAP, each scalar mode (component, magnitude …) can have its own
        folder. Modes RGB and GRID use that of COMPONENT.
        """
        if self._rgb or self._grid or not self._representation:
            own = f"{_MAPPING}.{ComponentMode.COMPONENT.value}"
        else:
            own = f"{_MAPPING}.{self._representation}"
        return _MAPPING if self.registry.folder(own) is None else own

    @property
    def color_map(self) -> str:
        """The stored name of the colour map, ``Grayscale`` or ``Jet`` for example.

        Names are case-sensitive, and ITK-SNAP shows an unknown name in grey. Assigning removes the
        control points of a custom map.
        """
        return self.registry.get(f"{self.mapping}.ColorMap.Preset")

    @color_map.setter
    def color_map(self, name: str) -> None:
        draft = Registry()
        draft["Preset"] = name
        self._replace("ColorMap", draft)

    @property
    def contrast(self) -> tuple[tuple[float, float], ...]:
        """The contrast curve as (input, output) points, output from 0 to 1; empty: automatic.

        The input is an intensity. If all inputs are within 0 to 1, as in files of ITK-SNAP, they
        are fractions of the intensity range.
        """
        folder = self.registry.folder(f"{self.mapping}.Curve")
        if folder is None:
            return ()
        points = []
        for i in range(_Curve(folder).size):
            registry = folder.folder(f"ControlPoint[{i}]")
            if registry is None:
                break
            point = _ControlPoint(registry)
            points.append((point.input, point.output))
        return tuple(points)

    @contrast.setter
    def contrast(self, points: Iterable[tuple[float, float]]) -> None:
        """Set the curve; without points, ITK-SNAP chooses one.

        Raises:
            InvalidValue: The inputs do not rise from point to point, or there is only one point.
        """
        curve = [(float(value), float(output)) for value, output in points]
        inputs = [value for value, _ in curve]
        if len(curve) == 1 or not all(a < b for a, b in pairwise(inputs)):
            raise InvalidValue("a contrast curve needs two or more points with rising inputs")
        self._store_curve(curve)

    def _store_curve(self, curve: Sequence[tuple[float, float]]) -> None:
        draft = Registry()
        _Curve(draft).size = len(curve)
        for i, (value, output) in enumerate(curve):
            point = _ControlPoint(draft.make_folder(f"ControlPoint[{i}]"))
            point.input, point.output = value, output
        self._replace("Curve", draft if curve else None)

    def set_linear_contrast(self, low: float, high: float, *, check: bool = True) -> None:
        """Set a linear contrast curve, from black at `low` to white at `high`.

        If both are within 0 to 1, they are fractions of the intensity range; see `contrast`.

        Args:
            low: The intensity of black.
            high: The intensity of white.
            check: Whether to refuse a curve that does not rise, which ITK-SNAP cannot show.

        Raises:
            InvalidValue: `low` is not below `high`.
        """
        curve = ((low, 0.0), ((low + high) / 2, 0.5), (high, 1.0))
        if check:
            self.contrast = curve
        else:
            self._store_curve(curve)

    def _replace(self, name: str, draft: Registry | None) -> None:
        """Replace a folder of the mapping, or remove it if `draft` is None."""
        key = f"{self.mapping}.{name}"
        self.registry.remove_folder(key)
        if draft is not None:
            self.registry.make_folder(key).update(draft)

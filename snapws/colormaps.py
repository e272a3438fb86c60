"""Colour maps: what colour a layer gives to an intensity, once contrast has made it 0 to 1."""

from __future__ import annotations

import colorsys
from collections.abc import Iterable
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from snapws.errors import InvalidValue
from snapws.fields import View, integer, number, text

if TYPE_CHECKING:
    import numpy.typing as npt

    from snapws.display import Display
    from snapws.registry import Registry

Color = tuple[float, float, float, float]
"""Red, green, blue and opacity, each 0 to 1."""

_CLEAR = (0.0, 0.0, 0.0, 0.0)


class ColorMap:
    """Colours along 0 to 1: straight lines, in red, green, blue and opacity, between points.

    Args:
        points: Of each point where it is, the colour just before it, and the colour from it on;
            by rising place.

    Raises:
        InvalidValue: There are fewer than two points, or they do not rise.
    """

    def __init__(self, points: Iterable[tuple[float, Color, Color]]) -> None:
        given = list(points)
        places, before, after = zip(*given, strict=True) if given else ((), (), ())
        if len(places) < 2 or not all(a <= b for a, b in pairwise(places)):
            raise InvalidValue("a colour map has two or more points, each behind the one before")
        self._places = np.repeat(np.array(places, dtype=np.float64), 2)
        self._colors = np.array(
            [color for both in zip(before, after, strict=True) for color in both]
        )

    def __call__(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Give the colours of values: of shape (…), shape (…, 4), each 0 to 1.

        Below the first point it is the colour before it, above the last one that behind it; what is
        no number is transparent.
        """
        # At a step, the colour from it on counts: so values are looked up from the right.
        right = np.searchsorted(self._places, values, side="right")
        low, high = np.clip(right - 1, 0, None), np.clip(right, None, len(self._places) - 1)
        width = self._places[high] - self._places[low]
        part = np.where(width > 0, (values - self._places[low]) / np.where(width > 0, width, 1), 0)
        part = np.where(right == 0, 0, part)[..., None]
        found = self._colors[low] * (1 - part) + self._colors[high] * part
        return np.where(np.isnan(values)[..., None], 0.0, found)


def color_map(display: Display) -> ColorMap:
    """Give the colour map of a layer: its own points where it has some, else the one it names.

    Without a name it is ``Grayscale``.

    Raises:
        InvalidValue: It names none that is known, or its points are none.
    """
    points = own_points(display)
    return ColorMap(points) if points else NAMED[known_name(display.color_map or "Grayscale")]


def own_points(display: Display) -> list[tuple[float, Color, Color]]:
    """Give the points of a layer's own colour map, as `ColorMap` takes them; none if it has none.

    Raises:
        InvalidValue: They are not what they should be.
    """
    folder = display.registry.folder(f"{display.mapping}.ColorMap")
    return [] if folder is None else _read_points(folder)


def known_name(name: str) -> str:
    """Give the name of a colour map as ITK-SNAP spells it.

    Raises:
        InvalidValue: None of that name is known.
    """
    for known in NAMED:
        if known.casefold() == name.casefold():
            return known
    raise InvalidValue(f"{name!r} is no colour map that is known: take one of {', '.join(NAMED)}")


class _Points(View):
    size = integer("NumberOfControlPoints")


class _Point(View):
    place = number("Index")
    type = text("Type")


class _Color(View):
    red = number("R")
    green = number("G")
    blue = number("B")
    alpha = number("A", 255.0)


def _read_points(folder: Registry) -> list[tuple[float, Color, Color]]:
    points = []
    for i in range(_Points(folder).size):
        registry = folder.folder(f"ControlPoint[{i:04d}]")
        if registry is None:
            raise InvalidValue(f"the colour map has no control point {i}, though it counts more")
        point = _Point(registry)
        left, right = (_read_color(registry.folder(side)) for side in ("Left", "Right"))
        points.append((point.place, left, left if point.type == "Continuous" else right))
    return points


def _read_color(folder: Registry | None) -> Color:
    if folder is None:
        return _CLEAR
    part = _Color(folder)
    return part.red / 255, part.green / 255, part.blue / 255, part.alpha / 255


def _even(*colors: tuple[float, float, float]) -> ColorMap:
    return _at(*zip(np.linspace(0, 1, len(colors)), colors, strict=True))


def _at(*points: tuple[float, tuple[float, float, float]]) -> ColorMap:
    """Make a map of opaque colours; below it, nothing is shown, as in the maps that are saved."""
    opaque = [(float(place), (*color, 1.0)) for place, color in points]
    first, *others = opaque
    return ColorMap([(first[0], _CLEAR, first[1]), *((at, color, color) for at, color in others)])


def _hue(hue: float) -> tuple[float, float, float]:
    return colorsys.hsv_to_rgb(hue, 1.0, 1.0)


_BLACK, _WHITE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
_RED, _GREEN, _BLUE = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
_YELLOW, _MAGENTA, _CYAN = (1.0, 1.0, 0.0), (1.0, 0.0, 1.0), (0.0, 1.0, 1.0)

#: The maps that ITK-SNAP has by name. Those of the seasons, cool, hot, HSV and copper are by the
#: definition that MATLAB gave them; jet's middle part is stretched to 0.1 to 0.9, as files have it.
NAMED = {
    "Grayscale": _even(_BLACK, _WHITE),
    "Jet": _at(
        (0.0, (0.0, 0.0, 0.5)),
        (0.1, _BLUE),
        (0.1 + 0.8 / 3, _CYAN),
        (0.9 - 0.8 / 3, _YELLOW),
        (0.9, _RED),
        (1.0, (0.5, 0.0, 0.0)),
    ),
    "Hot": _at((0.0, _BLACK), (0.375, _RED), (0.75, _YELLOW), (1.0, _WHITE)),
    "Cool": _even(_CYAN, _MAGENTA),
    "Spring": _even(_MAGENTA, _YELLOW),
    "Summer": _even((0.0, 0.5, 0.4), (1.0, 1.0, 0.4)),
    "Autumn": _even(_RED, _YELLOW),
    "Winter": _even(_BLUE, (0.0, 1.0, 0.5)),
    "Copper": _at((0.0, _BLACK), (0.8, (1.0, 0.62496, 0.398)), (1.0, (1.0, 0.7812, 0.4975))),
    "HSV": _even(*(_hue(i / 6) for i in range(7))),
    "Black to red": _even(_BLACK, _RED),
    "Black to green": _even(_BLACK, _GREEN),
    "Black to blue": _even(_BLACK, _BLUE),
    "Blue to white to red": _even(_BLUE, _WHITE, _RED),
    "Red to white to blue": _even(_RED, _WHITE, _BLUE),
    "Blue to white": _even(_BLUE, _WHITE),
    "Speed image (blue to black to white)": _even(_BLUE, _BLACK, _WHITE),
    "Speed image (semi-transparent overlay)": ColorMap(
        [
            (0.0, _CLEAR, (*_BLUE, 1.0)),
            (0.5, (*_BLUE, 0.0), (*_WHITE, 0.0)),
            (1.0, (*_WHITE, 0.0), (*_WHITE, 0.0)),
        ]
    ),
}

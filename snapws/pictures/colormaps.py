"""Colour maps: the colours of a layer's intensities, once its contrast maps these to 0 to 1."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from snapws.errors import InvalidValue
from snapws.registry.fields import FolderProxy, integer, number, text

if TYPE_CHECKING:
    import numpy.typing as npt

    from snapws.display import Display
    from snapws.registry import Registry

Color = tuple[float, float, float, float]
"""Red, green, blue and opacity, each 0 to 1."""

#: The colour of NaN in a map of the user's own, as in most presets.
NAN_COLOR: Color = (1.0, 1.0, 0.0, 1.0)

#: The name of a map that is not a preset: its points are in the file.
CUSTOM = "Custom"

_CLEAR = (0.0, 0.0, 0.0, 0.0)


class ColorMap:
    """Colours along 0 to 1: straight lines, in red, green, blue and opacity, between points.

    Args:
        points: Of each point where it is, the colour just before it, and the colour from it on;
            by rising place.
        nan: The colour of NaN.

    Raises:
        InvalidValue: There are fewer than two points, or they do not rise.
    """

    def __init__(
        self, points: Iterable[tuple[float, Color, Color]], nan: Color = NAN_COLOR
    ) -> None:
        given = list(points)
        places, before, after = zip(*given, strict=True) if given else ((), (), ())
        if len(places) < 2 or not all(a <= b for a, b in pairwise(places)):
            raise InvalidValue("a colour map has two or more points, each behind the one before")
        self._places = np.repeat(np.array(places, dtype=np.float64), 2)
        self._colors = np.array(
            [color for both in zip(before, after, strict=True) for color in both]
        )
        self._nan = np.array(nan)

    def __call__(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the colours of values: of shape (…), shape (…, 4), each 0 to 1.

        Below the first point it is the colour before that point, above the last one the colour
        behind it. At a step the colour behind it counts, but at the last point the one before it.
        """
        # Without the last place, which stands twice: so nothing is behind its step but what is
        # above it.
        right = np.searchsorted(self._places[:-1], values, side="right")
        low, high = np.clip(right - 1, 0, None), right
        width = self._places[high] - self._places[low]
        part = np.where(width > 0, (values - self._places[low]) / np.where(width > 0, width, 1), 0)
        part = np.where(right == 0, 0, part)[..., None]
        found = self._colors[low] * (1 - part) + self._colors[high] * part
        found = np.where((values > self._places[-1])[..., None], self._colors[-1], found)
        return np.where(np.isnan(values)[..., None], self._nan, found)


def color_map(display: Display) -> ColorMap:
    """Return the colour map of a layer as ITK-SNAP shows it.

    A preset that the layer names counts more than points left from before. Without a name, or with
    the name ``Custom``, the layer's own points count. All other names are ``Grayscale``.

    Raises:
        InvalidValue: The layer's own points are invalid.
    """
    points = own_points(display)
    if points:
        return ColorMap(points)
    return NAMED.get(display.color_map, NAMED["Grayscale"])


def own_points(display: Display) -> list[tuple[float, Color, Color]]:
    """Return the points of a layer's own colour map, as `ColorMap` takes them.

    There are none where the layer shows a preset.

    Raises:
        InvalidValue: A point is missing, or a number of one is invalid.
    """
    folder = display.registry.folder(f"{display.mapping}.ColorMap")
    if folder is None or display.color_map not in ("", CUSTOM):
        return []
    return _read_points(folder)


def unknown_name(display: Display) -> str:
    """Return the line that a layer names a colour map that ITK-SNAP does not know; else nothing.

    Raises:
        InvalidValue: The layer's own points are invalid.
    """
    name = display.color_map
    if not name or name in NAMED or own_points(display):
        return ""
    if name == CUSTOM:
        return "its colour map Custom has no control points: ITK-SNAP shows it in grey"
    meant = next((known for known in NAMED if known.casefold() == name.casefold()), "")
    hint = f"set the colour map {meant}" if meant else f"set one of {', '.join(NAMED)}"
    return f"ITK-SNAP has no colour map {name!r} and shows it in grey: {hint}"


def known_name(name: str) -> str:
    """Return the name of a preset that a user typed as ITK-SNAP spells it, in capitals or not.

    Raises:
        InvalidValue: There is no preset of that name.
    """
    for known in NAMED:
        if known.casefold() == name.casefold():
            return known
    raise InvalidValue(f"{name!r} is not a known colour map: choose one of {', '.join(NAMED)}")


class _Points(FolderProxy):
    size = integer("NumberOfControlPoints")


class _Point(FolderProxy):
    place = number("Index")
    type = text("Type")


class _Color(FolderProxy):
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


_Rgb = tuple[int, int, int]

_BLACK, _WHITE = (0, 0, 0), (255, 255, 255)
_RED, _GREEN, _BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
_YELLOW, _MAGENTA, _CYAN = (255, 255, 0), (255, 0, 255), (0, 255, 255)
_AZURE = (0, 127, 255)


def _color(rgb: _Rgb, alpha: int = 255) -> Color:
    red, green, blue = rgb
    return red / 255, green / 255, blue / 255, alpha / 255


def _opaque(nan: _Rgb, *points: tuple[float, _Rgb]) -> ColorMap:
    """Make a map of opaque colours, with nothing below it."""
    (first, start), *others = ((place, _color(rgb)) for place, rgb in points)
    below = (*start[:3], 0.0)
    return ColorMap(
        [(first, below, start), *((place, color, color) for place, color in others)], _color(nan)
    )


def _continuous(*points: tuple[float, _Rgb, int]) -> ColorMap:
    """Make a map of colours and opacities that goes on below and above as it ends."""
    colors = [(place, _color(rgb, alpha)) for place, rgb, alpha in points]
    return ColorMap([(place, color, color) for place, color in colors], _color(_YELLOW))


#: The presets of ITK-SNAP, in its order.
NAMED = {
    "Grayscale": _opaque(_YELLOW, (0, _BLACK), (1, _WHITE)),
    "Jet": _opaque(
        _WHITE,
        (0, (0, 0, 128)),
        (0.1, _BLUE),
        (0.36, _CYAN),
        (0.6, _YELLOW),
        (0.9, _RED),
        (1, (128, 0, 0)),
    ),
    "Hot": _opaque(
        _AZURE,
        (0, _BLACK),
        (2 / 63, _BLACK),
        (22 / 63, (216, 0, 0)),
        (28 / 63, (255, 58, 0)),
        (48 / 63, _YELLOW),
        (1, _WHITE),
    ),
    "Cool": _opaque(_YELLOW, (0, _MAGENTA), (1, _CYAN)),
    "Black to red": _opaque(_YELLOW, (0, _BLACK), (1, _RED)),
    "Black to green": _opaque(_YELLOW, (0, _BLACK), (1, _GREEN)),
    "Black to blue": _opaque(_YELLOW, (0, _BLACK), (1, _BLUE)),
    "Spring": _opaque(_AZURE, (0, _MAGENTA), (1, _YELLOW)),
    "Summer": _opaque(_AZURE, (0, (0, 128, 102)), (1, (255, 255, 102))),
    "Autumn": _opaque(_AZURE, (0, _RED), (1, _YELLOW)),
    "Winter": _opaque(_YELLOW, (0, _BLUE), (1, (0, 255, 128))),
    "Copper": _opaque(_WHITE, (0, _BLUE), (0.8334, (255, 170, 106)), (1, (255, 204, 128))),
    "HSV": _opaque(
        _WHITE,
        (0, _RED),
        (0.1667, _YELLOW),
        (0.3334, _GREEN),
        (0.5, _CYAN),
        (0.6667, _BLUE),
        (0.8334, _MAGENTA),
        (1, _RED),
    ),
    "Blue to white to red": _opaque(_YELLOW, (0, _BLUE), (0.5, _WHITE), (1, _RED)),
    "Red to white to blue": _opaque(_YELLOW, (0, _RED), (0.5, _WHITE), (1, _BLUE)),
    "Speed image (blue to black to white)": _continuous(
        (0, _BLUE, 255), (0.5, _BLACK, 255), (1, _WHITE, 255)
    ),
    "Speed image (semi-transparent overlay)": _continuous(
        (0, _WHITE, 0), (0.4, _WHITE, 0), (0.6, _RED, 255), (1, _RED, 255)
    ),
    "Level set image": _continuous(
        (0, _RED, 255), (0.4, _RED, 255), (0.6, _WHITE, 0), (1, _WHITE, 0)
    ),
}

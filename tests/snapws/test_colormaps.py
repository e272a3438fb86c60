"""Colour maps, named and as files hold them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from snapws import Display, InvalidValue, Registry, Workspace
from snapws.colormaps import NAMED, ColorMap, color_map
from snapws.registry_text import parse

CORPUS = Path(__file__).parents[3] / "shared" / "corpus"


def at(name: str, value: float) -> list[float]:
    return [round(float(part), 4) for part in NAMED[name](np.array([value]))[0]]


@pytest.mark.parametrize(
    ("name", "value", "color"),
    [
        ("Grayscale", 0.25, [0.25] * 3),
        ("Jet", 0.0, [0, 0, 0.5]),
        ("Jet", 0.1, [0, 0, 1]),
        ("Jet", 0.5, [0.5, 1, 0.5]),
        ("Jet", 0.9, [1, 0, 0]),
        ("Jet", 1.0, [0.5, 0, 0]),
        ("Hot", 0.375, [1, 0, 0]),
        ("Hot", 0.75, [1, 1, 0]),
        ("Hot", 1.0, [1, 1, 1]),
        ("Cool", 0.0, [0, 1, 1]),
        ("Cool", 1.0, [1, 0, 1]),
        ("Spring", 0.5, [1, 0.5, 0.5]),
        ("Summer", 1.0, [1, 1, 0.4]),
        ("Autumn", 0.0, [1, 0, 0]),
        ("Winter", 1.0, [0, 1, 0.5]),
        ("Copper", 0.5, [0.625, 0.3906, 0.2488]),
        ("Copper", 1.0, [1, 0.7812, 0.4975]),
        ("HSV", 0.0, [1, 0, 0]),
        ("HSV", 1 / 3, [0, 1, 0]),
        ("HSV", 0.5, [0, 1, 1]),
        ("Black to red", 0.5, [0.5, 0, 0]),
        ("Blue to white to red", 0.5, [1, 1, 1]),
        ("Red to white to blue", 0.0, [1, 0, 0]),
        ("Blue to white", 0.5, [0.5, 0.5, 1]),
        ("Speed image (blue to black to white)", 0.5, [0, 0, 0]),
    ],
)
def test_the_named_maps(name, value, color):
    assert at(name, value) == [*color, 1]


def test_what_is_below_the_window_is_transparent_and_what_is_above_is_as_its_end():
    for name, built in NAMED.items():
        below, none = built(np.array([-0.01, np.nan]))
        assert below[3] == none[3] == 0
        np.testing.assert_array_equal(built(np.array([1.5])), built(np.array([1.0])), err_msg=name)


def test_a_layer_without_a_map_is_grey_and_case_does_not_matter():
    registry = Registry()
    assert color_map(Display(registry)) is NAMED["Grayscale"]
    Display(registry).color_map = "jet"  # as the commands of scripts have it
    assert color_map(Display(registry)) is NAMED["Jet"]
    Display(registry).color_map = "Beige"
    with pytest.raises(InvalidValue, match=r"'Beige' is no colour map .* Jet"):
        color_map(Display(registry))


def test_points_of_a_map_of_the_user():
    registry = Registry()
    points = {0: (0.0, "Discontinuous"), 1: (0.5, "Continuous"), 2: (1.0, "Discontinuous")}
    colors = {
        0: ((9, 9, 9, 0), (0, 0, 0, 51)),
        1: ((255, 0, 0, 255),) * 2,
        2: ((0, 255, 0, 255),) * 2,
    }
    folder = registry.make_folder("LayerMetaData.DisplayMapping.ColorMap")
    folder["Preset"], folder["NumberOfControlPoints"] = "Custom", "3"
    for number, (place, kind) in points.items():
        point = folder.make_folder(f"ControlPoint[{number:04d}]")
        point["Index"], point["Type"] = str(place), kind
        for side, color in zip(("Left", "Right"), colors[number], strict=True):
            for part, value in zip("RGBA", color, strict=True):
                point[f"{side}.{part}"] = str(value)
    made = color_map(Display(registry))
    found = made(np.array([-1.0, 0.0, 0.25, 0.5, 0.75, 1.0]))
    expected = [
        [9, 9, 9, 0],
        [0, 0, 0, 51],
        [127.5, 0, 0, 153],
        [255, 0, 0, 255],
        [127.5, 127.5, 0, 255],
        [0, 255, 0, 255],
    ]
    np.testing.assert_allclose(found * 255, expected)

    folder["NumberOfControlPoints"] = "4"
    with pytest.raises(InvalidValue, match="no control point 3"):
        color_map(Display(registry))


@pytest.mark.parametrize(
    "points",
    [[], [(0.0, (0,) * 4, (0,) * 4)], [(1.0, (0,) * 4, (0,) * 4), (0.0, (0,) * 4, (0,) * 4)]],
)
def test_points_that_make_no_map(points):
    with pytest.raises(InvalidValue, match="two or more points"):
        ColorMap(points)


def test_the_maps_of_other_peoples_files():
    files = sorted(CORPUS.glob("workspaces*/*.itksnap"))
    dumps = sorted(CORPUS.glob("registry_other/*dispmap*.txt"))
    if not files or not dumps:
        pytest.skip("the corpus of other people's files is not here")
    named = set()
    for file in files:
        for layer in Workspace.open(file).layers():
            named.add(layer.display.color_map)
            color_map(layer.display)
    assert {"Jet", "Hot", "Custom"} <= named
    for file in dumps:
        registry = Registry()
        folder = registry.make_folder("LayerMetaData.DisplayMapping")
        folder.update(parse(file.read_bytes(), file.name))
        made = color_map(Display(registry))
        assert made(np.array([1.0]))[0, 3] == 1

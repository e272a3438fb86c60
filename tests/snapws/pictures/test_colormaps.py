"""Colour maps, named and as files hold them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from snapws import Display, InvalidValue, Registry, Workspace
from snapws.pictures.colormaps import NAMED, ColorMap, color_map, known_name, unknown_name
from snapws.registry.text_format import parse

CORPUS = Path(__file__).parents[4] / "shared" / "corpus"


# Of each preset of ITK-SNAP the colour of NaN, the opacity below its first point, and its control
# points: place, colour, opacity where it is not full.
PRESETS = """
Grayscale: ffff00 0 | 0 000000 | 1 ffffff
Jet: ffffff 0 | 0 000080 | 0.1 0000ff | 0.36 00ffff | 0.6 ffff00 | 0.9 ff0000 | 1 800000
Hot: 007fff 0 | 0 000000 | 0.031746031746 000000 | 0.349206349206 d80000 | 0.444444444444 ff3a00 \
 | 0.761904761905 ffff00 | 1 ffffff
Cool: ffff00 0 | 0 ff00ff | 1 00ffff
Black to red: ffff00 0 | 0 000000 | 1 ff0000
Black to green: ffff00 0 | 0 000000 | 1 00ff00
Black to blue: ffff00 0 | 0 000000 | 1 0000ff
Spring: 007fff 0 | 0 ff00ff | 1 ffff00
Summer: 007fff 0 | 0 008066 | 1 ffff66
Autumn: 007fff 0 | 0 ff0000 | 1 ffff00
Winter: ffff00 0 | 0 0000ff | 1 00ff80
Copper: ffffff 0 | 0 0000ff | 0.8334 ffaa6a | 1 ffcc80
HSV: ffffff 0 | 0 ff0000 | 0.1667 ffff00 | 0.3334 00ff00 | 0.5 00ffff | 0.6667 0000ff \
 | 0.8334 ff00ff | 1 ff0000
Blue to white to red: ffff00 0 | 0 0000ff | 0.5 ffffff | 1 ff0000
Red to white to blue: ffff00 0 | 0 ff0000 | 0.5 ffffff | 1 0000ff
Speed image (blue to black to white): ffff00 255 | 0 0000ff | 0.5 000000 | 1 ffffff
Speed image (semi-transparent overlay): ffff00 0 | 0 ffffff 0 | 0.4 ffffff 0 | 0.6 ff0000 | 1 ff0000
Level set image: ffff00 255 | 0 ff0000 | 0.4 ff0000 | 0.6 ffffff 0 | 1 ffffff 0
"""
LINES = dict(line.split(": ", 1) for line in PRESETS.replace("\\\n", "").strip().splitlines())


def parts(words: str) -> list[int]:
    color, opacity = (*words.split(), "255")[:2]
    return [*bytes.fromhex(color), int(opacity)]


def test_the_presets_are_those_of_itksnap_in_its_order():
    assert list(NAMED) == list(LINES)


@pytest.mark.parametrize("name", LINES)
def test_a_preset_has_the_colours_of_its_control_points(name):
    head, *points = LINES[name].split(" | ")
    nan, below = head.split()
    places = [float(point.split()[0]) for point in points]
    colors = np.array([parts(point.split(" ", 1)[1]) for point in points])
    values = np.linspace(0, 1, 256)
    expected = np.stack([np.interp(values, places, colors[:, part]) for part in range(4)], axis=-1)
    np.testing.assert_allclose(NAMED[name](values) * 255, expected, atol=1e-6)
    outside = [[*colors[0, :3], int(below)], colors[-1], [*bytes.fromhex(nan), 255]]
    found = NAMED[name](np.array([-1e-9, 1 + 1e-9, np.nan])) * 255
    np.testing.assert_allclose(found, outside, atol=1e-6)


def test_a_name_that_itksnap_does_not_know_is_grey_and_case_matters():
    registry = Registry()
    assert color_map(Display(registry)) is NAMED["Grayscale"]
    assert unknown_name(Display(registry)) == ""
    for name, said in (
        ("jet", "no colour map 'jet' and shows it in grey: set the colour map Jet"),
        ("Blue to white", "no colour map 'Blue to white' .* set one of Grayscale, Jet, "),
        ("Custom", "its colour map Custom has no control points"),
    ):
        Display(registry).color_map = name
        assert color_map(Display(registry)) is NAMED["Grayscale"]
        assert re.search(said, unknown_name(Display(registry)))
    assert known_name("jET") == "Jet"  # of what a user types
    with pytest.raises(InvalidValue, match=r"'Blue to white' is no colour map .* Jet"):
        known_name("Blue to white")


@pytest.mark.parametrize(
    ("name", "counts"), [("Jet", False), ("jet", False), ("Custom", True), (None, True)]
)
def test_points_left_from_before_do_not_count_where_a_preset_is_named(name, counts):
    registry = Registry()
    folder = registry.make_folder("LayerMetaData.DisplayMapping.ColorMap")
    if name:
        folder["Preset"] = name
    folder["NumberOfControlPoints"] = "2"
    for number in range(2):
        point = folder.make_folder(f"ControlPoint[{number:04d}]")
        point["Index"], point["Type"], point["Left.G"] = str(number), "Continuous", "255"
    preset = NAMED.get(name or "", NAMED["Grayscale"])
    assert (color_map(Display(registry)) is not preset) == counts
    if counts:
        np.testing.assert_array_equal(
            color_map(Display(registry))(np.array([0.0, 1.0])), [[0, 1, 0, 1]] * 2
        )


def test_at_the_last_point_the_colour_before_it_counts():
    red, green, blue = ((1.0, 0, 0, 1), (0, 1.0, 0, 1), (0, 0, 1.0, 1))
    made = ColorMap([(0.0, red, red), (0.5, red, green), (1.0, green, blue)])
    np.testing.assert_array_equal(made(np.array([0.5, 1.0, 1.1])), [green, green, blue])


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

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from snapws import ComponentMode, InvalidValue, Workspace
from snapws.pictures.colormaps import NAMED, color_map

CORPUS = Path(__file__).parents[3] / "shared" / "corpus"


def test_defaults(base):
    display = base.main.display
    assert (display.color_map, display.opacity, display.sticky) == ("", 0.5, False)
    assert (display.mode, display.component, display.contrast) == (ComponentMode.COMPONENT, 0, ())
    assert base.main.registry.folder("LayerMetaData.DisplayMapping") is None


def test_settings(base):
    display = base.main.display
    display.color_map, display.opacity, display.sticky = "Jet", "35%", True
    folder = base.main.registry.folder("LayerMetaData")
    assert folder["DisplayMapping.ColorMap.Preset"] == "Jet"
    assert (folder["Alpha"], folder["Sticky"]) == ("0.35", "1")
    assert (display.color_map, display.opacity, display.sticky) == ("Jet", 0.35, True)


@pytest.mark.parametrize(
    ("given", "opacity"),
    [(0, 0), (1, 1), (0.25, 0.25), ("0.25", 0.25), ("100%", 1), (" 7.5% ", 0.075), ("1e-3", 0.001)],
)
def test_opacity_is_given_as_a_part_or_as_a_percentage(base, given, opacity):
    base.main.display.opacity = given
    assert base.main.display.opacity == base.main.display.stored_opacity == opacity


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (90, r"0 to 1 \(opaque\), not to 90: give 90%, or 35% for 90 of 255"),
        ("255", "not to 255: give 100% for 255 of 255"),
        (1.5, "give 1.5%, or 1% for 1.5 of 255"),
        (1000, r"not to 1000$"),
        ("101%", "not to 101%"),
        ("-1%", "'-1%' is not a valid opacity"),
        (-0.1, "-0.1 is not a valid opacity: give a number from 0 to 1, or 35%"),
        ("nan", "'nan' is not a valid opacity"),
        ("much", "'much' is not a valid opacity"),
        ("", "'' is not a valid opacity"),
    ],
)
def test_opacity_beyond_its_range_is_refused(base, given, said):
    with pytest.raises(InvalidValue, match=said):
        base.main.display.opacity = given
    assert "LayerMetaData.Alpha" not in base.main.registry


@pytest.mark.parametrize(("stored", "opacity"), [("255", 1), ("90", 1), ("-1", 0), ("0.2", 0.2)])
def test_a_stored_opacity_beyond_its_range_counts_as_its_end(base, stored, opacity):
    base.main.registry["LayerMetaData.Alpha"] = stored
    assert base.main.display.opacity == opacity
    assert base.main.display.stored_opacity == float(stored)


@pytest.mark.parametrize("mode", ComponentMode)
def test_modes(base, mode):
    display = base.main.display
    display.show(mode, component=2)
    assert (display.mode, display.component) == (mode, 2)


def test_an_unknown_mode(base):
    base.main.registry["LayerMetaData.DisplayMapping.SelectedScalarRep"] = "Median"
    with pytest.raises(InvalidValue, match="'Median', not a known mode"):
        base.main.display.mode  # noqa: B018


def test_contrast(base):
    display = base.main.display
    display.contrast = [(0, 0), (1, 0.2), (2, 0.4), (5, 1)]
    assert display.contrast == ((0, 0), (1, 0.2), (2, 0.4), (5, 1))
    display.set_linear_contrast(100, 400.5)
    assert display.contrast == ((100, 0), (250.25, 0.5), (400.5, 1))
    for bad in ([(1, 0)], [(1, 0), (1, 1)], [(2, 0), (1, 1)]):
        with pytest.raises(InvalidValue):
            display.contrast = bad
    display.contrast = ()
    assert base.main.registry.folder("LayerMetaData.DisplayMapping.Curve") is None


def test_an_invalid_value_is_refused(base):
    base.main.registry["LayerMetaData.Alpha"] = "much"
    with pytest.raises(InvalidValue, match="entry LayerMetaData.Alpha holds 'much'"):
        base.main.display.opacity  # noqa: B018


# ------------------------------------------------- several components, as ITK-SNAP saves them


def as_saved(registry, preset="Black to green", inputs=("0.672489", "0.865316", "0.958519")):
    """Set on a layer the display settings of a vector image, those of components set by hand."""
    mapping = registry.make_folder("LayerMetaData.DisplayMapping")
    mapping["SelectedScalarRep"], mapping["UseRGB"] = "Component", "0"
    for name in ("Average", "Component", "Magnitude", "Maximum"):
        own = inputs if name == "Component" else ("0", "0.5", "1")
        mapping[f"{name}.ColorMap.Preset"] = preset if name == "Component" else "Jet"
        mapping[f"{name}.Curve.NumberOfControlPoints"] = "3"
        for i, (value, output) in enumerate(zip(own, ("0", "0.5", "1"), strict=True)):
            mapping[f"{name}.Curve.ControlPoint[{i}].tValue"] = value
            mapping[f"{name}.Curve.ControlPoint[{i}].xValue"] = output
    return mapping


@pytest.mark.parametrize(
    ("mode", "preset", "first"),
    [
        (ComponentMode.COMPONENT, "Black to green", 0.672489),
        (ComponentMode.RGB, "Black to green", 0.672489),
        (ComponentMode.GRID, "Black to green", 0.672489),
        (ComponentMode.MAGNITUDE, "Jet", 0),
        (ComponentMode.MAXIMUM, "Jet", 0),
        (ComponentMode.AVERAGE, "Jet", 0),
    ],
)
def test_each_way_to_show_components_has_settings_of_its_own(base, mode, preset, first):
    display = base.main.display
    mapping = as_saved(display.registry)
    display.show(mode)
    assert (display.color_map, display.contrast[0]) == (preset, (first, 0))
    assert color_map(display) is NAMED[preset]
    before = dict(mapping.walk())
    display.color_map = "Hot"
    display.set_linear_contrast(0.25, 0.75)
    assert (display.color_map, display.contrast[0]) == ("Hot", (0.25, 0))
    shown = mode.value if mode.value in ("Magnitude", "Maximum", "Average") else "Component"
    changed = {key for key, value in mapping.walk() if before.get(key) != value}
    assert changed == {
        f"{shown}.ColorMap.Preset",
        *(f"{shown}.Curve.ControlPoint[{i}].tValue" for i in ((0, 2) if first == 0 else range(3))),
    }
    display.contrast = ()
    assert mapping.folder(f"{shown}.Curve") is None


def test_without_a_folder_for_what_is_shown_the_one_of_the_layer_counts(base):
    display = base.main.display
    display.show(ComponentMode.MAGNITUDE)
    display.color_map, display.contrast = "Jet", ((1, 0), (2, 1))
    base.main.registry["LayerMetaData.DisplayMapping.Component.ColorMap.Preset"] = "Hot"
    assert (display.color_map, display.contrast) == ("Jet", ((1, 0), (2, 1)))
    display.show(ComponentMode.COMPONENT)
    assert (display.color_map, display.contrast) == ("Hot", ())


def test_a_name_replaces_the_points_of_a_map(base):
    display = base.main.display
    mapping = base.main.registry.make_folder("LayerMetaData.DisplayMapping")
    mapping["ColorMap.Preset"], mapping["ColorMap.NumberOfControlPoints"] = "Custom", "2"
    for i, red in enumerate((0, 255)):
        point = mapping.make_folder(f"ColorMap.ControlPoint[{i:04d}]")
        point["Index"], point["Type"], point["Left.R"] = str(i), "Continuous", str(red)
    assert color_map(display)(np.array([1.0]))[0].tolist() == [1, 0, 0, 1]
    display.color_map = "Winter"
    assert color_map(display) is NAMED["Winter"]


def test_the_settings_of_a_vector_image_that_itksnap_saved():
    files = sorted(CORPUS.glob("workspaces/003_*.itksnap"))
    if not files:
        pytest.skip("the corpus of other people's files is not here")
    display = Workspace.open(files[0]).layers()[2].display
    assert display.color_map == "Black to green"
    assert [value for value, _ in display.contrast] == [0.672489, 0.865316, 0.958519]

from __future__ import annotations

import pytest

from snapws import ComponentMode, InvalidValue


def test_defaults(base):
    display = base.main.display
    assert (display.color_map, display.opacity, display.sticky) == ("", 255, False)
    assert (display.mode, display.component, display.contrast) == (ComponentMode.COMPONENT, 0, ())
    assert base.main.registry.folder("LayerMetaData.DisplayMapping") is None


def test_settings(base):
    display = base.main.display
    display.color_map, display.opacity, display.sticky = "Jet", 127.5, True
    folder = base.main.registry.folder("LayerMetaData")
    assert folder["DisplayMapping.ColorMap.Preset"] == "Jet"
    assert (folder["Alpha"], folder["Sticky"]) == ("127.5", "1")
    assert (display.color_map, display.opacity, display.sticky) == ("Jet", 127.5, True)


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


def test_a_value_that_is_not_of_its_kind(base):
    base.main.registry["LayerMetaData.Alpha"] = "much"
    with pytest.raises(InvalidValue, match="entry LayerMetaData.Alpha holds 'much'"):
        base.main.display.opacity  # noqa: B018

"""Many labels are changed at once."""

from __future__ import annotations

import pytest

from snapws.errors import InvalidValue
from snapws.label_edits import Changes, color_of, edited
from snapws.labels import Label

TABLE = (Label(1, "Left hippocampus"), Label(2, "Right hippocampus"), Label(300, "Skull", alpha=9))


@pytest.mark.parametrize(
    ("conditions", "meant"),
    [
        ([], [1, 2, 300]),
        (["name ~ ^left"], [1]),
        (["name !~ hippo"], [300]),
        (["name = Skull"], [300]),
        (["index<=2", "name ~ right"], [2]),
        (["opacity < 10"], [300]),
        (["visible = yes", "index != 1"], [2, 300]),
    ],
    ids=["all", "pattern", "no-pattern", "name", "two", "opacity", "visible"],
)
def test_labels_that_meet_all_conditions_change_and_others_stay(conditions, meant):
    found, count = edited(TABLE, conditions, Changes(color=(1, 2, 3), visible=False))
    assert [label.index for label in found if label.color == (1, 2, 3)] == meant
    assert [label.index for label in found if not label.visible] == meant
    assert count == len(meant)


@pytest.mark.parametrize(
    "text",
    ["", "name", "name < a", "name ~ (", "size = 3", "index = x", "index ~ 3", "visible = 1"],
)
def test_an_invalid_condition_is_refused(text):
    with pytest.raises(InvalidValue):
        edited(TABLE, [text], Changes(opacity=3))


def test_conditions_that_no_label_meets_are_refused():
    with pytest.raises(InvalidValue, match="no label meets"):
        edited(TABLE, ["name ~ kidney"], Changes(opacity=3))


@pytest.mark.parametrize("text", ["red", "#12345", "1,2", "1,2,x"])
def test_an_invalid_colour_is_refused(text):
    with pytest.raises(InvalidValue, match="not a valid colour"):
        color_of(text)

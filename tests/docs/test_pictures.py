"""The pictures of the pages: those in the repository are what is drawn now."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from docs import generate
from tests.docs.pages import DOCS, blocks, lines, text

NAMES = ("after", "before", "compared", "study", "tissues")
OF_A_BROWSER = ("view",)  # a page in the window of one, which draws letters in its own way
TOLERANCE = 2.0  # mean difference of a channel, of 255: registrations differ a little by processor


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    generate.show(folder)
    return folder


def difference(one: Path, other: Path) -> float:
    first, second = (np.asarray(Image.open(path).convert("RGB"), float) for path in (one, other))
    assert first.shape == second.shape, (one.name, first.shape, second.shape)
    return float(np.abs(first - second).mean())


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_is_what_is_drawn_now(name, drawn):
    kept = DOCS / "pictures" / f"{name}.png"
    again = "draw it again: python docs/generate.py"
    assert difference(kept, drawn / kept.name) < TOLERANCE, again
    assert kept.stat().st_size < 150_000


def test_another_picture_would_be_noticed(drawn):
    for one, other in (("before", "after"), ("tissues", "before"), ("study", "tissues")):
        assert difference(drawn / f"{one}.png", drawn / f"{other}.png") > 2 * TOLERANCE


def test_there_are_no_others():
    assert sorted(path.name for path in (DOCS / "pictures").iterdir()) == [
        f"{name}.png" for name in sorted((*NAMES, *OF_A_BROWSER))
    ]


def test_they_are_drawn_as_the_page_says():
    page = blocks(text("howto/look-at-a-workspace.md"))
    consoles = [block.text for block in page if block.language == "console"]
    typed = [line.command for console in consoles for line in lines(console)]
    assert [command for command in generate.LOOK if command not in typed] == []

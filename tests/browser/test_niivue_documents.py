"""Exported documents, opened by NiiVue alone in a real browser."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser

from snapws import Label, Workspace
from snapws.exporting.document import export_document
from snapws.pictures.scene import Scene
from tests.browser.marked import (
    BALL,
    FAR,
    HOSTILE,
    LABELLED,
    LIES,
    MARK,
    SHAPE,
    SPOT,
    Alone,
    affine,
    marked,
    middle,
    ramps,
    save,
)

if find_spec("ipyniivue") is None:
    pytest.skip("needs the extra 'viewer'", allow_module_level=True)

PAGE = """<!DOCTYPE html><meta charset="utf-8"><canvas id="canvas"></canvas>
<script type="module">
import { Niivue } from "./niivue.js";
const nv = new Niivue({ logLevel: "error" });
await nv.attachToCanvas(document.getElementById("canvas"));
const open = async (name) => {
  await nv.loadDocumentFromUrl(name);
  nv.opts.crosshairWidth = 0;
  nv.opts.isOrientationTextVisible = false;
};
window.snapws = { nv, open };
document.body.dataset.ready = "";
</script>"""


class Opened(Alone):
    """A page that opens documents."""

    html = PAGE

    def open(self, workspace: Workspace) -> Scene:
        """Export a workspace, and open the document."""
        export_document(workspace, self.folder / "study.nvd", force=True)
        self.page.evaluate("snapws.open('study.nvd')")
        return Scene(workspace)


@pytest.fixture(scope="module")
def opened(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    context = browser.new_context(viewport={"width": 760, "height": 480})
    yield Opened(context.new_page(), tmp_path_factory.mktemp("documents"))
    context.close()


@pytest.fixture
def make(tmp_path: Path) -> Callable[[str], Workspace]:
    return lambda lie: Workspace.open(marked(tmp_path, lie))


@pytest.mark.parametrize("lie", LIES)
def test_a_document_shows_marked_voxels_where_show_draws_them(opened, make, lie):
    scene = opened.open(make(lie))
    assert opened.voxel(scene) == list(scene.cursor())
    for voxel in (MARK, LABELLED):
        opened.go_to(scene, voxel)
        opened.assert_marked(scene, voxel)


def test_a_document_has_the_colours_and_names_of_labels(opened, make):
    scene = opened.open(make("straight"))
    opened.go_to(scene, FAR)
    opened.assert_far(scene)
    names = opened.page.evaluate("snapws.nv.volumes[1].colormapLabel.labels")
    assert {number: name for number, name in enumerate(names) if name} == {
        1: "One",
        7: "Mark",
        200: "Far",
    }


def test_a_document_cuts_a_mesh_where_show_cuts_it(opened, make):
    scene = opened.open(make("oblique"))
    opened.go_to(scene, BALL[0])
    opened.assert_cut(scene, *BALL)


def test_a_document_has_a_landmark_where_show_draws_it(opened, make):
    scene = opened.open(make("sagittal"))
    opened.go_to(scene, SPOT)
    for view, pictures in opened.views(scene, SPOT).items():
        centers = [middle(one[..., 1] - one[..., 2] > 60) for one in pictures]
        apart = (centers[0] - centers[1]) * scene.grid.millimetres(view)
        assert np.abs(apart).max() < 0.8, view


@pytest.mark.parametrize("shown", ["Grayscale", "Jet", "a curve", "Black to red"])
def test_a_document_has_the_colours_of_show(opened, tmp_path, shown):
    ws, overlay = ramps(tmp_path)
    if shown == "a curve":
        ws.main.display.contrast = [(0, 0), (0.3, 0.8), (1, 1)]
    else:
        overlay.display.color_map = shown
    scene = opened.open(ws)
    voxel = tuple(length // 2 for length in SHAPE)
    opened.go_to(scene, voxel)
    opened.assert_coloured(scene, voxel)


def test_a_document_keeps_time_points_and_values(opened, tmp_path):
    series = np.zeros((*SHAPE, 3), np.int16)
    series[..., 1], series[..., 2] = 100, 200
    ws = Workspace()
    ws.set_main(save(tmp_path / "series.nii.gz", series, np.eye(4)))
    opened.open(ws)
    assert opened.page.evaluate("snapws.nv.volumes[0].nFrame4D") == 3
    values = "[0, 1, 2].map((frame) => snapws.nv.volumes[0].getValue(5, 6, 7, frame))"
    assert opened.page.evaluate(values) == [0, 100, 200]


def test_hostile_texts_are_texts_in_a_document(opened, tmp_path):
    voxels = np.zeros(SHAPE, np.uint8)
    voxels[3:9] = 5
    path = save(tmp_path / "main.nii.gz", voxels, affine("straight"))
    ws = Workspace()
    ws.set_main(path).nickname = HOSTILE
    ws.add_segmentation(path, nickname=HOSTILE)
    ws.add_landmark((5, 5, 5), HOSTILE)
    ws.labels = [Label(5, HOSTILE, (10, 200, 30))]
    before = len(opened.said)
    opened.open(ws)
    assert opened.page.evaluate("snapws.nv.volumes[1].colormapLabel.labels[5]") == HOSTILE
    assert opened.page.evaluate("snapws.nv.volumes[0].name") == f"{HOSTILE}.nii"
    assert opened.page.title() == ""
    assert opened.said[before:] == []
    assert json.loads((opened.folder / "study.nvd").read_text())["title"] == ws.name

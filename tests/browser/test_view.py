"""The page of ``snapws view`` in a real browser, drawn by NiiVue without a graphics card."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page

from snapws import Label, Workspace, labels
from snapws.pictures.scene import Scene
from snapws.pictures.views import View
from snapws.viewer.server import Viewer
from tests.browser.conftest import SCREENSHOTS, note_what_is_said
from tests.browser.marked import (
    BALL,
    FAR,
    HOSTILE,
    LABELLED,
    LIES,
    MARK,
    MESHES,
    SHAPE,
    SPOT,
    Canvas,
    affine,
    marked,
    middle,
    save,
)

if find_spec("ipyniivue") is None:
    pytest.skip("needs the extra 'viewer'", allow_module_level=True)

BRAIN = Path(__file__).parents[2] / "fixtures" / "brain"


def _brain(folder: Path) -> Path:
    ws = Workspace()
    ws.set_main(BRAIN / "target.nii.gz").nickname = "Template"
    subject = ws.add_overlay(BRAIN / "source.nii.gz", nickname="Subject", tags=["Source"])
    subject.display.color_map, subject.display.sticky = "Hot", True
    subject.display.opacity = 0.35
    ws.add_segmentation(BRAIN / "target_labels.nii.gz", nickname="Tissues", tags=["Result"])
    ws.labels = labels.read_file(BRAIN / "labels.txt")
    ws.save(folder / "brain.itksnap")
    return folder / "brain.itksnap"


def _awkward(folder: Path) -> Path:
    """Write a workspace with hostile texts, time points, a missing and a damaged file."""
    series = np.zeros((*SHAPE, 3), np.int16)
    for time_point in range(3):
        series[..., time_point] = np.arange(SHAPE[0])[:, None, None] + 100 * time_point
    whole = save(folder / "map.nii.gz", series[..., 0], np.eye(4)).read_bytes()
    (folder / "cut.nii.gz").write_bytes(whole[:-20])
    seg = np.zeros((*SHAPE, 3), np.uint8)
    seg[:8], seg[8:16] = 3, 9
    ws = Workspace()
    ws.set_main(save(folder / "series.nii.gz", series, np.eye(4))).nickname = HOSTILE
    for name in ("map", "cut", "gone"):
        layer = ws.add_overlay(folder / f"{name}.nii.gz", nickname=f"{name} {HOSTILE}")
        layer.tags = [HOSTILE]
        layer.display.sticky = name == "cut"
    ws.add_segmentation(save(folder / "seg.nii.gz", seg, np.eye(4)), nickname=HOSTILE)
    (folder / "broken.vtk").write_text("# vtk DataFile Version 3.0\nx\nASCII\nDATASET POLYDATA\n")
    ws.add_mesh(folder / "broken.vtk", nickname=HOSTILE)
    ws.add_landmark((5, 5, 5), HOSTILE)
    ws.labels = [Label(3, HOSTILE, (10, 200, 30), 99), Label(9, "nine", (0, 0, 255), visible=False)]
    ws.save(folder / "awkward.itksnap")
    return folder / "awkward.itksnap"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """One server for all workspaces of this module."""
    folders = {name: tmp_path_factory.mktemp(name) for name in (*LIES, "brain", "awkward")}
    paths = [marked(folders[lie], lie) for lie in LIES]
    paths += [_brain(folders["brain"]), _awkward(folders["awkward"])]
    viewer = Viewer(paths)
    thread = threading.Thread(target=viewer.serve)
    thread.start()
    yield {"page": viewer.address, **{path.stem: path for path in paths}}
    viewer.close()
    thread.join()


class Looked(Canvas):
    """A page of the viewer."""

    def __init__(self, page: Page, address: str, name: str) -> None:
        self.page, self.said, self.asked = page, [], []
        note_what_is_said(page, self.said)
        page.on("request", lambda request: self.asked.append(request.url))
        page.goto(address)
        self.is_ready()
        self.choose(name)

    def is_ready(self) -> None:
        self.until("document.body.dataset.ready !== undefined")

    def choose(self, name: str) -> None:
        self.page.evaluate("delete document.body.dataset.ready")
        self.page.locator("#workspace").select_option(label=f"{name}.itksnap")
        self.is_ready()


@pytest.fixture(scope="module")
def looked(browser: Browser, address: dict[str, Any]) -> Iterator[Looked]:
    """One page for all tests that leave it as they found it."""
    context = browser.new_context(viewport={"width": 760, "height": 480})
    yield Looked(context.new_page(), address["page"], "straight")
    context.close()


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("voxel", [MARK, LABELLED], ids=["intensity", "label"])
def test_a_marked_voxel_is_where_show_draws_it(looked, address, lie, voxel):
    looked.choose(lie)
    looked.page.evaluate(
        "(voxel) => { snapws.nv.opts.crosshairWidth = 0;"
        " snapws.nv.opts.isOrientationTextVisible = false; snapws.goTo(voxel); }",
        list(voxel),
    )
    assert looked.page.evaluate("snapws.nv.meshes.length") == (lie in MESHES)
    looked.assert_marked(Scene(Workspace.open(address[lie])), voxel)


def test_a_label_beyond_127_leaves_the_rest_of_the_image_as_it_is(looked, address):
    looked.choose("straight")
    looked.page.evaluate(
        "(voxel) => { snapws.nv.opts.crosshairWidth = 0;"
        " snapws.nv.opts.isOrientationTextVisible = false; snapws.goTo(voxel); }",
        list(FAR),
    )
    looked.assert_far(Scene(Workspace.open(address["straight"])))


def test_a_mesh_is_cut_where_show_cuts_it(looked, address):
    looked.choose("oblique")
    looked.until("snapws.nv.meshes.length === 1")
    looked.page.evaluate(
        "(voxel) => { snapws.nv.opts.crosshairWidth = 0;"
        " snapws.nv.opts.isOrientationTextVisible = false; snapws.goTo(voxel); }",
        list(BALL[0]),
    )
    looked.assert_cut(Scene(Workspace.open(address["oblique"])), *BALL)


def test_a_landmark_is_where_show_draws_it_and_its_button_goes_there(looked, address):
    looked.choose("sagittal")
    looked.until("snapws.nv.meshes.length === 1")
    looked.page.evaluate(
        "snapws.nv.opts.crosshairWidth = 0; snapws.nv.opts.isOrientationTextVisible = false;"
    )
    looked.page.get_by_role("button", name="Spot").click()
    assert looked.page.evaluate("snapws.voxelAt(snapws.nv.scene.crosshairPos)") == list(SPOT)
    scene = Scene(Workspace.open(address["sagittal"]))
    places = [(view, SPOT[scene.grid.axis(view)]) for view in View]
    canvas, tiles = looked.canvas(), looked.tiles()
    for (view, _), drawn in zip(places, scene.draw(places, 200), strict=True):
        left, top, width, height = (round(one) for one in tiles[view])
        seen = canvas[top : top + height, left : left + width]
        centers = [middle(one[..., 1] - one[..., 2] > 60) for one in (seen, drawn.astype(int))]
        apart = (centers[0] - centers[1]) * scene.grid.millimetres(view)
        assert np.abs(apart).max() < 0.8, view


def test_the_place_under_the_cursor_is_named(looked):
    looked.choose("oblique")
    looked.page.evaluate("snapws.goTo([3, 14, 11])")
    looked.until("document.getElementById('place').innerText.includes('7 Mark')")
    text = looked.page.locator("#place").inner_text()
    ras = affine("oblique") @ [3, 14, 11, 1]
    assert f"Voxel 3, 14, 11 · RAS {', '.join(f'{one:.1f}' for one in ras[:3])} mm" in text


def test_keys_and_sliders_move_through_slices(looked):
    looked.choose("flipped")
    looked.page.evaluate("snapws.goTo([10, 10, 8])")
    at = "snapws.voxelAt(snapws.nv.scene.crosshairPos).join()"
    canvas = looked.page.locator("#canvas")
    # Its first axis runs to the patient's left, its third to the feet; left is on the right.
    for key, place in {
        "ArrowRight": "11,10,8",
        "ArrowLeft": "10,10,8",
        "ArrowUp": "10,11,8",
        "PageUp": "10,11,7",
    }.items():
        canvas.press(key)
        assert looked.page.evaluate(at) == place, key
    slider = looked.page.get_by_role("slider", name="Coronal")
    slider.press("ArrowRight")
    assert looked.page.evaluate(at) == "10,12,7"
    slider.press("Home")
    assert looked.page.evaluate(at) == "10,0,7"
    assert looked.page.locator("#slices output").nth(2).inner_text() == "0 of 19"


def test_hostile_texts_are_texts_and_bad_layers_say_why(looked):
    before = len(looked.said)
    looked.choose("awkward")
    page = looked.page
    assert page.title() == "awkward.itksnap"
    assert page.locator("script").count() == 1
    assert page.locator("#side img, #side svg, #side script").count() == 0
    names = page.locator("#layers label").all_inner_texts()
    # From below: tiles come right after the main image.
    overlays = [f"{name} {HOSTILE}" for name in ("map", "gone", "cut")]
    assert [name.strip() for name in names] == [HOSTILE, *overlays, HOSTILE]
    told = page.locator("#layers .bad").all_inner_texts()
    assert any("cut.nii.gz" in one for one in told)
    assert any("gone.nii.gz" in one for one in told)
    assert page.locator("#meshes label").all_inner_texts() == [HOSTILE]
    looked.until("document.querySelector('#meshes .bad').textContent.includes('broken.vtk')")
    assert page.locator("#annotations button").all_inner_texts() == [HOSTILE]
    assert page.locator("#labels li").all_inner_texts() == [f"3\n{HOSTILE}", "9\nnine"]
    # The browser itself remarks on an answer that is an error, or was cut.
    said = [one for one in looked.said[before:] if not one.startswith("Failed to load resource")]
    assert said == []


def test_a_line_says_that_the_opacity_of_a_label_alone_is_not_shown(looked):
    said = "NiiVue shows all labels with one opacity; these have their own: 3"
    looked.choose("straight")
    assert looked.page.get_by_text(said).count() == 0
    looked.choose("awkward")
    assert looked.page.get_by_text(said).is_visible()


def test_time_points_change_what_is_shown(looked):
    looked.choose("awkward")
    value = "document.getElementById('place').innerText"
    looked.page.evaluate("snapws.goTo([5, 10, 8])")
    assert ": 5\n" in looked.page.evaluate(value)
    slider = looked.page.get_by_role("slider", name="Time point")
    slider.press("ArrowRight")
    looked.until(f"{value}.includes(': 105\\n')")
    slider.press("Home")
    looked.until(f"{value}.includes(': 5\\n')")


def test_a_tile_is_shown_when_its_box_is_ticked(looked):
    looked.choose("awkward")
    count = "snapws.nv.volumes.length"
    before = looked.page.evaluate(count)
    box = looked.page.get_by_role("checkbox", name="map ", exact=False)
    assert not box.is_checked()
    box.check()
    looked.until(f"{count} === {before + 1}")
    box.uncheck()
    assert looked.page.evaluate("snapws.nv.volumes.at(-2).opacity") == 0


def test_nothing_is_asked_for_twice_at_first(browser, address):
    page = browser.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.removeprefix(address["page"])))
    page.goto(address["page"])
    while page.evaluate("document.body.dataset.ready === undefined"):
        page.wait_for_timeout(50)
    page.close()
    for path in ("w/0/contents.json", "w/0/layer/0/1.json", "w/0/layer/0.nii", "workspaces.json"):
        assert asked.count(path) == 1, asked


def test_nothing_is_asked_for_elsewhere(looked, address):
    assert looked.asked
    assert all(one.startswith((address["page"], "data:", "blob:")) for one in looked.asked)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_themes_are_readable_for_everybody(browser, address, scheme):
    size = {"width": 900, "height": 560}
    context = browser.new_context(viewport=size, color_scheme=scheme)
    seen = Looked(context.new_page(), address["page"], "brain")
    try:
        background = seen.page.evaluate("getComputedStyle(document.body).backgroundColor")
        light = sum(int(one) for one in background[4:-1].split(",")) > 384
        assert light == (scheme == "light")
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        seen.page.screenshot(path=SCREENSHOTS / f"view-brain-{scheme}.png", timeout=120_000)
        assert seen.said == []
        assert seen.complaints() == []
    finally:
        context.close()

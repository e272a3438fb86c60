"""The page of ``snapws view`` in a real browser, drawn by NiiVue without a graphics card."""

from __future__ import annotations

import base64
import io
import threading
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page

from snapws import Label, Workspace, labels
from snapws.pictures.scene import Scene
from snapws.pictures.views import View
from snapws.viewer.server import Viewer
from tests.browser.conftest import SCREENSHOTS, Visit

if find_spec("ipyniivue") is None:
    pytest.skip("needs the extra 'viewer'", allow_module_level=True)

BRAIN = Path(__file__).parents[2] / "fixtures" / "brain"
HOSTILE = (
    '</bdi></style></script><script>document.title="run"</script>'
    '<img src=x onerror="document.title=1">"\'><svg onload=alert(1)>'
)

SHAPE = (24, 20, 16)
MARK = (17, 5, 11)
#: Each image lies another way: its axes to the patient, as (rotations in degrees, signs, order).
LIES = {
    "straight": ((0, 0, 0), (1, 1, 1), (0, 1, 2)),
    "flipped": ((0, 0, 0), (-1, 1, -1), (0, 1, 2)),
    "sagittal": ((0, 0, 0), (1, -1, 1), (1, 2, 0)),
    "oblique": ((20, -15, 25), (-1, -1, 1), (0, 1, 2)),
    "steep": ((40, 43, 44), (1, 1, -1), (2, 0, 1)),
}


def _affine(lie: str) -> np.ndarray:
    angles, signs, order = LIES[lie]
    rotation = np.eye(3)
    for axis, angle in enumerate(np.deg2rad(angles)):
        one, other = [(1, 2), (2, 0), (0, 1)][axis]
        step = np.eye(3)
        step[[one, other], [one, other]] = np.cos(angle)
        step[one, other], step[other, one] = -np.sin(angle), np.sin(angle)
        rotation = step @ rotation
    affine = np.eye(4)
    affine[:3, :3] = rotation @ np.diag(signs)[:, list(order)] * (2.0, 2.5, 3.0)
    affine[:3, 3] = (-12, 30, 7)
    return affine


def _save(path: Path, voxels: np.ndarray, affine: np.ndarray) -> Path:
    nibabel.Nifti1Image(voxels, affine).to_filename(path)
    return path


def _ball(path: Path, center: np.ndarray, radius: float) -> Path:
    """Write a sphere as a mesh, in RAS mm."""
    rings, steps = 24, 32
    points = [
        center + radius * np.array([np.sin(a) * np.cos(b), np.sin(a) * np.sin(b), np.cos(a)])
        for a in np.linspace(0, np.pi, rings)
        for b in np.linspace(0, 2 * np.pi, steps, endpoint=False)
    ]
    triangles = []
    for ring in range(rings - 1):
        for step in range(steps):
            here, beside = ring * steps + step, ring * steps + (step + 1) % steps
            triangles += [(here, beside, here + steps), (beside, beside + steps, here + steps)]
    lines = ["# vtk DataFile Version 3.0", "vtk output", "ASCII", "DATASET POLYDATA"]
    lines += [f"POINTS {len(points)} double", *(" ".join(map(str, one)) for one in points)]
    lines += [f"POLYGONS {len(triangles)} {4 * len(triangles)}"]
    lines += [f"3 {a} {b} {c}" for a, b, c in triangles]
    path.write_text("\n".join(lines) + "\n")
    return path


SPOT = (9, 6, 4)
MESHES = ("oblique", "steep", "sagittal")  # the images with a mesh, or an annotation

#: Where a ball lies in the oblique image: voxel, and radius in mm.
BALL = ((12, 9, 8), 9.0)


def _marked(folder: Path, lie: str) -> Path:
    """Write a workspace with a bright voxel in a dark image, and a label that is one voxel."""
    voxels = np.full(SHAPE, 20, np.int16)
    voxels[MARK], voxels[0, 0, 0] = 1000, 0
    seg = np.zeros(SHAPE, np.uint8)
    seg[3, 14, MARK[2]] = 7
    ws = Workspace()
    ws.set_main(_save(folder / "main.nii.gz", voxels, _affine(lie)))
    ws.main.display.contrast = [(0, 0), (1, 1)]
    ws.add_segmentation(_save(folder / "seg.nii.gz", seg, np.eye(4)))
    ws.labels = [Label(7, "Mark", (255, 0, 0))]
    if lie == "oblique":
        center = (_affine(lie) @ [*BALL[0], 1])[:3]
        mesh = ws.add_mesh(_ball(folder / "ball.vtk", center, BALL[1]), nickname="Ball")
        mesh.registry["SolidColor"] = "0 1 0"
    if lie == "steep":  # reaches far beyond the image, whose views stay as they are
        center = (_affine(lie) @ [*SHAPE, 1])[:3]
        ws.add_mesh(_ball(folder / "far.vtk", center, 60)).registry["SolidColor"] = "0 0 0"
    if lie == "sagittal":
        ws.add_landmark(SPOT, "Spot")
        ws.annotations[0].color = (1, 1, 0)
    ws.save(folder / f"{lie}.itksnap")
    return folder / f"{lie}.itksnap"


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
    whole = _save(folder / "map.nii.gz", series[..., 0], np.eye(4)).read_bytes()
    (folder / "cut.nii.gz").write_bytes(whole[:-20])
    seg = np.zeros((*SHAPE, 3), np.uint8)
    seg[:8], seg[8:16] = 3, 9
    ws = Workspace()
    ws.set_main(_save(folder / "series.nii.gz", series, np.eye(4))).nickname = HOSTILE
    for name in ("map", "cut", "gone"):
        layer = ws.add_overlay(folder / f"{name}.nii.gz", nickname=f"{name} {HOSTILE}")
        layer.tags = [HOSTILE]
        layer.display.sticky = name == "cut"
    ws.add_segmentation(_save(folder / "seg.nii.gz", seg, np.eye(4)), nickname=HOSTILE)
    (folder / "broken.vtk").write_text("# vtk DataFile Version 3.0\nx\nASCII\nDATASET POLYDATA\n")
    ws.add_mesh(folder / "broken.vtk", nickname=HOSTILE)
    ws.add_landmark((5, 5, 5), HOSTILE)
    ws.labels = [Label(3, HOSTILE, (10, 200, 30)), Label(9, "nine", (0, 0, 255), visible=False)]
    ws.save(folder / "awkward.itksnap")
    return folder / "awkward.itksnap"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """One server for all workspaces of this module."""
    folders = {name: tmp_path_factory.mktemp(name) for name in (*LIES, "brain", "awkward")}
    paths = [_marked(folders[lie], lie) for lie in LIES]
    paths += [_brain(folders["brain"]), _awkward(folders["awkward"])]
    viewer = Viewer(paths)
    thread = threading.Thread(target=viewer.serve)
    thread.start()
    yield {"page": viewer.address, **{path.stem: path for path in paths}}
    viewer.close()
    thread.join()


class Looked(Visit):
    """A page of the viewer."""

    def __init__(self, page: Page, address: str, name: str) -> None:
        self.page, self.said, self.asked = page, [], []
        page.on("console", lambda message: self.said.append(message.text))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("dialog", lambda dialog: (self.said.append(dialog.message), dialog.dismiss()))
        page.on("popup", lambda popup: self.said.append(f"popup {popup.url}"))
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

    def until(self, expression: str) -> None:
        """Wait, for a page that the processor draws, until an expression is true."""
        for _ in range(1200):
            if self.page.evaluate(expression):
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(f"not true within a minute: {expression}")

    def canvas(self) -> np.ndarray:
        """Return what is on the canvas: (height, width, 3)."""
        # The next frame, before the browser clears what was drawn.
        data = self.page.evaluate(
            """() => { snapws.nv.drawScene();
                 return snapws.nv.canvas.toDataURL("image/png").split(",")[1]; }"""
        )
        image = Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")
        return np.asarray(image).astype(int)

    def tiles(self) -> dict[View, tuple[float, float, float, float]]:
        """Return where on the canvas each view is: left, top, width and height."""
        found = self.page.evaluate(
            "snapws.nv.screenSlices.map((one) => [one.axCorSag, ...one.leftTopWidthHeight])"
        )
        views = {0: View.AXIAL, 1: View.CORONAL, 2: View.SAGITTAL}
        return {views[which]: tuple(place) for which, *place in found if which in views}


@pytest.fixture(scope="module")
def looked(browser: Browser, address: dict[str, Any]) -> Iterator[Looked]:
    """One page for all tests that leave it as they found it."""
    context = browser.new_context(viewport={"width": 760, "height": 480})
    yield Looked(context.new_page(), address["page"], "straight")
    context.close()


def _center(where: np.ndarray) -> np.ndarray:
    """Return the centre of what is true, as parts of the width and of the height."""
    rows, columns = np.nonzero(where)
    assert len(rows), "nothing is there"
    height, width = where.shape
    return np.array([(columns.mean() + 0.5) / width, (rows.mean() + 0.5) / height])


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("voxel", [MARK, (3, 14, MARK[2])], ids=["intensity", "label"])
def test_a_marked_voxel_is_where_show_draws_it(looked, address, lie, voxel):
    looked.choose(lie)
    looked.page.evaluate(
        "(voxel) => { snapws.nv.opts.crosshairWidth = 0;"
        " snapws.nv.opts.isOrientationTextVisible = false; snapws.goTo(voxel); }",
        list(voxel),
    )
    assert looked.page.evaluate("snapws.nv.meshes.length") == (lie in MESHES)
    scene = Scene(Workspace.open(address[lie]))
    places = [(view, voxel[scene.grid.axis(view)]) for view in View]

    def found(picture: np.ndarray) -> np.ndarray:
        red, green, blue = (picture[..., part].astype(int) for part in range(3))
        return (red - green > 60) if voxel != MARK else (np.minimum(green, blue) > 150)

    canvas, tiles = looked.canvas(), looked.tiles()
    assert tiles.keys() == set(View)
    for (view, _), drawn in zip(places, scene.draw(places, 200), strict=True):
        left, top, width, height = (round(one) for one in tiles[view])
        seen = canvas[top : top + height, left : left + width]
        apart = _center(found(seen)) - _center(found(drawn))
        across, down = scene.grid.millimetres(view)
        # A voxel is 2 mm and more.
        assert np.abs(apart * (across, down)).max() < 0.8, view


def test_a_mesh_is_cut_where_show_cuts_it(looked, address):
    looked.choose("oblique")
    looked.until("snapws.nv.meshes.length === 1")
    looked.page.evaluate(
        "(voxel) => { snapws.nv.opts.crosshairWidth = 0;"
        " snapws.nv.opts.isOrientationTextVisible = false; snapws.goTo(voxel); }",
        list(BALL[0]),
    )
    scene = Scene(Workspace.open(address["oblique"]))
    places = [(view, BALL[0][scene.grid.axis(view)]) for view in View]
    canvas, tiles = looked.canvas(), looked.tiles()
    for (view, _), drawn in zip(places, scene.draw(places, 200), strict=True):
        left, top, width, height = (round(one) for one in tiles[view])
        mm = np.array(scene.grid.millimetres(view))
        extents = []
        for picture in (canvas[top : top + height, left : left + width], drawn.astype(int)):
            rows, columns = np.nonzero(picture[..., 1] - picture[..., 0] > 60)
            high, wide = picture.shape[:2]
            ends = [[one.min() + 0.5, one.max() + 0.5] for one in (columns, rows)]
            extents.append(np.array(ends) / [[wide], [high]] * mm[:, None])
        assert np.abs(extents[0] - extents[1]).max() < 1.0, view
        assert np.abs(np.diff(extents[1])[:, 0] - 2 * BALL[1]).max() < 1.0, view


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
        centers = [_center(one[..., 1] - one[..., 2] > 60) for one in (seen, drawn.astype(int))]
        apart = (centers[0] - centers[1]) * scene.grid.millimetres(view)
        assert np.abs(apart).max() < 0.8, view


def test_the_place_under_the_cursor_is_named(looked):
    looked.choose("oblique")
    looked.page.evaluate("snapws.goTo([3, 14, 11])")
    looked.until("document.getElementById('place').innerText.includes('7 Mark')")
    text = looked.page.locator("#place").inner_text()
    ras = _affine("oblique") @ [3, 14, 11, 1]
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

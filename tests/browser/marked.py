"""Workspaces with a marked voxel, and where NiiVue draws it on its canvas."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from PIL import Image
from playwright.sync_api import Page, Route

from snapws import Label, Layer, Workspace
from snapws.pictures.scene import Scene
from snapws.pictures.views import View
from snapws.viewer.bundle import find_bundle
from tests.browser.conftest import Visit, note_what_is_said
from tests.rotations import turned

HOSTILE = (
    '</bdi></style></script><script>document.title="run"</script>'
    '<img src=x onerror="document.title=1">"\'><svg onload=alert(1)>'
)

_ADDRESS = "http://niivue.test/"

SHAPE = (24, 20, 16)
MARK = (17, 5, 11)
LABELLED, FAR = (3, 14, 11), (20, 2, 3)
#: Each image lies another way: its axes to the patient, as (rotations in degrees, signs, order).
LIES = {
    "straight": ((0, 0, 0), (1, 1, 1), (0, 1, 2)),
    "flipped": ((0, 0, 0), (-1, 1, -1), (0, 1, 2)),
    "sagittal": ((0, 0, 0), (1, -1, 1), (1, 2, 0)),
    "oblique": ((20, -15, 25), (-1, -1, 1), (0, 1, 2)),
    "steep": ((40, 43, 44), (1, 1, -1), (2, 0, 1)),
}


def ramps(folder: Path) -> tuple[Workspace, Layer]:
    """Make a workspace of a ramp along x, and the overlay: the other way, half opaque."""
    ramp = np.zeros(SHAPE, np.int16)
    ramp[:] = np.arange(SHAPE[0])[:, None, None] * 10
    ws = Workspace()
    ws.set_main(save(folder / "main.nii.gz", ramp, np.diag([2, 2, 2, 1])))
    overlay = ws.add_overlay(save(folder / "over.nii.gz", ramp[::-1], np.diag([2, 2, 2, 1])))
    overlay.display.sticky, overlay.display.opacity = True, 0.5
    return ws, overlay


def affine(lie: str) -> np.ndarray:
    angles, signs, order = LIES[lie]
    rotation = turned(*angles)
    affine = np.eye(4)
    affine[:3, :3] = rotation @ np.diag(signs)[:, list(order)] * (2.0, 2.5, 3.0)
    affine[:3, 3] = (-12, 30, 7)
    return affine


def save(path: Path, voxels: np.ndarray, affine: np.ndarray) -> Path:
    nibabel.Nifti1Image(voxels, affine).to_filename(path)
    return path


def ball(path: Path, center: np.ndarray, radius: float) -> Path:
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


def marked(folder: Path, lie: str) -> Path:
    """Write a workspace with a bright voxel in a dark image, and a label that is one voxel."""
    voxels = np.full(SHAPE, 20, np.int16)
    voxels[MARK], voxels[0, 0, 0] = 1000, 0
    seg = np.zeros(SHAPE, np.uint8)
    seg[LABELLED], seg[FAR] = 7, 200
    ws = Workspace()
    ws.set_main(save(folder / "main.nii.gz", voxels, affine(lie)))
    ws.main.display.contrast = [(0, 0), (1, 1)]
    ws.add_segmentation(save(folder / "seg.nii.gz", seg, np.eye(4)))
    ws.labels = [Label(7, "Mark", (255, 0, 0))]
    if lie == "straight":  # the first and the last label of a large table
        ws.labels = [Label(1, "One", (0, 0, 255)), *ws.labels, Label(200, "Far", (0, 0, 255))]
    if lie == "oblique":
        center = (affine(lie) @ [*BALL[0], 1])[:3]
        mesh = ws.add_mesh(ball(folder / "ball.vtk", center, BALL[1]), nickname="Ball")
        mesh.registry["SolidColor"] = "0 1 0"
    if lie == "steep":  # reaches far beyond the image, whose views stay as they are
        center = (affine(lie) @ [*SHAPE, 1])[:3]
        ws.add_mesh(ball(folder / "far.vtk", center, 60)).registry["SolidColor"] = "0 0 0"
    if lie == "sagittal":
        ws.add_landmark(SPOT, "Spot")
        ws.annotations[0].color = (1, 1, 0)
    ws.save(folder / f"{lie}.itksnap")
    return folder / f"{lie}.itksnap"


def middle(where: np.ndarray) -> np.ndarray:
    """Return the centre of what is true, as parts of the width and of the height."""
    rows, columns = np.nonzero(where)
    assert len(rows), "nothing is there"
    height, width = where.shape
    return np.array([(columns.mean() + 0.5) / width, (rows.mean() + 0.5) / height])


class Canvas(Visit):
    """A page that draws with NiiVue, which is ``snapws.nv`` there."""

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

    def views(self, scene: Scene, voxel: tuple[int, ...]) -> dict[View, tuple[Any, Any]]:
        """Return of each view what is on the canvas, and what `snapws show` draws."""
        places = [(view, voxel[scene.grid.axis(view)]) for view in View]
        canvas, tiles = self.canvas(), self.tiles()
        assert tiles.keys() == set(View)
        found = {}
        for (view, _), drawn in zip(places, scene.draw(places, 200), strict=True):
            left, top, width, height = (round(one) for one in tiles[view])
            seen = canvas[top : top + height, left : left + width]
            found[view] = (seen, drawn.astype(int))
        return found

    def assert_marked(self, scene: Scene, voxel: tuple[int, ...]) -> None:
        """Check that the voxel is where `snapws show` draws it."""

        def is_mark(picture: np.ndarray) -> np.ndarray:
            red, green, blue = (picture[..., part] for part in range(3))
            return (red - green > 60) if voxel != MARK else (np.minimum(green, blue) > 150)

        for view, (seen, drawn) in self.views(scene, voxel).items():
            apart = middle(is_mark(seen)) - middle(is_mark(drawn))
            # A voxel is 2 mm and more.
            assert np.abs(apart * scene.grid.millimetres(view)).max() < 0.8, view

    def assert_far(self, scene: Scene) -> None:
        """Check that the blue label is one voxel, where `snapws show` draws it."""
        for view, pictures in self.views(scene, FAR).items():
            blue = [picture[..., 2] - picture[..., 0] > 60 for picture in pictures]
            assert blue[0].mean() < 0.02, view
            apart = middle(blue[0]) - middle(blue[1])
            assert np.abs(apart * scene.grid.millimetres(view)).max() < 0.8, view

    def assert_coloured(self, scene: Scene, voxel: tuple[int, ...]) -> None:
        """Check that there are the colours of `snapws show`, by some places of each view."""
        for view, pictures in self.views(scene, voxel).items():
            rows = []
            for picture in pictures:
                high, wide = picture.shape[:2]
                columns = (np.array([0.15, 0.3, 0.45, 0.6, 0.7, 0.85]) * wide).astype(int)
                rows.append(picture[high // 3, columns])
            assert np.abs(rows[0] - rows[1]).max() < 20, (view, rows)

    def assert_cut(self, scene: Scene, voxel: tuple[int, ...], radius: float) -> None:
        """Check that a green ball is cut where `snapws show` cuts it."""
        for view, pictures in self.views(scene, voxel).items():
            mm = np.array(scene.grid.millimetres(view))
            extents = []
            for picture in pictures:
                rows, columns = np.nonzero(picture[..., 1] - picture[..., 0] > 60)
                high, wide = picture.shape[:2]
                ends = [[one.min() + 0.5, one.max() + 0.5] for one in (columns, rows)]
                extents.append(np.array(ends) / [[wide], [high]] * mm[:, None])
            assert np.abs(extents[0] - extents[1]).max() < 1.0, view
            assert np.abs(np.diff(extents[1])[:, 0] - 2 * radius).max() < 1.0, view


class Alone(Canvas):
    """A page with NiiVue alone, beside the files of a folder. None of it is on a network.

    Attributes:
        html: The page, which sets ``snapws.nv`` and ``document.body.dataset.ready``.
    """

    html = ""

    def __init__(self, page: Page, folder: Path) -> None:
        self.page, self.said, self.asked, self.folder = page, [], [], folder
        note_what_is_said(page, self.said)
        page.route(f"{_ADDRESS}**", self._answer)
        page.goto(_ADDRESS)
        self.until("document.body.dataset.ready !== undefined")

    def _answer(self, route: Route) -> None:
        name = route.request.url.removeprefix(_ADDRESS)
        if not name:
            route.fulfill(body=self.html, content_type="text/html; charset=utf-8")
        elif name == "niivue.js":
            module, tail = find_bundle()
            kind = "text/javascript; charset=utf-8"
            route.fulfill(body=module.read_bytes() + tail, content_type=kind)
        elif (self.folder / name).is_file():
            route.fulfill(path=self.folder / name, content_type="application/json")
        else:
            route.fulfill(status=404)

    def go_to(self, scene: Scene, voxel: tuple[int, ...]) -> None:
        """Move the views to a voxel of the main image."""
        mm = scene.grid.straightened() @ [*voxel, 1]
        self.page.evaluate(
            "(mm) => { snapws.nv.scene.crosshairPos = snapws.nv.mm2frac(mm); }", mm[:3].tolist()
        )

    def voxel(self, scene: Scene) -> list[int]:
        """Return the voxel of the main image at which the views are."""
        mm = self.page.evaluate("[...snapws.nv.frac2mm(snapws.nv.scene.crosshairPos)].slice(0, 3)")
        at = np.linalg.inv(scene.grid.straightened()) @ [*mm, 1]
        found: list[int] = np.rint(at[:3]).astype(int).tolist()
        return found

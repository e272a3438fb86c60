"""The widget of a notebook, made without a browser."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from snapws import Label, LayerFileMissing, LayerNotFound, PictureError, Workspace
from snapws.viewer.stage import Stage

pytest.importorskip("ipyniivue", reason="needs the extra 'viewer'")

SHAPE = (5, 4, 3)
OBLIQUE = np.array(
    [[0.8, -0.6, 0, -12.5], [0.6, 0.8, 0, 30.25], [0, 0, 2.5, 7], [0, 0, 0, 1]], dtype=np.float64
)


def written(path: Path, voxels: np.ndarray) -> Path:
    nibabel.Nifti1Image(voxels, OBLIQUE, dtype=voxels.dtype).to_filename(path)
    return path


@pytest.fixture
def study(tmp_path) -> Workspace:
    ramp = np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE)
    ws = Workspace.new(written(tmp_path / "main.nii", ramp))
    ws.main.nickname = "T1"
    ws.main.display.contrast = [(10, 0), (30, 1)]
    over = ws.add_overlay(written(tmp_path / "over.nii", ramp), nickname="Map")
    over.display.sticky, over.display.opacity, over.display.color_map = True, 0.25, "Jet"
    ws.add_overlay(written(tmp_path / "tile.nii", ramp), nickname="Tile")
    ws.add_segmentation(written(tmp_path / "seg.nii", (ramp // 20).astype(np.uint8)))
    ws.labels = [Label(1, "One", (1, 2, 3)), Label(2, "Two", (4, 5, 6), visible=False)]
    ws.add_landmark((1, 2, 1), "Spot")
    return ws


def test_a_widget_has_the_images_where_the_page_has_them(study):
    stage, widget = Stage(study), study.view(height=300)
    layers = stage.contents()["layers"]
    assert widget.height == 300
    assert len(widget.volumes) == len(layers) == 4
    for about, volume in zip(layers, widget.volumes, strict=True):
        sent = stage.volume(about["number"])
        assert volume.data == sent.block + b"".join(sent.pieces())
    assert widget.scene.crosshair_pos == stage.crosshair()
    assert widget.opts.is_radiological_convention
    assert widget.opts.is_slice_mm
    assert widget.meshes[-1].data == stage.annotations().to_mz3()


def test_a_widget_has_the_colours_of_the_workspace(study):
    widget = study.view()
    shown = {volume.name: volume for volume in widget.volumes}
    assert {name: volume.opacity for name, volume in shown.items()} == {
        "T1.nii": 1,
        "Tile.nii": 0,
        "Map.nii": 0.25,
        "seg.nii.nii": 0.5,
    }
    table = shown["seg.nii.nii"].colormap_label
    assert table.lut == [0, 0, 0, 0, 1, 2, 3, 255, 4, 5, 6, 0]
    assert (table.min, table.max, table.labels) == (0, 2, ["", "One", "Two"])
    main = Stage(study).display(0, 1)
    assert (shown["T1.nii"].cal_min, shown["T1.nii"].cal_max) == (main["least"], main["greatest"])


def test_a_widget_on_a_page_gets_the_colour_maps_that_its_volumes_name(study, monkeypatch):
    widget = study.view()
    sent: list[Any] = []
    monkeypatch.setattr(widget, "send", lambda content, buffers=None: sent.append(content))
    assert sent == []
    widget.set_state({"_canvas_attached": True})
    maps = dict(one["data"] for one in sent if one["type"] == "add_colormap")
    jet = Stage(study).display(1, 1)["colors"]
    assert maps["layer-1"] == jet
    named = {volume.colormap for volume in widget.volumes if not volume.colormap_label}
    assert named == set(maps)
    assert sent[-1]["type"] == "update_gl_volume"


def test_without_ipyniivue_the_error_says_how_to_install_it(study, monkeypatch):
    monkeypatch.setitem(sys.modules, "ipyniivue", None)
    with pytest.raises(PictureError, match=r"pip install 'snapws\[viewer\]'"):
        study.view()


def test_a_layer_that_cannot_be_shown_is_named(study):
    study.layers()[1].path.unlink()
    with pytest.raises(LayerFileMissing, match=r"layer 001.*over\.nii"):
        study.view()


def test_a_workspace_without_a_main_image_has_no_widget():
    with pytest.raises(LayerNotFound, match="main image"):
        Workspace().view()

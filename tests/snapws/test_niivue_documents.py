"""Documents of NiiVue: what is in the file. How NiiVue shows it is seen in a browser."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from typer.testing import CliRunner

from snapws import ImageDamaged, InvalidValue, Label, LayerFileMissing, Workspace
from snapws.cli.app import app
from snapws.display import ComponentMode
from snapws.exporting import nvd
from snapws.exporting.document import export_document
from snapws.viewer.label_colors import label_colors
from snapws.viewer.stage import Stage

SHAPE = (5, 4, 3)
OBLIQUE = np.array(
    [[0.8, -0.6, 0, -12.5], [0.6, 0.8, 0, 30.25], [0, 0, 2.5, 7], [0, 0, 0, 1]], dtype=np.float64
)
VTK = (
    "# vtk DataFile Version 3.0\nm\nASCII\nDATASET POLYDATA\n"
    "POINTS 3 float\n%s\nPOLYGONS 1 4\n3 0 1 2\n"
)


def written(path: Path, voxels: np.ndarray, affine: np.ndarray = OBLIQUE) -> Path:
    nibabel.Nifti1Image(voxels, affine, dtype=voxels.dtype).to_filename(path)
    return path


def ramp(kind: str = "i2", shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return np.arange(np.prod(shape)).reshape(shape, order="F").astype(kind)


def workspace(folder: Path, *, kind: str = "i2", affine: np.ndarray = OBLIQUE) -> Workspace:
    return Workspace.new(written(folder / "main.nii", ramp(kind), affine))


def exported(ws: Workspace, folder: Path) -> tuple[dict[str, Any], list[str]]:
    made = export_document(ws, folder / "study.nvd")
    assert made.files == [folder / "study.nvd"]
    return json.loads(made.files[0].read_bytes()), made.left_out


def image(document: dict[str, Any], place: int) -> nibabel.Nifti1Image:
    packed = base64.b64decode(document["encodedImageBlobs"][place], validate=True)
    return nibabel.Nifti1Image.from_bytes(gzip.decompress(packed))


@pytest.mark.parametrize("kind", ["u1", "i2", "f4", "f8"])
def test_a_document_has_the_images_that_the_page_gets(tmp_path, kind):
    ws = workspace(tmp_path, kind=kind)
    ws.add_overlay(written(tmp_path / "over.nii.gz", ramp(kind)[::-1], np.eye(4)))
    ws.add_segmentation(written(tmp_path / "seg.nii.gz", ramp("u1")))
    document, _ = exported(ws, tmp_path)
    stage = Stage(ws)
    for place, about in enumerate(stage.contents()["layers"]):
        volume = stage.volume(about["number"])
        sent = nibabel.Nifti1Image.from_bytes(volume.block + b"".join(volume.pieces()))
        found = image(document, place)
        assert np.array_equal(found.get_fdata(), sent.get_fdata())
        assert np.array_equal(found.affine, sent.affine)


def test_a_document_has_the_contrast_opacity_and_colours_of_the_workspace(tmp_path):
    ws = workspace(tmp_path)
    ws.main.display.contrast = [(10, 0), (30, 1)]
    over = ws.add_overlay(written(tmp_path / "over.nii", ramp()), nickname="Over")
    over.display.sticky, over.display.opacity, over.display.color_map = True, 0.25, "Black to red"
    ws.add_segmentation(written(tmp_path / "seg.nii.gz", ramp("u1") // 20), nickname="Seg")
    ws.labels = [Label(1, "One", (1, 2, 3)), Label(2, "Two", (4, 5, 6), visible=False)]
    document, left_out = exported(ws, tmp_path)
    main, overlay, segmentation = document["imageOptionsArray"]
    assert (main["name"], main["colormap"], main["opacity"]) == ("main.nii.nii", "gray", 1)
    assert (main["cal_min"], main["cal_max"]) == (10, 30)
    assert (overlay["name"], overlay["colormap"], overlay["opacity"]) == ("Over.nii", "red", 0.25)
    table = segmentation["colormapLabel"]
    assert table["lut"] == [0, 0, 0, 0, 1, 2, 3, 255, 4, 5, 6, 0]
    assert (table["min"], table["max"], table["labels"]) == (0, 2, ["", "One", "Two"])
    assert [line.split(":")[0] for line in left_out] == ["the main image's oblique place"]


def test_colours_that_niivue_cannot_name_are_those_of_the_voxels(tmp_path):
    ws = workspace(tmp_path, affine=np.eye(4))
    ws.main.display.contrast = [(0, 0), (20, 0.9), (59, 1)]
    document, left_out = exported(ws, tmp_path)
    assert "colormap" not in document["imageOptionsArray"][0]
    colors = np.asarray(image(document, 0).dataobj)
    assert colors.dtype.names == ("R", "G", "B", "A")
    shades = np.interp(ramp(), [0, 20, 59], [0, 0.9, 1]) * 255
    for part in "RGB":
        assert np.abs(colors[part] - shades).max() <= 1
    assert (colors["A"] == 255).all()
    assert [line.split(":")[:2] for line in left_out] == [["layer 000", " its numbers"]]


def test_meshes_and_annotations_are_surfaces_in_the_frame_of_the_images(tmp_path):
    ws = workspace(tmp_path)
    voxels = np.array([[0, 0, 0], [4, 0, 0], [0, 3, 2]], dtype=np.float64)
    ras = voxels @ OBLIQUE[:3, :3].T + OBLIQUE[:3, 3]
    (tmp_path / "m.vtk").write_text(VTK % " ".join(f"{one:.6f}" for one in ras.ravel()))
    mesh = ws.add_mesh(tmp_path / "m.vtk", nickname="Cortex")
    mesh.registry["SolidColor"] = "1 0 0"
    ws.add_landmark((1, 2, 1), "Spot")
    document, left_out = exported(ws, tmp_path)
    surface, marks = _cloned(json.loads(document["meshesString"]))
    assert (surface["name"], surface["rgba255"], surface["tris"]) == (
        "Cortex",
        [255, 0, 0, 255],
        [0, 1, 2],
    )
    frame = image(document, 0).affine
    expected = voxels @ frame[:3, :3].T + frame[:3, 3]
    np.testing.assert_allclose(np.reshape(surface["pts"], (3, 3)), expected, atol=1e-4)
    center = np.reshape(marks["pts"], (-1, 3)).mean(axis=0)
    np.testing.assert_allclose(center, frame[:3, :3] @ [1, 2, 1] + frame[:3, 3], atol=1e-4)
    assert marks["rgba255"] == [255, 0, 0, 255] * 6
    assert left_out[0] == "the texts of landmarks"


def _cloned(records: list[Any], place: int = 0) -> Any:
    """Return the value of a structured clone."""
    kind, content = records[place]
    if kind == 1:
        return [_cloned(records, one) for one in content]
    if kind == 2:
        return {_cloned(records, key): _cloned(records, one) for key, one in content}
    return content


def test_what_a_document_cannot_hold_is_listed(tmp_path):
    ws = workspace(tmp_path, affine=np.eye(4))
    ws.main.tags = ["Target"]
    ws.add_overlay(written(tmp_path / "tile.nii", ramp(), np.eye(4)))
    vector = ws.add_overlay(written(tmp_path / "v.nii", ramp("f4", (*SHAPE, 1, 3)), np.eye(4)))
    vector.display.show(ComponentMode.RGB)
    vector.display.sticky = True
    many = ws.add_overlay(written(tmp_path / "m.nii", ramp("f4", (*SHAPE, 1, 40)), np.eye(4)))
    many.display.show(ComponentMode.MAGNITUDE)
    many.display.sticky = True
    for name, points, time_point in (("later", "0 0 0 1 0 0 0 1 0", 2), ("far", "900 " * 9, 1)):
        (tmp_path / f"{name}.vtk").write_text(VTK % points)
        ws.add_mesh(tmp_path / f"{name}.vtk", time_point=time_point)
    labels = written(tmp_path / "labels.nii", np.ones(SHAPE, np.uint8), np.eye(4))
    ws.add_segmentation(labels)
    ws.labels = [Label(1, "One", alpha=100), Label(2, "Two", alpha=100)]
    ws.save(tmp_path / "study.itksnap")
    target = tmp_path / "out.nvd"
    result = CliRunner().invoke(app, ["export", str(ws.path), str(target)])
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"{target}\n"
    said = [line.partition("left out: ")[2] for line in result.stderr.splitlines()]
    assert [line.split(": ")[0] for line in said] == [
        "layer 000",
        "layer 001",
        "layer 002",
        "layer 003",
        "layer 004",
        "mesh:0",
        "mesh:1",
    ]
    words = ("tags", "tile", "numbers", "components", "their own: 1", "time point 2", "outside")
    for line, word in zip(said, words, strict=True):
        assert word in line, line


def test_the_same_workspace_gives_the_same_document(tmp_path):
    ws = workspace(tmp_path)
    first, second = (export_document(ws, tmp_path / name).files[0] for name in ("1.nvd", "2.nvd"))
    assert first.read_bytes() == second.read_bytes()


def test_a_document_is_written_in_pieces(tmp_path):
    class Sizes:
        largest = total = 0

        def write(self, data: bytes) -> None:
            self.largest, self.total = max(self.largest, len(data)), self.total + len(data)

    noise = np.random.default_rng(0).integers(0, 255, (256, 256, 192), dtype=np.uint8)
    ws = Workspace.new(written(tmp_path / "main.nii", noise))
    sizes = Sizes()
    nvd.write(sizes, {}, [Stage(ws).volume(0)], [])
    assert sizes.total > noise.size
    assert sizes.largest < 4 << 20


def test_what_no_browser_opens_is_refused_in_one_line_and_leaves_nothing(tmp_path, monkeypatch):
    ws = workspace(tmp_path)
    (tmp_path / "old.nvd").write_bytes(b"mine")
    before = sorted(tmp_path.iterdir())
    monkeypatch.setattr(nvd, "MOST", 500)
    with pytest.raises(InvalidValue, match="the most that a browser opens") as caught:
        export_document(ws, tmp_path / "old.nvd", force=True)
    assert "\n" not in str(caught.value)
    monkeypatch.setattr(nvd, "MOST_OF_IMAGE", 100)
    with pytest.raises(InvalidValue, match="layer 000: its image has"):
        export_document(ws, tmp_path / "new.nvd")
    assert sorted(tmp_path.iterdir()) == before
    assert (tmp_path / "old.nvd").read_bytes() == b"mine"


def test_a_failure_leaves_nothing(tmp_path):
    ws = workspace(tmp_path)
    cut = written(tmp_path / "cut.nii.gz", ramp("f8"))
    ws.add_overlay(cut)
    cut.write_bytes(cut.read_bytes()[:-9])
    with pytest.raises(ImageDamaged, match=r"cut\.nii\.gz"):
        export_document(ws, tmp_path / "out.nvd")
    cut.unlink()
    with pytest.raises(LayerFileMissing, match="layer 001"):
        export_document(ws, tmp_path / "out.nvd")
    assert [one.name for one in tmp_path.iterdir()] == ["main.nii"]


def test_existing_files_are_overwritten_only_when_asked(tmp_path):
    ws = workspace(tmp_path)
    there = tmp_path / "out.nvd"
    there.write_bytes(b"mine")
    with pytest.raises(InvalidValue, match="already exists"):
        export_document(ws, there)
    assert there.read_bytes() == b"mine"
    export_document(ws, there, force=True)
    assert json.loads(there.read_bytes())["title"] == ws.name
    with pytest.raises(InvalidValue, match="is the image of layer 000"):
        export_document(ws, tmp_path / "main.nii", force=True)


def test_a_transform_without_inverse_is_refused_by_its_layer(tmp_path):
    ws = workspace(tmp_path)
    over = ws.add_overlay(written(tmp_path / "over.nii", ramp()))
    over.registry["ImageTransform.IsIdentity"] = "0"
    over.registry["ImageTransform.Matrix.Element[0][0]"] = "0"
    with pytest.raises(InvalidValue, match="layer 001: its transform has no inverse"):
        export_document(ws, tmp_path / "out.nvd")


def test_a_transform_that_no_header_holds_is_named_with_its_layer(tmp_path):
    ws = workspace(tmp_path)
    over = ws.add_overlay(written(tmp_path / "over.nii", ramp()))
    over.registry["ImageTransform.IsIdentity"] = "0"
    over.registry["ImageTransform.Offset.Element[0]"] = "1e40"
    with pytest.raises(InvalidValue, match=r"layer 001: .*transform"):
        export_document(ws, tmp_path / "study.nvd")
    assert not (tmp_path / "study.nvd").exists()


def test_many_labels_with_an_opacity_of_their_own_are_counted():
    table = [Label(number, "", alpha=9) for number in range(1, 2001)]
    said = label_colors(range(1, 2001), table)["remark"]
    assert said.endswith("these have their own: 1, 2, 3, 4, 5 and 1,995 more")

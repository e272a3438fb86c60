"""Scenes of 3D Slicer, read by SimpleITK, slicerio and an XML parser."""

from __future__ import annotations

import json
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - as everybody imports it
from lxml import etree
from typer.testing import CliRunner

from snapws import ImageDamaged, InvalidValue, Label, LayerFileMissing, Workspace, geometry
from snapws.cli.app import app
from snapws.display import ComponentMode
from snapws.exporting.scene import export_scene
from tests.snapws import mesh_samples

SHAPE = (5, 4, 3)
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
NEAR = 1e-4  # mm
OBLIQUE = (
    np.array([[0.8, -0.6, 0, -12.5], [0.6, 0.8, 0, 30.25], [0, 0, 1, 7], [0, 0, 0, 1]])
    @ np.array([[1, 0, 0, 0], [0, 0.8, -0.6, 0], [0, 0.6, 0.8, 0], [0, 0, 0, 1]])
    @ np.diag([1, 0.9, 2.5, 1])
)
FLIPPED = np.array([[-1.5, 0, 0, 40], [0, 0, 2.5, -60], [0, -0.7, 0, 11], [0, 0, 0, 1.0]])
TRANSFORM = [[0.96, -0.28, 0, 3], [0.28, 0.96, 0.1, -4], [0, 0, 1.1, 5], [0, 0, 0, 1]]


@dataclass
class Scene:
    """A scene that was read: its folder, and its nodes."""

    folder: Path
    nodes: list[etree._Element]

    @classmethod
    def read(cls, scene: Path, tmp_path: Path) -> Scene:
        if scene.suffix == ".mrb":
            with zipfile.ZipFile(scene) as archive:
                assert archive.testzip() is None
                archive.extractall(tmp_path / "unpacked")
            (scene,) = (tmp_path / "unpacked").glob("*/*.mrml")
        nodes = list(etree.parse(scene).getroot())
        assert len({one.get("id") for one in nodes}) == len(nodes)
        return cls(scene.parent, nodes)

    def named(self, name: str, tag: str = "") -> etree._Element:
        (found,) = (n for n in self.nodes if n.get("name") == name and (not tag or n.tag == tag))
        return found

    def all(self, tag: str) -> list[etree._Element]:
        return [node for node in self.nodes if node.tag == tag]

    def of(self, node: etree._Element, role: str) -> etree._Element:
        references = dict(one.split(":") for one in node.get("references", "").split(";") if one)
        (found,) = (one for one in self.nodes if one.get("id") == references[role])
        return found

    def file(self, node: etree._Element) -> Path:
        return self.folder / unquote(self.of(node, "storage").get("fileName"))

    def volume(self, name: str) -> sitk.Image:
        return sitk.ReadImage(str(self.file(self.named(name))))


def exported(
    workspace: Workspace, tmp_path: Path, name: str = "out.mrb"
) -> tuple[Scene, list[str]]:
    made = export_scene(workspace, tmp_path / name)
    return Scene.read(made.files[-1], tmp_path), made.left_out


def written(path: Path, values: np.ndarray, affine: np.ndarray, slope: float | None = None) -> Path:
    image = nibabel.Nifti1Image(values, affine, dtype=values.dtype)
    if slope is not None:
        image.header.set_slope_inter(slope, -7)
        image = nibabel.Nifti1Image(values, affine, image.header)
        image.header.set_slope_inter(slope, -7)
    image.to_filename(path)
    return path


def ramp(kind: str, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return np.arange(np.prod(shape)).reshape(shape, order="F").astype(kind)


def corners(affine: np.ndarray, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return geometry.corners(shape) @ affine.T


def corners_of(image: sitk.Image) -> np.ndarray:
    """Return the corners of an image of SimpleITK in RAS mm."""
    points = [
        image.TransformIndexToPhysicalPoint([int(one) for one in corner[:3]])
        for corner in geometry.corners(image.GetSize())
    ]
    return np.c_[points, np.ones(8)] @ LPS


def metaimage(folder: Path) -> Path:
    image = sitk.GetImageFromArray(ramp("float64").transpose(2, 1, 0))
    axes = LPS @ OBLIQUE
    lengths = np.linalg.norm(axes[:3, :3], axis=0)
    image.SetSpacing(lengths.tolist())
    image.SetDirection((axes[:3, :3] / lengths).ravel().tolist())
    image.SetOrigin(axes[:3, 3].tolist())
    sitk.WriteImage(image, str(folder / "image.mha"), useCompression=True)
    return folder / "image.mha"


IMAGES = {
    "oblique": lambda folder: written(folder / "i.nii.gz", ramp("i2"), OBLIQUE),
    "flipped": lambda folder: written(folder / "i.nii", ramp("u1"), FLIPPED),
    "scaled": lambda folder: written(folder / "i.nii", ramp("i2"), FLIPPED, 0.25),
    "64 bits": lambda folder: written(folder / "i.nii", ramp("i8") << 40, OBLIQUE),
    "MetaImage": metaimage,
    "vectors": lambda folder: written(folder / "i.nii.gz", ramp("f4", (*SHAPE, 1, 2)), OBLIQUE),
    "colours": lambda folder: written(
        folder / "i.nii.gz",
        ramp("u1", (3, *SHAPE))
        .T.copy()
        .T.transpose(1, 2, 3, 0)
        .copy()
        .view([("R", "u1"), ("G", "u1"), ("B", "u1")])[..., 0],
        FLIPPED,
    ),
}


@pytest.mark.parametrize("kind", IMAGES)
def test_a_volume_lies_where_it_lay_with_its_voxels(tmp_path, kind):
    workspace = Workspace.new(IMAGES[kind](tmp_path))
    workspace.main.nickname = "The image"
    scene, _ = exported(workspace, tmp_path)
    image = scene.volume("The image")
    expected = corners(geometry.affine(workspace.main.header()))
    assert np.abs(corners_of(image) - expected).max() <= NEAR
    values = np.moveaxis(sitk.GetArrayFromImage(image), (0, 1, 2), (2, 1, 0))
    assert np.array_equal(values, np.asarray(workspace.main.array()))
    is_vector = kind in ("vectors", "colours")
    assert scene.named("The image").tag == ("VectorVolume" if is_vector else "Volume")


def segmented(tmp_path: Path, values: np.ndarray, affine: np.ndarray = FLIPPED) -> Workspace:
    workspace = Workspace.new(written(tmp_path / "main.nii", ramp("i2"), OBLIQUE))
    workspace.add_segmentation(
        written(tmp_path / "labels.nii.gz", values, affine), nickname="Tissues"
    )
    workspace.labels = [
        Label(1, "Left \\ right\u00e9", (255, 128, 0), 51),
        Label(7, "Not there", (1, 2, 3), visible=False, mesh_visible=False),
    ]
    return workspace


@pytest.mark.parametrize("great", [5, 300])
def test_a_segmentation_has_names_colours_and_the_place_of_the_main_image(tmp_path, great):
    values = np.zeros(SHAPE, "f4")
    values[0], values[1], values[2] = 1.7, great, -3
    scene, left_out = exported(segmented(tmp_path, values), tmp_path)
    assert left_out == []
    node = scene.named("Tissues", "Segmentation")
    path = scene.file(node)
    image = sitk.ReadImage(str(path))
    assert np.abs(corners_of(image) - corners(OBLIQUE)).max() <= NEAR
    found = sitk.GetArrayFromImage(image).T
    assert [np.unique(plane).tolist() for plane in found] == [[1], [great], [0], [0], [0]]
    segments = [
        {key: image.GetMetaData(f"Segment{n}_{key}") for key in ("Name", "Color", "LabelValue")}
        for n in range(3)
    ]
    by_value = {int(one["LabelValue"]): one for one in segments}
    assert list(by_value) == sorted([1, 7, great])
    assert by_value[1]["Name"] == "Left \\ right\u00e9"
    assert by_value[1]["Color"].split() == ["1.000000", "0.501961", "0.000000"]
    assert (by_value[great]["Name"], by_value[7]["Name"]) == (f"Label {great}", "Not there")
    shown = scene.of(node, "display").get("SegmentationDisplayProperties").split("|")
    assert "Segment_7 Visible:false Visible3D:false" in shown[list(by_value).index(7)]
    assert "Opacity2DFill:0.2 " in shown[0]
    assert scene.of(node, "referenceImageGeometryRef") is scene.named("main")


def test_slicerio_reads_the_segments(tmp_path):
    slicerio = pytest.importorskip("slicerio", reason="needs slicerio, of the extra 'test'")
    values = np.zeros(SHAPE, "u2")
    values[3] = 7
    workspace = segmented(tmp_path, values)
    workspace.labels = [Label(1, "Grey matter", (255, 128, 0)), Label(7, "White", (1, 2, 3))]
    scene, _ = exported(workspace, tmp_path)
    read = slicerio.read_segmentation(str(scene.file(scene.named("Tissues", "Segmentation"))))
    assert slicerio.segment_names(read) == ["Grey matter", "White"]
    white = slicerio.segment_from_name(read, "White")
    assert white["labelValue"] == 7
    assert np.allclose(white["color"], np.array([1, 2, 3]) / 255, atol=1e-6)
    assert np.array_equal(read["voxels"], values)
    assert np.abs(corners(read["ijkToLPS"]) @ LPS - corners(OBLIQUE)).max() <= NEAR


def test_transforms_are_in_lps_and_move_the_volume_onto_the_main_image(tmp_path):
    workspace = Workspace.new(written(tmp_path / "main.nii", ramp("i2"), OBLIQUE))
    moved = workspace.add_overlay(written(tmp_path / "o.nii", ramp("i2"), FLIPPED), nickname="O")
    moved.transform = TRANSFORM
    scene, _ = exported(workspace, tmp_path)
    node = scene.of(scene.named("O"), "transform")
    read = sitk.ReadTransform(str(scene.file(node)))
    for point in corners(OBLIQUE):
        in_layer = np.array(TRANSFORM) @ point  # as `snapws show` places the layer
        there = LPS @ [*read.TransformPoint((LPS @ point)[:3].tolist()), 1]
        assert np.abs(there - in_layer).max() <= NEAR
        matrix = np.array(node.get("matrixTransformToParent").split(), float).reshape(4, 4)
        assert np.abs(matrix @ in_layer - point).max() <= NEAR
    assert "transform" not in scene.named("main").get("references")


def test_display_is_kept(tmp_path):
    workspace = Workspace.new(written(tmp_path / "main.nii", ramp("i2"), OBLIQUE))
    over = [
        workspace.add_overlay(written(tmp_path / f"{name}.nii", ramp("i2"), FLIPPED))
        for name in "abc"
    ]
    workspace.main.display.set_linear_contrast(10, 50)
    for layer, opacity in ((over[1], 0.35), (over[2], 0.8)):
        layer.display.sticky, layer.display.opacity = True, opacity
    over[0].display.set_linear_contrast(0.5, 1)  # parts of the range, which is 0 to 59
    over[1].display.color_map = "Hot"
    over[1].display.contrast = [(0, 0), (10, 0.9), (20, 1)]
    scene, left_out = exported(workspace, tmp_path)

    def display(name):
        return scene.of(scene.named(name), "display")

    assert (float(display("main").get("window")), float(display("main").get("level"))) == (40, 30)
    assert (float(display("a").get("window")), float(display("a").get("level"))) == (29.5, 44.25)
    assert display("c").get("autoWindowLevel") == "1"
    assert display("main").get("colorNodeID") == "vtkMRMLColorTableNodeGrey"
    (table,) = scene.all("ColorTable")
    assert (table.get("name"), table.get("id")) == ("Hot", display("b").get("colorNodeID"))
    lines = scene.file(table).read_text().splitlines()
    assert lines[2:][255] == "255 255 255 255 255 255"
    assert lines[2:][100].split()[2:] == ["234", "26", "0", "255"]
    views = scene.all("SliceComposite")
    assert [view.get("singletonTag") for view in views] == ["Red", "Green", "Yellow"]
    for view in views:
        assert scene.of(view, "backgroundVolume") is scene.named("main")
        assert scene.of(view, "foregroundVolume") is scene.named("b")
        assert float(view.get("foregroundOpacity")) == 0.35
    assert [line.partition(":")[0] for line in left_out] == ["layer 002", "layer 003"]
    assert "contrast curve" in left_out[0]
    assert "not shown" in left_out[1]


VTK = b"# vtk DataFile Version 3.0\n%b\nASCII\nDATASET POLYDATA\nPOINTS 1 float\n1 2 3\n"


@pytest.mark.parametrize(
    ("title", "said", "system"),
    [
        (b"surface", b"surface SPACE=RAS", "RAS"),
        (b"made: SPACE=LPS", b"made: SPACE=LPS", "LPS"),
        (b"made: SPACE=RAS", b"made: SPACE=RAS", "RAS"),
        (b"x" * 255, b"x" * 200 + b" SPACE=RAS", "RAS"),
    ],
    ids=["unstated", "LPS", "RAS", "long"],
)
def test_a_mesh_states_its_space(tmp_path, title, said, system):
    workspace = Workspace.new(written(tmp_path / "main.nii", ramp("i2"), OBLIQUE))
    (tmp_path / "cortex.vtk").write_bytes(VTK % title)
    mesh = workspace.add_mesh(tmp_path / "cortex.vtk", nickname="Cortex")
    mesh.registry["SolidColor"] = "1 0.5 0"
    scene, left_out = exported(workspace, tmp_path)
    node = scene.named("Cortex")
    assert scene.file(node).read_bytes() == VTK % said
    assert scene.of(node, "storage").get("coordinateSystem") == system
    assert scene.of(node, "display").get("color") == "1 0.5 0"
    assert left_out == []


def test_a_mesh_whose_form_has_no_title_is_copied(tmp_path):
    workspace = Workspace.new(written(tmp_path / "main.nii", ramp("i2"), OBLIQUE))
    (tmp_path / "a.VTP").write_bytes(mesh_samples.VTP)
    workspace.add_mesh(tmp_path / "a.VTP")
    scene, _ = exported(workspace, tmp_path)
    assert scene.file(scene.named("a")).read_bytes() == mesh_samples.VTP
    assert scene.file(scene.named("a")).name == "a.vtp"
    assert scene.of(scene.named("a"), "storage").get("coordinateSystem") == "RAS"


def test_landmarks_and_lines_are_markups_in_lps(tmp_path):
    workspace = Workspace.new(written(tmp_path / "main.nii", ramp("i2"), OBLIQUE))
    workspace.add_landmark((1, 2, 0), "AC <b>")
    workspace.add_line((0, 0, 0), (1, 1, 1))
    scene, _ = exported(workspace, tmp_path)
    landmarks = json.loads(scene.file(scene.all("MarkupsFiducial")[0]).read_text())["markups"]
    (point,) = landmarks[0]["controlPoints"]
    assert point["label"] == "AC <b>"
    assert landmarks[0]["coordinateSystem"] == "LPS"
    assert np.abs(point["position"] - (LPS @ OBLIQUE @ [1, 2, 0, 1])[:3]).max() <= NEAR
    (line,) = json.loads(scene.file(scene.all("MarkupsLine")[0]).read_text())["markups"]
    assert len(line["controlPoints"]) == 2


def test_what_a_scene_cannot_hold_is_listed(tmp_path):
    main = written(tmp_path / "main.nii", ramp("i2", (*SHAPE, 3)), OBLIQUE)
    workspace = Workspace.new(main)
    workspace.add_overlay(written(tmp_path / "c.nii", ramp("c8"), OBLIQUE))
    vector = workspace.add_overlay(written(tmp_path / "v.nii", ramp("f4", (*SHAPE, 1, 3)), OBLIQUE))
    vector.display.show(ComponentMode.MAGNITUDE)
    (tmp_path / "m.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    workspace.add_mesh(tmp_path / "m.obj")
    (tmp_path / "m.vtk").write_bytes(VTK % b"x")
    workspace.add_mesh(tmp_path / "m.vtk", time_point=2)
    workspace.save(tmp_path / "study.itksnap")
    result = CliRunner().invoke(
        app, ["export", str(workspace.path), str(tmp_path / "o.mrb"), "--json"]
    )
    assert json.loads(result.stdout) == [str(tmp_path / "o.mrb")]
    said = result.stderr.splitlines()
    assert [line.split(": ")[1:3] for line in said] == [
        ["left out", "layer 000"],
        ["left out", "layer 001"],
        ["left out", "layer 002"],
        ["left out", "mesh:0"],
        ["left out", "mesh:1"],
    ]
    assert "time points 2 to 3" in said[0]
    assert "complex64" in said[1]
    assert "Magnitude" in said[2]
    scene = Scene.read(tmp_path / "o.mrb", tmp_path)
    image = scene.volume("main")
    assert np.array_equal(sitk.GetArrayFromImage(image).T, ramp("i2", (*SHAPE, 3))[..., 0])


def test_a_volume_is_never_written_over_a_segmentation(tmp_path):
    workspace = segmented(tmp_path, ramp("u1"))
    workspace.add_overlay(tmp_path / "main.nii", nickname="tissues.SEG")
    workspace.add_overlay(tmp_path / "main.nii", nickname="Tissues")
    made = export_scene(workspace, tmp_path / "out.mrml")
    names = ["main.nrrd", "tissues.SEG-2.nrrd", "Tissues.nrrd", "Tissues.seg.nrrd", "out.mrml"]
    assert [file.name for file in made.files] == names


HOSTILE = ("../../up", "/etc/x", "nul", 'a" ><x y="', "T1", "t1", "..", "100% & ;:", "\u0085")


@pytest.mark.parametrize("name", ["out.mrb", "out.mrml", "folder"])
def test_names_lead_nowhere_else_and_are_no_markup(tmp_path, name):
    workspace = Workspace.new(written(tmp_path / "main.nii", ramp("i2"), OBLIQUE))
    for nickname in HOSTILE:
        workspace.add_overlay(tmp_path / "main.nii", nickname=nickname, tags=["<&>"])
    made = export_scene(workspace, tmp_path / "in" / name if name != "out.mrb" else tmp_path / name)
    scene = Scene.read(made.files[-1], tmp_path)
    volumes = scene.all("Volume")
    assert [one.get("name") for one in volumes] == ["main", *HOSTILE[:-1], "?"]
    assert volumes[1].get("description") == "Tags: <&>"
    files = [scene.file(one).resolve() for one in volumes]
    assert len({str(file).casefold() for file in files}) == len(files)
    assert all(file.is_relative_to(scene.folder.resolve()) and file.is_file() for file in files)
    if name != "out.mrb":
        assert {file.resolve() for file in made.files} == {
            file.resolve() for file in (tmp_path / "in").rglob("*") if file.is_file()
        }


def test_the_same_workspace_gives_the_same_bundle(tmp_path):
    workspace = segmented(tmp_path, ramp("u1"))
    first, second = (export_scene(workspace, tmp_path / n / "a.mrb") for n in folders(tmp_path))
    assert first.files[0].read_bytes() == second.files[0].read_bytes()


def folders(tmp_path: Path) -> tuple[str, str]:
    for name in ("x", "y"):
        (tmp_path / name).mkdir()
    return "x", "y"


@pytest.mark.parametrize("name", ["out.mrb", "out.mrml", "folder"])
def test_a_failure_leaves_nothing(tmp_path, name):
    workspace = Workspace.new(written(tmp_path / "main.nii", ramp("i2"), OBLIQUE))
    cut = written(tmp_path / "cut.nii.gz", ramp("f8"), OBLIQUE)
    workspace.add_overlay(cut)
    cut.write_bytes(cut.read_bytes()[:-9])
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    with pytest.raises(ImageDamaged, match=r"cut\.nii\.gz"):
        export_scene(workspace, tmp_path / name)
    cut.unlink()
    before.pop(cut)
    with pytest.raises(LayerFileMissing, match="layer 001"):
        export_scene(workspace, tmp_path / name)
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before
    assert not (tmp_path / "folder").exists()


@pytest.mark.parametrize("name", ["out.mrb", "out.mrml"])
def test_existing_files_and_those_of_the_workspace_are_not_overwritten(tmp_path, name):
    workspace = Workspace.new(metaimage(tmp_path))
    workspace.add_overlay(written(tmp_path / "main.nii", ramp("i2"), OBLIQUE))
    there = tmp_path / ("out.mrb" if name == "out.mrb" else "main.nrrd")
    there.write_bytes(b"mine")
    with pytest.raises(InvalidValue, match="already exists"):
        export_scene(workspace, tmp_path / name)
    assert there.read_bytes() == b"mine"
    export_scene(workspace, tmp_path / name, force=True)
    assert there.read_bytes() != b"mine"
    # A volume that an earlier export wrote is now an image of the workspace.
    image = tmp_path / "image.nrrd"
    sitk.WriteImage(sitk.ReadImage(str(tmp_path / "image.mha")), str(image))
    workspace = Workspace.new(image)
    with pytest.raises(InvalidValue, match="is the image of layer 000"):
        export_scene(workspace, tmp_path / "b.mrml", force=True)


def test_what_is_no_scene_is_refused(tmp_path):
    workspace = Workspace.new(written(tmp_path / "main.nii", ramp("i2"), OBLIQUE))
    with pytest.raises(InvalidValue, match=r"\.mrb, \.mrml or \.nvd"):
        export_scene(workspace, tmp_path / "out.nii.gz")
    workspace.main.registry["ImageTransform.IsIdentity"] = "0"
    workspace.main.registry["ImageTransform.Matrix.Element[0][0]"] = "0"
    with pytest.raises(InvalidValue, match="layer 000: its transform has no inverse"):
        export_scene(workspace, tmp_path / "out.mrb")
    workspace = Workspace.new(tmp_path / "main.nii")
    workspace.add_segmentation(
        written(tmp_path / "s.nii", ramp("u1", (2, 2, 2)), OBLIQUE), any_size=True
    )
    with pytest.raises(InvalidValue, match="layer 001: .*resample"):
        export_scene(workspace, tmp_path / "out.mrb")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["main.nii", "s.nii"]


@pytest.mark.parametrize("curve", [[(-1e308, 0), (1e308, 1)], [(0, 0), (1e300, 1e-300)]])
def test_a_contrast_beyond_all_numbers_is_left_to_slicer_and_listed(tmp_path, curve):
    ws = Workspace.new(written(tmp_path / "main.nii", ramp("int16"), np.eye(4)))
    ws.main.display.contrast = curve
    made = export_scene(ws, tmp_path / "out.mrml")
    assert "contrast curve" in made.left_out[0]
    assert "nan" not in (tmp_path / "out.mrml").read_text()


@pytest.mark.parametrize("place", ["nan 1 2", "1 inf 2"])
def test_an_annotation_without_a_place_is_left_out_and_counted(tmp_path, place):
    ws = Workspace.new(written(tmp_path / "main.nii", ramp("int16"), np.eye(4)))
    ws.add_landmark((1, 1, 1), "here")
    ws.add_landmark((2, 2, 2), "nowhere").registry["Pos"] = place
    made = export_scene(ws, tmp_path / "out.mrml")
    assert any(line.startswith("1 annotations") and "no place" in line for line in made.left_out)
    (marks,) = tmp_path.glob("*.mrk.json")
    assert "nowhere" not in marks.read_text()


def test_a_setting_that_is_no_number_is_named_with_its_layer(tmp_path):
    ws = Workspace.new(written(tmp_path / "main.nii", ramp("int16"), np.eye(4)))
    over = ws.add_overlay(written(tmp_path / "over.nii", ramp("int16"), np.eye(4)))
    over.display.sticky = True
    over.registry["LayerMetaData.Alpha"] = "nan"
    with pytest.raises(InvalidValue, match="layer 001: its opacity is not a number"):
        export_scene(ws, tmp_path / "out")


@pytest.mark.skipif(os.name == "nt", reason="links need a right there")
def test_a_link_to_nowhere_is_not_replaced_unless_forced(tmp_path):
    ws = Workspace.new(written(tmp_path / "main.nii", ramp("int16"), np.eye(4)))
    (tmp_path / "out.mrb").symlink_to("nowhere.mrb")
    with pytest.raises(InvalidValue, match="already exists"):
        export_scene(ws, tmp_path / "out.mrb")
    assert (tmp_path / "out.mrb").is_symlink()


def test_a_file_without_an_ending_is_no_folder_for_a_scene(tmp_path):
    ws = Workspace.new(written(tmp_path / "main.nii", ramp("int16"), np.eye(4)))
    (tmp_path / "plain").write_text("mine")
    with pytest.raises(InvalidValue, match="or to a folder"):
        export_scene(ws, tmp_path / "plain", force=True)
    assert (tmp_path / "plain").read_text() == "mine"

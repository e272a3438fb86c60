"""What differs between two workspaces: all that does, and nothing that does not."""

from __future__ import annotations

import gzip
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snapws import ComponentMode, Label, Workspace, WorkspaceError, labels
from snapws.archive import archive
from snapws.comparison import Difference, compare_workspaces, draw_comparison
from snapws.layers import Layer, Role
from tests.conformance import replay

BRAIN = Path(__file__).parents[3] / "fixtures" / "brain"
SHIFT = np.array([[1, 0, 0, 3.0], [0, 1, 0, 4], [0, 0, 1, 0], [0, 0, 0, 1]])


def make_study(folder: Path) -> Path:
    """Make a folder with a workspace that has something of everything, and images to put in."""
    folder.mkdir()
    for image in BRAIN.glob("*.nii.gz"):
        shutil.copy(image, folder)
    shutil.copy(replay.RECORDINGS / "inputs" / "tri.vtk", folder / "cortex.vtk")
    shutil.copy(replay.RECORDINGS / "inputs" / "tri.stl", folder / "other.stl")
    for name in ("target", "source", "target_labels"):
        image = nibabel.load(folder / f"{name}.nii.gz")
        voxels = np.asanyarray(image.dataobj).copy()
        voxels[-1, -1, -1] += 1  # the last bit of the last voxel
        nibabel.save(nibabel.Nifti1Image(voxels, image.affine), folder / f"{name}_edited.nii.gz")
    study = Workspace()
    study.set_main(folder / "target.nii.gz").tags = ("Target",)
    source = study.add_overlay(folder / "source.nii.gz", nickname="MRI", tags=["Source"])
    source.transform = SHIFT
    source.display.set_linear_contrast(0, 100)
    study.add_overlay(folder / "source_labels.nii.gz")
    study.add_segmentation(folder / "target_labels.nii.gz", tags=["Truth"])
    study.labels = labels.read_file(BRAIN / "labels.txt")
    study.add_mesh(folder / "cortex.vtk", nickname="Cortex", tags=["Surface"])
    study.add_time_point("systole")
    study.add_landmark((10, 20, 30), "tumour")
    study.add_line((1, 2, 3), (4, 5, 6), tags=["length"])
    return study.save(folder / "study.itksnap")


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Workspace:
    """A workspace with something of everything, its images beside it; not to be edited."""
    return Workspace.open(make_study(tmp_path_factory.mktemp("comparison") / "study"))


@pytest.fixture
def edited(study, tmp_path) -> Workspace:
    """Another file of the same workspace, to be edited."""
    return Workspace.open(Workspace.open(study.path).save(tmp_path / "edited.itksnap"))


def mirrored(differences: tuple[Difference, ...]) -> set[Difference]:
    """Return differences as they are from the other side."""
    return {replace(one, place=_mirrored_place(one.place), a=one.b, b=one.a) for one in differences}


def _mirrored_place(place: str) -> str:
    ours, slash, theirs = place.partition(" / ")
    kind, blank, number = ours.rpartition(" ")
    return f"{kind}{blank}{theirs} / {number}" if slash else place


def found(a: Workspace, b: Workspace, **options: Any) -> set[tuple[str, str]]:
    """Compare both ways, and give what differs where."""
    differences = compare_workspaces(a, b, **options)
    assert mirrored(differences) == set(compare_workspaces(b, a, **options))
    assert len(set(differences)) == len(differences)
    return {(one.place, one.what) for one in differences}


# ------------------------------------------------------------------- what is no difference


def test_a_workspace_does_not_differ_from_itself(study, edited):
    assert compare_workspaces(study, study) == ()
    assert compare_workspaces(study, edited) == ()


@pytest.mark.parametrize("names", ["hash", "keep"])
def test_an_archive_is_the_same_workspace(study, tmp_path, names):
    archive(study, tmp_path / "archive", names=names)
    archived = Workspace.open(tmp_path / "archive" / "workspace.itksnap")
    assert archived.main.stored_path != study.main.stored_path
    assert found(study, archived) == set()
    moved = shutil.copytree(tmp_path / "archive", tmp_path / "elsewhere" / "archive")
    shutil.rmtree(tmp_path / "archive")
    assert found(study, Workspace.open(moved / "workspace.itksnap")) == set()


def test_a_strict_archive_differs_in_typed_texts(study, tmp_path):
    archive(study, tmp_path / "archive", privacy="strict")
    archived = Workspace.open(tmp_path / "archive" / "workspace.itksnap")
    assert found(study, archived) == {
        *{("layer 001", "nickname"), ("mesh:0", "nickname"), ("time point 1", "nickname")},
        *{("label 1", "name"), ("label 2", "name")},
        *{("annotation 0", "text"), ("annotation 1", "tags")},
    }


def test_every_kind_of_image_is_the_same_in_an_archive(tmp_path):
    replay.place_inputs(tmp_path / "inputs")
    workspace = Workspace()
    workspace.set_main(tmp_path / "inputs" / "a.nii.gz")
    for number, image in enumerate(sorted((tmp_path / "inputs").iterdir())):
        if image.name.endswith((".nii", ".nii.gz", ".mha", ".mgz", ".hdr", ".nrrd")):
            trial = Workspace()
            try:
                trial.set_main(image)
                archive(trial, tmp_path / f"archive {number}")
            except WorkspaceError:
                continue  # one that nobody can read
            workspace.add_overlay(image)
    assert len(workspace.layers()) > 10
    archive(workspace, tmp_path / "archive")
    assert found(workspace, Workspace.open(tmp_path / "archive" / "workspace.itksnap")) == set()


def test_another_folder_is_no_difference_and_another_voxel_there_is_one(study, tmp_path):
    moved = shutil.copytree(study.folder, tmp_path / "moved")
    there = Workspace.open(moved / "study.itksnap")
    assert there.layers()[1].path == moved / "source.nii.gz"
    assert found(study, there) == set()
    shutil.copy(moved / "source_edited.nii.gz", moved / "source.nii.gz")
    assert found(study, there) == {("layer 001", "voxels")}


def test_another_name_or_format_of_the_same_image_is_no_difference(study, edited, tmp_path):
    source = study.layers()[1].path
    (tmp_path / "plain.nii").write_bytes(gzip.decompress(source.read_bytes()))
    edited.layers()[1].file = tmp_path / "plain.nii"
    assert found(study, edited) == set()


# ------------------------------------------------------------------- which is which


def test_layers_that_were_added_and_removed(study, edited):
    edited.remove(edited.layers()[1])
    edited.add_segmentation(study.folder / "source.nii.gz", nickname="Result", any_size=True)
    before = found(study, edited)
    # The same voxels, though in another role and by other names, are the same layer.
    assert before == {
        *{("layer 001 / 003", what) for what in ("number", "role", "nickname", "tags")},
        *{("layer 001 / 003", what) for what in ("transform", "contrast")},
        *{("layer 002 / 001", "number"), ("layer 003 / 002", "number")},
    }
    edited.layers()[3].file = study.folder / "target_edited.nii.gz"
    differences = compare_workspaces(study, edited)
    assert [(one.place, one.what) for one in differences] == [
        ("layer 001", "layer"),
        ("layer 003", "layer"),
    ]
    assert (differences[0].a, differences[0].b) == ("overlay MRI source.nii.gz", None)
    assert differences[1].b == "segmentation Result target_edited.nii.gz"


@pytest.mark.parametrize("told_by", ["tags", "nickname", "file", "role"])
def test_an_edited_layer_is_matched_by_its_other_keys(study, edited, tmp_path, told_by):
    before = Workspace.open(study.path)
    for workspace in (before, edited):
        workspace.remove(workspace.layers()[1])
    ours, theirs = (
        workspace.add_overlay(study.folder / "source.nii.gz") for workspace in (before, edited)
    )
    other = study.folder / "source_edited.nii.gz"
    if told_by == "file":
        shutil.copy(other, tmp_path / "source.nii.gz")
        other = tmp_path / "source.nii.gz"
        theirs.nickname = "New"
    for one in (ours, theirs):
        if told_by == "tags":
            one.tags = ("B", "A")
        if told_by == "nickname":
            one.nickname = "MRI"
    theirs.file = other
    # Something else of the same role stands in front of it.
    edited.registry.rename_folder("Layers.Layer[001]", "Layer[old]")
    edited.registry.rename_folder("Layers.Layer[003]", "Layer[001]")
    edited.registry.rename_folder("Layers.Layer[old]", "Layer[003]")
    place = "layer 003 / 001"
    told = {(place, "voxels")} | ({(place, "nickname")} if told_by == "file" else {(place, "file")})
    moved = {(place, "number"), ("layer 001 / 003", "number")}
    assert found(before, edited) == {*told, *moved}


def test_two_layers_of_one_image_are_told_apart_by_their_names(study, edited):
    before = Workspace.open(study.path)
    before.add_overlay(study.folder / "source.nii.gz", nickname="Second")
    edited.add_overlay(study.folder / "source.nii.gz", nickname="Second")
    assert found(before, edited) == set()
    # Where one of the two goes, the other one stays.
    edited.remove(edited.layers()[1])
    assert found(before, edited) == {("layer 001", "layer")}


def test_a_layer_that_has_names_is_not_found_again_by_its_role(study, edited):
    edited.remove(edited.layers()[1])
    edited.add_overlay(study.folder / "target_edited.nii.gz", nickname="Other")
    assert found(study, edited) == {("layer 001", "layer"), ("layer 003", "layer")}


def test_unnamed_layers_of_a_role_go_in_order(study, edited, tmp_path):
    edited.layers()[2].file = study.folder / "source_edited.nii.gz"
    assert found(study, edited) == {
        ("layer 002", "voxels"),
        ("layer 002", "file"),
    }
    edited.main.file = study.folder / "target_edited.nii.gz"
    edited.main.tags, edited.main.nickname = ("New",), "New"
    assert found(study, edited) >= {("layer 000", "tags"), ("layer 000", "nickname")}


# ------------------------------------------------------------------- each kind of difference


def test_transforms_differ_by_what_they_do_to_a_corner(study, edited):
    turned = np.eye(4)
    angle = math.radians(1)
    turned[:2, :2] = [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    edited.layers()[1].transform = SHIFT @ turned
    (difference,) = compare_workspaces(study, edited)
    assert (difference.place, difference.what) == ("layer 001", "transform")
    assert difference.a == tuple(map(tuple, SHIFT.tolist()))
    main = nibabel.load(study.main.path)
    corners = [
        nibabel.affines.apply_affine(main.affine, np.array(corner) * (np.array(main.shape) - 1))
        for corner in np.ndindex(2, 2, 2)
    ]
    apart = max(2 * math.sin(angle / 2) * math.hypot(x, y) for x, y, _ in corners)
    assert difference.distance_mm == pytest.approx(apart, rel=1e-6)
    assert 1 < apart < 3
    assert found(study, edited, tolerance=apart + 0.01) == set()
    assert found(study, edited, tolerance=apart - 0.01) == {("layer 001", "transform")}


def test_rounding_is_below_the_tolerance(study, edited):
    edited.layers()[1].transform = SHIFT + np.pad([[0.0009]], ((0, 3), (3, 0)))
    assert found(study, edited) == set()
    edited.layers()[1].transform = SHIFT + np.pad([[0.0011]], ((0, 3), (3, 0)))
    assert found(study, edited) == {("layer 001", "transform")}


def own_map(layer: Layer, *reds: int) -> None:
    """Set on a layer a colour map of its own points, at even places, with these parts of red."""
    mapping = layer.registry.make_folder("LayerMetaData.DisplayMapping.ColorMap")
    mapping["NumberOfControlPoints"] = str(len(reds))
    for i, red in enumerate(reds):
        point = mapping.make_folder(f"ControlPoint[{i:04d}]")
        point["Index"], point["Type"] = str(i / (len(reds) - 1)), "Continuous"
        point["Left.R"] = point["Right.R"] = str(red)


def test_colour_maps_differ_by_what_is_drawn(study, edited):
    before = Workspace.open(study.path)
    own_map(edited.layers()[1], 0, 255)
    (difference,) = compare_workspaces(before, edited)
    assert (difference.place, difference.what, difference.a) == ("layer 001", "color_map", "")
    assert difference.b == ((0, 0, 0, 0, 255), (1, 255, 0, 0, 255))
    own_map(before.layers()[1], 0, 255)
    assert found(before, edited) == set()
    own_map(edited.layers()[1], 0, 254)
    assert found(before, edited) == {("layer 001", "color_map")}
    preset = "LayerMetaData.DisplayMapping.ColorMap.Preset"
    for name, differs in (("Jet", False), ("Custom", True)):  # a preset counts more than points
        for workspace in (before, edited):
            workspace.layers()[1].registry[preset] = name
        assert bool(found(before, edited)) == differs
    own_map(edited.layers()[1], 0, 255)
    key = "LayerMetaData.DisplayMapping.ColorMap.ControlPoint[0001]"
    edited.layers()[1].registry[f"{key}.Type"] = "Discontinuous"
    edited.layers()[1].registry[f"{key}.Right.A"] = "51"
    (difference,) = compare_workspaces(before, edited)
    assert difference.b == ((0, 0, 0, 0, 255), (1, 255, 0, 0, 255, 255, 0, 0, 51))
    edited.layers()[1].registry[f"{key}.Right.A"] = "much"
    assert found(before, edited) == {("layer 001", "color_map")}


def test_settings_that_each_way_to_show_components_has_for_itself(study, edited):
    before = Workspace.open(study.path)
    for workspace, preset in ((before, "Hot"), (edited, "Cool")):
        mapping = workspace.layers()[1].registry.make_folder("LayerMetaData.DisplayMapping")
        mapping["Component.ColorMap.Preset"] = preset
    assert found(before, edited) == {("layer 001", "color_map")}


def test_an_overlay_beside_the_main_image_differs_from_one_over_it(study, edited):
    before = Workspace.open(study.path)
    edited.layers()[1].display.sticky = False  # as where nothing is said
    assert found(study, edited) == set()
    before.layers()[1].display.sticky = True
    assert found(before, edited) == {("layer 001", "sticky")}
    for layer in (edited.main, edited.layers()[3]):  # these are drawn the same
        layer.display.sticky = False
    edited.layers()[1].display.sticky = True
    assert found(before, edited) == set()


def test_an_opacity_that_is_shown_alike_is_no_difference(study, edited):
    before = Workspace.open(study.path)
    edited.main.registry["LayerMetaData.Alpha"] = "255"
    before.layers()[1].registry["LayerMetaData.Alpha"] = "1"
    edited.layers()[1].registry["LayerMetaData.Alpha"] = "255"
    assert found(before, edited) == set()


def test_the_opacity_of_the_segmentations(study, edited):
    key = "ProjectMetaData.IRIS.LabelState.SegmentationAlpha"
    edited.main.registry[key] = "0.5"
    assert found(study, edited) == set()
    edited.main.registry[key] = "0.2"
    (difference,) = compare_workspaces(study, edited)
    assert difference == Difference("workspace", "segmentation_opacity", 0.5, 0.2)
    assert found(study, edited) == {("workspace", "segmentation_opacity")}
    edited.main.registry[key] = "much"
    assert found(study, edited) == {("workspace", "segmentation_opacity")}
    assert found(Workspace(), Workspace()) == set()


def test_size_and_place_of_an_image(study, edited, tmp_path):
    image = nibabel.load(study.layers()[1].path)
    voxels = np.asanyarray(image.dataobj)
    moved = image.affine.copy()
    moved[0, 3] += 0.5
    nibabel.save(nibabel.Nifti1Image(voxels, moved), tmp_path / "moved.nii.gz")
    edited.layers()[1].file = tmp_path / "moved.nii.gz"
    (difference,) = compare_workspaces(study, edited)
    assert (difference.what, difference.distance_mm) == ("affine", pytest.approx(0.5, rel=1e-4))
    nibabel.save(
        nibabel.Nifti1Image(voxels, image.affine @ np.diag([2, 1, 1, 1])), tmp_path / "wide.nii.gz"
    )
    edited.layers()[1].file = tmp_path / "wide.nii.gz"
    assert found(study, edited) == {("layer 001", "affine"), ("layer 001", "spacing")}
    x, y, z = voxels.shape
    flat = voxels.reshape((y, x, z), order="F")
    nibabel.save(nibabel.Nifti1Image(flat, image.affine), tmp_path / "flat.nii.gz")
    edited.layers()[1].file = tmp_path / "flat.nii.gz"
    (difference,) = compare_workspaces(study, edited)
    assert (difference.what, difference.a, difference.b) == ("size", (x, y, z), (y, x, z))


def test_another_type_of_voxels_is_told(study, edited, tmp_path):
    image = nibabel.load(study.layers()[3].path)
    voxels = np.asanyarray(image.dataobj).astype(np.int32)
    nibabel.save(nibabel.Nifti1Image(voxels, image.affine), tmp_path / "target_labels.nii.gz")
    edited.layers()[3].file = tmp_path / "target_labels.nii.gz"
    assert found(study, edited) == {("layer 003", "voxels"), ("layer 003", "type")}


def test_an_axis_of_length_one_is_no_difference(study, edited, tmp_path):
    image = nibabel.load(study.layers()[1].path)
    voxels = np.asanyarray(image.dataobj)[..., None]
    nibabel.save(nibabel.Nifti1Image(voxels, image.affine), tmp_path / "source.nii.gz")
    edited.layers()[1].file = tmp_path / "source.nii.gz"
    assert found(study, edited) == set()


def test_the_corners_of_both_main_images_count(study, edited, tmp_path):
    image = nibabel.load(study.main.path)
    larger = np.pad(np.asanyarray(image.dataobj), ((0, 100), (0, 0), (0, 0)))
    nibabel.save(nibabel.Nifti1Image(larger, image.affine), tmp_path / "larger.nii.gz")
    edited.main.file = tmp_path / "larger.nii.gz"
    edited.layers()[1].transform = SHIFT @ np.diag([1.01, 1, 1, 1])
    distances = {one.what: one.distance_mm for one in compare_workspaces(study, edited)}
    far = (image.affine @ (larger.shape[0] - 1, 0, 0, 1))[0]
    assert distances["transform"] == pytest.approx(0.01 * far)
    assert {what for _, what in found(study, edited)} == {"voxels", "file", "size", "transform"}


def test_surfaces_differ_by_their_points(study, edited, tmp_path):
    mesh = (study.folder / "cortex.vtk").read_text()
    first = mesh.index("0", mesh.index("POINTS 3") + len("POINTS 3"))
    (tmp_path / "titled.vtk").write_text(mesh.replace(mesh.splitlines()[1], "another title"))
    (tmp_path / "moved.vtk").write_text(f"{mesh[:first]}7{mesh[first + 1 :]}")
    key = "MeshLayers.Layer[000].MeshTimePoints.TimePoint[001].PolyData[000].AbsolutePath"
    edited.registry[key] = str(tmp_path / "titled.vtk")
    assert found(study, edited) == set()
    edited.registry[key] = str(tmp_path / "moved.vtk")
    assert found(study, edited) == {("mesh:0", "surfaces")}
    edited.registry[key] = str(study.folder / "other.stl")
    assert found(study, edited) == {("mesh:0", "surfaces")}


def test_surfaces_that_cannot_be_read_differ_by_their_bytes(study, tmp_path):
    ours, theirs = Workspace.open(study.path), Workspace.open(study.path)
    for name, one in (("a.ply", ours), ("b.ply", theirs)):
        (tmp_path / name).write_text("ply, and one")
        one.add_mesh(tmp_path / name, nickname="Other")
    assert found(ours, theirs) == set()
    (tmp_path / "b.ply").write_text("ply, and more")
    assert found(ours, theirs) == {("mesh:1", "surfaces")}


def test_the_order_of_meshes_is_told(study, tmp_path):
    ours, theirs = Workspace.open(study.path), Workspace.open(study.path)
    ours.add_mesh(study.folder / "other.stl", nickname="Other")
    theirs.remove(theirs.meshes()[0])
    theirs.add_mesh(study.folder / "other.stl", nickname="Other")
    theirs.add_mesh(study.folder / "cortex.vtk", nickname="Cortex", tags=["Surface"])
    assert found(ours, theirs) == {("mesh:0 / mesh:1", "number"), ("mesh:1 / mesh:0", "number")}


def test_tags_have_no_order(study, edited):
    before = Workspace.open(study.path)
    before.registry["Layers.Layer[001].Tags"] = "Source,Other"
    edited.registry["Layers.Layer[001].Tags"] = "Other, Source"
    assert found(before, edited) == set()


@pytest.mark.parametrize(
    ("number", "what", "value"),
    [
        (0, "position", (10, 20, 31)),
        *((0, "text", "Tumour"), (0, "tags", ("A",)), (0, "color", (0, 1, 0)), (0, "plane", 2)),
        *((0, "offset", (1, 0)), (0, "visible_in_all_slices", True)),
        *((1, "point1", (1, 2, 4)), (1, "point2", (1, 2, 4)), (1, "visible_in_all_planes", True)),
    ],
)
def test_what_is_compared_of_annotations(study, edited, number, what, value):
    setattr(edited.annotations[number], what, value)
    what = "points" if what.startswith("po") else what
    assert found(study, edited) == {(f"annotation {number}", what)}


@pytest.mark.parametrize(
    ("what", "value"),
    [
        *(("name", "Grey"), ("color", (1, 2, 3)), ("alpha", 7)),
        *(("visible", False), ("mesh_visible", False)),
    ],
)
def test_what_is_compared_of_labels(study, edited, what, value):
    first, *rest = edited.labels
    edited.labels = (replace(first, **{what: value}), *rest)
    (difference,) = compare_workspaces(study, edited)
    assert difference == Difference("label 1", what, getattr(first, what), value)


def test_what_cannot_be_read_differs_and_is_told(study, edited, tmp_path):
    here, there = Workspace.open(study.path), edited
    there.layers()[1].file = tmp_path / "gone.nii.gz"
    (name, voxels) = compare_workspaces(here, there)
    assert (name.what, name.b) == ("file", "gone.nii.gz")
    gone = f"its file {(tmp_path / 'gone.nii.gz').as_posix()} is not there"
    assert (voxels.place, voxels.what, voxels.b) == ("layer 001", "voxels", gone)
    assert len(voxels.a) == 32
    here.layers()[1].file = tmp_path / "gone.nii.gz"
    (both,) = compare_workspaces(here, there)
    assert (both.what, both.a, both.b) == ("voxels", gone, gone)
    for one in (here, there):
        one.layers()[1].file = "https://example.org/mri.nii.gz"
    assert found(here, there) == set()
    there.layers()[1].file = "https://example.org/other/mri.nii.gz"
    assert found(here, there) == {("layer 001", "voxels")}


def test_damaged_images_and_missing_surfaces(study, edited, tmp_path):
    data = (study.folder / "source.nii.gz").read_bytes()
    (tmp_path / "source.nii.gz").write_bytes(data[: len(data) // 2])
    edited.layers()[1].file = tmp_path / "source.nii.gz"
    (difference,) = compare_workspaces(study, edited)
    assert "bytes of voxels missing" in difference.b
    (tmp_path / "source.nii.gz").write_bytes(b"none")
    edited.layers()[2].stored_path = ""
    assert {place for place, _ in found(study, edited)} == {"layer 001", "layer 002"}
    edited = Workspace.open(study.path)
    edited.remove(edited.meshes()[0])
    edited.add_mesh(tmp_path / "cortex.vtk", nickname="Cortex", tags=["Surface"])
    (difference,) = compare_workspaces(study, edited)
    assert (difference.place, difference.what) == ("mesh:0", "surfaces")
    assert difference.b[0].endswith("cortex.vtk is not there")
    assert found(edited, edited) == {("mesh:0", "surfaces")}


def test_workspaces_without_layers_and_values_that_are_none(study, edited):
    assert compare_workspaces(Workspace(), Workspace()) == ()
    kinds = {what for _, what in found(Workspace(), study)}
    assert kinds == {"layer", "mesh", "label", "time_point", "annotation"}
    table = "Layers.Layer[000].ProjectMetaData.IRIS.LabelTable"
    edited.registry[f"{table}.Element[0].Alpha"] = "much"
    edited.registry["Layers.Layer[001].ImageTransform.Offset.Element[0]"] = "far"
    edited.registry["Layers.Layer[001].LayerMetaData.Alpha"] = "much"
    assert found(edited, edited) == set()
    assert found(study, edited) == {
        *{("layer 001", "transform"), ("layer 001", "opacity")},
        *{("label table", "label"), ("label 1", "label"), ("label 2", "label")},
    }


def test_a_main_image_that_cannot_be_read_is_taken_for_a_head(study, edited, tmp_path):
    before = Workspace.open(study.path)
    before.main.file = edited.main.file = tmp_path / "gone.nii.gz"
    edited.layers()[1].transform = SHIFT + np.pad([[0.5]], ((0, 3), (3, 0)))
    differences = {one.what: one for one in compare_workspaces(before, edited)}
    assert differences["transform"].distance_mm == pytest.approx(0.5)


# ------------------------------------------------------------------- any edit

Place = set[tuple[str, str]]
Draw = Callable[[st.SearchStrategy[Any]], Any]

WORDS = st.text("abcxyz äß-.", min_size=1, max_size=12).map(str.strip).filter(bool)
TAGS = st.sets(WORDS, min_size=1, max_size=3)
CHANNEL = st.integers(0, 255)
COLOR = st.tuples(CHANNEL, CHANNEL, CHANNEL)
FAR = st.floats(-90, 90).filter(lambda value: abs(value) > 0.01)


def other(draw: Draw, strategy: st.SearchStrategy[Any], value: Any) -> Any:
    return draw(strategy.filter(lambda drawn: drawn != value))


def nickname(ws: Workspace, draw: Draw) -> Place:
    layer = ws.layer(tag="Truth")
    layer.nickname = other(draw, WORDS, layer.nickname)
    return {("layer 003", "nickname")}


def tags(ws: Workspace, draw: Draw) -> Place:
    layer = ws.layers()[2]
    layer.tags = tuple(draw(TAGS))
    return {("layer 002", "tags")}


def transform(ws: Workspace, draw: Draw) -> Place:
    shift = np.zeros((4, 4))
    shift[draw(st.integers(0, 2)), 3] = draw(FAR)
    ws.layers()[1].transform = ws.layers()[1].transform + shift
    return {("layer 001", "transform")}


def color_map(ws: Workspace, draw: Draw) -> Place:
    ws.layers()[1].display.color_map = draw(st.sampled_from(["Jet", "Hot", "Cool"]))
    return {("layer 001", "color_map")}


def opacity(ws: Workspace, draw: Draw) -> Place:
    ws.layers()[2].display.opacity = draw(st.floats(0, 0.49))
    return {("layer 002", "opacity")}


def sticky(ws: Workspace, draw: Draw) -> Place:
    ws.layers()[1].display.sticky = True
    return {("layer 001", "sticky")}


def mode(ws: Workspace, draw: Draw) -> Place:
    ws.layers()[2].display.show(other(draw, st.sampled_from(ComponentMode), "Component"))
    return {("layer 002", "mode")}


def component(ws: Workspace, draw: Draw) -> Place:
    ws.layers()[1].display.show(ComponentMode.COMPONENT, draw(st.integers(1, 5)))
    return {("layer 001", "component")}


def contrast(ws: Workspace, draw: Draw) -> Place:
    low = draw(st.floats(-1000, 1000).filter(bool))
    ws.layers()[1].display.set_linear_contrast(low, low + 1)
    return {("layer 001", "contrast")}


def voxels(ws: Workspace, draw: Draw) -> Place:
    number, name = draw(st.sampled_from([(0, "target"), (1, "source"), (3, "target_labels")]))
    ws.layers()[number].file = ws.folder / f"{name}_edited.nii.gz"
    return {(f"layer {number:03d}", "voxels"), (f"layer {number:03d}", "file")}


def role(ws: Workspace, draw: Draw) -> Place:
    ws.registry["Layers.Layer[002].Role"] = Role.SEGMENTATION.value
    return {("layer 002", "role")}


def one_layer_more(ws: Workspace, draw: Draw) -> Place:
    names = {"nickname": draw(WORDS)}
    add = draw(st.sampled_from([ws.add_overlay, ws.add_segmentation]))
    add(ws.folder / "target_edited.nii.gz", **names)
    return {(f"layer {len(ws.layers()) - 1:03d}", "layer")}


def label(ws: Workspace, draw: Draw) -> Place:
    first, *rest = ws.labels
    what = draw(st.sampled_from(["name", "color", "alpha", "visible", "mesh_visible"]))
    values = {"name": WORDS, "color": COLOR, "alpha": CHANNEL}.get(what, st.booleans())
    ws.labels = (replace(first, **{what: other(draw, values, getattr(first, what))}), *rest)
    return {(f"label {first.index}", what)}


def one_label_more(ws: Workspace, draw: Draw) -> Place:
    index = draw(st.integers(3, 65535))
    ws.labels = (*ws.labels, Label(index, draw(WORDS), draw(COLOR)))
    return {(f"label {index}", "label")}


def one_label_less(ws: Workspace, draw: Draw) -> Place:
    ws.labels = [one for one in ws.labels if one.index != 2]
    return {("label 2", "label")}


def time_point(ws: Workspace, draw: Draw) -> Place:
    if draw(st.booleans()):
        ws.time_points[0].nickname = draw(WORDS)
        return {("time point 1", "nickname")}
    ws.time_points[0].tags = tuple(draw(TAGS))
    return {("time point 1", "tags")}


def one_time_point_more(ws: Workspace, draw: Draw) -> Place:
    number = ws.add_time_point(draw(WORDS)).number
    return {(f"time point {number}", "time_point")}


def landmark(ws: Workspace, draw: Draw) -> Place:
    one: Any = ws.annotations[0]
    what = draw(st.sampled_from(["position", "text", "tags", "color", "plane", "offset"]))
    numbers = st.floats(1, 9)
    values = {
        "position": st.tuples(numbers, numbers, numbers),
        "text": WORDS,
        "tags": TAGS,
        "color": st.tuples(numbers, numbers, numbers),
        "plane": st.integers(1, 2),
        "offset": st.tuples(numbers, numbers),
    }
    setattr(one, what, draw(values[what]))
    return {("annotation 0", "points" if what == "position" else what)}


def line(ws: Workspace, draw: Draw) -> Place:
    one: Any = ws.annotations[1]
    what = draw(st.sampled_from(["point1", "visible_in_all_slices", "visible_in_all_planes"]))
    setattr(one, what, (9, 9, 9) if what == "point1" else True)
    return {("annotation 1", "points" if what == "point1" else what)}


def one_annotation_more(ws: Workspace, draw: Draw) -> Place:
    ws.add_landmark(draw(st.tuples(FAR, FAR, FAR)), draw(WORDS))
    return {(f"annotation {len(ws.annotations) - 1}", "annotation")}


def mesh(ws: Workspace, draw: Draw) -> Place:
    (one,) = ws.meshes()
    what = draw(st.sampled_from(["nickname", "tags", "type", "surfaces"]))
    if what == "surfaces":
        one.add_polydata(ws.folder / "other.stl", draw(st.integers(1, 9)))
    else:
        setattr(one, what, tuple(draw(TAGS)) if what == "tags" else draw(WORDS))
    return {("mesh:0", what)}


def no_mesh(ws: Workspace, draw: Draw) -> Place:
    ws.remove(ws.meshes()[0])
    return {("mesh:0", "mesh")}


#: Edits that can be made together, whichever of them are; `no_mesh` comes after `mesh`.
EDITS = (
    *(nickname, tags, transform, color_map, opacity, sticky, mode, component, contrast),
    *(voxels, role, one_layer_more, label, one_label_more, one_label_less),
    *(time_point, one_time_point_more, landmark, line, one_annotation_more, mesh),
)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_every_edit_is_found_and_nothing_else(study, data):
    edited = Workspace.open(study.path)
    chosen = data.draw(st.lists(st.sampled_from(EDITS), unique=True))
    expected = [edit(edited, data.draw) for edit in chosen]
    assert found(study, edited) == set().union(*expected)


@pytest.mark.parametrize("edit", [*EDITS, no_mesh], ids=lambda edit: edit.__name__)
@settings(max_examples=2, deadline=None)
@given(data=st.data())
def test_each_edit_is_found_after_a_save(study, tmp_path_factory, edit, data):
    edited = Workspace.open(study.path)
    expected = edit(edited, data.draw)
    saved = Workspace.open(edited.save(tmp_path_factory.mktemp("edited") / "other.itksnap"))
    assert found(study, saved) == expected


@given(st.permutations([1, 2, 3]))
@settings(max_examples=6, deadline=None)
def test_any_order_of_the_layers_is_told(study, order):
    edited = Workspace.open(study.path)
    for number in order:
        edited.registry.rename_folder(f"Layers.Layer[{number:03d}]", f"Layer[old {number}]")
    for new, number in enumerate(order, 1):
        edited.registry.rename_folder(f"Layers.Layer[old {number}]", f"Layer[{new:03d}]")
    assert found(study, edited) == {
        (f"layer {number:03d} / {new:03d}", "number")
        for new, number in enumerate(order, 1)
        if new != number
    }


# ------------------------------------------------------------------- the picture


def test_both_are_drawn_at_the_same_slices(study, edited):
    edited.layers()[3].file = study.folder / "target_edited.nii.gz"  # its centre is elsewhere
    edited.remove(edited.layers()[2])
    both = draw_comparison(study, edited, size=64)
    same = draw_comparison(study, study, size=64)
    assert both.size == same.size
    half = both.width // 2
    assert np.array_equal(np.asarray(both)[:, :half], np.asarray(same)[:, :half])
    assert not np.array_equal(np.asarray(both)[:, half:], np.asarray(same)[:, half:])
    right = edited.picture(slices=_cursor(study), size=64)
    assert np.array_equal(np.asarray(both)[-right.height :, -right.width :], np.asarray(right))


def test_main_images_of_another_grid_are_cut_through_their_own_middle(study, tmp_path):
    other = Workspace()
    other.set_main(study.folder / "source.nii.gz")
    assert _is_on_the_right(other.picture(size=64), draw_comparison(study, other, size=64))
    image = nibabel.load(study.main.path)
    moved = image.affine.copy()
    moved[2, 3] += 3  # of the same size, at another place
    voxels = np.roll(np.asanyarray(image.dataobj), 9, 0)
    nibabel.save(nibabel.Nifti1Image(voxels, moved), tmp_path / "moved.nii.gz")
    other.set_main(tmp_path / "moved.nii.gz")
    assert _is_on_the_right(other.picture(size=64), draw_comparison(study, other, size=64))


def _is_on_the_right(one, both) -> bool:
    top = 24  # of the captions
    found = np.asarray(both)[top : top + one.height, -one.width :]
    return np.array_equal(found, np.asarray(one))


def _cursor(workspace: Workspace) -> tuple[int, int, int]:
    from snapws.pictures.scene import Scene

    return Scene(workspace).cursor()

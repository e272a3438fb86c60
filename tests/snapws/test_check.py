"""The check of a workspace: every kind of problem, and none where there is none."""

from __future__ import annotations

import gzip
import os
import re
import threading
import tracemalloc
from pathlib import Path

import nibabel
import numpy as np
import pytest

from snapws import Label, LayerFileMissing, Workspace
from snapws.check import Problem, check_workspace
from snapws.images import readings
from snapws.images.header import ImageHeader
from tests.conformance.replay import RECORDINGS

AFFINE = np.array([[-0.5, 0, 0, 10], [0, 0, 2, 20], [0, 1, 0, 30], [0, 0, 0, 1.0]])


def image(path: Path, values, affine=AFFINE, slope: float = 1) -> Path:
    found = nibabel.Nifti1Image(np.asarray(values), affine)
    if slope != 1:
        found.header.set_slope_inter(slope, 0)
    nibabel.save(found, path)
    return path


@pytest.fixture
def scan(tmp_path) -> Workspace:
    """A workspace with a main image of 4 x 3 x 2 voxels and the labels 1 and 2."""
    workspace = Workspace()
    workspace.set_main(image(tmp_path / "main.nii.gz", np.zeros((4, 3, 2), np.int16)))
    workspace.labels = [Label(1, "one"), Label(2, "two")]
    workspace.save(tmp_path / "scan.itksnap")
    return workspace


def voxels(*values, dtype=np.uint8):
    found = np.zeros(24, dtype)
    found[: len(values)] = values
    return found.reshape(4, 3, 2)


def test_all_well(scan, tmp_path):
    scan.add_segmentation(image(tmp_path / "seg.nii.gz", voxels(1, 2, 0)))
    scan.add_segmentation(image(tmp_path / "float.nii", voxels(1, 2, dtype=np.float32)))
    other_place = image(tmp_path / "o.nii.gz", np.ones((9, 9, 9), np.float32), np.eye(4))
    scan.add_overlay(other_place)
    assert check_workspace(scan) == ()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (voxels(1, 3, 7), "its labels 3, 7 are not in the label table"),
        (voxels(-1, 1, dtype=np.int16), "its voxels hold -1, labels are whole numbers"),
        (voxels(0.5, 1, dtype=np.float32), "its voxels hold 0.5, labels are whole numbers"),
        (voxels(70000, dtype=np.int32), "its voxels hold 70000, labels are whole numbers"),
        (voxels(1234567, dtype=np.int32), "its voxels hold 1234567, labels are whole numbers"),
        (voxels(np.inf, np.nan, dtype=np.float64), "labels are whole numbers from 0 to 65535"),
        (
            voxels(*range(20)),
            "its labels 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, and 7 more are not in the label table",
        ),
    ],
)
def test_labels(scan, tmp_path, values, message):
    scan.add_segmentation(image(tmp_path / "seg.nii.gz", values))
    (problem,) = check_workspace(scan)
    assert (problem.kind, problem.where) == ("labels", "layer 001")
    assert message in problem.message


def test_labels_are_scaled_values(scan, tmp_path):
    path = image(tmp_path / "seg.nii", voxels(1), slope=1)
    header = bytearray(path.read_bytes())
    header[112:116] = np.float32(5).tobytes()  # scl_slope
    path.write_bytes(header)
    scan.add_segmentation(path)
    assert check_workspace(scan) == (
        Problem("labels", "layer 001", "its labels 5 are not in the label table"),
    )


@pytest.mark.parametrize(
    ("slope", "stored"), [(0.1, (10, 20)), (0.6, (25, 45)), (7 / 12, (108, 12))]
)
def test_labels_are_whole_where_scaling_is_not_exact(scan, tmp_path, slope, stored):
    """What a volume is counted of is no problem here."""
    scan.labels = [Label(round(slope * one), "one") for one in stored]
    path = image(tmp_path / "seg.nii", voxels(*stored, 0))
    data = bytearray(path.read_bytes())
    data[112:120] = np.array([slope, 0], "<f4").tobytes()
    path.write_bytes(data)
    scan.add_segmentation(path)
    assert check_workspace(scan) == ()


@pytest.mark.parametrize(
    ("entry", "stored", "message"),
    [
        ("ImageTransform.Offset.Element[0]", "nan", "'nan'"),
        ("LayerMetaData.DisplayMapping.SelectedScalarRep", "Loud", "'Loud', not a known mode"),
        ("LayerMetaData.Alpha", "nan", "its opacity is not a number"),
        ("LayerMetaData.DisplayMapping.Curve.ControlPoint[0].tValue", "inf", "contrast curve"),
    ],
)
def test_settings(scan, entry, stored, message):
    overlay = scan.add_overlay(scan.main.path)
    overlay.transform = np.diag([1.0, 1, 2, 1])
    overlay.display.set_linear_contrast(0, 10)
    overlay.registry[entry] = stored
    (problem,) = check_workspace(scan)
    assert (problem.kind, problem.where) == ("settings", "layer 001")
    assert message in problem.message


def test_a_matrix_that_is_not_used(scan):
    overlay = scan.add_overlay(scan.main.path)
    overlay.registry["ImageTransform.Offset.Element[0]"] = "3"
    (problem,) = check_workspace(scan)
    assert (problem.kind, problem.where) == ("settings", "layer 001")
    assert "a matrix that is not used: without IsIdentity" in problem.message


def test_a_matrix_without_an_inverse(scan):
    overlay = scan.add_overlay(scan.main.path)
    overlay.registry["ImageTransform.IsIdentity"] = "0"
    overlay.registry["ImageTransform.Matrix.Element[2][2]"] = "0"
    (problem,) = check_workspace(scan)
    assert (problem.kind, problem.where) == ("settings", "layer 001")
    assert "has no inverse" in problem.message


@pytest.mark.parametrize(
    ("entry", "stored", "message"),
    [
        (
            "ColorMap.Preset",
            "jet",
            "no colour map 'jet' and shows it in grey: set the colour map Jet",
        ),
        ("Alpha", "90", "its opacity is 90, .* ITK-SNAP shows it opaque; set 35% for 90 of 255"),
    ],
)
def test_settings_that_itksnap_takes_otherwise_are_remarks(scan, entry, stored, message):
    overlay = scan.add_overlay(scan.main.path)
    key = "LayerMetaData." + ("DisplayMapping." if "." in entry else "") + entry
    overlay.registry[key] = stored
    (problem,) = check_workspace(scan)
    assert (problem.kind, problem.where, problem.is_error) == ("settings", "layer 001", False)
    assert re.search(message, problem.message)


def test_the_opacity_of_the_main_image_does_not_count(scan):
    scan.main.registry["LayerMetaData.Alpha"] = "255"
    assert check_workspace(scan) == ()


def test_an_opacity_of_segmentations_beyond_1_is_a_remark(scan, tmp_path):
    scan.add_segmentation(image(tmp_path / "seg.nii.gz", voxels(1, 2, 0)))
    scan.main.registry["ProjectMetaData.IRIS.LabelState.SegmentationAlpha"] = "128"
    (problem,) = check_workspace(scan)
    assert not problem.is_error
    assert problem.message.startswith("the opacity of the segmentations is 128, but goes from 0")


@pytest.mark.skipif(os.name == "nt", reason="Windows has other limits")
def test_files_out_of_reach(scan, tmp_path):
    scan.add_overlay(tmp_path / ("long" * 64))
    scan.add_overlay(tmp_path)
    said = [one.message for one in check_workspace(scan)]
    assert said[0].endswith("cannot be reached: File name too long")
    assert said[1].endswith("is not a file")
    with pytest.raises(LayerFileMissing, match="File name too long"):
        scan.layer(1)


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="nothing is out of reach for root"
)
def test_a_folder_that_one_may_not_enter(scan, tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    scan.add_overlay(closed / "scan.nii")
    (problem,) = check_workspace(scan)
    assert problem.message.endswith("cannot be reached: Permission denied")


def test_an_origin_that_is_no_number(scan, tmp_path):
    """The quaternion's counts as 0, as in ITK; that of an sform alone has no stand-in."""
    path = image(tmp_path / "lost.nii", np.zeros((4, 3, 2), np.int16))
    data = bytearray(path.read_bytes())
    data[252:256] = np.array([0, 2], "<i2").tobytes()
    data[292:296] = np.array([np.nan], "<f4").tobytes()
    path.write_bytes(data)
    scan.add_overlay(path)
    (found,) = check_workspace(scan)
    assert (found.kind, found.where) == ("image", "layer 001")
    assert "its origin or its axes contain NaN or infinity" in found.message
    data[252:256] = np.array([1, 0], "<i2").tobytes()
    data[268:280] = np.array([np.nan] * 3, "<f4").tobytes()
    path.write_bytes(data)
    assert "image" not in {one.kind for one in check_workspace(scan)}


def test_the_opacity_of_segmentations(scan):
    scan.add_segmentation(scan.main.path)
    scan.main.registry["ProjectMetaData.IRIS.LabelState.SegmentationAlpha"] = "nan"
    assert Problem(
        "settings",
        "layer 001",
        "the opacity of the segmentations is not a number: set another one",
    ) in check_workspace(scan)


def test_settings_that_are_not_used_are_no_problem(scan, tmp_path):
    scan.main.registry["LayerMetaData.Alpha"] = "nan"
    drawn = scan.add_segmentation(image(tmp_path / "seg.nii.gz", voxels(1, 2, 0)))
    drawn.display.color_map = "Jett"
    assert check_workspace(scan) == ()
    assert scan.picture(size=32).width


def test_more_values_than_there_are_labels(scan, tmp_path):
    size = (100, 100, 10)
    scan.set_main(image(tmp_path / "big.nii", np.zeros(size, np.int16)))
    noise = np.arange(100_000, dtype=np.float32).reshape(size) + 0.5
    scan.add_segmentation(image(tmp_path / "noise.nii.gz", noise))
    (problem,) = check_workspace(scan)
    assert problem.kind == "labels"
    assert len(problem.message) < 300


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ((4, 3, 3), "its size is 4 x 3 x 3, that of the main image 4 x 3 x 2"),
        ((4, 3, 2, 5), "it has 5 time points, the main image 1"),
    ],
)
def test_a_segmentation_that_itksnap_does_not_open(scan, tmp_path, size, message):
    path = image(tmp_path / "seg.nii.gz", np.ones(size, np.uint8))
    scan.add_segmentation(path, any_size=True)
    said = f"{message}: ITK-SNAP does not open it"
    assert list(check_workspace(scan)) == [Problem("geometry", "layer 001", said)]


def test_a_still_segmentation_of_a_series_does_not_fit(scan, tmp_path):
    scan.set_main(image(tmp_path / "cine.nii.gz", np.zeros((4, 3, 2, 7), np.int16)))
    scan.labels = [Label(1, "one"), Label(2, "two")]
    scan.add_segmentation(image(tmp_path / "seg.nii.gz", voxels(1)), any_size=True)
    (problem,) = check_workspace(scan)
    assert problem.message.startswith("it has 1 time point, the main image 7")
    scan.set_segmentation(image(tmp_path / "seg.nii.gz", np.ones((4, 3, 2, 7), np.uint8)))
    assert check_workspace(scan) == ()


@pytest.mark.parametrize(
    ("change", "how"),
    [
        (
            lambda m: m[1, 3:].__iadd__(0.3),
            "it lies up to 0.3 mm off .*: it is shifted by 0, 0.3, 0 mm",
        ),
        (
            lambda m: m[:3, :3].__imul__(2),
            "its voxels measure 1 x 2 x 4 mm, those of the main image",
        ),
        (
            lambda m: m.__setitem__((slice(3), slice(3)), np.diag([-0.5, -1, 2])),
            "its axes run LPS, those of the main image LSA",
        ),
        (
            lambda m: m.__setitem__(
                (slice(3), slice(3)),
                nibabel.eulerangles.euler2mat(0.2) @ AFFINE[:3, :3],
            ),
            "its axes are turned against those of the main image",
        ),
        (lambda m: m[1, 3:].__iadd__(0.01), None),
    ],
)
def test_a_segmentation_whose_header_puts_it_elsewhere(scan, tmp_path, change, how):
    moved = AFFINE.copy()
    change(moved)
    scan.add_segmentation(image(tmp_path / "seg.nii.gz", np.ones((4, 3, 2), np.uint8), moved))
    found = check_workspace(scan)
    assert [(one.kind, one.where) for one in found] == [("geometry", "layer 001")] * bool(how)
    if how:
        assert re.search(how, found[0].message)
        assert found[0].message.endswith("ITK-SNAP shows it voxel on voxel over the main image")


def test_a_segmentation_before_the_main_image_is_held_against_it(inputs, scan, tmp_path):
    scan.add_segmentation(
        image(tmp_path / "seg.nii.gz", np.ones((4, 3, 3), np.uint8)), any_size=True
    )
    layers = scan.registry.folder("Layers")
    layers.rename_folder("Layer[000]", "Layer[002]")
    layers.rename_folder("Layer[001]", "Layer[000]")
    layers.rename_folder("Layer[002]", "Layer[001]")
    assert [problem.where for problem in check_workspace(scan)] == ["layer 000"]


@pytest.mark.parametrize("name", ["rgb.nii.gz", "vec3.nii.gz"])
def test_colours_are_no_labels(inputs, name):
    workspace = Workspace()
    workspace.set_main(inputs / name)
    workspace.add_segmentation(inputs / name)
    (problem, *_) = check_workspace(workspace)
    assert (problem.kind, problem.where) == ("geometry", "layer 001")


def test_files(base, inputs):
    base.labels = [Label(1, "one"), Label(2, "two")]
    (inputs / "b.nii.gz").unlink()
    whole = (inputs / "plain.nii").read_bytes()
    (inputs / "plain.nii").write_bytes(whole[:-1])
    base.add_overlay("https://example.org/x.nii.gz")
    base.add_overlay(inputs / "notanimage.nii.gz")
    base.add_mesh(inputs / "none.vtk")
    found = [(problem.kind, problem.where, problem.message) for problem in check_workspace(base)]
    file = (inputs / "b.nii.gz").as_posix()
    assert found[0] == ("file", "layer 001", f"its file {file} is not there")
    assert found[1][:2] == ("image", "layer 003")
    assert "cut short, 1 of" in found[1][2]
    server = "its file https://example.org/x.nii.gz is on a server"
    assert found[2] == ("file", "layer 004", server)
    assert found[3][:2] == ("image", "layer 005")
    assert found[4][:2] == ("file", "mesh:0")
    assert len(found) == 5


@pytest.mark.parametrize("detached", ["../secret.raw", "gone.raw"])
def test_voxels_from_elsewhere_are_not_read(scan, tmp_path, detached):
    """No archive takes them; see `refuse_elsewhere`."""
    pytest.importorskip("SimpleITK", reason="needs the extra 'formats'")
    (tmp_path / "secret.raw").write_bytes(bytes(24))
    folder = tmp_path / "study"
    folder.mkdir()
    header = "ObjectType = Image\nNDims = 3\nDimSize = 4 3 2\nElementType = MET_UCHAR\n"
    (folder / "a.mhd").write_text(f"{header}ElementDataFile = {detached}\n")
    scan.add_overlay(folder / "a.mhd")
    (problem,) = check_workspace(scan)
    assert (problem.kind, problem.where) == ("image", "layer 001")
    assert ("which is not beside it" in problem.message) == (detached == "../secret.raw")


def test_a_checksum_is_checked_where_voxels_are_not_looked_at(base, inputs):
    base.labels = [Label(1, "one"), Label(2, "two")]
    damaged = bytearray((inputs / "b.nii.gz").read_bytes())
    damaged[-6] ^= 1
    (inputs / "b.nii.gz").write_bytes(damaged)
    assert [(problem.kind, problem.where) for problem in check_workspace(base)] == [
        ("image", "layer 001")
    ]


def test_a_label_table_that_cannot_be_read(base):
    table = base.main.registry.make_folder("ProjectMetaData.IRIS.LabelTable")
    table["NumberOfElements"] = "many"
    assert [(problem.kind, problem.where) for problem in check_workspace(base)] == [
        ("labels", "label table")
    ]


def test_no_main_image():
    (problem,) = check_workspace(Workspace())
    assert problem.kind == "no-main"


EMPTY = "it is empty: no voxel has a label"


def test_an_empty_segmentation_is_remarked(scan, tmp_path):
    scan.add_segmentation(image(tmp_path / "seg.nii.gz", voxels(0)))
    (problem,) = check_workspace(scan)
    assert (problem.where, problem.message, problem.severity) == ("layer 001", EMPTY, "remark")
    scan.set_segmentation(image(tmp_path / "seg.nii.gz", voxels(0, 1)))
    assert EMPTY not in {one.message for one in check_workspace(scan)}


def test_memory_is_flat(scan, tmp_path):
    size = (400, 400, 200)  # 64 MB
    nifti = nibabel.Nifti1Image(np.zeros((1, 1, 1), np.int16), AFFINE)
    nifti.header.set_data_shape(size)
    nifti.header["vox_offset"] = 352
    with gzip.open(tmp_path / "big.nii.gz", "wb", compresslevel=1) as file:
        file.write(nifti.header.binaryblock.ljust(352, b"\0"))
        for _ in range(64):
            file.write(bytes(1_000_000))
    scan.set_main(tmp_path / "big.nii.gz")
    scan.add_segmentation(tmp_path / "big.nii.gz")
    check_workspace(scan)  # what is imported on the way does not count
    tracemalloc.start()
    try:
        assert [one.message for one in check_workspace(scan)] == [EMPTY]
        assert tracemalloc.get_traced_memory()[1] < 16_000_000
    finally:
        tracemalloc.stop()


def test_a_damaged_mesh(scan, tmp_path):
    (tmp_path / "tri.vtk").write_bytes((RECORDINGS / "inputs" / "tri.vtk").read_bytes()[:-4])
    (tmp_path / "scene.vrml").write_text("#VRML V2.0 utf8\n")
    scan.add_mesh(tmp_path / "tri.vtk")
    scan.add_mesh(tmp_path / "scene.vrml")
    problem, _ = check_workspace(scan)
    assert (problem.kind, problem.where) == ("mesh", "mesh:0")


OBJ = "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n"
PLY = "ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nend_header\n0\n"
GRID = "# vtk DataFile Version 4.2\nx\nASCII\nDATASET UNSTRUCTURED_GRID\nPOINTS 0 float\n"
STL = (
    "solid\nfacet normal 0 0 1\nouter loop\n"
    + 3 * "vertex 0 0 0\n"
    + "endloop\nendfacet\nendsolid\n"
)
GRID_XML = '<VTKFile type="UnstructuredGrid" version="1.0"></VTKFile>'


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.obj", OBJ),
        ("a.ply", PLY),
        ("a.stl", STL),
        ("grid.vtk", GRID),
        ("grid.vtp", GRID_XML),
        ("grid.vtu", GRID_XML),
        ("ply.vtk", PLY),
    ],
)
def test_a_mesh_that_itk_snap_cannot_open(scan, tmp_path, name, content):
    (tmp_path / name).write_text(content)
    scan.add_mesh(tmp_path / name)
    (problem,) = check_workspace(scan)
    assert (problem.kind, problem.where, problem.is_error) == ("mesh", "mesh:0", True)
    assert name in problem.message
    if name != "ply.vtk":  # of which it is said that it is no VTK file
        assert "ITK-SNAP cannot open" in problem.message
        assert "convert it to one of these" in problem.message


@pytest.mark.parametrize("name", ["notes.txt", "notes.ply", "scan.nii.gz"])
def test_what_is_no_mesh_at_all(scan, tmp_path, name):
    (tmp_path / name).write_text("no mesh at all\n")
    scan.add_mesh(tmp_path / name)
    (problem,) = check_workspace(scan)
    assert (problem.kind, problem.where) == ("mesh", "mesh:0")
    assert "this is not a mesh" in problem.message


@pytest.mark.parametrize("broken", [False, True], ids=["whole", "truncated"])
def test_a_file_of_several_layers_is_read_once(scan, tmp_path, monkeypatch, broken):
    file = image(tmp_path / "labels.nii.gz", voxels(0, 1, 7))
    scan.set_main(file)
    scan.add_overlay(file)
    for _ in range(2):
        scan.add_segmentation(file)
    if broken:
        file.write_bytes(file.read_bytes()[:-6])
    opened: list[str] = []
    read = ImageHeader.voxels

    def counted(self):
        opened.append(self.path.name)
        return read(self)

    monkeypatch.setattr(ImageHeader, "voxels", counted)
    found = check_workspace(scan)
    assert opened == ["labels.nii.gz"]
    kinds = [(one.kind, one.where) for one in found if one.is_error]
    if broken:
        assert kinds == [("image", f"layer {number:03d}") for number in range(4)]
    else:
        assert kinds == [("labels", "layer 002"), ("labels", "layer 003")]


def test_images_are_read_side_by_side(scan, tmp_path, monkeypatch):
    """Each of two waits in its first piece for the other one to have begun."""
    scan.add_overlay(image(tmp_path / "other.nii.gz", np.ones((4, 3, 2), np.int16)))
    both = threading.Barrier(2)
    read = ImageHeader.voxels

    def together(self):
        both.wait(60)
        return read(self)

    monkeypatch.setattr("os.cpu_count", lambda: 2)
    monkeypatch.setattr(ImageHeader, "voxels", together)
    before = {*threading.enumerate()}
    assert check_workspace(scan) == ()
    assert not {*threading.enumerate()} - before


def test_a_file_of_raw_voxels_is_read_for_each_of_its_hints(scan, tmp_path):
    raw = tmp_path / "voxels.raw"
    raw.write_bytes(bytes(24))
    for kind in ("UCHAR", "USHORT"):
        layer = scan.add_overlay(scan.main.path)
        layer.file = raw
        layer.registry["IOHints.Format"] = "Raw Binary"
        layer.registry["IOHints.Raw.Dimensions"] = "4 3 2"
        layer.registry["IOHints.Raw.PixelType"] = kind
    found = [one for one in check_workspace(scan) if one.kind == "image"]
    assert [one.where for one in found] == ["layer 002"]  # it has half the bytes of USHORT


@pytest.mark.parametrize("kind", [None, "image", "labels"])
def test_an_image_that_appears_meanwhile_is_read_too(scan, tmp_path, monkeypatch, kind):
    """As when a program still copies the files of a study."""
    late, away = image(tmp_path / "late.nii.gz", np.full((4, 3, 2), 9, np.int16)), tmp_path / "away"
    scan.add_anatomical(late)
    if kind == "labels":
        scan.add_segmentation(late)
    elif kind == "image":
        late.write_bytes(late.read_bytes()[:-9])
    scan.save(scan.path)
    moved = tmp_path / "moved"
    moved.mkdir()
    for name in ("main.nii.gz", "scan.itksnap"):
        (tmp_path / name).rename(moved / name)
    late.rename(away)
    workspace = Workspace.open(moved / "scan.itksnap")
    refusal = readings.refusal

    def while_it_comes(*given, **more):
        if away.exists():
            away.rename(moved / "late.nii.gz")
        return refusal(*given, **more)

    monkeypatch.setattr(readings, "refusal", while_it_comes)
    problems = check_workspace(workspace)
    assert [one.kind for one in problems] == ([kind] if kind else [])
    assert kind != "labels" or re.search(r"\b9\b", problems[0].message)

from __future__ import annotations

import os

import nibabel
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from snapws import (
    AmbiguousLayer,
    ImageUnsupported,
    InvalidValue,
    Label,
    LayerFileMissing,
    LayerNotFound,
    RegistryError,
    Role,
    Workspace,
    WorkspaceChanged,
    WorkspaceError,
)
from snapws.registry import xml_format
from tests.conformance.replay import RECORDINGS


def test_layers(base):
    assert [layer.role for layer in base.layers()] == [
        Role.MAIN,
        Role.OVERLAY,
        Role.SEGMENTATION,
        Role.OVERLAY,
    ]
    main = base.layer("M")
    assert (main.number, main.key, main.nickname, main.tags) == (
        0,
        "Layers.Layer[000]",
        "T1",
        ("Target",),
    )
    assert main.path == base.folder / "a.nii.gz"
    assert [layer.number for layer in base.layers(tag="Source")] == [1, 2]
    assert [layer.number for layer in base.layers(role=Role.OVERLAY)] == [1, 3]
    assert [layer.number for layer in base.layers(tag="Source", role=Role.OVERLAY)] == [1]


@pytest.mark.parametrize(
    ("specification", "number"),
    [
        *[("3", 3), ("003", 3), (2, 2), ("M", 0), ("m", 0), ("main", 0), ("S", 2), ("s", 2)],
        *[("seg", 2), ("O:0", 1), ("o:1", 3), ("overlay:-1", 3), ("O:-2", 1), ("A:0", 0)],
        *[("anat:2", 3), ("a:-1", 3), ("A:-3", 0)],
    ],
)
def test_specifications(base, specification, number):
    assert base.layer(specification).number == number


@pytest.mark.parametrize(
    "specification", ["4", "-1", "X:1", "O:2", "O:-3", "A:3", "M:0", "O", "mesh:0", "", "O:", "0x1"]
)
def test_specifications_of_no_layer(base, specification):
    with pytest.raises(LayerNotFound) as caught:
        base.layer(specification)
    assert "layers in base.itksnap: 000 (main), 001 (overlay), 002 (segmentation)" in str(
        caught.value
    )


def test_exactly_one_layer_of_a_tag(base):
    assert base.layer(tag="Target").number == 0
    with pytest.raises(LayerNotFound) as none:
        base.layer(tag="Sorce")
    assert str(none.value) == (
        "no layer has the tag 'Sorce'; tags in base.itksnap: Alpha, Seg, Source, Target, Zeta"
    )
    with pytest.raises(AmbiguousLayer) as several:
        base.layer(tag="Source")
    assert str(several.value) == (
        "2 layers of base.itksnap have the tag 'Source': 001 (overlay), 002 (segmentation)"
    )
    with pytest.raises(InvalidValue):
        base.layer()


def test_a_layer_whose_file_is_missing(base):
    (base.folder / "b.nii.gz").unlink()
    assert base.find("O:0").number == 1
    with pytest.raises(LayerFileMissing) as caught:
        base.layer("O:0")
    assert f"layer 001 of base.itksnap: its file {base.folder.as_posix()}/b.nii.gz" in str(
        caught.value
    )


@pytest.mark.parametrize(
    "url", ["https://h.org/a.nii.gz", "sftp://h.org/a.nii.gz", "fw://group/project/a.nii.gz"]
)
def test_files_on_a_server_are_left_alone_and_refused_where_needed(base, url):
    layer = base.layers()[1]
    layer.file = url
    layer.nickname = "far"
    base.save()
    assert Workspace.open(base.path).layers()[1].file == url
    with pytest.raises(LayerFileMissing, match="on a server: download it"):
        base.layer("O:0")
    with pytest.raises(LayerFileMissing, match="the main image is at"):
        base.set_main(url)
    assert base.main.file.endswith("a.nii.gz")


def test_tags(base):
    layer = base.layers()[1]
    layer.add_tag("Beta")
    layer.add_tag("Beta")
    assert layer.registry["Tags"] == "Alpha,Beta,Source,Zeta"
    layer.remove_tag("Zeta")
    layer.remove_tag("Zeta")
    layer.tags = {"b", "a"}
    assert layer.registry["Tags"] == "a,b"
    for tag in ("a,b", "", " a"):
        with pytest.raises(InvalidValue):
            layer.add_tag(tag)
    with pytest.raises(InvalidValue):
        layer.tags = "Target"
    base.layers()[0].take_tag("Source")
    assert [one.number for one in base.layers(tag="Source")] == [0]


def test_a_new_workspace(inputs):
    workspace = Workspace()
    with pytest.raises(LayerNotFound, match="has no main image"):
        workspace.add_segmentation(inputs / "s.nii.gz")
    with pytest.raises(LayerNotFound, match="has no main image"):
        workspace.add_overlay(inputs / "b.nii.gz")
    with pytest.raises(LayerNotFound, match="has no main image"):
        workspace.add_mesh(inputs / "tri.vtk")
    with pytest.raises(ImageUnsupported):
        workspace.add_anatomical(inputs / "labels.txt")
    assert workspace.layers() == []
    with pytest.raises(WorkspaceError, match="say where to save it"):
        workspace.save()
    main = workspace.add_anatomical(inputs / "a.nii.gz", nickname="T1", tags={"Target"})
    assert main.role is Role.MAIN
    assert main.registry["ProjectMetaData.Files.Grey.Dimensions"] == "12 10 8"
    assert workspace.add_anatomical(inputs / "b.nii.gz").role is Role.OVERLAY
    workspace.add_segmentation(inputs / "s.nii.gz", nickname="Result", tags=["Seg", "Result"])
    saved = workspace.save(inputs / "new.itksnap")
    again = Workspace.open(saved)
    assert again.registry == workspace.registry
    assert again.layer(tag="Result").nickname == "Result"


def test_set_main_and_set_segmentation_replace(base, inputs):
    base.add_segmentation(inputs / "s.nii.gz", tags={"Second"})
    base.set_segmentation(inputs / "s.nii.gz")
    assert [layer.role for layer in base.layers()] == [
        *[Role.MAIN, Role.OVERLAY, Role.SEGMENTATION, Role.OVERLAY]
    ]
    assert base.layer("S").tags == ()
    base.set_main(inputs / "t4d.nii.gz")
    assert base.main.nickname == ""
    assert base.main.registry["ProjectMetaData.Files.Grey.Dimensions"] == "6 5 4"
    before = base.registry.copy()
    with pytest.raises(ImageUnsupported):
        base.set_main(inputs / "labels.txt")
    assert base.registry == before


def test_removing_layers(base):
    main, first, segmentation, last = base.layers()
    base.remove(first)
    assert (main.number, segmentation.number, last.number) == (0, 1, 2)
    assert last.path.name == "plain.nii"
    with pytest.raises(InvalidValue, match="has been removed"):
        first.number  # noqa: B018
    with pytest.raises(InvalidValue, match="the main image goes last"):
        base.remove(main)
    base.remove(last)
    base.remove(segmentation)
    base.remove(main)
    assert base.layers() == []


def test_reading_stops_at_a_gap(inputs):
    assert len(Workspace.open(inputs / "gap.itksnap").layers()) == 1


def test_meshes(base, inputs):
    mesh = base.add_mesh("tri.vtk", nickname="Cortex", tags={"Surface"})
    assert mesh.add_polydata(inputs / "tri.stl") == 1
    assert mesh.add_polydata("https://h.org/x.ply", time_point=2) == 0
    assert [(one.time_point, one.number, one.format) for one in mesh.polydata()] == [
        *[(1, 0, "VTK Mesh"), (1, 1, "STL Mesh"), (2, 0, "INVALID FORMAT")]
    ]
    assert mesh.file(2) == "https://h.org/x.ply"
    with pytest.raises(LayerFileMissing, match="no file number 3 at time point 1"):
        mesh.file(1, 3)
    with pytest.raises(InvalidValue, match="time points go from 1 to"):
        base.add_mesh("tri.vtk", time_point=0)
    assert base.find("mesh:-1").key == "MeshLayers.Layer[000]"
    assert base.find(tag="Surface").nickname == "Cortex"
    with pytest.raises(LayerNotFound):
        base.layer(tag="Surface")
    base.remove(mesh)
    assert base.meshes() == []


def test_moved_meshes_are_found(base, inputs, tmp_path):
    base.add_mesh(inputs / "tri.vtk")
    base.save()
    inputs.rename(tmp_path / "elsewhere")
    moved = Workspace.open(tmp_path / "elsewhere" / "base.itksnap")
    assert moved.meshes()[0].file(1) == (tmp_path / "elsewhere" / "tri.vtk").as_posix()


def test_time_points(inputs):
    workspace = Workspace.open(inputs / "gui.itksnap")
    assert [(point.number, point.nickname, point.tags) for point in workspace.time_points] == [
        *[(1, "ED", ("first",)), (2, "ES", ("second", "both")), (3, "ES", ("both",))]
    ]
    workspace.time_points[0].nickname = "end-diastole"
    added = workspace.add_time_point("late", tags={"x"})
    assert added.number == 4
    saved = Workspace.open(workspace.save())
    assert [point.nickname for point in saved.time_points] == ["end-diastole", "ES", "ES", "late"]
    assert Workspace().time_points == ()


def test_annotations(inputs):
    workspace = Workspace.open(inputs / "gui.itksnap")
    line, landmark = workspace.annotations
    assert (line.kind, line.center, line.tags) == ("LineSegment", (2.5, 4.25, 3), ())
    assert (landmark.kind, landmark.center, landmark.tags) == (
        *["Landmark", (10.5, 20, 30)],
        ("AC", "PC"),
    )
    assert landmark.text == "Anterior commissure <AC>"
    assert (landmark.color, landmark.plane, landmark.selected) == ((0, 1, 0), 0, True)
    workspace.add_landmark((1, 2, 3.5), "tip", tags={"T"})
    workspace.add_line((0, 0, 0), (2, 2, 2))
    saved = Workspace.open(workspace.save())
    assert [one.center for one in saved.annotations[2:]] == [(1, 2, 3.5), (1, 1, 1)]
    assert saved.annotations[2].text == "tip"
    landmark.registry["Pos"] = "1 2"
    with pytest.raises(InvalidValue, match="Pos takes 3 numbers, not 2"):
        landmark.center  # noqa: B018
    landmark.registry["Type"] = "Cloud"
    unknown = workspace.annotations[1]
    assert (unknown.kind, unknown.center) == ("Cloud", None)


def test_a_save_that_fails_leaves_the_old_file(base, monkeypatch):
    before = base.path.read_bytes()
    base.main.nickname = "new"

    def full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(WorkspaceError, match="cannot save .*No space left"):
        base.save()
    assert base.path.read_bytes() == before
    assert not list(base.folder.glob(".*"))


def test_a_change_by_another_program_is_not_lost(base):
    other = Workspace.open(base.path)
    other.main.nickname = "theirs"
    other.save()
    base.main.nickname = "ours"
    with pytest.raises(WorkspaceChanged, match="changed by another program since it was read"):
        base.save()
    assert Workspace.open(base.path).main.nickname == "theirs"
    base.save(base.folder / "elsewhere.itksnap")
    again = Workspace.open(base.folder / "base.itksnap")
    again.main.nickname = "second"
    other.main.nickname = "theirs again"
    other.save()
    with pytest.raises(WorkspaceChanged):
        again.save()
    again.save(force=True)
    again.main.nickname = "third"
    again.save()
    assert Workspace.open(again.path).main.nickname == "third"


def test_a_save_keeps_links_and_permissions(base, tmp_path):
    link = tmp_path / "link.itksnap"
    link.symlink_to(base.path)
    base.path.chmod(0o640)
    workspace = Workspace.open(link)
    workspace.main.nickname = "through the link"
    workspace.save()
    assert link.is_symlink()
    assert base.path.stat().st_mode & 0o777 == 0o640
    assert Workspace.open(base.path).main.nickname == "through the link"


def test_save_elsewhere_and_move(base, inputs, tmp_path):
    (tmp_path / "out").mkdir()
    saved = Workspace.open(base.save(tmp_path / "out" / "moved.itksnap"))
    assert saved.registry["SaveLocation"] == (tmp_path / "out").as_posix()
    assert saved.registry["Version"] == "20250909"
    assert saved.layer("M").path == inputs / "a.nii.gz"


def test_unreadable_files(tmp_path):
    with pytest.raises(WorkspaceError, match="cannot read the workspace .*No such file"):
        Workspace.open(tmp_path / "nothing.itksnap")
    with pytest.raises(WorkspaceError, match="cannot read the workspace"):
        Workspace.open(tmp_path)
    with pytest.raises(WorkspaceError, match="cannot read the workspace"):
        Workspace.open("a\0b")


def test_an_unknown_role_stays(base):
    base.layers()[3].registry["Role"] = "SnapRole"
    assert base.layers()[3].role is Role.OTHER
    assert Workspace.open(base.save()).layers()[3].registry["Role"] == "SnapRole"


def test_unknown_keys_and_the_header_survive_a_save(inputs):
    workspace = Workspace.open(inputs / "gui.itksnap")
    workspace.registry["Some.Other.Program"] = "1"
    workspace.layers()[0].nickname = "renamed"
    saved = Workspace.open(workspace.save())
    assert saved.comments == workspace.comments
    assert saved.registry["Some.Other.Program"] == "1"
    assert (
        "CANARY"
        in saved.registry["Layers.Layer[000].ProjectMetaData.IOHistory.AnatomicImage.Element[0]"]
    )


#: Files near enough to workspaces that reading goes further than the parser.
_SEEDS = [path.read_bytes() for path in sorted((RECORDINGS / "inputs").glob("*.itksnap"))]


@st.composite
def damaged_files(draw) -> bytes:
    data = draw(st.sampled_from(_SEEDS))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(data)))
        end = start + draw(st.integers(0, 12))
        data = data[:start] + draw(st.binary(max_size=8)) + data[end:]
    return data


@example(b"<html")
@given(st.one_of(st.binary(max_size=300), damaged_files()))
def test_any_bytes_give_a_workspace_or_a_workspace_error(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "any.itksnap"
    path.write_bytes(data)
    try:
        workspace = Workspace.open(path)
    except RegistryError:
        return
    assert isinstance(workspace, Workspace)
    views = [
        lambda: [(one.role, one.tags, one.nickname, one.file) for one in workspace.layers()],
        lambda: [one.transform for one in workspace.layers()],
        lambda: [(one.display.mode, one.display.contrast) for one in workspace.layers()],
        lambda: [(one.display.opacity, one.display.sticky) for one in workspace.layers()],
        lambda: [one.polydata() for one in workspace.meshes()],
        lambda: workspace.labels,
        lambda: [(one.number, one.tags) for one in workspace.time_points],
        lambda: [(one.center, one.color, one.plane) for one in workspace.annotations],
        lambda: workspace.layer("M"),
    ]
    for view in views:
        try:
            view()
        except WorkspaceError as error:
            assert "\n" not in str(error)
    settled = workspace.as_saved_in(path.parent)
    assert xml_format.parse(xml_format.to_bytes(settled.registry), "x").registry == settled.registry


@pytest.mark.parametrize(
    "edit",
    [
        lambda ws: ws.add_overlay("b.nii.gz", tags={"a,b"}),
        lambda ws: ws.add_overlay("b.nii.gz", tags="Target"),
        lambda ws: ws.add_overlay("b.nii.gz", nickname="\x1b"),
        lambda ws: ws.add_overlay(""),
        lambda ws: ws.add_segmentation("a\udcff.nii"),
        lambda ws: ws.set_segmentation("a\udcff.nii"),
        lambda ws: ws.add_mesh("tri.vtk", tags=["a,b"]),
        lambda ws: ws.add_mesh("tri.vtk", time_point=10**9),
        lambda ws: ws.add_landmark((1, 2), "x"),
        lambda ws: ws.add_landmark((1, 2, 3), "x", tags="T"),
        lambda ws: ws.add_landmark((1, 2, float("nan")), "x"),
        lambda ws: ws.add_line((1, 2, 3), (1, 2)),
        lambda ws: ws.add_time_point(tags=[""]),
        lambda ws: setattr(ws, "labels", [Label(1, "a"), Label(2, "\x01")]),
        lambda ws: setattr(ws.main.display, "contrast", [(0, 0), (1, float("inf"))]),
        lambda ws: ws.main.display.set_linear_contrast(float("nan"), 1),
        lambda ws: setattr(ws.main, "transform", "abc"),
        lambda ws: setattr(ws.main, "transform", [[1, 2], [3]]),
        lambda ws: setattr(ws.main, "tags", (tag for tag in ["a,b"])),
        lambda ws: ws.layers(role="overlay"),
    ],
)
def test_an_edit_that_is_refused_changes_nothing(base, edit):
    base.labels = [Label(7, "seven")]
    base.add_landmark((1, 2, 3), "there")
    before = base.registry.copy()
    with pytest.raises(WorkspaceError):
        edit(base)
    assert base.registry == before


def test_tags_from_a_generator(base):
    base.main.tags = (tag for tag in ["b", "a"])
    assert base.main.tags == ("a", "b")


def test_mistyped_attributes_are_errors(base):
    for view, name in (
        (base, "label"),
        (base.main, "nick"),
        (base.main.display, "colormap"),
        (base.add_mesh("tri.vtk"), "name"),
        (base.add_time_point(), "tag"),
        (base.add_landmark((1, 2, 3), "x"), "label"),
    ):
        with pytest.raises(AttributeError):
            setattr(view, name, "x")


def test_a_save_does_not_replace_an_image(base):
    image = base.folder / "a.nii.gz"
    before = image.read_bytes()
    with pytest.raises(WorkspaceError, match="exists and is not a workspace"):
        base.save(image)
    assert image.read_bytes() == before
    (base.folder / "empty").touch()
    base.save(base.folder / "empty")


def test_an_image_is_not_copied_over_another_layers(base):
    for name in ("a.nii.gz", "s.nii.gz"):
        before = (base.folder / name).read_bytes()
        with pytest.raises(InvalidValue, match="choose another name"):
            base.layer("M").copy_image(base.folder / name)
        assert (base.folder / name).read_bytes() == before


def test_a_folder_is_no_file(base):
    base.main.stored_path = base.folder.as_posix()
    with pytest.raises(LayerFileMissing):
        base.layer("M")
    del base.main.registry["AbsolutePath"]
    with pytest.raises(LayerFileMissing, match="names no file"):
        base.layer("M")


def test_mesh_time_points_are_listed_once(base):
    mesh = base.add_mesh("tri.vtk")
    mesh.registry["MeshTimePoints.TimePoint[0001].PolyData[000].AbsolutePath"] = "x.vtk"
    assert len(mesh.polydata()) == 1


@pytest.mark.parametrize("add", ["add_segmentation", "set_segmentation"])
@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ((3, 4, 6), "its size is 3 x 4 x 6, that of the main image 3 x 4 x 5"),
        ((3, 4, 5, 2), "it has 2 time points, the main image 1"),
    ],
)
def test_a_segmentation_that_itksnap_does_not_open_is_refused(tmp_path, add, shape, said):
    workspace = Workspace()
    for name, size in (("main", (3, 4, 5)), ("labels", shape)):
        nibabel.Nifti1Image(np.zeros(size, np.uint8), np.eye(4)).to_filename(
            tmp_path / f"{name}.nii"
        )
    workspace.set_main(tmp_path / "main.nii")
    with pytest.raises(InvalidValue, match=f"labels.nii: {said}: ITK-SNAP does not open it"):
        getattr(workspace, add)(tmp_path / "labels.nii")
    assert len(workspace.layers()) == 1
    getattr(workspace, add)(tmp_path / "labels.nii", any_size=True)
    getattr(workspace, add)(tmp_path / "comes-later.nii")
    assert workspace.layers()[-1].file.endswith("comes-later.nii")

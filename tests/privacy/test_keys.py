"""Keys of a workspace: only what is documented stays, and only where it is what it should be."""

from __future__ import annotations

import pytest

from snapws import Workspace, WorkspaceError
from snapws.archive import archive
from tests.privacy import markers
from tests.privacy.conftest import ALLOWED, PRIVACIES
from tests.privacy.marking import Marks

_LAYER = "Layers.Layer[000]."
_MAPPING = f"{_LAYER}LayerMetaData.DisplayMapping."
_LABEL = f"{_LAYER}ProjectMetaData.IRIS.LabelTable.Element[0]."
_ELEMENT = "Annotations.Annotations.Element[0]."
_POINT = "TimePointProperties.TimePoints.TimePoint[1]."

#: Documented keys whose value is none of theirs, keys that look like documented ones, and entries
#: beyond those that readers read, which nobody sees; the marker for {}.
MISFITS = (
    ("SaveLocation", "{}"),
    ("Version", "20250909 {}"),
    (f"{_LAYER}Role", "{}"),
    (f"{_LAYER}Role", "MainRole\n{}"),
    (f"{_LAYER}LayerMetaData.Alpha", "12 {}"),
    (f"{_LAYER}LayerMetaData.Sticky", "{}"),
    (f"{_MAPPING}UseRGB", "0 {}"),
    (f"{_MAPPING}SelectedScalarRep", "{}"),
    (f"{_MAPPING}SelectedComponent", "{}"),
    (f"{_MAPPING}Curve.NumberOfControlPoints", "2{}"),
    (f"{_MAPPING}Curve.ControlPoint[0].tValue", "0.5 {}"),
    (f"{_MAPPING}{{}}.Curve", "1"),
    (f"{_MAPPING}ColorMap.Preset", "Jet {}"),
    (f"{_MAPPING}ColorMap.Preset", "Jet\n{}"),
    (f"{_MAPPING}ColorMap.ControlPoint[0].Type", "{}"),
    (f"{_MAPPING}ColorMap.{{}}", "1"),
    (f"{_LAYER}ImageTransform.IsIdentity", "{}"),
    (f"{_LAYER}ImageTransform.Matrix.Element[0][0]", "1 {}"),
    (f"{_LAYER}ImageTransform.Matrix.Element[0][{{}}]", "1"),
    (f"{_LAYER}ProjectMetaData.Files.Grey.Dimensions", "5 6 7 {}"),
    (f"{_LAYER}ProjectMetaData.IRIS.LabelTable.NumberOfElements", "2 {}"),
    (f"{_LAYER}ProjectMetaData.IRIS.LabelState.SegmentationAlpha", "0.5 {}"),
    (f"{_LABEL}Color", "255 0 0 {}"),
    (f"{_LABEL}Alpha", "{}"),
    (f"{_LABEL}Flags", "1 1 {}"),
    (f"{_LABEL}Index", "1 {}"),
    (f"{_LABEL}Label.{{}}", "1"),
    (f"{_LABEL}{{}}.Label", "1"),
    (f"{_LAYER}{{}}.LayerMetaData.CustomNickName", "1"),
    (f"{_LAYER}{{}}.Tags", "1"),
    (f"{_LAYER}LayerMetaData.CustomNickName.{{}}", "1"),
    (f"{_LAYER}Tags.{{}}", "1"),
    ("Layers.Layer[{}].LayerMetaData.CustomNickName", "1"),
    ("Annotations.Format", "{}"),
    ("Annotations.FormatDate", "{}"),
    ("Annotations.Annotations.ArraySize", "1 {}"),
    (f"{_ELEMENT}Type", "{}"),
    (f"{_ELEMENT}Pos", "1 2 3 {}"),
    (f"{_ELEMENT}Offset", "0 {}"),
    (f"{_ELEMENT}Color", "{}"),
    (f"{_ELEMENT}Plane", "{}"),
    (f"{_ELEMENT}Selected", "1{}"),
    (f"{_ELEMENT}{{}}.Text", "1"),
    ("Annotations.Annotations.Element[{}].Text", "1"),
    (f"{_ELEMENT}Text.{{}}", "1"),
    ("Annotations.Annotations.Element[90].Text", "{}"),
    ("TimePointProperties.TimePoints.TimePoint[90].Nickname", "{}"),
    ("TimePointProperties.FormatVersion", "{}"),
    (f"{_POINT}TimePoint", "1 {}"),
    ("TimePointProperties.TimePoints.TimePoint[{}].Nickname", "1"),
    (f"{_POINT}{{}}.Nickname", "1"),
    (f"{_POINT}Nickname.{{}}", "1"),
    ("MeshLayers.Layer[000].MeshType", "{}"),
    ("MeshLayers.Layer[000].{}.NickName", "1"),
    ("MeshLayers.Layer[000].NickName.{}", "1"),
    ("MeshLayers.Layer[000].MeshTimePoints.TimePoint[001].TimePoint", "1 {}"),
    ("MeshLayers.Layer[000].MeshTimePoints.TimePoint[{}].TimePoint", "1"),
    ("MeshLayers.Layer[000].MeshTimePoints.TimePoint[001].PolyData[000].Format", "{}"),
    ("MeshLayers.Layer[000].MeshTimePoints.TimePoint[001].PolyData[{}].Format", "VTK Mesh"),
)


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> markers.Study:
    """A workspace with one image and one mesh."""
    folder = tmp_path_factory.mktemp("small") / "study"
    return markers.build(folder, ["nii"], ["stl-binary"])


@pytest.mark.parametrize(("key", "value"), MISFITS)
def test_a_text_where_another_value_belongs_does_not_stay(small, tmp_path, leaks, key, value):
    marks = Marks()
    text = marks.put("Zq999Vk", "misfit")
    workspace = Workspace.open(small.workspace)
    workspace = workspace.as_saved_in(small.folder)  # SaveLocation finds no files any more
    workspace.registry[key.format(text)] = value.format(text)
    for privacy in PRIVACIES:
        try:
            report = archive(workspace, tmp_path / privacy, privacy=privacy)
        except WorkspaceError:
            assert not (tmp_path / privacy).exists()
        else:
            assert leaks(report.workspace.read_bytes(), marks, ()) == set()
            assert text not in "".join(path.name for path in report.files)


@pytest.mark.parametrize(
    ("key", "date"),
    [(f"{_LAYER}LayerMetaData.Alpha", "19310631"), ("Annotations.FormatDate", "20310631")],
)
def test_a_date_where_another_number_belongs_does_not_stay(small, tmp_path, leaks, key, date):
    marks = Marks()
    workspace = Workspace.open(small.workspace)
    workspace.registry[key] = marks.put(date, "date", "date")
    report = archive(workspace, tmp_path / "out", privacy="strict")
    assert leaks(report.workspace.read_bytes(), marks, ()) == set()


_CURVE, _COLORS = f"{_MAPPING}Component.Curve.", f"{_MAPPING}ColorMap."
_SURFACES = "MeshLayers.Layer[000].MeshTimePoints."

#: Arrays of two elements, or of one.
READ = {
    f"{_CURVE}NumberOfControlPoints": "2",
    f"{_CURVE}ControlPoint[0].tValue": "0",
    f"{_CURVE}ControlPoint[1].tValue": "1",
    f"{_COLORS}NumberOfControlPoints": "2",
    f"{_COLORS}ControlPoint[0000].Index": "0",
    f"{_COLORS}ControlPoint[0001].Left.R": "255",
    f"{_SURFACES}TimePoint[001].TimePoint": "1",
    f"{_SURFACES}TimePoint[001].PolyData[000].Format": "STL Mesh",
}


@pytest.mark.parametrize(
    "key",
    [
        f"{_CURVE}ControlPoint[2].tValue",
        f"{_CURVE}ControlPoint[198001].tValue",
        f"{_CURVE}ControlPoint[0001].xValue",
        f"{_MAPPING}Curve.ControlPoint[0].tValue",
        f"{_COLORS}ControlPoint[0002].Left.R",
        f"{_COLORS}ControlPoint[198001].Index",
        f"{_COLORS}ControlPoint[1].Index",
        f"{_MAPPING}Component.ColorMap.ControlPoint[0000].Index",
        f"{_SURFACES}TimePoint[001].PolyData[002].Format",
        f"{_SURFACES}TimePoint[001].PolyData[198001].Format",
        f"{_SURFACES}TimePoint[001].PolyData[0].Format",
        f"{_SURFACES}TimePoint[198001].TimePoint",
        f"{_SURFACES}TimePoint[1].TimePoint",
    ],
)
def test_what_no_reader_sees_does_not_stay(small, tmp_path, key):
    """It stands beyond the end of an array, or is not called as the elements of that are."""
    workspace = Workspace.open(small.workspace)
    for place, value in {**READ, key: "STL Mesh" if key.endswith("Format") else "19"}.items():
        workspace.registry[place] = value
    report = archive(workspace, tmp_path / "out", privacy="strict")
    found = Workspace.open(report.workspace).registry
    assert key not in found
    assert {place: found.get(place) for place in READ} == READ


def test_kept_names_are_all_that_a_strict_archive_says(small, tmp_path, leaks):
    workspace = Workspace.open(small.workspace)
    archive(workspace, tmp_path / "out", names="keep", privacy="strict")
    assert leaks(tmp_path / "out", small.marks, (*ALLOWED["strict"], "file name")) == set()


@pytest.mark.parametrize("encoding", ["utf-16", "iso-8859-1"])
def test_the_encoding_of_a_workspace_hides_nothing(small, tmp_path, leaks, encoding):
    text = small.workspace.read_text(encoding="utf-8")
    other = small.workspace.with_name(f"{encoding}.itksnap")
    other.write_bytes(text.replace("UTF-8", encoding.upper(), 1).encode(encoding))
    assert leaks(other.read_bytes(), small.marks, ()) != set()
    for privacy in PRIVACIES:
        archive(Workspace.open(other), tmp_path / privacy, privacy=privacy)
        assert leaks(tmp_path / privacy, small.marks, ALLOWED[privacy]) == set()
    other.unlink()


def test_a_workspace_archived_in_place_of_another_leaves_nothing_of_it(small, tmp_path, leaks):
    archive(Workspace.open(small.workspace), tmp_path / "out")
    archive(Workspace.open(small.workspace), tmp_path / "out", privacy="strict")
    assert leaks(tmp_path, small.marks, ALLOWED["strict"]) == set()

"""Landmarks of 3D Slicer and of tables, in both systems of coordinates."""

from __future__ import annotations

import json

import numpy as np
import pytest

from snapws import geometry, images, markups
from snapws.annotations import LineSegment
from snapws.errors import InvalidValue, RegistryError, TextFileError
from snapws.markups import Markup
from tests.snapws.transform_samples import study

_RAS = (-3.5, 12.25, 40.0)
_LPS = (3.5, -12.25, 40.0)


def _json(system, position, kind="Fiducial", **more):
    points = [{"label": "AC", "position": list(position)}]
    node = {"type": kind, "controlPoints": points, **more}
    if system:
        node["coordinateSystem"] = system
    return json.dumps({"markups": [node]})


def _fcsv(system, position, version="4.13"):
    place = ",".join(map(str, position))
    named = f"# CoordinateSystem = {system}\n" if system else ""
    return (
        f"# Markups fiducial file version = {version}\n{named}"
        "# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID\n"
        f"vtkMRMLMarkupsFiducialNode_0,{place},0,0,0,1,1,1,0,AC,,\n"
    )


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(_json("LPS", _LPS), id="JSON, LPS"),
        pytest.param(_json("RAS", _RAS), id="JSON, RAS"),
        pytest.param(_fcsv("LPS", _LPS), id="fcsv, LPS"),
        pytest.param(_fcsv("RAS", _RAS), id="fcsv, RAS"),
        pytest.param(_fcsv("0", _RAS, "4.10"), id="fcsv of 4.10, RAS"),
        pytest.param(_fcsv("1", _LPS, "4.10"), id="fcsv of 4.10, LPS"),
        pytest.param("label,x_lps,y_lps,z_lps\nAC,3.5,-12.25,40\n", id="CSV, LPS"),
        pytest.param("\ufefftext,x_ras,y_ras,z_ras\nAC,-3.5,12.25,40\n", id="CSV, RAS"),
    ],
)
def test_each_form_is_recognised_and_turned_to_ras(tmp_path, words):
    (tmp_path / "points").write_text(words, encoding="utf-8")
    assert markups.read_file(tmp_path / "points") == [Markup((_RAS,), "AC")]


@pytest.mark.parametrize(
    "words",
    [_json("", _LPS), _fcsv("", _LPS), "x,y,z\n3.5,-12.25,40\n"],
    ids=["JSON", "fcsv", "CSV"],
)
def test_a_file_that_does_not_say_its_system_is_read_only_where_that_is_said(tmp_path, words):
    (tmp_path / "points").write_text(words)
    with pytest.raises(TextFileError, match="whether it is in RAS or LPS: say --system"):
        markups.read_file(tmp_path / "points")
    (found,) = markups.read_file(tmp_path / "points", system="lps")
    assert found.points == (_RAS,)


def test_a_file_that_says_another_system_than_is_asked_for_is_refused(tmp_path):
    (tmp_path / "points").write_text(_json("LPS", _LPS))
    with pytest.raises(TextFileError, match="is LPS, not ras"):
        markups.read_file(tmp_path / "points", system="ras")


@pytest.mark.parametrize("system", ["ras", "lps"])
@pytest.mark.parametrize("form", ["json", "fcsv", "csv"])
def test_what_is_written_is_read_again(tmp_path, form, system):
    made = [Markup((_RAS,), 'AC, "anterior"'), Markup(((1.0, -2.5, 0.1),), "PC")]
    if form != "fcsv":
        made.append(Markup((_RAS, (0.0, 0.0, 7.0))))
    path = tmp_path / "points"
    path.write_text(markups.format_file(made, form, system))
    assert markups.read_file(path) == made


def test_lines_do_not_fit_into_fcsv():
    with pytest.raises(InvalidValue, match="landmarks alone"):
        markups.format_file([Markup((_RAS, _RAS))], "fcsv")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("{", "not valid JSON"),
        ("[" * 100_000, "names its columns"),
        ("{" + '"a":[' * 50_000, "not valid JSON"),
        ('{"markups": 3}', "not a markups file"),
        (_json("LPS", _LPS, kind="Angle"), "type Angle"),
        (_json("LPS", _LPS, kind="Line"), "a line has two points"),
        (_json("LPS", _LPS, coordinateUnits="um"), "in um, not in mm"),
        (_json("LPS", (1, 2)), "not three numbers"),
        (_json("LPS", (1, 2, float("nan"))), "not three finite numbers"),
        (_json("IJK", _LPS), "is IJK"),
        (_fcsv("2", _LPS), "is 2"),
        (_fcsv("LPS", (1, 2, "x")), "not three numbers"),
        ("1 2 3\n", "names its columns"),
        (_json("LPS", _LPS, kind="\x1b]0;x\x07"), r"type \?\]0;x\?"),
    ],
    ids=[
        *("brace", "brackets", "deep", "number", "angle", "line", "units", "short", "NaN", "ijk"),
        *("fcsv ijk", "fcsv word", "bare", "control"),
    ],
)
def test_a_damaged_file_is_refused_in_one_line(tmp_path, words, message):
    (tmp_path / "points").write_text(words)
    with pytest.raises(TextFileError, match=message) as caught:
        markups.read_file(tmp_path / "points")
    assert str(caught.value).isprintable()


def test_points_without_a_place_are_left_out(tmp_path):
    words = json.loads(_json("LPS", _LPS))
    words["markups"][0]["controlPoints"].append({"label": "later", "positionStatus": "undefined"})
    (tmp_path / "points").write_text(json.dumps(words))
    assert len(markups.read_file(tmp_path / "points")) == 1


def test_a_landmark_is_placed_by_the_geometry_of_the_main_image(tmp_path):
    sitk = pytest.importorskip("SimpleITK", reason="the extra formats is not installed")
    workspace = study(tmp_path).workspace
    workspace.add_markups([Markup((_RAS,), "AC"), Markup((_RAS, (0, 0, 0)))], ["mine"])
    landmark, line = workspace.annotations
    itk = sitk.ReadImage(str(workspace.main.path))
    voxel = itk.TransformPhysicalPointToContinuousIndex(_LPS)
    assert np.allclose(landmark.position, voxel, atol=1e-5)
    assert isinstance(line, LineSegment)
    assert (landmark.text, landmark.tags) == ("AC", ("mine",))
    affine = geometry.affine(images.read_header(workspace.main.path))
    assert np.allclose((affine @ [*line.point1, 1])[:3], _RAS)
    assert np.allclose(workspace.markups()[0].points[0], _RAS)


def test_a_text_that_no_workspace_can_hold_is_refused(tmp_path):
    workspace = study(tmp_path).workspace
    with pytest.raises(RegistryError):
        workspace.add_markups([Markup((_RAS,), "\x1b")])


@pytest.mark.parametrize("text", ["=1+1", "+AC", "-5", "@a", "'=1", "''-1", "'AC'", "AC"])
def test_a_text_is_never_a_formula_in_a_table_and_comes_back_as_it_was(tmp_path, text):
    """A spreadsheet takes for one what begins with =, +, - or @."""
    path = tmp_path / "points.csv"
    path.write_text(markups.format_file([Markup((_RAS,), text)], "csv", "ras"), encoding="utf-8")
    line = path.read_text(encoding="utf-8").splitlines()[1]
    assert line.split(",")[1][0] not in "=+-@"
    assert line.split(",")[2:5] == ["-3.5", "12.25", "40.0"]
    assert markups.read_file(path) == [Markup((_RAS,), text)]

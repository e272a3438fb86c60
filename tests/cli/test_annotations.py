"""``snapws annotations``: places in voxels and in mm, from and to files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from snapws import Workspace


def test_a_landmark_goes_out_and_comes_back_at_the_same_place(snapws):
    snapws(["annotations", "add", "study.itksnap", "AC", "--at", "1,2.5,3", "--tag", "mine"])
    snapws(["annotations", "export", "study.itksnap", "out.mrk.json"])
    snapws("annotations export study.itksnap out.csv --system ras")
    (one,) = json.loads(snapws("annotations list study.itksnap --mm --json").stdout)
    node = json.loads(Path("out.mrk.json").read_text())["markups"][0]
    assert node["controlPoints"][0]["position"] == one["lps"]
    assert one["ras"] == [0 - one["lps"][0], 0 - one["lps"][1], one["lps"][2]]
    for file in ("out.mrk.json", "out.csv"):
        snapws(f"annotations import study.itksnap {file}")
    found = Workspace.open("study.itksnap").annotations
    for each in found:
        assert each.center == pytest.approx((1, 2.5, 3), abs=1e-6)
    assert len(found) == 3
    assert found[0].tags == ("mine",)


def test_annotations_without_a_position_are_left_out_and_counted(snapws):
    snapws(["annotations", "add", "study.itksnap", "AC", "--at", "1,2.5,3"])
    snapws(["annotations", "add", "study.itksnap", "PC", "--at", "1,2.5,9"])
    study = Path("study.itksnap")
    text = study.read_text(encoding="utf-8").replace("1 2.5 9", "1 nan 9")
    study.write_text(text, encoding="utf-8")
    done = snapws("annotations export study.itksnap out.csv --system ras")
    assert "annotations left out (no position, or an unknown type): 1" in done.stderr
    found = Path("out.csv").read_text(encoding="utf-8")
    assert "AC" in found
    assert "PC" not in found


def test_a_place_in_mm_is_turned_to_voxels(snapws):
    snapws(["annotations", "add", "study.itksnap", "A", "--at", "1,2,3", "--system", "ras"])
    snapws(["annotations", "add", "study.itksnap", "B", "--at", "-1,-2,3", "--system", "lps"])
    first, second = Workspace.open("study.itksnap").annotations
    assert first.center == second.center != (1, 2, 3)
    assert "Ras" in snapws("annotations list study.itksnap --mm").stdout


def test_errors_are_one_line_and_change_nothing(snapws, study):
    before = (study / "study.itksnap").read_bytes()
    (study / "points.csv").write_text("x,y,z\n1,2,3\n")
    for line, message in {
        "annotations import study.itksnap points.csv": "say --system",
        "annotations import study.itksnap nothing.fcsv": "No such file",
        "annotations export study.itksnap out.txt": "written as .mrk.json, .fcsv or .csv",
        "annotations add study.itksnap A --at 1,2": "expected X,Y,Z",
        "annotations add study.itksnap A --at 1,2,nan": "not a finite number",
        "annotations add study.itksnap A --at 1,2,nan --system ras": "not a finite number",
    }.items():
        stderr = snapws(line, code=1).stderr
        assert message in stderr
        assert stderr.count("\n") == 1
    assert (study / "study.itksnap").read_bytes() == before
    assert not (study / "out.txt").exists()

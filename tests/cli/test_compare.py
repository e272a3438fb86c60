"""``snapws compare``: its table, its JSON, its picture, its exit codes."""

from __future__ import annotations

import inspect
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from snapws import Workspace
from snapws.cli.app import app
from snapws.cli.compare import compare
from snapws.comparison import TOLERANCE


def edit(name: str = "edited.itksnap") -> Workspace:
    """Save another file of the study with three edits."""
    edited = Workspace.open("study.itksnap")
    edited.main.nickname = "T1w"
    edited.layers()[1].transform = np.diag([1.0, 1, 1, 1]) + np.pad([[2.5]], ((0, 3), (3, 0)))
    edited.add_segmentation("seg.nii.gz", nickname="Result")
    edited.save(name)
    return edited


def test_no_difference(snapws, study):
    done = snapws("compare study.itksnap archive/workspace.itksnap")
    assert done.stdout == ""
    said = "study.itksnap and archive/workspace.itksnap: no difference in the compared properties"
    assert done.stderr == f"snapws: {said}\n"
    assert snapws("compare study.itksnap study.itksnap --json -q").output == "[]\n"
    moved = shutil.copytree(study, study.parent / "moved")
    assert snapws(["compare", "study.itksnap", str(moved / "study.itksnap")]).stdout == ""


def test_a_table_for_people(snapws):
    before = Workspace.open("study.itksnap")
    before.layers()[1].transform = np.eye(4)
    before.save()
    edit()
    done = snapws("compare study.itksnap edited.itksnap", 1)
    assert done.stderr == ""
    assert [" ".join(line.split()) for line in done.stdout.splitlines()] == [
        "Place What A B Distance mm",
        "layer 000 nickname T1 T1w",
        "layer 001 transform identity 1 0 0 2.5; 0 1 0 0; 0 0 1 0 2.5",
        "layer 003 layer segmentation Result seg.nii.gz",
    ]


def test_only_transforms_have_a_distance(snapws):
    snapws("labels clear study.itksnap -o edited.itksnap")
    done = snapws("compare edited.itksnap study.itksnap", 1)
    assert done.stdout.splitlines()[0].split() == ["Place", "What", "A", "B"]
    assert "mesh visible" not in done.stdout
    snapws("layers set study.itksnap M --color-map Jet --contrast 0,9 -o edited.itksnap")
    done = snapws("compare edited.itksnap study.itksnap", 1)
    assert "color map" in done.stdout
    assert "0 0; 4.5 0.5; 9 1" in done.stdout


def test_json_for_programs(snapws):
    edit()
    found = json.loads(snapws("compare study.itksnap edited.itksnap --json", 1).stdout)
    assert found[0] == {
        "place": "layer 000",
        "what": "nickname",
        "a": "T1",
        "b": "T1w",
        "distance_mm": None,
    }
    assert np.array(found[1]["b"]).shape == (4, 4)
    assert found[1]["distance_mm"] > 1
    assert (found[2]["place"], found[2]["what"], found[2]["a"]) == ("layer 003", "layer", None)


def test_a_tolerance(snapws):
    edited = Workspace.open("study.itksnap")
    edited.layers()[1].transform = edited.layers()[1].transform + np.pad([[0.05]], ((0, 3), (3, 0)))
    edited.save("edited.itksnap")
    snapws("compare study.itksnap edited.itksnap", 1)
    snapws("compare study.itksnap edited.itksnap --tolerance 0.1")
    assert inspect.signature(compare).parameters["tolerance"].default == TOLERANCE


def test_a_picture_of_both(snapws):
    edit()
    done = snapws("compare study.itksnap edited.itksnap --picture both.png", 1)
    assert done.stderr == "snapws: saved both.png\n"
    with Image.open("both.png") as both:
        one = Workspace.open("study.itksnap").picture(size=240)
        assert both.width > 2 * one.width
        assert one.height < both.height < 2 * one.height
        assert np.asarray(both).any()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("compare study.itksnap none.itksnap", "cannot read the workspace none.itksnap"),
        ("compare none.itksnap study.itksnap", "cannot read the workspace none.itksnap"),
        ("compare study.itksnap badxml.itksnap", "badxml.itksnap, line 13: "),
        ("compare study.itksnap study.itksnap --picture x.txt", "x.txt: the name of a picture"),
    ],
)
def test_refusals(snapws, study, line, message):
    before = set(study.iterdir())
    done = snapws(line, 2)  # as with diff: 1 is for differences
    assert done.stdout == ""
    assert done.stderr.startswith("snapws: error: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert set(study.iterdir()) == before


def test_missing_files_are_in_the_table(snapws):
    done = snapws("compare study.itksnap cardiac.itksnap", 1)
    assert "/data/study/sub/b.nii.gz is not there" in done.stdout
    assert done.stderr == ""


def test_a_picture_that_cannot_be_made_is_told_of_behind_the_table(snapws, study):
    (study / "t1.nii.gz").unlink()  # the main image
    done = snapws("compare study.itksnap cardiac.itksnap --picture x.png", 2)
    assert "nickname" in done.stdout
    assert done.stderr.startswith("snapws: error: ")
    assert "is not there" in done.stderr
    assert not Path("x.png").exists()


def test_a_picture_leaves_out_unreadable_layers_and_says_so(snapws, study):
    edited = Workspace.open("study.itksnap")
    edited.remove(edited.layers()[1])
    edited.save("less.itksnap")
    snapws("compare less.itksnap less.itksnap --picture less.png")
    (study / "flair.nii.gz").unlink()
    done = snapws("compare less.itksnap study.itksnap --picture both.png", 1)
    assert "layer 001  layer" in done.stdout
    assert done.stderr == "snapws: saved both.png\n"
    with Image.open("less.png") as less, Image.open("both.png") as both:
        expected, found = np.asarray(less), np.asarray(both)
    assert expected.shape == found.shape
    caption = 24
    assert np.array_equal(found[caption:], expected[caption:])
    unlike = np.flatnonzero((found != expected).any((0, 2)))  # the right caption says it
    assert unlike.size
    assert unlike.min() > found.shape[1] // 2


def test_usage(study):
    for line in ("compare study.itksnap", "compare study.itksnap study.itksnap --tolerance -1"):
        assert CliRunner().invoke(app, line.split()).exit_code == 2

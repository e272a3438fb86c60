"""Where random command lines had shown a difference to itksnap-wt that was not meant."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from snapws import Workspace
from snapws.wt import main
from tests.conformance import replay

MAPPING = "LayerMetaData.DisplayMapping"


@pytest.fixture
def inputs(tmp_path, monkeypatch) -> Path:
    """A folder with a fresh copy of the recorded inputs, and in it the current one."""
    replay.place_inputs(tmp_path / "inputs")
    monkeypatch.chdir(tmp_path / "inputs")
    return tmp_path / "inputs"


@pytest.fixture
def layer(inputs):
    """Run commands on layer 0 of the base workspace, and return the saved layer."""

    def edit(*words: str):
        assert main(["-i", "base.itksnap", "-lp", "0", *words, "-o", "out.itksnap"]) == 0
        return Workspace.open("out.itksnap").layer(0)

    return edit


def refused(capsys, *words: str) -> str:
    """Run a command line that ends with 255 and one line on stderr; return the line."""
    assert main([*words]) == 255
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1
    return err


@pytest.mark.skipif(os.name == "nt", reason="Windows has no FIFOs")
@pytest.mark.parametrize("command", [["-o"], ["-lp", "0", "-prd", "LayerMetaData"]])
def test_a_fifo_is_written_through(inputs, command):
    fifo = inputs / "pipe"
    os.mkfifo(fifo)
    with subprocess.Popen(["cat", fifo], stdout=subprocess.PIPE) as reader:
        assert main(["-i", "base.itksnap", *command, "pipe"]) == 0
        out, _ = reader.communicate(timeout=300)
    assert b"CustomNickName" in out
    assert fifo.is_fifo()


@pytest.mark.parametrize("command", [["-o"], ["-a"], ["-A"], ["-lp", "0", "-prf"]])
def test_an_empty_path_is_refused(inputs, capsys, command):
    before = (inputs / "base.itksnap").read_bytes()
    assert "empty" in refused(capsys, "-i", "base.itksnap", *command, "")
    assert (inputs / "base.itksnap").read_bytes() == before


@pytest.mark.parametrize("mode", ["RGB", "Rgb", "rgb"])
def test_component_modes_are_taken_in_any_case(layer, mode):
    assert layer("-props-set-mcd", mode).registry[f"{MAPPING}.UseRGB"] == "1"


def test_the_number_of_a_component_follows_in_any_case(layer):
    assert layer("-props-set-mcd", "COMP", "2").registry[f"{MAPPING}.SelectedComponent"] == "2"


def test_a_grid_is_stored_as_colours_rendered_as_a_grid(layer):
    stored = layer("-props-set-mcd", "grid").registry.folder(MAPPING)
    assert (stored["UseRGB"], stored["RenderAsGrid"]) == ("1", "1")


@pytest.mark.parametrize(("nickname", "said"), [("Nobody", "no time point"), ("ES", "2, 3")])
def test_a_time_point_is_picked_by_a_nickname_that_one_has(inputs, capsys, nickname, said):
    words = ["-i", "gui.itksnap"]
    key = "TimePointProperties.TimePoints.TimePoint[3].Nickname"
    err = refused(capsys, *words, "-registry-set", key, "ES", "-timepoints-pick-by-name", nickname)
    assert said in err
    assert repr(nickname) in err


def test_comments_of_a_registry_file_are_skipped(layer, inputs):
    (inputs / "my.txt").write_text("# written by hand\nName = value\n\n   # and again\n")
    assert layer("-prl", "My", "my.txt").registry["My.Name"] == "value"


def test_a_key_that_begins_as_a_comment_comes_back(layer):
    words = ["-prs", "My.#Key", "value", "-prd", "My", "my.txt", "-prl", "Again", "my.txt"]
    assert layer(*words).registry["Again.#Key"] == "value"


@pytest.mark.parametrize("kind", ["LINEAR", "L"])
@pytest.mark.parametrize(("low", "high"), [("5", "-5"), ("3", "3")])
def test_a_contrast_that_does_not_rise_is_written_with_a_warning(layer, capsys, kind, low, high):
    curve = layer("-props-set-contrast", kind, low, high).registry.folder(f"{MAPPING}.Curve")
    assert (curve["ControlPoint[0].tValue"], curve["ControlPoint[2].tValue"]) == (low, high)
    err = capsys.readouterr().err
    assert err.startswith("snapws-wt: warning: ITK-SNAP cannot show a contrast")
    assert len(err.splitlines()) == 1


def test_a_contrast_that_rises_has_no_warning(layer, capsys):
    assert layer("-props-set-contrast", "L", "-5.5", "5").display.contrast[0] == (-5.5, 0)
    assert capsys.readouterr().err == ""


def test_the_dump_of_an_archive_names_no_folder_of_this_machine(inputs, capsys):
    assert main(["-i", "base.itksnap", "-a", "ar/x.itksnap"]) == 0
    assert main(["-P", "-i", "ar/x.itksnap", "-registry-set", "Version", "7", "-dump"]) == 0
    out = capsys.readouterr().out
    assert "SaveLocation = /archive\n" in out
    assert "AbsolutePath = /archive/layer_000_" in out
    assert "Version = 7\n" in out
    assert inputs.as_posix() not in out


def test_an_exclusive_tag_is_taken_from_all_that_has_tags(inputs, capsys):
    words = ["-i", "gui.itksnap", "-lp", "0", "-tags-add-exclusive"]
    assert main([*words, "both", *words[2:], "PC", "-o", "out.itksnap"]) == 0
    saved = Workspace.open("out.itksnap")
    assert [point.tags for point in saved.time_points] == [("first",), ("second",), ()]
    assert [annotation.tags for annotation in saved.annotations] == [(), ("AC",)]
    assert saved.main.tags == ("PC", "Target", "both")


def test_a_matrix_without_is_identity_is_the_identity(inputs, capsys):
    words = ["-prs", "ImageTransform.Offset.Element[0]", "5", "-pgt"]
    assert main(["-P", "-i", "base.itksnap", "-lp", "1", *words]) == 0
    rows = capsys.readouterr().out.splitlines()[2:]
    assert [[float(word) for word in row.split()] for row in rows] == np.eye(4).tolist()


def test_the_first_anatomical_image_of_segmentations_becomes_the_main_one(inputs, capsys):
    words = ["-i", "base.itksnap"]
    for number in ("000", "001", "003"):
        words += ["-registry-set", f"Layers.Layer[{number}].Role", "SegmentationRole"]
    assert main([*words, "-laa", "a.nii.gz", "-ta", "New", "-o", "out.itksnap"]) == 0
    assert "INFO: picked layer Layers.Layer[004]\n" in capsys.readouterr().out
    added = Workspace.open("out.itksnap").main
    assert (added.number, added.tags) == (4, ("New",))
    assert added.registry["ProjectMetaData.Files.Grey.Dimensions"] == "12 10 8"


@pytest.mark.parametrize(
    "words",
    [
        ["-psn", "-P"],
        ["-psn", "-"],
        ["-ta", "-o"],
        ["-registry-set", "My.Key", "-5"],
        ["-llf", "-llf"],
        ["-o", "-o"],
        ["-p", "-- "],
        ["-props-set-contrast", "-L"],
        ["-labels-add", "-labels.txt"],
    ],
    ids=" ".join,
)
def test_a_value_does_not_begin_with_a_dash(inputs, capsys, words):
    err = refused(capsys, "-i", "base.itksnap", "-lp", "0", *words)
    assert err.startswith(f"snapws-wt: error for command {words[0]} : expected a value, got '-")


@pytest.mark.parametrize(
    "word", ["1_0", "1 ", " 1", "\u0663", "1e0", ""], ids=["1_0", "1-", "-1", "arabic", "1e0", "0"]
)
@pytest.mark.parametrize(
    "words", [["-props-set-mcd", "comp"], ["-layers-add-mesh", "tri.vtk"]], ids=["mcd", "mesh"]
)
def test_whole_numbers_have_ascii_digits_alone(inputs, capsys, words, word):
    err = refused(capsys, "-i", "base.itksnap", "-lp", "0", *words, word)
    assert "is not a whole number" in err


@pytest.mark.parametrize(
    "word", ["1_0", "1 ", "\u0663", "nan", "1e999"], ids=["1_0", "1-", "arabic", "nan", "1e999"]
)
def test_numbers_have_ascii_digits_alone(inputs, capsys, word):
    words = ["-i", "base.itksnap", "-lp", "0", "-props-set-contrast", "LINEAR", word, "9"]
    assert "is not a number" in refused(capsys, *words)


def test_an_offset_of_labels_must_be_a_number(inputs, capsys):
    words = ["-i", "base.itksnap", "-labels-add", "labels.txt", "\u0663"]
    assert "unknown command" in refused(capsys, *words)


def test_time_points_with_a_gap_in_their_numbers_are_all_listed(inputs, capsys):
    array = "TimePointProperties.TimePoints"
    words = ["-P", "-i", "gui.itksnap", "-registry-set", f"{array}.ArraySize", "7"]
    for number in ("6", "8"):
        words += ["-registry-set", f"{array}.TimePoint[{number}].TimePoint", number]
        words += ["-registry-set", f"{array}.TimePoint[{number}].Tags", "late"]
    assert main([*words, "-timepoints-list", "-timepoints-pick-by-tag", "late"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "INFO" not in line]
    assert [line.split()[0] for line in lines] == ["TimePoint", "1", "2", "3", "6", "6"]


def test_a_time_point_is_added_behind_the_last(inputs):
    workspace = Workspace.open("gui.itksnap")
    array = "TimePointProperties.TimePoints"
    workspace.registry[f"{array}.ArraySize"] = "6"
    workspace.registry[f"{array}.TimePoint[6].TimePoint"] = "6"
    workspace.registry[f"{array}.TimePoint[7].Left"] = "over"
    assert workspace.add_time_point("new").number == 7
    assert [point.number for point in workspace.time_points] == [1, 2, 3, 6, 7]
    assert f"{array}.TimePoint[7].Left" not in workspace.registry


def test_the_size_of_an_array_is_not_counted_up_to(inputs, capsys):
    key = "TimePointProperties.TimePoints.ArraySize"
    words = ["-P", "-i", "gui.itksnap", "-registry-set", key, "999999999999"]
    assert main([*words, "-timepoints-pick-by-tag", "both"]) == 0
    assert capsys.readouterr().out.endswith("\n2,3\n")


def test_the_last_row_of_a_matrix_may_be_rounded(layer, inputs):
    (inputs / "near.mat").write_text("1 0 0 5\n0 1 0 0\n0 0 1 0\n0 0 0 0.9999999\n")
    assert layer("-pst", "near.mat").transform[0][3] == 5


def test_an_image_is_renamed_in_silence(layer, capsys):
    layer("-props-rename-file", "copy.nii")
    assert capsys.readouterr().err == ""


def test_files_are_looked_for_beside_the_place_that_was_saved_when_it_was_read(inputs, capsys):
    words = ["-P", "-i", "moved/base.itksnap"]
    assert main([*words, "-llf", "Target"]) == 0
    (before,) = capsys.readouterr().out.splitlines()
    changed = ["-registry-set", "SaveLocation", "/elsewhere"]
    assert main([*words, *changed, "-llf", "Target", "-o", "moved/out.itksnap"]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [before]
    assert Workspace.open("moved/out.itksnap").main.stored_path == before

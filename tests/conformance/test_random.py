"""Recordings of random command lines, replayed; and that what replays them tells right from wrong.

Each file of ``fixtures/recordings/random`` is one recording, in the form of ``commands.json``. New
ones are made from the command lines of `tests.conformance.command_lines`, and put there.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from snapws.wt.commands import find
from tests.conformance import command_lines, deviations, excuses, replay
from tests.conformance.replay import RECORDINGS, Result

NAMED = json.loads((RECORDINGS / "commands.json").read_text(encoding="utf-8"))


def recorded(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the rows of all recordings of a folder, by file and name."""
    return {
        f"{file.stem}::{name}": row
        for file in sorted(folder.glob("*.json"))
        for name, row in json.loads(file.read_text(encoding="utf-8")).items()
    }


RANDOM = recorded(RECORDINGS / "random")


@pytest.mark.skipif(not RANDOM, reason="no recording of random command lines is there yet")
@pytest.mark.parametrize("name", RANDOM)
def test_random_command_line(name, tmp_path, count):
    row = RANDOM[name]
    count("random", "recorded")
    result = replay.run(row, tmp_path / "run")
    assert result.rc in (0, 255)
    assert "Traceback" not in result.stderr
    differences = excuses.unexcused(result, row)
    assert differences == []
    count("random", "equal" if result.differences(row) == [] else "deviating")


# -------------------------------------------------------------------- the replay itself is tested

#: Named rows that differ on purpose in a way that is told from the command line alone.
EXCUSED = (
    *("sticky", "alpha", "tags_usage_del", "tags_usage_names", "annot_list_none", "tags_no_pick"),
    *("bad_xml", "empty_file", "labels_set_crlf", "pick_anat_m3", "newline_value"),
    *("archive_dir_missing", "add_mesh", "list_mesh", "pick_mesh"),
)
SAME = ("list", "nickname", "order", "transform_set", "tags_exclusive", "pick_bad", "add_mesh_tp0")


@pytest.mark.parametrize("name", [*SAME, *EXCUSED])
def test_a_recording_that_is_dropped_in_replays(name, tmp_path):
    dropped = tmp_path / "random"
    dropped.mkdir()
    (dropped / "new.json").write_text(json.dumps({name: NAMED[name]}), encoding="utf-8")
    ((key, row),) = recorded(dropped).items()
    assert key == f"new::{name}"
    result = replay.run(row, tmp_path / "run")
    assert excuses.unexcused(result, row) == []
    assert (name in deviations.COMMANDS) is (name in EXCUSED)


def changed(row: dict[str, Any], **parts: Any) -> dict[str, Any]:
    return {**row, **parts}


def test_a_difference_that_is_not_on_purpose_is_told(tmp_path):
    row = NAMED["nickname"]
    result = replay.run(row, tmp_path / "run")
    text = row["files"]["out.itksnap"]
    for other in (
        changed(row, rc=255, stderr="ITK-SNAP exception for command -psn : x\n"),
        changed(row, stdout=row["stdout"].replace("Overlay", "Main")),
        changed(row, stdout=""),
        changed(row, files={}),
        changed(row, files={"out.itksnap": text.replace("OverlayRole", "MainRole", 1)}),
        changed(row, files={"out.itksnap": text.replace("b.nii.gz", "c.nii.gz", 1)}),
        changed(row, files={**row["files"], "more.txt": "x"}),
    ):
        assert excuses.unexcused(result, other) != []


@pytest.mark.parametrize(
    ("command", "message"),
    [("-ta", "the disk is full"), ("-psn", "' x' cannot be a tag"), ("-ll", "no layer is picked")],
)
def test_a_refusal_of_another_kind_is_told(tmp_path, command, message):
    row = {"argv": [command], "rc": 0, "stdout": "", "stderr": "", "files": {}}
    result = Result(tmp_path, 255, "", f"snapws-wt: error for command {command} : {message}\n")
    assert excuses.unexcused(result, row) != []


def test_numbers_are_told_apart_by_six_digits(tmp_path):
    def compared(ours: str, theirs: str) -> list[str]:
        row = {"argv": [], "rc": 0, "stdout": theirs, "stderr": "", "files": {}}
        return excuses.unexcused(Result(tmp_path, 0, ours, ""), row)

    assert compared("2> 0.123456789 1234567.5 b", "2> 0.123457 1.23457e+06 b") == []
    assert compared("2> 0.123456789", "2> 0.123458") != []


# ----------------------------------------------------------------------------------- the generator


def test_a_seed_gives_the_same_command_lines():
    first = command_lines.generate(3, 40)
    assert first == command_lines.generate(3, 40)
    assert first != command_lines.generate(4, 40)
    assert list(first)[-1] == "random_3_0039"
    assert json.loads(json.dumps(first)) == first
    second = command_lines.generate(1, 2)["random_1_0001"]["argv"]
    loaded = ["-prl", "ProjectMetaData", "gui.itksnap"]
    # A seed goes on meaning the same command lines, so that a recording can be made again.
    assert second == ["-i", "mesh.itksnap", "-lp", "seg", *loaded, "-o", "out.itksnap"]


def test_every_command_about_workspaces_is_tried():
    """Those that both tools have, under all names that both have."""
    names = {name for names in command_lines.COMMANDS for name in names}
    assert {find(name).names[0] for name in names} | {"-i", "-o", "-a", "-A", "-h"} == {
        find(name).names[0] for command in _workspace_commands() for name in command.names[:1]
    } - {"-props-set-sticky", "-props-set-alpha"}
    tried = {word for one in command_lines.generate(1, 400).values() for word in one["argv"]}
    assert names <= tried


def _workspace_commands():
    from snapws.wt.commands import COMMANDS

    return COMMANDS


@pytest.mark.parametrize("name", command_lines.generate(2, 12))
def test_a_random_command_line_ends_in_order(name, tmp_path):
    row = command_lines.generate(2, 12)[name]
    result = replay.run(row, tmp_path / "run")
    assert result.rc in (0, 255), result.stderr
    assert "Traceback" not in result.stderr
    if result.rc:
        (*_, last) = result.stderr.splitlines()
        assert last.startswith("snapws-wt: error for command ")
        assert "out.itksnap" not in result.files or row["argv"][-2] != "-o"


def test_a_failure_at_another_command_is_told(tmp_path):
    row = {"argv": [], "rc": 255, "stdout": "", "files": {}}
    row["stderr"] = "ITK-SNAP exception for command -pgf : nothing is picked\n"
    for command, same in (("-pgf", True), ("-pgt", False)):
        err = f"snapws-wt: error for command {command} : no layer is picked\n"
        assert (excuses.unexcused(Result(tmp_path, 255, "", err), row) == []) is same

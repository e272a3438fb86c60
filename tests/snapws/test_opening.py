"""Workspaces opened one after the other; a stand-in edits them as somebody at ITK-SNAP would."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from typer.testing import CliRunner

from snapws import Workspace, WorkspaceError
from snapws.cli.app import app
from snapws.opening import find_program, open_and_compare

STAND_IN = """
import sys
from pathlib import Path
import nibabel as nib
from snapws import Workspace

option, file = sys.argv[1:]
assert option == "-w"
with open(Path(__file__).with_name("seen"), "a") as seen:
    print(Path(file).stem, file=seen)
if Path(file).stem == "b":
    sys.exit(3)
opened = Workspace.open(file)
if Path(file).stem == "a":
    segmentation = opened.layer("S")
    image = nib.load(segmentation.file)
    voxels = image.get_fdata()
    voxels[0, 0, 0] = 1
    nib.save(nib.Nifti1Image(voxels.astype("u1"), image.affine), segmentation.file)
    opened.main.nickname = "Looked at"
    opened.save()
"""


@pytest.fixture
def cases(tmp_path: Path) -> list[Path]:
    found = []
    for name in "abc":
        for kind in ("t1", "seg"):
            voxels = np.zeros((4, 3, 2), np.uint8)
            nib.save(nib.Nifti1Image(voxels, np.eye(4)), tmp_path / f"{name}-{kind}.nii")
        made = Workspace.new(tmp_path / f"{name}-t1.nii")
        made.add_segmentation(tmp_path / f"{name}-seg.nii", nickname="Seg")
        found.append(made.save(tmp_path / f"{name}.itksnap"))
    (tmp_path / "stand_in.py").write_text(STAND_IN)
    return found


def test_the_differences_are_those_to_the_files_before_they_were_saved_over(cases, tmp_path):
    command = [sys.executable, str(tmp_path / "stand_in.py")]
    found = {(one.place, one.what) for one in open_and_compare(cases[0], command)}
    assert found == {("layer 000", "nickname"), ("layer 001", "voxels")}
    assert open_and_compare(cases[2], command) == ()
    with pytest.raises(WorkspaceError, match="ended with exit code 3"):
        open_and_compare(cases[1], command)


@pytest.mark.skipif(os.name == "nt", reason="a script is not a program on Windows")
def test_one_case_after_the_other_and_a_failure_stops_none(cases, tmp_path):
    program = tmp_path / "itksnap"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{tmp_path}/stand_in.py" "$@"\n')
    program.chmod(0o755)
    done = CliRunner().invoke(app, ["open", *map(str, cases), "--program", str(program)])
    assert done.exit_code == 1
    assert (tmp_path / "seen").read_text().split() == ["a", "b", "c"]
    assert "nickname" in done.stdout
    assert "voxels" in done.stdout
    assert "exit code 3" in done.stderr
    assert "no difference in the compared properties" in done.stderr
    assert done.stderr.endswith("3 workspaces, 1 failed\n")


def test_without_itk_snap_a_line_says_what_to_do(cases, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(WorkspaceError, match="ITK-SNAP was not found on this machine: install it"):
        find_program()
    done = CliRunner().invoke(app, ["open", str(cases[0]), "--program", "/none/itksnap"])
    assert (done.exit_code, done.stdout) == (1, "")
    assert "/none/itksnap was not found" in done.stderr

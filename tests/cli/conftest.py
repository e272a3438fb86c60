from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from snapws import Workspace, labels, markups, transform_files
from snapws.archive import archive
from snapws.cli.app import app
from snapws.registry import text_format
from tests.conformance import replay


def place_study(folder: Path) -> None:
    """Make the folder that docs and help texts speak of.

    ``study.itksnap`` has a main image, an overlay with a transform, a segmentation and labels;
    ``archive`` is an archive of it; ``cardiac.itksnap`` has annotations, time points and two
    missing files; ``cohort.tsv`` is a table of two workspaces; beside them are the recorded inputs.
    """
    replay.place_inputs(folder)
    for name, source in {
        "t1.nii.gz": "a.nii.gz",
        "t2.nii.gz": "b.nii.gz",
        "flair.nii.gz": "b.nii.gz",
        "seg.nii.gz": "s.nii.gz",
        "draft.nii.gz": "s.nii.gz",
        "cortex.vtk": "tri.vtk",
        "cardiac.itksnap": "gui.itksnap",
    }.items():
        shutil.copy(folder / source, folder / name)
    study = Workspace()
    study.set_main(folder / "t1.nii.gz").nickname = "T1"
    study.main.tags = ("Target",)
    flair = study.add_overlay(folder / "flair.nii.gz", nickname="FLAIR", tags=["Source"])
    flair.transform = transform_files.read_itk_or_ras(folder / "affine.mat")
    study.add_segmentation(folder / "draft.nii.gz", nickname="Draft", tags=["Draft"])
    study.labels = labels.read_file(folder / "labels.txt")
    study.save(folder / "study.itksnap")
    archive(study, folder / "archive")
    found = markups.format_file([markups.Markup(((1.0, 2.0, 3.0),), "AC")], "json")
    (folder / "landmarks.mrk.json").write_text(found)
    annotations = Workspace.open(folder / "cardiac.itksnap").registry.folder("Annotations")
    assert annotations
    (folder / "annotations.txt").write_bytes(text_format.to_bytes(annotations))
    rows = ("workspace\tmain\tsegmentation", "one\tt1.nii.gz\tseg.nii.gz", "two\tt2.nii.gz\t")
    (folder / "cohort.tsv").write_text("".join(f"{row}\n" for row in rows))
    program = folder / "bin" / "itksnap"  # in the place of ITK-SNAP: it ends at once
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)


def path_with(folder: Path) -> str:
    """Return a PATH that begins with the programs of a study."""
    return os.pathsep.join((str(folder / "bin"), os.environ["PATH"]))


@pytest.fixture
def study(tmp_path, monkeypatch) -> Path:
    """The current folder, with what docs and help texts speak of."""
    folder = tmp_path / "study"
    place_study(folder)
    monkeypatch.setenv("PATH", path_with(folder))
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def snapws(study):
    """Run a command line in the study's folder, hold its exit code, and give what it printed."""

    def run(line: str | list[str], code: int = 0):
        words = line.split() if isinstance(line, str) else line
        result = CliRunner().invoke(app, words, prog_name="snapws")
        assert result.exit_code == code, (result.output, result.exception)
        return result

    return run

"""What `snapws archive` says of files outside of the folder, and of those read instead."""

from __future__ import annotations

import json
import shutil

import pytest

from snapws import Workspace


@pytest.fixture
def scan(study, tmp_path):
    """An overlay of the study that is in another folder."""
    scan = tmp_path.resolve() / "other patient" / "scan.nii.gz"
    scan.parent.mkdir()
    shutil.copy(study / "t2.nii.gz", scan)
    opened = Workspace.open(study / "study.itksnap")
    opened.add_overlay(scan)
    opened.save()
    return scan


def test_an_archive_names_them_and_its_report_too(snapws, study, scan):
    result = snapws("archive study.itksnap out --report report.json")
    assert f"outside of the workspace's folder: {scan}" in result.stderr
    assert "other patient" not in result.stdout
    record = json.loads((study / "report.json").read_text())
    assert record["outside"] == [{"where": "layer 003", "path": str(scan)}]


def test_they_are_named_before_an_archive_that_fails(snapws, study, scan):
    scan.write_bytes(scan.read_bytes()[:-20])
    result = snapws("archive study.itksnap out", 1)
    assert f"outside of the workspace's folder: {scan}" in result.stderr.splitlines()[0]


def test_study_in_one_folder_gives_no_remark_on_outside_files(snapws):
    result = snapws("archive study.itksnap out --report report.json")
    assert "outside" not in result.stderr


def test_an_archive_warns_of_an_image_that_itk_snap_reads_another_file_for(snapws, study):
    (study / "flair.nii").write_bytes(b"another image")
    result = snapws("archive study.itksnap out")
    assert "warning: layer " in result.stderr
    assert "flair.nii.gz is what is sent: ITK 5.4, and so ITK-SNAP, reads flair.nii beside it" in (
        result.stderr
    )

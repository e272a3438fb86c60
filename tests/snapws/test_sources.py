"""Files outside of a workspace's folder are named by real path, and not in the archive."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import nibabel
import numpy as np
import pytest

from snapws import Workspace
from snapws.archive import archive
from snapws.sources import outside, told

linked = pytest.mark.skipif(os.name == "nt", reason="links take a privilege on Windows")


def image(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    voxels = np.arange(64, dtype=np.int16).reshape(4, 4, 4)
    pair = path.suffix == ".hdr"
    (nibabel.Nifti1Pair if pair else nibabel.Nifti1Image)(voxels, np.eye(4)).to_filename(path)
    return path


@pytest.fixture
def other(tmp_path) -> Path:
    """The folder of another patient."""
    return tmp_path.resolve() / "other"


@pytest.fixture
def ws(tmp_path) -> Workspace:
    made = Workspace()
    made.set_main(image(tmp_path / "study" / "t1.nii"))
    made.save(tmp_path / "study" / "study.itksnap")
    return made


def test_images_and_meshes_of_other_folders_are_named(ws, other, inputs):
    ws.add_overlay(image(ws.folder / "below" / "t2.nii.gz"))
    ws.add_overlay(image(other / "scan.nii.gz"))
    (other / "tri.vtk").write_bytes((inputs / "tri.vtk").read_bytes())
    ws.add_mesh(other / "tri.vtk")
    assert outside(ws) == (
        ("layer 002", other / "scan.nii.gz"),
        ("mesh:0", other / "tri.vtk"),
    )


@linked
def test_links_lead_to_where_they_lead(ws, other):
    (ws.folder / "linked.nii").symlink_to(image(other / "scan.nii"))
    (ws.folder / "folder").symlink_to(other)
    for name in ("linked.nii", "folder/scan.nii", "folder/../t1.nii"):
        ws.add_overlay(ws.folder / name)
    assert outside(ws) == (
        ("layer 001", other / "scan.nii"),
        ("layer 002", other / "scan.nii"),
    )


@linked
def test_a_workspace_that_is_reached_by_a_link_has_its_images_inside(ws, tmp_path):
    (tmp_path / "way").symlink_to(ws.folder)
    assert outside(Workspace.open(tmp_path / "way" / "study.itksnap")) == ()


@linked
@pytest.mark.parametrize(("place", "count"), [("study", 0), ("elsewhere", 1)])
def test_an_annexed_file_is_inside_where_its_link_is(ws, tmp_path, place, count):
    stored = image(tmp_path / ".git" / "annex" / "objects" / "ab" / "key.nii")
    (tmp_path / place).mkdir(exist_ok=True)
    (tmp_path / place / "annexed.nii").symlink_to(stored)
    ws.add_overlay(tmp_path / place / "annexed.nii")
    assert len(outside(ws)) == count


def test_an_image_that_cannot_be_read_is_named_and_a_missing_one_is_not(ws, other):
    """Of a file that is not there nothing is sent; the archive is refused in one line."""
    image(other / "cut.nii").write_bytes(b"no image")
    ws.add_overlay(other / "cut.nii")
    ws.add_overlay(other / "missing.nii")
    ws.layers()[0].registry["AbsolutePath"] = "https://example.org/t1.nii"
    assert [path.name for _, path in outside(ws)] == ["cut.nii"]


def test_of_many_files_of_a_folder_the_first_are_named_and_the_rest_counted(ws, other):
    series = [("layer 000", other / f"{number:03d}.dcm") for number in range(500)]
    lines = list(told(series))
    assert len(lines) == 11
    assert str(other / "000.dcm") in lines[0]
    assert lines[-1].endswith(f"490 more in {other}")


def test_the_report_names_sources_from_outside_and_the_archive_does_not(ws, other, tmp_path):
    ws.add_overlay(image(other / "scan.nii.gz"))
    report = archive(ws, tmp_path / "out")
    assert report.outside == (("layer 001", other / "scan.nii.gz"),)
    told = {"where": "layer 001", "path": str(other / "scan.nii.gz")}
    assert json.loads(json.dumps(report.record()))["outside"] == [told]
    for file in report.files:
        content = file.read_bytes()
        content += gzip.decompress(content) if file.suffix == ".gz" else b""
        assert b"scan" not in content
        assert b"other" not in content

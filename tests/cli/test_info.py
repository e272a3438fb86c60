"""``snapws info``: headers only, and never refused for an image."""

from __future__ import annotations

import gzip
import json

from nibabel.nifti1 import Nifti1Header

from snapws import Workspace, check


def images(snapws) -> list[dict]:
    return json.loads(snapws("info study.itksnap --json").stdout)["layers"]


def test_headers(snapws):
    main, overlay, _ = images(snapws)
    assert (main["size"], main["spacing"]) == ([12, 10, 8], [0.9, 0.95, 1.4])
    assert (main["voxel_type"], main["orientation"]) == ("int16", "LPS")
    assert overlay["components"] == 1
    assert main["problem"] is None


def test_several_time_points_and_components(snapws):
    snapws("layers add study.itksnap t4d.nii.gz")
    snapws("layers add study.itksnap vec3.nii.gz")
    snapws("layers add study.itksnap rgb.nii.gz")
    found = images(snapws)[3:]
    assert [len(image["size"]) for image in found] == [4, 3, 3]
    assert [image["components"] for image in found] == [1, 3, 1]
    assert found[2]["voxel_type"] == "RGB"


def test_a_file_that_ends_after_its_header_is_shown(snapws, study):
    header = Nifti1Header()
    header["vox_offset"] = 352
    header.set_data_dtype("int16")
    header.set_data_shape((30000, 30000, 30000))  # 54 TB, were they read
    whole = gzip.compress(header.binaryblock + bytes(100_000))
    (study / "flair.nii.gz").write_bytes(whole[: len(whole) - 20])
    image = images(snapws)[1]
    assert (image["size"], image["problem"]) == ([30000, 30000, 30000], None)
    result = snapws("check study.itksnap", 1)
    assert "bytes of voxels missing" in result.stdout


def test_what_cannot_be_read_is_said(snapws, study):
    (study / "flair.nii.gz").write_bytes(b"")
    (study / "draft.nii.gz").unlink()
    result = snapws("info study.itksnap")
    assert "layer 1: " in result.stdout
    assert "an empty file" in result.stdout
    assert f"layer 2: its file {(study / 'draft.nii.gz').as_posix()} is not there" in result.stdout
    assert images(snapws)[1]["size"] is None


def test_a_workspace_without_layers(snapws):
    Workspace().save("empty.itksnap")
    assert "labels: 0" in snapws("info empty.itksnap").stdout
    found = json.loads(snapws("check empty.itksnap --json", 1).stdout)
    assert [problem["kind"] for problem in found] == ["no-main"]


def test_remarks_alone_do_not_change_the_exit_code(snapws, monkeypatch):
    remark = check.Problem("labels", "layer 002", "worth knowing", "remark")
    monkeypatch.setattr(check, "check_workspace", lambda workspace: (remark,))
    result = snapws("check study.itksnap")
    assert result.stdout == "remark: layer 002: worth knowing\n"
    assert result.stderr == "snapws: study.itksnap: no errors\n"
    assert json.loads(snapws("check study.itksnap --json").stdout)[0]["severity"] == "remark"
    error = check.Problem("file", "layer 001", "it names no file")
    monkeypatch.setattr(check, "check_workspace", lambda workspace: (remark, error))
    assert "error: layer 001: it names no file\n" in snapws("check study.itksnap", 1).stdout


def test_a_layer_on_a_server(snapws):
    snapws("layers add study.itksnap https://example.org/x.nii.gz")
    listed = json.loads(snapws("layers list study.itksnap --json").stdout)
    assert (listed[3]["file"], listed[3]["exists"]) == ("https://example.org/x.nii.gz", None)
    assert "on a server" in images(snapws)[3]["problem"]

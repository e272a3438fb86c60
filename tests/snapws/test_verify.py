"""Verification: whatever is changed in an archive is found."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Header

from snapws import ArchiveError, RegistryError, Workspace
from snapws.archive import archive
from snapws.verify import verify_archive
from tests.snapws.images.test_images import write_nifti


@pytest.fixture
def sent(base, tmp_path) -> Path:
    """The folder of an archive of a main image, two overlays and a segmentation."""
    archive(base, tmp_path / "sent")
    return tmp_path / "sent"


def layer(sent: Path, number: int) -> Path:
    return next(sent.glob(f"layer_{number:03d}_*"))


def only_problem(folder: Path) -> tuple[str, str, str]:
    (problem,) = verify_archive(folder)
    return problem.kind, problem.where, problem.message


def test_a_valid_archive_has_no_problems(sent, tmp_path):
    assert verify_archive(sent) == ()
    assert verify_archive(str(sent.rename(tmp_path / "moved"))) == ()


@pytest.mark.parametrize("name", ["scaled_i16.nii.gz", "vec3.nii.gz", "rgb.nii.gz", "t4d.nii.gz"])
def test_every_kind_of_voxel_is_hashed_as_the_archive_names_it(inputs, tmp_path, name):
    workspace = Workspace()
    workspace.set_main(inputs / name)
    archive(workspace, tmp_path / "sent")
    assert verify_archive(tmp_path / "sent") == ()


def test_a_changed_voxel(sent):
    path = layer(sent, 2)
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[-1] ^= 1
    path.write_bytes(gzip.compress(content, mtime=0))
    kind, where, message = only_problem(sent)
    assert (kind, where) == ("image", "layer 002")
    assert f"{path.name} does not match its name" in message


def test_a_layer_cut_short(sent):
    path = layer(sent, 1)
    path.write_bytes(path.read_bytes()[:-9])
    assert only_problem(sent)[:2] == ("image", "layer 001")


def test_a_missing_layer(sent):
    path = layer(sent, 3)
    path.unlink()
    kind, where, message = only_problem(sent)
    # The workspace names its neutral root where the file is not.
    assert (kind, where) == ("file", "layer 003")
    assert f"/{path.name} is not there" in message


def test_two_layers_exchanged(sent):
    first, second = layer(sent, 0), layer(sent, 2)
    one, two = first.read_bytes(), second.read_bytes()
    first.write_bytes(two)
    second.write_bytes(one)
    assert [problem.where for problem in verify_archive(sent)] == ["layer 000", "layer 002"]


def test_names_that_are_not_the_content(base, tmp_path):
    archive(base, tmp_path / "kept", names="keep")
    found = verify_archive(tmp_path / "kept")
    assert {problem.kind for problem in found} == {"file"}
    assert len(found) == 4


def test_a_name_with_the_number_of_another_layer(sent):
    workspace = Workspace.open(sent / "workspace.itksnap")
    path = layer(sent, 1)
    renamed = path.rename(sent / path.name.replace("layer_001", "layer_007"))
    workspace.layers()[1].file = renamed
    workspace.save()
    message = f"{renamed.name} is not named by its number and its content"
    assert only_problem(sent) == ("file", "layer 001", message)


@pytest.mark.parametrize("name", ["more.txt", ".hidden", "layer_004_" + "0" * 32 + ".nii.gz"])
def test_something_else_in_the_folder(sent, name):
    (sent / name).write_bytes(b"")
    assert only_problem(sent) == ("file", "archive", f"{name} is not part of the workspace")


def test_a_file_outside(sent, inputs):
    workspace = Workspace.open(sent / "workspace.itksnap")
    workspace.add_overlay(inputs / "b.nii.gz")
    workspace.save()
    kind, where, message = only_problem(sent)
    assert (kind, where) == ("file", "layer 004")
    assert message.endswith("is not in the archive's folder")


def test_meshes_are_named_by_their_bytes(sent, inputs):
    data = (inputs / "tri.vtk").read_bytes()
    workspace = Workspace.open(sent / "workspace.itksnap")
    path = sent / f"mesh_000_001_000_{hashlib.md5(data).hexdigest()}.vtk"
    path.write_bytes(data)
    workspace.add_mesh(path)
    workspace.save()
    assert verify_archive(sent) == ()
    path.write_bytes(data + b"\n")
    assert only_problem(sent)[:2] == ("image", "mesh:0")


def test_what_is_no_archive(sent, tmp_path):
    with pytest.raises(ArchiveError, match="cannot read the archive .*none: No such file"):
        verify_archive(tmp_path / "none")
    (sent / "second.itksnap").write_bytes(b"")
    with pytest.raises(ArchiveError, match=r"holds second.itksnap, workspace.itksnap"):
        verify_archive(sent)
    (sent / "workspace.itksnap").unlink()
    with pytest.raises(RegistryError, match=r"second.itksnap"):
        verify_archive(sent)


def test_an_archive_is_held_against_its_source(base, sent, inputs):
    assert verify_archive(sent, base) == ()
    base.layers()[1].file = inputs / "t4d.nii.gz"
    base.layers()[2].file = inputs / "nothing.nii.gz"
    problems = {problem.where: problem for problem in verify_archive(sent, base)}
    assert set(problems) == {"layer 001", "layer 002"}
    assert problems["layer 001"].kind == "source"
    assert "t4d.nii.gz: dim is" in problems["layer 001"].message
    assert "nothing.nii.gz" in problems["layer 002"].message
    base.remove(base.layers()[3])
    (problem,) = verify_archive(sent, base)
    assert problem.message == "the archive has 4 layers and surfaces, the source has 3"


@pytest.mark.parametrize(("field", "value"), [("pixdim", 1.5), ("xyzt_units", 1), ("scl_slope", 3)])
def test_another_geometry_or_scaling_than_the_source(base, sent, tmp_path, field, value):
    content = gzip.decompress(base.layers()[2].path.read_bytes())
    header = Nifti1Header(content[:348])
    voxels = content[int(header["vox_offset"]) :]
    header["vox_offset"] = 352
    before = tmp_path / "same.nii"
    before.write_bytes(header.binaryblock + bytes(4) + voxels)
    base.layers()[2].file = before
    assert verify_archive(sent, base) == ()
    if field == "pixdim":
        header["pixdim"][2] = value
    else:
        header[field] = value
    before.write_bytes(header.binaryblock + bytes(4) + voxels)
    (problem,) = verify_archive(sent, base)
    assert f"{field} is" in problem.message


def test_other_voxels_than_the_source(base, sent, tmp_path):
    content = bytearray(gzip.decompress(base.layers()[2].path.read_bytes()))
    content[-1] ^= 1
    (tmp_path / "other.nii").write_bytes(content)
    base.layers()[2].file = tmp_path / "other.nii"
    (problem,) = verify_archive(sent, base)
    assert problem.message.endswith("other.nii: voxels")


def test_text_that_has_come_into_an_archive(sent):
    path = layer(sent, 0)
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[148:155] = b"JaneDoe"
    path.write_bytes(gzip.compress(content, mtime=0))
    assert only_problem(sent)[:2] == ("privacy", "layer 000")
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), mtime=9))
    assert only_problem(sent)[:2] == ("privacy", "layer 000")


def test_entries_that_have_come_into_the_workspace_of_an_archive(sent):
    path = sent / "workspace.itksnap"
    text = path.read_text()
    path.write_text(text.replace("<registry>", "<!-- Jane Doe --><registry>"))
    assert only_problem(sent) == (
        "privacy",
        "archive",
        "workspace.itksnap contains text outside of its entries",
    )
    path.write_text(text.replace("<registry>", '<registry>\n  <entry key="Jane" value="Doe" />'))
    assert (
        only_problem(sent)[2] == "workspace.itksnap has the entry Jane, which no archive may have"
    )


def test_another_programs_archive_may_say_more(sent):
    """Its layers only have to be what their names say."""
    path = layer(sent, 0)
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[148:155] = b"JaneDoe"
    path.write_bytes(gzip.compress(content))
    workspace = Workspace.open(sent / "workspace.itksnap")
    workspace.save()
    assert verify_archive(sent) == ()


@pytest.mark.parametrize(
    "path", ["/home/jane/../../archive/{}", "jane/../{}", "/archive/Jane Doe/../{}", None]
)
def test_a_path_that_says_more_than_the_name(sent, path):
    workspace = sent / "workspace.itksnap"
    name = layer(sent, 0).name
    (sent / "jane").mkdir()
    text = workspace.read_text()
    assert f'value="/archive/{name}"' in text
    line = f'<entry key="AbsolutePath" value="/archive/{name}" />'
    assert line in text
    put = f'<entry key="AbsolutePath" value="{path.format(name)}" />' if path else ""
    workspace.write_text(text.replace(line, put))
    (sent / "jane").rmdir()
    assert "privacy" in {problem.kind for problem in verify_archive(sent)} or path is None
    assert verify_archive(sent) != ()


@pytest.mark.parametrize("spoil", ["twin", "three", "padding"])
def test_more_than_one_gzip_stream(sent, spoil):
    path = layer(sent, 0)
    clean = gzip.decompress(path.read_bytes())
    zipped = {
        "twin": path.read_bytes() + gzip.compress(b"Jane Doe ".ljust(len(clean)), mtime=0),
        "three": gzip.compress(clean[:100], mtime=0) + gzip.compress(clean[100:], mtime=0),
        "padding": path.read_bytes() + bytes(3),
    }[spoil]
    path.write_bytes(zipped)
    assert only_problem(sent)[:2] == ("privacy", "layer 000")


def test_a_link_is_no_file_of_an_archive(sent, tmp_path):
    path = layer(sent, 0)
    path.rename(tmp_path / path.name)
    path.symlink_to(tmp_path / path.name)
    assert "is not in the archive's folder" in only_problem(sent)[2]


def test_stored_voxels_count_and_not_only_scaled_ones(tmp_path):
    """Two numbers may be one once they are scaled to single precision."""
    workspaces = []
    for value in (16777216, 16777217):
        voxels = np.full((4, 4, 4), value, "<i4")
        workspace = Workspace()
        workspace.set_main(write_nifti(tmp_path / f"{value}.nii", voxels, scl_slope=2, scl_inter=0))
        workspaces.append(workspace)
    archive(workspaces[0], tmp_path / "out")
    assert verify_archive(tmp_path / "out", workspaces[0]) == ()
    (problem,) = verify_archive(tmp_path / "out", workspaces[1])
    assert problem.message.endswith(": voxels")


def test_what_is_archived_is_what_verify_allows(base, tmp_path):
    """Elements that no reader sees, and what only has tags, leave no empty folders."""
    base.registry["Annotations.Annotations.Element[0].Text"] = "no reader sees it"
    base.registry["TimePointProperties.TimePoints.ArraySize"] = "1"
    base.registry["TimePointProperties.TimePoints.TimePoint[1].Tags"] = "Jane"
    for privacy in ("standard", "strict"):
        archive(base, tmp_path / privacy, privacy=privacy)
        assert verify_archive(tmp_path / privacy, base) == ()

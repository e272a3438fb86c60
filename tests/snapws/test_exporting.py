"""Layers' images under speaking names."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

from snapws import ImageError, InvalidValue, LayerFileMissing, Workspace
from snapws.exporting import export


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    ws = Workspace()
    for number, name in enumerate(("T1", "Flair", "T2")):
        voxels = np.full((3, 4, 5), number, np.int16)
        nibabel.Nifti1Image(voxels, np.diag([1, 2, 3, 1])).to_filename(tmp_path / f"{number}.nii")
        ws.add_anatomical(tmp_path / f"{number}.nii", nickname=name, tags=[f"Tag{number}"])
    ws.save(tmp_path / "study.itksnap")
    return ws


def tree(folder: Path) -> dict[str, bytes]:
    return {one.name: one.read_bytes() for one in folder.iterdir() if one.is_file()}


def test_images_get_the_names_and_the_workspace_stays(workspace, tmp_path):
    before = tree(tmp_path)
    names = [one.name for one in export(workspace.layers(), tmp_path / "out" / "in")]
    assert names == ["T1.nii.gz", "Flair.nii.gz", "T2.nii.gz"]
    for number, name in enumerate(names):
        image = nibabel.load(tmp_path / "out" / "in" / name)
        assert (np.asarray(image.dataobj) == number).all()
        assert np.array_equal(image.affine, np.diag([1, 2, 3, 1]))
    assert tree(tmp_path) == before
    assert sorted(tree(tmp_path / "out" / "in")) == sorted(names)


def test_every_field_is_filled_in_and_its_value_is_not_a_pattern(workspace, tmp_path):
    workspace.main.nickname = "{number} of {0.__class__}"
    made = export(workspace.layers(tag="Tag0"), tmp_path / "out", "{number}-{role}-{tag}-{file}")
    assert made[0].name == "000-main-Tag0-0.nii.gz"
    made = export(workspace.layers(tag="Tag0"), tmp_path / "out", "{nickname}")
    assert made[0].name == "{number} of {0.__class__}.nii.gz"


@pytest.mark.parametrize(
    ("nickname", "name"),
    [("../../up", "_.._up"), ("/etc/x", "_etc_x"), ("C:\\x", "C_x"), ("nul", "_nul")],
)
def test_no_nickname_leads_out_of_the_folder(workspace, tmp_path, nickname, name):
    workspace.main.nickname = nickname
    (made,) = export(workspace.layers(tag="Tag0"), tmp_path / "out")
    assert made.parent == tmp_path / "out"
    assert made.name == f"{name}.nii.gz"


@pytest.mark.parametrize(
    ("nicknames", "pattern", "said"),
    [
        (("T1", "t1", "T2"), "{nickname}", "000 and 001 would both be 't1'"),
        (("A/B", "A:B", "T2"), "{nickname}", "would both be"),
        (("Caf\u00e9", "Cafe\u0301", "T2"), "{nickname}", "would both be"),
        (("T1", "", "T2"), "{nickname}", "gives layer 001 an empty name"),
        (("T1", "..", "T2"), "{nickname}", "empty name"),
        (("T1", "Flair", "T2"), "sub/{nickname}", "separator"),
        (("T1", "Flair", "T2"), "{nickname", "brace"),
        (("T1", "Flair", "T2"), "{name}", "not a valid field"),
        (("T1", "Flair", "T2"), "{nickname.x}", "not a valid field"),
        (("T1", "Flair", "T2"), "same", "would both be"),
    ],
    ids=str,
)
def test_names_that_cannot_be_are_refused_before_anything_is_written(
    workspace, tmp_path, nicknames, pattern, said
):
    for layer, nickname in zip(workspace.layers(), nicknames, strict=True):
        layer.nickname = nickname
    with pytest.raises(InvalidValue, match=said):
        export(workspace.layers(), tmp_path / "out", pattern)
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_there_stays_unless_it_is_forced(workspace, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "T2.nii.gz").write_text("mine")
    with pytest.raises(InvalidValue, match=r"T2\.nii\.gz already exists"):
        export(workspace.layers(), tmp_path / "out")
    assert tree(tmp_path / "out") == {"T2.nii.gz": b"mine"}
    export(workspace.layers(), tmp_path / "out", force=True)
    assert len(tree(tmp_path / "out")) == 3
    assert nibabel.load(tmp_path / "out" / "T2.nii.gz").shape == (3, 4, 5)


def test_an_image_of_the_workspace_is_not_replaced_even_if_forced(workspace, tmp_path):
    export(workspace.layers(tag="Tag1"), tmp_path)
    workspace.main.file = tmp_path / "Flair.nii.gz"
    with pytest.raises(InvalidValue, match="is the image of layer 000"):
        export(workspace.layers(), tmp_path, force=True)


def test_one_image_that_fails_leaves_none(workspace, tmp_path):
    with (tmp_path / "2.nii").open("r+b") as file:
        file.truncate(360)
    with pytest.raises(ImageError, match="cut short"):
        export(workspace.layers(), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    (tmp_path / "2.nii").unlink()
    with pytest.raises(LayerFileMissing):
        export(workspace.layers(), tmp_path / "out")
    assert not (tmp_path / "out").exists()

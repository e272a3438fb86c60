"""Labels renumbered in images and table together."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

from snapws import ImageUnsupported, InvalidValue, Label, Workspace
from snapws.label_remap import Renumbered, new_images, pairs, remap
from snapws.label_tables import Entry

IDS = [0, 1, 997, 65536, 312782546, 614454277]  # as the Allen atlases have them


def study(folder: Path, *segmentations: np.ndarray) -> Workspace:
    affine = nibabel.affines.from_matvec(nibabel.eulerangles.euler2mat(0.3, 0.2, 0.1), [1, 2, 3])
    ws = Workspace()
    nibabel.Nifti1Image(np.zeros((6, 5, 4), np.int16), affine).to_filename(folder / "main.nii")
    ws.set_main(folder / "main.nii")
    for number, voxels in enumerate(segmentations):
        file = folder / f"seg{number}.nii.gz"
        nibabel.Nifti1Image(voxels, affine, dtype=voxels.dtype).to_filename(file)
        ws.add_segmentation(file)
    ws.labels = [Label(1, "One", (1, 2, 3)), Label(997, "Root")]
    ws.save(folder / "study.itksnap")
    return ws


def voxels_of(ws: Workspace, layer: int = 1) -> np.ndarray:
    return np.asarray(nibabel.load(ws.layer(layer).path).dataobj)


def drawn(dtype: str = "u4", ids: list[int] = IDS) -> np.ndarray:
    return np.random.default_rng(5).choice(ids, (6, 5, 4)).astype(dtype)


@pytest.mark.parametrize("dtype", ["u4", "i8", "f8", "f4"])
def test_compact_labels_are_small_in_image_and_table(tmp_path, dtype):
    ids = [0, 1, 997, 65536, 312782528] if dtype == "f4" else IDS
    old = drawn(dtype, ids)
    ws = study(tmp_path, old)
    table = [Entry(index, f"Area {index}") for index in ids[1:]]
    with new_images() as made:
        changed = remap(ws, None, made, folder=tmp_path, table=table)
        ws.save()
    assert voxels_of(ws).dtype == np.uint8
    assert np.array_equal(voxels_of(ws), np.searchsorted(ids, old))
    assert [(one.index, one.name) for one in ws.labels] == [
        (place, f"Area {index}") for place, index in enumerate(ids) if index
    ]
    assert changed[0] == Renumbered(997, 2, "Area 997")
    before = nibabel.load(tmp_path / "seg0.nii.gz")
    assert np.array_equal(before.dataobj, old)
    assert np.allclose(nibabel.load(ws.layer(1).path).affine, before.affine)


def test_labels_are_merged_swapped_and_cleared_in_every_segmentation(tmp_path):
    first, second = drawn("u2", [0, 1, 2, 997, 5]), drawn("i2", [0, 2, 3])
    ws = study(tmp_path, first, second)
    with new_images() as made:
        remap(ws, {1: 2, 2: 1, 997: 0, 3: 300}, made, folder=tmp_path)
    lookup = {0: 0, 1: 2, 2: 1, 997: 0, 3: 300, 5: 5}
    for layer, old in ((1, first), (2, second)):
        assert np.array_equal(voxels_of(ws, layer), np.vectorize(lookup.get)(old))
        assert voxels_of(ws, layer).dtype == np.uint16
    assert [(one.index, one.name, one.color) for one in ws.labels] == [(2, "One", (1, 2, 3))]


def test_merged_labels_are_named_by_the_one_that_stays(tmp_path):
    ws = study(tmp_path, drawn("u2", [0, 1, 997]))
    with new_images() as made:
        remap(ws, {1: 997}, made, folder=tmp_path)
    assert [(one.index, one.name) for one in ws.labels] == [(997, "Root")]
    assert set(np.unique(voxels_of(ws))) == {0, 997}


@pytest.mark.parametrize(
    ("voxels", "mapping", "error", "said"),
    [
        pytest.param(drawn(), {1: 2}, InvalidValue, "stay above 65535", id="beyond"),
        pytest.param(drawn("f4", [0, 1]) + 0.5, None, ImageUnsupported, "whole", id="fraction"),
        pytest.param(drawn("i2", [0, -1]), None, ImageUnsupported, "not labels", id="negative"),
        pytest.param(drawn("f4", [0, 1]) * np.nan, None, ImageUnsupported, "nan", id="nan"),
    ],
)
def test_what_cannot_be_renumbered_changes_nothing(tmp_path, voxels, mapping, error, said):
    ws = study(tmp_path, voxels)
    before = sorted(tmp_path.iterdir())
    content = (tmp_path / "study.itksnap").read_bytes()
    with new_images() as made, pytest.raises(error, match=said):
        remap(ws, mapping, made, folder=tmp_path)
    assert sorted(tmp_path.iterdir()) == before
    assert (tmp_path / "study.itksnap").read_bytes() == content


def test_a_save_that_fails_leaves_no_new_image(tmp_path):
    ws = study(tmp_path, drawn())
    before = sorted(tmp_path.iterdir())

    def interrupted() -> None:
        with new_images() as made:
            remap(ws, None, made, folder=tmp_path)
            assert made.paths[0].exists()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert sorted(tmp_path.iterdir()) == before


def test_names_that_are_taken_are_not_written_over(tmp_path):
    ws = study(tmp_path, drawn("u2", [0, 1, 2]))
    (tmp_path / "seg0_remapped.nii.gz").write_text("mine")
    for name in ("seg0_remapped-2.nii.gz", "seg0_remapped-3.nii.gz"):
        with new_images() as made:
            remap(ws, {1: 2, 2: 1}, made, folder=tmp_path)
        assert [one.name for one in made.paths] == [name]
    assert (tmp_path / "seg0_remapped.nii.gz").read_text() == "mine"


def test_pairs_of_numbers():
    assert pairs(["1:2", " 312782546 : 0 "]) == {1: 2, 312782546: 0}
    for wrong in (["1"], ["1:"], ["0:1"], ["1:65536"], ["-1:2"], ["1:2", "1:3"], ["\u0661:2"]):
        with pytest.raises(InvalidValue):
            pairs(wrong)

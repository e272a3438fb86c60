from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from snapws import LayerFileMissing, Role, TextFileError, Workspace, WorkspaceError
from snapws.building import bids_recipes, build, read_manifest, write

TABLE = """\
workspace\tmain\toverlays\tsegmentation\ttags\tnicknames\ttransform\tlabels\tsite
s1/one\tt1.nii.gz\tt2.nii.gz;flair.nii.gz\tseg.nii.gz\tTarget,A;;Source;Result\tT1;T2\t;move.txt\tl.txt\tx

two.itksnap\tt1.nii.gz
"""


def image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(np.ones((4, 3, 2), np.uint8), np.eye(4)), path)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for name in ("t1", "t2", "flair", "seg"):
        image(tmp_path / f"{name}.nii.gz")
    (tmp_path / "move.txt").write_text("1 0 0 2\n0 1 0 0\n0 0 1 0\n0 0 0 1\n")
    (tmp_path / "l.txt").write_text('1 255 0 0 1 1 1 "One"\n')
    (tmp_path / "table.tsv").write_text(TABLE)
    return tmp_path


def test_a_row_of_a_table_is_a_workspace(files):
    found = read_manifest(files / "table.tsv")
    assert found.unused == ("site",)
    first, second = found.recipes
    assert write(first) == "made"
    made = Workspace.open(files / "s1/one.itksnap")
    assert [layer.nickname for layer in made.layers()] == ["T1", "T2", "", ""]
    assert [layer.tags for layer in made.layers()] == [
        ("A", "Target"),
        (),
        ("Source",),
        ("Result",),
    ]
    assert [Path(layer.file).name for layer in made.layers()] == [
        *("t1.nii.gz", "t2.nii.gz", "flair.nii.gz", "seg.nii.gz")
    ]
    assert made.layers()[1].transform[0][3] == 0
    assert made.layers()[2].transform[0][3] == 2
    assert [label.name for label in made.labels] == ["One"]
    assert second.workspace == files / "two.itksnap"
    assert [layer.role for layer in build(second).layers()] == [Role.MAIN]


def test_again_changes_nothing_and_other_work_is_not_overwritten(files):
    first, _ = read_manifest(files / "table.tsv", files / "out").recipes
    target = files / "out/s1/one.itksnap"
    assert (write(first), write(first)) == ("made", "unchanged")
    mine = Workspace.open(target)
    mine.add_landmark((1, 1, 1), "mine")
    mine.save()
    before = target.read_bytes()
    with pytest.raises(WorkspaceError, match="exists and differs"):
        write(first)
    assert target.read_bytes() == before
    assert write(first, force=True) == "replaced"
    assert Workspace.open(target).annotations == ()


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("workspace\tother\n", "line 1: the column main is missing"),
        ("", "line 1: the column workspace and the column main is missing"),
        ("workspace\tmain\na\t\n", "line 2: the cell main is empty"),
        (
            "workspace\tmain\na\tx\nb\tx\na.itksnap\tx\n",
            "line 4: .*a.itksnap stands in .*line 2, too",
        ),
        ("workspace\tmain\ttags\na\tx\tA;B\n", "line 2: tags has 2 values for 1 layers"),
        ("workspace\tmain\ttransform\na\tx\tm.txt\n", "transform has 1 values for 0 layers"),
        (b"\xff\xfe", "the table is not UTF-8"),
    ],
    ids=["column", "empty", "cell", "twice", "tags", "transform", "utf-16"],
)
def test_a_bad_table_is_refused_by_line(tmp_path, table, said):
    path = tmp_path / "table.tsv"
    path.write_bytes(table if isinstance(table, bytes) else table.encode())
    with pytest.raises(TextFileError, match=said):
        read_manifest(path)


def test_a_missing_file_is_named_with_its_line(files):
    (files / "flair.nii.gz").unlink()
    first, second = read_manifest(files / "table.tsv").recipes
    with pytest.raises(
        LayerFileMissing, match=r"table\.tsv, line 2: .*flair\.nii\.gz is not there"
    ):
        write(first)
    assert not first.workspace.exists()
    assert write(second) == "made"


def test_bids_images_belong_together_by_their_entities(tmp_path):
    data = tmp_path / "data"
    for name in (
        "sub-01/ses-1/anat/sub-01_ses-1_T1w.nii.gz",
        "sub-01/ses-2/anat/sub-01_ses-2_T1w.nii.gz",
        "sub-01/ses-2/anat/sub-01_ses-2_FLAIR.nii.gz",
        "sub-02/anat/sub-02_T1w.nii",
        "derivatives/manual/sub-01/sub-01_ses-1_desc-manual_dseg.nii.gz",
        "derivatives/manual/sub-02/sub-02_space-orig_dseg.nii.gz",
        "derivatives/manual/sub-02/sub-02_desc-preproc_T1w.nii.gz",
        "derivatives/manual/sub-02/sub-02_desc-preproc_FLAIR.nii.gz",
    ):
        image(data / name)
    names = data / "derivatives/manual/dseg.tsv"
    names.write_text("index\tname\n1\tGrey\n")
    own = data / "derivatives/manual/sub-02/sub-02_space-orig_dseg.tsv"
    own.write_text("index\tname\n1\tOwn\n")
    recipes = bids_recipes(data, tmp_path / "out", overlays=["FLAIR"])
    assert [write(one) for one in recipes] == ["made"] * 3
    one, two, three = (Workspace.open(recipe.workspace) for recipe in recipes)
    assert [ws.path.stem for ws in (one, two, three)] == ["sub-01_ses-1", "sub-01_ses-2", "sub-02"]
    assert [layer.nickname for layer in one.layers()] == ["T1w", "dseg manual"]
    assert [layer.nickname for layer in two.layers()] == ["T1w", "FLAIR"]
    assert [layer.nickname for layer in three.layers()] == ["T1w", "dseg"]
    assert [ws.labels[0].name for ws in (one, three)] == ["Grey", "Own"]


def test_a_bids_image_that_may_belong_to_two_is_refused(tmp_path):
    for name in ("sub-01_run-1_T1w.nii", "sub-01_run-2_T1w.nii", "sub-01_dseg.nii"):
        image(tmp_path / "sub-01/anat" / name)
    with pytest.raises(WorkspaceError, match=r"sub-01_dseg\.nii: it may belong to .*run-1.* or to"):
        bids_recipes(tmp_path, tmp_path)
    with pytest.raises(WorkspaceError, match="no image named"):
        bids_recipes(tmp_path, tmp_path, main="bold")

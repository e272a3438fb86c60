"""Every workspace of the corpus, recorded or not: opened, saved and opened again it is the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from snapws import Workspace, labels, transform_files
from snapws.errors import TextFileError
from snapws.registry import xml_format

CORPUS = Path(__file__).parents[3] / "shared" / "corpus"
WORKSPACES = sorted(CORPUS.glob("workspaces*/*.itksnap"))

pytestmark = pytest.mark.skipif(
    not WORKSPACES, reason="the corpus of other people's files is not on this machine"
)

#: Workspaces that are in canonical form, header comment included: they come back byte for byte.
CANONICAL = tuple(f"{number:03d}" for number in (*range(1, 14), 15, 16, 102))
#: Label files that ITK-SNAP refuses too: numbers beyond 16 bits, or a line that is no label.
REFUSED_LABELS = ("008", "047", "048", "055", "056", "060")
#: 3x3 matrices of 2-D transforms.
REFUSED_TRANSFORMS = ("025", "027", "028")
#: One transform as a matrix (RAS) and as an ITK file (LPS).
PAIRS = (("009", "010"), ("009", "011"), ("012", "013"))


@pytest.mark.parametrize("path", WORKSPACES, ids=lambda path: path.name[:24])
def test_opened_saved_and_opened_again(path, tmp_path):
    workspace = Workspace.open(path)
    canonical = xml_format.to_bytes(workspace.registry, workspace.comments)
    assert xml_format.parse(canonical, "x").registry == workspace.registry
    if path.name.startswith(CANONICAL):
        assert canonical == path.read_bytes()
    again = Workspace.open(workspace.save(tmp_path / "out.itksnap"))
    assert again.registry == workspace.registry
    assert again.comments == workspace.comments
    assert len(again.layers()) == len(workspace.layers())
    before = dict(Workspace.open(path).registry.walk())
    after = dict(again.registry.walk())
    changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    assert changed <= {"SaveLocation", "Version"}


@pytest.mark.parametrize("path", sorted(CORPUS.glob("labels/*")), ids=lambda path: path.name[:24])
def test_label_files(path):
    if path.name.startswith(REFUSED_LABELS):
        with pytest.raises(TextFileError, match="line "):
            labels.read_file(path)
        return
    table = labels.read_file(path)
    assert labels.parse(labels.format_file(table).encode(), "x")[1:] == tuple(
        label for label in table if label.index
    )


@pytest.mark.parametrize(
    "path", sorted(CORPUS.glob("transforms/*")), ids=lambda path: path.name[:24]
)
def test_transform_files(path):
    if path.name.startswith(REFUSED_TRANSFORMS):
        with pytest.raises(TextFileError, match="has 16 numbers, the file has 9"):
            transform_files.read_itk_or_ras(path)
    else:
        assert transform_files.read_itk_or_ras(path)[3] == (0, 0, 0, 1)


@pytest.mark.parametrize(("matrix", "itk"), PAIRS)
def test_both_forms_of_a_transform_agree(matrix, itk):
    ours, theirs = (
        transform_files.read_itk_or_ras(next(CORPUS.glob(f"transforms/{number}_*")))
        for number in (matrix, itk)
    )
    for row, other in zip(ours, theirs, strict=True):
        assert row == pytest.approx(other, abs=2e-5)

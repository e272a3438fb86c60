"""The README's Python, run as it stands, on real files; and what it links to."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image

from dss import demo
from dss.serving.declaration import load
from snapws import Workspace

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def study(tmp_path, monkeypatch) -> Path:
    """The study that the README speaks of, in the current folder."""
    monkeypatch.chdir(tmp_path)
    demo.make_workspace(tmp_path)
    (tmp_path / "seg.nii.gz").write_bytes((demo.images() / "target_labels.nii.gz").read_bytes())
    return tmp_path / "study.itksnap"


def test_a_workspace(study, capsys):
    names: dict[str, object] = {}
    exec(BLOCKS[0], names)
    exec(BLOCKS[1], names)
    result = Workspace.open("result.itksnap")
    assert result.layer(tag="Result").nickname == "Result"
    assert len(list(Path("upload").glob("layer_*.nii.gz"))) == 4
    assert "Result" in capsys.readouterr().out
    with Image.open("result.png") as picture:
        assert picture.width > 900


def test_the_service_is_one(study, tmp_path):
    (tmp_path / "my_service.py").write_text(BLOCKS[2], encoding="utf-8")
    assert list(load(tmp_path / "my_service.py")) == ["Brightness"]


def test_all_its_python_is_run():
    assert len(BLOCKS) == 3


def test_it_is_short_and_its_files_are_there():
    assert README.count("\n") < 150
    linked = re.findall(r"\]\(([^)#]+)", README)
    local = [one for one in linked if not one.startswith("http")]
    assert len(local) > 15
    assert [one for one in local if not (ROOT / one).is_file()] == []

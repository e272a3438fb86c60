"""The README's Python, run as it stands, on real files; and what it links to."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from dss import demo
from dss.serving.declaration import load
from snapws import Workspace
from snapws.cli.app import app as snapws

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def study(tmp_path, monkeypatch) -> Path:
    """What the README speaks of, in the current folder: copied as it says, after the demo."""
    monkeypatch.chdir(tmp_path)
    demo.make_workspace(tmp_path / "demo" / "study")
    shutil.copytree(demo.images(), tmp_path / "fixtures" / "brain")
    for source, target in re.findall(r" cp (\S+) (\S+)", README):
        shutil.copy(source, target)
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


def test_its_commands(study):
    """Those of `snapws`; `compare` ends with 1 where something differs."""
    said = re.search(r"^## On the command line\n\n```console\n(.*?)```", README, re.DOTALL | re.M)
    commands = [
        one for one in re.split(r"^\$ | && ", said[1], flags=re.M) if one.startswith("snapws ")
    ]
    assert len(commands) == 4
    for command in commands:
        result = CliRunner().invoke(snapws, shlex.split(command)[1:])
        assert result.exit_code == (" compare " in command), result.output


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

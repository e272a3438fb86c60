"""The documents say what the command does, and all of it."""

from __future__ import annotations

import json
import re
import shlex
from importlib.util import find_spec
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from dss import wt_commands
from snapws import Workspace
from snapws.cli.app import app
from snapws.wt.commands import COMMANDS
from tests.docs.terminals import Inside

DOCS = Path(__file__).parents[2] / "docs"


def commands(group=None, path=()):
    """Yield every subcommand as its words and the command itself."""
    for name, command in (group or typer.main.get_command(app)).commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


COMMAND_NAMES = dict(commands())


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def test_every_command_has_a_section_with_an_example():
    pattern = r"^### `snapws ([a-z -]+)`\n(.*?)(?=^##|\Z)"
    sections = dict(re.findall(pattern, page("reference/snapws.md"), re.M | re.S))
    assert sections.keys() == COMMAND_NAMES.keys()
    for name, text in sections.items():
        assert re.search(rf"^\$ snapws {name} ", text, re.M), name
        assert f"_generated/commands/snapws-{name.replace(' ', '-')}.md" in text, name
        listed = any("--json" in option.opts for option in COMMAND_NAMES[name].params)
        assert listed == ("`--json`:" in text), name


def _end_at_once(monkeypatch):
    """Have the viewer end where somebody would look at it."""
    if find_spec("ipyniivue") is None:
        pytest.skip("needs the extra 'viewer'")
    monkeypatch.setattr("snapws.viewer.server.Viewer.serve", lambda _: None)
    monkeypatch.setattr("webbrowser.open", lambda _: True)


@pytest.mark.parametrize("name", [name for name in COMMAND_NAMES if name != "wt"])
def test_help_is_one_line_and_an_example_that_runs(snapws, study, name, monkeypatch):
    if name == "view":
        _end_at_once(monkeypatch)
    text = snapws([*name.split(), "--help"]).output
    assert len(COMMAND_NAMES[name].get_short_help_str(60)) <= 60
    assert not COMMAND_NAMES[name].get_short_help_str(60).endswith("...")
    example = re.search(r"Example:\n    \$ (.*)\n", text)[1]
    words = shlex.split(example)
    assert " ".join(words).startswith(f"snapws {name} ")
    shown, code = Inside(study).run(example)
    assert code == 0, shown


def test_fields_of_json_are_documented(snapws):
    for line in (
        "info study.itksnap",
        "check cardiac.itksnap",
        "layers list study.itksnap",
        "layers pick study.itksnap M",
        "meshes list mesh.itksnap",
        "labels list study.itksnap",
        "timepoints list cardiac.itksnap",
        "annotations list cardiac.itksnap",
    ):
        result = CliRunner().invoke(app, [*line.split(), "--json"])
        found = json.loads(result.stdout)
        for record in found if isinstance(found, list) else [found]:
            for field in record:
                assert f"`{field}`" in page("reference/snapws.md"), (line, field)


def test_the_table_has_every_command_of_itksnap_wt():
    rows = re.findall(r"^\| `(-\S+)` \| (.*) \| (.*?) ?\|$", page("reference/itksnap-wt.md"), re.M)
    everything = [*COMMANDS, *wt_commands.COMMANDS]
    assert [row[0] for row in rows] == [command.names[0] for command in everything]
    for _, ours, _ in rows:
        for name in re.findall(r"`snapws ([a-z]+(?: [a-z-]+)?)", ours):
            assert name in COMMAND_NAMES, name


def test_the_python_of_the_table_is_there():
    text = page("reference/itksnap-wt.md")
    workspace = Workspace()
    for name in re.findall(r"\bws\.(\w+)", text):
        assert hasattr(Workspace, name) or hasattr(workspace, name), name
    from snapws.display import Display
    from snapws.layers import Layer
    from snapws.meshes import MeshLayer

    for name in re.findall(r"\blayer\.display\.(\w+)", text):
        assert hasattr(Display, name), name
    for name in re.findall(r"\blayer\.(\w+)", text):
        assert hasattr(Layer, name) or name == "registry", name
    for name in re.findall(r"\bmesh\.(\w+)", text):
        assert hasattr(MeshLayer, name), name

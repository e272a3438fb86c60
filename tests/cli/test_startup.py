"""A command imports its own module, and none of other commands."""

from __future__ import annotations

import subprocess
import sys

import pytest

from snapws import Workspace

MODULES = """
import sys
sys.argv = ["snapws", *sys.argv[1:]]
from snapws.cli import main
try:
    main()
finally:
    print(*sys.modules, file=sys.stderr)
"""
OTHERS = {"snapws.cli.build", "snapws.cli.labels", "snapws.cli.open", "snapws.label_tables"}


@pytest.mark.parametrize(
    ("words", "own"),
    [
        (["layers", "list"], "snapws.cli.layers"),
        (["meshes", "list"], "snapws.cli.meshes"),
        (["info"], "snapws.cli.info"),
        (["check"], "snapws.cli.workspaces"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_a_command_imports_no_other_command(tmp_path, words, own):
    Workspace().save(tmp_path / "w.itksnap")
    command = [sys.executable, "-c", MODULES, *words, tmp_path / "w.itksnap"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    loaded = set(done.stderr.splitlines()[-1].split())
    assert own in loaded
    assert not loaded & OTHERS
    assert "concurrent.futures" not in loaded or "numpy" in loaded


def test_without_a_known_command_all_of_them_are_offered():
    done = subprocess.run(
        [sys.executable, "-c", MODULES, "-q", "layers", "--help"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Usage: snapws layers" in done.stdout
    done = subprocess.run(
        [sys.executable, "-c", MODULES, "layer"], capture_output=True, text=True, check=False
    )
    assert "No such command 'layer'" in done.stderr

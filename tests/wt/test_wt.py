"""What the recordings do not show of the drop-in: options, refusals, other packages' commands."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from snapws import ComponentMode, Workspace
from snapws.wt import main
from snapws.wt.commands import COMMANDS
from tests.conformance import replay


@pytest.fixture
def inputs(tmp_path, monkeypatch) -> Path:
    """A folder with a fresh copy of the recorded inputs, and in it the current one."""
    replay.place_inputs(tmp_path / "inputs")
    monkeypatch.chdir(tmp_path / "inputs")
    return tmp_path / "inputs"


@pytest.fixture
def edited(inputs, capsys):
    """Run commands on layer 0 of the base workspace, and give the saved layer."""

    def edit(*words: str):
        assert main(["-i", "base.itksnap", "-lp", "0", *words, "-o", "out.itksnap"]) == 0
        return Workspace.open("out.itksnap").main

    return edit


def test_names_are_unique():
    names = [name for command in COMMANDS for name in command.names]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("words", "curve"),
    [
        (["LINEAR", "-5", "5"], ((-5, 0), (0, 0.5), (5, 1))),
        (["DEFAULT"], ((0, 0), (0.5, 0.5), (1, 1))),
        (["CURVE", "3", "0", "0", "10", "0.9", "20", "1"], ((0, 0), (10, 0.9), (20, 1))),
        (["AUTO"], ()),
    ],
)
def test_contrast(edited, words, curve):
    first = ["-props-set-contrast", "LINEAR", "1", "2"]
    assert edited(*first, "-props-set-contrast", *words).display.contrast == curve


@pytest.mark.parametrize(
    ("words", "mode", "component"),
    [
        (["comp", "2"], ComponentMode.COMPONENT, 2),
        (["avg"], ComponentMode.AVERAGE, 0),
        (["grid"], ComponentMode.GRID, 0),
    ],
)
def test_component_modes(edited, words, mode, component):
    display = edited("-props-set-mcd", *words).display
    assert (display.mode, display.component) == (mode, component)


def test_opacity_and_stickiness(edited):
    display = edited("-props-set-alpha", "0.5", "-props-set-sticky", "on").display
    assert (display.opacity, display.sticky) == (0.5, True)
    assert edited("-props-set-sticky", "off").display.sticky is False


def test_opacity_goes_to_1(edited, inputs, capsys):
    assert edited("-props-set-alpha", "35%").display.opacity == 0.35
    assert main(["-i", "base.itksnap", "-lp", "0", "-props-set-alpha", "90", "-o", "no.itksnap"])
    assert "give 90%, or 35% for 90 of 255" in capsys.readouterr().err
    assert not (inputs / "no.itksnap").exists()


def test_registry_of_the_picked_layer(edited, capsys):
    layer = edited("-prs", "My.Key", "value", "-prg", "My.Key", "-prd", "My", "my.txt")
    assert layer.registry["My.Key"] == "value"
    assert "4> value\n" in capsys.readouterr().out
    layer = edited("-prl", "Loaded", "my.txt", "-prl", "Whole", "gui.itksnap")
    assert layer.registry["Loaded.Key"] == "value"
    assert layer.registry["Whole.Version"] == "20190612"


def test_the_dump_without_prefix(inputs, capsys):
    assert main(["-P", "-i", "base.itksnap", "-dump"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("Layers:\n  Layer[000]:\n    LayerMetaData:\n")
    assert f"SaveLocation = {inputs.as_posix()}\n" in out


def test_a_prefix_is_for_the_next_command_alone(inputs, capsys):
    words = ["-p", "a ", "-prefix", "b ", "-registry-get", "Version", "-registry-get", "Version"]
    assert main(["-i", "base.itksnap", *words]) == 0
    assert capsys.readouterr().out == "b 20250909\n5> 20250909\n"


def test_remarks_are_printed_without_prefixes_too(inputs, capsys):
    assert main(["-P", "-i", "base.itksnap", "-lp", "M", "-pgf"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["INFO: picked layer Layers.Layer[000]", f"{inputs.as_posix()}/a.nii.gz"]


def test_labels_with_an_offset(inputs):
    words = ["-labels-set", "labels.txt", "-labels-add", "labels_more.txt", "-1"]
    assert main(["-i", "base.itksnap", *words, "-o", "out.itksnap"]) == 0
    found = [(label.index, label.name) for label in Workspace.open("out.itksnap").labels[:2]]
    assert found == [(1, "Left Hippocampus"), (2, "three")]


def test_an_archive_with_names(inputs):
    assert main(["-i", "base.itksnap", "-A", "ar"]) == 0
    assert (inputs / "ar" / "layer_001_b.nii.gz").exists()
    assert (inputs / "ar" / "workspace.itksnap").exists()


def test_an_image_is_copied_to_another_file(edited, inputs, capsys):
    layer = edited("-prf", "copy.nii")
    assert layer.path == inputs / "copy.nii"
    assert capsys.readouterr().err == ""
    from tests.snapws.images.test_images import content_hash

    assert content_hash(layer.path) == content_hash(inputs / "a.nii.gz")


@pytest.mark.parametrize(
    ("words", "command", "cause"),
    [
        (["-i"], "-i", "too few arguments"),
        (
            ["-i", "base.itksnap", "-lp", "0", "-prf", "a.nii.gz"],
            "-prf",
            "is the image of layer 000",
        ),
        (["-i", "base.itksnap", "-lp", "0", "-prf", "a.txt"], "-prf", "ends in .nii or .nii.gz"),
        (["-i", "base.itksnap", "-lp", "0", "-prf", "no/a.nii"], "-prf", "cannot write"),
        (["-i", "base.itksnap", "-lam", "tri.vtk", "x"], "-lam", "not a whole number"),
        (["-i", "base.itksnap", "-lp", "0", "-props-set-alpha", "x"], "-props-set-alpha", "number"),
        (
            ["-i", "base.itksnap", "-lp", "0", "-props-set-mcd", "x"],
            "-props-set-mcd",
            "is not one of",
        ),
        (
            ["-i", "base.itksnap", "-lp", "0", "-props-set-contrast", "x"],
            "-props-set-contrast",
            "is not one of",
        ),
        (
            ["-i", "base.itksnap", "-lp", "0", "-props-set-sticky", "x"],
            "-props-set-sticky",
            "is not one of on, off",
        ),
        (["-i", "base.itksnap", "-lp", "0", "-prd", "No", "x.txt"], "-prd", "no folder No"),
        (["-i", "base.itksnap", "-lp", "0", "-prl", "No", "x.txt"], "-prl", "cannot read x.txt"),
        (["-i", "base.itksnap", "-o", "no/x.itksnap"], "-o", "No such file"),
        (["-i", "base.itksnap", "-ta", "x"], "-ta", "no layer is picked"),
        (["-i", "base.itksnap", "-lp", "0", "-pst", "words.mat"], "-pst", "not a number"),
        (["-registry-set", "a", "b\x1b"], "-registry-set", "the value of 'a' holds"),
        (["-nonsense"], "-nonsense", "unknown command"),
    ],
)
def test_refusals(inputs, capsys, words, command, cause):
    assert main(words) == 255
    err = capsys.readouterr().err
    assert err.startswith(f"snapws-wt: error for command {command} : ")
    assert cause in err
    assert len(err.splitlines()) == 1


def test_help_lists_every_command_by_group(capsys):
    assert main(["-h"]) == 0
    out = capsys.readouterr().out
    for command in COMMANDS:
        assert f"  {' '.join((*command.names, command.parameters)).rstrip()}" in out
        assert command.help
    assert out.count("\nLayers:\n") == 1


def test_a_closed_pipe_ends_it_quietly(inputs):
    line = f'"{replay.SCRIPT}" -h | true; echo "${{PIPESTATUS[0]}}"'
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=300)
    assert done.stderr == ""
    assert done.stdout.strip() in ("0", "1")


def test_output_is_utf8_in_any_terminal(inputs):
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0"}
    words = [replay.SCRIPT, "-i", "base.itksnap", "-lp", "M", "-psn", "Naïve – €", "-ll"]
    done = subprocess.run(words, env=environment, capture_output=True, timeout=300)
    assert "Naïve – €" in done.stdout.decode("utf-8")


def test_other_packages_add_commands_by_entry_point(inputs, tmp_path):
    """A toy package, as pip would have installed it, adds one command."""
    site = tmp_path / "site"
    (site / "toy-1.0.dist-info").mkdir(parents=True)
    (site / "toy-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: toy\n")
    (site / "toy-1.0.dist-info" / "entry_points.txt").write_text(
        "[snapws.wt_commands]\ntoy = toy:COMMANDS\n"
    )
    (site / "toy.py").write_text(
        "from snapws.wt.run import Command\n"
        "def count(run, what):\n"
        "    run.print(f'{len(run.workspace.layers())} {what}')\n"
        "COMMANDS = [Command(('-toy-count',), 'Toys', '<what>', 'Count layers.', count)]\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(site)}
    words = [replay.SCRIPT, "-i", "base.itksnap", "-toy-count", "layers", "-h"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0
    assert done.stdout.startswith("2> 4 layers\n")
    assert "\nToys:\n  -toy-count <what>\n        Count layers.\n" in done.stdout

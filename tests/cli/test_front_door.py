"""The console script: start-up, streams, signals, completion."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from importlib.metadata import version
from pathlib import Path

import pytest

from snapws import Workspace
from tests import warm
from tests.interrupts import interrupt

SCRIPT = Path(sysconfig.get_path("scripts")) / "snapws"


def run(
    *words: str, encoding: str = "utf-8", **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SCRIPT, *words],
        capture_output=True,
        encoding=encoding,
        timeout=300,
        env={**os.environ, **environment},
    )


def loaded_by(*words: str) -> set[str]:
    code = (
        f"import sys; sys.argv = ['snapws', *{words!r}]\n"
        "from snapws.cli import main\n"
        "code = main()\n"
        "print(code, *{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-X", "utf8", "-c", code],
        capture_output=True,
        encoding="utf-8",
        check=True,
        timeout=300,
    )
    code, *names = done.stdout.splitlines()[-1].split()
    assert code == "0"
    return set(names)


def test_the_drop_in_does_not_load_the_command_line_library(study):
    loaded = loaded_by("wt", "-P", "-i", "study.itksnap", "-ll")
    assert "snapws" in loaded
    assert not loaded & {"typer", "rich", "numpy", "nibabel", "requests"}


@pytest.mark.parametrize(
    "line",
    [
        "layers list study.itksnap",
        "layers files study.itksnap --tag Target",
        "layers pick study.itksnap M",
        "meshes list mesh.itksnap",
        "labels list study.itksnap",
        "timepoints list cardiac.itksnap",
        "annotations list cardiac.itksnap",
        "registry dump study.itksnap",
        "tags add study.itksnap M New",
        "--help",
    ],
)
def test_what_reads_no_image_loads_no_array_library(study, line):
    loaded = loaded_by(*line.split())
    assert "typer" in loaded
    assert not loaded & {"rich", "numpy", "nibabel", "requests", "SimpleITK"}


def test_results_and_remarks_have_a_stream_each(study):
    done = run("layers", "add", "study.itksnap", "t2.nii.gz", "--tag", "New")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "snapws: saved study.itksnap in place\n"
    done = run("layers", "list", "study.itksnap", "--tag", "New", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert [record["number"] for record in json.loads(done.stdout)] == [3]


def test_exit_codes_of_the_script(study):
    assert run("layers", "list", "none.itksnap").returncode == 1
    assert run("layers", "list").returncode == 2
    assert run("wt", "-i", "none.itksnap").returncode == 255
    done = run("--version")
    assert (done.returncode, done.stdout) == (0, f"snapws {version('snapws')}\n")


def test_the_drop_in_takes_everything_as_it_is(study):
    done = run("wt", "-P", "-i", "study.itksnap", "-lpt", "Source", "-pgf", "-h")
    lines = done.stdout.splitlines()
    assert lines[1] == (study / "flair.nii.gz").as_posix()
    assert "snapws-wt COMMAND" in lines[2]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such pipes")
@pytest.mark.parametrize(
    "line", ["registry dump study.itksnap", "wt -P -i study.itksnap -dump", "wt -h"]
)
def test_a_closed_pipe_is_quiet(study, line):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as closed:
        done = subprocess.run(
            [SCRIPT, *line.split()], stdout=closed, stderr=subprocess.PIPE, timeout=300
        )
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such shell")
@pytest.mark.parametrize(
    "line", ["info study.itksnap", "layers list study.itksnap --json", "wt -P -i study.itksnap -ll"]
)
def test_no_output_at_all_is_no_obstacle(study, line):
    words = ["sh", "-c", f"{SCRIPT} {line} >&-"]
    done = subprocess.run(words, stderr=subprocess.PIPE, timeout=300)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signal")
@pytest.mark.parametrize(
    "line", ["layers list long.itksnap", "wt -i long.itksnap -ll"], ids=["snapws", "wt"]
)
def test_an_interrupt_is_quiet(study, line):
    workspace = Workspace.open("study.itksnap")
    overlay = workspace.add_overlay("t2.nii.gz", nickname="N" * 1000)
    for number in range(overlay.number, 2000):  # far more than a pipe holds
        workspace.registry.make_folder(f"Layers.Layer[{number:03d}]").update(overlay.registry)
    workspace.save("long.itksnap")
    words = [SCRIPT, *line.split()]
    child = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdout
    assert child.stdout.read(1)  # so it has begun to print, and nobody reads the rest
    _, errors = interrupt(child)
    assert (child.returncode, errors) == (130, b"")


def test_a_name_that_the_encoding_lacks_is_no_reason_to_stop(study):
    workspace = Workspace.open("study.itksnap")
    workspace.main.nickname = "Łódź"
    workspace.save()
    done = run("layers", "list", "study.itksnap", encoding="cp1252", PYTHONIOENCODING="cp1252")
    assert done.returncode == 0
    assert "\\u0141" in done.stdout


def complete(line: str) -> list[str]:
    words = line.split()
    position = len(words) - (not line.endswith(" "))
    asked = {"_SNAPWS_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(position)}
    done = warm.run("snapws", environment={**os.environ, **asked})
    assert done.stderr == ""
    return done.stdout.split("\n")[:-1]


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("snapws lay", ["layers"]),
        ("snapws layers pick study.itksnap tag:S", ["tag:Source"]),
        (
            "snapws layers pick study.itksnap nick",
            [f"nickname:{n}" for n in ("T1", "FLAIR", "Draft")],
        ),
        ("snapws transform get mesh.itksnap mesh", ["mesh:0"]),
        ("snapws tags move study.itksnap O:0 ", ["Draft", "Source", "Target"]),
        ("snapws layers files study.itksnap --tag T", ["Target"]),
        ("snapws layers list study.itksnap --role o", ["overlay"]),
        ("snapws layers pick missing.itksnap t", []),
        ("snapws layers pick badxml.itksnap t", []),
    ],
)
def test_completion(study, line, offered):
    assert [word for word in complete(line) if word] == offered

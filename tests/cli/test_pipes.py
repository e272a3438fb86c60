"""A pipe or a device in the place of a file is refused in a line, and nobody waits for it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import nibabel
import numpy as np
import pytest

from snapws import Workspace
from tests import warm

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no such pipes")


def run(line: str) -> subprocess.CompletedProcess[str]:
    """Run a command line, which has to end by itself."""
    return warm.run("snapws", *line.split(), timeout=120)


@pytest.mark.parametrize("what", ["pipe", "/dev/zero"])
@pytest.mark.parametrize(
    "line",
    [
        pytest.param("layers list {}", id="workspace"),
        pytest.param("labels set study.itksnap {}", id="labels"),
        pytest.param("transform set study.itksnap O:0 {}", id="transform"),
        pytest.param("registry load study.itksnap Odd {}", id="registry"),
        pytest.param("layers set-main study.itksnap {}", id="image"),
        pytest.param("wt -i {} -ll", id="wt"),
        pytest.param("verify archive --against {}", id="verify"),
    ],
)
def test_where_a_file_is_named(study, line, what):
    os.mkfifo("pipe")
    done = run(line.format(what))
    assert done.returncode not in (0, 130)
    assert "pipe or a device" in done.stderr or "is not a file" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("name", ["pipe.nii.gz", "pair of.hdr", "pair of.img", "pipe.vtk"])
@pytest.mark.parametrize(
    ("line", "code"),
    [
        pytest.param("check study.itksnap", 1, id="check"),
        pytest.param("info study.itksnap", 0, id="info"),
        pytest.param("report study.itksnap -o page.html", 0, id="report"),
        pytest.param("archive study.itksnap out", 1, id="archive"),
        pytest.param("compare study.itksnap before.itksnap", 1, id="compare"),
        pytest.param("verify archive --against study.itksnap", 1, id="verify"),
    ],
)
def test_where_a_workspace_names_one(study, name, line, code):
    opened = Workspace.open("study.itksnap")
    opened.save("before.itksnap")
    named = name
    if name.startswith("pair"):
        # The workspace names one file of a pair, and the other one is the pipe.
        nibabel.save(nibabel.Nifti1Pair(np.zeros((2, 2, 2), np.uint8), np.eye(4)), name)
        named = {"pair of.hdr": "pair of.img", "pair of.img": "pair of.hdr"}[name]
        Path(name).unlink()
    os.mkfifo(name)
    add = opened.add_mesh if name.endswith(".vtk") else opened.add_overlay
    add(Path(named).absolute())
    opened.save("study.itksnap")
    done = run(line)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr


def test_a_pipe_in_an_archive_is_told_by_verify(study):
    layer = next(Path("archive").glob("layer_001_*"))
    layer.unlink()
    os.mkfifo(layer)
    done = run("verify archive")
    assert (done.returncode, done.stderr) == (1, "")
    assert f"layer 001: its file {layer.absolute()} is not a file\n" in done.stdout

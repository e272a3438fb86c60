from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from snapws import Workspace
from snapws.hdf5 import process
from tests import warm
from tests.conformance import replay


@pytest.fixture
def inputs(tmp_path) -> Path:
    """A folder with a fresh copy of the recorded inputs."""
    replay.place_inputs(tmp_path / "inputs")
    return tmp_path / "inputs"


@pytest.fixture
def base(inputs) -> Workspace:
    """A workspace with a main image, two overlays and a segmentation."""
    return Workspace.open(inputs / "base.itksnap")


@pytest.fixture
def forks_read_hdf5(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that reads HDF5 is a fork of one that has loaded SimpleITK, which takes long."""

    def forked(line: list[str], *, timeout: float, check: bool, **streams: Any) -> None:
        with warm.Process(line, loaded="hdf5", **streams) as child:
            try:
                if child.wait(timeout) and check:
                    raise subprocess.CalledProcessError(child.returncode, line)
            except BaseException:
                child.kill()
                raise

    monkeypatch.setattr(process, "run", forked)

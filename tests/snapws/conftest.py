from __future__ import annotations

from pathlib import Path

import pytest

from snapws import Workspace
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

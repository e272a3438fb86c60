"""The paths that the pages and entry points of the project name go on working."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import distribution

import numpy as np
import pytest

import snapws
from snapws import Workspace
from tests.snapws.images.test_images import write_nifti

PROMISED = {
    "snapws.archive.archive": "snapws.write_archive",
    "snapws.relocation.relocate": "snapws.relocate_files",
    "snapws.images.read_header": "snapws.images.reading.read_header",
    "snapws.wt.run.Command": "snapws.wt.run.Command",
}


def named(path: str) -> object:
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)


@pytest.mark.parametrize("path", PROMISED)
def test_a_promised_path_still_leads_to_the_same_object(path):
    assert callable(named(path))
    assert named(path) is named(PROMISED[path])


@pytest.mark.parametrize("program", ["snapws", "snapws-wt"])
def test_an_entry_point_of_a_program_is_loaded(program):
    (point,) = distribution("snapws").entry_points.select(group="console_scripts", name=program)
    assert point.value == {"snapws": "snapws.cli:main", "snapws-wt": "snapws.wt:main"}[program]
    assert callable(point.load())


def test_a_new_workspace_has_its_main_image(tmp_path):
    image = write_nifti(tmp_path / "t1.nii", np.zeros((2, 3, 4), "<i2"))
    Workspace.new(image).save(tmp_path / "a.itksnap")
    assert Workspace.open(tmp_path / "a.itksnap").main.path == image


def test_a_new_workspace_needs_an_image(tmp_path):
    with pytest.raises(snapws.WorkspaceError, match="absent"):
        Workspace.new(tmp_path / "absent.nii")

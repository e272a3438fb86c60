"""Every recorded image, archived through the real console script.

The name (its hash), the size, the voxels and the geometry that ITK sees are those of the
reference's archive, or the row is one of the deviations.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from snapws import Workspace
from tests.conformance import replay

sitk = pytest.importorskip("SimpleITK", reason="needs the extra 'formats'")

ROWS = json.loads((replay.RECORDINGS / "archive_images.json").read_text(encoding="utf-8"))

REFUSED_HERE = {"truncated.nii.gz": "1295 of 1920 bytes of voxels missing"}
READ_HERE_ALONE = {"fmt.mgz", "nifti2.nii.gz"}


def affine_of(path: Path) -> np.ndarray:
    """Return the affine (RAS mm) that ITK makes of an image's header."""
    image = sitk.ReadImage(path)
    axes = image.GetDimension()
    spatial = min(axes, 3)
    affine = np.eye(4)
    direction = np.reshape(image.GetDirection(), (axes, axes))[:spatial, :spatial]
    affine[:spatial, :spatial] = direction * image.GetSpacing()[:spatial]
    affine[:spatial, 3] = image.GetOrigin()[:spatial]
    affine[:2] *= -1
    return affine


@pytest.mark.parametrize("name", ROWS)
def test_archived_image(name, tmp_path, count):
    row = ROWS[name]
    count("archive_images.json", "recorded")
    words = {"argv": ["-lsm", name, "-a", "ar/x.itksnap"]}
    result = replay.run(words, tmp_path / "run")
    if name in REFUSED_HERE:
        assert result.rc == 255
        assert REFUSED_HERE[name] in result.stderr
        assert result.files == {}
        count("archive_images.json", "deviating")
        return
    if name in READ_HERE_ALONE:
        assert result.rc == 0
        assert len(result.files) == 2
        count("archive_images.json", "deviating")
        return
    if "layer" not in row:
        assert result.rc == 255
        assert result.files == {}
        count("archive_images.json", "equal")
        return
    assert result.rc == 0
    assert set(result.files) == {f"ar/{row['layer']}", "ar/x.itksnap"}
    layer = Workspace.open(result.folder / "ar" / "x.itksnap").layer("M")
    assert layer.registry["ProjectMetaData.Files.Grey.Dimensions"] == row["dimensions"]
    assert np.allclose(affine_of(layer.path), row["affine"], atol=1e-5)
    count("archive_images.json", "equal")

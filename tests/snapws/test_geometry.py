"""Geometry: where ITK, recorded, takes the voxels of an image to lie."""

from __future__ import annotations

import json

import numpy as np
import pytest

from snapws import geometry, images
from tests.conformance.replay import RECORDINGS

RECORDED = {
    name: row["affine"]
    for name, row in json.loads((RECORDINGS / "archive_images.json").read_text()).items()
    # The reference drops the third axis of a flat image, and with it where it lies.
    if "affine" in row and name != "flat2d.nii.gz"
}


@pytest.mark.parametrize("name", RECORDED)
def test_affines_are_those_of_the_reference(inputs, name):
    affine = geometry.affine(images.read_header(inputs / name))
    assert np.allclose(affine, RECORDED[name], rtol=0, atol=1e-4)


def test_spacing_and_orientation(inputs):
    affine = geometry.affine(images.read_header(inputs / "a.nii.gz"))
    assert geometry.voxel_sizes(affine) == (0.9, 0.95, 1.4)
    assert geometry.orientation(affine) == "LPS"
    turned = np.array([[0, 0, 2, 5], [-1, 0, 0, 5], [0, 3, 0, 5], [0, 0, 0, 1.0]])
    assert geometry.voxel_sizes(turned) == (1, 3, 2)
    assert geometry.orientation(turned) == "PSR"
    assert geometry.orientation(np.diag([1.0, 1, 0, 1])) == "RA?"


def test_the_distance_is_that_of_the_farthest_corner(inputs):
    header = images.read_header(inputs / "a.nii.gz")  # 12 x 10 x 8
    affine = np.eye(4)
    moved = affine.copy()
    moved[:3, 3] = (3, 4, 0)
    assert geometry.max_corner_shift(header, affine, moved) == 5
    assert geometry.max_corner_shift(header, affine, np.diag([2.0, 1, 1, 1])) == 11
    assert geometry.max_corner_shift(header, affine, affine) == 0

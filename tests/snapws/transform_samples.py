"""Two images on different grids, and a transform between them, as tests of transforms need."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np

from snapws import Workspace
from snapws.layers import Layer

#: From the reference to the moving image, RAS mm: turned, scaled, sheared and moved.
RAS = np.array(
    [
        [0.98, -0.17, 0.06, 3.25],
        [0.19, 1.03, -0.11, -6.5],
        [-0.05, 0.12, 0.94, 2.125],
        [0, 0, 0, 1],
    ]
)


def turned(angle: float, axis: int = 2) -> np.ndarray:
    """Return a 3x3 rotation about an axis."""
    i, j = [n for n in range(3) if n != axis]
    matrix = np.eye(3)
    matrix[i, i] = matrix[j, j] = np.cos(angle)
    matrix[i, j], matrix[j, i] = -np.sin(angle), np.sin(angle)
    return matrix


def affine(sizes, origin, *, flips=(1, 1, 1), angle=0.0) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = turned(angle) @ np.diag(np.multiply(sizes, flips))
    matrix[:3, 3] = origin
    return matrix


def image(path: Path, shape, where: np.ndarray) -> nib.Nifti1Image:
    """Write an image whose forms agree, and return it as it is read."""
    made = nib.Nifti1Image(np.zeros(shape, np.float32), where)
    made.set_qform(where, 1)
    made.set_sform(made.get_qform(), 1)
    nib.save(made, path)
    return nib.load(path)


def study(folder: Path, *, moving_flips=(-1, 1, 1), reference_flips=(1, 1, 1)) -> Layer:
    """Make a workspace of a reference and a moving image; return the layer of the latter."""
    reference = affine((1.5, 2, 2.5), (-30, -42, -20), flips=reference_flips, angle=0.125)
    moving = affine((2, 1.25, 3), (25, -22, -18), flips=moving_flips, angle=-0.25)
    image(folder / "reference.nii.gz", (40, 44, 20), reference)
    image(folder / "moving.nii.gz", (32, 36, 16), moving)
    workspace = Workspace()
    workspace.set_main(folder / "reference.nii.gz")
    return workspace.add_overlay(folder / "moving.nii.gz")


def corners(layer: Layer) -> np.ndarray:
    """Return the corners of the main image, RAS mm, 8 rows of x, y, z, 1."""
    from snapws import geometry, images

    header = images.read_header(layer.workspace.main.path)
    ends = np.array([[*corner, 1] for corner in np.ndindex(2, 2, 2)])
    return ends * [*np.array(header.spatial_shape) - 1, 1] @ geometry.affine(header).T


def apart(layer: Layer, expected: np.ndarray) -> float:
    """Return by how many mm a layer's transform differs from another at a corner, at most."""
    difference = corners(layer) @ (layer.transform - expected).T
    return float(np.linalg.norm(difference, axis=1).max())

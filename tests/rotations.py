"""Rotations of test images."""

from __future__ import annotations

import numpy as np


def turned(*degrees: float) -> np.ndarray:
    """Return a rotation (3, 3) about x, y and z, one after the other."""
    rotation = np.eye(3)
    for axis, angle in enumerate(np.deg2rad(degrees)):
        one, other = [(1, 2), (2, 0), (0, 1)][axis]
        step = np.eye(3)
        step[[one, other], [one, other]] = np.cos(angle)
        step[one, other], step[other, one] = -np.sin(angle), np.sin(angle)
        rotation = step @ rotation
    return rotation

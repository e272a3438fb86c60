"""The three views of a workspace: the main image's voxel grid, cut along its axes.

Views are shown as ITK-SNAP shows them, by radiological convention: in axial and coronal views the
patient's right is on the left of the screen, in sagittal ones anterior is; the nose or the top of
the head are up. An image that lies obliquely is cut along its own axes, not along the patient's.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from nibabel.orientations import io_orientation

if TYPE_CHECKING:
    import numpy.typing as npt

# Where the horizontal axis of the screen, its vertical one and the view's own run to, in RAS.
_TO_LEFT, _TO_POSTERIOR, _TO_INFERIOR = (0, -1), (1, -1), (2, -1)

_LETTERS = ("LR", "PA", "IS")
# An axis this far (as a cosine) towards a second direction of the patient is named by both.
_OBLIQUE = np.sin(np.deg2rad(15))


class View(str, Enum):
    """One of the three orthogonal views, named by the plane that it shows."""

    AXIAL = "axial"  #: seen from the feet: right on the left, anterior on top
    SAGITTAL = "sagittal"  #: seen from the left: anterior on the left, superior on top
    CORONAL = "coronal"  #: seen from the front: right on the left, superior on top


_SCREEN = {
    View.AXIAL: (_TO_LEFT, _TO_POSTERIOR),
    View.SAGITTAL: (_TO_POSTERIOR, _TO_INFERIOR),
    View.CORONAL: (_TO_LEFT, _TO_INFERIOR),
}


class Plane(NamedTuple):
    """A raster of points in a voxel grid: the centres of a picture's pixels.

    Attributes:
        origin: Voxel coordinates (3) of the pixel in the upper left corner.
        across: What is added to them from one pixel to the next on its right.
        down: What is added to them from one pixel to the next below.
        width: Pixels of a row.
        height: Pixels of a column.
    """

    origin: npt.NDArray[np.float64]
    across: npt.NDArray[np.float64]
    down: npt.NDArray[np.float64]
    width: int
    height: int

    def mapped(self, matrix: npt.NDArray[np.float64]) -> Plane:
        """Return the same points in the coordinates to which a 4x4 matrix leads."""
        return self._replace(
            origin=matrix[:3, :3] @ self.origin + matrix[:3, 3],
            across=matrix[:3, :3] @ self.across,
            down=matrix[:3, :3] @ self.down,
        )


class Grid:
    """The voxel grid of an image, and how the views lie in it.

    Args:
        affine: The 4x4 matrix from voxel indices to RAS mm.
        shape: Its size in voxels along the three axes.
    """

    def __init__(self, affine: npt.NDArray[np.float64], shape: tuple[int, int, int]) -> None:
        self.affine = affine
        self.shape = shape
        self._spacing = np.linalg.norm(affine[:3, :3], axis=0)
        # For each voxel axis, the patient's axis that it is nearest to, and whether it runs along.
        towards = io_orientation(affine)
        self._axes = {
            int(patient): (axis, int(sense))
            for axis, (patient, sense) in enumerate(towards)
            if np.isfinite(patient)
        }
        for patient in range(3):  # an axis along which nothing lies takes what is left
            if patient not in self._axes:
                left = {0, 1, 2} - {axis for axis, _ in self._axes.values()}
                self._axes[patient] = (min(left), 1)

    def axis(self, view: View) -> int:
        """Return the voxel axis that a view looks along: 0, 1 or 2."""
        across, down = self._screen(view)
        return 3 - across[0] - down[0]

    def length(self, view: View) -> int:
        """Return the number of slices of a view."""
        return self.shape[self.axis(view)]

    def millimetres(self, view: View) -> tuple[float, float]:
        """Return the width and height of a view in mm."""
        (across, _), (down, _) = self._screen(view)
        return (
            float(self.shape[across] * self._spacing[across]),
            float(self.shape[down] * self._spacing[down]),
        )

    def letters(self, view: View) -> tuple[str, str, str, str]:
        """Return where the left, right, upper and lower edge of a view look to.

        Each is R, L, A, P, S or I; of an oblique axis also the next nearest, as in ``RA``.
        """
        (across, right), (down, below) = self._screen(view)
        along, upright = self.affine[:3, across] * right, self.affine[:3, down] * below
        return (_letters(-along), _letters(along), _letters(-upright), _letters(upright))

    def plane(self, view: View, index: int, pixel: float) -> Plane:
        """Return the raster of a slice.

        Args:
            view: Which view.
            index: Which of its slices, from 0, by the voxel axis.
            pixel: The size of a pixel in mm.
        """
        (across, right), (down, below) = self._screen(view)
        origin = np.zeros(3)
        origin[self.axis(view)] = index
        steps, counts = [], []
        for axis, sense in ((across, right), (down, below)):
            count = max(1, round(self.shape[axis] * self._spacing[axis] / pixel))
            step = np.zeros(3)
            step[axis] = sense * self.shape[axis] / count
            # The picture's edges are those of the outermost voxels, half a voxel outside them.
            edge = -0.5 if sense > 0 else self.shape[axis] - 0.5
            origin[axis] = edge + step[axis] / 2
            steps.append(step)
            counts.append(count)
        return Plane(origin, steps[0], steps[1], counts[0], counts[1])

    def straightened(self) -> npt.NDArray[np.float64]:
        """Return the affine of the same grid, turned until its axes run along the patient's.

        Each axis runs along the one that it is nearest to; the image's centre keeps its place. An
        image that does not lie obliquely has its own affine.
        """
        matrix = np.eye(4)
        matrix[:3, :3] = 0
        for patient, (axis, sense) in self._axes.items():
            matrix[patient, axis] = sense * self._spacing[axis]
        center = (np.array(self.shape) - 1) / 2
        matrix[:3, 3] = self.affine[:3, 3] + (self.affine[:3, :3] - matrix[:3, :3]) @ center
        return matrix

    def _screen(self, view: View) -> tuple[tuple[int, int], tuple[int, int]]:
        """Return the voxel axis that runs across the screen, and the one that runs down it.

        Each comes with 1 if it runs to the right or down, with -1 if it runs against it.
        """
        found = []
        for patient, sense in _SCREEN[view]:
            axis, along = self._axes[patient]
            found.append((axis, along * sense))
        return found[0], found[1]


def round_length(longest: float) -> float:
    """Return the longest round length (1, 2, 5 times a power of ten) that is not above another."""
    power = 10.0 ** np.floor(np.log10(longest))
    return float(power * max(step for step in (1, 2, 5) if step * power <= longest))


def _letters(direction: npt.NDArray[np.float64]) -> str:
    length = float(np.linalg.norm(direction))
    if not length:
        return "?"
    cosines = direction / length
    order = np.argsort(-np.abs(cosines), kind="stable")
    named = [a for i, a in enumerate(order[:2]) if i == 0 or abs(cosines[a]) > _OBLIQUE]
    return "".join(_LETTERS[axis][int(cosines[axis] > 0)] for axis in named)

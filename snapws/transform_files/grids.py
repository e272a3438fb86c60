"""The grids of images, which transform files of FSL and FreeSurfer depend on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from snapws import geometry, images
from snapws.errors import ImageDamaged

if TYPE_CHECKING:
    import numpy.typing as npt
    from nibabel.nifti1 import Nifti1Header

    Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Grid:
    """The size and affine of an image.

    Attributes:
        path: The file.
        shape: Voxels along x, y, z.
        sizes: Sizes of a voxel along x, y, z, in mm.
        affine: 4x4, from voxel indices to RAS mm, as ITK-SNAP reads it.
        is_mirrored: Whether FSL counts x from the other end, as in an image that is not
            radiological.
    """

    path: Path
    shape: tuple[int, int, int]
    sizes: tuple[float, float, float]
    affine: Array
    is_mirrored: bool

    @property
    def center(self) -> Array:
        """The middle of the image in RAS mm."""
        middle = (np.array(self.shape) - 1) / 2
        return np.asarray(self.affine[:3, :3] @ middle + self.affine[:3, 3])

    @property
    def extent(self) -> float:
        """The longest side of the image in mm."""
        return max(n * size for n, size in zip(self.shape, self.sizes, strict=True))

    def distance(self, point: Array) -> float:
        """Return the distance of a point (RAS mm) from the image in mm; 0 inside."""
        voxel = np.linalg.solve(self.affine[:3, :3], point - self.affine[:3, 3])
        inside = np.clip(voxel, -0.5, np.array(self.shape) - 0.5)
        return float(np.linalg.norm(self.affine[:3, :3] @ (voxel - inside)))


def read(path: str | Path) -> Grid:
    """Read the grid of an image from its header.

    Raises:
        ImageError: The header cannot be read, or the voxels have no size along an axis.
    """
    header = images.read_header(Path(path))
    affine = geometry.affine(header)
    sizes = geometry.voxel_sizes(affine)
    if min(sizes) <= 0 or abs(np.linalg.det(affine[:3, :3])) < 1e-9 * np.prod(sizes):
        raise ImageDamaged(f"{path}: the header is corrupt: its voxels have no size along an axis")
    return Grid(Path(path), header.spatial_shape, sizes, affine, _is_mirrored(header.nifti))


def _is_mirrored(nifti: Nifti1Header) -> bool:
    """Return whether the image is neurological for FSL: by the sform, else by the qform.

    Without either, it is radiological.
    """
    if int(nifti["sform_code"]) > 0:
        form = nifti.get_sform()
    elif int(nifti["qform_code"]) > 0:
        form = nifti.get_qform()
    else:
        return False
    return bool(np.linalg.det(form[:3, :3]) > 0)

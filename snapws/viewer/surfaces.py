"""Surfaces as NiiVue reads them: MZ3, a short header, triangles and points, all little-endian.

The format is described in the documentation of Surf Ice. NiiVue has no reader that takes the points
of all mesh formats of workspaces, and none that moves them.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from snapws.mesh_formats.surfaces import Surface

_MAGIC, _HAS_TRIANGLES, _HAS_POINTS = 0x5A4D, 1, 2


def as_mz3(surface: Surface, matrix: npt.NDArray[np.float64]) -> bytes:
    """Return a surface as an MZ3 file.

    Args:
        surface: The surface.
        matrix: The 4x4 matrix from its mm to those of the file.
    """
    points, triangles = surface.points, surface.triangles
    moved = points @ matrix[:3, :3].T + matrix[:3, 3]
    header = struct.pack(
        "<HHIII", _MAGIC, _HAS_TRIANGLES | _HAS_POINTS, len(triangles), len(points), 0
    )
    return b"".join((header, triangles.astype("<i4").tobytes(), moved.astype("<f4").tobytes()))

"""Names of the files of an archive, which hold hashes of their content."""

from __future__ import annotations

import re

#: Name of a layer: its number, and the hash of its voxels (`snapws.images.voxel_hash.VoxelHash`).
LAYER_NAME = re.compile(r"layer_(?P<number>[0-9]{3,})_(?P<hash>[0-9a-f]{32})\.nii\.gz")

#: Name of a mesh: layer, time point, number, and the MD5 of the file.
MESH_NAME = re.compile(
    r"mesh_(?P<number>[0-9]{3,}_[0-9]{3,}_[0-9]{3,})_(?P<hash>[0-9a-f]{32})\.[^.]+"
)

#: Names of mesh arrays that VTK itself gives or looks for; archives keep no other names.
STANDARD_ARRAYS = frozenset(
    {
        "Normals",
        "TCoords",
        "vtkGhostLevels",
        "vtkGhostType",
        "vtkOriginalCellIds",
        "vtkOriginalPointIds",
    }
)

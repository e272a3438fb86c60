#!/usr/bin/env bash
# trimesh 5.2.0: a surface with values at its vertices, thickness for instance, in a file of their own, as FreeSurfer
# and GIFTI have it; two vertices are at one place (a cut), one belongs to no triangle.
#
# Expected: the vertices in number and order as given, since the values go by them.
# Seen: merged and removed as the mesh is made or loaded: four of six, and the values no longer fit. It is documented,
# and process=False keeps all; but whoever loads a mesh to look at it does not ask for it to be processed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/python -m pip install --quiet trimesh==5.2.0 numpy==2.2.6
cat > try.py <<'PY'
import numpy as np
import trimesh

vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [5, 5, 5], [1, 0, 0], [0, 0, 1]], float)
triangles = np.array([[0, 1, 2], [0, 4, 5]])
thickness = np.arange(6)
trimesh.Trimesh(vertices, triangles, process=False).export("surface.ply")
for name, mesh in (
    ("made", trimesh.Trimesh(vertices, triangles)),
    ("loaded", trimesh.load_mesh("surface.ply")),
    ("loaded as it is", trimesh.load_mesh("surface.ply", process=False)),
):
    print(name, "vertices:", len(mesh.vertices), "values:", len(thickness))
PY
venv/bin/python try.py | tee seen.txt
diff seen.txt - <<'SEEN'
made vertices: 4 values: 6
loaded vertices: 4 values: 6
loaded as it is vertices: 6 values: 6
SEEN

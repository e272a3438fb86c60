#!/usr/bin/env bash
# meshio 5.3.5 and a triangle in a legacy VTK file of POLYDATA, as surfaces of segmentations are kept by nearly every
# program of the field.
#
# Expected: read; or an exception that names the reason and that a program can catch as an error.
# Seen: meshio reads unstructured grids only, and says so by ending the interpreter: SystemExit, which no "except
# Exception" catches, so that a loop over files ends at the first surface. An unknown name ends in an ordinary error.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/python -m pip install --quiet meshio==5.3.5 numpy==2.2.6
cat > try.py <<'PY'
import contextlib
import io

import meshio

TRIANGLE = "POINTS 3 float\n0 0 0 1 0 0 0 1 0\n"
HEADER = "# vtk DataFile Version 3.0\nsurface\nASCII\nDATASET "
files = {
    "grid.vtk": HEADER + "UNSTRUCTURED_GRID\n" + TRIANGLE + "CELLS 1 4\n3 0 1 2\nCELL_TYPES 1\n5\n",
    "surface.vtk": HEADER + "POLYDATA\n" + TRIANGLE + "POLYGONS 1 4\n3 0 1 2\n",
    "surface.unknown": "",
}
for name, text in files.items():
    with open(name, "w") as file:
        file.write(text)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            points = meshio.read(name).points
        print(name, "points:", len(points))
    except BaseException as error:
        print(name, type(error).__name__, "an Exception:", isinstance(error, Exception))
PY
venv/bin/python try.py | tee seen.txt
diff seen.txt - <<'SEEN'
grid.vtk points: 3
surface.vtk SystemExit an Exception: False
surface.unknown ReadError an Exception: True
SEEN

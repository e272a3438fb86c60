#!/usr/bin/env bash
# SimpleITK 2.5.7 and an NRRD header without orientation, which places its samples by axis mins and axis maxs, and says
# by centerings whether they are the nodes or the centres of cells.
#
# Expected: four cells from 0 to 12 are 3 long, the first centre at 1.5; four nodes are 4 apart and begin at 0.
# Seen: what axis maxs says goes into the origin, 1.5, but not into the spacing, which is 1, so that the two do not
# belong together. Without centerings the samples count as cells. With spacings in place of axis maxs all is right.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/python -m pip install --quiet SimpleITK==2.5.7 pynrrd==1.1.3 numpy==2.2.6
cat > try.py <<'PY'
import nrrd
import numpy as np
import SimpleITK as sitk

voxels = np.zeros((4, 4, 4), np.uint8)
limits = {"axis mins": [0.0] * 3, "axis maxs": [12.0] * 3}
for name, header in (
    ("mins and spacings", {"axis mins": [10.0] * 3, "spacings": [2.0] * 3}),
    ("the same, node", {"axis mins": [10.0] * 3, "spacings": [2.0] * 3, "centerings": ["node"] * 3}),
    ("mins and maxs", limits),
    ("the same, cell", limits | {"centerings": ["cell"] * 3}),
    ("the same, node", limits | {"centerings": ["node"] * 3}),
):
    nrrd.write("scan.nrrd", voxels, header)
    image = sitk.ReadImage("scan.nrrd")
    print(f"{name}: origin {image.GetOrigin()[0]:g} spacing {image.GetSpacing()[0]:g}")
PY
venv/bin/python try.py | tee seen.txt
diff seen.txt - <<'SEEN'
mins and spacings: origin 11 spacing 2
the same, node: origin 10 spacing 2
mins and maxs: origin 1.5 spacing 1
the same, cell: origin 1.5 spacing 1
the same, node: origin 0 spacing 1
SEEN

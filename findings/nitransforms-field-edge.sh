#!/usr/bin/env bash
# nitransforms 25.1.0: a displacement field of nothing but zeros on a grid of 2 mm, and points between its samples.
#
# Expected: every point stays where it is, as a field of zeros interpolates to zeros by whatever order.
# Seen: half a voxel from the edge of the grid a point moves by 0.3 mm along the axis, 3.5 voxels in by 0.006: the field
# is kept as the places that it leads to, not as zeros, and their spline bends at the edge. On the samples all is right.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/python -m pip install --quiet nitransforms==25.1.0 nibabel==5.4.2 numpy==2.2.6 scipy==1.15.3 h5py==3.14.0
cat > try.py <<'PY'
import warnings

import nibabel as nib
import numpy as np
from nitransforms.nonlinear import load

warnings.simplefilter("ignore")
field = nib.Nifti1Image(np.zeros((20, 20, 20, 1, 3), np.float32), np.diag([2, 2, 2, 1]))
field.header.set_intent("vector")
nib.save(field, "zero.nii")
transform = load("zero.nii", fmt="itk")
for sample in (0, 0.5, 1, 1.5, 3.5, 9.5, 18.5, 19):
    point = np.array([[20, 20, 2 * sample]], float)
    print("sample", sample, f"moves by {np.abs(transform.map(point) - point).max():.4f} mm")
PY
venv/bin/python try.py | tee seen.txt
diff seen.txt - <<'SEEN'
sample 0 moves by 0.0000 mm
sample 0.5 moves by 0.3170 mm
sample 1 moves by 0.0000 mm
sample 1.5 moves by 0.0849 mm
sample 3.5 moves by 0.0061 mm
sample 9.5 moves by 0.0000 mm
sample 18.5 moves by 0.3170 mm
sample 19 moves by 0.0000 mm
SEEN

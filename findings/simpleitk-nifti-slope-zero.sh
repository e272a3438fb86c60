#!/usr/bin/env bash
# SimpleITK 2.5.7 and nibabel 5.4.2, and a NIfTI-1 header with scl_slope 0 and some scl_inter.
#
# Expected: a slope of 0 means that nothing is scaled, so that the intercept does not count: the stored values.
# Seen: nibabel has them; SimpleITK adds the intercept as if the slope were 1, and makes floating point numbers of them.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/python -m pip install --quiet nibabel==5.4.2 SimpleITK==2.5.7 numpy==2.2.6
cat > try.py <<'PY'
import struct

import nibabel as nib
import numpy as np
import SimpleITK as sitk

SLOPE = 112  # where the header holds the slope, and behind it the intercept
made = nib.Nifti1Image(np.full((3, 3, 3), 7, np.int16), np.eye(4)).to_bytes()
for slope, intercept in ((0, 0), (0, 10), (1, 10), (2, 10)):
    changed = bytearray(made)
    struct.pack_into("<ff", changed, SLOPE, slope, intercept)
    open("scan.nii", "wb").write(changed)
    image = sitk.ReadImage("scan.nii")
    print(
        f"slope {slope} intercept {intercept} stored 7, nibabel: {nib.load('scan.nii').get_fdata()[0, 0, 0]:g}",
        f"SimpleITK: {image[0, 0, 0]:g} {image.GetPixelIDTypeAsString()}",
    )
PY
venv/bin/python try.py | tee seen.txt
diff seen.txt - <<'SEEN'
slope 0 intercept 0 stored 7, nibabel: 7 SimpleITK: 7 16-bit signed integer
slope 0 intercept 10 stored 7, nibabel: 7 SimpleITK: 17 32-bit float
slope 1 intercept 10 stored 7, nibabel: 17 SimpleITK: 17 32-bit float
slope 2 intercept 10 stored 7, nibabel: 24 SimpleITK: 24 32-bit float
SEEN

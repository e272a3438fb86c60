#!/usr/bin/env bash
# SimpleITK 2.5.7 and complex voxels (k-space, SWI) written as MetaImage, NRRD and NIfTI.
#
# Expected: complex voxels back, or a refusal to write them.
# Seen: NRRD and NIfTI give complex voxels back. MetaImage writes without a word, and gives a vector image of two
# components back, on which every complex operation is refused.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/python -m pip install --quiet SimpleITK==2.5.7 numpy==2.2.6
cat > try.py <<'PY'
import numpy as np
import SimpleITK as sitk

image = sitk.GetImageFromArray(np.full((2, 3, 4), 1 + 2j, np.complex64))
for ending in ("nii", "nrrd", "mha"):
    sitk.WriteImage(image, f"kspace.{ending}")
    back = sitk.ReadImage(f"kspace.{ending}")
    print(ending, back.GetPixelIDTypeAsString(), back[0, 0, 0])
    try:
        sitk.ComplexToModulus(back)
    except RuntimeError as error:
        print("no modulus:", "is not supported" in str(error))
PY
venv/bin/python try.py | tee seen.txt
diff seen.txt - <<'SEEN'
nii complex of 32-bit float (1+2j)
nrrd complex of 32-bit float (1+2j)
mha vector of 32-bit float (1.0, 2.0)
no modulus: True
SEEN

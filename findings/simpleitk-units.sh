#!/usr/bin/env bash
# SimpleITK 2.5.7 and nibabel 5.4.2: voxels of half a millimetre, written in micrometres, which NIfTI (xyzt_units),
# NRRD (space units) and MetaImage (DistanceUnits) each can say.
#
# Expected: SimpleITK gives millimetres of all three, or of none; an affine of nibabel is in millimetres.
# Seen: SimpleITK converts NIfTI, spacing and origin, but neither NRRD nor MetaImage, where 500 is taken as it stands.
# nibabel converts nothing: the affine is a thousand times that of SimpleITK, and a mask of 1 mm3 has 1e9 by its
# mask_volume, which promises mm3.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/python -m pip install --quiet nibabel==5.4.2 pynrrd==1.1.3 SimpleITK==2.5.7 numpy==2.2.6
cat > try.py <<'PY'
import nibabel as nib
import nrrd
import numpy as np
import SimpleITK as sitk
from nibabel.imagestats import mask_volume

voxels = np.ones((2, 2, 2), np.uint8)
made = nib.Nifti1Image(voxels, np.diag([500, 500, 500, 1]))
made.header.set_xyzt_units("micron")
nib.save(made, "scan.nii")
orientation = {"space": "LPS", "space directions": np.eye(3) * 500, "space origin": [0, 0, 0]}
nrrd.write("scan.nrrd", voxels, orientation | {"space units": ["um"] * 3})
with open("scan.mha", "wb") as file:
    file.write(
        b"ObjectType = Image\nNDims = 3\nDimSize = 2 2 2\nElementSpacing = 500 500 500\nDistanceUnits = um\n"
        b"ElementType = MET_UCHAR\nElementDataFile = LOCAL\n" + voxels.tobytes()
    )

for name in ("scan.nii", "scan.nrrd", "scan.mha"):
    print(name, "SimpleITK:", sitk.ReadImage(name).GetSpacing())
loaded = nib.load("scan.nii")
print("nibabel:", nib.affines.voxel_sizes(loaded.affine).tolist(), loaded.header.get_xyzt_units()[0])
print("mask_volume:", f"{mask_volume(loaded):g}")
PY
venv/bin/python try.py | tee seen.txt
diff seen.txt - <<'SEEN'
scan.nii SimpleITK: (0.5, 0.5, 0.5)
scan.nrrd SimpleITK: (500.0, 500.0, 500.0)
scan.mha SimpleITK: (500.0, 500.0, 500.0)
nibabel: [500.0, 500.0, 500.0] micron
mask_volume: 1e+09
SEEN

#!/usr/bin/env bash
# nibabel 5.4.2: a time series of 2 s a volume, converted between FreeSurfer's MGH, which counts in milliseconds, and
# NIfTI, which names its unit.
#
# Expected: 2 s on both sides.
# Seen: from MGH the number goes over as it is, 2000, with the unit unknown, which programs take for seconds. From
# NIfTI, in seconds, the repetition time is dropped: the MGH file has 0. The voxel sizes are right.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/python -m pip install --quiet nibabel==5.4.2 numpy==2.2.6
cat > try.py <<'PY'
import nibabel as nib
import numpy as np

voxels = np.zeros((2, 3, 4, 5), np.float32)
freesurfer = nib.MGHImage(voxels, np.eye(4))
freesurfer.header.set_zooms((1, 1, 1, 2000))
nib.save(freesurfer, "a.mgz")
nib.save(nib.load("a.mgz"), "a.nii")
header = nib.load("a.nii").header
print("MGH 2000 ms, as NIfTI:", f"{header.get_zooms()[3]:g}", header.get_xyzt_units()[1])

nifti = nib.Nifti1Image(voxels, np.eye(4))
nifti.header.set_zooms((1, 1, 1, 2))
nifti.header.set_xyzt_units("mm", "sec")
nib.save(nifti, "b.nii")
nib.save(nib.load("b.nii"), "b.mgz")
print("NIfTI 2 s, as MGH:", f"{float(nib.load('b.mgz').header.get_zooms()[3]):g}")
PY
venv/bin/python try.py | tee seen.txt
diff seen.txt - <<'SEEN'
MGH 2000 ms, as NIfTI: 2000 unknown
NIfTI 2 s, as MGH: 0
SEEN

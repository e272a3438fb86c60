#!/usr/bin/env bash
# nibabel 5.4.2 and SimpleITK 2.5.7, and one NIfTI-1 header with neither a qform nor an sform: spacing alone, as
# converters of old data write it.
#
# Expected: one place; the standard has only the voxel sizes to offer, along axes that a reader is free to choose.
# Seen: front and back are swapped between the two: nibabel has the second axis run to the front, SimpleITK to the
# back, both have the first run to the left. The centre differs too: nibabel puts 0 into the middle of the image,
# SimpleITK into its first voxel. nibabel documents its choice; together they mirror an atlas.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/python -m pip install --quiet nibabel==5.4.2 SimpleITK==2.5.7 numpy==2.2.6
cat > try.py <<'PY'
import nibabel as nib
import numpy as np
import SimpleITK as sitk

made = nib.Nifti1Image(np.zeros((5, 7, 9), np.uint8), None)
made.header.set_zooms((1, 2, 3))
made.header["qform_code"] = made.header["sform_code"] = 0
nib.save(made, "scan.nii")

affine = nib.load("scan.nii").affine
print("nibabel axes:", *nib.aff2axcodes(affine), "first voxel, to the right, front and top:", *affine[:3, 3].tolist())
image = sitk.ReadImage("scan.nii")
axes = np.reshape(image.GetDirection(), (3, 3)) @ np.diag(image.GetSpacing())
axes[:2] *= -1
first = np.multiply(image.GetOrigin(), (-1, -1, 1)) + 0.0
placed = np.block([[axes, first[:, None]], [np.eye(4)[3:]]])
print("SimpleITK axes:", *nib.aff2axcodes(placed), "first voxel:", *first.tolist())
PY
venv/bin/python try.py | tee seen.txt
diff seen.txt - <<'SEEN'
nibabel axes: L A S first voxel, to the right, front and top: 2.0 -6.0 -12.0
SimpleITK axes: L P S first voxel: 0.0 0.0 0.0
SEEN

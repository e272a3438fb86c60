#!/usr/bin/env bash
# SimpleITK 2.5.7 and nibabel 5.4.2, and a NIfTI-1 header whose sform alone is set (a template after an affine
# registration), with columns 2 long, while pixdim still says 1.
#
# Expected: the sform, whose columns hold the spacing; the standard makes pixdim part of the qform only.
# Seen: nibabel takes it. SimpleITK takes only the directions from it, and the spacing from pixdim: the brain has an
# eighth of its volume, at the right first voxel, with a warning on the standard error stream.
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

made = nib.Nifti1Image(np.ones((5, 5, 5), np.uint8), np.diag([2, 2, 2, 1]))
made.header.set_qform(None, 0)
made.header["pixdim"][1:4] = 1
nib.save(made, "template.nii")

loaded = nib.load("template.nii")
print("codes:", int(loaded.header["qform_code"]), int(loaded.header["sform_code"]))
print("nibabel, millilitres:", f"{abs(np.linalg.det(loaded.affine[:3, :3])) * 125 / 1000:g}")
image = sitk.ReadImage("template.nii")
print("SimpleITK, spacing:", image.GetSpacing(), "millilitres:", f"{np.prod(image.GetSpacing()) * 125 / 1000:g}")
PY
venv/bin/python try.py | tee seen.txt
diff seen.txt - <<'SEEN'
codes: 0 2
nibabel, millilitres: 1
SimpleITK, spacing: (1.0, 1.0, 1.0) millilitres: 0.125
SEEN

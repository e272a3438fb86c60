#!/usr/bin/env bash
# nibabel 5.4.2: a segmentation made with the header of the scan that it belongs to, the common way to keep its place;
# the scan has 8 bit, the labels go to 2035, as FreeSurfer's do.
#
# Expected: an error that the labels do not fit, or a wider type; in no case other labels.
# Seen: they are scaled into 8 bit, with a slope in the header. 1001 comes back as 997.549, neighbours fall together,
# and to look for a label finds nothing. No warning. The manual tells of scaling, and has intensities in mind.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/python -m pip install --quiet nibabel==5.4.2 numpy==2.2.6
cat > try.py <<'PY'
import nibabel as nib
import numpy as np

scan = nib.Nifti1Image(np.zeros((2, 2, 2), np.uint8), np.eye(4))
labels = np.array([0, 1001, 1002, 1003, 2033, 2034, 2035, 0], np.int32).reshape(2, 2, 2)
nib.save(nib.Nifti1Image(labels, scan.affine, scan.header), "seg.nii")

back = nib.load("seg.nii")
print("type:", back.get_data_dtype(), f"slope: {back.dataobj.slope:.6f}")
print("written:", *np.unique(labels).tolist())
print("read:", *(f"{value:.4f}" for value in np.unique(np.asarray(back.dataobj))))
PY
venv/bin/python try.py | tee seen.txt
diff seen.txt - <<'SEEN'
type: uint8 slope: 7.980392
written: 0 1001 1002 1003 2033 2034 2035
read: 0.0000 997.5490 1005.5294 2035.0000
SEEN

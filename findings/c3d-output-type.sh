#!/usr/bin/env bash
# picsl-c3d 1.4.6.0 on x86-64: a label image of 32 bit copied from one file to another; and numbers written in 8 bit.
#
# Expected: a copy of the type of what was read, each label itself; in 8 bit the nearest number that fits, or an error.
# Seen: without -type all is written as 32-bit float, and labels above 16,777,216 become others. With -type uchar
# numbers are rounded and then wrap around: 300 is 44, with no warning; -clip has to be asked for first.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/python -m pip install --quiet picsl-c3d==1.4.6.0 nibabel==5.4.2 numpy==2.2.6
cat > try.py <<'PY'
import nibabel as nib
import numpy as np
from picsl_c3d import Convert3D


def by_c3d(values, options):
    image = nib.Nifti1Image(np.array(values).reshape(-1, 1, 1).repeat(3, 1).repeat(3, 2), np.eye(4))
    nib.save(image, "in.nii")
    Convert3D().execute(f"in.nii {options} -o out.nii")
    out = nib.load("out.nii")
    return out.get_data_dtype(), np.asarray(out.dataobj)[:, 0, 0].tolist()


labels = np.array([1, 16777217, 16777219], np.int32)
for name, values, options in (
    ("labels", labels, ""),
    ("labels", labels, "-type int"),
    ("numbers", np.array([300, 40, 1.5], np.float32), "-type uchar"),
    ("numbers", np.array([300, 40, 1.5], np.float32), "-clip 0 255 -type uchar"),
):
    print(name, values.dtype, values.tolist(), options, "become:", *by_c3d(values, options))
PY
venv/bin/python try.py | tee seen.txt
diff seen.txt - <<'SEEN'
labels int32 [1, 16777217, 16777219]  become: float32 [1.0, 16777216.0, 16777220.0]
labels int32 [1, 16777217, 16777219] -type int become: int32 [1, 16777217, 16777219]
numbers float32 [300.0, 40.0, 1.5] -type uchar become: uint8 [44, 40, 2]
numbers float32 [300.0, 40.0, 1.5] -clip 0 255 -type uchar become: uint8 [255, 40, 2]
SEEN

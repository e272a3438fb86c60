#!/usr/bin/env bash
# SimpleITK 2.5.7 in a folder that holds scan.nii.gz and scan.nii, as a tool leaves them that unpacks in place.
#
# Expected: the file that was asked for.
# Seen: asked for scan.nii.gz, it reads scan.nii, geometry and voxels, without a word. To write scan.nii.gz and read
# it back gives the old scan.nii.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/python -m pip install --quiet SimpleITK==2.5.7
cat > try.py <<'PY'
import os

import SimpleITK as sitk

for name, value in (("scan.nii", 1), ("scan.nii.gz", 2)):
    sitk.WriteImage(sitk.Image([3, 3, 3], sitk.sitkUInt8) + value, name)

for name in ("scan.nii.gz", "scan.nii"):
    print("both there, asked for", name, "got:", sitk.ReadImage(name)[0, 0, 0])
sitk.WriteImage(sitk.Image([3, 3, 3], sitk.sitkUInt8) + 3, "scan.nii.gz")
print("3 written to scan.nii.gz, read back:", sitk.ReadImage("scan.nii.gz")[0, 0, 0])
os.remove("scan.nii")
print("scan.nii removed, asked for scan.nii.gz got:", sitk.ReadImage("scan.nii.gz")[0, 0, 0])
PY
venv/bin/python try.py | tee seen.txt
diff seen.txt - <<'SEEN'
both there, asked for scan.nii.gz got: 1
both there, asked for scan.nii got: 1
3 written to scan.nii.gz, read back: 1
scan.nii removed, asked for scan.nii.gz got: 3
SEEN

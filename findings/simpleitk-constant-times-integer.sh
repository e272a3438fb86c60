#!/usr/bin/env bash
# SimpleITK 2.5.7: an image of 8 bit, multiplied by a number of the language, to scale it.
#
# Expected: a half of 200 is 100, in 8 bit or in floating point as by division.
# Seen: the constant is first made one of the pixels' type: times 0.5 is times 0, times 1.9 is times 1, and plus -0.9
# is plus 0. No warning. Written as a filter, sitk.Multiply(image, 0.5), it is the same. To divide by 2 is right.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/python -m pip install --quiet SimpleITK==2.5.7
cat > try.py <<'PY'
import SimpleITK as sitk

image = sitk.Image([2, 2], sitk.sitkUInt8) + 200
for name, made in (
    ("* 0.5", image * 0.5),
    ("Multiply 0.5", sitk.Multiply(image, 0.5)),
    ("* 1.9", image * 1.9),
    ("- 0.9", image - 0.9),
    ("/ 2", image / 2),
    ("as 32-bit float * 0.5", sitk.Cast(image, sitk.sitkFloat32) * 0.5),
):
    print(f"200 {name} = {made[0, 0]:g}, {made.GetPixelIDTypeAsString()}")
PY
venv/bin/python try.py | tee seen.txt
diff seen.txt - <<'SEEN'
200 * 0.5 = 0, 8-bit unsigned integer
200 Multiply 0.5 = 0, 8-bit unsigned integer
200 * 1.9 = 200, 8-bit unsigned integer
200 - 0.9 = 200, 8-bit unsigned integer
200 / 2 = 100, 64-bit float
200 as 32-bit float * 0.5 = 100, 32-bit float
SEEN

#!/usr/bin/env bash
# SimpleITK 2.5.7: labels of 64 bit, as connectomics numbers its segments, resampled to the grid that they have, by
# nearest neighbour.
#
# Expected: the same labels; nearest neighbour picks, it does not compute.
# Seen: from 2 to the power of 53 on labels come back as others, since each goes through a floating point number. Two
# segments become one. With 32 bits nothing changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/python -m pip install --quiet SimpleITK==2.5.7 numpy==2.2.6
cat > try.py <<'PY'
import numpy as np
import SimpleITK as sitk

for kind, power in (("uint32", 31), ("int64", 52), ("int64", 53), ("uint64", 60)):
    labels = np.array([[2**power, 2**power + 1, 2**power + 2]], kind)
    image = sitk.GetImageFromArray(labels)
    back = sitk.GetArrayFromImage(sitk.Resample(image, image, sitk.Transform(), sitk.sitkNearestNeighbor))
    print(kind, "from 2 **", power, "on: changed by", (back.astype(object) - labels.astype(object))[0].tolist())
PY
venv/bin/python try.py | tee seen.txt
diff seen.txt - <<'SEEN'
uint32 from 2 ** 31 on: changed by [0, 0, 0]
int64 from 2 ** 52 on: changed by [0, 0, 0]
int64 from 2 ** 53 on: changed by [0, -1, 0]
uint64 from 2 ** 60 on: changed by [0, -1, -2]
SEEN

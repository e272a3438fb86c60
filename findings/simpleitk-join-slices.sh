#!/usr/bin/env bash
# SimpleITK 2.5.7: an oblique volume taken apart into its slices, each worked on, and joined again by JoinSeries.
#
# Expected: a volume of them, if without its directions, which two-dimensional slices cannot hold.
# Seen: refused as soon as the second axis is tilted, because the slices of one volume are said to lie at different
# places: a slice keeps the first two numbers of its origin in space, and these move from slice to slice.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/python -m pip install --quiet SimpleITK==2.5.7
cat > try.py <<'PY'
import math

import SimpleITK as sitk

for degrees in (0, 15):
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    volume = sitk.Image([4, 4, 3], sitk.sitkUInt8)
    volume.SetDirection((1, 0, 0, 0, cosine, -sine, 0, sine, cosine))
    slices = [volume[:, :, index] for index in range(3)]
    print(degrees, "degrees, origins:", *(f"{plane.GetOrigin()[1]:.3f}" for plane in slices))
    try:
        print(degrees, "degrees, joined:", sitk.JoinSeries(slices).GetSize())
    except RuntimeError as error:
        print(degrees, "degrees, refused:", "do not occupy the same physical space" in str(error))
PY
venv/bin/python try.py | tee seen.txt
diff seen.txt - <<'SEEN'
0 degrees, origins: 0.000 0.000 0.000
0 degrees, joined: (4, 4, 3)
15 degrees, origins: 0.000 -0.259 -0.518
15 degrees, refused: True
SEEN

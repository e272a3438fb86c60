#!/usr/bin/env bash
# SimpleITK 2.5.7 and colours with an opacity in TIFF, the samples of a pixel together or each in a plane of its own, as
# microscopes' software has a choice. The opacity is declared as not multiplied into the colours.
#
# Expected: the same pixels of both files.
# Seen: planes come back with colours multiplied by the opacity and cut to whole numbers: 200, 100, 50 at 51 of 255 are
# 40, 20, 10. And planes of three colours have a fourth component, 255. Together they come as they are stored.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/python -m pip install --quiet SimpleITK==2.5.7 tifffile==2025.5.10 numpy==2.2.6
cat > try.py <<'PY'
import numpy as np
import SimpleITK as sitk
import tifffile

pixels = np.empty((4, 5, 4), np.uint8)
pixels[...] = (200, 100, 50, 51)
for name, made, more in (("colours", pixels[..., :3], {}), ("with opacity", pixels, {"extrasamples": ["unassalpha"]})):
    tifffile.imwrite("together.tif", np.ascontiguousarray(made), photometric="rgb", **more)
    planes = np.ascontiguousarray(np.moveaxis(made, -1, 0))
    tifffile.imwrite("planes.tif", planes, photometric="rgb", planarconfig="separate", **more)
    for file in ("together.tif", "planes.tif"):
        print(name, file, "read:", sitk.ReadImage(file)[0, 0])
PY
venv/bin/python try.py | tee seen.txt
diff seen.txt - <<'SEEN'
colours together.tif read: (200, 100, 50)
colours planes.tif read: (200, 100, 50, 255)
with opacity together.tif read: (200, 100, 50, 51)
with opacity planes.tif read: (40, 20, 10, 51)
SEEN

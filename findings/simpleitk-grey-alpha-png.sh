#!/usr/bin/env bash
# SimpleITK 2.5.7 and a PNG of grey values with an opacity (colour type 4), as image editors save them.
#
# Expected: an image of two components, as colours with an opacity give four.
# Seen: the header cannot be read at all: an error of an unknown pixel type. Grey, colour, and colour with an
# opacity are read.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/python -m pip install --quiet SimpleITK==2.5.7 Pillow==12.0.0 numpy
cat > try.py <<'PY'
import numpy as np
import SimpleITK as sitk
from PIL import Image

for mode in ("L", "LA", "RGB", "RGBA"):
    Image.fromarray(np.zeros((4, 5), np.uint8)).convert(mode).save(f"{mode}.png")
    reader = sitk.ImageFileReader()
    reader.SetFileName(f"{mode}.png")
    try:
        reader.ReadImageInformation()
        print(mode, "components:", reader.GetNumberOfComponents())
    except RuntimeError as error:
        print(mode, "refused:", "Unknown PixelType" in str(error))
PY
venv/bin/python try.py | tee seen.txt
diff seen.txt - <<'SEEN'
L components: 1
LA refused: True
RGB components: 3
RGBA components: 4
SEEN

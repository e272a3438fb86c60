#!/usr/bin/env bash
# SimpleITK 2.5.7 and a MetaImage whose voxels are text (BinaryData = False).
#
# Expected: the numbers; the file may end with the last one.
# Seen: without a white space behind the last number the file is refused, and the reason given is that there is no such
# file. With a line break at its end it is read.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/python -m pip install --quiet SimpleITK==2.5.7
cat > try.py <<'PY'
import SimpleITK as sitk

HEADER = """ObjectType = Image
NDims = 2
BinaryData = False
DimSize = 2 2
ElementType = MET_SHORT
ElementDataFile = LOCAL
"""
for name, end in (("nothing", ""), ("a line break", "\n")):
    with open("scan.mha", "w") as file:
        file.write(HEADER + "1 2 3 4" + end)
    try:
        print(name, "at the end:", sitk.GetArrayFromImage(sitk.ReadImage("scan.mha")).tolist())
    except RuntimeError as error:
        print(name, "at the end: refused:", "No such file or directory" in str(error))
PY
venv/bin/python try.py | tee seen.txt
diff seen.txt - <<'SEEN'
nothing at the end: refused: True
a line break at the end: [[1, 2], [3, 4]]
SEEN

#!/usr/bin/env bash
# nibabel 5.4.2: a FreeSurfer annotation of three regions, two of them in one colour, or one of them black.
#
# Expected: each vertex has the region that it was given, or an error; the table of colours has three rows and names.
# Seen: the file keeps a colour for each vertex, so the two regions are one after reading, and the black one is no
# region at all, -1. Both rows of the table are still there. Nothing is said when writing.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/python -m pip install --quiet nibabel==5.4.2 numpy==2.2.6
cat > try.py <<'PY'
import nibabel as nib
import numpy as np

regions = np.array([0, 1, 2, 0, 1, 2])
for name, second in (("three colours", [9, 9, 9, 0]), ("two alike", [1, 2, 3, 0]), ("one black", [0, 0, 0, 0])):
    colours = np.array([[1, 2, 3, 0], second, [4, 5, 6, 0]])
    nib.freesurfer.write_annot("a.annot", regions, colours, ["a", "b", "c"], fill_ctab=True)
    back, table, names = nib.freesurfer.read_annot("a.annot")
    print(name, "written:", regions.tolist(), "read:", back.tolist(), "rows:", len(table), "names:", len(names))
PY
venv/bin/python try.py | tee seen.txt
diff seen.txt - <<'SEEN'
three colours written: [0, 1, 2, 0, 1, 2] read: [0, 1, 2, 0, 1, 2] rows: 3 names: 3
two alike written: [0, 1, 2, 0, 1, 2] read: [0, 0, 2, 0, 0, 2] rows: 3 names: 3
one black written: [0, 1, 2, 0, 1, 2] read: [0, -1, 2, 0, -1, 2] rows: 3 names: 3
SEEN

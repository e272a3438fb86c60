#!/usr/bin/env bash
# nibabel 5.4.2: a tractogram of three streamlines, the second without points, as cutting at a mask leaves them.
#
# Expected: three, so that numbers that are kept elsewhere, one for each (weights of SIFT2, the bundle), stay with
# them; or an error.
# Seen: two, from the moment that the tractogram is made, and in the TCK and TRK files: the third has become the second,
# and all counts agree, so that nothing notices. Only numbers that are given to the tractogram itself raise an error.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/python -m pip install --quiet nibabel==5.4.2 numpy==2.2.6
cat > try.py <<'PY'
import nibabel as nib
import numpy as np
from nibabel.streamlines import Tractogram

lines = [np.full((count, 3), index, np.float32) for index, count in enumerate((2, 0, 3))]
tractogram = Tractogram(lines, affine_to_rasmm=np.eye(4))
print("given:", len(lines), "held:", len(tractogram))
for ending in ("tck", "trk"):
    nib.streamlines.save(tractogram, f"a.{ending}")
    back = nib.streamlines.load(f"a.{ending}")
    print(ending, "counted:", int(back.header["nb_streamlines"]), "second:", back.streamlines[1][0].tolist())
try:
    Tractogram(lines, data_per_streamline={"weight": [[1], [2], [3]]}, affine_to_rasmm=np.eye(4))
    print("with weights: held")
except ValueError as error:
    print("with weights: refused:", type(error).__name__)
PY
venv/bin/python try.py | tee seen.txt
diff seen.txt - <<'SEEN'
given: 3 held: 2
tck counted: 2 second: [2.0, 2.0, 2.0]
trk counted: 2 second: [2.0, 2.0, 2.0]
with weights: refused: ValueError
SEEN

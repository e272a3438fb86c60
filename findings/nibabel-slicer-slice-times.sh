#!/usr/bin/env bash
# nibabel 5.4.2: some slices of a functional image, cut out by slicer, or turned round by as_reoriented; its header
# knows when each of its six slices was taken.
#
# Expected: the times of those slices that are left, in their new order; both take care of the affine and of the axes'
# names in the header.
# Seen: the six times as they were, whether three slices are left, each second one, or all in the other order. Slice
# timing correction shifts each slice by the time of another.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/python -m pip install --quiet nibabel==5.4.2 numpy==2.2.6
cat > try.py <<'PY'
import nibabel as nib
import numpy as np

image = nib.Nifti1Image(np.zeros((2, 2, 6, 4), np.int16), np.eye(4))
image.header.set_dim_info(slice=2)
image.header.set_slice_duration(0.5)
image.header["slice_end"] = 5
image.header["slice_code"] = 1
for name, made in (
    ("all", image),
    ("slices 3 to 5", image.slicer[:, :, 3:]),
    ("each second slice", image.slicer[:, :, ::2]),
    ("turned round", image.as_reoriented(np.array([[0, 1], [1, 1], [2, -1]]))),
):
    print(name, "slices:", made.shape[2], "times:", *(float(time) for time in made.header.get_slice_times()))
PY
venv/bin/python try.py | tee seen.txt
diff seen.txt - <<'SEEN'
all slices: 6 times: 0.0 0.5 1.0 1.5 2.0 2.5
slices 3 to 5 slices: 3 times: 0.0 0.5 1.0 1.5 2.0 2.5
each second slice slices: 3 times: 0.0 0.5 1.0 1.5 2.0 2.5
turned round slices: 6 times: 0.0 0.5 1.0 1.5 2.0 2.5
SEEN

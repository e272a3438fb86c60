#!/usr/bin/env bash
# SimpleITK 2.5.7 and a displacement field in NIfTI (intent 1006), as registration tools write it.
#
# Expected: to read it and to write it again, untouched, gives the same file; the intent comes along as metadata.
# Seen: it is read, its vectors turned from RAS to LPS. To write it fails with an error of the type of pixel, though
# there are three components, as the message asks for. With the intent erased it is written as a plain vector image:
# its vectors now stay LPS in a file of RAS, and every reader of displacements takes them with two wrong signs.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/python -m pip install --quiet nibabel==5.4.2 SimpleITK==2.5.7 numpy==2.2.6
cat > try.py <<'PY'
import nibabel as nib
import numpy as np
import SimpleITK as sitk

field = np.zeros((3, 3, 3, 1, 3), np.float32)
field[...] = (1, 2, 3)
made = nib.Nifti1Image(field, np.eye(4))
made.header.set_intent("displacement vector")
nib.save(made, "field.nii")

image = sitk.ReadImage("field.nii")
print("read:", image[0, 0, 0], "intent:", image.GetMetaData("intent_code"))
try:
    sitk.WriteImage(image, "again.nii")
    print("written")
except RuntimeError as error:
    print("refused:", "RAS conversion requires pixel to be 3-component vector" in str(error))
image.EraseMetaData("intent_code")
sitk.WriteImage(image, "plain.nii")
plain = nib.load("plain.nii")
vector = plain.get_fdata()[0, 0, 0, 0].tolist()
print("intent erased, the file holds:", *vector, "intent:", int(plain.header["intent_code"]))
PY
venv/bin/python try.py | tee seen.txt
diff seen.txt - <<'SEEN'
read: (-1.0, -2.0, 3.0) intent: 1006
refused: True
intent erased, the file holds: -1.0 -2.0 3.0 intent: 1007
SEEN

#!/usr/bin/env bash
# nitransforms 25.1.0 and SimpleITK 2.5.7: a rigid transform with a translation of some hundred millimetres, written for
# ITK as text and read again by either.
#
# Expected: the numbers that went in, to double precision, in which both libraries and the text of ITK hold them.
# Seen: the text has six digits and declares itself as of single precision: points move by up to half a thousandth of a
# millimetre. The other formats do better: LTA keeps about 1e-6, FSL 1e-7.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/python -m pip install --quiet nitransforms==25.1.0 SimpleITK==2.5.7 nibabel==5.4.2 \
    numpy==2.2.6 scipy==1.15.3 h5py==3.14.0
cat > try.py <<'PY'
import nibabel as nib
import numpy as np
import SimpleITK as sitk
from nitransforms.linear import Affine

matrix = np.eye(4)
matrix[:3, :3] = nib.eulerangles.euler2mat(0.1, 0.2, 0.3)
matrix[:3, 3] = (123.4564567, -765.4324321, 30)
Affine(matrix).to_filename("a.tfm", fmt="itk")
print(open("a.tfm").read().splitlines()[2])

point = np.array([10.0, 20.0, 30.0])
wanted = matrix[:3, :3] @ point + matrix[:3, 3]
by_itk = np.multiply(sitk.ReadTransform("a.tfm").TransformPoint((-10.0, -20.0, 30.0)), (-1, -1, 1))
by_itself = Affine.from_filename("a.tfm", fmt="itk").map(point[None])[0]
for name, found in (("SimpleITK", by_itk), ("nitransforms", by_itself)):
    print(name, "off by more than 0.0001 mm:", bool(np.abs(found - wanted).max() > 1e-4))
PY
venv/bin/python try.py | tee seen.txt
diff seen.txt - <<'SEEN'
Transform: AffineTransform_float_3_3
SimpleITK off by more than 0.0001 mm: True
nitransforms off by more than 0.0001 mm: True
SEEN

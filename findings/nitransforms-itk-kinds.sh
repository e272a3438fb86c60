#!/usr/bin/env bash
# nitransforms 25.1.0 and SimpleITK 2.5.7: linear transforms that a registration with ITK returns, written by SimpleITK
# and read as ITK's.
#
# Expected: Euler, versor, similarity and translation are all linear, and say their kind in the file; each becomes an
# affine, or an error names the kind.
# Seen: only an affine one is read, as text; HDF5 wants a composite. The others fail with errors of NumPy about
# shapes, which come from taking their six numbers for the twelve of a matrix.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/python -m pip install --quiet nitransforms==25.1.0 SimpleITK==2.5.7 nibabel==5.4.2 \
    numpy==2.2.6 scipy==1.15.3 h5py==3.14.0
cat > try.py <<'PY'
import warnings

import SimpleITK as sitk
from nitransforms.linear import load

warnings.simplefilter("ignore")
rotation = ((0, 0, 1), 0.3, (1, 2, 3), (4, 5, 6))
for made in (
    sitk.AffineTransform([1, 0.1, 0, 0, 1, 0, 0, 0, 1], (1, 2, 3), (4, 5, 6)),
    sitk.Euler3DTransform((4, 5, 6), 0.1, 0.2, 0.3, (1, 2, 3)),
    sitk.VersorRigid3DTransform(*rotation),
    sitk.Similarity3DTransform(1.1, *rotation),
    sitk.TranslationTransform(3, (1, 2, 3)),
):
    for ending in ("tfm", "h5"):
        sitk.WriteTransform(made, f"a.{ending}")
        try:
            load(f"a.{ending}", fmt="itk")
            print(made.GetName(), ending, "read")
        except Exception as error:
            print(made.GetName(), ending, type(error).__name__)
PY
venv/bin/python try.py | tee seen.txt
diff seen.txt - <<'SEEN'
AffineTransform tfm read
AffineTransform h5 ValueError
Euler3DTransform tfm ValueError
Euler3DTransform h5 ValueError
VersorRigid3DTransform tfm ValueError
VersorRigid3DTransform h5 ValueError
Similarity3DTransform tfm ValueError
Similarity3DTransform h5 ValueError
TranslationTransform tfm ValueError
TranslationTransform h5 ValueError
SEEN

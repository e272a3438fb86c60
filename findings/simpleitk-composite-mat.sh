#!/usr/bin/env bash
# SimpleITK 2.5.7 and a composite transform of two, written to .tfm, .h5 and .mat, which it all knows.
#
# Expected: the same transform back of each, as a single transform comes back; or a refusal to write it.
# Seen: .mat is written without complaint and cannot be read again, so that a registration kept in it is lost.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/python -m pip install --quiet SimpleITK==2.5.7
cat > try.py <<'PY'
import SimpleITK as sitk

first = sitk.Euler3DTransform((1, 2, 3), 0.1, 0.2, 0.3, (4, 5, 6))
second = sitk.TranslationTransform(3, (7, 8, 9))
for name, transform in (("one", first), ("composite", sitk.CompositeTransform([first, second]))):
    for ending in ("tfm", "h5", "mat"):
        sitk.WriteTransform(transform, f"{name}.{ending}")
        try:
            back = sitk.ReadTransform(f"{name}.{ending}")
            same = back.TransformPoint((10, 20, 30)) == transform.TransformPoint((10, 20, 30))
            print(name, ending, "written, read, the same:", same)
        except RuntimeError as error:
            print(name, ending, "written, refused:", "Input parameter list size is not expected size" in str(error))
PY
venv/bin/python try.py | tee seen.txt
diff seen.txt - <<'SEEN'
one tfm written, read, the same: True
one h5 written, read, the same: True
one mat written, read, the same: True
composite tfm written, read, the same: True
composite h5 written, read, the same: True
composite mat written, refused: True
SEEN

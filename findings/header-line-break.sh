#!/usr/bin/env bash
# SimpleITK 2.5.7 and pynrrd 1.1.3, and a line break in a value of the header: a comment of two lines. NRRD has an
# escape for it in its key/value pairs; MetaImage has none.
#
# Expected: pynrrd escapes it when it writes and undoes that when it reads; SimpleITK refuses it for MetaImage, or
# drops it as it drops keys that NIfTI cannot hold.
# Seen: pynrrd writes the bare line break, and neither pynrrd nor SimpleITK reads the file again; of the escaped one
# that SimpleITK writes it returns the backslash and the n. SimpleITK writes a MetaImage that it cannot read again
# either: all of an image is lost by one comment. SimpleITK's own NRRD is right.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/python -m pip install --quiet SimpleITK==2.5.7 pynrrd==1.1.3 numpy==2.2.6
cat > try.py <<'PY'
import nrrd
import numpy as np
import SimpleITK as sitk

NOTE = "one\ntwo"


def back(read):
    try:
        return repr(read())
    except (ValueError, RuntimeError) as error:
        return f"refused, {type(error).__name__}"


def by_simpleitk(name):
    return back(lambda: sitk.ReadImage(name).GetMetaData("note"))


def by_pynrrd(name):
    return back(lambda: nrrd.read(name)[1]["note"])


nrrd.write("pynrrd.nrrd", np.zeros((2, 3), np.uint8), {"note": NOTE})
image = sitk.Image([2, 3], sitk.sitkUInt8)
image.SetMetaData("note", NOTE)
sitk.WriteImage(image, "simpleitk.nrrd")
sitk.WriteImage(image, "simpleitk.mha")
for name in ("pynrrd.nrrd", "simpleitk.nrrd"):
    print(name, "by pynrrd:", by_pynrrd(name))
    print(name, "by SimpleITK:", by_simpleitk(name))
print("simpleitk.mha by SimpleITK:", by_simpleitk("simpleitk.mha"))
PY
venv/bin/python try.py | tee seen.txt
diff seen.txt - <<'SEEN'
pynrrd.nrrd by pynrrd: refused, ValueError
pynrrd.nrrd by SimpleITK: refused, RuntimeError
simpleitk.nrrd by pynrrd: 'one\\ntwo'
simpleitk.nrrd by SimpleITK: 'one\ntwo'
simpleitk.mha by SimpleITK: refused, RuntimeError
SEEN

#!/usr/bin/env bash
# pydicom 3.0.2: a number with many digits (a third; 0.1 + 0.2) given to an element of decimal strings, which may have
# 16 characters at the most.
#
# Expected: shortened to fit; or, as with a text of 70 characters for an element of 64, a warning.
# Seen: written with 18 and 19 characters, no warning, although writing was told to enforce the format. A switch that
# shortens exists, valuerep.DS with auto_format, for each value.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/python -m pip install --quiet pydicom==3.0.2
cat > try.py <<'PY'
import io
import warnings

from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
from pydicom.valuerep import DS

for name, keyword, value in (
    ("a third", "SliceThickness", 1 / 3),
    ("0.1 + 0.2", "SliceThickness", 0.1 + 0.2),
    ("a third, auto_format", "SliceThickness", DS(1 / 3, auto_format=True)),
    ("a text of 70 characters", "SeriesDescription", "x" * 70),
):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        made = Dataset()
        made.file_meta = FileMetaDataset()
        made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        made.SOPClassUID, made.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", "1.2.826.0.1.97"
        setattr(made, keyword, value)
        file = io.BytesIO()
        dcmwrite(file, made, enforce_file_format=True)
    file.seek(0)
    print(name, "characters:", len(str(dcmread(file)[keyword].value)), "warned:", bool(caught))
PY
venv/bin/python try.py | tee seen.txt
diff seen.txt - <<'SEEN'
a third characters: 18 warned: False
0.1 + 0.2 characters: 19 warned: False
a third, auto_format characters: 16 warned: False
a text of 70 characters characters: 70 warned: True
SEEN

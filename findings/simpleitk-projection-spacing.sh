#!/usr/bin/env bash
# SimpleITK 2.5.7 and projection radiographs (DX, MG, CR), whose pixel spacing at the detector is (0018,1164) and
# whose spacing in the patient, once calibrated, is (0028,0030), as DICOM has them.
#
# Expected: the calibrated spacing where there is one.
# Seen: only that of the detector is looked at. Beside it the calibrated one is ignored; alone it is ignored too, and
# the spacing is 1. A mammogram magnified by 2 measures twice its size, and a calibrated one is measured in pixels.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/python -m pip install --quiet SimpleITK==2.5.7 pydicom==3.0.2 numpy==2.2.6
cat > try.py <<'PY'
import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian


def write(path, index, value, **elements):
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID, made.Modality = elements.pop("of", ("1.2.840.10008.5.1.4.1.1.2", "CT"))
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = f"1.2.826.0.1.97.{index}"
    made.StudyInstanceUID, made.SeriesInstanceUID = "1.2.826.0.1.97", "1.2.826.0.1.98"
    made.SeriesNumber, made.InstanceNumber = 1, index
    made.Rows, made.Columns, made.SamplesPerPixel = 4, 4, 1
    made.PhotometricInterpretation, made.PixelRepresentation = "MONOCHROME2", 1
    made.BitsAllocated, made.BitsStored, made.HighBit = 16, 16, 15
    made.ImageOrientationPatient, made.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [0, 0, 2 * index]
    for key, held in elements.items():
        setattr(made, key, held)
    made.PixelData = np.full((4, 4), value, "<i2").tobytes()
    pydicom.dcmwrite(path, made, enforce_file_format=True)


KINDS = {"DX": "1.1", "MG": "1.2", "CR": "1", "CT": "2"}
detector, calibrated = {"ImagerPixelSpacing": [0.25, 0.25]}, {"PixelSpacing": [0.125, 0.125]}
for modality, end in KINDS.items():
    of = (f"1.2.840.10008.5.1.4.1.1.{end}", modality)
    for name, spacings in (("both", detector | calibrated), ("calibrated only", calibrated)):
        write("one.dcm", 1, 0, of=of, **spacings)
        print(modality, name, sitk.ReadImage("one.dcm").GetSpacing()[:2])
PY
venv/bin/python try.py | tee seen.txt
diff seen.txt - <<'SEEN'
DX both (0.25, 0.25)
DX calibrated only (1.0, 1.0)
MG both (0.25, 0.25)
MG calibrated only (1.0, 1.0)
CR both (0.25, 0.25)
CR calibrated only (1.0, 1.0)
CT both (0.125, 0.125)
CT calibrated only (0.125, 0.125)
SEEN

#!/usr/bin/env bash
# SimpleITK 2.5.7 and DICOM of MONOCHROME1, where the lowest value is shown white.
#
# Expected: the stored values by the rescale slope and intercept, as with MONOCHROME2, since the word is about display.
# Seen: the stored values are turned round within the stored bits first, and then rescaled. So 7 of 12 bits is 4088,
# and a signed 7 is -8. Nothing in the image says so: the header that comes with it still reads MONOCHROME1, so a
# viewer that honours it would turn them round again.
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
    made.SOPClassUID, made.Modality = elements.pop("of", ("1.2.840.10008.5.1.4.1.1.1", "CR"))
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


for kind in ("MONOCHROME2", "MONOCHROME1"):
    for name, bits, signed, slope in (("12 bits", 12, 0, 1), ("slope 2", 12, 0, 2), ("signed", 16, 1, 1)):
        depth = {"BitsStored": bits, "HighBit": bits - 1, "PixelRepresentation": signed}
        write("one.dcm", 1, 7, PhotometricInterpretation=kind, RescaleSlope=slope, RescaleIntercept=0, **depth)
        image = sitk.ReadImage("one.dcm")
        print(kind, name, "stored: 7 read:", image[0, 0, 0], "says:", image.GetMetaData("0028|0004").strip())
PY
venv/bin/python try.py | tee seen.txt
diff seen.txt - <<'SEEN'
MONOCHROME2 12 bits stored: 7 read: 7 says: MONOCHROME2
MONOCHROME2 slope 2 stored: 7 read: 14 says: MONOCHROME2
MONOCHROME2 signed stored: 7 read: 7 says: MONOCHROME2
MONOCHROME1 12 bits stored: 7 read: 4088 says: MONOCHROME1
MONOCHROME1 slope 2 stored: 7 read: 8176 says: MONOCHROME1
MONOCHROME1 signed stored: 7 read: -8 says: MONOCHROME1
SEEN

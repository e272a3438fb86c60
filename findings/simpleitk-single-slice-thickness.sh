#!/usr/bin/env bash
# SimpleITK 2.5.7 and one DICOM slice of CT that is 5 mm thick, without the spacing between slices that CT need not
# have.
#
# Expected: a third spacing of 5, the thickness; or of several files, the distance of their positions.
# Seen: of one file 1, whatever the thickness; so the volume of a lesion on a single slice is a fifth of what it is.
# Of several files the distance is right. An MR slice with (0018,0088) has that.
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


for index in (1, 2):
    write(f"{index}.dcm", index, 0, PixelSpacing=[0.5, 0.5], SliceThickness=5, ImagePositionPatient=[0, 0, 5 * index])
print("one slice:", sitk.ReadImage("1.dcm").GetSpacing())
print("a list of two:", sitk.ReadImage(["1.dcm", "2.dcm"]).GetSpacing())
print("a list of one:", sitk.ReadImage(["1.dcm"]).GetSpacing())
magnetic = ("1.2.840.10008.5.1.4.1.1.4", "MR")
write("mr.dcm", 1, 0, of=magnetic, PixelSpacing=[0.5, 0.5], SliceThickness=5, SpacingBetweenSlices=6)
print("one MR slice, 6 apart:", sitk.ReadImage("mr.dcm").GetSpacing())
PY
venv/bin/python try.py | tee seen.txt
diff seen.txt - <<'SEEN'
one slice: (0.5, 0.5, 1.0)
a list of two: (0.5, 0.5, 5.0)
a list of one: (0.5, 0.5, 1.0)
one MR slice, 6 apart: (0.5, 0.5, 6.0)
SEEN

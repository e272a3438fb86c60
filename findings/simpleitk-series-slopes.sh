#!/usr/bin/env bash
# SimpleITK 2.5.7 and a PET series whose slices have rescale slopes of their own, as PET has them.
#
# Expected: each slice with its slope, in a type that holds all of them.
# Seen: the type of the whole volume is that of its first slice. When the first slope is a whole number, the values
# of the others lose their fractions, and what does not fit into 16 bits is lost: 45000 was -20536 here. Each file
# alone is read well. No warning. A slope of 1 in the first slice is all that it takes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/python -m pip install --quiet SimpleITK==2.5.7 pydicom==3.0.2 numpy==2.2.6
cat > try.py <<'PY'
import os

import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian


def write(path, index, value, **elements):
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID, made.Modality = elements.pop("of", ("1.2.840.10008.5.1.4.1.1.128", "PT"))
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


def corner(image):
    return [float(value) for value in sitk.GetArrayFromImage(image)[:, 0, 0]]


for name, value, slopes in (("fractions", 10, (1, 1.25, 1.5, 1.75)), ("large", 30000, (1, 1.5, 11, 0.5))):
    os.mkdir(name)
    for index, slope in enumerate(slopes):
        write(f"{name}/{index}.dcm", index, value, PixelSpacing=[2, 2], RescaleSlope=slope, RescaleIntercept=0)
    files = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(name)
    series = sitk.ReadImage(files)
    alone = [corner(sitk.ReadImage(one))[0] for one in files]
    print(name, "alone:", alone)
    print(name, "series, the same:", [one == other for one, other in zip(corner(series), alone, strict=True)])
    print(name, "series, type:", series.GetPixelIDTypeAsString())
PY
venv/bin/python try.py | tee seen.txt
diff seen.txt - <<'SEEN'
fractions alone: [10.0, 12.5, 15.0, 17.5]
fractions series, the same: [True, False, True, False]
fractions series, type: 16-bit signed integer
large alone: [30000.0, 45000.0, 330000.0, 15000.0]
large series, the same: [True, False, False, True]
large series, type: 16-bit signed integer
SEEN

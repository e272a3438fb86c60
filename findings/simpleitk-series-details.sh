#!/usr/bin/env bash
# SimpleITK 2.5.7 with useSeriesDetails: one DICOM folder, one series UID, two scans in it that differ in
# series number (or sequence name, slice thickness, rows, columns).
#
# Expected: two series, since the details tell them apart; their identifiers hold them.
# Seen: one series, whose identifier has the details of one of the scans, and whose files are those of both.
# So a localizer is stacked into the scan, and files have to be told apart by their elements.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/python -m pip install --quiet SimpleITK==2.5.7 pydicom==3.0.2 numpy
cat > try.py <<'PY'
import os
import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

MR = "1.2.840.10008.5.1.4.1.1.4"


def write(path, z, instance, **elements):
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = MR
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = f"1.2.826.0.1.97.{instance}"
    made.StudyInstanceUID, made.SeriesInstanceUID = "1.2.826.0.1.97", "1.2.826.0.1.98"
    made.Modality, made.SeriesNumber, made.InstanceNumber = "MR", 1, instance
    made.Rows, made.Columns, made.SamplesPerPixel = 8, 6, 1
    made.PhotometricInterpretation, made.PixelRepresentation = "MONOCHROME2", 1
    made.BitsAllocated, made.BitsStored, made.HighBit = 16, 16, 15
    made.PixelSpacing, made.SliceThickness = [1, 1], 2
    made.ImageOrientationPatient, made.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [0, 0, z]
    for key, value in elements.items():
        setattr(made, key, value)
    made.PixelData = np.zeros((made.Rows, made.Columns), "<i2").tobytes()
    pydicom.dcmwrite(path, made, enforce_file_format=True)


for name, value in (
    ("SeriesNumber", 2), ("SequenceName", "x"), ("SliceThickness", 4), ("Rows", 16), ("Columns", 16),
):
    os.makedirs(name)
    for index in range(3):
        write(f"{name}/a{index}.dcm", 2 * index, 1 + index)
        write(f"{name}/b{index}.dcm", 2 * index, 11 + index, **{name: value})
    found = sitk.ImageSeriesReader.GetGDCMSeriesIDs(name, True)
    files = [len(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(name, one, True)) for one in found]
    print(name, "series:", len(found), "files:", *files)
PY
venv/bin/python try.py | tee seen.txt
diff seen.txt - <<'SEEN'
SeriesNumber series: 1 files: 6
SequenceName series: 1 files: 6
SliceThickness series: 1 files: 6
Rows series: 1 files: 6
Columns series: 1 files: 6
SEEN

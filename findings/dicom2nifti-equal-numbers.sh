#!/usr/bin/env bash
# dicom2nifti 2.6.2: a folder of two series, of different UIDs, that share series number and description, as the same
# protocol run in two visits does.
#
# Expected: two NIfTI files, or an error that a name is taken.
# Seen: one file. Both are converted, the second over the first, and the call ends as if all were well: one scan of the
# two is gone. A difference in the description gives two files.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/python -m pip install --quiet dicom2nifti==2.6.2 pydicom==3.0.2 nibabel==5.4.2 numpy==2.2.6
cat > try.py <<'PY'
import os

import dicom2nifti
import numpy as np
import pydicom
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


for name, descriptions in (("alike", ("head", "head")), ("described", ("head", "head late"))):
    os.mkdir(name)
    os.mkdir(f"{name}-out")
    for series, description in enumerate(descriptions):
        for index in range(5):
            elements = {"PixelSpacing": [1, 1], "SliceThickness": 2, "SeriesDescription": description}
            unlike = {"SeriesInstanceUID": f"1.2.826.0.1.98.{series + 1}", "ImagePositionPatient": [0, 0, 2 * index]}
            write(f"{name}/{series}-{index}.dcm", 10 * series + index + 1, series, **elements, **unlike)
    dicom2nifti.convert_directory(name, f"{name}-out", reorient=False)
    print(name, "series:", len(descriptions), "files:", *sorted(os.listdir(f"{name}-out")))
PY
venv/bin/python try.py | tee seen.txt
diff seen.txt - <<'SEEN'
alike series: 2 files: 1_head.nii.gz
described series: 2 files: 1_head.nii.gz 1_head_late.nii.gz
SEEN

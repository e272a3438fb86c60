#!/usr/bin/env bash
# SimpleITK 2.5.7 and DICOM text beyond ASCII: a series description in the character set that the file names (Latin 1),
# and one that is set on an image to be written.
#
# Expected: text of the language, by the element (0008,0005); and written so that it can be read again.
# Seen: the bytes of the file, each above 127 as half a surrogate pair, so that to print it, or to write it as UTF-8,
# fails. What is set is written as UTF-8, but the file names no character set, and readers see two letters for one.
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


DESCRIPTION = "0008|103e"
for character_set in ("ISO_IR 100", "ISO_IR 192"):
    write("one.dcm", 1, 0, PixelSpacing=[1, 1], SpecificCharacterSet=character_set, SeriesDescription="Schädel")
    read = sitk.ReadImage("one.dcm").GetMetaData(DESCRIPTION)
    print(character_set, "pydicom:", ascii(pydicom.dcmread("one.dcm").SeriesDescription))
    print(character_set, "SimpleITK:", ascii(read.strip()))
    try:
        read.encode()
        print(character_set, "can be printed")
    except UnicodeEncodeError:
        print(character_set, "cannot be printed")
image = sitk.Image([4, 4, 1], sitk.sitkInt16)
image.SetMetaData(DESCRIPTION, "Schädel")
sitk.WriteImage(image, "two.dcm")
written = pydicom.dcmread("two.dcm")
print("written:", ascii(written.SeriesDescription), "character set:", written.get("SpecificCharacterSet"))
PY
venv/bin/python try.py | tee seen.txt
diff seen.txt - <<'SEEN'
ISO_IR 100 pydicom: 'Sch\xe4del'
ISO_IR 100 SimpleITK: 'Sch\udce4del'
ISO_IR 100 cannot be printed
ISO_IR 192 pydicom: 'Sch\xe4del'
ISO_IR 192 SimpleITK: 'Sch\xe4del'
ISO_IR 192 can be printed
written: 'Sch\xc3\xa4del' character set: None
SEEN

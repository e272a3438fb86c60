#!/usr/bin/env bash
# SimpleITK 2.5.7 and an enhanced (multi-frame) MR, whose frames say their place and their slope in the functional
# groups: frames stored in the order of acquisition, a gap, a slope for each.
#
# Expected: frames in the order of their places, or an error; the spacing within a frame in any case; each value by its
# own slope.
# Seen: the frames stay as they are stored. If they do not follow evenly, the spacing is 1 in all directions, that
# within the frame too, which nothing put in doubt. The slope of the first frame is taken for all. No warning.
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

STACK, PLACE, CONTENT = 0x00209056, 0x00209057, 0x00209111  # what the order of the frames is told by


def item(**elements):
    made = Dataset()
    for key, held in elements.items():
        setattr(made, key, held)
    return [made]


def frame(place, rank, slope):
    groups = Dataset()
    groups.FrameContentSequence = item(StackID="1", InStackPositionNumber=rank, DimensionIndexValues=[1, rank])
    groups.PlanePositionSequence = item(ImagePositionPatient=[0, 0, place])
    groups.PixelValueTransformationSequence = item(RescaleSlope=slope, RescaleIntercept=0, RescaleType="US")
    return groups


def write(path, places, slopes):
    uid = "1.2.826.0.1.97"
    made = item(StudyInstanceUID=uid, SeriesInstanceUID=uid + ".1", Modality="MR", SeriesNumber=1, InstanceNumber=1)[0]
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = "1.2.840.10008.5.1.4.1.1.4.1"
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = uid + ".2"
    made.NumberOfFrames, made.Rows, made.Columns, made.SamplesPerPixel = len(places), 4, 4, 1
    made.PhotometricInterpretation, made.PixelRepresentation = "MONOCHROME2", 1
    made.BitsAllocated, made.BitsStored, made.HighBit = 16, 16, 15
    made.DimensionOrganizationSequence = item(DimensionOrganizationUID=uid + ".3")
    pointers = {"DimensionOrganizationUID": uid + ".3", "FunctionalGroupPointer": CONTENT}
    made.DimensionIndexSequence = [item(DimensionIndexPointer=one, **pointers)[0] for one in (STACK, PLACE)]
    shared = item(PixelMeasuresSequence=item(PixelSpacing=[0.5, 0.5], SliceThickness=2, SpacingBetweenSlices=2))
    shared[0].PlaneOrientationSequence = item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])
    made.SharedFunctionalGroupsSequence = shared
    ranks = [sorted(places).index(place) + 1 for place in places]
    made.PerFrameFunctionalGroupsSequence = [frame(*each) for each in zip(places, ranks, slopes, strict=True)]
    made.PixelData = b"".join(np.full((4, 4), 10 + place, "<i2").tobytes() for place in places)
    pydicom.dcmwrite(path, made, enforce_file_format=True)


for name, places, slopes in (
    ("in order", (0, 2, 4, 6), (1, 1, 1, 1)),
    ("interleaved", (0, 4, 2, 6), (1, 1, 1, 1)),
    ("with a gap", (0, 2, 4, 8), (1, 1, 1, 1)),
    ("slopes", (0, 2, 4, 6), (1, 2, 3, 4)),
):
    write("one.dcm", places, slopes)
    image = sitk.ReadImage("one.dcm")
    wanted = [(10 + place) * slope for place, slope in zip(places, slopes, strict=True)]
    print(name, "frames:", wanted, "read:", sitk.GetArrayFromImage(image)[:, 0, 0].tolist(), image.GetSpacing())
PY
venv/bin/python try.py | tee seen.txt
diff seen.txt - <<'SEEN'
in order frames: [10, 12, 14, 16] read: [10, 12, 14, 16] (0.5, 0.5, 2.0)
interleaved frames: [10, 14, 12, 16] read: [10, 14, 12, 16] (1.0, 1.0, 1.0)
with a gap frames: [10, 12, 14, 18] read: [10, 12, 14, 18] (1.0, 1.0, 1.0)
slopes frames: [10, 24, 42, 64] read: [10, 12, 14, 16] (0.5, 0.5, 2.0)
SEEN

"""DICOM: which files of a folder are one image, and files of several frames that are not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snapws import ImageDamaged, ImageUnsupported, Workspace, images
from snapws.check import check_workspace

pytest.importorskip("SimpleITK", reason="needs the extra 'formats'")
pydicom = pytest.importorskip("pydicom", reason="needs the extra 'formats'")

MR, ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.4.1"
SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
SERIES = "1.2.826.0.1.98.1"
ROWS, COLUMNS = 8, 6


def dataset(sop_class: str, name: str) -> Any:
    """Return what all files have."""
    made = pydicom.Dataset()
    made.file_meta = pydicom.dataset.FileMetaDataset()
    made.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = sop_class
    instance = f"1.2.826.0.1.98.9.{int.from_bytes(name.encode(), 'big') % 10**20}"
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = instance
    made.StudyInstanceUID, made.Modality = "1.2.826.0.1.98", "MR"
    made.Rows, made.Columns = ROWS, COLUMNS
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated = made.BitsStored = 16
    made.HighBit, made.PixelRepresentation = 15, 1
    return made


def write_slice(path: Path, z: float, value: int, preamble: bool = True, **elements: Any) -> Path:
    """Write a slice at a height, all of its voxels of one value; an element that is None goes."""
    path.parent.mkdir(exist_ok=True)
    made = dataset(MR, path.name)
    made.SeriesInstanceUID, made.SeriesNumber = SERIES, 1
    made.PixelSpacing, made.SliceThickness = [1, 1], 2
    made.ImageOrientationPatient, made.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [0, 0, z]
    for key, given in elements.items():
        setattr(made, key, given)
        if given is None:
            delattr(made, key)
    made.PixelData = np.full((made.Rows, made.Columns), value, "<i2").tobytes()
    if preamble:
        pydicom.dcmwrite(path, made, enforce_file_format=True)
    else:
        del made.file_meta
        made.save_as(path, implicit_vr=True, little_endian=True, enforce_file_format=False)
    return path


def write_series(folder: Path, count: int = 5, first: int = 0, **elements: Any) -> Path:
    """Write slices 2 mm apart, whose values count from the first one's."""
    for index in range(count):
        write_slice(folder / f"s{first + index:03d}.dcm", 2 * index, first + index, **elements)
    return folder / f"s{first:03d}.dcm"


def values(header: images.ImageHeader) -> list[int]:
    """Return the value of each slice."""
    voxels = np.frombuffer(b"".join(header.voxels()), header.dtype)
    return voxels.reshape(header.shape[::-1])[:, 0, 0].tolist()


def workspace_of(path: Path, identifier: str) -> Workspace:
    """Return a workspace whose main image is a series, as ITK-SNAP saves it."""
    made = Workspace()
    layer = made.set_main(path)
    layer.registry["IOHints.Format"] = "DICOM Image Series"
    layer.registry["IOHints.DICOM.SeriesId"] = identifier
    return made


def test_a_localizer_in_the_series_is_set_aside(tmp_path):
    file = write_series(tmp_path / "scan", first=2)
    sagittal = [0, 1, 0, 0, 0, -1]
    write_slice(
        tmp_path / "scan" / "a.dcm", 0, 1, Rows=10, Columns=10, ImageOrientationPatient=sagittal
    )
    assert values(images.read_header(file)) == [2, 3, 4, 5, 6]
    header = images.read_header(tmp_path / "scan" / "a.dcm")
    assert header.stored_shape == (10, 10, 1)


@pytest.mark.parametrize(("count", "words"), [(1, "1 file"), (3, "3 files")])
def test_check_remarks_in_one_line_how_many_files_are_set_aside(tmp_path, count, words):
    file = write_series(tmp_path / "scan")
    workspace = Workspace.new(file)
    assert check_workspace(workspace) == ()
    for number in range(count):
        write_slice(tmp_path / "scan" / f"scout{number}.dcm", number, 9, Rows=10, Columns=10)
    (problem,) = check_workspace(workspace)
    assert (problem.kind, problem.where, problem.is_error) == ("reading", "layer 000", False)
    assert f"{words} of its DICOM series" in problem.message
    assert "set aside: the image is of the other 5" in problem.message


def test_a_file_of_another_series_is_not_remarked(tmp_path):
    file = write_series(tmp_path / "scan")
    write_slice(tmp_path / "scan" / "scout.dcm", 0, 9, Rows=10, SeriesInstanceUID=f"{SERIES}.7")
    assert check_workspace(Workspace.new(file)) == ()


@pytest.mark.parametrize(
    "kind",
    [
        {"SeriesNumber": 2},
        {"SequenceName": "*fl3d1_ns"},
        {"SliceThickness": 4},
        {"Rows": 16},
        {"Columns": 7},
    ],
    ids=lambda kind: next(iter(kind)),
)
def test_a_series_is_told_from_another_of_its_uid(tmp_path, kind):
    """By what ITK-SNAP tells them apart."""
    one = write_series(tmp_path / "scan")
    other = write_series(tmp_path / "scan", first=10, **kind)
    assert values(images.read_header(one)) == [0, 1, 2, 3, 4]
    assert values(images.read_header(other)) == [10, 11, 12, 13, 14]


@pytest.mark.parametrize(
    ("kind", "identifier"),
    [
        ({}, f"{SERIES}.1286"),
        ({}, f"{SERIES}.12.086"),
        ({"SeriesNumber": 2}, f"{SERIES}.2286"),
        ({"SequenceName": "*fl3d 1_ns"}, f"{SERIES}.1fl3d1ns286"),
        ({"SliceThickness": 2.5}, f"{SERIES}.12.586"),
        ({"Rows": 16}, f"{SERIES}.12166"),
    ],
)
def test_the_series_is_the_one_that_the_workspace_names(tmp_path, kind, identifier):
    """Whichever file of the folder it names beside that."""
    write_series(tmp_path / "scan", **kind)
    other = write_series(tmp_path / "scan", first=10, SeriesNumber=77)
    found = workspace_of(other, identifier)
    assert values(found.main.header()) == [0, 1, 2, 3, 4]
    (remark,) = check_workspace(found)
    assert "5 files of its DICOM series" in remark.message
    assert values(workspace_of(other, f"{SERIES}.9999").main.header()) == [10, 11, 12, 13, 14]


def test_an_archive_has_the_series_that_the_workspace_names(tmp_path):
    from snapws.archive import archive
    from snapws.verify import verify_archive

    write_series(tmp_path / "scan")
    other = write_series(tmp_path / "scan", first=10, SeriesNumber=77)
    made = workspace_of(other, f"{SERIES}.1286")
    made.save(tmp_path / "study.itksnap")
    packed = archive(made, tmp_path / "out")
    assert values(Workspace.open(packed.workspace).main.header()) == [0, 1, 2, 3, 4]
    assert SERIES not in packed.workspace.read_text(encoding="utf-8")
    verify_archive(packed.workspace, against=made)


@pytest.mark.parametrize("has_preamble", [True, False], ids=["preamble", "no preamble"])
def test_files_that_name_no_series_are_one(tmp_path, has_preamble):
    file = write_series(tmp_path / "scan", SeriesInstanceUID=None, preamble=has_preamble)
    write_slice(tmp_path / "scan" / "other.dcm", 3, 9)  # of a series that has a name
    assert values(images.read_header(file)) == [0, 1, 2, 3, 4]
    assert values(images.read_header(tmp_path / "scan" / "other.dcm")) == [9]


def test_files_without_a_preamble(tmp_path):
    file = write_series(tmp_path / "scan", preamble=False)
    (tmp_path / "scan" / "readme.txt").write_text("of the scan")
    assert file.read_bytes()[128:132] != b"DICM"
    assert values(images.read_header(file)) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("count", [2, 3])
def test_images_at_one_place_are_counted(tmp_path, count):
    for echo in range(count):
        file = write_series(tmp_path / "scan", first=10 * echo, EchoNumbers=echo + 1)
    with pytest.raises(ImageUnsupported, match=f"{count} images at each of 5 places"):
        images.read_header(file)


def test_a_missing_slice_is_still_missing(tmp_path):
    file = write_series(tmp_path / "scan")
    (tmp_path / "scan" / "s002.dcm").unlink()
    with pytest.raises(ImageDamaged, match="missing, doubled or tilted"):
        images.read_header(file)


def write_frames(
    path: Path,
    places: Sequence[Sequence[float]],
    slopes: Sequence[float] = (),
    sop_class: str = ENHANCED_MR,
    change: Callable[[Any], None] = lambda _: None,
) -> Path:
    """Write a file of several frames."""
    made = dataset(sop_class, path.name)
    made.SeriesInstanceUID, made.NumberOfFrames = SERIES, len(places)
    shared, orientation, measures = (pydicom.Dataset() for _ in range(3))
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    measures.PixelSpacing, measures.SliceThickness = [1, 1], 2
    measures.SpacingBetweenSlices = 2
    shared.PlaneOrientationSequence = [orientation]
    shared.PixelMeasuresSequence = [measures]
    made.SharedFunctionalGroupsSequence = [shared]
    frames = []
    for index, place in enumerate(places):
        frame, position = pydicom.Dataset(), pydicom.Dataset()
        position.ImagePositionPatient = list(place)
        frame.PlanePositionSequence = [position]
        if slopes:
            scaling = pydicom.Dataset()
            scaling.RescaleSlope, scaling.RescaleIntercept = slopes[index], 0
            scaling.RescaleType = "US"
            frame.PixelValueTransformationSequence = [scaling]
        frames.append(frame)
    made.PerFrameFunctionalGroupsSequence = frames
    voxels = np.repeat(np.arange(len(places), dtype="<i2"), ROWS * COLUMNS)
    made.PixelData = voxels.tobytes()
    change(made)
    pydicom.dcmwrite(path, made, enforce_file_format=True)
    return path


STACK = [(0, 0, 2 * index) for index in range(4)]


def test_frames_that_are_evenly_stacked_are_an_image(tmp_path):
    header = images.read_header(write_frames(tmp_path / "a.dcm", STACK))
    assert values(header) == [0, 1, 2, 3]
    assert header.nifti["pixdim"][1:4].tolist() == [1, 1, 2]


def test_frames_with_the_same_slope_are_an_image(tmp_path):
    header = images.read_header(write_frames(tmp_path / "a.dcm", STACK, [3, 3, 3, 3]))
    assert values(header) == [0, 3, 6, 9]


@pytest.mark.parametrize(
    ("places", "message"),
    [
        ([(0, 0, 0), (0, 0, 2), (0, 0, 7), (0, 0, 9)], "are not evenly stacked"),
        ([(0, 0, 0), (0, 0, 0), (0, 0, 2), (0, 0, 2)], "are 2 images at each of 2 places"),
        ([(0, 0, 0), (0, 0, 4), (0, 0, 2), (0, 0, 6)], "are not evenly stacked"),
        ([(0, 0, 0), (5, 0, 2), (0, 0, 4), (0, 0, 6)], "are not evenly stacked"),
        ([(1, 2, 3)] * 4, "are all at one place"),
    ],
    ids=["gap", "echoes", "out of order", "tilted", "time"],
)
def test_frames_that_are_not_one_image_are_refused(tmp_path, places, message):
    file = write_frames(tmp_path / "a.dcm", places)
    with pytest.raises(ImageUnsupported, match=f"{message}.*: convert it to NIfTI first"):
        images.read_header(file)


def test_frames_with_a_slope_each_are_refused(tmp_path):
    file = write_frames(tmp_path / "a.dcm", STACK, [1, 1, 2, 1])
    with pytest.raises(ImageUnsupported, match="a slope or intercept of its own"):
        images.read_header(file)


def test_frames_of_different_orientations_are_refused(tmp_path):
    def turn(made: Any) -> None:
        for index, frame in enumerate(made.PerFrameFunctionalGroupsSequence):
            orientation = pydicom.Dataset()
            orientation.ImageOrientationPatient = [1, 0, 0, 0, *((1, 0) if index else (0, 1))]
            frame.PlaneOrientationSequence = [orientation]

    file = write_frames(tmp_path / "a.dcm", STACK, change=turn)
    with pytest.raises(ImageUnsupported, match="different orientations"):
        images.read_header(file)


def test_frames_of_which_some_are_not_described_are_refused(tmp_path):
    def forget(made: Any) -> None:
        del made.PerFrameFunctionalGroupsSequence[-1]

    file = write_frames(tmp_path / "a.dcm", STACK, change=forget)
    with pytest.raises(ImageDamaged, match="describes 3 of its 4 frames"):
        images.read_header(file)


def test_a_segmentation_is_refused_with_the_way_out(tmp_path):
    file = write_frames(tmp_path / "a.dcm", STACK, sop_class=SEGMENTATION)
    with pytest.raises(ImageUnsupported, match="a DICOM segmentation.*convert it first"):
        images.read_header(file)

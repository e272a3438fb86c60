"""Each row of docs/reference/other-programs.md: two real readers, and what check says of it."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from nibabel.spatialimages import HeaderDataError

from snapws import ImageDamaged, Workspace, geometry, images
from snapws.check import check_workspace
from tests.snapws.images import placement_samples as samples
from tests.snapws.images.test_placement import BOTH, QFORM, SFORM, write


def found(path: Path) -> list[tuple[str, str, str]]:
    workspace = Workspace()
    workspace.set_main(path)
    return [(one.severity, one.kind, one.message) for one in check_workspace(workspace)]


#: Fields of the header, and a part of the line that check prints.
DIFFERENT = {
    "forms that differ, sform of code 2": (
        {**BOTH, "sform_code": 2},
        "two forms differ; ITK-SNAP takes the qform, nibabel and FSL the sform",
    ),
    "sheared sform beside a qform": (
        {**BOTH, "srow_x": (0.2, -2, 0, 7)},
        "its header gives two sizes of a voxel",
    ),
    "pixdim against sform": (
        {**SFORM, "pixdim": (1, 1, 1, 1, 1, 1, 1, 1)},
        "ITK-SNAP takes 1 x 1 x 1 (pixdim), nibabel and FSL 1 x 2 x 3 (sform), ITK 5.2 refuses it",
    ),
    "pixdim against sform beside a qform": (
        {**BOTH, "pixdim": (1, 1, 1, 1, 1, 1, 1, 1)},
        "ITK 5.2 takes the qform",
    ),
    "pixdim of 0": ({**SFORM, "pixdim": (1, 0, 0, 0, 1, 1, 1, 1)}, "two sizes of a voxel"),
    "negative pixdim": (
        {**QFORM, "pixdim": (1, -1, 2, 3, 1, 1, 1, 1)},
        "pixdim is negative, 0 or not finite",
    ),
    "long quaternion": ({**QFORM, "quatern_d": 3}, "nibabel does not"),
    "NaN offset": ({**QFORM, "qoffset_x": np.nan}, "ITK-SNAP takes NaN and infinity"),
    "NaN quaternion": ({**QFORM, "quatern_b": np.nan}, "ITK-SNAP takes NaN and infinity"),
    "infinite pixdim": (
        {**QFORM, "pixdim": (1, np.inf, 2, 3, 1, 1, 1, 1)},
        "ITK-SNAP takes NaN and infinity",
    ),
    "negative pixdim beside an sform alone": (
        {**SFORM, "pixdim": (1, -1, 2, 3, 1, 1, 1, 1)},
        "pixdim is negative, 0 or not finite",
    ),
    "micrometres": (
        {**QFORM, "xyzt_units": 11},
        "its header says micrometres: ITK-SNAP converts size and place to mm, nibabel and FSL",
    ),
    "metres": ({**QFORM, "xyzt_units": 1}, "its header says metres"),
    "no form": ({}, "it has no form"),
}


@pytest.mark.parametrize("row", DIFFERENT)
def test_check_remarks_where_nibabel_reads_a_header_otherwise(tmp_path, row):
    form, words = DIFFERENT[row]
    if row == "pixdim against sform":  # axes of lengths 1, 2, 3 that pixdim does not have
        form = {**form, "srow_x": (0, -2, 0, 7)}
    path = write(tmp_path / "a.nii", form)
    place = samples.itks(path, "NiftiImageIO")
    assert samples.difference(samples.ours(path), place) == ""
    assert place
    itks = np.eye(4)
    itks[:3, :3], itks[:3, 3] = place.directions * place.spacing, place.origin
    try:
        with np.errstate(all="ignore"):
            theirs = nibabel.load(path).affine
    except (HeaderDataError, ValueError):
        theirs = np.full((4, 4), np.nan)
    assert not np.allclose(theirs, itks, atol=1e-3)
    lines = found(path)
    assert lines, row
    assert {(severity, kind) for severity, kind, _ in lines} == {("remark", "reading")}
    assert words in lines[0][2]


@pytest.mark.parametrize(
    "form",
    [
        pytest.param(SFORM, id="sform alone"),
        pytest.param(QFORM, id="qform alone"),
        pytest.param({**QFORM, "pixdim": (0, 1, 2, 3, 1, 1, 1, 1)}, id="qfac 0"),
    ],
)
def test_check_is_silent_where_readers_agree(tmp_path, form):
    path = write(tmp_path / "a.nii", form)
    affine = geometry.affine(images.read_header(path))
    assert np.allclose(affine, nibabel.load(path).affine)
    assert found(path) == []


@pytest.mark.parametrize(
    "form",
    [
        pytest.param(BOTH, id="forms that differ, sform of code 1"),
        pytest.param({**BOTH, "quatern_b": 5}, id="invalid quaternion beside an sform of code 1"),
    ],
)
def test_check_remarks_two_forms_though_todays_readers_agree(tmp_path, form):
    path = write(tmp_path / "a.nii", form)
    place = samples.itks(path, "NiftiImageIO")
    assert samples.difference(samples.ours(path), place) == ""
    image = nibabel.load(path)
    assert np.allclose(geometry.affine(images.read_header(path)), image.affine)
    ((severity, kind, message),) = found(path)
    assert (severity, kind) == ("remark", "reading")
    assert "nibabel and FSL take the sform, ITK before 5.2 the qform" in message


@pytest.mark.parametrize(
    ("dim", "shape"),
    [
        pytest.param((3, 6, 5, 0), (6, 5, 0), id="z of length 0"),
        pytest.param((4, 6, 5, 4, -1), (6, 5, 4, -1), id="time of negative length"),
        pytest.param((7, 6, 5, 4, 1, 1, 1, 1), (6, 5, 4, 1, 1, 1, 1), id="seven axes"),
    ],
)
def test_sizes_are_itks_where_nibabel_has_others(tmp_path, dim, shape):
    path = write(tmp_path / "a.nii", SFORM, dim)
    assert nibabel.load(path).shape == shape
    place = samples.itks(path, "NiftiImageIO")
    assert samples.difference(samples.ours(path), place) == ""
    assert place
    assert tuple(place.size) == tuple(max(1, length) for length in (*shape, 1)[:3])


def test_check_remarks_a_flat_image_that_is_not_at_z_0(tmp_path):
    path = write(tmp_path / "a.nii", SFORM, (2, 6, 5))
    assert nibabel.load(path).affine[2, 3] == 9
    place = samples.itks(path, "NiftiImageIO")
    assert place
    assert (place.origin[2], place.spacing[2]) == (0, 1)
    ((severity, _, message),) = found(path)
    assert severity == "remark"
    assert "of a flat image ITK-SNAP takes no place along z" in message


def test_a_negative_code_of_a_form_counts_as_0(tmp_path):
    path = write(tmp_path / "a.nii", {**SFORM, "sform_code": -1})
    place = samples.itks(path, "NiftiImageIO")
    assert place
    assert place.origin.tolist() == [0, 0, 0]
    assert samples.difference(samples.ours(path), place) == ""
    assert int(nibabel.load(path).header["sform_code"]) == 0


def test_nan_in_an_sform_alone_is_refused_though_nibabel_opens_it(tmp_path):
    path = write(tmp_path / "a.nii", {**SFORM, "srow_x": (0, -2, 0, np.nan)})
    assert np.isnan(nibabel.load(path).affine).any()
    with pytest.raises(ImageDamaged, match="its origin or its axes contain NaN or infinity"):
        images.read_header(path)


def test_check_remarks_a_plain_file_that_itk_reads_instead(tmp_path):
    path = write(tmp_path / "a.nii", SFORM)
    data = path.read_bytes()
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(data[:-120] + bytes([7] * 120)))
    assert sitk.GetArrayFromImage(sitk.ReadImage(tmp_path / "a.nii.gz")).max() == 0
    assert np.max(nibabel.load(tmp_path / "a.nii.gz").dataobj) == 7
    ((severity, kind, message),) = found(tmp_path / "a.nii.gz")
    assert (severity, kind) == ("remark", "reading")
    assert message.startswith("ITK 5.4, and so ITK-SNAP, reads a.nii beside it instead")


@pytest.mark.parametrize(("between", "remarked"), [(b"", False), (bytes(512), True)])
def test_check_remarks_gzip_streams_with_zeros_between(tmp_path, between, remarked):
    data = write(tmp_path / "b.nii", SFORM).read_bytes()[:-60] + bytes([7] * 60)
    path = tmp_path / "a.nii.gz"
    path.write_bytes(gzip.compress(data[:400]) + between + gzip.compress(data[400:]))
    assert np.max(nibabel.load(path).dataobj) == 7
    shown = sitk.GetArrayFromImage(sitk.ReadImage(path)).max()
    assert bool(shown == 0) is remarked
    lines = found(path)
    assert len(lines) == remarked
    assert all("zeros separate the gzip streams" in message for _, _, message in lines)


def _refused_by_itk(path: Path) -> bool:
    try:
        sitk.ReadImage(path)
    except RuntimeError:
        return True
    return False


def test_what_itk_snap_cannot_open_is_an_error(tmp_path):
    voxels = np.zeros((4, 3, 2), np.int16)
    nibabel.save(nibabel.Nifti2Image(voxels, np.eye(4)), tmp_path / "two.nii.gz")
    nibabel.save(nibabel.MGHImage(voxels, np.eye(4)), tmp_path / "a.mgz")
    data = write(tmp_path / "plain.nii", SFORM).read_bytes()
    (tmp_path / "gzip.nii").write_bytes(gzip.compress(data))
    words = {
        "two.nii.gz": "ITK-SNAP does not open NIfTI-2",
        "a.mgz": "ITK-SNAP does not open MGH",
        "gzip.nii": "does not open gzip in a file whose name ends in .nii",
    }
    for name, message in words.items():
        assert _refused_by_itk(tmp_path / name), name
        ((severity, kind, line),) = found(tmp_path / name)
        assert (severity, kind) == ("error", "format"), name
        assert message in line


@pytest.mark.parametrize("name", ["a.mha", "a.nrrd"])
def test_64_bit_whole_numbers_are_an_error(tmp_path, name):
    sitk.WriteImage(sitk.Image((4, 3, 2), sitk.sitkInt64), tmp_path / name)
    ((severity, kind, line),) = found(tmp_path / name)
    assert (severity, kind) == ("error", "format")
    assert "64-bit whole numbers" in line

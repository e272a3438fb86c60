"""Where headers put their voxels, held against SimpleITK, which is ITK-SNAP's reader of headers."""

from __future__ import annotations

import gzip
import logging
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from nibabel.nifti1 import Nifti1Header

from snapws import ImageUnsupported, Workspace, geometry, images
from snapws.archive import archive
from tests.snapws.images import placement_samples as samples

SEED = 20_000
_QUIET = logging.getLogger("tests.nibabel")
_QUIET.addHandler(logging.NullHandler())
_QUIET.propagate = False


@pytest.mark.parametrize("block", range(10))
def test_random_nifti_and_analyze_headers_are_read_as_itk_reads_them(tmp_path, block):
    numbers = range(block * 300, block * 300 + 300)
    found = [samples.nifti_difference(number, SEED, tmp_path) for number in numbers]
    assert [one for one in found if one] == []


@pytest.mark.parametrize("block", range(4))
def test_random_headers_of_other_formats_are_read_as_itk_reads_them(tmp_path, block):
    numbers = range(block * 60, block * 60 + 60)
    found = [samples.other_difference(number, SEED, tmp_path) for number in numbers]
    assert [one for one in found if one] == []


def test_most_random_headers_are_opened_and_some_are_refused(tmp_path):
    """Else the agreement would say little."""
    opened = 0
    for number in range(300):
        header = samples.NiftiSamples(SEED + number).header()
        path = samples.write_nifti(header, tmp_path, "single")
        opened += samples.ours(path) is not None
    assert 200 < opened < 295


@pytest.mark.parametrize("block", range(4))
def test_archives_of_random_headers_lie_where_their_sources_lie(tmp_path, block):
    """For ITK, and for nibabel, which may disagree with ITK about both."""
    for number in range(block * 50, block * 50 + 50):
        header = samples.NiftiSamples(SEED + number).header()
        path = samples.write_nifti(header, tmp_path, "single")
        place = samples.itks(path, "NiftiImageIO")
        if place is None:
            continue
        copy = tmp_path / "copy.nii"
        with copy.open("wb") as file:
            images.write_nifti(images.read_header(path), file, level=0)
        assert samples.difference(place, samples.itks(copy, "NiftiImageIO")) == "", f"{number}"
        if max(int(header["qform_code"]), int(header["sform_code"])) <= 5:
            # A greater one could be letters, and is 2 in an archive; nibabel takes it for 0.
            assert _nibabels(copy) == _nibabels(path), f"{number}: {header}"


def _nibabels(path: Path) -> str:
    """Return where nibabel puts an image, or why it does not."""
    header = Nifti1Header(path.read_bytes()[:348], check=False)
    if header.endianness == ">":
        header = header.as_byteswapped("<")
    try:
        # A size of 0 or less is 1 in an archive: it has the voxels that ITK reads.
        header["dim"] = np.maximum(header["dim"], 1)
        axes = min(int(header["dim"][0]), 5)
        header.check_fix(_QUIET, 40)  # as nibabel does in front of reading
        with np.errstate(all="ignore"):
            affine = header.get_best_affine()
        return np.array2string(affine[:3, : min(axes, 3)].astype(np.float32), precision=5)
    except (nibabel.spatialimages.HeaderDataError, ValueError) as error:
        return type(error).__name__


def write(path: Path, form: dict[str, object], dim: tuple[int, ...] = (3, 6, 5, 4)) -> Path:
    """Write a NIfTI image with the given fields of its header."""
    header = Nifti1Header()
    header["dim"] = [*dim, *[1] * (8 - len(dim))]
    header["datatype"], header["bitpix"], header["vox_offset"] = 2, 8, 352
    header["magic"] = b"n+1"
    header["pixdim"][:4] = 1, 1, 2, 3
    header["xyzt_units"] = 2
    for name, value in form.items():
        header[name] = value
    path.write_bytes(bytes(header.binaryblock) + bytes(4 + 120))
    return path


SFORM = {"sform_code": 1, "srow_x": (0, -2, 0, 7), "srow_y": (1, 0, 0, 8), "srow_z": (0, 0, 3, 9)}
QFORM = {"qform_code": 1, "qoffset_x": 1, "qoffset_y": 2, "qoffset_z": 3}
BOTH = {**SFORM, **QFORM}


@pytest.mark.parametrize(
    ("form", "origin", "spacing", "orientation"),
    [
        pytest.param(BOTH, (7, 8, 9), (1, 2, 3), "ALS", id="both codes 1: sform"),
        pytest.param({**BOTH, "qform_code": 4}, (7, 8, 9), (1, 2, 3), "ALS", id="codes 4 and 1"),
        pytest.param({**BOTH, "sform_code": 2}, (1, 2, 3), (1, 2, 3), "RAS", id="codes 1 and 2"),
        pytest.param(
            {**BOTH, "srow_x": (0.001, -2, 0, 7)}, (1, 2, 3), (1, 2, 3), "RAS", id="sheared sform"
        ),
        pytest.param(SFORM, (7, 8, 9), (1, 2, 3), "ALS", id="sform alone"),
        pytest.param({}, (0, 0, 0), (1, 2, 3), "LPS", id="no form"),
        pytest.param(
            {**SFORM, "pixdim": (1, 5, 6, 7, 1, 1, 1, 1)}, (7, 8, 9), (5, 6, 7), "ALS", id="pixdim"
        ),
        pytest.param(
            {**QFORM, "pixdim": (1, 0, 2, 0, 1, 1, 1, 1)}, (1, 2, 3), (1, 2, 1), "RAS", id="zero"
        ),
        pytest.param(
            {**QFORM, "pixdim": (1, -1, 2, 3, 1, 1, 1, 1)}, (1, 2, 3), (1, 2, 3), "LAS", id="minus"
        ),
        pytest.param(
            {**BOTH, "quatern_b": np.nan, "quatern_c": 5},
            *((7, 8, 9), (1, 2, 3), "ALS"),
            id="invalid quaternion beside an sform of code 1",
        ),
        pytest.param(
            {**QFORM, "pixdim": (0, 1, 2, 3, 1, 1, 1, 1)}, (1, 2, 3), (1, 2, 3), "RAS", id="qfac 0"
        ),
        pytest.param({**QFORM, "quatern_d": 3}, (1, 2, 3), (1, 2, 3), "LPS", id="long quaternion"),
        pytest.param(
            {**QFORM, "quatern_b": np.nan, "qoffset_x": np.nan, "pixdim": [1, np.inf, 2, 3] * 2},
            *((0, 2, 3), (1, 2, 3), "RAS"),
            id="NaN and infinity",
        ),
        pytest.param(
            {**QFORM, "xyzt_units": 11},
            (0.001, 0.002, 0.003),
            (0.001, 0.002, 0.003),
            "RAS",
            id="micron and milliseconds",
        ),
        pytest.param(
            {**QFORM, "xyzt_units": 1}, (1000, 2000, 3000), (1000, 2000, 3000), "RAS", id="metre"
        ),
        pytest.param({**SFORM, "qform_code": -1}, (7, 8, 9), (1, 2, 3), "ALS", id="negative code"),
    ],
)
def test_each_rule_of_nifti_headers(tmp_path, form, origin, spacing, orientation):
    path = write(tmp_path / "a.nii", form)
    affine = geometry.affine(images.read_header(path))
    assert np.allclose(affine[:3, 3], origin)
    assert np.allclose(geometry.voxel_sizes(affine), spacing)
    assert geometry.orientation(affine) == orientation
    assert samples.difference(samples.ours(path), samples.itks(path, "NiftiImageIO")) == ""


@pytest.mark.parametrize(
    ("dim", "extent"),
    [
        pytest.param((3, 6, 5, 0), (6, 5, 1), id="z of length 0"),
        pytest.param((4, 6, 5, 4, -1), (6, 5, 4), id="time of negative length"),
        pytest.param((7, 6, 5, 4, 1, 1, 1, 1), (6, 5, 4), id="seven axes"),
        pytest.param((2, 6, 5), (6, 5, 1), id="flat"),
    ],
)
def test_sizes_that_are_read_as_itk_reads_them(tmp_path, dim, extent):
    path = write(tmp_path / "a.nii", BOTH, dim)
    assert images.read_header(path).spatial_shape == extent
    assert samples.difference(samples.ours(path), samples.itks(path, "NiftiImageIO")) == ""


def test_an_sform_alone_that_is_sheared_is_refused(tmp_path):
    path = write(tmp_path / "a.nii", {**SFORM, "srow_x": (1e-3, -2, 0, 7)})
    with pytest.raises(ImageUnsupported, match="sheared, and ITK-SNAP opens only NIfTI images"):
        images.read_header(path)
    assert samples.itks(path, "NiftiImageIO") is None


def _archive(path: Path, folder: Path) -> Path:
    workspace = Workspace()
    workspace.set_main(path)
    archive(workspace, folder)
    return next(folder.glob("*.nii.gz"))


def test_a_header_that_two_readers_read_differently_is_archived_with_its_fields(tmp_path):
    form = {**BOTH, "sform_code": 1, "pixdim": (0, -5, 0, 7, 1, 1, 1, 1), "xyzt_units": 3}
    path = write(tmp_path / "a.nii", {**form, "quatern_b": 7})
    ours = Nifti1Header(gzip.decompress(_archive(path, tmp_path / "out").read_bytes())[:348])
    theirs = Nifti1Header(path.read_bytes()[:348])
    for name in (*form, "quatern_b", "srow_y"):
        assert np.array_equal(ours[name], theirs[name]), name


def test_a_sheared_image_of_another_format_is_shown_and_not_archived(tmp_path):
    image = sitk.Image((4, 3, 2), sitk.sitkUInt8)
    image.SetDirection((1, 0.2, 0, 0, 1, 0, 0, 0, 1))
    sitk.WriteImage(image, tmp_path / "a.nrrd")
    assert samples.ours(tmp_path / "a.nrrd") is not None
    with pytest.raises(ImageUnsupported, match="layer 000: .*sheared"):
        _archive(tmp_path / "a.nrrd", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_long_axis_of_another_format_is_shown_and_not_archived(tmp_path):
    sitk.WriteImage(sitk.Image(40_000, 1, sitk.sitkUInt8), tmp_path / "a.mha")
    header = images.read_header(tmp_path / "a.mha")
    assert (header.shape, sum(map(len, header.voxels()))) == ((40_000, 1), 40_000)
    with pytest.raises(ImageUnsupported, match="layer 000: .*longer than 32767"):
        _archive(tmp_path / "a.mha", tmp_path / "out")

"""How much of a segmentation is which label."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest

from snapws import ImageDamaged, ImageUnsupported
from snapws.images import read_header
from snapws.volumes import label_volumes


def counted(path, voxels, spacing=(1, 1, 1), **fields):
    image = nibabel.Nifti1Image(voxels, np.diag([*spacing, 1]))
    for name, value in fields.items():
        image.header[name] = value
    image.to_filename(path)
    return label_volumes(read_header(path))


@pytest.mark.parametrize("dtype", ["u1", "i1", "<u2", ">u2", "<i2", "<i4", ">f4", "<f8"])
def test_labels_of_any_type_are_counted(tmp_path, dtype):
    voxels = np.zeros((70, 60, 50), np.dtype(dtype))
    voxels[:3, :2, 0] = 1
    voxels[-1, -1, -5:] = 100
    found = counted(tmp_path / "s.nii", voxels, spacing=(-0.5, 2, 3))
    assert found.voxels == ({0: voxels.size - 11, 1: 6, 100: 5},)
    assert found.voxel_volume == pytest.approx(3)


def test_the_volume_of_a_voxel_that_lies_obliquely(tmp_path):
    affine = nibabel.affines.from_matvec(nibabel.eulerangles.euler2mat(0.6, 0.7, 0.5))
    labels = np.ones((3, 3, 3), np.uint8)
    image = nibabel.Nifti1Image(labels, affine @ np.diag([0.5, 2, 3, 1]))
    image.to_filename(tmp_path / "s.nii")
    assert label_volumes(read_header(tmp_path / "s.nii")).voxel_volume == pytest.approx(3)


def test_what_is_no_label_is_not_counted(tmp_path):
    values = [-1, -7.5, np.nan, np.inf, 65536, 65535, 7, 0]
    voxels = np.array(values, np.float32).reshape(2, 2, 2)
    assert counted(tmp_path / "s.nii.gz", voxels).voxels == ({0: 1, 7: 1, 65535: 1},)


def test_numbers_between_labels_are_cast(tmp_path):
    values = [-0.5, 0.5, 0.999, 1.5, 2.25, 2.99, 65535.5, 7]
    voxels = np.array(values, np.float32).reshape(2, 2, 2)
    assert counted(tmp_path / "s.nii.gz", voxels).voxels == ({0: 3, 1: 1, 2: 2, 7: 1, 65535: 1},)


def test_scaling_is_applied(tmp_path):
    path, voxels = tmp_path / "s.nii", np.arange(8, dtype=np.uint8).reshape(2, 2, 2)
    counted(path, voxels)
    data = bytearray(path.read_bytes())
    data[112:120] = np.array([0.5, 1], "<f4").tobytes()
    path.write_bytes(data)
    assert label_volumes(read_header(path)).voxels == ({1: 2, 2: 2, 3: 2, 4: 2},)


def test_labels_are_whole_where_scaling_is_not_exact(tmp_path):
    """Ten times the float32 that is nearest to 0.7 is 6.9999999."""
    path = tmp_path / "s.nii"
    counted(path, np.full((2, 2, 2), 10, np.uint8))
    data = bytearray(path.read_bytes())
    data[112:120] = np.array([0.7, 0], "<f4").tobytes()
    path.write_bytes(data)
    assert label_volumes(read_header(path)).voxels == ({7: 8},)


def test_time_points_are_told_apart_wherever_pieces_end(tmp_path):
    rng = np.random.default_rng(1)
    voxels = rng.integers(0, 3, (61, 53, 47, 4), np.uint16)
    found = counted(tmp_path / "s.nii.gz", voxels).voxels
    assert found == tuple(
        {label: int((voxels[..., t] == label).sum()) for label in range(3)} for t in range(4)
    )


def test_what_is_no_segmentation_is_refused(tmp_path):
    with pytest.raises(ImageUnsupported, match=r"s.nii: it has not one real number a voxel"):
        counted(tmp_path / "s.nii", np.zeros((2, 2, 2), np.complex64))
    with pytest.raises(ImageUnsupported, match=r"s.nii: it has not one real number a voxel"):
        counted(tmp_path / "s.nii", np.zeros((2, 2, 2, 1, 3), np.uint8), intent_code=1007)
    counted(tmp_path / "cut.nii", np.zeros((9, 9, 9), np.uint8))
    cut = (tmp_path / "cut.nii").read_bytes()[:-1]
    (tmp_path / "cut.nii").write_bytes(cut)
    with pytest.raises(ImageDamaged, match="cut short"):
        label_volumes(read_header(tmp_path / "cut.nii"))


def test_a_voxel_has_the_volume_of_one_of_the_main_image(tmp_path):
    """A segmentation whose header still says micrometres, for example."""
    for name, size in (("main", 0.01), ("labels", 10.0)):
        voxels = np.ones((4, 3, 2), np.uint8)
        nibabel.Nifti1Image(voxels, np.diag([size] * 3 + [1])).to_filename(tmp_path / f"{name}.nii")
    main, labels = (read_header(tmp_path / f"{name}.nii") for name in ("main", "labels"))
    assert label_volumes(labels, main).voxel_volume == pytest.approx(1e-6)
    assert label_volumes(labels).voxel_volume == pytest.approx(1000)

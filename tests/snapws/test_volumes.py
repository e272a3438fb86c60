"""How much of a segmentation is which label."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest

from snapws import ImageDamaged, ImageUnsupported, InvalidValue, Label, LayerFileMissing, Workspace
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
    with pytest.raises(
        ImageUnsupported, match=r"s.nii: a segmentation needs one real number per voxel"
    ):
        counted(tmp_path / "s.nii", np.zeros((2, 2, 2), np.complex64))
    with pytest.raises(
        ImageUnsupported, match=r"s.nii: a segmentation needs one real number per voxel"
    ):
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


def study(folder, main, labels, *, main_affine=None):
    main_affine = np.diag([1, 2, 3, 1]) if main_affine is None else main_affine
    nibabel.Nifti1Image(main, main_affine).to_filename(folder / "main.nii.gz")
    # Its own header says another size of a voxel, which is not what ITK-SNAP takes.
    nibabel.Nifti1Image(labels, np.eye(4)).to_filename(folder / "labels.nii.gz")
    workspace = Workspace()
    workspace.set_main(folder / "main.nii.gz")
    workspace.add_segmentation(folder / "labels.nii.gz", any_size=True)
    return workspace


def test_the_volumes_of_a_workspace_and_the_means_under_the_labels(tmp_path):
    rng = np.random.default_rng(1)
    main = rng.normal(100, 30, (80, 70, 60, 2)).astype(np.float32)
    main[3, 4, 5, 0], main[3, 4, 6, 0] = np.nan, np.inf
    labels = rng.choice([0, 1, 700], main.shape).astype(np.int16)
    labels[3, 4, 5:7, 0] = 1
    labels[0, 0, 0] = -3
    workspace = study(tmp_path, main, labels)
    workspace.labels = [Label(700, "Lesion"), Label(9, "Nowhere")]
    found = workspace.volumes()
    assert [(one.layer, one.time_point, one.label, one.name) for one in found] == [
        (1, 1, 1, ""),
        (1, 1, 700, "Lesion"),
        (1, 2, 1, ""),
        (1, 2, 700, "Lesion"),
    ]
    for one in found:
        there = main[..., one.time_point - 1][labels[..., one.time_point - 1] == one.label]
        assert one.voxels == len(there)
        assert one.volume_mm3 == pytest.approx(6 * len(there))
        assert one.mean == pytest.approx(there[np.isfinite(there)].mean(dtype=float), rel=1e-9)


def test_labels_over_nan_or_colours_have_no_mean(tmp_path):
    labels = np.array([[[1, 2]]], np.uint8)
    workspace = study(tmp_path, np.array([[[np.nan, 5]]], np.float32), labels)
    assert [one.mean for one in workspace.volumes()] == [None, 5]
    colours = np.zeros((1, 1, 2), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    assert [one.mean for one in study(tmp_path, colours, labels).volumes()] == [None, None]


def test_a_scaled_main_image_counts_by_its_values(tmp_path):
    workspace = study(tmp_path, np.array([[[2, 4]]], np.int16), np.ones((1, 1, 2), np.uint8))
    image = nibabel.load(tmp_path / "main.nii.gz")
    image = nibabel.Nifti1Image(np.array([[[2, 4]]], np.int16), image.affine, image.header)
    image.header.set_slope_inter(0.5, 10)
    image.to_filename(tmp_path / "main.nii")
    workspace.set_main(tmp_path / "main.nii")
    header = workspace.main.header()
    slope, intercept = header.scaling or (1, 0)
    stored = np.frombuffer(b"".join(header.voxels()), header.dtype)
    assert workspace.volumes()[0].mean == pytest.approx((stored * slope + intercept).mean())


def test_a_segmentation_of_another_size_and_missing_files_are_refused(tmp_path):
    workspace = study(tmp_path, np.zeros((2, 2, 2)), np.ones((2, 2, 3), np.uint8))
    with pytest.raises(InvalidValue, match=r"labels\.nii\.gz: its size is 2 x 2 x 3"):
        workspace.volumes()
    (tmp_path / "labels.nii.gz").unlink()
    with pytest.raises(LayerFileMissing):
        workspace.volumes()

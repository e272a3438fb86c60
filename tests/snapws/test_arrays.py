"""Layers as arrays, and arrays as layers."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - its usual name

from snapws import (
    ImageDamaged,
    InvalidValue,
    Label,
    LayerFileMissing,
    LayerNotFound,
    Role,
    Workspace,
    resample,
)
from snapws.arrays import safe_name

AFFINE = nibabel.affines.from_matvec(
    nibabel.eulerangles.euler2mat(0.3, 0.2, 0.1) @ np.diag([-1.0, -2.0, 3.0]), [10, -20, 30]
)
VOXELS = np.random.default_rng(3).integers(-900, 900, (6, 5, 4), np.int16)


def save(path: Path, voxels: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    nibabel.Nifti1Image(voxels, affine).to_filename(path)
    return path


def study(folder: Path, voxels: np.ndarray = VOXELS, name: str = "main.nii.gz") -> Workspace:
    workspace = Workspace()
    workspace.set_main(save(folder / name, voxels)).tags = ("Target",)
    workspace.image_folder = folder
    return workspace


# ------------------------------------------------------------------------------ reading


@pytest.mark.parametrize("name", ["main.nii", "main.nii.gz"])
@pytest.mark.parametrize("dtype", ["u1", ">i2", "<f4", ">f8"])
def test_an_array_has_the_values_in_x_y_z(tmp_path, name, dtype):
    voxels = np.abs(VOXELS).astype(dtype) % 200
    array = study(tmp_path, voxels, name).main.array()
    assert array.shape == (6, 5, 4)
    assert array.dtype == np.dtype(dtype).newbyteorder("=")
    assert np.array_equal(np.asarray(array), voxels)
    for index in (np.s_[2], np.s_[:, :, 1], np.s_[1:3, ::-1, -1], np.s_[..., 2], voxels > 100):
        assert np.array_equal(array[index], voxels[index])
    with pytest.raises(IndexError):
        array[9]


def test_a_slice_is_read_alone_where_the_file_is_not_compressed(tmp_path):
    layer = study(tmp_path, VOXELS, "main.nii").main
    array = layer.array()
    assert np.array_equal(array[:, :, 1], VOXELS[:, :, 1])
    with (tmp_path / "main.nii").open("r+b") as file:  # nothing of the file was kept
        file.seek(352 + 2 * 30)
        file.write(np.full(30, 7, "<i2").tobytes())
    assert (array[:, :, 1] == 7).all()


def test_what_is_given_is_the_callers_own(tmp_path):
    array = study(tmp_path).main.array()
    array[...][:] = 0
    assert np.array_equal(array[...], VOXELS)
    np.asarray(array)[:] = 0
    assert np.array_equal(np.asarray(array), VOXELS)


def test_time_comes_before_the_component(tmp_path):
    times = np.arange(6 * 5 * 4 * 3, dtype=np.float32).reshape(6, 5, 4, 3)
    assert np.array_equal(study(tmp_path, times).main.array(), times)
    vectors = times.reshape(6, 5, 4, 1, 3)
    array = study(tmp_path, vectors).main.array()
    assert np.array_equal(array, vectors[:, :, :, 0])
    colours = np.zeros((2, 2, 2), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    colours["G"][1, 0, 1] = 9
    found = np.asarray(study(tmp_path, colours).main.array())
    assert found.shape == (2, 2, 2, 3)
    assert np.argwhere(found).tolist() == [[1, 0, 1, 1]]


@pytest.mark.parametrize("name", ["main.nii", "main.nii.gz"])
def test_a_slope_is_applied_as_simpleitk_does(tmp_path, name):
    image = nibabel.Nifti1Image(np.zeros((6, 5, 4), np.int16), AFFINE)
    image.to_filename(tmp_path / "plain.nii")
    data = bytearray((tmp_path / "plain.nii").read_bytes())
    data[112:120] = np.array([0.5, 10], "<f4").tobytes()
    data[352:] = VOXELS.tobytes(order="F")
    (tmp_path / "plain.nii").write_bytes(data)
    workspace = Workspace()
    workspace.set_main(tmp_path / "plain.nii")
    if name.endswith(".gz"):
        import gzip

        (tmp_path / name).write_bytes(gzip.compress(data))
        workspace.set_main(tmp_path / name)
    array = workspace.main.array()
    there = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "plain.nii"))).transpose(2, 1, 0)
    assert np.array_equal(array[...], there)
    assert np.array_equal(array[2:, 1], there[2:, 1])
    assert array.dtype == array[...].dtype


def test_a_file_that_is_cut_short_or_missing_is_refused(tmp_path):
    workspace = study(tmp_path, VOXELS, "main.nii")
    array = workspace.main.array()
    with (tmp_path / "main.nii").open("r+b") as file:
        file.truncate(400)
    with pytest.raises(ImageDamaged, match="cut short"):
        array[0]
    (tmp_path / "main.nii").unlink()
    with pytest.raises(LayerFileMissing):
        workspace.main.array()


@pytest.mark.parametrize("ending", [".nii.gz", ".mha", ".nrrd"])
def test_nibabel_and_simpleitk_get_the_image_where_itk_has_it(tmp_path, ending):
    source = sitk.ReadImage(str(save(tmp_path / "source.nii.gz", VOXELS)))
    sitk.WriteImage(source, str(tmp_path / f"main{ending}"))
    workspace = Workspace()
    workspace.set_main(tmp_path / f"main{ending}")
    found = workspace.main.simpleitk()
    assert found.GetPixelID() == source.GetPixelID()
    for name in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
        assert np.allclose(getattr(found, name)(), getattr(source, name)(), atol=1e-5), name
    assert np.array_equal(sitk.GetArrayFromImage(found), sitk.GetArrayFromImage(source))
    image = workspace.main.nibabel()
    assert np.allclose(image.affine, AFFINE, atol=1e-5)
    assert np.allclose(image.get_qform(), image.get_sform(), atol=1e-5)
    assert np.array_equal(image.dataobj, VOXELS)


def test_time_points_and_vectors_reach_nibabel_and_simpleitk(tmp_path):
    times = np.arange(6 * 5 * 4 * 3, dtype=np.float32).reshape(6, 5, 4, 3)
    layer = study(tmp_path, times).main
    there = sitk.ReadImage(str(layer.path))
    assert layer.simpleitk().GetDimension() == 4
    assert np.array_equal(sitk.GetArrayFromImage(layer.simpleitk()), sitk.GetArrayFromImage(there))
    assert layer.nibabel().shape == (6, 5, 4, 3)
    layer = study(tmp_path, times.reshape(6, 5, 4, 1, 3)).main
    assert layer.simpleitk().GetNumberOfComponentsPerPixel() == 3
    assert layer.simpleitk().GetPixel(1, 2, 3) == tuple(times[1, 2, 3])
    assert layer.nibabel().shape == (6, 5, 4, 1, 3)
    assert np.array_equal(layer.nibabel().dataobj, times.reshape(6, 5, 4, 1, 3))


# ------------------------------------------------------------------------------ writing


@pytest.mark.parametrize(
    ("dtype", "greatest", "stored"),
    [
        *[(bool, 1, "u1"), ("i8", 255, "u1"), ("u1", 3, "u1")],
        *[("i8", 256, "u2"), ("f4", 65535, "u2"), (">u4", 700, "u2")],
    ],
)
def test_a_segmentation_has_the_smallest_type_and_the_place_of_its_layer(
    tmp_path, dtype, greatest, stored
):
    workspace = study(tmp_path)
    labels = np.zeros((6, 5, 4), dtype)
    labels[1, 2, 3] = greatest
    layer = workspace.add_segmentation(
        labels, like="Target", labels={1: "Lesion"}, nickname="Lesions", tags=["Result"]
    )
    assert (layer.role, layer.nickname, layer.tags) == (Role.SEGMENTATION, "Lesions", ("Result",))
    assert layer.path == tmp_path / "Lesions.nii.gz"
    image = nibabel.load(layer.path)
    assert image.get_data_dtype() == np.dtype(stored)
    assert np.array_equal(image.dataobj, labels.astype(stored))
    assert (image.header["qform_code"], image.header["sform_code"]) != (0, 0)
    for matrix in (image.get_qform(), image.get_sform()):
        assert np.allclose(matrix, AFFINE, atol=1e-4)
    main, written = (sitk.ReadImage(str(one.path)) for one in (workspace.main, layer))
    assert np.allclose(written.GetOrigin(), main.GetOrigin(), atol=1e-4)
    assert np.allclose(written.GetDirection(), main.GetDirection(), atol=1e-5)
    assert [label.name for label in workspace.labels] == ["Lesion"]


@pytest.mark.parametrize(
    ("dtype", "values", "stored"),
    [
        *[("f8", (np.nan, 1.5), "f8"), ("f4", (np.nan, np.inf), "f4"), ("f2", (0.5, 2), "f4")],
        *[("i8", (-5, 127), "i1"), ("i8", (-5, 300), "i2"), ("i8", (0, 40000), "u2")],
        *[("u8", (0, 2**40), "i8"), ("u8", (0, 2**64 - 1), "u8"), (bool, (0, 1), "u1")],
    ],
)
def test_an_overlay_keeps_its_values_in_the_smallest_type(tmp_path, dtype, values, stored):
    workspace = study(tmp_path)
    array = np.zeros((6, 5, 4), dtype)
    array[0, 0, 0], array[1, 2, 3] = values
    layer = workspace.add_overlay(array, like=workspace.main, nickname="Map")
    image = nibabel.load(layer.path)
    assert image.get_data_dtype() == np.dtype(stored)
    assert np.array_equal(image.dataobj, array.astype(stored), equal_nan=stored[0] == "f")


@pytest.mark.parametrize(
    ("array", "said"),
    [
        pytest.param(np.full((6, 5, 4), 65536), "renumber them", id="above"),
        pytest.param(np.full((6, 5, 4), -1), "has -1", id="negative"),
        pytest.param(np.full((6, 5, 4), 0.5), "whole numbers", id="fraction"),
        pytest.param(np.full((6, 5, 4), np.nan), "whole numbers", id="nan"),
        pytest.param(np.full((6, 5, 4), np.inf), "inf", id="infinite"),
        pytest.param(np.zeros((6, 5, 4), complex), "one real number", id="complex"),
        pytest.param(np.full((6, 5, 4), "x"), "one real number", id="text"),
        pytest.param(np.zeros((4, 5, 6), "u1"), "swap its axes", id="turned"),
        pytest.param(np.zeros((6, 5, 4, 2), "u1"), "time point", id="time"),
        pytest.param(np.zeros((6, 5), "u1"), "6 x 5", id="flat"),
        pytest.param(np.zeros(()), "no axes", id="number"),
        pytest.param(np.zeros((6, 5, 4, 0), "u1"), "6 x 5 x 4 x 0", id="empty"),
    ],
)
def test_an_array_that_is_not_a_segmentation_is_refused_and_writes_nothing(tmp_path, array, said):
    workspace = study(tmp_path)
    before = workspace.registry.copy(), sorted(tmp_path.iterdir())
    with pytest.raises(InvalidValue, match=said):
        workspace.add_segmentation(array, labels={1: "Lesion"})
    assert (dict(before[0].walk()), before[1]) == (
        dict(workspace.registry.walk()),
        sorted(tmp_path.iterdir()),
    )


def test_no_file_is_written_over(tmp_path):
    workspace = study(tmp_path)
    labels = np.ones((6, 5, 4), bool)
    paths = [workspace.add_segmentation(labels, nickname="A/B").path.name for _ in range(3)]
    assert paths == ["A_B.nii.gz", "A_B-2.nii.gz", "A_B-3.nii.gz"]
    assert workspace.add_overlay(labels, nickname="..").path.name == "image.nii.gz"
    (tmp_path / "mine.nii").write_text("mine")
    (tmp_path / "link.nii").symlink_to(tmp_path / "nowhere")
    for taken in ("mine.nii", "link.nii"):
        with pytest.raises(InvalidValue, match="already exists"):
            workspace.add_overlay(labels, file=taken)
    assert (tmp_path / "mine.nii").read_text() == "mine"
    assert not (tmp_path / "nowhere").exists()
    with pytest.raises(InvalidValue, match=r"ends in \.nii"):
        workspace.add_overlay(labels, file="mine.mha")


def test_a_refusal_after_the_file_was_written_removes_it(tmp_path):
    workspace = study(tmp_path)
    with pytest.raises(InvalidValue):
        workspace.add_overlay(np.zeros((6, 5, 4)), nickname="Map", tags=["a,b"])
    assert not (tmp_path / "Map.nii.gz").exists()
    other = save(tmp_path / "other.nii", np.zeros((3, 3, 3), np.uint8))
    workspace.add_overlay(other, tags=["Other"])
    with pytest.raises(InvalidValue, match="does not open it"):
        workspace.add_segmentation(np.zeros((3, 3, 3), bool), like="Other")
    assert not (tmp_path / "segmentation.nii.gz").exists()
    overlay = workspace.add_overlay(np.zeros((3, 3, 3)), like="Other")
    assert overlay.header().spatial_shape == (3, 3, 3)


def test_like_and_file_are_for_arrays_and_like_has_to_be_there(tmp_path):
    workspace = study(tmp_path)
    with pytest.raises(InvalidValue, match="for arrays"):
        workspace.add_overlay(workspace.main.path, like="Target")
    with pytest.raises(LayerNotFound):
        workspace.add_overlay(VOXELS, like="Source")
    assert workspace.add_overlay(VOXELS, like=0).number == 1


def test_new_names_of_labels_keep_the_colours_of_existing_labels(tmp_path):
    workspace = study(tmp_path)
    workspace.labels = [Label(1, "One", (1, 2, 3), 9), Label(5, "Five")]
    workspace.add_segmentation(np.ones((6, 5, 4), bool), labels={1: "Lesion", 2: "Edema"})
    assert workspace.labels[0] == Label(1, "Lesion", (1, 2, 3), 9)
    assert [label.name for label in workspace.labels] == ["Lesion", "Edema", "Five"]
    for names in ({0: "Background"}, {65536: "High"}):
        with pytest.raises(InvalidValue):
            workspace.add_segmentation(np.ones((6, 5, 4), bool), labels=names)
    assert len(workspace.layers()) == 2


@pytest.mark.parametrize(
    ("text", "name"),
    [
        *[
            ("a/b\\c", "a_b_c"),
            ("..", ""),
            (" . x . ", "x"),
            ("CON", "_CON"),
            ("lpt1.x", "_lpt1.x"),
        ],
        *[("tab\tline\n", "tab_line_"), ("", ""), ("Läsion 1", "Läsion 1"), ("x" * 300, "x" * 100)],
    ],
)
def test_names_of_files_are_such_on_any_system(text, name):
    assert safe_name(text) == name


# ---------------------------------------------------------------------------- resampling


def test_resampling_looks_where_itk_snap_shows_the_layers(tmp_path):
    workspace = study(tmp_path)
    moved = AFFINE.copy()
    moved[:3, 3] += AFFINE[:3, :3] @ [1, 2, 0]  # one and two voxels on
    layer = workspace.add_overlay(save(tmp_path / "moved.nii.gz", VOXELS, moved))
    for labels in (True, False):
        found = resample(layer, "Target", labels=labels)
        assert np.allclose(found[1:, 2:], VOXELS[:-1, :-2], atol=0.05)
        assert not found[0].any()
    assert found.dtype == np.float32
    assert resample(layer, "Target", labels=True).dtype == np.int16
    layer.transform = moved @ np.linalg.inv(AFFINE)
    assert np.array_equal(resample(layer, "Target", labels=True), VOXELS)
    there = workspace.add_segmentation(np.abs(VOXELS))
    assert np.array_equal(resample(there, like=layer), np.abs(VOXELS))


def test_resampling_is_that_of_simpleitk(tmp_path):
    workspace = study(tmp_path)
    coarse = save(tmp_path / "coarse.nii.gz", VOXELS[:3, :3, :3], AFFINE @ np.diag([2, 1.5, 1, 1]))
    layer = workspace.add_overlay(coarse)
    layer.transform = np.eye(4) + np.array([[0, 0, 0, 0.5]] + [[0] * 4] * 3)
    main, source = (sitk.ReadImage(str(one.path), sitk.sitkFloat32) for one in workspace.layers())
    shift = sitk.TranslationTransform(3, (-0.5, 0, 0))  # RAS to LPS
    expected = sitk.GetArrayFromImage(sitk.Resample(source, main, shift)).transpose(2, 1, 0)
    assert np.allclose(resample(layer, "Target"), expected, atol=0.01)


def test_each_time_point_is_resampled(tmp_path):
    times = np.stack([VOXELS, VOXELS + 1], axis=-1)
    workspace = study(tmp_path, times)
    found = resample(workspace.main, like="Target", labels=True)
    assert np.array_equal(found, times)

"""Values on planes: right whatever the geometry, the type, and the size of the slabs."""

from __future__ import annotations

import gzip
from types import SimpleNamespace

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel.affines import from_matvec
from nibabel.eulerangles import euler2mat

from snapws import InvalidValue, Workspace, images
from snapws.errors import ImageDamaged
from snapws.geometry import affine
from snapws.pictures import points, sampling
from snapws.pictures.sampling import center_of_labels, sample
from snapws.pictures.scene import Scene
from snapws.pictures.views import Grid, Plane, View
from snapws.volumes import label_volumes

SHAPE = (9, 10, 11)


@pytest.fixture(params=[1, 3 * 9 * 10 * 4, 1 << 23], ids=["slice", "few slices", "whole"])
def slab(request, monkeypatch):
    monkeypatch.setattr(sampling, "_SLAB", request.param)


def save(path, voxels, matrix=None, **fields):
    image = nibabel.Nifti1Image(voxels, np.eye(4) if matrix is None else matrix)
    for name, value in fields.items():
        image.header[name] = value
    image.to_filename(path)
    return images.read_header(path)


def plane(origin, across, down, width=6, height=5) -> Plane:
    return Plane(
        np.array(origin, float), np.array(across, float), np.array(down, float), width, height
    )


def places(one: Plane) -> np.ndarray:
    """The points of a plane: (height, width, 3)."""
    rows = np.arange(one.height)[:, None, None]
    columns = np.arange(one.width)[None, :, None]
    return one.origin + rows * one.down + columns * one.across


def ramp(shape=SHAPE, dtype=np.float32) -> np.ndarray:
    """An image whose value is a linear function of the voxel indices."""
    i, j, k = np.indices(shape)
    return (100 + 2 * i + 3 * j - 5 * k).astype(dtype)


step = st.tuples(*[st.floats(-2, 2)] * 3)


@settings(max_examples=60)
@given(origin=st.tuples(*[st.floats(-3, 12)] * 3), across=step, down=step)
def test_a_linear_image_is_interpolated_exactly_on_any_plane(
    tmp_path_factory, origin, across, down
):
    header = save(tmp_path_factory.mktemp("image") / "a.nii", ramp())
    one = plane(origin, across, down)
    (found,) = sample(header, [one]).planes
    there = places(one)
    inside = np.all((there >= -0.5) & (there <= np.array(SHAPE) - 0.5), axis=-1)
    expected = np.clip(there, 0, np.array(SHAPE) - 1) @ [2, 3, -5] + 100
    assert np.array_equal(~np.isnan(found[..., 0]), inside)
    np.testing.assert_allclose(found[..., 0][inside], expected[inside], atol=2e-4)


@pytest.mark.usefixtures("slab")
@pytest.mark.parametrize("nearest", [False, True])
def test_values_do_not_depend_on_the_slabs(tmp_path, nearest):
    voxels = np.random.default_rng(1).integers(0, 1000, SHAPE).astype(np.int32)
    header = save(tmp_path / "a.nii.gz", voxels)
    planes = [
        plane((0, 0, 4), (1, 0, 0), (0, 1, 0), 9, 10),
        plane((0, 4, 10), (1, 0, 0), (0, 0, -1), 9, 11),
        plane((0.3, 0.2, 0.1), (0.9, 0.1, 0.3), (-0.1, 0.8, 0.9), 8, 9),
    ]
    found = sample(header, planes, nearest=nearest)
    np.testing.assert_array_equal(found.planes[0][..., 0], voxels[:, :, 4].T)
    np.testing.assert_array_equal(found.planes[1][..., 0], voxels[:, 4, ::-1].T)
    for row, places_of_row in zip(found.planes[2][..., 0], places(planes[2]), strict=True):
        for value, (x, y, z) in zip(row, places_of_row, strict=True):
            assert value == pytest.approx(looked_up(voxels, (x, y, z), nearest), nan_ok=True)
    assert (found.least, found.greatest) == (voxels.min(), voxels.max())
    assert found.some.size == voxels.size  # a small image is looked at in full
    assert set(found.some.ravel()) == set(voxels.ravel())


def looked_up(voxels, place, nearest):
    """The value at a place, written down as simply as it can be."""
    place = np.array(place)
    last = np.array(voxels.shape) - 1
    if np.any(place < -0.5) or np.any(place > last + 0.5):
        return np.nan
    place = np.clip(place, 0, last)
    if nearest:
        return voxels[tuple(np.rint(place).astype(int))]
    total = 0.0
    for corner in np.ndindex(2, 2, 2):
        at = np.floor(place) + corner
        weight = np.prod(1 - np.abs(place - at))
        total += weight * voxels[tuple(np.minimum(at, last).astype(int))]
    return total


def test_a_transformed_overlay_is_where_simpleitk_resamples_it_to(tmp_path):
    sitk = pytest.importorskip("SimpleITK")
    random = np.random.default_rng(2)
    turn = np.linalg.qr(random.normal(size=(3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = turn * [1.1, 0.9, 1.3], [3, -4, 5]
    moving = save(tmp_path / "moving.nii.gz", random.normal(size=SHAPE).astype(np.float32), matrix)
    fixed = save(
        tmp_path / "fixed.nii.gz", np.zeros((8, 7, 6), np.float32), np.diag([1.5, 1, 2, 1])
    )
    transform = np.eye(4)  # RAS, from the fixed image to the moving one
    transform[:3] = [[0.9, -0.2, 0.1, 2], [0.1, 1.1, 0.05, -1], [0, 0.1, 0.95, 3]]

    grid = Grid(affine(fixed), (8, 7, 6))
    # The pixel is as large as a voxel, and the slice is seen as it lies in the file.
    one = plane((0, 0, 3), (1, 0, 0), (0, 1, 0), 8, 7)
    to_moving = np.linalg.inv(affine(moving)) @ transform @ grid.affine
    (found,) = sample(moving, [one.mapped(to_moving)]).planes

    flip = np.diag([-1, -1, 1, 1])
    in_lps = flip @ transform @ flip
    itk = sitk.AffineTransform(3)
    itk.SetMatrix(in_lps[:3, :3].ravel())
    itk.SetTranslation(in_lps[:3, 3])
    expected = sitk.Resample(
        sitk.ReadImage(str(moving.path)),
        sitk.ReadImage(str(fixed.path)),
        itk,
        sitk.sitkLinear,
        -99.0,
    )
    there = sitk.GetArrayFromImage(expected)[3]
    known = there != -99
    assert known.sum() > 10
    np.testing.assert_allclose(found[..., 0][known], there[known], atol=1e-4)


@pytest.mark.usefixtures("slab")
def test_time_points_and_components_are_told_apart(tmp_path):
    random = np.random.default_rng(3)
    one = plane((0, 0, 2), (1, 0, 0), (0, 1, 0), 9, 10)
    series = random.normal(size=(*SHAPE, 3)).astype(np.float32)
    header = save(tmp_path / "series.nii.gz", series)
    found = sample(header, [one], time_point=2)
    np.testing.assert_array_equal(found.planes[0][..., 0], series[:, :, 2, 1].T)
    assert (found.least, found.greatest) == (series[..., 1].min(), series[..., 1].max())
    with pytest.raises(InvalidValue, match="time points 1 to 3, not 4"):
        sample(header, [one], time_point=4)

    vectors = random.normal(size=(*SHAPE, 2, 3)).astype(np.float32)  # two times, three components
    header = save(tmp_path / "vectors.nii.gz", vectors, intent_code=1007)
    found = sample(header, [one], time_point=2)
    np.testing.assert_array_equal(found.planes[0], vectors[:, :, 2, 1].transpose(1, 0, 2))
    assert found.some.shape == (np.prod(SHAPE), 3)
    shown = vectors[..., 1, :].reshape(-1, 3)
    np.testing.assert_array_equal(found.ends, np.stack([shown.min(0), shown.max(0)], 1))


@pytest.mark.parametrize("dtype", ["u1", "<i2", ">i2", "<u2", "<f4", ">f8", "<i4"])
def test_types_and_scaling(tmp_path, dtype):
    order = ">" if dtype.startswith(">") else "<"
    empty = nibabel.Nifti1Header(endianness=order)
    nibabel.Nifti1Image(ramp(dtype=dtype), np.eye(4), empty).to_filename(tmp_path / "a.nii")
    header = images.read_header(tmp_path / "a.nii")
    data = bytearray((tmp_path / "a.nii").read_bytes())
    assert data[:4] == np.array(348, order + "i4").tobytes()
    data[112:120] = np.array([-2.0, 7.0], order + "f4").tobytes()
    (tmp_path / "scaled.nii").write_bytes(data)
    one = plane((0.5, 1, 2), (1, 0, 0), (0, 1, 0), 5, 5)
    plain = sample(header, [one])
    scaled = sample(images.read_header(tmp_path / "scaled.nii"), [one])
    np.testing.assert_allclose(scaled.planes[0], plain.planes[0] * -2 + 7)
    np.testing.assert_allclose(scaled.some, plain.some * -2 + 7)
    assert (scaled.least, scaled.greatest) == (7 - 2 * plain.greatest, 7 - 2 * plain.least)


def test_colours_are_three_components(tmp_path):
    colors = np.zeros(SHAPE, dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    colors["G"] = 200
    found = sample(save(tmp_path / "a.nii", colors), [plane((0, 0, 2), (1, 0, 0), (0, 1, 0))])
    np.testing.assert_array_equal(found.planes[0][0, 0], [0, 200, 0])
    np.testing.assert_array_equal(found.ends, [[0, 0], [200, 200], [0, 0]])


def test_complex_numbers_are_shown_by_their_magnitude(tmp_path):
    header = save(tmp_path / "i.nii.gz", np.full(SHAPE, 3 - 4j, np.complex64))
    found = sample(header, [plane((1, 1, 4), (1, 0, 0), (0, 1, 0), 4, 4)])
    assert {*found.planes[0].ravel().tolist()} == {5.0}


def test_what_is_no_number_spoils_nothing_else(tmp_path):
    voxels = ramp()
    voxels[0, 0, 0], voxels[1, 0, 0], voxels[2, 0, 0] = np.nan, np.inf, -np.inf
    header = save(tmp_path / "a.nii", voxels)
    found = sample(header, [plane((0, 0, 0), (1, 0, 0), (0, 1, 0), 9, 10)])
    finite = voxels[np.isfinite(voxels)]
    assert (found.least, found.greatest) == (finite.min(), finite.max())
    np.testing.assert_array_equal(found.planes[0][..., 0], voxels[:, :, 0].T)


def test_a_component_without_a_number_has_no_ends(tmp_path):
    vectors = np.full((*SHAPE, 1, 2), np.nan, np.float32)
    header = save(tmp_path / "a.nii", vectors, intent_code=1007)
    one = plane((0, 0, 0), (1, 0, 0), (0, 1, 0))
    found = sample(header, [one])
    assert (found.least, found.greatest) == (0, 0)
    vectors[..., 1] = 5
    header = save(tmp_path / "a.nii", vectors, intent_code=1007)
    found = sample(header, [one])
    assert (found.least, found.greatest) == (5, 5)
    data = bytearray((tmp_path / "a.nii").read_bytes())
    data[112:120] = np.array([-2.0, 7.0], "<f4").tobytes()
    (tmp_path / "a.nii").write_bytes(data)
    found = sample(images.read_header(tmp_path / "a.nii"), [one])
    assert (found.least, found.greatest) == (-3, -3)


def test_an_image_of_two_axes(tmp_path):
    flat = np.arange(12, dtype=np.int16).reshape(3, 4)
    header = save(tmp_path / "a.nii", flat)
    (found,) = sample(header, [plane((0, 0, 0), (1, 0, 0), (0, 1, 0), 3, 4)]).planes
    np.testing.assert_array_equal(found[..., 0], flat.T)


def test_a_damaged_image_is_refused(tmp_path):
    header = save(tmp_path / "a.nii.gz", ramp())
    whole = (tmp_path / "a.nii.gz").read_bytes()
    one = Grid(np.eye(4), SHAPE).plane(View.AXIAL, 1, 1.0)
    (tmp_path / "a.nii.gz").write_bytes(whole[:-200])
    with pytest.raises(ImageDamaged, match="missing"):
        sample(header, [one])
    inside = bytearray(gzip.decompress(whole))
    inside[-1] ^= 1
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(bytes(inside))[:-8] + whole[-8:])
    with pytest.raises(ImageDamaged):  # its checksum, known behind the last voxel
        sample(header, [one])


@pytest.mark.usefixtures("slab")
def test_scaled_labels_are_whole():
    """Of all that whole numbers times a fraction can be, stored in a byte."""
    stored = np.arange(256, dtype=np.uint8)
    for denominator in range(1, 101):
        for numerator in range(1, denominator + 1):
            slope = float(np.float32(numerator / denominator))
            found = sampling.labels(sampling.scaled(stored, SimpleNamespace(scaling=(slope, 0.0))))
            meant = stored.astype(int) * numerator
            whole = meant % denominator == 0
            np.testing.assert_array_equal(found[whole], meant[whole] // denominator)
            assert not (found == np.rint(found))[~whole].any()


@pytest.mark.parametrize("read", [center_of_labels, label_volumes])
def test_numbers_beyond_float32_are_no_labels(tmp_path, read):
    """Warnings are errors here."""
    voxels = np.full((4, 4, 4), 1e300)
    voxels[0, 0, 0] = 1
    header = save(tmp_path / "s.nii", voxels)
    data = bytearray((tmp_path / "s.nii").read_bytes())
    data[112:120] = np.array([2, 0], "<f4").tobytes()
    (tmp_path / "s.nii").write_bytes(data)
    assert read(images.read_header(header.path))


def test_planes_of_many_points_equal_those_drawn_in_parts(tmp_path, monkeypatch):
    header = save(tmp_path / "a.nii", ramp())
    grid = Grid(affine(header), SHAPE)
    tilted = from_matvec(euler2mat(0.1, 0.2, 0.3))
    planes = [grid.plane(view, 4, 0.1).mapped(tilted) for view in View]
    whole = sample(header, planes).planes
    monkeypatch.setattr(points, "_POINTS", 7)
    for one, other in zip(whole, sample(header, planes).planes, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.usefixtures("slab")
@pytest.mark.parametrize("nearest", [False, True])
@pytest.mark.parametrize("dtype", ["u1", "<i4", "<f4", "<f8"])
def test_planes_along_the_axes_equal_those_of_any_direction(tmp_path, monkeypatch, dtype, nearest):
    random = np.random.default_rng(7)
    voxels = random.integers(0, 200, SHAPE).astype(dtype)
    if voxels.dtype.kind == "f":
        voxels[random.random(SHAPE) < 0.05] = np.inf
        voxels[random.random(SHAPE) < 0.05] = np.nan
    header = save(tmp_path / "a.nii", voxels)
    matrix = np.diag([0.83, -1.1, 0.57, 1])
    matrix[:3, 3] = -2.31, 11.17, 0.29  # of a grid that is larger than the image, and flipped
    grid = Grid(matrix[[1, 2, 0, 3]], (17, 16, 20))
    planes = [
        grid.plane(view, index, 0.43).mapped(np.eye(4)[[2, 0, 1, 3]])
        for index in (3, 9, 4, 0)
        for view in View
    ]
    along = sample(header, planes, nearest=nearest)
    assert all(points._fixed_axis(one) is not None for one in planes)
    monkeypatch.setattr(points, "_fixed_axis", lambda _: None)
    other = sample(header, planes, nearest=nearest)
    for one, two in zip(along.planes, other.planes, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-6, atol=1e-4)
    for one, two in zip(along.inside, other.inside, strict=True):
        np.testing.assert_array_equal(one, two)
    points_inside = np.concatenate([one.ravel() for one in along.inside])
    assert 0.2 < points_inside.mean() < 0.9


def test_the_centre_of_labels(tmp_path):
    labels = np.zeros(SHAPE, np.uint8)
    header = save(tmp_path / "none.nii.gz", labels)
    assert center_of_labels(header) is None
    labels[2, 3, 4] = 7
    labels[4, 3, 8] = 1
    header = save(tmp_path / "two.nii.gz", labels)
    assert center_of_labels(header) == (3.0, 3.0, 6.0)
    assert center_of_labels(header, hidden=[7]) == (4.0, 3.0, 8.0)
    assert center_of_labels(header, hidden=[1, 9]) == (2.0, 3.0, 4.0)
    assert center_of_labels(header, hidden=[1, 7]) is None


def test_a_turned_overlay_of_one_value_has_no_holes(tmp_path):
    """Interpolated, 7 is 6.9999995 here and there, which is not below the range."""
    workspace = Workspace()
    save(tmp_path / "main.nii", np.zeros((20, 20, 20), np.uint8))
    workspace.set_main(tmp_path / "main.nii")
    turned = from_matvec(euler2mat(0.1, 0.2, 0.3))
    save(tmp_path / "over.nii", np.full((20, 20, 20), 7, np.float32), turned)
    over = workspace.add_overlay(tmp_path / "over.nii")
    over.display.sticky = True
    over.display.opacity = 0.5
    over.display.contrast = [(7, 0), (8, 1)]
    over.display.color_map = "Jet"
    (picture,) = Scene(workspace).draw([(View.AXIAL, 8)], 200)
    (color,) = np.unique(picture[40:100, 40:100].reshape(-1, 3), axis=0)
    assert color.any()

"""The images that the viewer sends are placed, and have the values, that pictures have."""

from __future__ import annotations

import struct
from pathlib import Path

import nibabel
import numpy as np
import pytest

from snapws import Workspace
from snapws.display import ComponentMode
from snapws.pictures.rendering import Anatomy
from snapws.pictures.sampling import sample
from snapws.pictures.views import Grid
from snapws.viewer.stage import Stage
from tests.rotations import turned

SHAPE = (7, 6, 5)
EYE = np.eye(4)


def placed(rotation: np.ndarray, sizes: tuple[float, ...], origin: tuple[float, ...]) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = rotation * sizes
    affine[:3, 3] = origin
    return affine


PLACES = {
    "straight": placed(np.eye(3), (1, 2, 3), (4, 5, 6)),
    "flipped": placed(np.diag([-1, -1, 1]), (1, 2, 3), (4, 5, 6)),
    "permuted": placed(np.eye(3)[[2, 0, 1]], (1, 2, 3), (4, 5, 6)),
    "oblique": placed(turned(20, -15, 30) @ np.diag([-1, 1, 1]), (1, 2, 3), (4, 5, 6)),
    "steep": placed(turned(40, 43, 44), (1, 2, 3), (-9, 5, 6)),
}


def written(path: Path, voxels: np.ndarray, affine: np.ndarray) -> Path:
    image = nibabel.Nifti1Image(voxels, affine)
    image.set_qform(affine, code=1)
    image.set_sform(affine, code=1)
    image.to_filename(path)
    return path


def received(stage: Stage, number: int) -> nibabel.Nifti1Image:
    volume = stage.volume(number)
    body = b"".join(volume.pieces())
    assert len(body) == volume.nbytes
    return nibabel.Nifti1Image.from_bytes(volume.block + body)


@pytest.mark.parametrize("place", PLACES)
def test_layers_lie_to_each_other_as_in_the_workspace(tmp_path, place):
    voxels = np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE)
    overlay_affine = placed(turned(5, 10, -25), (2, 1, 1), (1, -3, 2))
    ws = Workspace()
    ws.set_main(written(tmp_path / "main.nii.gz", voxels, PLACES[place]))
    overlay = ws.add_overlay(written(tmp_path / "overlay.nii.gz", voxels, overlay_affine))
    overlay.transform = [[1.1, 0.1, 0, 3], [-0.1, 0.9, 0.2, -4], [0, 0, 1, 5], [0, 0, 0, 1]]
    stage = Stage(ws)
    main, other = received(stage, 0), received(stage, overlay.number)
    for voxel in np.ndindex(2, 2, 2):
        at = np.array([*(one * 4 for one in voxel), 1.0])
        ras = np.linalg.inv(overlay.transform) @ overlay_affine @ at
        in_main = np.linalg.inv(PLACES[place]) @ ras
        np.testing.assert_allclose(other.affine @ at, main.affine @ in_main, atol=1e-4)
    # Lengths in mm are those of the image.
    np.testing.assert_allclose(np.linalg.norm(main.affine[:3, :3], axis=0), [1, 2, 3], rtol=1e-6)


@pytest.mark.parametrize("place", PLACES)
def test_the_main_image_runs_along_the_axes_that_pictures_show(tmp_path, place):
    ws = Workspace()
    ws.set_main(written(tmp_path / "main.nii.gz", np.ones(SHAPE, np.uint8), PLACES[place]))
    affine = received(Stage(ws), 0).affine
    assert (np.count_nonzero(np.round(affine[:3, :3], 5), axis=0) == 1).all()
    before, after = Grid(PLACES[place], SHAPE), Grid(affine, SHAPE)
    assert before.__dict__["_axes"] == after.__dict__["_axes"]
    if place in ("straight", "flipped", "permuted"):
        np.testing.assert_allclose(affine, PLACES[place], atol=1e-6)


@pytest.mark.parametrize("place", PLACES)
def test_both_forms_of_the_header_say_the_same(tmp_path, place):
    ws = Workspace()
    ws.set_main(written(tmp_path / "main.nii.gz", np.ones(SHAPE, np.uint8), PLACES[place]))
    image = received(Stage(ws), 0)
    (by_qform, qform_code), (by_sform, sform_code) = (
        image.get_qform(coded=True),
        image.get_sform(coded=True),
    )
    assert qform_code == sform_code > 0
    np.testing.assert_allclose(by_qform, by_sform, atol=1e-4)


def test_a_sheared_layer_is_placed_by_the_sform_alone(tmp_path):
    ws = Workspace()
    image = written(tmp_path / "main.nii.gz", np.ones(SHAPE, np.uint8), np.eye(4))
    ws.set_main(image)
    overlay = ws.add_overlay(image)
    overlay.transform = [[1, 0.3, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    sent = received(Stage(ws), overlay.number)
    assert (int(sent.header["qform_code"]), int(sent.header["sform_code"])) == (0, 2)
    np.testing.assert_allclose(sent.affine, np.linalg.inv(overlay.transform), atol=1e-6)


def test_segmentations_lie_voxel_on_voxel(tmp_path):
    ws = Workspace()
    ws.set_main(written(tmp_path / "main.nii.gz", np.ones(SHAPE, np.uint8), PLACES["oblique"]))
    elsewhere = written(tmp_path / "seg.nii.gz", np.ones(SHAPE, np.uint8), PLACES["flipped"])
    layer = ws.add_segmentation(elsewhere)
    stage = Stage(ws)
    sent, main = received(stage, layer.number).affine, received(stage, 0).affine
    np.testing.assert_allclose(sent, main, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "slope"),
    [
        *((kind, 1.0) for kind in ("u1", "i1", "<i2", "<u2", "<i4", "<i8", "<f4", "<f8", "<c8")),
        *((kind, 0.5) for kind in ("u1", "i1", "<i2", "<i4")),
    ],
)
def test_voxels_have_their_values(tmp_path, kind, slope):
    voxels = (np.arange(np.prod(SHAPE)).reshape(SHAPE) % 100).astype(kind)
    image = nibabel.Nifti1Image(voxels, np.eye(4), dtype=voxels.dtype)
    image.header.set_slope_inter(slope, 3 if slope != 1 else 0)
    path = tmp_path / "main.nii.gz"
    image.to_filename(path)
    ws = Workspace()
    ws.set_main(path)
    expected = np.abs(np.asarray(nibabel.load(path).dataobj))
    np.testing.assert_allclose(received(Stage(ws), 0).get_fdata(), expected, rtol=1e-6)


@pytest.mark.parametrize("mode", [one for one in ComponentMode if one.value != "Grid"])
def test_components_become_what_is_shown_of_them(tmp_path, mode):
    voxels = np.random.default_rng(0).normal(size=(*SHAPE, 1, 3)).astype(np.float32)
    ws = Workspace()
    ws.set_main(written(tmp_path / "vector.nii.gz", voxels, np.eye(4)))
    ws.main.display.show(mode, 1)
    sent = np.asarray(received(Stage(ws), 0).dataobj)
    parts = voxels[:, :, :, 0]
    if mode is ComponentMode.RGB:
        anatomy = Anatomy(ws.main, Grid(np.eye(4), SHAPE), ground=True)
        (low, high), _ = anatomy.color_window(sample(anatomy.header, []))
        shown = np.rint(((parts - low) / (high - low)).clip(0, 1) * 255)
        seen = np.stack([sent[name] for name in "RGB"], axis=-1)
        np.testing.assert_allclose(seen, shown, atol=1)
        return
    expected = {
        ComponentMode.COMPONENT: parts[..., 1],
        ComponentMode.MAGNITUDE: np.linalg.norm(parts, axis=-1),
        ComponentMode.MAXIMUM: parts.max(-1),
        ComponentMode.AVERAGE: parts.mean(-1),
    }[mode]
    np.testing.assert_allclose(sent, expected, rtol=1e-5, atol=1e-6)


def test_colours_stay_colours(tmp_path):
    rgb = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
    voxels = np.zeros(SHAPE, rgb)
    voxels["R"], voxels["B"][2] = 200, 90
    ws = Workspace()
    ws.set_main(written(tmp_path / "colours.nii.gz", voxels, np.eye(4)))
    sent = np.asarray(received(Stage(ws), 0).dataobj)
    assert (sent == voxels).all()
    assert Stage(ws).display(0, 1) == {}


def test_time_points_are_all_there(tmp_path):
    voxels = np.random.default_rng(0).integers(0, 99, (*SHAPE, 4)).astype(np.int16)
    ws = Workspace()
    ws.set_main(written(tmp_path / "series.nii.gz", voxels, np.eye(4)))
    stage = Stage(ws)
    assert stage.contents()["times"] == 4
    assert (received(stage, 0).get_fdata() == voxels).all()


@pytest.mark.parametrize("kind", ["u1", "<i2", "<i8", "<f4"])
def test_labels_are_whole_numbers_from_0_to_65535(tmp_path, kind):
    voxels = np.zeros(SHAPE, kind)
    voxels[1], voxels[2] = 7, 90
    if kind != "u1":
        voxels[3] = -1
    ws = Workspace()
    ws.set_main(written(tmp_path / "main.nii.gz", np.ones(SHAPE, np.uint8), np.eye(4)))
    image = nibabel.Nifti1Image(voxels, np.eye(4), dtype=np.dtype(kind))
    image.to_filename(tmp_path / "seg.nii.gz")
    layer = ws.add_segmentation(tmp_path / "seg.nii.gz")
    stage = Stage(ws)
    sent = np.asarray(received(stage, layer.number).dataobj)
    assert sent.dtype == np.uint16
    assert set(np.unique(sent)) == {0, 7, 90}
    display = stage.display(layer.number, 1)
    assert display["present"] == [7, 90]
    assert {7, 90} <= set(display["colors"]["I"])
    assert display["colors"]["A"][display["colors"]["I"].index(0)] == 0


def test_the_range_is_that_of_pictures(tmp_path):
    voxels = np.random.default_rng(0).normal(100, 20, SHAPE).astype(np.float32)
    ws = Workspace()
    ws.set_main(written(tmp_path / "main.nii.gz", voxels, np.eye(4)))
    overlay = ws.add_overlay(tmp_path / "main.nii.gz")
    overlay.display.color_map = "Hot"
    overlay.display.contrast = [(0.25, 0), (0.75, 1)]
    stage = Stage(ws)
    display = stage.display(0, 1)
    assert display["greatest"] == pytest.approx(np.percentile(voxels, 99.5), rel=1e-6)
    width = display["greatest"] - display["least"]
    at = (np.percentile(voxels, 0.5) - display["least"]) / width * 255
    assert at == pytest.approx(2, abs=0.01)  # the steps before it are of what is below
    hot = stage.display(overlay.number, 1)
    least, greatest = float(voxels.min()), float(voxels.max())
    assert hot["greatest"] == pytest.approx(least + 0.75 * (greatest - least), rel=1e-6)
    colors = np.array([hot["colors"][one] for one in "RGBA"]).T
    assert hot["least"] == pytest.approx(least + 0.25 * (greatest - least), rel=1e-6)
    assert colors[0, 3] == 0  # below the range nothing is seen, nor black
    assert colors[1].tolist() == [0, 0, 0, 255]
    assert colors[-1].tolist() == [255, 255, 255, 255]


def test_an_overlay_that_does_not_begin_with_black_is_seen_from_its_least_value_on(tmp_path):
    ws = Workspace()
    image = written(tmp_path / "main.nii.gz", np.arange(60, dtype=np.int16).reshape(3, 4, 5), EYE)
    ws.set_main(image)
    overlay = ws.add_overlay(image)
    overlay.display.color_map = "Jet"
    overlay.display.contrast = [(10, 0), (50, 1)]
    jet = Stage(ws).display(overlay.number, 1)
    colors = np.array([jet["colors"][one] for one in "RGBA"]).T
    at = (10 - jet["least"]) / (jet["greatest"] - jet["least"]) * 255
    assert at == pytest.approx(2)
    assert (colors[:2, 3] == 0).all()
    assert colors[2].tolist() == [0, 0, 128, 255]


def test_meshes_lie_to_the_main_image_as_in_the_workspace(tmp_path):
    ras = np.array([[1.0, 2, 3], [4, -5, 6], [7, 8, 9]])
    numbers = " ".join(f"{one:g}" for one in ras.ravel())
    (tmp_path / "mesh.vtk").write_text(
        "# vtk DataFile Version 3.0\nvtk output\nASCII\nDATASET POLYDATA\n"
        f"POINTS 3 float\n{numbers}\nPOLYGONS 1 4\n3 0 1 2\n"
    )
    ws = Workspace()
    ws.set_main(written(tmp_path / "main.nii.gz", np.ones(SHAPE, np.uint8), PLACES["oblique"]))
    mesh = ws.add_mesh(tmp_path / "mesh.vtk")
    stage = Stage(ws)
    data = stage.mesh(mesh.number, 1, 0).to_mz3()
    assert struct.unpack("<2sHIII", data[:16]) == (b"MZ", 3, 1, 3, 0)
    assert np.frombuffer(data, "<i4", 3, 16).tolist() == [0, 1, 2]
    points = np.frombuffer(data, "<f4", 9, 28).reshape(3, 3)
    at = np.column_stack([ras, np.ones(3)]) @ np.linalg.inv(PLACES["oblique"]).T
    expected = at @ received(stage, 0).affine.T
    np.testing.assert_allclose(points, expected[:, :3], atol=1e-4)


def test_a_large_image_is_sent_in_pieces(tmp_path):
    shape = (256, 256, 128)
    header = nibabel.Nifti1Header()
    header.set_data_shape(shape)
    header.set_data_dtype(np.float64)
    header["vox_offset"], header["magic"] = 352, b"n+1"
    header.set_sform(np.eye(4), code=1)
    path = tmp_path / "large.nii"
    with path.open("wb") as file:  # holes take no room on the disk
        file.write(header.binaryblock)
        file.truncate(352 + 8 * int(np.prod(shape)))
    ws = Workspace()
    ws.set_main(path)
    volume = Stage(ws).volume(0)
    pieces, largest, total = 0, 0, 0
    for piece in volume.pieces():
        pieces, largest, total = pieces + 1, max(largest, len(piece)), total + len(piece)
    assert total == volume.nbytes == 4 * int(np.prod(shape))
    assert largest <= 4 << 20
    assert pieces >= 8

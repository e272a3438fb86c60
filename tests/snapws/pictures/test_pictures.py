"""Pictures: the right layer in the right colour at the right place, whatever the geometry."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import sys
from itertools import groupby
from pathlib import Path

import nibabel
import numpy as np
import pytest
from nibabel.orientations import axcodes2ornt, inv_ornt_aff, io_orientation, ornt_transform
from PIL import Image

from snapws import (
    ComponentMode,
    ImageDamaged,
    InvalidValue,
    Label,
    LayerFileMissing,
    LayerNotFound,
    PictureError,
    Workspace,
)
from snapws.labels import new_color
from snapws.pictures import scene as scenes
from snapws.pictures import tiles
from snapws.pictures.scene import Scene, View
from tests.conformance.replay import RECORDINGS

BRAIN = Path(__file__).parents[3] / "fixtures" / "brain"
SHAPE = (20, 24, 16)


def save(path: Path, voxels, affine=None, **fields) -> Path:
    image = nibabel.Nifti1Image(voxels, np.eye(4) if affine is None else affine)
    for name, value in fields.items():
        image.header[name] = value
    image.to_filename(path)
    return path


@pytest.fixture
def ws(tmp_path) -> Workspace:
    """A workspace whose main image is black, with one white and one grey voxel for contrast."""
    voxels = np.zeros(SHAPE, np.int16)
    made = Workspace()
    made.set_main(save(tmp_path / "main.nii.gz", voxels))
    made.main.display.set_linear_contrast(0, 100)
    return made


def drawn(workspace: Workspace, view: View = View.AXIAL, index: int = 8, **options) -> np.ndarray:
    """A slice at one pixel a voxel, seen as stored: [i, j] or so, colours 0 to 255."""
    scene = Scene(workspace, **options)
    (found,) = scene.draw([(view, index)], max(SHAPE))
    # To the right is left, to below is posterior or inferior: turned back to how voxels run in RAS.
    return found[::-1, ::-1].transpose(1, 0, 2)


# ------------------------------------------------------------------ where things are


@pytest.mark.parametrize("codes", ["RAS", "LPS", "LPI", "ASR", "SLP", "IRA"])
def test_a_brain_looks_the_same_however_its_voxels_run(tmp_path, codes):
    original = nibabel.load(BRAIN / "target.nii.gz")
    before = Workspace()
    before.set_main(BRAIN / "target.nii.gz")
    turn = ornt_transform(io_orientation(original.affine), axcodes2ornt(codes))
    turned = original.as_reoriented(turn)
    after = Workspace()
    after.set_main(save(tmp_path / "turned.nii.gz", np.asarray(turned.dataobj), turned.affine))
    point = (
        (np.linalg.inv(turned.affine) @ original.affine @ (20, 40, 30, 1))[:3].round().astype(int)
    )
    one, other = Scene(before), Scene(after)
    for view in View:
        (expected,) = one.draw([(view, (20, 40, 30)[one.grid.axis(view)])], 128)
        (found,) = other.draw([(view, point[other.grid.axis(view)])], 128)
        assert one.grid.letters(view) == other.grid.letters(view)
        np.testing.assert_allclose(found.astype(int), expected.astype(int), atol=1)


def test_the_patients_right_is_on_the_left_and_anterior_and_superior_are_up(ws, tmp_path):
    voxels = np.zeros(SHAPE, np.int16)
    voxels[17, 20, 13] = 100  # right, anterior, superior, in RAS
    save(tmp_path / "main.nii.gz", voxels)
    scene = Scene(ws)
    slices = [(View.AXIAL, 13), (View.SAGITTAL, 17), (View.CORONAL, 20)]
    axial, sagittal, coronal = scene.draw(slices, max(SHAPE))
    assert np.argwhere(axial[..., 0] == 255).tolist() == [[24 - 1 - 20, 20 - 1 - 17]]
    assert np.argwhere(sagittal[..., 0] == 255).tolist() == [[16 - 1 - 13, 24 - 1 - 20]]
    assert np.argwhere(coronal[..., 0] == 255).tolist() == [[16 - 1 - 13, 20 - 1 - 17]]
    assert [scene.grid.letters(view) for view in View] == [
        ("R", "L", "A", "P"),
        ("A", "P", "S", "I"),
        ("R", "L", "S", "I"),
    ]


def test_the_brains_hemispheres_are_where_the_header_says(tmp_path):
    """The template's left half alone is painted: it is on the right of the screen."""
    original = nibabel.load(BRAIN / "target.nii.gz")
    voxels = np.asarray(original.dataobj).copy()
    i = np.arange(voxels.shape[0])
    x = original.affine[0, 0] * i + original.affine[0, 3]
    voxels[x > 0] = 0
    half = Workspace()
    half.set_main(save(tmp_path / "left.nii.gz", voxels, original.affine))
    (axial,) = Scene(half).draw([(View.AXIAL, voxels.shape[2] // 2)], 200)
    left, right = np.array_split(axial.astype(float).mean(-1), 2, axis=1)
    assert right.mean() > 20 * left.mean()


def test_an_overlay_follows_its_own_geometry_and_transform(ws, tmp_path):
    voxels = np.zeros((5, 6, 4), np.float32)
    voxels[2, 3, 1] = 1
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = 1, 2, 3  # the bright voxel is at (5, 8, 5) mm
    overlay = ws.add_overlay(save(tmp_path / "overlay.nii.gz", voxels, affine))
    overlay.display.set_linear_contrast(0, 1)
    overlay.display.opacity, overlay.display.sticky = 0.25, True
    assert bright(drawn(ws, index=5)) == (5, 8)
    overlay.transform = [[1, 0, 0, -4], [0, 1, 0, 3], [0, 0, 1, -2], [0, 0, 0, 1]]
    # It leads from the main image to the overlay: what is at (5, 8, 5) shows at (9, 5, 7).
    found = drawn(ws, index=7)
    assert bright(found) == (9, 5)
    assert found[9, 5].tolist() == [64, 64, 64]  # a quarter of white over black


def test_a_voxel_without_a_number_has_the_colour_of_nan_and_no_more(ws, tmp_path):
    voxels = np.zeros(SHAPE, np.float32)
    voxels[10, 5:8, 8] = np.nan
    save(tmp_path / "main.nii.gz", voxels)
    (found,) = Scene(ws).draw([(View.AXIAL, 8)], 4 * max(SHAPE))
    yellow = (found == (255, 255, 0)).all(-1)
    assert yellow.sum() == 4 * 4 * 3
    assert not found[~yellow].any()


def test_where_an_overlay_ends_what_lies_below_is_seen(ws, tmp_path):
    stripes(ws, tmp_path, [100])
    small = np.full((5, 6, 16), 0, np.float32)
    small[2] = np.nan
    overlay = ws.add_overlay(save(tmp_path / "overlay.nii.gz", small))
    overlay.display.sticky = True
    overlay.display.set_linear_contrast(0, 1)
    overlay.display.color_map = "Jet"  # blue
    found = drawn(ws)
    assert found[1, 1].tolist() == [128, 128, 192]
    assert found[5, 1].tolist() == found[1, 6].tolist() == [255] * 3
    overlay.display.color_map = "Hot"
    assert drawn(ws)[2, 1].tolist() == [128, 191, 255]  # its NaN is (0, 127, 255)


def bright(picture: np.ndarray) -> tuple[int, ...]:
    weights = picture[..., 0].astype(float)
    return tuple(
        round(float(w)) for w in (np.indices(weights.shape) * weights).sum((1, 2)) / weights.sum()
    )


def test_views_go_through_the_centre_of_the_segmentation(ws, tmp_path):
    assert Scene(ws).cursor() == (10, 12, 8)
    labels = np.zeros(SHAPE, np.uint8)
    labels[12:15, 6, 3:6] = 2
    first = ws.add_segmentation(save(tmp_path / "empty.nii.gz", np.zeros(SHAPE, np.uint8)))
    second = ws.add_segmentation(save(tmp_path / "labels.nii.gz", labels, np.diag([2.0, 2, 2, 1])))
    # Where its own header or a transform puts it does not count.
    assert Scene(ws).cursor() == (13, 6, 4)
    assert Scene(ws, ["M", first.number]).cursor() == (10, 12, 8)
    second.transform = np.diag([1.0, 1, 3, 1])
    assert Scene(ws).cursor() == (13, 6, 4)


@pytest.mark.parametrize(
    ("kind", "background", "fields"),
    [
        (np.int16, 1, {"scl_slope": 1, "scl_inter": -1}),  # 0 once it is scaled
        (np.float32, np.nan, {}),
        (np.float32, -1, {}),
        (np.float32, 0.9, {}),
    ],
)
def test_the_centre_is_that_of_the_labels_that_are_drawn(ws, tmp_path, kind, background, fields):
    voxels = np.full(SHAPE, background, kind)
    voxels[2:4, 3:6, 4:5] = 3
    ws.add_segmentation(stored(tmp_path / "labels.nii.gz", voxels, **fields))
    assert Scene(ws).cursor() == (3, 4, 4)


@pytest.mark.parametrize(
    ("slope", "value", "label"), [(0.7, 10, 7), (0.6, 25, 15), (7 / 12, 108, 63)]
)
def test_labels_are_whole_where_scaling_is_not_exact(ws, tmp_path, slope, value, label):
    """Ten times the float32 that is nearest to 0.7 is 6.9999999."""
    ws.add_segmentation(
        stored(tmp_path / "labels.nii.gz", np.full(SHAPE, value, np.uint8), scl_slope=slope)
    )
    ws.labels = [Label(label, "it", (200, 100, 50))]
    assert drawn(ws)[5, 5].tolist() == [100, 50, 25]


def stored(path: Path, voxels, *, scl_slope=1, scl_inter=0) -> Path:
    """Save voxels as they are, whatever scaling says of them."""
    data = bytearray(nibabel.Nifti1Image(voxels, np.eye(4)).to_bytes())
    data[112:120] = np.array([scl_slope, scl_inter], np.float32).tobytes()
    path.write_bytes(gzip.compress(bytes(data)))
    return path


# ---------------------------------------------------------------------- how they look


def test_labels_have_the_colours_opacity_and_visibility_of_the_table(ws, tmp_path):
    labels = np.zeros(SHAPE, np.uint16)
    labels[1, 1, 8], labels[2, 1, 8], labels[3, 1, 8], labels[4, 1, 8], labels[5, 1, 8] = (
        1,
        2,
        3,
        9,
        700,
    )
    ws.add_segmentation(save(tmp_path / "labels.nii.gz", labels))
    ws.labels = [
        Label(1, "full", (200, 100, 50)),
        Label(2, "half", (200, 100, 50), alpha=128),
        Label(3, "hidden", (200, 100, 50), visible=False),
    ]
    found = drawn(ws)
    assert found[1, 1].tolist() == [100, 50, 25]
    assert found[2, 1].tolist() == [50, 25, 13]
    assert found[3, 1].tolist() == [0, 0, 0]
    for place, index in ((4, 9), (5, 700)):  # none that the table has
        np.testing.assert_allclose(found[place, 1], np.array(new_color(index)) / 2, atol=1)
    assert found[6:].max() == 0


@pytest.mark.parametrize("codes", ["RAS", "LPS", "PSR"])
def test_a_segmentation_is_drawn_voxel_on_voxel(ws, tmp_path, codes):
    labels = np.zeros(SHAPE, np.uint8)
    labels[2:9, 2:6, 7:10] = 1
    axes = inv_ornt_aff(axcodes2ornt(codes), SHAPE) @ np.diag([3.0, 0.5, 1, 1])
    axes[:3, 3] += 40, -30, 20
    ws.add_segmentation(save(tmp_path / "labels.nii.gz", labels, axes))
    ws.labels = [Label(1, "it", (255, 0, 0))]
    np.testing.assert_array_equal(drawn(ws)[..., 0] > 0, labels[..., 8] > 0)


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ((20, 24, 15), "its size is 20 x 24 x 15, that of the main image 20 x 24 x 16"),
        ((*SHAPE, 5), "it has 5 time points, the main image 1"),
    ],
)
def test_a_segmentation_that_itksnap_does_not_open_is_not_drawn(ws, tmp_path, shape, said):
    path = save(tmp_path / "labels.nii.gz", np.zeros(shape, np.uint8))
    ws.add_segmentation(path, any_size=True)
    with pytest.raises(InvalidValue, match=f"layer 001: {said}: ITK-SNAP does not open it"):
        ws.picture(size=32)
    assert ws.picture(layers=["M"], size=32).width


def test_labels_lie_over_overlays_whatever_their_numbers(ws, tmp_path):
    ws.add_segmentation(save(tmp_path / "labels.nii.gz", np.ones(SHAPE, np.uint8)))
    overlay = ws.add_overlay(save(tmp_path / "overlay.nii.gz", np.full(SHAPE, 9, np.uint8)))
    overlay.display.set_linear_contrast(-2, -1)  # white
    overlay.display.opacity, overlay.display.sticky = 1, True
    ws.labels = [Label(1, "it", (255, 0, 0))]
    assert drawn(ws)[5, 5].tolist() == [255, 128, 128]


def stripes(ws: Workspace, tmp_path: Path, values) -> None:
    """Make the main image one of these intensities, one a voxel along its first axis."""
    voxels = np.zeros(SHAPE, np.float32)
    voxels[...] = np.resize(np.array(values, float), SHAPE[0])[:, None, None]
    save(tmp_path / "main.nii.gz", voxels)


def greys(ws: Workspace) -> list[int]:
    return drawn(ws)[:, 5, 0].tolist()


def test_contrast_by_a_curve_of_intensities_or_of_parts_of_the_range(ws, tmp_path):
    stripes(ws, tmp_path, [-100, 0, 50, 100, 300])
    assert greys(ws)[:5] == [0, 0, 128, 255, 255]
    ws.main.display.contrast = ((0, 0), (50, 0.2), (100, 1))
    assert greys(ws)[:5] == [0, 0, 51, 255, 255]
    ws.main.display.contrast = ((0.25, 0), (0.5, 1))  # of -100 to 300: from 0 to 100
    assert greys(ws)[:5] == [0, 0, 128, 255, 255]
    ws.main.display.contrast = ((0, 0), (1, 1))  # all of it
    assert greys(ws)[:5] == [0, 64, 96, 128, 255]
    ws.main.display.contrast = ((-1, 0), (1, 1))  # no parts: intensities
    assert greys(ws)[:5] == [0, 128, 255, 255, 255]


def test_a_curve_that_leaves_black_and_white_ends_there(ws, tmp_path):
    stripes(ws, tmp_path, [0, 25, 50, 75, 100])
    ws.main.display.contrast = ((0, -0.5), (100, 1.5))
    assert greys(ws)[:5] == [0, 0, 128, 255, 255]


@pytest.mark.parametrize(
    ("entry", "stored", "said"),
    [
        ("DisplayMapping.Curve.ControlPoint[0].tValue", "nan", "contrast curve"),
        ("DisplayMapping.Curve.ControlPoint[0].xValue", "inf", "contrast curve"),
        ("DisplayMapping.Curve.ControlPoint[0].tValue", "1000", "contrast curve"),
        ("Alpha", "nan", "opacity"),
    ],
)
def test_display_settings_that_are_none_are_refused(ws, tmp_path, entry, stored, said):
    overlay = ws.add_overlay(save(tmp_path / "overlay.nii.gz", np.zeros(SHAPE, np.float32)))
    overlay.display.set_linear_contrast(0, 100)
    overlay.display.opacity, overlay.display.sticky = 0.5, True
    overlay.registry[f"LayerMetaData.{entry}"] = stored
    with pytest.raises(InvalidValue, match=f"layer 001: its {said}"):
        Scene(ws)


def test_without_a_curve_a_few_bright_voxels_do_not_darken_the_rest(ws, tmp_path):
    ws.main.display.contrast = ()
    voxels = np.tile(
        np.linspace(0, 100, SHAPE[0], dtype=np.float32)[:, None, None], (1, *SHAPE[1:])
    )
    voxels[0, 0, :3] = 1e6
    save(tmp_path / "main.nii.gz", voxels)
    found = greys(ws)
    assert found == sorted(found)
    assert found[-1] == 255
    assert abs(found[10] - 255 * 10 / 19) < 3


def test_numbers_that_are_none_are_drawn_without_a_word(ws, tmp_path):
    """Warnings are errors here."""
    voxels = np.zeros(SHAPE)
    voxels[5:7], voxels[7:9], voxels[9], voxels[10] = np.inf, -np.inf, np.nan, 1e300
    save(tmp_path / "main.nii.gz", voxels)
    scene = Scene(ws)
    (fine,) = scene.draw([(View.AXIAL, 8)], 50)  # between voxels, too
    assert fine.max() == 255
    assert drawn(ws)[5, 5].tolist() == drawn(ws)[10, 5].tolist() == [255] * 3
    assert drawn(ws)[7, 5].tolist() == [0] * 3
    assert drawn(ws)[9, 5].tolist() == [255, 255, 0]
    for value in (np.nan, 3e38):
        vectors = np.full((*SHAPE, 1, 3), value, np.float32)
        save(tmp_path / "main.nii.gz", vectors, intent_code=1007)
        ws.main.display.contrast = ()
        for mode in ComponentMode:
            ws.main.display.show(mode)
            assert drawn(ws).shape == (*SHAPE[:2], 3)


@pytest.mark.parametrize(("value", "red"), [(0.0, 0), (7.0, 0), (np.nan, 255)])
def test_an_image_of_one_value_can_be_drawn(ws, tmp_path, value, red):
    ws.main.display.contrast = ()
    stripes(ws, tmp_path, [value])
    assert set(greys(ws)) == {red}


def test_a_nearly_empty_overlay_is_seen(ws, tmp_path):
    voxels = np.zeros(SHAPE, np.float32)
    voxels[3, 4, 8], voxels[5, 4, 8] = 5, 2.5
    ws.add_overlay(save(tmp_path / "sparse.nii.gz", voxels)).display.sticky = True
    assert drawn(ws)[3, 4].tolist() == [128, 128, 128]  # white, half of it
    assert drawn(ws)[5, 4].tolist() == [64, 64, 64]


@pytest.mark.parametrize(
    ("stored", "seen"),
    [(None, 0.5), ("255", 1), ("1", 1), ("0.25", 0.25), ("51", 1), ("0", 0), ("-5", 0), ("1e3", 1)],
)
def test_the_opacity_of_an_overlay(ws, tmp_path, stored, seen):
    voxels = np.ones(SHAPE, np.float32)
    voxels[0] = 0
    overlay = ws.add_overlay(save(tmp_path / "overlay.nii.gz", voxels))
    overlay.display.set_linear_contrast(0, 1)
    overlay.display.sticky = True
    if stored is not None:
        overlay.registry["LayerMetaData.Alpha"] = stored
    assert drawn(ws)[5, 5, 0] == round(255 * seen)


@pytest.mark.parametrize(
    ("stored", "seen"), [(None, 0.5), ("0.2", 0.2), ("1", 1), ("0", 0), ("7", 1), ("-1", 0)]
)
def test_the_opacity_of_segmentations(ws, tmp_path, stored, seen):
    ws.add_segmentation(save(tmp_path / "labels.nii.gz", np.ones(SHAPE, np.uint8)))
    ws.labels = [Label(1, "one", (255, 0, 0))]
    key = "ProjectMetaData.IRIS.LabelState.SegmentationAlpha"
    if stored is not None:
        ws.main.registry[key] = stored
    assert drawn(ws)[5, 5].tolist() == [round(255 * seen), 0, 0]
    for bad in ("nan", "{{alpha}}"):
        ws.main.registry[key] = bad
        with pytest.raises(InvalidValue, match=r"layer 001: .*(opacity|Alpha)"):
            drawn(ws)


@pytest.mark.parametrize("role", ["OverlayRole", "SnapRole"])
def test_an_overlay_that_is_not_sticky_is_drawn_if_it_is_asked_for(ws, tmp_path, role):
    overlay = ws.add_overlay(save(tmp_path / "overlay.nii.gz", np.full(SHAPE, 100, np.int16)))
    overlay.registry["Role"] = role
    overlay.display.set_linear_contrast(0, 100)
    for said in ("nothing", "no"):
        if said == "no":
            overlay.display.sticky = False
        assert drawn(ws)[5, 5, 0] == 0
        assert drawn(ws, layers=["M", "1"])[5, 5, 0] == 128
    overlay.display.sticky = True
    assert drawn(ws)[5, 5, 0] == 128


def test_over_a_tile_lie_sticky_overlays_and_segmentations(ws, tmp_path):
    grey = {"sticky": 100, "tile": 50}
    for name, value in grey.items():
        overlay = ws.add_overlay(save(tmp_path / f"{name}.nii.gz", np.full(SHAPE, value, "<i2")))
        overlay.display.set_linear_contrast(0, 100)
        overlay.display.sticky = name == "sticky"
    labels = np.zeros(SHAPE, np.uint8)
    labels[3] = 1
    ws.add_segmentation(save(tmp_path / "labels.nii.gz", labels))
    (tile,) = tiles.tiles(ws)
    scene = tiles.scene(tile)
    assert [layer.number for layer in scene.layers] == [2, 1, 3]
    (found,) = scene.draw([(View.AXIAL, 8)], max(SHAPE))
    found = found[::-1, ::-1].transpose(1, 0, 2)
    assert found[5, 5].tolist() == [191] * 3  # white, half of it, over grey
    assert found[3, 5, 0] > found[3, 5, 1]
    alone = tiles.scene(tile, without=[1, 3])
    assert [layer.number for layer in alone.layers] == [2]


def test_a_tile_with_one_time_point_is_drawn_at_every_time_point(ws, tmp_path):
    series = np.zeros((*SHAPE, 3), np.float32)
    save(tmp_path / "main.nii.gz", series)
    ws.add_overlay(save(tmp_path / "still.nii.gz", np.zeros(SHAPE, np.int16)))
    ws.add_overlay(save(tmp_path / "moving.nii.gz", series))
    for time_point in (1, 3):
        image, left_out = tiles.picture(ws, size=24, time_point=time_point)
        assert (image.height > 3 * ws.picture(size=24).height, left_out) == (True, [])
    with pytest.raises(InvalidValue, match="time points 1 to 3"):
        tiles.picture(ws, size=24, time_point=4)


def test_a_tile_that_cannot_be_drawn_spoils_no_picture(ws, tmp_path):
    ws.add_overlay(tmp_path / "gone.nii.gz")
    image, (line,) = tiles.picture(ws, size=24)
    assert image.height == ws.picture(size=24).height
    assert line.startswith("layer 001: layer 001 of the new workspace: its file")


def test_what_is_drawn_can_be_chosen_and_the_lowest_is_opaque(ws, tmp_path):
    stripes(ws, tmp_path, [100])
    overlay = ws.add_overlay(save(tmp_path / "overlay.nii.gz", np.zeros(SHAPE, np.float32)))
    overlay.display.set_linear_contrast(0, 100)
    assert drawn(ws)[5, 5, 0] == 255
    assert drawn(ws, layers=["M"])[5, 5, 0] == 255
    assert drawn(ws, layers=["O:0"])[5, 5, 0] == 0
    assert drawn(ws, layers=["1", "M"])[5, 5, 0] == 128  # by number, whatever the order
    with pytest.raises(LayerNotFound):
        Scene(ws, ["O:1"])
    with pytest.raises(InvalidValue):
        Scene(ws, [])


@pytest.mark.parametrize(
    ("mode", "component", "grey"),
    [
        (ComponentMode.COMPONENT, 0, 30),
        (ComponentMode.COMPONENT, 2, 20),
        (ComponentMode.COMPONENT, -5, 30),
        (ComponentMode.COMPONENT, 7, 20),
        (ComponentMode.MAGNITUDE, 0, 70),
        (ComponentMode.MAXIMUM, 0, 60),
        (ComponentMode.AVERAGE, 0, 37),
    ],
)
def test_several_components_as_one(ws, tmp_path, mode, component, grey):
    vectors = np.zeros((*SHAPE, 1, 3), np.float32)
    vectors[...] = 30, 60, 20
    save(tmp_path / "main.nii.gz", vectors, intent_code=1007)
    ws.main.display.show(mode, component)
    ws.main.display.set_linear_contrast(0, 255)
    assert drawn(ws)[5, 5].tolist() == [grey] * 3


def test_a_curve_of_fractions_applies_to_the_shown_range(ws, tmp_path):
    vectors = np.zeros((*SHAPE, 1, 3), np.float32)
    vectors[::2] = 30, 60, 21
    save(tmp_path / "main.nii.gz", vectors, intent_code=1007)
    ws.main.display.show(ComponentMode.AVERAGE)
    ws.main.display.contrast = ((0, 0), (1, 1))
    assert drawn(ws)[4, 5].tolist() == [255] * 3
    assert drawn(ws)[5, 5].tolist() == [0] * 3


def test_a_curve_of_fractions_applies_to_the_range_of_the_shown_component(ws, tmp_path):
    """One bright voxel of 100 x 100 x 60 counts, and what other components have does not."""
    vectors = np.zeros((100, 100, 60, 1, 2), np.float32)
    vectors[:50, ..., 0], vectors[..., 1] = 50, 1000
    vectors[81, 81, 31, 0, 0] = 100
    save(tmp_path / "main.nii.gz", vectors, intent_code=1007)
    ws.main.display.contrast = ((0, 0), (1, 1))
    (found,) = Scene(ws).draw([(View.AXIAL, 31)], 100)
    assert sorted(set(found.ravel().tolist())) == [0, 128, 255]


def test_components_as_colours(ws, tmp_path):
    vectors = np.zeros((*SHAPE, 1, 3), np.float32)
    vectors[::2] = 0, 50, 100
    save(tmp_path / "main.nii.gz", vectors, intent_code=1007)
    ws.main.display.show(ComponentMode.RGB)
    assert drawn(ws)[4, 5].tolist() == [0, 128, 255]
    ws.main.display.set_linear_contrast(0, 200)
    assert drawn(ws)[4, 5].tolist() == [0, 64, 128]
    ws.main.display.contrast = ()
    assert drawn(ws)[4, 5].tolist() == [0, 128, 255]
    colors = np.zeros(SHAPE, dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    colors["G"] = 200
    save(tmp_path / "main.nii.gz", colors)
    plain = Workspace()
    plain.set_main(tmp_path / "main.nii.gz")
    assert drawn(plain)[4, 5].tolist() == [0, 200, 0]
    plain.main.display.set_linear_contrast(0, 250)
    assert drawn(plain)[4, 5].tolist() == [0, 204, 0]


def test_a_displacement_field_as_a_grid(ws, tmp_path):
    field = np.zeros((*SHAPE, 1, 3), np.float32)
    save(tmp_path / "main.nii.gz", field, intent_code=1007)
    ws.main.display.show(ComponentMode.GRID)
    regular = drawn(ws)[..., 0] > 0
    assert np.flatnonzero(regular[:, 4]).size == 3  # lines of 5 mm, in 20 mm
    assert np.flatnonzero(regular[3]).size == 4  # and in 24 mm
    field[10] = np.nan
    save(tmp_path / "main.nii.gz", field, intent_code=1007)
    assert not drawn(ws)[10].any()


@pytest.mark.parametrize(
    ("component", "view", "sense"),
    [(0, View.AXIAL, -1), (1, View.SAGITTAL, -1), (2, View.CORONAL, 1)],
)
def test_a_grid_moves_as_the_displacement_says(ws, tmp_path, component, view, sense):
    """A field that grows along an axis of the patient draws lines together there, or apart."""
    axis = component
    shape = [6, 6, 6]
    shape[axis] = 60
    place = np.arange(60.0).reshape([60 if one == axis else 1 for one in range(3)])
    field = np.zeros((*shape, 1, 3), np.float32)
    field[..., 0, component] = place / 2  # in LPS mm
    made = Workspace()
    made.set_main(save(tmp_path / "field.nii.gz", field, intent_code=1007))
    made.main.display.show(ComponentMode.GRID)
    (found,) = Scene(made).draw([(view, 3)], 60)
    along = found[..., 0] > 0
    lines = along[:, 3] if along.shape[0] == 60 else along[3]
    # Over 60 mm the target runs through 90 mm, or, where LPS runs against RAS, through 30.
    assert abs(lines.sum() - (60 + sense * 30) / 5) <= 1


def test_another_time_point_than_the_only_one_is_refused(ws, tmp_path):
    ws.add_overlay(save(tmp_path / "overlay.nii.gz", np.zeros(SHAPE, np.float32)))
    with pytest.raises(InvalidValue, match="one time point, not 2"):
        ws.picture(time_point=2)
    series = ws.add_overlay(save(tmp_path / "series.nii.gz", np.zeros((*SHAPE, 2), np.float32)))
    series.display.sticky = True
    assert drawn(ws, time_point=2).any() == drawn(ws).any()
    with pytest.raises(InvalidValue, match="one time point, not 2"):
        drawn(ws, layers=["M", "O:0"], time_point=2)


def test_the_views_go_through_the_labels_that_are_seen(ws, tmp_path):
    labels = np.zeros(SHAPE, np.uint8)
    labels[2, 3, 4], labels[10, 11, 12] = 1, 2
    ws.add_segmentation(save(tmp_path / "labels.nii.gz", labels))
    ws.labels = [Label(1, "seen", (255, 0, 0)), Label(2, "not", (0, 255, 0), visible=False)]
    assert Scene(ws).cursor() == (2, 3, 4)
    ws.labels = [Label(1, "not", (255, 0, 0), visible=False), Label(2, "seen", (0, 255, 0))]
    assert Scene(ws).cursor() == (10, 11, 12)
    ws.labels = []
    assert Scene(ws).cursor() == (6, 7, 8)


def test_the_time_point_that_is_shown(ws, tmp_path):
    series = np.zeros((*SHAPE, 3), np.float32)
    series[..., 1] = 100
    save(tmp_path / "main.nii.gz", series)
    assert [drawn(ws, time_point=time)[5, 5, 0] for time in (1, 2, 3)] == [0, 255, 0]
    with pytest.raises(InvalidValue, match="time points 1 to 3"):
        drawn(ws, time_point=4)


# ----------------------------------------------------------------------- the picture


def test_a_picture_has_the_three_views_through_a_voxel_its_letters_and_its_scale(ws, tmp_path):
    voxels = np.zeros(SHAPE, np.int16)
    voxels[3, 15, 11] = 100
    save(tmp_path / "main.nii.gz", voxels)
    through = np.asarray(ws.picture(slices=(3, 15, 11), size=240))
    beside = np.asarray(ws.picture(slices=(4, 15, 11), size=240))
    # What differs is the sagittal slice, which has the voxel or not, and its number.
    columns = np.flatnonzero((through != beside).any((0, 2)))
    assert through.shape[1] / 4 < columns.min() < columns.max() < through.shape[1] * 0.7
    assert (through[..., 0] > 200).sum() > 100
    assert ws.picture().size == ws.picture(slices=(10, 12, 8)).size


def test_the_scale_is_of_the_length_that_it_says(ws):
    """24 mm are 240 pixels: a bar of 5 mm is 50 pixels long."""
    colors = np.asarray(ws.picture(size=240))[..., 0]
    white = colors[-20:] > 200
    runs = [len(run) for row in white for run in "".join(map(str, row.astype(int))).split("0")]
    assert abs(max(runs) - 50) <= 2  # its ends are 2 pixels wide


def test_a_picture_is_saved_whole_or_not_at_all(ws, tmp_path):
    image = ws.picture(size=64)
    for suffix in (".png", ".jpg", ".webp"):
        scenes.save_picture(image, tmp_path / f"a{suffix}")
        with Image.open(tmp_path / f"a{suffix}") as saved:
            assert saved.size == image.size
    with pytest.raises(InvalidValue, match=r"ends in \.png"):
        scenes.save_picture(image, tmp_path / "a.itksnap")
    with pytest.raises(OSError, match="No such file"):
        scenes.save_picture(image, tmp_path / "nowhere" / "a.png")
    assert not [one for one in tmp_path.iterdir() if one.name.startswith(".")]


@pytest.mark.parametrize("slices", [(0, 0, 16), (-1, 0, 0), (20, 0, 0)])
def test_a_voxel_outside_is_refused(ws, slices):
    with pytest.raises(InvalidValue, match="there is no"):
        ws.picture(slices=slices)


@pytest.mark.parametrize(
    ("size", "shape", "spacing"),
    [
        (16, SHAPE, (1.0, 1, 1)),
        (64, SHAPE, (1.0, 1, 1)),
        (320, (100, 100, 20), (0.3, 0.3, 8.0)),
    ],
)
def test_the_scale_stands_below_the_captions(tmp_path, size, shape, spacing):
    made = Workspace()
    made.set_main(save(tmp_path / "a.nii.gz", np.zeros(shape, np.int16), np.diag([*spacing, 1.0])))
    rows = np.asarray(made.picture(size=size)).max((1, 2))
    lines = [
        rows[list(run)]
        for written, run in groupby(range(len(rows)), rows.astype(bool).item)
        if written
    ]
    assert lines[-2].max() < 200 < lines[-1].max()  # what is grey, and what is white


def test_the_letters_of_an_oblique_image_stand_beside_it(tmp_path):
    turned = nibabel.eulerangles.euler2mat(0.6, 0.7, 0.5)
    affine = np.eye(4)
    affine[:3, :3] = turned
    made = Workspace()
    shape = (64, 64, 64)
    made.set_main(save(tmp_path / "a.nii.gz", np.zeros(shape, np.int16), affine))
    made.main.display.set_linear_contrast(-2, -1)  # all is white
    found = np.asarray(made.picture(size=64, slices=(0, 0, 0)))[..., 0]
    white = np.flatnonzero((found == 255).sum(1) > 3 * 64 - 1)
    assert white.size == 64
    assert (found[white] == 255).sum() == 3 * 64 * 64


def test_an_image_of_the_workspace_is_not_overwritten(ws, tmp_path):
    photo = tmp_path / "photo.png"
    Image.new("L", (20, 24), 128).save(photo)
    ws.add_overlay(photo)
    before = photo.read_bytes()
    with pytest.raises(InvalidValue, match=r"photo\.png is the image of layer 001"):
        scenes.save_picture(ws.picture(layers=["M"], size=32), photo, ws)
    assert photo.read_bytes() == before
    ws.save(tmp_path / "ws.png")
    ws.add_mesh(shutil.copy(RECORDINGS / "inputs" / "tri.vtk", tmp_path / "mesh.jpg"))
    for name, said in (("ws.png", "the workspace itself"), ("mesh.jpg", "surface 0 of mesh:0")):
        before = (tmp_path / name).read_bytes()
        with pytest.raises(InvalidValue, match=f"{name} is {said}: choose another name"):
            scenes.save_picture(ws.picture(layers=["M"], size=32), tmp_path / name, ws)
        assert (tmp_path / name).read_bytes() == before


@pytest.mark.skipif(os.name == "nt", reason="links take a privilege on Windows")
@pytest.mark.parametrize(
    ("name", "other"), [("pair.hdr", "pair.img"), ("pair.img", "pair.hdr"), ("d.mhd", "d.raw")]
)
def test_no_file_that_an_image_is_read_from_is_overwritten(ws, tmp_path, name, other):
    if name == "d.mhd":
        sitk = pytest.importorskip("SimpleITK", reason="MetaImage is read through it")
        sitk.WriteImage(sitk.Image(*SHAPE, sitk.sitkInt16), str(tmp_path / name))
    else:
        pair = nibabel.Nifti1Pair(np.zeros(SHAPE, np.int16), np.eye(4))
        pair.to_filename(tmp_path / "pair.img")
    ws.add_overlay(tmp_path / name)
    (tmp_path / "out.png").symlink_to(tmp_path / other)
    (tmp_path / "out.nii").symlink_to(tmp_path / other)
    before = (tmp_path / other).read_bytes()
    with pytest.raises(InvalidValue, match=r"out.png is the image of layer 001"):
        scenes.save_picture(ws.picture(layers=["M"], size=32), tmp_path / "out.png", ws)
    with pytest.raises(InvalidValue, match=r"out.nii is the image of layer 001"):
        ws.layer(1).copy_image(tmp_path / "out.nii")
    assert (tmp_path / other).read_bytes() == before


def test_what_cannot_be_drawn_is_refused(ws, tmp_path):
    for voxel in ((1, 2), "123", (1.5, 2, 3)):
        with pytest.raises(InvalidValue, match="three indices"):
            ws.picture(slices=voxel)
    with pytest.raises(InvalidValue, match=r"are a list: \['O:0'\]"):
        ws.picture(layers="O:0")
    with pytest.raises(LayerNotFound, match="mesh:0"):
        ws.picture(layers=["mesh:0"])
    with pytest.raises(InvalidValue, match="0 pixels"):
        ws.picture(size=0)
    with pytest.raises(LayerNotFound, match="no main image"):
        Workspace().picture()
    data = (tmp_path / "main.nii.gz").read_bytes()
    (tmp_path / "main.nii.gz").write_bytes(data[:-5])
    with pytest.raises(ImageDamaged, match=r"main\.nii\.gz"):
        ws.picture()
    (tmp_path / "main.nii.gz").write_bytes(data)
    ws.add_overlay(tmp_path / "gone.nii.gz").display.sticky = True
    with pytest.raises(LayerFileMissing, match=r"gone\.nii\.gz"):
        ws.picture()
    assert ws.picture(layers=["M"]).size


def test_voxels_of_size_0_have_size_1_as_in_itk(ws, tmp_path):
    image = nibabel.Nifti1Image(np.ones(SHAPE, np.int16), None).to_bytes()
    (tmp_path / "one.nii").write_bytes(image)
    data = bytearray(image)
    data[80:84] = np.float32(0).tobytes()  # the size of a voxel along x
    (tmp_path / "zero.nii").write_bytes(data)
    drawn = []
    for name in ("one.nii", "zero.nii"):
        ws.set_main(tmp_path / name)
        drawn.append(ws.picture(layers=["M"], size=32).tobytes())
    assert drawn[0] == drawn[1]


def test_without_pillow_it_is_said_what_to_install(tmp_path):
    program = """
import sys
sys.modules["PIL"] = None
from snapws import PictureError, Workspace
try:
    Workspace().picture()
except PictureError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert "pip install 'snapws[pictures]'" in done.stdout
    assert PictureError.__doc__

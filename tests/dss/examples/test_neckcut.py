"""MRI-NeckCut, on a phantom whose neck is known and on a real brain, stored in many ways."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
import pytest

from dss import ServiceError
from dss.serving.declaration import load
from dss.serving.description import problems
from dss.serving.job import Attached, Job
from snapws import Label, Workspace
from snapws.archive import archive
from snapws.verify import verify_archive
from tests.dss.examples import phantom

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "dss" / "examples" / "neckcut"
NECKCUT = load(FOLDER / "service.py")["MRI-NeckCut"]
BRAIN = ROOT / "fixtures" / "brain" / "target.nii.gz"

ORIENTATIONS = [
    np.column_stack([axes, flips])
    for axes in itertools.permutations(range(3))
    for flips in itertools.product([1, -1], repeat=3)
]


@dataclass
class Told:
    """What a job told its user."""

    lines: list[tuple[str, str]] = field(default_factory=list)
    progress_values: list[float] = field(default_factory=list)

    def attach(self, attached: Attached) -> None:
        raise AssertionError(f"nothing is attached: {attached}")

    def log(self, category: str, message: str) -> None:
        self.lines.append((category, message))

    def progress(self, value: float) -> None:
        self.progress_values.append(value)

    @property
    def warnings(self) -> list[str]:
        return [message for category, message in self.lines if category == "warning"]


@dataclass
class Outcome:
    """What the service made of a scan."""

    scan: Any
    workspace: Workspace
    told: Told

    @property
    def trimmed(self) -> Any:
        return nib.load(self.workspace.layer(tag="Trimmed").path)

    @property
    def parts(self) -> Any:
        return nib.load(self.workspace.layer(tag="HeadNeck").path)

    @property
    def labels(self) -> npt.NDArray[Any]:
        return np.asarray(self.parts.dataobj)

    @property
    def range(self) -> tuple[float, float]:
        """z of the lower and the upper face of the trimmed image, if it is not oblique."""
        z = phantom.heights(self.trimmed.shape, self.trimmed.affine)
        half = np.abs(self.trimmed.affine[2, :3]).max() / 2
        return float(z.min() - half), float(z.max() + half)


@pytest.fixture
def cut(tmp_path: Path) -> Any:
    """Runs the service on an image."""
    numbers = itertools.count()

    def run(scan: Any, labels: tuple[Label, ...] = ()) -> Outcome:
        folder = tmp_path / str(next(numbers))
        (folder / "work").mkdir(parents=True)
        nib.save(scan, folder / "t1.nii")
        workspace, told = Workspace(), Told()
        workspace.add_anatomical(folder / "t1.nii", nickname="Scan", tags={"T1-MRI"})
        workspace.labels = labels
        assert NECKCUT(Job(1, workspace, folder / "work", told)) is workspace
        return Outcome(nib.load(folder / "t1.nii"), workspace, told)

    return run


def image(voxels: npt.NDArray[Any], affine: npt.NDArray[np.float64]) -> Any:
    return nib.Nifti1Image(voxels, affine)


def scan(spacing: tuple[float, float, float] = (3, 3, 3), **brightness: float) -> Any:
    _, affine = phantom.upright(spacing)
    return image(_voxels(spacing, tuple(brightness.items())), affine)


@cache
def _voxels(
    spacing: tuple[float, float, float], brightness: tuple[tuple[str, float], ...]
) -> npt.NDArray[np.int16]:
    """Return the voxels of a phantom, which are not to be written to: other tests have them too."""
    shape, affine = phantom.upright(spacing)
    voxels = phantom.head(shape, affine, **dict(brightness)).astype(np.int16)
    voxels.flags.writeable = False
    return voxels


def assert_same(one: Any, other: Any, *, share: float = 1.0) -> None:
    """Make sure that two images have voxels at the same points, with the same values."""
    one, other = nib.as_closest_canonical(one), nib.as_closest_canonical(other)
    assert one.affine == pytest.approx(other.affine, abs=1e-3)
    assert one.shape[:3] == other.shape[:3]
    values, expected = (np.asarray(image.dataobj).ravel() for image in (one, other))
    assert (values == expected).mean() >= share


# ------------------------------------------------------------------ where the cut is


@pytest.mark.parametrize(
    "spacing", [(3, 3, 3), (2, 2, 2), (3, 3, 1), (3, 3, 5), (2, 3.5, 2.2), (6, 2, 2)]
)
def test_the_phantom_is_cut_where_its_neck_is_known_to_be(
    cut: Any, spacing: tuple[float, float, float]
) -> None:
    outcome = cut(scan(spacing))
    lower, upper = outcome.range
    assert abs(lower - phantom.CUT) <= spacing[2]
    assert abs(upper - (phantom.TOP + 10)) <= spacing[2]
    assert upper - lower == pytest.approx(180, abs=spacing[2] / 2 + 1e-3)
    assert outcome.told.warnings == []


@pytest.mark.parametrize(
    "brightness",
    [
        {"noise": 0.0},
        {"noise": 20.0},
        {"haze": 35.0},
        {"fat": 600.0},
        {"fat": 110.0},
        {"noise": 12.0, "haze": 25.0, "fat": 500.0},
    ],
    ids=str,
)
def test_noise_haze_and_bright_fat_do_not_move_the_cut(
    cut: Any, brightness: dict[str, float]
) -> None:
    outcome = cut(scan(**brightness))
    assert abs(outcome.range[0] - phantom.CUT) <= 3


def test_bright_specks_and_a_wrapped_ghost_above_the_head_are_no_head(cut: Any) -> None:
    plain = scan()
    voxels = np.asarray(plain.dataobj).copy()
    above = np.argwhere(phantom.heights(plain.shape, plain.affine) > phantom.TOP + 12)
    chosen = np.random.default_rng(2).choice(above, 60, replace=False)
    voxels[tuple(chosen.T)] = 20000
    voxels[25:55, 30:60, -4:] = 80  # 9 x 9 x 1.2 cm: the shoulders, wrapped around
    outcome = cut(image(voxels, plain.affine))
    assert abs(outcome.range[0] - phantom.CUT) <= 3
    z = phantom.heights(plain.shape, plain.affine)
    assert not outcome.labels[z > phantom.TOP + 9].any()


@pytest.mark.parametrize("factor", [0.02, 1.0, 100.0])
def test_brightness_does_not_matter(cut: Any, factor: float) -> None:
    plain = scan()
    voxels = (np.asarray(plain.dataobj) * factor).astype(np.float32)
    assert np.array_equal(cut(image(voxels, plain.affine)).labels, cut(plain).labels)


@pytest.mark.parametrize("outside", [0, np.nan])
def test_a_defaced_scan_with_nothing_outside(cut: Any, outside: float) -> None:
    plain = scan()
    shape, affine = plain.shape, plain.affine
    voxels = np.asarray(plain.dataobj, np.float32).copy()
    voxels[phantom.head(shape, affine, noise=0) == 0] = outside
    y = np.broadcast_to(np.arange(shape[1])[None, :, None], shape)
    face = (phantom.heights(shape, affine) < 0) & (y * 3 > 190)
    voxels[face] = outside
    outcome = cut(image(voxels, affine))
    assert abs(outcome.range[0] - phantom.CUT) <= 3
    assert not outcome.labels[face].any()


# ------------------------------------------------------------------ what is returned


def test_the_segmentation_parts_the_body_at_the_cut(cut: Any) -> None:
    plain = scan((3, 2, 2))
    outcome = cut(plain)
    truth = phantom.head(plain.shape, plain.affine, noise=0) > 0  # the skull's 12 included
    z = phantom.heights(plain.shape, plain.affine)
    expected = np.where(truth, np.where(z > phantom.CUT, 1, 2), 0)
    assert outcome.parts.shape == plain.shape
    assert np.array_equal(outcome.parts.affine, plain.affine)
    assert outcome.labels.dtype == np.uint8
    for label in (1, 2):
        a, b = outcome.labels == label, expected == label
        assert 2 * (a & b).sum() / (a.sum() + b.sum()) > 0.99


def test_the_result_has_both_layers_and_their_labels(cut: Any, tmp_path: Path) -> None:
    old = Label(7, "Lesion", (1, 2, 3))
    outcome = cut(scan(), labels=(Label(1, "Label 1"), old))
    workspace = outcome.workspace
    assert [(layer.role.name, layer.nickname, layer.tags) for layer in workspace.layers()] == [
        ("MAIN", "Scan", ("T1-MRI",)),
        ("OVERLAY", "Trimmed T1", ("Trimmed",)),
        ("SEGMENTATION", "Head and neck", ("HeadNeck",)),
    ]
    assert [(label.index, label.name) for label in workspace.labels] == [
        (1, "Head"),
        (2, "Neck"),
        (7, "Lesion"),
    ]
    assert len({label.color for label in workspace.labels}) == 3
    assert outcome.told.progress_values[-1] == 1.0
    archive(workspace, tmp_path / "archive")
    assert verify_archive(tmp_path / "archive") == ()


@pytest.mark.parametrize("dtype", ["u1", ">i2", "u2", "f4"])
@pytest.mark.parametrize("scaling", [(None, None), (0.5, -3.0)])
def test_voxels_type_scaling_and_units_are_kept(
    cut: Any, dtype: str, scaling: tuple[float | None, float | None]
) -> None:
    shape, affine = phantom.upright((4, 4, 4))
    voxels = np.clip(phantom.head(shape, affine), 0, 255).astype(dtype)
    original = nib.Nifti1Image(
        voxels, affine, nib.Nifti1Header(endianness=">" if ">" in dtype else "<")
    )
    original.set_data_dtype(voxels.dtype)
    original.header.set_slope_inter(*scaling)
    original.header.set_xyzt_units("mm", "sec")
    outcome = cut(original)
    trimmed = outcome.trimmed
    assert trimmed.get_data_dtype() == outcome.scan.get_data_dtype() == np.dtype(dtype)
    assert trimmed.header.get_xyzt_units() == ("mm", "sec")
    before, after = outcome.scan.dataobj, trimmed.dataobj
    assert (after.slope, after.inter) == (before.slope, before.inter)
    assert after.slope == (scaling[0] or 1)
    first = round((trimmed.affine[2, 3] - affine[2, 3]) / 4)
    kept = slice(first, first + trimmed.shape[2])
    assert np.array_equal(after.get_unscaled(), before.get_unscaled()[:, :, kept])
    assert np.array_equal(outcome.labels, cut(image(voxels, affine)).labels)
    assert (outcome.parts.dataobj.slope, outcome.parts.dataobj.inter) == (1, 0)


@pytest.mark.parametrize(("qform", "sform"), [(1, 0), (0, 2), (1, 4), (3, 1)])
def test_each_form_of_the_header_is_moved_by_itself(cut: Any, qform: int, sform: int) -> None:
    plain = scan()
    other = nib.affines.from_matvec(np.diag([-1.0, 1, 1]), [5, -6, 7]) @ plain.affine
    plain.set_qform(plain.affine, qform)
    plain.set_sform(other if qform else plain.affine, sform)
    outcome = cut(plain)
    for name, code in (("get_qform", qform), ("get_sform", sform)):
        before, _ = getattr(outcome.scan, name)(coded=True)
        if not code:
            continue
        for result, start in ((outcome.trimmed, [0, 0, 31]), (outcome.parts, [0, 0, 0])):
            after, kept_code = getattr(result, name)(coded=True)
            assert kept_code == code
            assert after @ [0, 0, 0, 1] == pytest.approx(before @ [*start, 1], abs=1e-4)
            assert after[:3, :3] == pytest.approx(before[:3, :3], abs=1e-5)


def test_a_header_without_a_place_is_taken_as_itk_takes_it(cut: Any) -> None:
    plain = scan()
    plain.set_qform(None, 0)
    plain.set_sform(None, 0)
    outcome = cut(plain)
    assert outcome.trimmed.shape[2] == 60
    expected = nib.affines.from_matvec(np.diag([-3, -3, 3]), [0, 0, 31 * 3])
    assert outcome.trimmed.affine == pytest.approx(expected)


# ------------------------------------------------------------------ however it is stored


def test_the_brain_is_trimmed_to_180_mm(cut: Any) -> None:
    outcome = cut(nib.load(BRAIN))
    voxels = np.asarray(outcome.scan.dataobj)
    assert outcome.range == (-88.5, 91.5)  # the brain's uppermost slice is at 81 mm
    assert np.array_equal(np.asarray(outcome.trimmed.dataobj), voxels[:, :, :60])
    assert set(np.unique(outcome.labels)) == {0, 1}
    # A brain has 1.0 to 1.9 l; the ventricles are in it, and what lies between its folds.
    assert 1.4e6 < 27 * np.count_nonzero(outcome.labels) < 2.1e6
    assert (outcome.labels > 0)[voxels > 100].mean() > 0.999


def test_every_orientation_keeps_the_same_points(cut: Any) -> None:
    for plain in (nib.load(BRAIN), scan((5, 6, 7))):
        expected = cut(plain)
        for orientation in ORIENTATIONS:
            outcome = cut(plain.as_reoriented(orientation))
            assert_same(outcome.trimmed, expected.trimmed)
            # Blocks that begin at another corner see the skin a bit differently.
            assert_same(outcome.parts, expected.parts, share=0.9995)
            assert outcome.told.warnings == expected.told.warnings


@pytest.mark.parametrize("angles", [(12, 0), (-20, 9), (35, -25)])
def test_an_oblique_scan_keeps_all_slices_that_reach_into_the_range(
    cut: Any, angles: tuple[float, float]
) -> None:
    a, b = np.radians(angles)
    tilt = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]]) @ np.array(
        [[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]]
    )
    shape, affine = (90, 100, 130), np.diag([3.0, 3, 3, 1])
    affine[:3, :3] = tilt * 3
    affine[:3, 3] = np.array([0, 0, -30]) - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    affine = affine[:, [1, 2, 0, 3]]  # the axis that is nearest to superior is the second
    shape = (shape[1], shape[2], shape[0])
    outcome = cut(image(phantom.head(shape, affine).astype(np.int16), affine))

    z = phantom.heights(shape, affine)
    labels = outcome.labels
    assert abs(z[labels == 1].min() - phantom.CUT) < 3
    assert abs(z[labels == 2].max() - phantom.CUT) < 3
    assert abs(z[labels == 1].max() - phantom.TOP) < 3

    trimmed = outcome.trimmed
    start = np.rint(np.linalg.solve(affine, trimmed.affine[:, 3]))[:3].astype(int)
    assert start[[0, 2]].tolist() == [0, 0]
    assert affine @ [*start, 1] == pytest.approx(trimmed.affine[:, 3], abs=1e-3)
    kept = slice(start[1], start[1] + trimmed.shape[1])
    assert np.array_equal(np.asarray(trimmed.dataobj), np.asarray(outcome.scan.dataobj)[:, kept])
    assert (labels[:, kept] == 1).sum() == (labels == 1).sum()
    columns = (labels == 1).any(axis=1)  # above, in and below the head, nothing of 180 mm is lost
    inside = (z > phantom.CUT + 3) & (z < phantom.TOP + 7) & columns[:, None, :]
    assert inside[:, kept].sum() == inside.sum()
    # and no slice is kept that none of this is in, but for the uncertainty of a slice
    needed = np.flatnonzero(inside.any(axis=(0, 2)))
    assert trimmed.shape[1] <= needed.size + 4 < shape[1]


# ------------------------------------------------------------------ scans that are not as hoped


def test_a_scan_that_ends_below_the_top_of_the_head_is_warned_about(cut: Any) -> None:
    shape, affine = phantom.upright(top=phantom.TOP - 30)
    outcome = cut(image(phantom.head(shape, affine), affine))
    (warning,) = outcome.told.warnings
    assert "top may be missing" in warning
    assert outcome.range == pytest.approx((phantom.TOP - 30 - 170, phantom.TOP - 30), abs=3)


def test_a_scan_of_less_than_180_mm_is_kept_whole_and_is_all_head(cut: Any) -> None:
    plain = scan().slicer[:, :, -58:]
    outcome = cut(plain)
    (warning,) = outcome.told.warnings
    assert "nothing to cut" in warning
    assert_same(outcome.trimmed, plain)
    assert set(np.unique(outcome.labels)) == {0, 1}


def test_one_volume_with_a_fourth_axis_is_as_good_as_without(cut: Any) -> None:
    plain = scan()
    outcome = cut(image(np.asarray(plain.dataobj)[..., None], plain.affine))
    assert_same(outcome.trimmed, cut(plain).trimmed)


def _rgb() -> npt.NDArray[Any]:
    return np.zeros((9, 9, 9), [("R", "u1"), ("G", "u1"), ("B", "u1")])


@pytest.mark.parametrize(
    ("voxels", "words"),
    [
        (np.zeros((9, 9, 9, 2), np.int16), "not one volume"),
        (np.zeros((9, 9, 9, 1, 3), np.float32), "not one volume"),
        (np.zeros((9, 9), np.int16), "not one volume"),
        (_rgb(), "not T1"),
        (np.zeros((9, 9, 9), np.complex64), "not T1"),
        (np.zeros((60, 60, 60), np.int16), "empty"),
        (np.full((60, 60, 60), np.nan, np.float32), "empty"),
        (np.full((60, 60, 60), 700, np.int16), "empty"),
        (np.pad(np.full((20, 20, 20), 700, np.int16), 20), "no head found"),
    ],
)
def test_what_is_no_scan_of_a_head_is_refused(
    cut: Any, voxels: npt.NDArray[Any], words: str
) -> None:
    with pytest.raises(ServiceError, match=words):
        cut(image(voxels, np.diag([2.0, 2, 2, 1])))


def test_an_inverted_scan_is_refused(cut: Any) -> None:
    plain = scan()
    plain.header.set_slope_inter(-1, 300)
    with pytest.raises(ServiceError, match="inverted"):
        cut(plain)


def test_the_description_is_of_this_service() -> None:
    description = json.loads((FOLDER / "service.json").read_text("utf-8"))
    assert problems(FOLDER / "service.json") == []
    assert description["name"] == NECKCUT.name
    (tag,) = description["tags"]
    assert ((tag["name"],), tag["type"], tag["required"]) == (NECKCUT.tags, "MainImage", True)

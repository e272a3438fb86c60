"""The views: which way up an image is shown, and which letters say so."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
from nibabel.orientations import axcodes2ornt, inv_ornt_aff, ornt_transform

from snapws.pictures.views import Grid, View, round_length

SHAPE = (7, 8, 9)
ORIENTATIONS = [
    "".join(signs) for order in permutations(("RL", "AP", "SI")) for signs in product(*order)
]
EDGES = {
    View.AXIAL: ("R", "L", "A", "P"),
    View.SAGITTAL: ("A", "P", "S", "I"),
    View.CORONAL: ("R", "L", "S", "I"),
}
IN_RAS = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}


def grid(codes: str, spacing=(1.0, 2.0, 3.0)) -> Grid:
    """A grid whose voxel axes run to these directions; its RAS axes have the spacing."""
    ras = np.diag([*spacing, 1.0])
    to_codes = ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(codes))
    affine = ras @ inv_ornt_aff(to_codes, SHAPE)
    size = [0, 0, 0]
    for axis, (new, _) in enumerate(to_codes):
        size[int(new)] = SHAPE[axis]
    return Grid(affine, (size[0], size[1], size[2]))


@pytest.mark.parametrize("codes", ORIENTATIONS)
@pytest.mark.parametrize("view", View)
def test_any_order_of_axes_is_shown_the_same_way(codes, view):
    made = grid(codes)
    assert made.letters(view) == EDGES[view]
    plane = made.plane(view, 0, 1.0)
    left, _, top, _ = EDGES[view]
    # In millimetres, the upper left corner is the one that the letters name.
    for letter, step in ((left, plane.across), (top, plane.down)):
        axis, sign = IN_RAS[letter]
        along = (made.affine[:3, :3] @ step)[axis]
        assert np.sign(along) == -sign


@pytest.mark.parametrize("codes", ["RAS", "LPI", "SRP", "AIL"])
def test_views_have_the_size_of_the_image(codes):
    made = grid(codes)
    assert made.millimetres(View.AXIAL) == (7.0, 16.0)
    assert made.millimetres(View.SAGITTAL) == (16.0, 27.0)
    assert made.millimetres(View.CORONAL) == (7.0, 27.0)
    assert [made.length(view) for view in (View.SAGITTAL, View.CORONAL, View.AXIAL)] == [7, 8, 9]


@pytest.mark.parametrize("codes", ["RAS", "LPI", "SRP"])
@pytest.mark.parametrize("pixel", [0.5, 1.0, 1.7, 100.0])
def test_pixels_fill_the_image_and_no_more(codes, pixel):
    made = grid(codes)
    for view in View:
        plane = made.plane(view, 2, pixel)
        corners = [
            plane.origin + across * plane.across + down * plane.down
            for across in (-0.5, plane.width - 0.5)
            for down in (-0.5, plane.height - 0.5)
        ]
        axis = made.axis(view)
        others = [other for other in range(3) if other != axis]
        for other in others:
            places = [corner[other] for corner in corners]
            np.testing.assert_allclose(min(places), -0.5)
            np.testing.assert_allclose(max(places), made.shape[other] - 0.5)
        assert {float(corner[axis]) for corner in corners} == {2.0}


def turned(degrees: float, axis: int) -> np.ndarray:
    cosine, sine = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    matrix = np.eye(4)
    a, b = [other for other in range(3) if other != axis]
    matrix[[a, a, b, b], [a, b, a, b]] = cosine, -sine, sine, cosine
    return matrix


@pytest.mark.parametrize(
    ("degrees", "edges"),
    [
        (0, ("R", "L", "A", "P")),
        (14, ("R", "L", "A", "P")),
        (16, ("RA", "LP", "AL", "PR")),
        # Turned from right towards anterior: the right edge's end is anterior of the left one's.
        (30, ("RA", "LP", "AL", "PR")),
        (-30, ("RP", "LA", "AR", "PL")),
        (60, ("RP", "LA", "AR", "PL")),  # nearer to the next axis, seen from the other side
    ],
)
def test_an_oblique_axis_is_named_by_both_directions(degrees, edges):
    assert Grid(turned(degrees, 2), SHAPE).letters(View.AXIAL) == edges


def test_an_axis_between_all_three_directions_is_named_by_the_nearest_two():
    affine = turned(30, 2) @ turned(30, 0) @ turned(40, 1)
    for view in View:
        assert {len(edge) for edge in Grid(affine, SHAPE).letters(view)} <= {1, 2}


def test_an_image_of_one_slice_has_all_three_views():
    made = Grid(np.eye(4), (5, 6, 1))
    assert [made.length(view) for view in View] == [1, 5, 6]
    assert made.plane(View.CORONAL, 0, 2.0).height == 1


def test_an_axis_along_which_nothing_lies_is_no_obstacle():
    flat = np.diag([1.0, 1.0, 0.0, 1.0])
    made = Grid(flat, (5, 6, 1))
    assert made.letters(View.AXIAL) == ("R", "L", "A", "P")
    assert made.letters(View.CORONAL)[2:] == ("?", "?")


@pytest.mark.parametrize(
    ("longest", "length"),
    [(1, 1), (1.99, 1), (2, 2), (4.9, 2), (5, 5), (99, 50), (0.3, 0.2), (1000, 1000)],
)
def test_round_lengths(longest, length):
    assert round_length(longest) == pytest.approx(length)

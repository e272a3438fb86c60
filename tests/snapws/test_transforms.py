from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from snapws import Workspace, transform_files, transforms
from snapws.errors import InvalidValue, TextFileError
from snapws.registry import Registry

_NUMBERS = st.floats(-1e6, 1e6, allow_nan=False)


def test_ras_in_memory_lps_in_the_file(base):
    layer = base.layers()[1]
    layer.transform = [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 12, 12], [0, 0, 0, 1]]
    folder = layer.registry.folder("ImageTransform")
    assert folder["IsIdentity"] == "0"
    matrix = [[folder[f"Matrix.Element[{i}][{j}]"] for j in range(3)] for i in range(3)]
    assert matrix == [["1", "2", "-3"], ["5", "6", "-7"], ["-9", "-10", "12"]]
    assert [folder[f"Offset.Element[{i}]"] for i in range(3)] == ["-4", "-8", "12"]


def test_absent_elements_are_the_identitys(inputs):
    layer = Workspace.open(inputs / "gui.itksnap").layers()[1]
    expected = [[0.5, 0.25, 0, -1.23456789], [0, 1, 0, 0], [-3, 0, 1, -7], [0, 0, 0, 1]]
    assert layer.transform.tolist() == expected
    assert layer.transform.dtype == np.float64


def test_the_identity(base):
    layer = base.layers()[1]
    assert layer.transform.tolist() == np.eye(4).tolist()
    assert not np.signbit(layer.transform).any()
    layer.transform = np.diag([1, 1, 2, 1])
    layer.transform = np.eye(4)
    assert layer.registry["ImageTransform.IsIdentity"] == "1"
    assert layer.transform.tolist() == np.eye(4).tolist()


@given(st.lists(_NUMBERS, min_size=12, max_size=12))
def test_no_digit_is_lost(numbers):
    matrix = np.vstack([np.reshape(numbers, (3, 4)), [0, 0, 0, 1]])
    assume(transforms.has_inverse(transforms.Matrix(map(tuple, matrix.tolist()))))
    folder = Registry()
    transforms.write(folder, transforms.checked(matrix.tolist()))
    assert np.array_equal(np.array(transforms.read(folder)), matrix)


@pytest.mark.parametrize(
    "matrix",
    [
        np.eye(3),
        np.ones(16),
        np.full((4, 4), np.nan),
        np.diag([1, 1, 1, 2]),
        np.diag([1, 1, 1, 1 + 2e-6]),
        np.diag([1, 1, 0, 1]),
        [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12], [0, 0, 0, 1]],
        [[0.1, 0.2, 0, 0], [0.3, 0.6, 0, 0], [0, 0, 1e-9, 0], [0, 0, 0, 1]],
        [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, np.inf], [0, 0, 0, 1]],
    ],
)
def test_what_is_no_affine_transform_is_refused(base, matrix):
    layer = base.layers()[1]
    with pytest.raises(InvalidValue):
        layer.transform = matrix
    assert layer.registry.folder("ImageTransform") is None


def test_an_element_that_is_no_number(base):
    layer = base.layers()[1]
    layer.registry["ImageTransform.IsIdentity"] = "0"
    layer.registry["ImageTransform.Matrix.Element[0][0]"] = "one"
    with pytest.raises(InvalidValue, match=r"Matrix\.Element\[0\]\[0\] holds 'one'"):
        layer.transform  # noqa: B018


def test_the_last_row_of_a_matrix_is_taken_with_rounding(tmp_path):
    (tmp_path / "a.mat").write_text("2 0 0 1\n0 1 0 2\n0 0 1 3\n0 -4e-7 0 0.9999999\n")
    assert transform_files.read_itk_or_ras(tmp_path / "a.mat")[3] == (0, 0, 0, 1)


@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_a_matrix_of_any_scale_has_an_inverse(base, scale):
    layer = base.layers()[1]
    layer.transform = np.diag([scale, scale, scale, 1])
    assert layer.transform[0][0] == scale


@pytest.mark.parametrize("stored", [None, "", "1", "2"])
def test_a_matrix_without_is_identity_is_the_identity(base, stored):
    layer = base.layers()[1]
    layer.transform = np.diag([2, 1, 1, 1])
    del layer.registry["ImageTransform.IsIdentity"]
    if stored is not None:
        layer.registry["ImageTransform.IsIdentity"] = stored
    assert layer.transform.tolist() == np.eye(4).tolist()
    folder = layer.registry.folder("ImageTransform")
    assert transforms.unused(folder) is (stored in (None, ""))


def test_a_matrix_file(inputs):
    matrix = transform_files.read_itk_or_ras(inputs / "rotation.mat")
    assert matrix[0] == (0, -1, 0, 12.3456789012345)
    assert matrix[2][3] == 1234567.891


ITK = """#Insight Transform File V1.0
#Transform 0
Transform: {kind}
Parameters: 1 0 0 0 0.8 -0.6 0 0.6 0.8 10 20 30
FixedParameters: {center}
"""


@pytest.mark.parametrize(
    "kind", ["AffineTransform_double_3_3", "MatrixOffsetTransformBase_float_3_3"]
)
def test_an_itk_file_maps_the_same_points(tmp_path, kind):
    path = tmp_path / "affine.tfm"
    path.write_text(ITK.format(kind=kind, center="1 2 3"))
    ras = np.array(transform_files.read_itk_or_ras(path))
    linear = np.array([[1, 0, 0], [0, 0.8, -0.6], [0, 0.6, 0.8]])
    point_lps, center = np.array([5.0, 7.0, 11.0]), np.array([1.0, 2.0, 3.0])
    mapped_lps = linear @ (point_lps - center) + [10, 20, 30] + center
    mapped_ras = ras @ [-5, -7, 11, 1]
    assert np.allclose(mapped_ras[:3] * [-1, -1, 1], mapped_lps)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1 0 0 0\n0 1 0 0\n", "has 16 numbers, the file has 8"),
        ("a b c d\n", "not a number"),
        ("1 0 0 0 0 1 0 0 0 0 1 0 0 0 1 1", "last row is 0 0 0 1"),
        ("nan " * 12 + "0 0 0 1", "finite"),
        (
            ITK.format(kind="Euler3DTransform_double_3_3", center="0 0 0"),
            "of type Euler3DTransform",
        ),
        (ITK.format(kind="AffineTransform_double_2_2", center="0 0"), "of type AffineTransform"),
        (ITK.format(kind="AffineTransform_double_3_3", center="0 0"), "12 parameters and 3 fixed"),
        (ITK.format(kind="AffineTransform_double_3_3", center="x 0 0"), "not a number"),
        (ITK.format(kind="AffineTransform_double_3_3", center="0 0 0") * 2, "several transforms"),
        ("#Insight Transform File V1.0\n", "of type none"),
        (b"\xff\xfe\0", "not a text file"),
    ],
)
def test_what_is_no_transform_file_is_refused(tmp_path, content, message):
    path = tmp_path / "bad.mat"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(TextFileError, match=message) as caught:
        transform_files.read_itk_or_ras(path)
    assert str(path) in str(caught.value)

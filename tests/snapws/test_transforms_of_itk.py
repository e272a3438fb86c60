"""Transform files of ITK, ANTs and 3D Slicer, written by SimpleITK; and back."""

from __future__ import annotations

import re
import struct
import subprocess
import sys

import numpy as np
import pytest

from snapws import transform_files
from snapws.errors import TextFileError, WorkspaceError
from tests.snapws.transform_samples import RAS, apart, corners, study

sitk = pytest.importorskip("SimpleITK", reason="the extra formats is not installed")

_FLIP = np.diag([-1.0, -1, 1, 1])
_CENTER = (11.0, -7.0, 23.0)
_TURN = (0.1, -0.2, 0.3)
_MOVE = (4.0, -5.5, 6.25)


def _affine():
    made = sitk.AffineTransform(3)
    made.SetMatrix((_FLIP @ RAS @ _FLIP)[:3, :3].ravel().tolist())
    made.SetCenter(_CENTER)
    made.SetTranslation(_MOVE)
    return made


def _rotation(kind):
    made = kind()
    made.SetCenter(_CENTER)
    made.SetRotation((0.0, 0.6, 0.8), 0.4)
    return made


def _rigid():
    made = _rotation(sitk.VersorRigid3DTransform)
    made.SetTranslation(_MOVE)
    return made


def _similarity():
    made = _rotation(sitk.Similarity3DTransform)
    made.SetTranslation(_MOVE)
    made.SetScale(1.25)
    return made


def _scale_versor():
    made = _rotation(sitk.ScaleVersor3DTransform)
    # In this order: ITK does not place it anew around its center when the scale is set.
    made.SetScale((1.25, 0.75, 1.5))
    made.SetTranslation(_MOVE)
    return made


def _skew():
    made = _rotation(sitk.ScaleSkewVersor3DTransform)
    made.SetScale((1.25, 0.75, 1.5))
    made.SetSkew((0.01, 0.02, 0.03, 0.04, 0.05, 0.06))
    made.SetTranslation(_MOVE)
    return made


def _scale():
    made = sitk.ScaleTransform(3, (1.25, 0.75, 1.5))
    made.SetCenter(_CENTER)
    return made


def _euler_zyx():
    made = sitk.Euler3DTransform(_CENTER, *_TURN, _MOVE)
    made.SetComputeZYX(True)
    return made


MADE = {
    "identity": lambda: sitk.Transform(3, sitk.sitkIdentity),
    "translation": lambda: sitk.TranslationTransform(3, _MOVE),
    "euler": lambda: sitk.Euler3DTransform(_CENTER, *_TURN, _MOVE),
    "euler zyx": _euler_zyx,
    "versor": lambda: _rotation(sitk.VersorTransform),
    "versor rigid": _rigid,
    "similarity": _similarity,
    "scale": _scale,
    "scale versor": _scale_versor,
    "scale skew versor": _skew,
    "affine": _affine,
}
COMPOSITES = {
    "translation, rotation": ["translation", "euler"],
    "rotation, translation": ["euler", "translation"],
    "affine, similarity, scale": ["affine", "similarity", "scale"],
}


def _composite(names):
    return sitk.CompositeTransform([MADE[name]() for name in names])


def _assert_is(layer, transform, most=1e-6):
    """Check at the corners of the main image that a layer's transform is one of SimpleITK."""
    for corner in corners(layer):
        mapped = (_FLIP @ layer.transform @ corner)[:3]
        assert np.abs(mapped - transform.TransformPoint((_FLIP @ corner)[:3])).max() < most


@pytest.mark.usefixtures("forks_read_hdf5")
@pytest.mark.parametrize("ending", ["tfm", "mat", "h5"])
@pytest.mark.parametrize("name", MADE)
def test_every_linear_transform_is_read_as_itk_maps_points(tmp_path, name, ending):
    layer = study(tmp_path)
    sitk.WriteTransform(MADE[name](), str(tmp_path / f"made.{ending}"))
    found = layer.read_transform(tmp_path / f"made.{ending}")
    assert found.format == "itk"
    assert ("the identity" in found.remark) is (name == "identity")
    _assert_is(layer, MADE[name]())


def test_hdf5_is_read_where_a_script_is_named_like_a_module(tmp_path, monkeypatch):
    """A service's folder comes first where it is run, as that of any script does."""
    layer = study(tmp_path)
    sitk.WriteTransform(_affine(), str(tmp_path / "made.h5"))
    for name in ("json", "tempfile", "SimpleITK", "numpy", "snapws"):
        (tmp_path / f"{name}.py").write_text("raise ImportError('a script')")
    monkeypatch.syspath_prepend(tmp_path)
    layer.read_transform(tmp_path / "made.h5")
    _assert_is(layer, _affine())


@pytest.mark.usefixtures("forks_read_hdf5")
@pytest.mark.parametrize("ending", ["txt", "h5"])
@pytest.mark.parametrize("name", COMPOSITES)
def test_a_composite_is_multiplied_in_the_order_of_itk(tmp_path, name, ending):
    layer = study(tmp_path)
    made = _composite(COMPOSITES[name])
    sitk.WriteTransform(made, str(tmp_path / f"made.{ending}"))
    layer.read_transform(tmp_path / f"made.{ending}")
    _assert_is(layer, made)


def test_a_composite_in_a_mat_file_is_refused_as_it_lost_its_members(tmp_path):
    layer = study(tmp_path)
    made = _composite(["translation", "euler"])
    sitk.WriteTransform(made, str(tmp_path / "made.mat"))
    with pytest.raises(TextFileError, match="without its members"):
        layer.read_transform(tmp_path / "made.mat")


@pytest.mark.parametrize("kind", ["QuaternionRigidTransform", "ScaleLogarithmicTransform"])
def test_types_without_a_class_in_simpleitk_are_read(tmp_path, kind):
    layer = study(tmp_path)
    numbers = "0 0.6 0 0.8 4 5 6" if kind.startswith("Quaternion") else "0.1 0.2 -0.3"
    path = tmp_path / "made.txt"
    path.write_text(
        f"#Insight Transform File V1.0\n#Transform 0\nTransform: {kind}_double_3_3\n"
        f"Parameters: {numbers}\nFixedParameters: 1 2 3\n"
    )
    layer.read_transform(path)
    _assert_is(layer, sitk.ReadTransform(str(path)))


def test_a_centered_transform_is_one_about_the_center_among_its_parameters(tmp_path):
    layer = study(tmp_path)
    words = "#Insight Transform File V1.0\n#Transform 0\nTransform: {}_double_3_3\nParameters: {}\n"
    path = tmp_path / "made.txt"
    numbers = [*_TURN, *_CENTER, *_MOVE]
    path.write_text(
        words.format("CenteredEuler3DTransform", " ".join(map(str, numbers)))
        + "FixedParameters: 0 0 0\n"
    )
    layer.read_transform(path)
    _assert_is(layer, MADE["euler"]())
    numbers = [*_affine().GetMatrix(), *_CENTER, *_MOVE]
    path.write_text(
        words.format("CenteredAffineTransform", " ".join(map(str, numbers)))
        + "FixedParameters: 0 0 0\n"
    )
    layer.read_transform(path)
    _assert_is(layer, _affine())


def _ants_mat(transform, order="<") -> bytes:
    """Return a transform as ANTs writes it: level 4, in single precision."""
    data = b""
    name = f"{transform.GetName()}_float_3_3".encode() + b"\0"
    for label, values in (
        (name, transform.GetParameters()),
        (b"fixed\0", transform.GetFixedParameters()),
    ):
        kind = 10 if order == "<" else 1010
        data += struct.pack(f"{order}5i", kind, len(values), 1, 0, len(label)) + label
        data += struct.pack(f"{order}{len(values)}f", *values)
    return data


@pytest.mark.parametrize("order", ["<", ">"], ids=["little", "big"])
def test_single_precision_of_ants_is_read_to_a_thousandth_of_a_mm(tmp_path, order):
    layer = study(tmp_path)
    path = tmp_path / "0GenericAffine.mat"
    path.write_bytes(_ants_mat(_affine(), order))
    if order == "<":  # SimpleITK is asked whether it is such a file at all
        assert sitk.ReadTransform(str(path)).GetName() == "AffineTransform"
    assert layer.read_transform(path).remark == ""
    _assert_is(layer, _affine(), 1e-3)


def test_what_is_written_is_read_by_itk_and_back(tmp_path):
    layer = study(tmp_path)
    layer.transform = RAS
    path = tmp_path / "written.tfm"
    path.write_text(layer.transform_text("itk"))
    read = sitk.ReadTransform(str(path))
    assert read.GetName() == "AffineTransform"  # greedy takes other types for the identity
    _assert_is(layer, read)
    layer.transform = np.eye(4)
    layer.read_transform(path)
    assert apart(layer, RAS) < 1e-6
    path.write_text(layer.transform_text("itk", inverse=True))
    inverse = sitk.ReadTransform(str(path))
    _assert_is(layer, inverse.GetInverse())
    layer.read_transform(path, inverse=True)
    assert apart(layer, RAS) < 1e-6


def _bspline():
    return sitk.BSplineTransformInitializer(sitk.Image(9, 9, 9, sitk.sitkFloat32), (2, 2, 2))


def _field():
    return sitk.DisplacementFieldTransform(sitk.Image((4, 4, 4), sitk.sitkVectorFloat64, 3))


@pytest.mark.parametrize(
    ("make", "name"),
    [
        pytest.param(_bspline, "made.tfm", id="B-spline, text"),
        pytest.param(_bspline, "made.mat", id="B-spline, mat"),
        pytest.param(_bspline, "made.h5", id="B-spline, HDF5"),
        pytest.param(_field, "made.h5", id="field, HDF5"),
        pytest.param(
            lambda: sitk.CompositeTransform([_affine(), _field()]), "made.h5", id="affine and field"
        ),
        pytest.param(lambda: sitk.Euler2DTransform((1, 2), 0.1), "made.tfm", id="2-D, text"),
        pytest.param(lambda: sitk.Euler2DTransform((1, 2), 0.1), "made.h5", id="2-D, HDF5"),
    ],
)
def test_what_is_not_linear_or_not_3d_is_refused_in_one_line(tmp_path, make, name):
    layer = study(tmp_path)
    sitk.WriteTransform(make(), str(tmp_path / name))
    with pytest.raises(TextFileError, match="not a linear one in 3-D") as caught:
        layer.read_transform(tmp_path / name)
    assert "\n" not in str(caught.value)
    assert layer.registry.folder("ImageTransform") is None


def test_a_transform_without_an_inverse_is_refused(tmp_path):
    layer = study(tmp_path)
    sitk.WriteTransform(sitk.ScaleTransform(3, (1.0, 0.0, 1.0)), str(tmp_path / "flat.tfm"))
    with pytest.raises(TextFileError, match="has no inverse"):
        layer.read_transform(tmp_path / "flat.tfm")


ITK = "#Insight Transform File V1.0\n#Transform 0\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (ITK + "Transform: Euler3DTransform_double_3_3\nParameters: 1 2 3\n", "6 parameters"),
        (ITK + "Transform: TranslationTransform_double_3_3\nParameters: 1 2 3 4\n", "3 parameters"),
        (
            ITK + "Transform: ScaleTransform_double_3_3\nParameters: 1 2 inf\n",
            "not a finite number",
        ),
        (ITK + "Transform: NoSuchTransform_double_3_3\nParameters: 1\n", "not a linear one"),
        (ITK + "Transform: CompositeTransform_double_3_3\n", "without its members"),
        (ITK + "Parameters: 1 2 3\n", "out of place"),
        (
            ITK
            + "Transform: TranslationTransform_double_3_3\nParameters: 1 2\nParameters: 1 2 3\n",
            "out of place",
        ),
        (ITK + "Transform: \x1b]0;title\x07_double_3_3\n", r"of type \?\]0;title\?"),
    ],
    ids=["few", "many", "infinite", "unknown", "empty", "untyped", "twice", "control"],
)
def test_damaged_text_is_refused_before_itk_sees_it(tmp_path, words, message):
    layer = study(tmp_path)
    path = tmp_path / "bad.tfm"
    path.write_text(words)
    with pytest.raises(TextFileError, match=message) as caught:
        layer.read_transform(path)
    assert str(path) in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("cut", [10, 40, 100, -1])
def test_a_binary_file_that_is_cut_short_is_refused(tmp_path, cut):
    layer = study(tmp_path)
    path = tmp_path / "cut.mat"
    path.write_bytes(_ants_mat(_affine())[:cut])
    with pytest.raises(TextFileError):
        layer.read_transform(path)
    assert layer.registry.folder("ImageTransform") is None


def test_a_hdf5_file_that_is_damaged_is_refused(tmp_path):
    layer = study(tmp_path)
    sitk.WriteTransform(_affine(), str(tmp_path / "made.h5"))
    path = tmp_path / "cut.h5"
    path.write_bytes((tmp_path / "made.h5").read_bytes()[:3000])
    with pytest.raises(TextFileError, match="SimpleITK cannot read a transform"):
        layer.read_transform(path)


def test_a_file_larger_than_a_linear_transform_is_refused_unread(tmp_path):
    layer = study(tmp_path)
    path = tmp_path / "large.txt"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(TextFileError, match="more than 1 MiB: not a linear transform"):
        layer.read_transform(path)


def _without_simpleitk(script: str) -> str:
    block = "import sys; sys.modules['SimpleITK'] = None\n"
    run = subprocess.run(
        [sys.executable, "-c", block + script], capture_output=True, text=True, check=True
    )
    return run.stdout


def test_without_simpleitk_affine_and_ants_files_are_read_and_others_say_what_is_missing(tmp_path):
    sitk.WriteTransform(_affine(), str(tmp_path / "a.tfm"))
    sitk.WriteTransform(_affine(), str(tmp_path / "b.mat"))
    sitk.WriteTransform(_composite(["translation", "affine"]), str(tmp_path / "c.txt"))
    sitk.WriteTransform(_rigid(), str(tmp_path / "d.tfm"))
    sitk.WriteTransform(_affine(), str(tmp_path / "e.h5"))
    printed = _without_simpleitk(
        "from pathlib import Path\n"
        "from snapws import transform_files\n"
        "from snapws.errors import WorkspaceError\n"
        f"for path in sorted(Path({str(tmp_path)!r}).glob('?.*')):\n"
        "    try:\n"
        "        print(path.name, len(transform_files.read_itk_or_ras(path)))\n"
        "    except WorkspaceError as error:\n"
        "        print(path.name, error)\n"
    ).splitlines()
    assert printed[:3] == ["a.tfm 4", "b.mat 4", "c.txt 4"]
    for line, kind in zip(printed[3:], ["of type VersorRigid3DTransform", "in HDF5"], strict=True):
        assert kind in line
        assert "snapws[formats]" in line


def test_itksnap_wt_reads_what_itk_writes(tmp_path):
    sitk.WriteTransform(_affine(), str(tmp_path / "a.tfm"))
    layer = study(tmp_path)
    layer.transform = transform_files.read_itk_or_ras(tmp_path / "a.tfm")
    _assert_is(layer, _affine())
    with pytest.raises(WorkspaceError, match=re.escape("absent.tfm")):
        transform_files.read_itk_or_ras(tmp_path / "absent.tfm")

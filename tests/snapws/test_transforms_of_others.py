"""Transform files of c3d, greedy, FLIRT and FreeSurfer, against the programs and libraries."""

from __future__ import annotations

import itertools
import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest

from snapws import geometry, images
from snapws.errors import ImageError, InvalidValue, LayerFileMissing, TextFileError
from tests.snapws.transform_samples import RAS, affine, apart, image, study

_HAND = {"radiological": (-1, 1, 1), "neurological": (1, 1, 1), "turned": (1, -1, 1)}
_PAIRS = list(itertools.product(_HAND, _HAND))


@pytest.fixture(name="nitransforms")
def _nitransforms():
    return pytest.importorskip("nitransforms", reason="nitransforms is not installed")


def _loaded(layer):
    """Return the moving image and the reference as nibabel has them."""
    return nib.load(layer.path), nib.load(layer.workspace.main.path)


# --------------------------------------------------------------------- c3d and greedy


def _ramps(folder):
    """Write three images that hold x, y and z of each point in RAS mm, and return their paths."""
    where = affine((3, 3, 3), (-120, -120, -120))
    indices = np.moveaxis(np.indices((80, 80, 80)), 0, -1)
    points = indices @ where[:3, :3].T + where[:3, 3]
    paths = [folder / f"ramp{axis}.nii" for axis in range(3)]
    for axis, path in enumerate(paths):
        ramp = nib.Nifti1Image(points[..., axis].astype(np.float64), where)
        ramp.set_qform(where, 1)
        nib.save(ramp, path)
    return paths


def _run(package, program, line, folder):
    """Run a line of a program, each in a process of its own: two of them do not share one."""
    pytest.importorskip(package, reason=f"{package} is not installed")
    code = f"from {package} import {program}; {program}().execute({line!r})"
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True, capture_output=True)


def _greedy(folder, ramp, file):
    line = f"-d 3 -rf reference.nii.gz -rm {ramp.name} out.nii -r {file}"
    _run("picsl_greedy", "Greedy3D", line, folder)


def _c3d(folder, ramp, file):
    option = "-reslice-itk" if file.endswith(".tfm") else "-reslice-matrix"
    line = f"reference.nii.gz {ramp.name} {option} {file} -type double -o out.nii"
    _run("picsl_c3d", "Convert3D", line, folder)


def _mapped(folder, reslice, file):
    """Return where a program takes the voxels of the reference by a transform file, RAS mm."""
    found = []
    for ramp in _ramps(folder):
        reslice(folder, ramp, file)
        found.append(nib.load(folder / "out.nii", mmap=False).get_fdata())  # written anew
    return np.stack(found, axis=-1)


def _expected(layer, ras):
    header = images.read_header(layer.workspace.main.path)
    points = np.moveaxis(np.indices(header.spatial_shape), 0, -1)
    to_layer = ras @ geometry.affine(header)
    return points @ to_layer[:3, :3].T + to_layer[:3, 3]


@pytest.mark.parametrize("form", ["ras", "itk"])
@pytest.mark.parametrize("reslice", [_greedy, _c3d], ids=["greedy", "c3d"])
def test_c3d_and_greedy_read_what_is_written_to_a_millionth_of_a_mm(tmp_path, reslice, form):
    layer = study(tmp_path)
    layer.transform = RAS
    name = "written.mat" if form == "ras" else "written.tfm"
    (tmp_path / name).write_text(layer.transform_text(form))
    assert np.abs(_mapped(tmp_path, reslice, name) - _expected(layer, RAS)).max() < 1e-6


def test_a_matrix_that_greedy_wrote_is_read_as_greedy_maps_points(tmp_path):
    layer = study(tmp_path)
    for path, seed in ((layer.path, 1), (layer.workspace.main.path, 2)):
        loaded = nib.load(path)
        x, y, z = (np.linspace(-2, 2, n) for n in loaded.shape)
        hill = np.exp(-(x[:, None, None] ** 2) - y[:, None] ** 2 - (z + 0.1 * seed) ** 2)
        nib.save(nib.Nifti1Image(hill.astype(np.float32), None, loaded.header), path)
    line = "-d 3 -a -m SSD -n 5 -ia-image-centers -i reference.nii.gz moving.nii.gz -o found.mat"
    _run("picsl_greedy", "Greedy3D", line, tmp_path)
    found = layer.read_transform(tmp_path / "found.mat")
    assert "read as a RAS matrix" in found.remark
    expected = _expected(layer, layer.transform)
    assert np.abs(_mapped(tmp_path, _greedy, "found.mat") - expected).max() < 1e-6


# ------------------------------------------------------------------------------ FLIRT


@pytest.mark.parametrize(("moving", "reference"), _PAIRS)
def test_a_flirt_matrix_is_read_as_nitransforms_reads_it(tmp_path, nitransforms, moving, reference):
    layer = study(tmp_path, moving_flips=_HAND[moving], reference_flips=_HAND[reference])
    path = tmp_path / "affine.mat"
    np.savetxt(path, RAS, fmt="%.17g")
    found = layer.read_transform(path, format="flirt")
    assert found.remark == ""
    in_image, on_image = _loaded(layer)
    expected = nitransforms.io.fsl.FSLLinearTransform.from_filename(path).to_ras(
        moving=in_image, reference=on_image
    )
    # nibabel has the sform, in single precision, where ITK has the qform.
    assert apart(layer, expected) < 1e-4


@pytest.mark.parametrize(("moving", "reference"), _PAIRS)
def test_a_flirt_matrix_that_is_written_is_read_by_nitransforms_and_back(
    tmp_path, nitransforms, moving, reference
):
    layer = study(tmp_path, moving_flips=_HAND[moving], reference_flips=_HAND[reference])
    layer.transform = RAS
    path = tmp_path / "affine.mat"
    path.write_text(layer.transform_text("fsl"))
    in_image, on_image = _loaded(layer)
    read = nitransforms.io.fsl.FSLLinearTransform.from_filename(path)
    assert apart(layer, read.to_ras(moving=in_image, reference=on_image)) < 1e-3
    layer.transform = np.eye(4)
    layer.read_transform(path, format="fsl")
    assert apart(layer, RAS) < 1e-6


@pytest.mark.parametrize(("moving", "reference"), _PAIRS)
def test_flirts_first_voxels_are_at_the_end_of_x_where_x_runs_to_the_right(
    tmp_path, moving, reference
):
    layer = study(tmp_path, moving_flips=_HAND[moving], reference_flips=_HAND[reference])
    (tmp_path / "one.mat").write_text("1 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1\n")
    layer.read_transform(tmp_path / "one.mat", format="flirt")
    zero = []
    for one, hand in ((layer, moving), (layer.workspace.main, reference)):
        header = images.read_header(one.path)
        x = header.spatial_shape[0] - 1 if hand == "neurological" else 0
        zero.append(geometry.affine(header) @ [x, 0, 0, 1])
    assert np.abs(layer.transform @ zero[1] - zero[0]).max() < 1e-6


def test_an_image_without_any_form_is_radiological_for_fsl(tmp_path):
    layer = study(tmp_path)
    bare = nib.Nifti1Image(np.zeros((40, 44, 20), np.float32), None)
    bare.header.set_zooms((1.5, 2, 2.5))
    nib.save(bare, tmp_path / "reference.nii.gz")
    (tmp_path / "one.mat").write_text("1 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1\n")
    layer.read_transform(tmp_path / "one.mat", format="flirt")
    first = geometry.affine(images.read_header(layer.path)) @ [0, 0, 0, 1]
    assert np.abs(layer.transform @ [0, 0, 0, 1] - first).max() < 1e-6


def test_a_registration_the_other_way_round_and_of_other_images(tmp_path):
    layer = study(tmp_path, moving_flips=_HAND["neurological"])
    layer.transform = RAS
    path = tmp_path / "affine.mat"
    path.write_text(layer.transform_text("fsl", inverse=True))
    layer.transform = np.eye(4)
    layer.read_transform(path, format="flirt", inverse=True)
    assert apart(layer, RAS) < 1e-6

    # The same registration with a crop of the layer, in the same place.
    where = geometry.affine(images.read_header(layer.path)) @ affine((1, 1, 1), (3, 4, 5))
    image(tmp_path / "crop.nii.gz", (20, 20, 8), where)
    crop = layer.workspace.add_overlay(tmp_path / "crop.nii.gz")
    crop.transform = RAS
    path.write_text(crop.transform_text("fsl"))
    layer.transform = np.eye(4)
    layer.read_transform(path, format="flirt", moving=tmp_path / "crop.nii.gz")
    assert apart(layer, RAS) < 1e-4  # the crop's header is in single precision
    layer.read_transform(path, format="flirt")
    assert apart(layer, RAS) > 1


def test_flirt_needs_both_images(tmp_path):
    layer = study(tmp_path)
    (tmp_path / "one.mat").write_text("1 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1\n")
    (tmp_path / "moving.nii.gz").unlink()
    with pytest.raises(LayerFileMissing):
        layer.read_transform(tmp_path / "one.mat", format="flirt")
    with pytest.raises(ImageError):
        layer.read_transform(tmp_path / "one.mat", format="flirt", moving=tmp_path / "one.mat")


# ------------------------------------------------------------------------- FreeSurfer


def test_an_lta_of_nitransforms_is_read_as_it_meant_it(tmp_path, nitransforms):
    """It names its volumes the wrong way round; its matrix is right."""
    layer = study(tmp_path)
    in_image, on_image = _loaded(layer)
    path = tmp_path / "made.lta"
    nitransforms.io.lta.FSLinearTransform.from_ras(
        RAS, moving=in_image, reference=on_image
    ).to_filename(path)
    assert layer.read_transform(path).format == "lta"
    assert apart(layer, RAS) < 1e-6


def test_an_lta_that_is_written_is_read_by_nitransforms_and_back(tmp_path, nitransforms):
    layer = study(tmp_path)
    layer.transform = RAS
    path = tmp_path / "written.lta"
    path.write_text(layer.transform_text("lta"))
    read = nitransforms.io.lta.FSLinearTransform.from_filename(path)
    assert apart(layer, read.to_ras()) < 1e-3  # it reads in single precision
    in_image, on_image = _loaded(layer)
    source, destination = (read[name].as_affine() for name in ("src", "dst"))
    assert np.abs(source - in_image.affine).max() < 1e-4
    assert np.abs(destination - on_image.affine).max() < 1e-4
    layer.transform = np.eye(4)
    layer.read_transform(path)
    assert apart(layer, RAS) < 1e-6


def test_an_lta_of_voxels_is_read_as_nitransforms_reads_it(tmp_path, nitransforms):
    layer = study(tmp_path)
    layer.transform = RAS
    words = layer.transform_text("lta").replace("type      = 1", "type      = 0")
    path = tmp_path / "voxels.lta"
    path.write_text(words)
    layer.read_transform(path)
    read = nitransforms.io.lta.FSLinearTransform.from_filename(path)
    assert apart(layer, RAS) > 1
    assert apart(layer, read.to_ras()) < 1e-3


def test_an_lta_that_leads_the_other_way_is_refused_with_the_way_out(tmp_path):
    layer = study(tmp_path)
    layer.transform = RAS
    path = tmp_path / "other.lta"
    path.write_text(layer.transform_text("lta", inverse=True))
    layer.transform = np.eye(4)
    with pytest.raises(TextFileError, match="reversed.* use --inverse"):
        layer.read_transform(path)
    layer.read_transform(path, inverse=True)
    assert apart(layer, RAS) < 1e-6
    path.write_text(layer.transform_text("lta"))
    with pytest.raises(TextFileError, match="reversed.* leave out --inverse"):
        layer.read_transform(path, inverse=True)


def _register_dat(matrix) -> str:
    rows = "".join(" ".join(f"{value:.17g}" for value in row) + "\n" for row in matrix)
    return f"fsaverage\n3.0\n5.0\n0.15\n{rows}round\n"


def test_a_register_dat_maps_mm_of_freesurfer_as_nibabel_has_them(tmp_path):
    layer = study(tmp_path)
    path = tmp_path / "register.dat"
    path.write_text(_register_dat(RAS))
    assert layer.read_transform(path).format == "dat"
    to_own = []
    for one in (layer, layer.workspace.main):
        header = images.read_header(one.path)
        made = nib.MGHImage(np.zeros(header.spatial_shape, np.float32), geometry.affine(header))
        to_own.append(made.header.get_vox2ras_tkr() @ np.linalg.inv(made.header.get_vox2ras()))
    expected = np.linalg.inv(to_own[0]) @ RAS @ to_own[1]
    assert apart(layer, expected) < 1e-3  # MGH is in single precision


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda words: words.replace("nxforms   = 1", "nxforms   = 2"), "several transforms"),
        (lambda words: words.replace("type      = 1", "type      = 14"), "of type 14"),
        (lambda words: words.replace("1 4 4", "1 3 3"), "without a 4x4 matrix"),
        (lambda words: words[: words.index("zras")], "geometry of a volume is missing"),
        (lambda words: words.replace("valid = 1", "valid = 0").replace("= 1 #", "= 0 #"), "both"),
        (lambda words: words.replace("voxelsize = 2", "voxelsize = x"), "not a number"),
        (lambda words: words.replace("voxelsize = 2", "voxelsize = nan"), "finite"),
        (lambda words: words.replace("voxelsize = 2", "voxelsize = 0"), "no size"),
    ],
    ids=["several", "type", "no matrix", "cut", "no geometry", "word", "NaN", "flat"],
)
def test_a_damaged_lta_is_refused(tmp_path, change, message):
    layer = study(tmp_path)
    layer.transform = RAS
    path = tmp_path / "bad.lta"
    path.write_text(change(layer.transform_text("lta")))
    with pytest.raises(TextFileError, match=message):
        layer.read_transform(path)


# --------------------------------------------------------------------- the bare matrix


def _write(path, matrix):
    np.savetxt(path, matrix, fmt="%.10g")
    return path


def test_a_bare_matrix_is_taken_as_ras_and_that_is_said(tmp_path):
    layer = study(tmp_path)
    found = layer.read_transform(_write(tmp_path / "affine.mat", RAS))
    assert found.format == "ras"
    assert "read as a RAS matrix" in found.remark
    assert "--format flirt" in found.remark
    assert layer.read_transform(tmp_path / "affine.mat", format="ras").remark == ""
    found = layer.read_transform(_write(tmp_path / "one.mat", np.eye(4)))
    assert "it is the identity" in found.remark


def test_a_matrix_that_puts_the_layer_out_of_sight_is_refused(tmp_path):
    layer = study(tmp_path)
    moved = RAS.copy()
    moved[0, 3] += 150
    path = _write(tmp_path / "affine.mat", moved)
    with pytest.raises(TextFileError, match=r"outside of the main image.*--format flirt"):
        layer.read_transform(path)
    assert layer.registry.folder("ImageTransform") is None
    layer.read_transform(path, format="ras")
    assert apart(layer, moved) < 1e-6


@pytest.mark.parametrize(
    ("name", "beside"),
    [
        ("t1_to_mni_flirt.mat", ""),
        ("highres2standard.mat", ""),
        ("reg.feat/affine.mat", ""),
        ("plain/affine.mat", "design.fsf"),
        ("plain/affine.mat", "run_flirt.sh"),
        ("run.mat/MAT_0003", ""),
    ],
)
def test_a_matrix_that_looks_like_flirts_is_refused_with_the_way_out(tmp_path, name, beside):
    layer = study(tmp_path)
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    _write(path, RAS)
    if beside:
        (path.parent / beside).touch()
    with pytest.raises(TextFileError, match="--format flirt if FLIRT did"):
        layer.read_transform(path)
    layer.read_transform(path, format="flirt")


def test_a_matrix_in_the_layout_of_flirt_is_refused_with_the_way_out(tmp_path):
    layer = study(tmp_path)
    path = tmp_path / "affine.mat"
    path.write_text("".join("".join(f"{value:.10f}  " for value in row) + "\n" for row in RAS))
    with pytest.raises(TextFileError, match="written as FLIRT writes"):
        layer.read_transform(path)


def test_images_that_cannot_be_read_leave_the_matrix_and_say_so(tmp_path):
    layer = study(tmp_path)
    (tmp_path / "moving.nii.gz").unlink()
    found = layer.read_transform(_write(tmp_path / "affine.mat", RAS))
    assert "this was not checked" in found.remark


@pytest.mark.parametrize("form", ["ras", "flirt"])
def test_a_matrix_without_an_inverse_is_refused(tmp_path, form):
    layer = study(tmp_path)
    flat = np.diag([1.0, 0, 1, 1])
    with pytest.raises(TextFileError, match="has no inverse"):
        layer.read_transform(_write(tmp_path / "affine.mat", flat), format=form)
    layer.transform = np.diag([1.0, 2, 1, 1])
    layer.registry["ImageTransform.Matrix.Element[1][1]"] = "0"
    for written in ("fsl", "lta"):
        with pytest.raises(TextFileError, match="layer 001: the matrix has no inverse"):
            layer.transform_text(written)


def test_forms_that_do_not_fit_the_file_or_exist_are_refused(tmp_path):
    layer = study(tmp_path)
    path = tmp_path / "affine.tfm"
    path.write_text(layer.transform_text("itk"))
    with pytest.raises(TextFileError, match="its format is itk, not flirt"):
        layer.read_transform(path, format="flirt")
    with pytest.raises(InvalidValue, match="not a .*format of transforms"):
        layer.read_transform(path, format="minc")
    with pytest.raises(InvalidValue, match="not a .*format of transforms"):
        layer.transform_text("minc")


def test_what_is_written_has_no_control_characters_of_a_file_name(tmp_path):
    layer = study(tmp_path)
    odd = tmp_path / "mov\u2028ing.nii.gz"
    (tmp_path / "moving.nii.gz").rename(odd)
    layer.file = odd
    names = [line for line in layer.transform_text("lta").splitlines() if "filename" in line]
    assert names == ["filename = mov?ing.nii.gz", "filename = reference.nii.gz"]

"""Formats that SimpleITK reads: the same name and geometry as NIfTI; nothing short goes through."""

from __future__ import annotations

import builtins
import gzip

import nibabel
import numpy as np
import pytest

from snapws import ImageDamaged, ImageError, ImageUnsupported, Workspace, images
from snapws.archive import archive
from tests.conformance.replay import RECORDINGS
from tests.snapws.test_images import ARCHIVED, NOT_READ_HERE, content_hash

sitk = pytest.importorskip("SimpleITK", reason="needs the extra 'formats'")

INPUTS = RECORDINGS / "inputs"


@pytest.mark.parametrize("name", sorted(NOT_READ_HERE))
def test_the_hash_is_the_references(name):
    recorded = ARCHIVED[name]
    assert recorded["layer"] == f"layer_000_{content_hash(INPUTS / name)}.nii.gz"
    header = images.read_header(INPUTS / name)
    assert recorded["dimensions"] == " ".join(map(str, header.dimensions))
    assert np.allclose(header.nifti.get_sform(), recorded["affine"], atol=1e-6)


@pytest.fixture
def image():
    voxels = np.random.default_rng(3).integers(-500, 500, (4, 5, 6)).astype(np.int16)
    made = sitk.GetImageFromArray(voxels)
    made.SetSpacing((1.0, 1.5, 2.0))
    made.SetOrigin((10, -20, 30))
    made.SetDirection((0, -1, 0, 1, 0, 0, 0, 0, 1))
    return made


@pytest.mark.parametrize("suffix", [".mha", ".mhd", ".nrrd", ".nhdr", ".gipl", ".gipl.gz", ".vtk"])
def test_archived_as_the_nifti_of_the_same_image(image, tmp_path, suffix):
    if suffix in (".gipl", ".gipl.gz", ".vtk"):
        image.SetDirection(np.eye(3).ravel())  # these know no axes
    for name in (f"a{suffix}", "a.nii"):
        sitk.WriteImage(image, tmp_path / name)
        workspace = Workspace()
        workspace.add_anatomical(tmp_path / name)
        archive(workspace, tmp_path / f"out{name}")
    ours, theirs = (next((tmp_path / f"outa{end}").glob("*.nii.gz")) for end in (suffix, ".nii"))
    assert ours.name == theirs.name
    left, right = nibabel.load(ours), nibabel.load(theirs)
    assert np.array_equal(left.get_fdata(), right.get_fdata())
    assert np.allclose(left.affine, right.affine, atol=1e-4)


def test_vectors(tmp_path):
    voxels = np.random.default_rng(3).normal(0, 1, (4, 5, 6, 3)).astype(np.float32)
    sitk.WriteImage(sitk.GetImageFromArray(voxels, isVector=True), tmp_path / "v.mha")
    header = images.read_header(tmp_path / "v.mha")
    assert (header.shape, header.components) == ((6, 5, 4, 1, 3), 3)
    import hashlib

    assert content_hash(tmp_path / "v.mha") == hashlib.md5(voxels.tobytes()).hexdigest()


@pytest.mark.parametrize("suffix", [".mha", ".nrrd", ".gipl", ".gipl.gz", ".vtk"])
def test_cut_short(image, tmp_path, suffix):
    path = tmp_path / f"cut{suffix}"
    sitk.WriteImage(image, path)
    data = path.read_bytes()
    path.write_bytes(
        gzip.compress(gzip.decompress(data)[:-7]) if suffix.endswith(".gz") else data[:-7]
    )
    with pytest.raises(ImageDamaged, match="cut"):
        content_hash(path)


def test_what_is_refused(tmp_path, monkeypatch):
    with pytest.raises(ImageError, match="No such file"):
        images.read_header(tmp_path / "nothing.mha")
    (tmp_path / "bad.nrrd").write_text("nothing of the kind")
    with pytest.raises(ImageDamaged, match=r"bad\.nrrd: "):
        images.read_header(tmp_path / "bad.nrrd")
    (tmp_path / "scan.dcm").write_bytes(b"\0" * 128 + b"DICM")
    with pytest.raises(ImageUnsupported, match="not an image of a format that is read here"):
        images.read_header(tmp_path / "scan.dcm")

    imported = builtins.__import__

    def without_simpleitk(name, *arguments, **keywords):
        if name == "SimpleITK":
            raise ImportError
        return imported(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", without_simpleitk)
    with pytest.raises(ImageUnsupported, match=r"pip install 'snapws\[formats\]'"):
        images.read_header(INPUTS / "fmt.mha")


def test_sheared_axes_are_refused(image, tmp_path):
    sitk.WriteImage(image, tmp_path / "a.nrrd")
    data = (tmp_path / "a.nrrd").read_bytes()
    assert b"space directions: (0,1,0) (-1.5,0,0) (0,0,2)" in data
    sheared = data.replace(b"(-1.5,0,0)", b"(-1.5,1,0)")
    (tmp_path / "a.nrrd").write_bytes(sheared)
    with pytest.raises(ImageError):
        images.read_header(tmp_path / "a.nrrd")


def test_a_gipl_file_whose_gzip_is_cut(image, tmp_path):
    sitk.WriteImage(image, tmp_path / "a.gipl.gz")
    data = (tmp_path / "a.gipl.gz").read_bytes()
    (tmp_path / "a.gipl.gz").write_bytes(data[:-20])
    with pytest.raises(ImageError):
        content_hash(tmp_path / "a.gipl.gz")

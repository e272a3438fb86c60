"""What comes out of an archive is what went in: voxels, geometry and name, whatever the source."""

from __future__ import annotations

import gzip
import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from nibabel.analyze import AnalyzeHeader
from nibabel.freesurfer import MGHImage
from nibabel.nifti1 import Nifti1Header
from nibabel.nifti2 import Nifti2Header

from snapws import ImageUnsupported, Workspace
from snapws.archive import archive
from tests.conformance.replay import RECORDINGS
from tests.snapws.images.test_images import SCALARS

sitk = pytest.importorskip("SimpleITK", reason="needs the extra 'formats'")
sitk.ProcessObject.SetGlobalWarningDisplay(False)

RGB = np.dtype([(name, "u1") for name in "RGB"])
RGBA = np.dtype([(name, "u1") for name in "RGBA"])
VOXEL_TYPES = (*map(np.dtype, SCALARS), RGB, RGBA)
SCALINGS = [(1, -1024), (2, 0), (0.1, 0.25), (-3, 5), (0, 0), (0, 5), (np.inf, 2), (1, 0)]
VECTOR = 1007  # the one intent with which ITK takes a fifth axis for components
FORMS = ("qform", "sform", "both", "different", "none")


@dataclass
class Source:
    """An image as it is written: the header's fields, the voxels' bytes and how they are kept."""

    header: Any
    raw: bytes
    extension: bytes
    pair: bool
    zipped: bool

    def write(self, folder: Path) -> Path:
        """Write it, and give the file that a layer would name."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        end = ".gz" if self.zipped else ""
        block = self.header.binaryblock + self.extension
        if self.pair:
            self._put(folder / f"a.hdr{end}", block)
            self._put(folder / f"a.img{end}", self.raw.rjust(len(self.raw) + self.offset, b"\0"))
            return folder / f"a.img{end}"
        path = folder / f"a.nii{end}"
        self._put(path, block.ljust(self.offset, b"\0") + self.raw)
        return path

    @property
    def offset(self) -> int:
        return int(self.header["vox_offset"])

    @property
    def breaks_itk(self) -> bool:
        """Whether ITK scales a part only of the image, or writes beyond its memory and dies."""
        vector = self.header["dim"][0] == 5
        complex_ = self.header.get_data_dtype().kind == "c"
        scaled = np.isfinite(self.header["scl_inter"])
        return bool((vector and complex_) or (scaled and (vector or complex_)))

    @property
    def little(self) -> bytes:
        """The stored voxels, little-endian."""
        dtype = self.header.get_data_dtype()
        return np.frombuffer(self.raw, dtype).astype(dtype.newbyteorder("<")).tobytes()

    def _put(self, path: Path, data: bytes) -> None:
        path.write_bytes(gzip.compress(data, 1) if self.zipped else data)


def singles(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, width=32)


@st.composite
def quaternions(draw) -> np.ndarray:
    """Any rotation, those by nothing and by half turns among them, as b, c, d of a unit."""
    parts = st.one_of(st.sampled_from([0.0, 1.0, -1.0]), st.floats(-1, 1))
    found = np.array(draw(st.tuples(parts, parts, parts, parts)))
    length = np.linalg.norm(found)
    found = found / length if length > 0.1 else np.array([1, 0, 0, 0])
    # A little less than a unit in single precision too, as ITK and nibabel ask.
    return np.float32(found[1:] * np.copysign(1 - 1e-6, found[0]))


@st.composite
def affines(draw) -> np.ndarray:
    """Give orthonormal axes of any handedness times any spacing, and any place."""
    header = Nifti1Header()
    header["pixdim"][:4] = (draw(st.sampled_from([-1, 1])), *draw(spacings()))
    header["quatern_b"], header["quatern_c"], header["quatern_d"] = draw(quaternions())
    affine = header.get_qform()
    affine[:3, 3] = draw(st.tuples(*[singles(-300, 300)] * 3))
    return affine


def spacings() -> st.SearchStrategy[tuple[float, ...]]:
    return st.tuples(*[singles(0.125, 8)] * 3)


@st.composite
def shapes(draw) -> tuple[int, ...]:
    axes = draw(st.sampled_from([3, 2, 4, 5, 1, 3, 4]))
    shape = draw(st.lists(st.integers(1, 5), min_size=min(axes, 4), max_size=min(axes, 4)))
    if axes == 5:
        shape[3] = draw(st.sampled_from([1, 1, 2]))
        shape.append(draw(st.integers(2, 4)))  # components
    return tuple(shape)


def voxels(dtype: np.dtype, count: int, seed: int) -> bytes:
    """Give voxels of any bits, but numbers where there could be none."""
    rng = np.random.default_rng(seed)
    if dtype.kind not in "fc":
        return rng.bytes(count * dtype.itemsize)
    parts = rng.normal(0, 1e3, count * (1 + (dtype.kind == "c")))
    part = np.dtype(f"f{dtype.itemsize // (1 + (dtype.kind == 'c'))}")
    return parts.astype(part.newbyteorder(dtype.byteorder)).tobytes()


@st.composite
def nifti(draw, kind: type = Nifti1Header, forms: tuple[str, ...] = FORMS) -> Source:
    header = kind(endianness=draw(st.sampled_from("<>")))
    shape = draw(shapes())
    dtype = draw(st.sampled_from(VOXEL_TYPES if len(shape) < 5 else VOXEL_TYPES[:12]))
    header.set_data_dtype(dtype)
    header["dim"] = [len(shape), *shape, *[1] * (7 - len(shape))]
    header["pixdim"] = (
        draw(st.sampled_from([-1, 1])),
        *draw(spacings()),
        draw(singles(0, 9)),
        1,
        1,
        1,
    )
    header["quatern_b"], header["quatern_c"], header["quatern_d"] = draw(quaternions())
    for name in ("qoffset_x", "qoffset_y", "qoffset_z"):
        header[name] = draw(singles(-300, 300))
    form = draw(st.sampled_from(forms))
    event(form)
    sform = header.get_qform() if form == "both" else draw(affines())
    for row, numbers in zip("xyz", sform, strict=False):
        header[f"srow_{row}"] = np.float32(numbers)  # all that is kept of a NIfTI-2 header's
    header["qform_code"] = draw(st.integers(1, 4)) if form not in ("sform", "none") else 0
    header["sform_code"] = draw(st.integers(1, 4)) if form not in ("qform", "none") else 0
    header["xyzt_units"] = draw(st.sampled_from([0, 1, 2, 3])) | draw(
        st.sampled_from([0, 8, 16, 24, 32, 40, 48])
    )
    if dtype.names is None and draw(st.booleans()):
        header["scl_slope"], header["scl_inter"] = np.float32(draw(st.sampled_from(SCALINGS)))
    header["intent_code"] = VECTOR if len(shape) == 5 else draw(st.sampled_from([0, 2, 3, 1002]))
    header["intent_p1"], header["intent_p2"] = draw(st.tuples(singles(0, 9), singles(0, 9)))
    header["toffset"], header["cal_max"] = 3, 5  # which are not kept
    return draw(stored(header, dtype, shape))


@st.composite
def stored(draw, header: Any, dtype: np.dtype, shape: tuple[int, ...]) -> Source:
    """Keep an image in one file or two, gzipped or not, behind an extension or a gap or none."""
    pair, extension = draw(st.booleans()) and len(header.binaryblock) == 348, b""
    if not isinstance(header, AnalyzeHeader) or isinstance(header, Nifti1Header):
        text = draw(st.sampled_from([b"", b"words of nobody".ljust(24), b"x" * 40]))
        extension = b"\1\0\0\0" + np.array([8 + len(text), 6], header.endianness + "i4").tobytes()
        extension = extension + text if text else b"\0\0\0\0"
        header["magic"] = header.pair_magic if pair else header.single_magic
        first = 0 if pair else len(header.binaryblock) + len(extension)
        gap = draw(st.sampled_from([0, 16, 1024])) if not text or pair else 0
        header["vox_offset"] = first + gap
    raw = voxels(header.get_data_dtype(), int(np.prod(shape)), draw(st.integers(0, 99)))
    return Source(header, raw, extension, pair, draw(st.booleans()))


@st.composite
def analyze(draw) -> Source:
    header = AnalyzeHeader(endianness=draw(st.sampled_from("<>")))
    dtype = np.dtype(draw(st.sampled_from(["u1", "i2", "i4", "f4", "f8", "c8"])))
    shape = tuple(draw(st.lists(st.integers(1, 5), min_size=2, max_size=4)))
    header.set_data_dtype(dtype)
    header["dim"] = [len(shape), *shape, *[1] * (7 - len(shape))]
    header["pixdim"][1:5] = (*draw(spacings()), draw(singles(0, 9)))
    header["vox_offset"] = draw(st.sampled_from([0, 16]))
    raw = voxels(header.get_data_dtype(), int(np.prod(shape)), draw(st.integers(0, 99)))
    return Source(header, raw, b"", True, draw(st.booleans()))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("exact")


def archived(source: Path, folder: Path) -> Path:
    """Archive one image, and give the archive's."""
    shutil.rmtree(folder, ignore_errors=True)
    workspace = Workspace()
    workspace.add_anatomical(source)
    return archive(workspace, folder).files[0]


def seen_by_itk(path: Path) -> sitk.Image | None:
    """Give an image as SimpleITK reads it; None if it does not."""
    try:
        return sitk.ReadImage(path)
    except RuntimeError:
        return None


def interleaved(source: Source) -> np.ndarray:
    """Give the voxels as ITK presents them, computed from the format's own words."""
    dtype = source.header.get_data_dtype().newbyteorder("<")
    axes = int(source.header["dim"][0])
    shape = tuple(int(length) for length in source.header["dim"][1 : axes + 1])
    values = np.frombuffer(source.little, dtype)
    if dtype.names is None and isinstance(source.header, (Nifti1Header, Nifti2Header)):
        slope, intercept = (float(source.header[name]) for name in ("scl_slope", "scl_inter"))
        slope = slope if np.isfinite(slope) and slope else 1.0
        intercept = intercept if np.isfinite(intercept) else 0.0
        if (slope, intercept) != (1, 0):
            if dtype.kind == "c":
                values = values.view(f"<f{dtype.itemsize // 2}")
            single = np.float64 if values.dtype == np.float64 else np.float32
            values = (values.astype(single).astype(np.float64) * slope + intercept).astype(single)
    if axes < 5:
        return values
    parts = values.reshape(shape[4], -1)
    if dtype.kind == "c" and values.dtype.kind != "c":
        parts = values.reshape(shape[4], -1, 2)
        return np.ascontiguousarray(np.moveaxis(parts, 0, 1))
    return np.ascontiguousarray(parts.T)


def assert_itk_sees_no_difference(source: Path, ours: Path) -> bool:
    theirs = seen_by_itk(source)
    if theirs is None:
        return False
    found = sitk.ReadImage(ours)
    assert found.GetPixelID() == theirs.GetPixelID()
    values = sitk.GetArrayFromImage(theirs)
    assert np.array_equal(sitk.GetArrayFromImage(found), values, equal_nan=True)
    spatial = min(theirs.GetDimension(), 3)  # a fourth's origin is not kept
    assert np.allclose(found.GetSpacing(), theirs.GetSpacing(), rtol=0, atol=1e-5)
    assert np.allclose(found.GetOrigin()[:spatial], theirs.GetOrigin()[:spatial], rtol=0, atol=1e-5)
    assert np.allclose(found.GetDirection(), theirs.GetDirection(), rtol=0, atol=1e-5)
    assert ours.name == f"layer_000_{hashlib.md5(values.tobytes()).hexdigest()}.nii.gz"
    return True


def assert_nifti_is_the_same(source: Source, path: Path, ours: Path) -> None:
    header, written = source.header, gzip.decompress(ours.read_bytes())
    assert written[352:] == source.little
    found = Nifti1Header(written[:348])
    axes = int(header["dim"][0])
    kept = ["dim", "datatype", "bitpix", "scl_slope", "scl_inter", "xyzt_units", "intent_code"]
    kept += ["qform_code", "sform_code"]
    if header["qform_code"] > 0:
        kept += ["quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z"]
        assert found["pixdim"][0] == header["pixdim"][0]
    if header["sform_code"] > 0:
        kept += ["srow_x", "srow_y", "srow_z"]
    for name in kept:
        assert np.array_equal(found[name], header[name], equal_nan=True), name
    assert np.array_equal(found["pixdim"][1 : axes + 1], header["pixdim"][1 : axes + 1])
    parameters = {0: 0, 2: 1, 3: 1, 1002: 0, VECTOR: 0}[int(header["intent_code"])]
    assert float(found["intent_p1"]) == (float(header["intent_p1"]) if parameters else 0)
    assert [float(found[name]) for name in ("intent_p2", "toffset", "cal_max")] == [0, 0, 0]

    left, right = nibabel.load(ours), nibabel.load(path)
    assert np.array_equal(left.affine, right.affine)
    for form in ("get_qform", "get_sform"):
        (ours_form, ours_code), (their_form, their_code) = (
            getattr(image.header, form)(coded=True) for image in (left, right)
        )
        assert ours_code == their_code
        assert their_code == 0 or np.array_equal(ours_form, their_form)
    assert left.header.get_xyzt_units() == right.header.get_xyzt_units()
    values, expected = (np.asanyarray(image.dataobj) for image in (left, right))
    assert values.dtype.newbyteorder("=") == expected.dtype.newbyteorder("=")
    assert np.array_equal(values, expected)


def assert_named_by_its_content(source: Source, ours: Path) -> None:
    content = hashlib.md5(interleaved(source).tobytes()).hexdigest()
    assert ours.name == f"layer_000_{content}.nii.gz"


#: The same examples on each run.
exactly = settings(derandomize=True, max_examples=40)


@settings(exactly, max_examples=120)
@given(nifti())
def test_nifti_1(folder, source):
    path = source.write(folder / "in")
    ours = archived(path, folder / "out")
    assert_nifti_is_the_same(source, path, ours)
    assert_named_by_its_content(source, ours)
    if not source.breaks_itk:
        is_read = assert_itk_sees_no_difference(path, ours)
        assert is_read or source.header["dim"][0] == 1
        event(f"read by ITK: {is_read}")


@exactly
@given(nifti(Nifti2Header))
def test_nifti_2(folder, source):
    """ITK does not read it; what the archive has of it, it does."""
    path = source.write(folder / "in")
    ours = archived(path, folder / "out")
    assert_nifti_is_the_same(source, path, ours)
    assert_named_by_its_content(source, ours)
    if not source.breaks_itk and source.header["dim"][0] > 1:
        presented = sitk.GetArrayFromImage(sitk.ReadImage(ours))
        assert presented.tobytes() == interleaved(source).tobytes()


@exactly
@given(analyze())
def test_analyze(folder, source):
    path = source.write(folder / "in")
    ours = archived(path, folder / "out")
    assert_named_by_its_content(source, ours)
    assert gzip.decompress(ours.read_bytes())[352:] == source.little
    found = nibabel.load(ours).header
    axes = int(source.header["dim"][0])
    assert found.get_data_shape() == source.header.get_data_shape()
    assert found.get_data_dtype() == source.header.get_data_dtype().newbyteorder("<")
    assert np.array_equal(found["pixdim"][1 : axes + 1], source.header["pixdim"][1 : axes + 1])
    assert (int(found["qform_code"]), int(found["sform_code"])) == (0, 0)
    assert found.get_xyzt_units()[0] == "mm"
    assert assert_itk_sees_no_difference(path, ours)


@exactly
@given(
    affines(),
    st.sampled_from([">u1", ">i2", ">i4", ">f4"]),
    st.tuples(*[st.integers(1, 5)] * 3, st.integers(1, 3)),
    st.booleans(),
)
def test_mgh(folder, affine, dtype, shape, zipped):
    shape = shape if shape[3] > 1 else shape[:3]
    raw = np.frombuffer(voxels(np.dtype(dtype), int(np.prod(shape)), 1), dtype)
    path = folder / ("a.mgz" if zipped else "a.mgh")
    data = MGHImage(raw.reshape(shape, order="F"), affine).to_bytes()
    path.write_bytes(gzip.compress(data) if zipped else data)
    ours = archived(path, folder / "out")
    little = raw.astype(raw.dtype.newbyteorder("<")).tobytes()
    assert ours.name == f"layer_000_{hashlib.md5(little).hexdigest()}.nii.gz"
    assert gzip.decompress(ours.read_bytes())[352:] == little
    theirs, found = MGHImage.from_bytes(data), nibabel.load(ours)
    assert found.shape == theirs.shape
    assert np.array_equal(np.ravel(found.dataobj), np.ravel(theirs.dataobj))
    for form in (found.get_qform(), found.get_sform()):
        assert np.allclose(form, theirs.affine, rtol=0, atol=1e-4)
    presented = sitk.ReadImage(ours)
    assert sitk.GetArrayFromImage(presented).tobytes() == little
    lps = np.diag([-1, -1, 1, 1]) @ theirs.affine
    lengths = np.linalg.norm(lps[:3, :3], axis=0)
    cosines = np.reshape(presented.GetDirection(), (-1, int(presented.GetDimension())))[:3, :3]
    assert np.allclose(presented.GetOrigin()[:3], lps[:3, 3], rtol=0, atol=1e-4)
    assert np.allclose(presented.GetSpacing()[:3], lengths, rtol=0, atol=1e-5)
    assert np.allclose(cosines, lps[:3, :3] / lengths, rtol=0, atol=1e-4)


@exactly
@given(nifti(forms=("sform",)), st.floats(0.01, 0.9), st.sampled_from([(0, 1), (1, 2), (2, 0)]))
def test_sheared_axes_are_refused(folder, source, shear, axes):
    """And nothing is written; the message names the layer."""
    rows = np.array([source.header[f"srow_{row}"] for row in "xyz"], dtype=np.float64)
    one, other = axes
    rows[:, one] += (
        shear * np.linalg.norm(rows[:, one]) * (rows[:, other] / np.linalg.norm(rows[:, other]))
    )
    for row, numbers in zip("xyz", rows, strict=True):
        source.header[f"srow_{row}"] = numbers
    path = source.write(folder / "in")
    workspace = Workspace()
    workspace.add_anatomical(RECORDINGS / "inputs" / "plain.nii")
    workspace.add_overlay(RECORDINGS / "inputs" / "plain.nii").file = path
    with pytest.raises(ImageUnsupported, match="layer 001: .*sheared"):
        archive(workspace, folder / "refused")
    assert not (folder / "refused").exists()
    assert source.header["dim"][0] < 3 or seen_by_itk(path) is None

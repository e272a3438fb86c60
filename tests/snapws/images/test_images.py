"""Headers, voxel streams and content hashes, held against the recordings, nibabel and SimpleITK."""

from __future__ import annotations

import gzip
import hashlib
import json
import tracemalloc
import zlib
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nibabel.nifti1 import Nifti1Header

from snapws import ImageDamaged, ImageError, ImageUnsupported, compression, images
from snapws.images.voxel_hash import VoxelHash
from tests.conformance.replay import RECORDINGS

ARCHIVED = json.loads((RECORDINGS / "archive_images.json").read_text())
#: MetaImage, NRRD and VTK images are left to another package.
NOT_READ_HERE = {"fmt.mha", "fmt.mhd", "fmt.nrrd", "fmt.vtk"}
SCALARS = ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8", "c8", "c16")


def content_hash(path: Path) -> str:
    header = images.read_header(path)
    content = VoxelHash(header)
    for voxels in header.voxels():
        content.update(voxels)
    return content.hexdigest()


def write_nifti(path: Path, voxels: np.ndarray, **fields: object) -> Path:
    """Write voxels as they are, header fields as given, big- or little-endian as the voxels are."""
    header = Nifti1Header(endianness=">" if voxels.dtype.byteorder == ">" else "<")
    header.set_data_shape(voxels.shape)
    header.set_data_dtype(voxels.dtype)
    header["pixdim"][1:4] = (1, 2, 3)
    header["vox_offset"] = 352
    for name, value in fields.items():
        header[name] = value
    path.write_bytes(header.binaryblock + b"\0" * 4 + voxels.tobytes("F"))
    return path


#: The reference reads neither of these.
READ_HERE_ALONE = {"fmt.mgz", "nifti2.nii.gz"}
#: The reference takes it for whole; see `test_archive`.
CUT_SHORT = {"truncated.nii.gz"}


@pytest.mark.parametrize(
    "name", sorted(set(ARCHIVED) - NOT_READ_HERE - READ_HERE_ALONE - CUT_SHORT)
)
def test_the_hash_is_the_references(name):
    recorded = ARCHIVED[name]
    path = RECORDINGS / "inputs" / name
    if "layer" not in recorded:
        with pytest.raises(ImageError):
            images.read_header(path)
        return
    assert recorded["layer"] == f"layer_000_{content_hash(path)}.nii.gz"
    assert recorded["dimensions"] == " ".join(map(str, images.read_header(path).stored_shape))


@pytest.mark.parametrize("name", sorted(READ_HERE_ALONE))
def test_formats_that_only_the_project_reads(name):
    path = RECORDINGS / "inputs" / name
    voxels = np.asanyarray(nibabel.load(path).dataobj)
    little = voxels.astype(voxels.dtype.newbyteorder("<"))
    assert content_hash(path) == hashlib.md5(little.tobytes("F")).hexdigest()


@st.composite
def scaled_images(draw) -> tuple[np.ndarray, float, float]:
    dtype = np.dtype(draw(st.sampled_from("<>")) + draw(st.sampled_from(SCALARS[:10])))
    shape = tuple(draw(st.lists(st.integers(2, 4), min_size=3, max_size=4)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    if dtype.kind == "f":
        voxels = rng.normal(0, 1e3, shape).astype(dtype)
    else:
        limits = np.iinfo(dtype)
        voxels = rng.integers(limits.min, limits.max, shape, dtype.newbyteorder("=")).astype(dtype)
    numbers = st.one_of(
        st.sampled_from([0.0, 1.0, 2.0, 0.1, float("nan"), float("inf")]),
        st.floats(-100, 100, width=32).filter(lambda value: value == 0 or abs(value) > 1e-3),
    )
    return voxels, draw(numbers), draw(numbers)


@given(scaled_images())
def test_the_hash_is_that_of_what_itk_presents(tmp_path_factory, image):
    sitk = pytest.importorskip("SimpleITK", reason="needs the extra 'formats'")
    voxels, slope, intercept = image
    path = tmp_path_factory.getbasetemp() / "scaled.nii"
    write_nifti(path, voxels, scl_slope=slope, scl_inter=intercept, qform_code=1, quatern_b=0)
    presented = sitk.GetArrayFromImage(sitk.ReadImage(path))
    assert content_hash(path) == hashlib.md5(presented.tobytes()).hexdigest()


@pytest.mark.parametrize("dtype", ["<c8", ">c8", "<c16"])
def test_complex_voxels_are_hashed_real_and_imaginary(tmp_path, dtype):
    voxels = (np.arange(24) + 1j * np.arange(100, 124)).reshape(2, 3, 4).astype(dtype)
    path = write_nifti(tmp_path / "c.nii", voxels)
    little = voxels.astype(voxels.dtype.newbyteorder("<"))
    assert content_hash(path) == hashlib.md5(little.tobytes("F")).hexdigest()


@pytest.mark.parametrize("slope", [0, 2])
def test_components_of_a_vector_are_interleaved(tmp_path, slope):
    voxels = np.arange(2 * 3 * 4 * 2 * 3, dtype=">i2").reshape(2, 3, 4, 2, 3)
    path = write_nifti(tmp_path / "v.nii", voxels, intent_code=1007, scl_slope=slope, scl_inter=0)
    interleaved = np.moveaxis(voxels, -1, 0).astype("<f4" if slope else "<i2") * (slope or 1)
    assert content_hash(path) == hashlib.md5(interleaved.tobytes("F")).hexdigest()


def test_rgb_is_never_scaled(tmp_path):
    voxels = np.zeros((2, 3, 4), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    voxels["G"] = 7
    path = write_nifti(tmp_path / "rgb.nii", voxels, scl_slope=2, scl_inter=1)
    assert content_hash(path) == hashlib.md5(voxels.tobytes("F")).hexdigest()


def test_analyze(tmp_path):
    voxels = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    nibabel.save(nibabel.AnalyzeImage(voxels, np.diag([2.0, 3, 4, 1])), tmp_path / "a.img")
    for name in ("a.img", "a.hdr"):
        header = images.read_header(tmp_path / name)
        assert header.nifti["pixdim"][1:4].tolist() == [2, 3, 4]
        assert (int(header.nifti["qform_code"]), int(header.nifti["sform_code"])) == (0, 0)
        assert content_hash(tmp_path / name) == hashlib.md5(voxels.tobytes("F")).hexdigest()


def test_several_gzip_members_and_padding_are_one_image(tmp_path):
    data = (RECORDINGS / "inputs" / "plain.nii").read_bytes()
    path = tmp_path / "two.nii.gz"
    path.write_bytes(gzip.compress(data[:400]) + gzip.compress(data[400:]) + b"\0" * 512)
    assert content_hash(path) == content_hash(RECORDINGS / "inputs" / "plain.nii")


@pytest.fixture
def plain(tmp_path) -> Path:
    voxels = np.random.default_rng(1).integers(0, 1000, (40, 30, 20)).astype("<i2")
    return write_nifti(tmp_path / "plain.nii", voxels)


def test_a_plain_image_cut_short(plain):
    plain.write_bytes(plain.read_bytes()[:-7])
    with pytest.raises(ImageDamaged, match="cut short, 7 of 48000 bytes of voxels missing"):
        content_hash(plain)


@given(cut=st.integers(1, 20000))
def test_a_gzipped_image_cut_anywhere(tmp_path_factory, cut):
    whole = gzip.compress((RECORDINGS / "inputs" / "plain.nii").read_bytes() * 3)
    path = tmp_path_factory.getbasetemp() / "cut.nii.gz"
    path.write_bytes(whole[: -1 - cut % (len(whole) - 1)])
    with pytest.raises(ImageError):
        content_hash(path)


def test_a_gzipped_image_with_a_wrong_checksum(plain):
    data = bytearray(gzip.compress(plain.read_bytes()))
    data[-6] ^= 1
    path = plain.with_suffix(".nii.gz")
    path.write_bytes(data)
    with pytest.raises(ImageDamaged):
        content_hash(path)


def test_something_behind_the_gzip_stream(plain):
    path = plain.with_suffix(".nii.gz")
    path.write_bytes(gzip.compress(plain.read_bytes()) + b"something else")
    with pytest.raises(ImageDamaged, match="not gzip follows"):
        content_hash(path)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("dim", (0, 4, 4, 4, 1, 1, 1, 1)),
        ("dim", (8, 4, 4, 4, 1, 1, 1, 1)),
        ("dim", (3, 0, 4, 4, 1, 1, 1, 1)),
        ("dim", (3, -4, 4, 4, 1, 1, 1, 1)),
        ("datatype", 12345),
        ("datatype", 0),
        ("vox_offset", 100),
        ("vox_offset", np.nan),
    ],
)
def test_an_impossible_header(tmp_path, field, value):
    path = write_nifti(tmp_path / "x.nii", np.zeros((4, 4, 4), "<i2"))
    header = Nifti1Header(path.read_bytes()[:348], check=False)
    header[field] = value
    path.write_bytes(header.binaryblock + path.read_bytes()[348:])
    with pytest.raises(ImageDamaged, match=r"x\.nii: the header is corrupt"):
        images.read_header(path)


@pytest.mark.parametrize(
    ("skew", "qform_code", "refused"),
    [(0.5, 0, True), (0.5, 1, False), (2e-4, 0, True), (5e-5, 0, False), (0, 0, False)],
)
def test_sheared_axes(tmp_path, skew, qform_code, refused):
    path = write_nifti(
        tmp_path / "x.nii",
        np.zeros((4, 4, 4), "<i2"),
        qform_code=qform_code,
        sform_code=1,
        srow_x=(1, 2 * skew, 0, 5),
        srow_y=(0, 2, 0, 0),
        srow_z=(0, 0, 3, 0),
    )
    if refused:
        with pytest.raises(ImageUnsupported, match="sheared"):
            images.read_header(path)
    else:
        images.read_header(path)


@pytest.mark.parametrize("data", [b"", b"hello", b"\x1f\x8b", b"\x1f\x8bxx" * 500, b"\x5c\x01\0\0"])
def test_what_is_no_image(tmp_path, data):
    path = tmp_path / "x.nii.gz"
    path.write_bytes(data)
    with pytest.raises(ImageError, match=r"x\.nii\.gz: "):
        images.read_header(path)


def test_a_missing_image(tmp_path):
    with pytest.raises(ImageError, match="No such file"):
        images.read_header(tmp_path / "nothing.nii")
    (tmp_path / "a.hdr").write_bytes((RECORDINGS / "inputs" / "pair.hdr").read_bytes())
    with pytest.raises(ImageError, match=r"a\.hdr: its voxels are in a\.img, which is not there"):
        content_hash(tmp_path / "a.hdr")


@given(st.binary(max_size=600))
def test_any_bytes_give_an_image_or_an_image_error(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "any.nii"
    for start in (b"", b"\x5c\x01\0\0", b"\x1c\x02\0\0", b"\0\0\0\x01"):
        path.write_bytes(start + data)
        mgh = path.rename(path.with_suffix(".mgz")) if start == b"\0\0\0\x01" else path
        try:
            header = images.read_header(mgh)
            if header.nbytes < 1 << 20:
                content_hash(mgh)
        except ImageError as error:
            assert "\n" not in str(error)


def test_pieces_are_bounded(tmp_path):
    """A stream that inflates a thousandfold is still given in small pieces."""
    path = tmp_path / "zeros.gz"
    compressor = zlib.compressobj(9, zlib.DEFLATED, 31)
    path.write_bytes(compressor.compress(bytes(20 << 20)) + compressor.flush())
    with path.open("rb") as file:
        sizes = [len(piece) for piece in compression.iter_decompressed(file)]
    assert sum(sizes) == 20 << 20
    assert max(sizes) <= compression.PIECE


def test_axes_that_no_nifti_header_can_say(tmp_path):
    from nibabel.freesurfer import MGHImage
    from nibabel.nifti2 import Nifti2Image

    for length in (40962, 163842, 65541):
        voxels = np.zeros((length, 1, 1), np.uint8)
        MGHImage(voxels, np.eye(4)).to_filename(tmp_path / "a.mgh")
        Nifti2Image(voxels, np.eye(4)).to_filename(tmp_path / "a.nii")
        for name in ("a.mgh", "a.nii"):
            with pytest.raises(ImageDamaged, match="an axis is longer than 32767 voxels"):
                images.read_header(tmp_path / name)
    write_nifti(tmp_path / "b.nii", np.zeros((2, 2, 2, 1, 1, 2), "<i2"))
    with pytest.raises(ImageDamaged, match="6 axes"):
        images.read_header(tmp_path / "b.nii")
    affine = np.diag([1e100, 1, 1, 1])
    Nifti2Image(np.zeros((2, 2, 2), np.uint8), affine).to_filename(tmp_path / "c.nii")
    with pytest.raises(ImageError):
        images.read_header(tmp_path / "c.nii")


def test_a_nifti_2_pair(tmp_path):
    voxels = np.arange(60, dtype="<i2").reshape(3, 4, 5)
    nibabel.save(nibabel.Nifti2Pair(voxels, np.eye(4)), tmp_path / "pair.img")
    assert content_hash(tmp_path / "pair.hdr") == hashlib.md5(voxels.tobytes("F")).hexdigest()


@pytest.mark.parametrize("code", [1, 1536, 2048])
def test_voxels_that_itk_does_not_read(tmp_path, code):
    path = write_nifti(tmp_path / "x.nii", np.zeros((4, 4, 4), "<i2"), datatype=code)
    with pytest.raises(ImageUnsupported, match="bits or 128-bit numbers"):
        images.read_header(path)


@pytest.mark.parametrize(
    ("kind", "offset"), [("nifti-1", 284), ("nifti-1", 347), ("nifti-2", 348), ("nifti-2", 539)]
)
def test_voxels_that_begin_within_the_header(tmp_path, kind, offset):
    """Else the texts of the header would be voxels, and stay."""
    path = tmp_path / "x.nii"
    if kind == "nifti-1":
        write_nifti(path, np.zeros((4, 4, 4), "<i2"), vox_offset=offset)
    else:
        image = nibabel.Nifti2Image(np.zeros((4, 4, 4), "<i2"), np.eye(4))
        nibabel.save(image, path)
        data = bytearray(path.read_bytes())
        data[168:176] = offset.to_bytes(8, "little")
        path.write_bytes(data)
    with pytest.raises(ImageDamaged, match="voxels inside the header"):
        images.read_header(path)


def test_the_memory_of_many_components_is_that_of_one_copy(tmp_path):
    voxels = np.zeros((8, 8, 8, 1, 2048), "<i2")
    path = write_nifti(tmp_path / "v.nii", voxels, intent_code=1007, scl_slope=2)
    header = images.read_header(path)
    content = VoxelHash(header)
    for piece in header.voxels():
        content.update(piece)
    tracemalloc.start()
    content.hexdigest()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 12 << 20


@pytest.mark.parametrize(
    ("code", "kept"),
    [*((code, code) for code in range(6)), (6, 2), (0x4A44, 2), (32767, 2), (-1, 0), (-0x4A44, 0)],
)
@pytest.mark.parametrize("name", ["qform_code", "sform_code"])
def test_codes_that_no_reader_knows_are_not_kept(tmp_path, name, code, kept):
    """A code could be two letters. 1 would claim the scanner's axes; 2 claims nothing of them."""
    rows = {"srow_x": (1, 0, 0, 5), "srow_y": (0, 2, 0, 0), "srow_z": (0, 0, 3, 0)}
    form = rows if name == "sform_code" else {"quatern_b": 0.5, "qoffset_x": 7}
    path = write_nifti(tmp_path / "x.nii", np.zeros((4, 4, 4), "<i2"), **{name: code}, **form)
    nifti = images.read_header(path).nifti
    assert int(nifti[name]) == kept
    for field, value in form.items():  # numbers of a form that some reader uses stay
        assert np.array_equal(nifti[field], np.multiply(value, kept > 0))


@pytest.mark.parametrize("code", [1, 77, 1999, 0x4A44, -5])
def test_an_intent_that_no_reader_knows_is_not_kept(tmp_path, code):
    path = write_nifti(
        tmp_path / "x.nii", np.zeros((4, 4, 4), "<i2"), intent_code=code, intent_p1=3
    )
    nifti = images.read_header(path).nifti
    assert (int(nifti["intent_code"]), float(nifti["intent_p1"])) == (0, 0)


@pytest.mark.parametrize(
    ("units", "kept"),
    [(10, 10), (2, 2), (0, 0), (48, 48), (5, 0), (ord("J"), 10), (0xC2, 2), (7, 0)],
)
def test_units_that_no_reader_knows_are_not_kept(tmp_path, units, kept):
    path = write_nifti(tmp_path / "x.nii", np.zeros((4, 4, 4), "<i2"), xyzt_units=units)
    assert int(images.read_header(path).nifti["xyzt_units"]) == kept


@pytest.mark.parametrize("place", [92, 112, 116, 256, 268, 280, 324])
def test_what_is_in_the_bits_of_nan_is_not_kept(tmp_path, place):
    """A number that is none has 22 bits in which anything could stand."""
    codes = {"qform_code": 1, "sform_code": 1, "intent_code": 1007}
    path = write_nifti(tmp_path / "x.nii", np.zeros((4, 4, 4, 2), "<i2"), **codes)
    data = bytearray(path.read_bytes())
    data[place : place + 4] = b"JD\xe1\x7f"
    path.write_bytes(data)
    assert b"JD" not in images.read_header(path).block


@pytest.mark.parametrize("kind", ["nifti-1", "nifti-2"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_voxels_that_begin_within_an_extension(tmp_path, kind, order):
    """Else its texts would be voxels, as if the place of the voxels were damaged."""
    path = tmp_path / "x.nii"
    image = (nibabel.Nifti1Image if kind == "nifti-1" else nibabel.Nifti2Image)(
        np.zeros((4, 4, 4), f"{order}i2"), np.eye(4)
    )
    image = type(image)(image.dataobj, image.affine, image.header.as_byteswapped(order))
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension(6, b"St. Elsewhere" * 20))
    nibabel.save(image, path)
    whole = images.read_header(path)
    assert len(b"".join(whole.voxels())) == 128
    start = 352 if kind == "nifti-1" else 544
    data = bytearray(path.read_bytes())
    for offset in (start, start + 16, whole.offset - 16):
        if kind == "nifti-1":
            data[108:112] = np.array(offset, f"{order}f4").tobytes()
        else:
            data[168:176] = np.array(offset, f"{order}i8").tobytes()
        path.write_bytes(data)
        with pytest.raises(ImageDamaged, match="voxels inside the header"):
            images.read_header(path)

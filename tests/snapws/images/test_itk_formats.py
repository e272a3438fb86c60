"""Formats that SimpleITK reads: the same name and geometry as NIfTI; nothing short goes through."""

from __future__ import annotations

import builtins
import bz2
import gzip
import hashlib
from collections.abc import Sequence
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snapws import ImageDamaged, ImageError, ImageUnsupported, Workspace, images
from snapws.archive import archive
from snapws.images.voxel_hash import VoxelHash
from tests.conformance.replay import RECORDINGS
from tests.snapws.images.test_images import ARCHIVED, NOT_READ_HERE, SCALARS, content_hash

sitk = pytest.importorskip("SimpleITK", reason="needs the extra 'formats'")

INPUTS = RECORDINGS / "inputs"


def random_voxels(dtype: str, shape: Sequence[int]) -> np.ndarray:
    """Return voxels of any bits but those of numbers that are none, so that they compare."""
    rng, kind = np.random.default_rng(3), np.dtype(dtype)
    if kind.kind in "fc":
        drawn = rng.normal(0, 1e3, (2, *shape))
        return (drawn[0] + 1j * drawn[1] if kind.kind == "c" else drawn[0]).astype(kind)
    limits = np.iinfo(kind)
    return rng.integers(limits.min, limits.max, shape, kind, endpoint=True)


def hash_of(voxels: np.ndarray) -> str:
    """Return the hash of voxels in SimpleITK's order: z, y, x, component."""
    return hashlib.md5(np.ascontiguousarray(voxels).tobytes()).hexdigest()


def hash_of_header(header: images.ImageHeader) -> str:
    content = VoxelHash(header)
    for voxels in header.voxels():
        content.update(voxels)
    return content.hexdigest()


@pytest.mark.parametrize("name", sorted(NOT_READ_HERE))
def test_the_hash_is_the_references(name):
    recorded = ARCHIVED[name]
    assert recorded["layer"] == f"layer_000_{content_hash(INPUTS / name)}.nii.gz"
    header = images.read_header(INPUTS / name)
    assert recorded["dimensions"] == " ".join(map(str, header.stored_shape))
    assert np.allclose(header.nifti.get_sform(), recorded["affine"], atol=1e-6)


@pytest.fixture
def image():
    voxels = np.random.default_rng(3).integers(-500, 500, (4, 5, 6)).astype(np.int16)
    made = sitk.GetImageFromArray(voxels)
    made.SetSpacing((1.0, 1.5, 2.0))
    made.SetOrigin((10, -20, 30))
    made.SetDirection((0, -1, 0, 1, 0, 0, 0, 0, 1))
    return made


def archived(source: Path, folder: Path) -> Path:
    workspace = Workspace()
    workspace.add_anatomical(source)
    return archive(workspace, folder).files[0]


@pytest.mark.parametrize("suffix", [".mha", ".mhd", ".nrrd", ".nhdr", ".gipl", ".gipl.gz", ".vtk"])
def test_archived_as_the_nifti_of_the_same_image(image, tmp_path, suffix):
    if suffix in (".gipl", ".gipl.gz", ".vtk"):
        image.SetDirection(np.eye(3).ravel())  # these know no axes
    for name in (f"a{suffix}", "a.nii"):
        sitk.WriteImage(image, tmp_path / name)
    ours, theirs = (
        archived(tmp_path / f"a{end}", tmp_path / f"out{end}") for end in (suffix, ".nii")
    )
    assert ours.name == theirs.name
    left, right = nibabel.load(ours), nibabel.load(theirs)
    assert np.array_equal(left.get_fdata(), right.get_fdata())
    assert np.allclose(left.affine, right.affine, atol=1e-4)


#: x, y, z, t from the end; the last row's third number is that of components.
SHAPES = [((5, 6), 1), ((4, 5, 6), 1), ((3, 4, 5, 6), 1), ((5, 6), 2), ((4, 5, 6), 3)]
SHAPES += [((4, 5, 6), 4), ((3, 4, 5, 6), 2)]


def written_by_itk(suffix: str, shape: tuple[int, ...], components: int, dtype: str) -> bool:
    if components > 1 and np.dtype(dtype).kind == "c":
        return False
    if suffix == ".gipl":  # neither vectors nor complex numbers nor integers of more bits
        return components == 1 and dtype in ("i1", "u1", "i2", "u2", "f4", "f8")
    return suffix != ".vtk" or len(shape) < 4


@pytest.mark.parametrize(
    ("suffix", "compressed"),
    [
        *((suffix, False) for suffix in (".mha", ".nrrd", ".gipl", ".vtk")),
        *((suffix, True) for suffix in (".mhd", ".nhdr")),
    ],
)
def test_every_type_and_shape(tmp_path, suffix, compressed):
    path = tmp_path / f"a{suffix}"
    for shape, components in SHAPES:
        for dtype in SCALARS:
            if not written_by_itk(suffix, shape, components, dtype):
                continue
            voxels = random_voxels(dtype, (*shape, components) if components > 1 else shape)
            made = sitk.GetImageFromArray(voxels, isVector=components > 1)
            sitk.WriteImage(made, path, useCompression=compressed)
            header = images.read_header(path)
            assert hash_of_header(header) == hash_of(voxels), (shape, dtype)
            assert header.nbytes == voxels.nbytes
            assert header.shape[:2] == shape[:-3:-1]
            assert header.stored_shape[2] in ((shape[-3],) if len(shape) > 2 else (0, 1))
            if voxels.dtype.kind != "c" or "n" in suffix:  # others: a vector of two numbers
                assert (header.components, header.dtype) == (components, voxels.dtype)


def test_vectors(tmp_path):
    """Three bytes a voxel are a vector: most formats do not tell it from a colour."""
    for dtype in ("f4", "u1"):
        voxels = random_voxels(dtype, (4, 5, 6, 3))
        sitk.WriteImage(sitk.GetImageFromArray(voxels, isVector=True), tmp_path / "v.mha")
        header = images.read_header(tmp_path / "v.mha")
        assert (header.shape, header.components) == ((6, 5, 4, 1, 3), 3)
        assert int(header.nifti["intent_code"]) == 1007
        ours = archived(tmp_path / "v.mha", tmp_path / "out")
        assert np.array_equal(sitk.GetArrayFromImage(sitk.ReadImage(ours)), voxels)


VOXELS = random_voxels("i2", (4, 5, 6))
NRRD = "NRRD0004\ntype: short\ndimension: 3\nsizes: 6 5 4\n"
META = "ObjectType = Image\nNDims = 3\nDimSize = 6 5 4\nElementType = MET_SHORT\n"
MSB = "BinaryData = True\nBinaryDataByteOrderMSB = True\n"
VTK = "# vtk DataFile Version 3.0\nx\n{}\nDATASET STRUCTURED_POINTS\nDIMENSIONS 6 5 4\n"
VTK += "SPACING 1 1 1\nORIGIN 0 0 0\nPOINT_DATA 120\n{}"
TABLE = "SCALARS s short 1\nLOOKUP_TABLE default\n"
TEXT = "\n".join(map(str, VOXELS.ravel())).encode() + b"\n"
LITTLE, BIG = VOXELS.astype("<i2").tobytes(), VOXELS.astype(">i2").tobytes()
HAND_MADE = {
    "nrrd raw": ("a.nrrd", NRRD + "endian: big\nencoding: raw\n\n", BIG),
    "nrrd gzip": (
        "a.nrrd",
        NRRD + "key:=value\ndata file:=other\nendian: little\nencoding: gz\n\n",
        gzip.compress(LITTLE, mtime=0),
    ),
    "nrrd ascii": ("a.nrrd", NRRD + "encoding: ascii\n\n", TEXT),
    "nhdr raw": ("a.nhdr", NRRD + "endian: big\nencoding: raw\ndata file: a.raw\n", BIG),
    "nhdr ascii": ("a.nhdr", NRRD + "encoding: txt\ndata file: a.raw\n", TEXT),
    "nhdr gzip": (
        "a.nhdr",
        NRRD + "endian: little\nencoding: gzip\ndatafile: a.raw\n",
        gzip.compress(LITTLE, mtime=0),
    ),
    "nhdr skip": (
        "a.nhdr",
        NRRD + "endian: big\nencoding: raw\nbyte skip: 5\ndata file: ./a.raw\n",
        b"12345" + BIG,
    ),
    "mhd raw": ("a.mhd", META + MSB + "ElementDataFile = a.raw\n", BIG),
    "mhd skip": ("a.mhd", META + MSB + "HeaderSize = 5\nElementDataFile = a.raw\n", b"12345" + BIG),
    "mha raw": ("a.mha", META + MSB + "ElementDataFile = LOCAL\n", BIG),
    "mha ascii": ("a.mha", META + "BinaryData = False\nElementDataFile = LOCAL\n", TEXT),
    "vtk binary": ("a.vtk", VTK.format("BINARY", TABLE), BIG),
    "vtk lower": ("a.vtk", VTK.format("binary", TABLE.lower()), BIG),
    "vtk ascii": ("a.vtk", VTK.format("ASCII", TABLE), TEXT),
}


def write_by_hand(folder: Path, kind: str, data: bytes | None = None) -> Path:
    name, header, voxels = HAND_MADE[kind]
    voxels = voxels if data is None else data
    detached = "a.raw" in header
    (folder / name).write_bytes(header.encode() + (b"" if detached else voxels))
    if detached:
        (folder / "a.raw").write_bytes(voxels)
    return folder / name


@pytest.mark.parametrize("kind", HAND_MADE)
def test_encodings_and_byte_orders(tmp_path, kind):
    path = write_by_hand(tmp_path, kind)
    assert content_hash(path) == hash_of(VOXELS)
    header = images.read_header(path)
    assert header.files[-1].name == ("a.raw" if (tmp_path / "a.raw").exists() else path.name)


@pytest.mark.parametrize("kind", HAND_MADE)
@settings(max_examples=15)
@given(st.data())
def test_cut_short(tmp_path_factory, kind, data):
    voxels = HAND_MADE[kind][2]
    kept = data.draw(st.one_of(st.integers(0, len(voxels) - 1), st.just(len(voxels) - 1)))
    with pytest.raises(ImageDamaged):
        content_hash(write_by_hand(tmp_path_factory.getbasetemp(), kind, voxels[:kept]))


@pytest.mark.parametrize("suffix", [".mha", ".mhd", ".nrrd", ".nhdr", ".gipl.gz"])
def test_compressed_voxels_that_are_cut_or_changed(tmp_path, suffix):
    """SimpleITK itself gives other voxels for most of them, and says nothing."""
    path = tmp_path / f"a{suffix}"
    sitk.WriteImage(sitk.GetImageFromArray(VOXELS), path, useCompression=True)
    assert content_hash(path) == hash_of(VOXELS)
    files = [file for file in tmp_path.iterdir() if suffix not in (".mhd", ".nhdr") or file != path]
    data = files[0].read_bytes()
    for cut in (1, 4, 7, 50):
        files[0].write_bytes(data[:-cut])
        with pytest.raises(ImageError):
            content_hash(path)
    for place in range(5, 125, 7):
        changed = bytearray(data)
        changed[-place] ^= 1 << place % 8
        files[0].write_bytes(changed)
        with pytest.raises(ImageError):
            content_hash(path)


@pytest.mark.parametrize(
    ("name", "header", "voxels"),
    [
        (".mhd", META + MSB + "ElementDataFile = LIST\n", BIG),
        (".mhd", META + MSB + "ElementDataFile = s%d.raw 0 3 1\n", BIG),
        (".nhdr", NRRD + "endian: big\nencoding: raw\ndata file: LIST\n", BIG),
    ],
)
def test_voxels_in_several_files(tmp_path, name, header, voxels):
    slices = [tmp_path / f"s{number}.raw" for number in range(4)]
    for path, number in zip(slices, range(4), strict=True):
        path.write_bytes(voxels[number * 60 : (number + 1) * 60])
    listed = "\n".join(path.name for path in slices) + "\n"
    header = header.replace("LIST", "LIST 2") if name == ".mhd" else header
    text = header + (listed if "LIST" in header else "")
    (tmp_path / f"a{name}").write_text(text)
    assert content_hash(tmp_path / f"a{name}") == hash_of(VOXELS)
    slices[3].write_bytes(voxels[180:239])
    with pytest.raises(ImageDamaged):
        content_hash(tmp_path / f"a{name}")
    text = text.replace("encoding: raw", "encoding: gzip")
    text = text.replace("BinaryData =", "CompressedData = True\nBinaryData =")
    (tmp_path / f"a{name}").write_text(text)
    with pytest.raises(ImageUnsupported, match="in several files"):
        content_hash(tmp_path / f"a{name}")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (".mhd", META + MSB + "ElementDataFile = {elsewhere}\n"),
        (".mha", META + MSB + "ElementDataFile = ../secret.raw\n"),
        (".mhd", META + MSB + "ElementDataFile = sub/../../secret.raw\n"),
        (".mhd", META + MSB + "ElementDataFile : {elsewhere}\n"),
        (".mhd", META + MSB + "ElementDataFile\0 = {elsewhere}\n"),
        (".mhd", META + MSB + "Element DataFile = LOCAL\nElementDataFile = {elsewhere}\n"),
        (".mhd", META + MSB + "ElementDataFile = LIST 3\n{elsewhere}\n"),
        (".mhd", "NRRD = 1\n\n" + META + MSB + "ElementDataFile = {elsewhere}\n"),
        (".mhd", META + MSB + "ElementDataFile = ../secret%d.raw 0 0 1\n"),
        (".mhd", META + MSB + "ElementDataFile = C:\\secret.raw\n"),
        (".mhd", META + MSB + "ElementDataFile\n= {elsewhere}\n"),
        (".mhd", META + MSB + "ElementDataFile\nor\r\nwhat = : {elsewhere}\n"),
        (".mhd", META + MSB + "Comment = DataFile :\nElementDataFile = {elsewhere}\n"),
        (".mhd", META + MSB + "ElementDataFile = %1$c%1$c/secret.raw 46 46 1\n"),
        (".mhd", META + MSB + "ElementDataFile = %c{elsewhere} 47 47 1\n"),
        (".mhd", META + MSB + "ElementDataFile = .%.0d./secret.raw 0 0 1\n"),
        (".mhd", META + MSB + "ElementDataFile = s%d%d.raw 0 3 1\n"),
        (".nhdr", NRRD + "endian: big\nencoding: raw\ndata file: {elsewhere}\n"),
        (".nrrd", NRRD + "endian: big\nencoding: raw\nDATAFILE: ../secret.raw\n"),
        (".nhdr", NRRD + "endian: big\nencoding: raw\ndata file: LIST 3\n../secret.raw\n"),
        (
            ".nhdr",
            NRRD + "endian: big\nencoding: raw\n"
            "data file: %d/%1$c%1$c/%1$c%1$c/secret.raw 46 46 1 3\n",
        ),
    ],
)
def test_a_file_from_elsewhere_is_not_archived(tmp_path, name, text):
    """A header that somebody else has made could name any file here."""
    (tmp_path / "secret.raw").write_bytes(BIG)
    folder = tmp_path / "study"
    for inner in ("sub", "46"):
        (folder / inner).mkdir(parents=True)
    text = text.replace("{elsewhere}", str(tmp_path / "secret.raw"))
    (folder / f"a{name}").write_text(text)
    with pytest.raises(ImageUnsupported, match="layer 000: .* which is not beside it: .*NIfTI"):
        archived(folder / f"a{name}", tmp_path / "out")
    assert not list(tmp_path.glob("out/*.nii.gz"))


@pytest.mark.parametrize(
    "value",
    ["b.raw", "./b.raw", "LIST\n{}", "s%d.raw 0 3 1", "s%1d.raw 0 3 1", "s%01d.raw 0 3 1"],
)
def test_a_file_beside_its_header_is_archived(tmp_path, value):
    (tmp_path / "b.raw").write_bytes(BIG)
    slices = [f"s{number}.raw" for number in range(4)]
    for number, file in enumerate(slices):
        (tmp_path / file).write_bytes(BIG[number * 60 : (number + 1) * 60])
    lines = value.format("\n".join(slices))
    (tmp_path / "a.mhd").write_text(META + MSB + f"ElementDataFile = {lines}\n")
    assert hash_of(VOXELS) in archived(tmp_path / "a.mhd", tmp_path / "out").name


def test_a_file_is_read_as_what_its_name_says(tmp_path):
    """Not as another format that SimpleITK finds in it."""
    sitk.WriteImage(sitk.GetImageFromArray(VOXELS), tmp_path / "a.hdf5")
    (tmp_path / "a.hdf5").rename(tmp_path / "a.mha")
    with pytest.raises(ImageDamaged):
        images.read_header(tmp_path / "a.mha")


def test_what_is_refused(tmp_path, monkeypatch):
    with pytest.raises(ImageError, match="No such file"):
        images.read_header(tmp_path / "nothing.mha")
    (tmp_path / "bad.nrrd").write_text("nothing of the kind")
    with pytest.raises(ImageDamaged, match=r"bad\.nrrd: "):
        images.read_header(tmp_path / "bad.nrrd")
    (tmp_path / "bz.nrrd").write_bytes(
        NRRD.encode() + b"endian: big\nencoding: bzip2\n\n" + bz2.compress(BIG)
    )
    with pytest.raises(ImageError, match="bzip2 encoding not available"):
        content_hash(tmp_path / "bz.nrrd")
    for name, header in (("a.mhd", META + MSB + "ElementDataFile = gone.raw\n"),):
        (tmp_path / name).write_text(header)
        with pytest.raises(ImageError, match="its voxels are in gone.raw, which is not there"):
            content_hash(tmp_path / name)
    (tmp_path / "scan.dcm").write_bytes(b"\0" * 128 + b"DICM")
    with pytest.raises(ImageDamaged, match=r"scan\.dcm: Cannot read requested file"):
        images.read_header(tmp_path / "scan.dcm")

    imported = builtins.__import__

    def without_simpleitk(name, *arguments, **keywords):
        if name == "SimpleITK":
            raise ImportError
        return imported(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", without_simpleitk)
    with pytest.raises(ImageUnsupported, match=r"pip install 'snapws\[formats\]'"):
        images.read_header(INPUTS / "fmt.mha")


def test_axes_that_no_nifti_header_can_say(tmp_path):
    sitk.WriteImage(sitk.Image(40962, 1, sitk.sitkUInt8), tmp_path / "a.mha")
    header = images.read_header(tmp_path / "a.mha")
    with pytest.raises(ImageUnsupported, match="an axis is longer than 32767 voxels"):
        _ = header.block
    sitk.WriteImage(sitk.Image((2, 2, 2, 2, 2), sitk.sitkUInt8), tmp_path / "b.mha")
    with pytest.raises(ImageUnsupported, match="with 5 axes"):
        images.read_header(tmp_path / "b.mha")


CT, SECONDARY = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.7"
SERIES = "1.2.826.0.1.99.1"


NUMBERS = random_voxels("complex64", (5, 4, 3))
VECTORS = random_voxels("float32", (5, 4, 3, 1, 3))
COLOURS = random_voxels("uint8", (5, 4, 3, 3)).view([("R", "u1"), ("G", "u1"), ("B", "u1")])[..., 0]


@pytest.mark.parametrize(
    ("voxels", "intent", "slope", "is_same"),
    [
        pytest.param(VECTORS, 1007, 1, True, id="vectors"),
        pytest.param(VECTORS, 1006, 1, False, id="displacements"),
        pytest.param(NUMBERS, 0, 1, True, id="complex"),
        pytest.param(NUMBERS, 0, 2, False, id="complex with a slope"),
        pytest.param(COLOURS, 0, 1, True, id="RGB"),
        pytest.param(COLOURS, 0, 2, False, id="RGB with a slope"),
    ],
)
def test_the_hash_is_not_that_of_itks_reading_in_three_cases(
    tmp_path, voxels, intent, slope, is_same
):
    """Those that docs/reference/formats.md names."""
    image = nibabel.Nifti1Image(voxels, np.eye(4))
    image.header["intent_code"] = intent
    data = bytearray(image.to_bytes())
    data[112:120] = np.array([slope, 0], "<f4").tobytes()
    path = tmp_path / "a.nii"
    path.write_bytes(data)
    theirs = sitk.GetArrayFromImage(sitk.ReadImage(path))
    assert (hash_of_header(images.read_header(path)) == hash_of(theirs)) is is_same


def rotation(turns: Sequence[float]) -> np.ndarray:
    """Return the matrix of turns, in radians, about z, y and x."""
    (a, b, c), (s, t, u) = np.cos(turns), np.sin(turns)
    about_z = np.array([[a, -s, 0], [s, a, 0], [0, 0, 1]])
    about_y = np.array([[b, 0, t], [0, 1, 0], [-t, 0, b]])
    return about_z @ about_y @ np.array([[1, 0, 0], [0, c, -u], [0, u, c]])


def write_slice(path: Path, image: sitk.Image, index: int, **elements: str) -> Path:
    """Write a slice of a 3-D image as DICOM, in its series unless told otherwise."""
    flat = image[:, :, index]
    rows, columns = np.reshape(image.GetDirection(), (3, 3)).T[:2]
    place = image.TransformIndexToPhysicalPoint((0, 0, index))
    meant = {
        "0008|0060": "CT",
        "0020|000e": SERIES,
        "0020|000d": "1.2.826.0.1.99",
        "0008|0018": f"1.2.826.0.1.99.7.{path.name.encode().hex()[:8]}.{index}",
        "0020|0037": "\\".join(f"{number:.12g}" for number in (*rows, *columns)),
        "0020|0032": "\\".join(f"{number:.12g}" for number in place),
        "0018|0050": str(image.GetSpacing()[2]),
        "0010|0010": "DOE^JANE",
        **{key.replace("_", "|"): value for key, value in elements.items()},
    }
    for key, value in meant.items():
        flat.SetMetaData(key, value)
    writer = sitk.ImageFileWriter()
    writer.SetImageIO("GDCMImageIO")
    writer.KeepOriginalImageUIDOn()
    writer.SetFileName(str(path))
    writer.Execute(flat)
    return path


def write_series(folder: Path, image: sitk.Image, names: Sequence[str], **elements: str) -> Path:
    folder.mkdir(exist_ok=True)
    for index, name in enumerate(names):
        write_slice(folder / name, image, index, **elements)
    return folder / names[0]


#: In an order that is neither theirs nor their slices'.
NAMES = ("s3", "s1.ima", "s0", "s4.dcm")


def presented(header: images.ImageHeader) -> np.ndarray:
    """Return the voxels of a header in SimpleITK's order."""
    return np.frombuffer(b"".join(header.voxels()), header.dtype).reshape(header.shape[::-1])


def affine_of(image: sitk.Image) -> np.ndarray:
    """Return the affine in RAS mm of an image that SimpleITK has read."""
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return np.diag([-1, -1, 1, 1]) @ affine


@pytest.mark.parametrize(
    ("dtype", "turns"),
    [
        *(("i1", (0, 0, 0)), ("u1", (0.3, 0.4, -0.5)), ("i2", (3, -2, 1))),
        *(("u2", (0, np.pi / 2, 0)), ("i4", (1, 2, 3)), ("u4", (0, 0, 0.01))),
    ],
)
def test_a_dicom_series(tmp_path, dtype, turns):
    voxels = random_voxels(dtype, (4, 5, 6))
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing((0.7, 0.8, 2.5))
    image.SetOrigin((-10, 20, 30))
    image.SetDirection(rotation(turns).ravel())
    write_series(tmp_path / "in", image, NAMES)
    write_series(tmp_path / "in", image[:, :, :2], ("other", "another.dcm"), **{"0020_000e": "1.9"})
    (tmp_path / "in" / "notes.txt").write_text("not an image")
    (tmp_path / "in" / "folder").mkdir()
    for name in NAMES:
        header = images.read_header(tmp_path / "in" / name)
        assert [path.name for path in header.files] == list(NAMES)
        assert np.allclose(header.nifti.get_sform(), affine_of(image), atol=1e-5)
        assert np.allclose(header.nifti.get_qform(), affine_of(image), atol=1e-4)
        assert header.nifti["pixdim"][1:4] == pytest.approx((0.7, 0.8, 2.5))
    assert np.array_equal(presented(header), voxels)
    sitk.WriteImage(image, tmp_path / "same.mha")
    assert content_hash(tmp_path / "same.mha") == hash_of_header(header)
    ours = archived(tmp_path / "in" / "s0", tmp_path / "out")
    assert ours.name == f"layer_000_{hash_of(voxels)}.nii.gz"
    assert np.array_equal(sitk.GetArrayFromImage(sitk.ReadImage(ours)), voxels)
    assert b"DOE" not in gzip.decompress(ours.read_bytes())


def test_a_series_equals_that_of_itk(image, tmp_path):
    """In its own reader's order and geometry, whichever way the slices were taken."""
    image.SetDirection((rotation((1, 0.2, 0.3)) @ np.diag([1, 1, -1])).ravel())
    path = write_series(tmp_path / "in", image, NAMES)
    names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(path.parent), SERIES)
    theirs = sitk.ReadImage(names)
    header = images.read_header(path)
    assert [path.name for path in header.files] == [Path(name).name for name in names]
    assert [path.name for path in header.files] == list(NAMES[::-1])
    assert np.array_equal(presented(header), sitk.GetArrayFromImage(theirs))
    assert np.allclose(header.nifti.get_sform(), affine_of(theirs), atol=1e-5)


@pytest.mark.parametrize(
    ("dtype", "slope", "intercept", "read_as"),
    [
        ("u1", 1, -1024, "i2"),
        ("i2", 1, -1024, "i4"),
        ("u2", 2, 0, "u4"),
        ("i4", 1, -1024, "f8"),
        ("f8", 0.5, -3, "f8"),
    ],
)
def test_rescaled_dicom(tmp_path, dtype, slope, intercept, read_as):
    """ITK rescales, into the smallest type that holds all that could be stored."""
    values = np.arange(120).reshape(4, 5, 6) * slope + intercept
    elements = {"0028_1052": str(intercept), "0028_1053": str(slope)}
    if dtype == "f8":  # what to store has to be said
        elements |= {"0028_0100": "16", "0028_0101": "16", "0028_0102": "15", "0028_0103": "1"}
    image = sitk.GetImageFromArray(values.astype(dtype))
    path = write_series(tmp_path / "in", image, NAMES, **elements)
    names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(path.parent), SERIES)
    theirs = sitk.GetArrayFromImage(sitk.ReadImage(names))
    header = images.read_header(path)
    assert header.dtype == theirs.dtype == np.dtype(read_as)
    assert np.array_equal(presented(header), theirs)
    sitk.WriteImage(sitk.ReadImage(names), tmp_path / "same.nii")
    assert content_hash(tmp_path / "same.nii") == hash_of_header(header) == hash_of(theirs)
    if intercept > 0 or dtype not in ("u1", "u2"):  # the others cannot be stored
        assert np.array_equal(theirs, values)


def test_colour_dicom(tmp_path):
    """Three samples a pixel are a colour, and stay one; they need not be held in memory."""
    voxels = random_voxels("u1", (4, 5, 6, 3))
    colours = sitk.GetImageFromArray(voxels, isVector=True)
    sitk.WriteImage(colours, tmp_path / "frames.dcm")
    series = write_series(tmp_path / "in", colours, NAMES, **{"0008_0016": CT})
    for path in (tmp_path / "frames.dcm", series):
        header = images.read_header(path)
        assert (header.shape, int(header.nifti["datatype"])) == ((6, 5, 4), 128)
        assert header.components == 1
        ours = archived(path, tmp_path / "out")
        assert ours.name == f"layer_000_{hash_of(voxels)}.nii.gz"
        assert np.array_equal(sitk.GetArrayFromImage(sitk.ReadImage(ours)), voxels)


def test_a_file_of_several_frames(image, tmp_path):
    """It is an image of its own, whatever else is of its series."""
    frames = sitk.Cast(image, sitk.sitkUInt16)
    path = tmp_path / "in" / "frames"
    write_series(tmp_path / "in", image, NAMES)
    frames.SetMetaData("0020|000e", SERIES)
    sitk.WriteImage(frames, str(path.with_suffix(".dcm")))
    path.with_suffix(".dcm").rename(path)
    header = images.read_header(path)
    assert header.files == (path, path)
    assert np.array_equal(presented(header), sitk.GetArrayFromImage(frames))


def test_a_lone_slice(image, tmp_path):
    path = write_slice(tmp_path / "slice", image, 2)
    theirs = sitk.ReadImage(path, imageIO="GDCMImageIO")
    header = images.read_header(path)
    assert header.shape == (6, 5, 1)
    assert np.allclose(header.nifti.get_sform(), affine_of(theirs), atol=1e-5)
    assert header.nifti.get_sform()[:3, 3] == pytest.approx((-10, 20, 34))
    assert np.array_equal(presented(header), sitk.GetArrayFromImage(image)[2:3])


def test_a_slice_that_is_missing_doubled_or_elsewhere(image, tmp_path):
    paths = [write_slice(tmp_path / name, image, index) for index, name in enumerate(NAMES)]
    whole = paths[2].read_bytes()
    paths[2].unlink()
    with pytest.raises(ImageDamaged, match=r"s[14].*: [\d.]+ mm from where 3 evenly stacked"):
        images.read_header(paths[0])
    paths[2].write_bytes(whole)
    (tmp_path / "copy").write_bytes(whole)
    with pytest.raises(ImageDamaged, match="missing, doubled or tilted"):
        images.read_header(paths[0])
    (tmp_path / "copy").unlink()
    for name in NAMES[1:]:
        (tmp_path / name).write_bytes(paths[0].read_bytes())
    with pytest.raises(ImageDamaged, match="have one position"):
        images.read_header(paths[0])


def test_slices_that_are_tilted(image, tmp_path):
    """A gantry's tilt shifts each slice in its plane: ITK reads that as if it were none."""
    for shift, refused in ((0.01, False), (0.2, True)):
        for index, name in enumerate(NAMES):
            x, y, z = image.GetOrigin()
            place = f"{x}\\{y + shift * index}\\{z + 2 * index}"
            image.SetDirection(np.eye(3).ravel())
            write_slice(tmp_path / name, image, index, **{"0020_0032": place})
        if refused:
            with pytest.raises(ImageDamaged, match="tilted"):
                images.read_header(tmp_path / NAMES[0])
        else:
            images.read_header(tmp_path / NAMES[0])


def test_slices_that_are_not_of_one_image(image, tmp_path):
    write_series(tmp_path, image, NAMES)
    turned = sitk.Image(image)
    turned.SetDirection(rotation((0.1, 0, 0)).ravel())
    turned.SetOrigin(image.TransformIndexToPhysicalPoint((0, 0, 3)))
    for other in (turned, sitk.Cast(image, sitk.sitkUInt8)):
        write_slice(tmp_path / "s4.dcm", other, other.GetDepth() - 1)
        with pytest.raises(ImageUnsupported, match="another orientation or voxel type"):
            images.read_header(tmp_path / NAMES[0])


@pytest.mark.parametrize("cut", [1, 60, 100])
def test_a_slice_cut_short(image, tmp_path, cut):
    """GDCM leaves it out of the series, which then seems whole."""
    write_series(tmp_path, image, NAMES)
    data = (tmp_path / NAMES[-1]).read_bytes()
    (tmp_path / NAMES[-1]).write_bytes(data[:-cut])
    with pytest.raises(ImageDamaged, match=rf"{NAMES[-1]}: .*a slice of the series of {NAMES[0]}"):
        images.read_header(tmp_path / NAMES[0])
    with pytest.raises(ImageDamaged, match=NAMES[-1]):
        images.read_header(tmp_path / NAMES[-1])


def test_files_that_only_name_the_series(image, tmp_path):
    """Contours and reports name the series that they are about, and are no images."""
    path = write_series(tmp_path, image, NAMES)
    contours = bytearray((tmp_path / NAMES[1]).read_bytes()[:-50])
    place = contours.index(CT.encode())  # the class of the file: now that of contours
    contours[place : place + len(CT) + 4] = b"1.2.840.10008.5.1.4.1.1.481.3"[: len(CT) + 4]
    assert bytes(contours).count(SERIES.encode()) > 0
    (tmp_path / "contours.dcm").write_bytes(contours)
    assert len(images.read_header(path).slices) == len(NAMES)

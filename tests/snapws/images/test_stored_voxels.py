"""Voxels begin where they are proved to begin, are as many as they have to be, and are numbers."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from snapws import ImageDamaged, ImageError, ImageUnsupported, images
from snapws.images import voxel_files
from tests.snapws.images.test_images import content_hash, write_nifti
from tests.snapws.images.test_itk_formats import (
    BIG,
    HAND_MADE,
    LITTLE,
    META,
    MSB,
    NAMES,
    NRRD,
    TABLE,
    VOXELS,
    VTK,
    archived,
    hash_of,
    hash_of_header,
    random_voxels,
    write_by_hand,
    write_series,
)

sitk = pytest.importorskip("SimpleITK", reason="needs the extra 'formats'")

TEXTS = b"Institution:=St. Elsewhere\nPhysician:=Dr. Nobody\n" * 20


@pytest.mark.parametrize("kind", HAND_MADE)
def test_more_voxels_than_the_header_tells_of(tmp_path, kind):
    name, _, voxels = HAND_MADE[kind]
    more = gzip.compress(LITTLE * 2) if voxels[:2] == b"\x1f\x8b" else voxels + voxels
    with pytest.raises(ImageDamaged):
        content_hash(write_by_hand(tmp_path, kind, more))
    if "raw" in HAND_MADE[kind][1] and name.endswith("hdr"):  # one byte more, in a file of its own
        with pytest.raises(ImageDamaged):
            content_hash(write_by_hand(tmp_path, kind, voxels + b"x"))


@pytest.mark.parametrize("dims", ["5 5 4", "6 4 4", "6 5 3", "6 5 5"])
@pytest.mark.parametrize("suffix", [".mha", ".mhd", ".nrrd", ".nhdr"])
@pytest.mark.parametrize("compressed", [False, True], ids=["raw", "compressed"])
def test_a_size_that_is_not_that_of_the_voxels(tmp_path, dims, suffix, compressed):
    path = tmp_path / f"a{suffix}"
    sitk.WriteImage(sitk.GetImageFromArray(VOXELS), path, useCompression=compressed)
    path.write_bytes(path.read_bytes().replace(b"6 5 4", dims.encode()))
    with pytest.raises(ImageDamaged):
        content_hash(path)


#: Attached voxels that would begin somewhere in the text of the header, or nobody knows where.
WITHIN = {
    "nrrd -1": ("a.nrrd", NRRD + "endian: big\nencoding: raw\nbyte skip: -1\n{}\n"),
    "nrrd -2": ("a.nrrd", NRRD + "endian: big\nencoding: raw\nbyte skip: -2\n{}\n"),
    "nrrd lines": ("a.nrrd", NRRD + "endian: big\nencoding: raw\nline skip: -1\n{}\n"),
    "nrrd short": ("a.nrrd", NRRD + "endian: big\nencoding: raw\n{}\n"),
    "nrrd open": ("a.nrrd", NRRD + "endian: big\nencoding: raw\n{}"),
    "mha -1": ("a.mha", META + MSB + "HeaderSize = -1\n{}ElementDataFile = LOCAL\n"),
    "mha -2": ("a.mha", META + MSB + "HeaderSize = -2\n{}ElementDataFile = LOCAL\n"),
    "mha 7": ("a.mha", META + MSB + "HeaderSize = 7\n{}ElementDataFile = LOCAL\n"),
    "mha short": ("a.mha", META + MSB + "{}ElementDataFile = LOCAL\n"),
}


@pytest.mark.parametrize("kind", WITHIN)
@pytest.mark.parametrize("kept", [0, 210])
def test_header_text_never_becomes_voxels(tmp_path, kind, kept):
    name, header = WITHIN[kind]
    texts = TEXTS.decode()
    texts = texts.replace(":=", " = ") if name == "a.mha" else texts
    path = tmp_path / name
    path.write_bytes(header.format(texts).encode() + BIG[:kept])
    with pytest.raises(ImageDamaged):
        archived(path, tmp_path / "out")
    assert not list(tmp_path.rglob("*.nii.gz"))


def test_a_header_size_that_is_the_headers_own(tmp_path):
    text = META + MSB + "HeaderSize = {:5d}\nElementDataFile = LOCAL\n"
    (tmp_path / "a.mha").write_bytes(text.format(len(text.format(0))).encode() + BIG)
    assert content_hash(tmp_path / "a.mha") == hash_of(VOXELS)


DETACHED = {
    "mhd": ("a.mhd", META + "HeaderSize = {}\nElementDataFile = {}\n"),
    "mhd list": ("a.mhd", META + "HeaderSize = {}\nElementDataFile = LIST 3\n{}\n"),
    "nhdr": ("a.nhdr", NRRD + "endian: little\nencoding: raw\nbyte skip: {}\ndata file: {}\n"),
    "nhdr list": (
        "a.nhdr",
        NRRD + "endian: little\nencoding: raw\nbyte skip: {}\ndata file: LIST 3\n{}\n",
    ),
}


def wrapped(folder: Path, kind: str, skip: int, data: bytes, name: str = "a.dcm") -> Path:
    """Write a header around a file of another format."""
    header, text = DETACHED[kind]
    (folder / header).write_text(text.format(skip, name))
    (folder / name).write_bytes(data)
    return folder / header


def dicom_around(form: str) -> bytes:
    """Write a DICOM file with texts and the voxels, its pixel data in one of three forms."""
    order = ">" if form == "big" else "<"

    def element(group: int, number: int, kind: bytes, value: bytes) -> bytes:
        tag = struct.pack(f"{order}2H", group, number)
        if form == "implicit" and group > 2:
            return tag + struct.pack("<I", len(value)) + value
        if kind == b"OW":
            return tag + b"OW\0\0" + struct.pack(f"{order}I", len(value)) + value
        return tag + kind + struct.pack(f"{order}H", len(value)) + value

    texts = element(8, 0x80, b"LO", b"St. Elsewhere ") + element(8, 0x90, b"PN", b"NOBODY^DR ")
    voxels = BIG if form == "big" else LITTLE
    return bytes(128) + b"DICM" + texts * 20 + element(0x7FE0, 0x10, b"OW", voxels)


@pytest.mark.parametrize("form", ["explicit", "implicit", "big"])
@pytest.mark.parametrize("kind", DETACHED)
def test_a_header_around_a_dicom_file(tmp_path, kind, form):
    data = dicom_around(form)
    offset = len(data) - len(LITTLE)
    for skip in (-1, offset):
        path = wrapped(tmp_path, kind, skip, data)
        if form == "big":
            text = path.read_text().replace("endian: little", "endian: big")
            path.write_text(text.replace("HeaderSize", f"{MSB}HeaderSize"))
        assert hash_of(VOXELS) in archived(path, tmp_path / "out").name
        for damaged in (data[:-30], data + bytes(30)):
            (tmp_path / "a.dcm").write_bytes(damaged)
            with pytest.raises(ImageDamaged):
                archived(path, tmp_path / "again")
    path = wrapped(tmp_path, kind, -1, data[132:-30])  # without its first bytes, as some are
    with pytest.raises(ImageDamaged):
        archived(path, tmp_path / "again")
    assert not list(tmp_path.glob("again/*.nii.gz"))


@pytest.mark.parametrize("kind", DETACHED)
def test_a_header_around_a_nifti_file(tmp_path, kind):
    voxels = VOXELS.repeat(3, axis=2).astype("<i2")
    data = write_nifti(tmp_path / "whole.nii", voxels.T).read_bytes()
    for skip in (-1, 352):
        path = wrapped(tmp_path, kind, skip, data, "a.nii")
        path.write_text(path.read_text().replace("6 5 4", "18 5 4"))
        assert hash_of(voxels) in archived(path, tmp_path / "out").name
        (tmp_path / "a.nii").write_bytes(data[:-40])
        with pytest.raises(ImageDamaged):
            content_hash(path)
    path = wrapped(tmp_path, kind, 112, data[:-240], "a.nii")
    path.write_text(path.read_text().replace("6 5 4", "18 5 4"))
    with pytest.raises(ImageDamaged, match="begins with a header of its own"):
        content_hash(path)


def test_a_nifti_file_inflated(tmp_path):
    """As people write an NRRD header for a ``.nii.gz``."""
    voxels = VOXELS.repeat(3, axis=2).astype("<i2")
    data = write_nifti(tmp_path / "whole.nii", voxels.T).read_bytes()
    for skip, damaged in ((352, data), (-1, data), (352, data[:-40]), (-1, data[:-40])):
        (tmp_path / "a.nii.gz").write_bytes(gzip.compress(damaged))
        text = NRRD.replace("6 5 4", "18 5 4") + "endian: little\nencoding: gzip\n"
        (tmp_path / "a.nhdr").write_text(f"{text}byte skip: {skip}\ndata file: a.nii.gz\n")
        if damaged is data:
            assert content_hash(tmp_path / "a.nhdr") == hash_of(voxels)
        else:
            with pytest.raises(ImageDamaged):
                content_hash(tmp_path / "a.nhdr")


@pytest.mark.parametrize("kind", DETACHED)
def test_the_end_of_a_file_is_taken_only_if_no_text_precedes_it(tmp_path, kind):
    path = wrapped(tmp_path, kind, -1, bytes(range(128, 160)) + LITTLE, "a.raw")
    assert content_hash(path) == hash_of(VOXELS)
    for cut in (0, 30):
        path = wrapped(tmp_path, kind, -1, (TEXTS + LITTLE)[: len(TEXTS + LITTLE) - cut], "a.raw")
        with pytest.raises(ImageDamaged, match="add the number of bytes to the header"):
            content_hash(path)
    path = wrapped(tmp_path, kind, len(TEXTS), TEXTS + LITTLE, "a.raw")
    assert content_hash(path) == hash_of(VOXELS)


@pytest.mark.parametrize(
    "start",
    [b"NRRD0004\n", b"ObjectType = Image\n", b"# vtk DataFile", b"%PDF-1.4", b"PK\3\4", b"\x89PNG"],
    ids=["nrrd", "metaimage", "vtk", "pdf", "zip", "png"],
)
@pytest.mark.parametrize("kind", DETACHED)
def test_another_kind_of_file_is_no_voxels(tmp_path, kind, start):
    path = wrapped(tmp_path, kind, 0, start.ljust(len(LITTLE), b"\0"), "a.raw")
    with pytest.raises(ImageDamaged, match="begins with a header of its own"):
        content_hash(path)


AS_TEXT = {
    "mha": ("a.mha", META + "BinaryData = False\nElementDataFile = LOCAL\n"),
    "mhd": ("a.mhd", META + "BinaryData = False\nElementDataFile = a.raw\n"),
    "nrrd": ("a.nrrd", NRRD + "encoding: ascii\n\n"),
    "nhdr": ("a.nhdr", NRRD + "encoding: text\ndata file: a.raw\n"),
    "vtk": ("a.vtk", VTK.format("ASCII", TABLE)),
}
TYPES = {"short": ("MET_SHORT", "short", "short"), "float": ("MET_FLOAT", "float", "float")}


def write_text(folder: Path, form: str, words: list[str], kind: str = "short") -> Path:
    name, header = AS_TEXT[form]
    header = header.replace("MET_SHORT", f"MET_{kind.upper()}").replace("short", kind)
    body = "\n".join(words) + "\n"
    detached = "a.raw" in header
    (folder / name).write_text(header + ("" if detached else body))
    if detached:
        (folder / "a.raw").write_text(body)
    return folder / name


@pytest.mark.parametrize("form", AS_TEXT)
@pytest.mark.parametrize("place", [0, 60, 119])
@pytest.mark.parametrize(
    ("word", "kind"),
    [
        *(("x", "short"), ("1x", "short"), ("0x1F", "short"), ("1,5", "short"), ("1.5", "short")),
        *(("32768", "short"), ("-32769", "short"), ("9" * 30, "short"), ("1_0", "short")),
        *(("x", "float"), ("1e999", "float"), ("1e39", "float"), ("--1", "float")),
    ],
)
def test_every_word_is_a_number_of_its_type(tmp_path, form, place, word, kind):
    words = [str(number) for number in range(120)]
    path = write_text(tmp_path, form, words, kind)
    assert content_hash(path) == hash_of(np.arange(120, dtype="<i2" if kind == "short" else "<f4"))
    words[place] = word
    with pytest.raises(ImageDamaged, match="is not a number of type"):
        content_hash(write_text(tmp_path, form, words, kind))


@pytest.mark.parametrize("form", AS_TEXT)
def test_text_of_more_or_fewer_numbers(tmp_path, form):
    for words in (["7"] * 121, ["7"] * 119):
        with pytest.raises(ImageDamaged):
            content_hash(write_text(tmp_path, form, words))


def test_text_is_read_as_simpleitk_reads_it(tmp_path):
    numbers = np.random.default_rng(5).normal(0, 1e3, 120).astype("f4")
    words = [repr(float(number)) for number in numbers]
    for form in ("mha", "nrrd", "vtk"):
        path = write_text(tmp_path, form, words, "float")
        theirs = sitk.GetArrayFromImage(sitk.ReadImage(path))
        assert content_hash(path) == hash_of(theirs) == hash_of(numbers)
    path = write_text(tmp_path, "nrrd", ["nan", "-inf", *words[2:]], "float")
    theirs = sitk.GetArrayFromImage(sitk.ReadImage(path))
    assert np.array_equal(
        np.frombuffer(b"".join(images.read_header(path).voxels()), "<f4"),
        theirs.ravel(),
        equal_nan=True,
    )


@pytest.mark.parametrize("word", ["True", "true", "TRUE", "T", "t", "1", "Trash", " True "])
def test_every_way_to_say_compressed_is_checked(tmp_path, word):
    """MetaIO takes the first letter alone for its answer, and then looks at no checksum."""
    data = zlib.compress(LITTLE)
    text = META + f"CompressedData = {word}\nCompressedDataSize = {len(data)}\n"
    text += "ElementDataFile = LOCAL\n"
    path = tmp_path / "a.mha"
    path.write_bytes(text.encode() + data)
    assert content_hash(path) == hash_of(VOXELS)
    for damaged in (data[:-1], data[:-4] + b"\0\0\0\0", data + b"more", data[:60]):
        path.write_bytes(text.encode() + damaged)
        with pytest.raises(ImageDamaged):
            content_hash(path)


@pytest.mark.parametrize("word", ["False", "no", "0", "yes", "Y"])
def test_what_is_not_said_to_be_compressed_is_read_as_it_is(tmp_path, word):
    text = META + f"CompressedData = {word}\nElementDataFile = LOCAL\n"
    (tmp_path / "a.mha").write_bytes(text.encode() + LITTLE)
    assert content_hash(tmp_path / "a.mha") == hash_of(VOXELS)


@pytest.mark.parametrize("kept", [0, 1, 100, 131, 132, 140, 300, 500, 600, 700, -60, -1])
@pytest.mark.parametrize("place", [0, 2, 3])
def test_a_slice_that_is_empty_or_cut_is_named(tmp_path, kept, place):
    """Whatever is left of it, and also if it is the last, so that no gap tells of it."""
    image = sitk.GetImageFromArray(VOXELS)
    names = [f"slice_{number}.dcm" for number in range(4)]
    write_series(tmp_path, image, names)
    path = tmp_path / names[place]
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ImageDamaged, match=names[place]):
        images.read_header(tmp_path / names[1])


@pytest.mark.parametrize("kept", [0, 60, 300])
def test_a_slice_without_an_ending_that_is_cut_is_named(tmp_path, kept):
    write_series(tmp_path, sitk.GetImageFromArray(VOXELS), ("IM0", "IM1", "IM2", "IM3"))
    path = tmp_path / "IM3"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ImageDamaged, match="IM3"):
        images.read_header(tmp_path / "IM0")


def test_other_files_in_the_folder_of_a_series_are_left_alone(tmp_path):
    path = write_series(tmp_path, sitk.GetImageFromArray(VOXELS), NAMES)
    for name, content in (
        ("empty.txt", b""),
        (".done", b""),
        ("notes", b"short"),
        ("z", b"x" * 200),
    ):
        (tmp_path / name).write_bytes(content)
    assert len(images.read_header(path).files) == 4


NRRD_4 = "NRRD0005\ntype: short\ndimension: 4\nsizes: {}\nkinds: {}\nendian: big\nencoding: raw\n\n"


@pytest.mark.parametrize(
    "kinds",
    [
        *("vector domain domain domain", "3-color space space space", "list domain domain domain"),
        *("domain domain domain vector", "space space space list", "none domain domain domain"),
        *("??? space space space", "domain domain domain time", "time domain domain domain"),
    ],
)
def test_axes_of_nrrd_as_simpleitk_reads_them(tmp_path, kinds):
    sizes = "6 5 4 3" if kinds.split()[0] in ("domain", "space") else "3 6 5 4"
    voxels = random_voxels("i2", (360,)).astype(">i2")
    path = tmp_path / "a.nrrd"
    path.write_bytes(NRRD_4.format(sizes, kinds).encode() + voxels.tobytes())
    theirs = sitk.GetArrayFromImage(sitk.ReadImage(path))
    header = images.read_header(path)
    assert hash_of_header(header) == hash_of(theirs)
    ours = archived(path, tmp_path / "out")
    assert np.array_equal(sitk.GetArrayFromImage(sitk.ReadImage(ours)), theirs)


@pytest.mark.parametrize("kinds", ["domain list domain domain", "list list domain domain"])
def test_components_in_the_middle_are_refused(tmp_path, kinds):
    (tmp_path / "a.nrrd").write_bytes(NRRD_4.format("3 6 5 4", kinds).encode() + bytes(720))
    with pytest.raises(ImageUnsupported, match="neither the first nor the last"):
        images.read_header(tmp_path / "a.nrrd")


@pytest.mark.parametrize("line", ["COLOR_SCALARS c 3", "VECTORS v unsigned_char"])
def test_colours_and_vectors_of_vtk_as_simpleitk_reads_them(tmp_path, line):
    voxels = random_voxels("u1", (4, 5, 6, 3))
    path = tmp_path / "a.vtk"
    path.write_bytes(VTK.format("BINARY", f"{line}\n").encode() + voxels.tobytes() + b"\n")
    assert np.array_equal(sitk.GetArrayFromImage(sitk.ReadImage(path)), voxels)
    assert content_hash(path) == hash_of(voxels)
    path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(ImageDamaged):
        content_hash(path)


def test_geometry_fields_of_metaimage_as_simpleitk_reads_them(tmp_path):
    """What is said to SimpleITK in our words says what the header says."""
    fields = {
        "spacing": "ElementSpacing = 1 2 3\n",
        "size": "ElementSize = 4 5 6\n",
        "both": "ElementSize = 4 5 6\nElementSpacing = 1 2 3\n",
        "position": "Position = 1 2 3\n",
        "origin": "Offset = 1 2 3\nOrigin = 7 8 9\n",
        "rotation": "Rotation = 0 1 0 1 0 0 0 0 1\n",
        "matrix": "TransformMatrix = 0 1 0 -1 0 0 0 0 1\nCenterOfRotation = 1 1 1\n",
        "others": "Comment = a = b : c\nFoo Bar =\nDistanceUnits = cm\n",
        "letters": "AnatomicalOrientation = RAI\n",
        "negative": "ElementSpacing = 1 -2 3\n",
    }
    for text in fields.values():
        for line in ("\n", "\r\n"):
            path = tmp_path / "a.mha"
            header = (META + text + "ElementDataFile = LOCAL\n").replace("\n", line)
            path.write_bytes(header.encode() + LITTLE)
            theirs = sitk.ReadImage(path)
            ours = images.read_header(path).nifti.get_sform()
            affine = np.eye(4)
            affine[:3, :3] = np.reshape(theirs.GetDirection(), (3, 3)) * theirs.GetSpacing()
            affine[:3, 3] = theirs.GetOrigin()
            assert np.allclose(np.diag([-1, -1, 1, 1]) @ affine, ours), text


@pytest.mark.parametrize(
    ("name", "header"),
    [
        *(("a.mha", META.replace("6 5 4", text)) for text in ("6 5", "6 5 4 2", "0 5 4", "x 5 4")),
        ("a.mha", META + "DimSize = 6 5 4\n"),
        ("a.mha", META + "Offset = 1 2\n"),
        ("a.mha", META + "no field\n"),
        ("a.mha", META + "BinaryDataByteOrderMSB = True\nElementByteOrderMSB = False\n"),
        ("a.mha", META.replace("NDims = 3\n", "")),
        ("a.nrrd", NRRD + "sizes: 6 5 4\n"),
        ("a.nrrd", NRRD + "foo: bar\n"),
        ("a.nrrd", NRRD + "no field\n"),
        ("a.nrrd", NRRD.replace("6 5 4", "6 5")),
    ],
)
def test_an_invalid_header(tmp_path, name, header):
    end = "ElementDataFile = LOCAL\n" if name == "a.mha" else "endian: big\nencoding: raw\n\n"
    (tmp_path / name).write_bytes((header + end).encode() + BIG)
    with pytest.raises(ImageDamaged, match=rf"{name}: "):
        images.read_header(tmp_path / name)


@pytest.mark.parametrize("name", ["a.mha", "a.nrrd"])
def test_simpleitk_is_told_what_counts_and_no_more(tmp_path, name):
    """Its readers take time that grows with the square of a header's length."""
    if name == "a.mha":
        text = META + "Comment = x\n" * 10_000 + MSB + "ElementDataFile = LOCAL\n"
    else:
        text = NRRD + "key:=value\n" * 10_000 + "endian: big\nencoding: raw\n\n"
    (tmp_path / name).write_bytes(text.encode() + BIG)
    header = images.read_header(tmp_path / name)
    assert len(header.stored.header) < 200
    assert hash_of_header(header) == hash_of(VOXELS)


@pytest.mark.parametrize("name", ["a.mha", "a.nrrd"])
@pytest.mark.parametrize("filler", [b"x" * (5 << 20), b"Key = :=value\n" * 400_000])
def test_a_header_that_is_too_long(tmp_path, name, filler, monkeypatch):
    start = META if name == "a.mha" else NRRD
    (tmp_path / name).write_bytes(start.encode() + filler)
    with pytest.raises(ImageUnsupported, match="its header is longer than 4 MiB"):
        images.read_header(tmp_path / name)


def test_an_image_that_does_not_fit_in_memory(tmp_path, monkeypatch):
    """Only those that have to be there as a whole; the others are of any size."""
    vectors = sitk.GetImageFromArray(random_voxels("i2", (4, 5, 6, 3)), isVector=True)
    sitk.WriteImage(vectors, tmp_path / "v.mha")
    sitk.WriteImage(vectors, tmp_path / "v.nii")
    sitk.WriteImage(sitk.GetImageFromArray(VOXELS), tmp_path / "s.mha")
    monkeypatch.setattr("snapws.images.header.MAX_IN_MEMORY", 200)
    assert hash_of(VOXELS) in archived(tmp_path / "s.mha", tmp_path / "out").name
    for name in ("v.mha", "v.nii"):
        with pytest.raises(ImageUnsupported, match="layer 000: .* in memory as a whole"):
            archived(tmp_path / name, tmp_path / name[2:])


def test_nothing_is_printed_by_the_readers(tmp_path, capfd):
    """MetaIO prints what it finds wrong; it is not given anything that is."""
    bad = {
        "short.mha": META + "ElementDataFile = LOCAL\n",
        "none.mha": "ObjectType = Image\nElementDataFile = LOCAL\n",
        "zlib.mha": META + "CompressedData = True\nElementDataFile = LOCAL\n",
        "gone.mhd": META + "ElementDataFile = gone.raw\n",
        "text.mha": META + "BinaryData = False\nElementDataFile = LOCAL\nnothing\n",
        "key.mha": META + "nothing\n",
        "short.nrrd": NRRD + "endian: big\nencoding: raw\n\n",
    }
    for name, text in bad.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(ImageError):
            content_hash(tmp_path / name)
    write_series(tmp_path, sitk.GetImageFromArray(VOXELS), ("a.dcm", "b.dcm", "c.dcm"))
    for kept in (200, 600, -20):
        (tmp_path / "c.dcm").write_bytes((tmp_path / "b.dcm").read_bytes()[:kept])
        with pytest.raises(ImageError):
            content_hash(tmp_path / "a.dcm")
    assert capfd.readouterr() == ("", "")


def test_a_file_that_is_cut_while_it_is_read(tmp_path, monkeypatch):
    path = tmp_path / "a.mha"
    path.write_bytes((META + "ElementDataFile = LOCAL\n").encode() + LITTLE)
    monkeypatch.setattr("snapws.compression.PIECE", 64)
    pieces = images.read_header(path).voxels()
    next(pieces)
    # More than a buffer of the file has been read of it: so the cut is seen.
    header = images.read_header(path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ImageDamaged, match="cut short"):
        b"".join(header.voxels())


def test_the_longest_header_is_stated():
    assert voxel_files.MAX_HEADER == 4 << 20


def test_a_text_of_several_lines_in_a_metaimage_is_passed_over(tmp_path):
    """SimpleITK writes the texts of DICOM as they are, and its reader takes the next key along."""
    image = sitk.GetImageFromArray(np.arange(24, dtype=np.int16).reshape(2, 3, 4))
    image.SetMetaData("0020|4000", "first line\nsecond line\n\nlast line")
    image.SetMetaData("0028|0002", "1")
    path = tmp_path / "scan.mha"
    sitk.WriteImage(image, str(path))
    assert b"\nlast line\n0028" in path.read_bytes()

    assert b"".join(images.read_header(path).voxels()) == np.arange(24, dtype="<i2").tobytes()

    path.write_bytes(path.read_bytes().replace(b"0028|0002 = 1\n", b""))
    with pytest.raises(ImageDamaged, match="is not a key and a value"):
        images.read_header(path)

"""Gzipped sources: what is deflated and clean is copied, and never with a header of others."""

from __future__ import annotations

import gzip
import subprocess
import zlib
from pathlib import Path

import nibabel
import numpy as np
import pytest

from snapws import ImageChanged, ImageDamaged, Workspace, deflate, packing, verify_archive
from snapws.archive import write_archive

SHAPE = (32, 24, 20)
AFFINE = np.diag([1.5, 1.5, 2, 1])
NAME, COMMENT = b"Jane_Roe_1970.nii", b"ward 7"


def volume() -> np.ndarray:
    rng = np.random.default_rng(3)
    return (rng.normal(0, 20, SHAPE) + np.arange(SHAPE[0])[:, None, None] * 9).astype("<i2")


def clean_bytes() -> bytes:
    image = nibabel.Nifti1Image(volume(), AFFINE)
    image.set_qform(AFFINE, 1)
    image.set_sform(AFFINE, 1)
    return image.to_bytes()


def member(content: bytes, *, flags: int = 0, fields: bytes = b"", level: int = 6) -> bytes:
    """Return a gzip stream whose header says what is given, at a time and on a system."""
    raw = zlib.compressobj(level, zlib.DEFLATED, -15)
    start = b"\x1f\x8b\x08" + bytes([flags]) + b"\x15\xcd\x5b\x07\x02\x0b" + fields
    end = zlib.crc32(content).to_bytes(4, "little") + len(content).to_bytes(4, "little")
    return start + raw.compress(content) + raw.flush() + end


def archived(path: Path, folder: Path, **options: object) -> bytes:
    """Archive a workspace of one image, and return the bytes of its layer."""
    workspace = Workspace()
    workspace.set_main(path)
    report = write_archive(workspace, folder, **options)
    assert verify_archive(report.workspace, workspace) == ()
    assert report.taken == ()
    return report.files[0].read_bytes()


def is_copied(source: bytes, layer: bytes) -> bool:
    """Return whether a layer ends as its source does, but for the header of gzip."""
    return layer[10:] == source[-len(layer) + 10 :]


HEADERS = {
    "name": (8, NAME + b"\0"),
    "comment": (16, COMMENT + b"\0"),
    "extra field": (4, b"\x0a\0" + b"Roe_Jane_7"),
    "checksum of the header": (2, b"\x12\x34"),
    "all of them": (31, b"\x04\0Roe!" + NAME + b"\0" + COMMENT + b"\0" + b"\x12\x34"),
}


@pytest.mark.parametrize("header", HEADERS)
def test_deflated_bytes_are_copied_and_the_gzip_header_is_not(header, tmp_path):
    flags, fields = HEADERS[header]
    if flags & 2:  # it is checked by some
        start = b"\x1f\x8b\x08" + bytes([flags]) + b"\x15\xcd\x5b\x07\x02\x0b" + fields[:-2]
        fields = fields[:-2] + (zlib.crc32(start) & 0xFFFF).to_bytes(2, "little")
    source = member(clean_bytes(), flags=flags, fields=fields)
    (tmp_path / "a.nii.gz").write_bytes(source)
    layer = archived(tmp_path / "a.nii.gz", tmp_path / "out")
    assert is_copied(source, layer)
    assert layer[:10] == packing.compression.gzip_start(packing.compression.LEVEL)
    for said in (NAME, COMMENT, b"Roe", b"\x15\xcd\x5b\x07"):
        assert said not in layer


def test_sources_of_the_gzip_command_are_copied(tmp_path):
    path = tmp_path / "Jane_Roe.nii"
    path.write_bytes(clean_bytes())
    subprocess.run(["gzip", "-N", str(path)], check=True)
    source = path.with_suffix(".nii.gz").read_bytes()
    assert b"Jane_Roe" in source
    layer = archived(path.with_suffix(".nii.gz"), tmp_path / "out")
    assert is_copied(source, layer)
    assert b"Jane_Roe" not in layer


def test_sources_of_simpleitk_are_copied(tmp_path):
    sitk = pytest.importorskip("SimpleITK")
    image = sitk.GetImageFromArray(volume().T)
    image.SetSpacing((1.5, 1.5, 2))
    path = tmp_path / "a.nii.gz"
    sitk.WriteImage(image, str(path))
    layer = archived(path, tmp_path / "out")
    assert is_copied(path.read_bytes(), layer)
    assert (sitk.GetArrayFromImage(sitk.ReadImage(str(path))) == volume().T).all()


def test_sources_of_nibabel_are_archived(tmp_path):
    path = tmp_path / "a.nii.gz"
    nibabel.save(nibabel.Nifti1Image(volume(), AFFINE), path)
    content = gzip.decompress(archived(path, tmp_path / "out"))
    assert content[352:] == volume().tobytes(order="F")


def text_in_header(content: bytes) -> bytes:
    return content[:148] + b"Jane Roe, ward 7".ljust(80, b"\0") + content[228:]


def extension(content: bytes) -> bytes:
    text = (32).to_bytes(4, "little") + (6).to_bytes(4, "little") + b"Jane Roe".ljust(24, b"\0")
    place = np.float32(352 + 32).tobytes()
    return content[:108] + place + content[112:348] + b"\1\0\0\0" + text + content[352:]


def big_endian(content: bytes) -> bytes:
    image = nibabel.Nifti1Image.from_bytes(content)
    header = image.header.as_byteswapped(">")
    return nibabel.Nifti1Image(np.asarray(image.dataobj), None, header).to_bytes()


def analyze(content: bytes) -> bytes:
    return content[:344] + bytes(4) + content[348:]


UNCLEAN = {
    "text in the header": lambda content: member(text_in_header(content)),
    "extension with text": lambda content: member(extension(content)),
    "big endian": lambda content: member(big_endian(content)),
    "no magic": lambda content: member(analyze(content)),
    "text behind the voxels": lambda content: member(content + b"Jane Roe"),
    "two members": lambda content: member(content[:9000]) + member(content[9000:]),
    "member of nothing behind": lambda content: member(content) + member(b""),
    "zeros behind": lambda content: member(content) + bytes(512),
    "not compressed": lambda content: member(content, level=0),
}


@pytest.mark.parametrize("kind", UNCLEAN)
def test_sources_that_say_more_or_are_larger_are_deflated_anew(kind, tmp_path):
    source = UNCLEAN[kind](clean_bytes())
    (tmp_path / "a.nii.gz").write_bytes(source)
    (tmp_path / "plain.nii").write_bytes(clean_bytes())
    layer = archived(tmp_path / "a.nii.gz", tmp_path / "out")
    assert not is_copied(source, layer)
    assert b"Roe" not in gzip.decompress(layer)
    if kind != "no magic":  # which has no place in space
        assert layer == archived(tmp_path / "plain.nii", tmp_path / "again")


PLANES = np.arange(96)
CONTENTS = {
    "noise": lambda rng: rng.normal(0, 300, (96, 96, 96)),
    "labels": lambda rng: np.add.outer(PLANES, PLANES)[..., None] // 40 + rng.integers(0, 2, 96),
    "object in air": lambda rng: rng.normal(300, 40, (96, 96, 96)) * (np.abs(PLANES - 60) < 20),
}


@pytest.mark.parametrize("level", [0, 1, 2, 4, 6])
@pytest.mark.parametrize("kind", CONTENTS)
def test_no_archive_grows_because_its_source_was_compressed_in_haste(kind, level, tmp_path):
    image = nibabel.Nifti1Image(CONTENTS[kind](np.random.default_rng(1)).astype("<i2"), AFFINE)
    image.set_qform(AFFINE, 1)
    image.set_sform(AFFINE, 1)
    (tmp_path / "a.nii").write_bytes(image.to_bytes())
    (tmp_path / "a.nii.gz").write_bytes(member(image.to_bytes(), level=level))
    layer = archived(tmp_path / "a.nii.gz", tmp_path / "out")
    meant = archived(tmp_path / "a.nii", tmp_path / "again")
    assert len(layer) <= 1.01 * len(meant) + 1024


def test_a_level_that_was_asked_for_is_kept(tmp_path):
    (tmp_path / "a.nii.gz").write_bytes(member(clean_bytes()))
    (tmp_path / "plain.nii").write_bytes(clean_bytes())
    layers = [
        archived(tmp_path / name, tmp_path / name[0], level=9) for name in ("a.nii.gz", "plain.nii")
    ]
    assert layers[0] == layers[1]


DAMAGED = {
    "wrong checksum": lambda source: source[:-8] + bytes(4) + source[-4:],
    "wrong size": lambda source: source[:-4] + bytes(4),
    "cut short": lambda source: source[:-3000],
    "no end": lambda source: source[:-3],
    "garbage behind": lambda source: source + b"garbage",
    "fewer voxels": lambda source: member(gzip.decompress(source)[:-100]),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_damaged_sources_are_refused(damage, tmp_path):
    path = tmp_path / "a.nii.gz"
    path.write_bytes(DAMAGED[damage](member(clean_bytes())))
    with pytest.raises(ImageDamaged, match=r"a\.nii\.gz: "):
        archived(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("after", [clean_bytes(), text_in_header(clean_bytes())])
def test_source_that_changes_while_it_is_read_is_refused(after, tmp_path, monkeypatch):
    path = tmp_path / "a.nii.gz"
    path.write_bytes(member(clean_bytes()))
    read_header = packing.images.read_header

    def changed(*args):
        header = read_header(*args)
        path.write_bytes(member(after, flags=8, fields=NAME + b"\0"))
        return header

    monkeypatch.setattr(packing.images, "read_header", changed)
    with pytest.raises(ImageChanged):
        archived(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_nothing_is_deflated_but_samples_of_a_source_that_is_copied(tmp_path, monkeypatch):
    path = tmp_path / "a.nii.gz"
    path.write_bytes(member(clean_bytes()))
    monkeypatch.setattr(deflate.Deflaters, "submit", None)  # an error where it is called
    archived(path, tmp_path / "out")

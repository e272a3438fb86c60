"""Layers that are archived already may be taken as they are, but not what hangs on to them."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from snapws import ArchiveError, ImageError, Workspace
from snapws.archive import archive
from snapws.verify import verify_archive
from tests.privacy import markers, voxels
from tests.privacy.marking import CHANGED, READ, Marks
from tests.privacy.test_privacy import CONTENT, inflated_alone


def _with_header_text(path: Path, mark: Marks) -> None:
    image = bytearray(inflated_alone(path.read_bytes()))
    image[148:155] = mark("descrip").encode()
    path.write_bytes(_gzip(image))


def _with_numbers_unused(path: Path, mark: Marks) -> None:
    image = bytearray(inflated_alone(path.read_bytes()))
    image[92:99] = mark("pixdim beyond the third").encode()
    path.write_bytes(_gzip(image))


def _with_extension(path: Path, mark: Marks) -> None:
    image = bytearray(inflated_alone(path.read_bytes()))
    image[348] = 1
    image[352:352] = b"\x20\0\0\0\6\0\0\0" + mark("extension").encode().ljust(24, b"\0")
    image[108:112] = b"\0\0\xc0\x43"  # 384
    path.write_bytes(_gzip(image))


def _with_bytes_before(path: Path, mark: Marks) -> None:
    image = bytearray(inflated_alone(path.read_bytes()))
    image[352:352] = mark("bytes before the voxels").encode().ljust(32, b"\0")
    image[108:112] = b"\0\0\xc0\x43"
    path.write_bytes(_gzip(image))


def _with_bytes_after(path: Path, mark: Marks) -> None:
    image = inflated_alone(path.read_bytes())
    path.write_bytes(_gzip(image + mark("bytes after the voxels").encode()))


def _with_gzip_fields(path: Path, mark: Marks) -> None:
    path.write_bytes(voxels.gzipped(inflated_alone(path.read_bytes()), mark, "layer"))


def _with_second_member(path: Path, mark: Marks) -> None:
    empty = voxels.gzipped(b"", mark, "second member")
    path.write_bytes(path.read_bytes() + empty)


def _with_text_in_second_member(path: Path, mark: Marks) -> None:
    path.write_bytes(path.read_bytes() + _gzip(mark("text of a second member").encode()))


def _with_padding(path: Path, mark: Marks) -> None:
    path.write_bytes(path.read_bytes() + bytes(20) + mark("bytes after the gzip stream").encode())


def _with_empty_blocks(path: Path, mark: Marks) -> None:
    """Hide a text in the deflate stream, between its last block and its checksum."""
    data = path.read_bytes()
    path.write_bytes(data[:-8] + mark("bytes before the checksum").encode() + data[-8:])


def _with_attribute(path: Path, mark: Marks) -> None:
    if not hasattr(os, "setxattr"):
        pytest.skip("Python sets no extended attributes here")
    try:
        os.setxattr(path, f"user.{mark('name of an attribute')}", mark("attribute").encode())
    except OSError as error:
        pytest.skip(f"the file system takes no extended attributes: {error.strerror}")


def _with_times(path: Path, mark: Marks) -> None:
    mark.put(str(CHANGED), "time of change", "date")
    os.utime(path, (READ, CHANGED))


def _by_link(path: Path, mark: Marks) -> None:
    target = path.rename(path.parent.parent / mark("target of a link"))
    try:
        path.symlink_to(target)
    except OSError as error:
        pytest.skip(f"no symbolic links here: {error.strerror}")


def _gzip(data: bytes) -> bytes:
    compressor = zlib.compressobj(6, zlib.DEFLATED, 31)
    return compressor.compress(data) + compressor.flush()


TAMPERINGS: dict[str, Callable[[Path, Marks], None]] = {
    name.strip("_").replace("_", " "): tamper
    for name, tamper in list(globals().items())
    if name.startswith(("_with", "_by"))
}


@pytest.fixture(scope="module")
def clean(tmp_path_factory) -> markers.Study:
    return markers.build(tmp_path_factory.mktemp("clean") / "study", ["nii"], [])


@pytest.mark.parametrize("tampering", TAMPERINGS)
def test_what_hangs_on_to_an_archived_layer_goes(clean, tmp_path, leaks, tampering):
    source = tmp_path / "archived"
    archive(Workspace.open(clean.workspace), source, privacy="strict")
    layer = source / f"layer_000_{CONTENT}.nii.gz"
    marks = Marks()
    TAMPERINGS[tampering](layer, marks)
    assert leaks(tmp_path, marks, ()) != set()
    try:
        archive(Workspace.open(source / "workspace.itksnap"), tmp_path / "out")
    except (ArchiveError, ImageError):
        assert not (tmp_path / "out").exists()
        return
    assert leaks(tmp_path / "out", marks, ()) == set()
    assert inflated_alone((tmp_path / "out" / layer.name).read_bytes())[352:] == voxels.VOXELS


@pytest.mark.parametrize(
    ("ending", "taken"),
    [
        *((b"\0\xff", True), (b"\2\3", True), (b"\4\x0d", True)),
        *((b"J\xff", False), (b"\0D", False), (b"JD", False)),
    ],
)
def test_clean_gzip_needs_a_known_level_and_system(clean, tmp_path, ending, taken):
    source = tmp_path / "archived"
    archive(Workspace.open(clean.workspace), source, privacy="strict")
    layer = source / f"layer_000_{CONTENT}.nii.gz"
    data = layer.read_bytes()
    layer.write_bytes(data[:8] + ending + data[10:])
    assert [problem.kind for problem in verify_archive(source)] == ([] if taken else ["privacy"])
    report = archive(Workspace.open(source / "workspace.itksnap"), tmp_path / "out")
    assert (layer.name in [path.name for path in report.taken]) == taken
    assert ((tmp_path / "out" / layer.name).read_bytes()[8:10] == ending) == taken


def test_an_archived_layer_that_is_clean_is_the_same_again(clean, tmp_path):
    archive(Workspace.open(clean.workspace), tmp_path / "one", privacy="strict")
    archive(Workspace.open(tmp_path / "one" / "workspace.itksnap"), tmp_path / "two")
    one, two = (
        {path.name: path.read_bytes() for path in (tmp_path / folder).iterdir()}
        for folder in ("one", "two")
    )
    assert one == two

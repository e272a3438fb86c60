"""Whether what came, or is there, is what was sent."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy
import pytest

from dss import TransferFailed
from snapws.verify import content_hash
from tests.dss.downloads import AREA, LAYER, archived_layer, get, naming, nifti, workspace_of
from tests.dss.raw_server import WORKSPACE, RawServer, chunked, listing, sent, unframed


@pytest.fixture
def layer(tmp_path: Path) -> tuple[str, bytes]:
    return archived_layer(tmp_path)


TWO_MEMBERS = gzip.compress(gzip.decompress(LAYER)[:999]) + gzip.compress(
    gzip.decompress(LAYER)[999:]
)


@pytest.mark.parametrize("layer", [LAYER, TWO_MEMBERS], ids=["one member", "two members"])
@pytest.mark.parametrize("framing", [chunked, unframed])
def test_whole_gzip_is_proved_by_its_checksum(
    raw: RawServer, tmp_path: Path, framing: Callable[[str, bytes], bytes], layer: bytes
) -> None:
    names = listing("l.nii.gz", "w.itksnap")
    first = framing("w.itksnap", workspace_of("l.nii.gz"))
    get(raw, tmp_path, names, first, framing("l.nii.gz", layer), names)
    assert (tmp_path / "l.nii.gz").read_bytes() == layer


DAMAGED = {
    "cut in the stream": LAYER[:-9],
    "cut in the trailer": LAYER[:-1],
    "cut in the header": LAYER[:12],
    "another checksum": LAYER[:-8] + b"\0\0\0\0" + LAYER[-4:],
    "another length": LAYER[:-4] + b"\0\0\0\1",
    "bytes behind it": LAYER + b"rubbish",
    "nothing inside": gzip.compress(b""),
}


@pytest.mark.parametrize("damaged", DAMAGED.values(), ids=DAMAGED)
def test_corrupt_gzip_is_refused(raw: RawServer, tmp_path: Path, damaged: bytes) -> None:
    """The provider's answers have no length: only the file itself tells."""
    names = listing("l.nii.gz", "w.itksnap")
    with pytest.raises(TransferFailed, match=r"l\.nii\.gz came damaged or cut off"):
        get(raw, tmp_path, names, naming("l.nii.gz"), chunked("l.nii.gz", damaged))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "body"),
    [("w.itksnap", WORKSPACE[:-5]), ("l.nii.gz", b""), ("l.nii.gz", WORKSPACE), ("w.itksnap", b"")],
)
@pytest.mark.parametrize("framing", [sent, chunked, unframed])
def test_file_that_is_not_of_its_form(
    raw: RawServer, tmp_path: Path, framing: Callable[[str, bytes], bytes], name: str, body: bytes
) -> None:
    first = [listing(name)] if name == "w.itksnap" else [listing(name, "w.itksnap"), naming(name)]
    with pytest.raises(TransferFailed, match=f"{name} came damaged or cut off"):
        get(raw, tmp_path, *first, framing(name, body))
    assert list(tmp_path.iterdir()) == []


def test_file_that_nothing_proves_whole_is_refused(raw: RawServer, tmp_path: Path) -> None:
    names = listing("mesh.vtk", "w.itksnap")
    with pytest.raises(TransferFailed, match=r"nothing tells whether mesh\.vtk came whole"):
        get(raw, tmp_path, names, naming("mesh.vtk"), unframed("mesh.vtk", b"points"))


@pytest.mark.parametrize("framing", [chunked, unframed])
def test_plain_image_has_the_size_that_its_header_says(
    raw: RawServer, tmp_path: Path, framing: Callable[[str, bytes], bytes]
) -> None:
    image = nifti(tmp_path)
    names = listing("l.nii", "w.itksnap")
    out = tmp_path / "out"
    first = framing("w.itksnap", workspace_of("l.nii"))
    get(raw, out, names, first, framing("l.nii", image), names)
    assert (out / "l.nii").read_bytes() == image
    with pytest.raises(TransferFailed, match=r"l\.nii came damaged or cut off: cut short, 6 of"):
        get(raw, out, names, first, framing("l.nii", image[:-6]))


def test_file_that_came_damaged_is_fetched_again(
    raw: RawServer, tmp_path: Path, layer: tuple[str, bytes]
) -> None:
    name, body = layer
    names, other = listing(name, "w.itksnap"), gzip.compress(nifti(tmp_path, seed=2))
    answers = [sent(name, other), chunked(name, body[:-9]), sent(name, body)]
    get(raw, tmp_path / "out", names, naming(name), *answers, names)
    assert (tmp_path / "out" / name).read_bytes() == body
    with pytest.raises(TransferFailed, match=f"{name} came as something else: its content's hash"):
        get(raw, tmp_path / "new", names, naming(name), sent(name, other))
    assert not (tmp_path / "new").exists()
    assert len(raw.requests) == 6 + 5


@pytest.mark.parametrize("endianness", "<>")
def test_hash_in_the_name_is_that_of_the_presented_voxels(
    raw: RawServer, tmp_path: Path, endianness: str
) -> None:
    """Which is not what is stored, where voxels are scaled or big-endian."""
    header = nibabel.Nifti1Header(endianness=endianness)
    header.set_data_shape((9, 8, 7))
    header.set_data_dtype(f"{endianness}i2")
    header["magic"], header["vox_offset"] = b"n+1", 352
    header["pixdim"][:4] = 1
    if endianness == "<":
        header["scl_slope"], header["scl_inter"] = 2.0, 1.0
    stored = numpy.arange(9 * 8 * 7).astype(f"{endianness}i2").tobytes()
    body = gzip.compress(header.binaryblock + bytes(4) + stored)
    (tmp_path / "made.nii.gz").write_bytes(body)
    told = content_hash(tmp_path / "made.nii.gz")
    assert told != hashlib.md5(stored).hexdigest()
    name = f"layer_000_{told}.nii.gz"
    names = listing(name, "w.itksnap")
    get(raw, tmp_path / "out", names, naming(name), sent(name, body), names)
    assert (tmp_path / "out" / name).read_bytes() == body


def test_mesh_is_what_its_name_says(raw: RawServer, tmp_path: Path) -> None:
    name = f"mesh_001_000_000_{hashlib.md5(b'points').hexdigest()}.vtk"
    names = listing(name, "w.itksnap")
    with pytest.raises(TransferFailed, match="came as something else"):
        get(raw, tmp_path, names, naming(name), sent(name, b"point"))
    get(raw, tmp_path, names, naming(name), unframed(name, b"points"), names)
    del raw.requests[:]
    get(raw, tmp_path, names, naming(name), names)
    assert [head.split()[1][len(AREA) + 1 :] for head in raw.heads()] == ["", "/1", ""]


def test_interrupted_download_is_taken_up(
    raw: RawServer, tmp_path: Path, layer: tuple[str, bytes]
) -> None:
    """Of what is there already only the header is looked at: the name does not tell it."""
    name, body = layer
    names, first = listing(name, "l.nii.gz", "w.itksnap"), naming(name, "l.nii.gz")
    short = b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\nabc"
    out = tmp_path / "out"
    with pytest.raises(TransferFailed, match="cut off"):
        get(raw, out, names, first, sent(name, body), short)
    assert [file.name for file in out.iterdir()] == [name]
    before = (out / name).stat().st_ino
    path = get(raw, out, names, first, sent(name, body), sent("l.nii.gz", LAYER), names)
    assert path.read_bytes() == workspace_of(name, "l.nii.gz")
    assert (out / name).stat().st_ino == before


def test_layer_that_is_elsewhere_in_space_is_fetched_again(
    raw: RawServer, tmp_path: Path, layer: tuple[str, bytes]
) -> None:
    name, body = layer
    names, moved = listing(name, "w.itksnap"), gzip.compress(nifti(tmp_path, spacing=2.0))
    get(raw, tmp_path / "out", names, naming(name), sent(name, body), names)
    answers = [sent(name, moved), sent(name, moved), names]
    get(raw, tmp_path / "out", names, naming(name), *answers)
    assert (tmp_path / "out" / name).read_bytes() == moved


def test_list_that_changed_while_looking_at_what_is_there(
    raw: RawServer, tmp_path: Path, layer: tuple[str, bytes]
) -> None:
    """Another layer of the same geometry says nothing about this one."""
    name, body = layer
    before, after = listing(name, "w.itksnap"), listing("l.nii.gz", name, "w.itksnap")
    (tmp_path / name).write_bytes(body)
    answers = [before, naming(name, "l.nii.gz"), after, after, naming(name, "l.nii.gz")]
    get(raw, tmp_path, *answers, sent("l.nii.gz", LAYER), sent(name, body), after)
    assert (tmp_path / "l.nii.gz").exists()
    answers = [listing(name, "w.itksnap"), naming(name), sent("layer_001.nii.gz", body)]
    (tmp_path / "w.itksnap").unlink()
    get(raw, tmp_path, *answers, after, naming(name), sent(name, body), after)


@pytest.mark.parametrize(
    "there",
    [b"", b"rubbish", gzip.compress(b"rubbish"), None],
    ids=["empty", "rubbish", "gzip of rubbish", "cut"],
)
def test_what_is_there_and_damaged_is_fetched_again(
    raw: RawServer, tmp_path: Path, layer: tuple[str, bytes], there: bytes | None
) -> None:
    name, body = layer
    names = listing(name, "w.itksnap")
    (tmp_path / name).write_bytes(body[:-1] if there is None else there)
    get(raw, tmp_path, names, naming(name), sent(name, body), names)
    assert (tmp_path / name).read_bytes() == body

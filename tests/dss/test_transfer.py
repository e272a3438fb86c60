from __future__ import annotations

import gzip
import hashlib
import os
import re
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import nibabel
import numpy
import pytest

from dss import Client, NetworkFailed, Provider, ServerFailed, Session, TransferFailed, whole
from dss.answers import Received
from dss.errors import TicketDeleted
from dss.multipart import FileBody
from dss.transfer import archived, download_archive, list_files, upload_files
from snapws import Workspace, WorkspaceError
from snapws.verify import LAYER_NAME, MESH_NAME, content_hash
from tests.dss.raw_server import RawServer, answer

AREA = "api/tickets/1/files/results"
WORKSPACE = b"<registry>\n</registry>\n"
LAYER = gzip.compress(bytes(5000))


def listing(*names: str) -> bytes:
    return answer("".join(f'{i},"{name}"\r\n' for i, name in enumerate(names)).encode())


def sent(name: str, body: bytes = WORKSPACE) -> bytes:
    return answer(body, f'Content-Disposition: attachment; filename="{name}"')


def chunked(name: str, body: bytes) -> bytes:
    head = f'HTTP/1.1 200 OK\r\nContent-Disposition: attachment; filename="{name}"\r\n'
    framing = f"Transfer-Encoding: chunked\r\n\r\n{len(body):x}\r\n"
    return (head + framing).encode() + body + b"\r\n0\r\n\r\n"


def unframed(name: str, body: bytes) -> bytes:
    """What a proxy of HTTP/1.0 makes of an answer."""
    head = f'HTTP/1.0 200 OK\r\nContent-Disposition: attachment; filename="{name}"\r\n\r\n'
    return head.encode() + body


def get(raw: RawServer, folder: Path, *answers: bytes) -> Path:
    raw.answers = list(answers)
    with raw.session() as session:
        return download_archive(session, AREA, folder, "ticket_00000001_results.itksnap")


def test_download(raw: RawServer, tmp_path: Path) -> None:
    names = listing("w.itksnap", "l.nii.gz")
    target = tmp_path / "new" / "folder"
    path = get(raw, target, names, sent("w.itksnap"), sent("l.nii.gz", LAYER), names)
    assert path == target / "w.itksnap"
    assert {file.name: file.read_bytes() for file in target.iterdir()} == {
        "w.itksnap": WORKSPACE,
        "l.nii.gz": LAYER,
    }
    assert [head.split()[1][len(AREA) + 1 :] for head in raw.heads()] == ["", "/0", "/1", ""]


@pytest.mark.parametrize(
    "name",
    [
        "../../escape.txt",
        "..\\escape.txt",
        "/etc/passwd",
        "C:evil",
        "..",
        ".hidden",
        "",
        "a\nb",
        "a\x00b",
        "a\x1b[2J",
        "a\u202etxt.exe",
        "CON",
        "nul.nii.gz",
        "dot.",
        "space ",
        "what?",
    ],
)
def test_name_that_must_not_touch_the_disk(raw: RawServer, tmp_path: Path, name: str) -> None:
    with pytest.raises(TransferFailed, match="not a plain file name; nothing was downloaded") as e:
        get(raw, tmp_path / "out", listing("w.itksnap", name))
    assert str(e.value).isprintable()
    assert list(tmp_path.iterdir()) == []
    assert len(raw.requests) == 1


@pytest.mark.parametrize("name", ["a b,c;d'[]%+=`.itksnap", "ü.itksnap", "layer_000_ab.nii.gz"])
def test_name_that_is_plain(raw: RawServer, name: str) -> None:
    raw.answers = [listing(name)]
    with raw.session() as session:
        assert [entry.name for entry in list_files(session, AREA)] == [name]


def test_names_that_are_one_elsewhere(raw: RawServer, tmp_path: Path) -> None:
    with pytest.raises(TransferFailed, match="lists 'W.ITKSNAP' twice"):
        get(raw, tmp_path, listing("w.itksnap", "W.ITKSNAP"))


def test_workspace_is_found_by_its_ending(raw: RawServer, tmp_path: Path) -> None:
    own = "ticket_00000001_results.itksnap"
    names = listing("other.itksnap", own)
    path = get(raw, tmp_path, names, sent("other.itksnap"), sent(own), names)
    assert path.name == own
    for many in (["a.itksnap", "b.ITKSNAP"], ["layer.nii.gz"], []):
        with pytest.raises(TransferFailed, match="workspace files in api/tickets/1/files/results"):
            get(raw, tmp_path / "none", listing(*many))
    assert not (tmp_path / "none").exists()


def test_file_under_another_name_is_fetched_again(raw: RawServer, tmp_path: Path) -> None:
    before, after = listing("w.itksnap", "l.nii.gz"), listing("l.nii.gz", "w.itksnap")
    answers = [before, sent("l.nii.gz", LAYER), after, sent("l.nii.gz", LAYER)]
    path = get(raw, tmp_path, *answers, sent("w.itksnap"), after)
    assert path.read_bytes() == WORKSPACE
    assert (tmp_path / "l.nii.gz").read_bytes() == LAYER


def test_list_that_changed_meanwhile(raw: RawServer, tmp_path: Path) -> None:
    one, two = listing("w.itksnap"), listing("w.itksnap", "l.nii.gz")
    last = [sent("w.itksnap"), sent("l.nii.gz", LAYER), two]
    get(raw, tmp_path, one, sent("w.itksnap"), two, two, *last)
    assert {file.name for file in tmp_path.iterdir()} == {"w.itksnap", "l.nii.gz"}


@pytest.mark.parametrize("wrong", [sent("other"), answer(WORKSPACE)])
def test_wrong_name_for_ever(raw: RawServer, tmp_path: Path, wrong: bytes) -> None:
    (tmp_path / "w.itksnap").write_text("old")
    with pytest.raises(TransferFailed, match="changed during each of 3 downloads"):
        get(raw, tmp_path, *[listing("w.itksnap"), wrong] * 3)
    assert (tmp_path / "w.itksnap").read_text() == "old"
    assert list(tmp_path.iterdir()) == [tmp_path / "w.itksnap"]


def test_interrupted_download_leaves_nothing(raw: RawServer, tmp_path: Path) -> None:
    short = b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\nabc"
    with pytest.raises(TransferFailed, match="cut off"):
        get(raw, tmp_path, listing("l.nii.gz", "w.itksnap"), sent("l.nii.gz", LAYER), short)
    assert list(tmp_path.iterdir()) == []


def test_interrupt_from_the_keyboard_leaves_nothing(
    raw: RawServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_session: Session, _path: str, target: Path) -> Received:
        target.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(Session, "get_file", interrupted)
    with pytest.raises(KeyboardInterrupt):
        get(raw, tmp_path, listing("w.itksnap"))
    assert list(tmp_path.iterdir()) == []


TWO_MEMBERS = LAYER + gzip.compress(b"more")


@pytest.mark.parametrize("layer", [LAYER, TWO_MEMBERS, gzip.compress(b"")])
@pytest.mark.parametrize("framing", [chunked, unframed])
def test_gzip_proves_itself(
    raw: RawServer, tmp_path: Path, framing: Callable[[str, bytes], bytes], layer: bytes
) -> None:
    names = listing("l.nii.gz", "w.itksnap")
    get(raw, tmp_path, names, framing("l.nii.gz", layer), framing("w.itksnap", WORKSPACE), names)
    assert (tmp_path / "l.nii.gz").read_bytes() == layer


@pytest.mark.parametrize(
    "damaged",
    [
        LAYER[:-9],
        LAYER[:-1],
        LAYER[:12],
        LAYER[:-8] + b"\0\0\0\0" + LAYER[-4:],
        LAYER[:-4] + b"\0\0\0\1",
        LAYER + b"rubbish",
    ],
)
def test_gzip_that_is_damaged(raw: RawServer, tmp_path: Path, damaged: bytes) -> None:
    """The provider's answers have no length: only the file itself tells."""
    names = listing("l.nii.gz", "w.itksnap")
    with pytest.raises(TransferFailed, match=r"l\.nii\.gz came damaged or cut off"):
        get(raw, tmp_path, names, chunked("l.nii.gz", damaged))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "body"),
    [("w.itksnap", WORKSPACE[:-5]), ("l.nii.gz", b""), ("l.nii.gz", WORKSPACE), ("w.itksnap", b"")],
)
@pytest.mark.parametrize("framing", [sent, chunked, unframed])
def test_file_that_is_not_of_its_form(
    raw: RawServer, tmp_path: Path, framing: Callable[[str, bytes], bytes], name: str, body: bytes
) -> None:
    names = listing(name, "own.itksnap") if name != "w.itksnap" else listing(name)
    with pytest.raises(TransferFailed, match=f"{name} came damaged or cut off"):
        get(raw, tmp_path, names, framing(name, body))
    assert list(tmp_path.iterdir()) == []


def test_nothing_tells_that_it_is_whole(raw: RawServer, tmp_path: Path) -> None:
    names = listing("mesh.vtk", "w.itksnap")
    with pytest.raises(TransferFailed, match=r"nothing tells whether mesh\.vtk came whole"):
        get(raw, tmp_path, names, unframed("mesh.vtk", b"points"))


def nifti(folder: Path, seed: int = 1, spacing: float = 1.0) -> bytes:
    voxels = numpy.random.default_rng(seed).integers(0, 999, (9, 8, 7), numpy.int16)
    nibabel.save(nibabel.Nifti1Image(voxels, numpy.diag([spacing] * 3 + [1])), folder / "made.nii")
    return (folder / "made.nii").read_bytes()


@pytest.mark.parametrize("framing", [chunked, unframed])
def test_plain_image_has_the_size_that_its_header_says(
    raw: RawServer, tmp_path: Path, framing: Callable[[str, bytes], bytes]
) -> None:
    image = nifti(tmp_path)
    names = listing("l.nii", "w.itksnap")
    out = tmp_path / "out"
    get(raw, out, names, framing("l.nii", image), framing("w.itksnap", WORKSPACE), names)
    assert (out / "l.nii").read_bytes() == image
    with pytest.raises(TransferFailed, match=r"l\.nii came damaged or cut off: cut short, 6 of"):
        get(raw, out, names, framing("l.nii", image[:-6]))


@pytest.fixture
def layer(tmp_path: Path) -> tuple[str, bytes]:
    """A layer as archives have it: its name says its voxels."""
    image = nifti(tmp_path)
    return f"layer_000_{hashlib.md5(image[352:]).hexdigest()}.nii.gz", gzip.compress(image)


def test_file_that_came_damaged_is_fetched_again(
    raw: RawServer, tmp_path: Path, layer: tuple[str, bytes]
) -> None:
    name, body = layer
    names, other = listing(name, "w.itksnap"), gzip.compress(nifti(tmp_path, seed=2))
    answers = [names, sent(name, other), chunked(name, body[:-9]), sent(name, body)]
    get(raw, tmp_path / "out", *answers, sent("w.itksnap"), names)
    assert (tmp_path / "out" / name).read_bytes() == body
    with pytest.raises(TransferFailed, match=f"{name} came as something else: its content's hash"):
        get(raw, tmp_path / "new", names, sent(name, other))
    assert not (tmp_path / "new").exists()
    assert len(raw.requests) == 6 + 4


@pytest.mark.parametrize("endianness", "<>")
def test_name_tells_what_is_presented(raw: RawServer, tmp_path: Path, endianness: str) -> None:
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
    get(raw, tmp_path / "out", names, sent(name, body), sent("w.itksnap"), names)
    assert (tmp_path / "out" / name).read_bytes() == body


def test_names_are_those_of_archives() -> None:
    """They are written down twice, since `snapws.verify` takes a while to import."""
    assert re.sub(r"\?P<\w+>", "", LAYER_NAME.pattern).replace("(", "").replace(")", "") == (
        whole._LAYER_NAME.pattern.replace("(", "").replace(")", "")
    )
    for name in (f"mesh_001_000_012_{'0a' * 16}.vtk", f"mesh_1_000_000_{'0' * 32}.vtk", "mesh.vtk"):
        assert bool(MESH_NAME.fullmatch(name)) == bool(whole._MESH_NAME.fullmatch(name))


def test_mesh_is_what_its_name_says(raw: RawServer, tmp_path: Path) -> None:
    name = f"mesh_001_000_000_{hashlib.md5(b'points').hexdigest()}.vtk"
    names = listing(name, "w.itksnap")
    with pytest.raises(TransferFailed, match="came as something else"):
        get(raw, tmp_path, names, sent(name, b"point"))
    get(raw, tmp_path, names, unframed(name, b"points"), sent("w.itksnap"), names)
    del raw.requests[:]
    get(raw, tmp_path, names, sent("w.itksnap"), names)
    assert [head.split()[1][len(AREA) + 1 :] for head in raw.heads()] == ["", "/1", ""]


def test_interrupted_download_is_taken_up(
    raw: RawServer, tmp_path: Path, layer: tuple[str, bytes]
) -> None:
    """Of what is there already only the header is looked at: the name does not tell it."""
    name, body = layer
    names = listing(name, "w.itksnap")
    short = b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\nabc"
    out = tmp_path / "out"
    with pytest.raises(TransferFailed, match="cut off"):
        get(raw, out, names, sent(name, body), short)
    assert [file.name for file in out.iterdir()] == [name]
    before = (out / name).stat().st_ino
    path = get(raw, out, names, sent(name, body), sent("w.itksnap"), names)
    assert path.read_bytes() == WORKSPACE
    assert (out / name).stat().st_ino == before


def test_layer_that_is_elsewhere_in_space_is_fetched_again(
    raw: RawServer, tmp_path: Path, layer: tuple[str, bytes]
) -> None:
    name, body = layer
    names, moved = listing(name, "w.itksnap"), gzip.compress(nifti(tmp_path, spacing=2.0))
    get(raw, tmp_path / "out", names, sent(name, body), sent("w.itksnap"), names)
    answers = [names, sent(name, moved), sent(name, moved), sent("w.itksnap"), names]
    get(raw, tmp_path / "out", *answers)
    assert (tmp_path / "out" / name).read_bytes() == moved


def test_list_that_changed_while_looking_at_what_is_there(
    raw: RawServer, tmp_path: Path, layer: tuple[str, bytes]
) -> None:
    """Another layer of the same geometry says nothing about this one."""
    name, body = layer
    before, after = listing(name, "w.itksnap"), listing("other.txt", name, "w.itksnap")
    (tmp_path / name).write_bytes(body)
    answers = [before, sent("layer_001.nii.gz", body), after, sent("other.txt", b"")]
    get(raw, tmp_path, *answers, sent(name, body), sent("w.itksnap"), after)
    assert (tmp_path / "other.txt").exists()


@pytest.mark.parametrize("there", [b"", b"rubbish", gzip.compress(b"rubbish"), None])
def test_what_is_there_and_damaged_is_fetched_again(
    raw: RawServer, tmp_path: Path, layer: tuple[str, bytes], there: bytes | None
) -> None:
    name, body = layer
    names = listing(name, "w.itksnap")
    (tmp_path / name).write_bytes(body[:-1] if there is None else there)
    get(raw, tmp_path, names, sent(name, body), sent("w.itksnap"), names)
    assert (tmp_path / name).read_bytes() == body


@pytest.mark.skipif(os.name != "posix", reason="links need no permission on POSIX only")
def test_symbolic_links_are_not_followed(
    raw: RawServer, tmp_path: Path, layer: tuple[str, bytes]
) -> None:
    name, body = layer
    out = tmp_path / "out"
    out.mkdir()
    for number, listed in enumerate((name, "notes.txt", "w.itksnap")):
        mine = tmp_path / f"mine{number}"
        mine.write_bytes(body if listed == name else b"mine")
        (out / listed).symlink_to(mine)
    names = listing(name, "notes.txt", "w.itksnap")
    files = [sent(name, body), sent("notes.txt", b"theirs"), sent("w.itksnap"), names]
    get(raw, out, names, *files)
    assert not any(file.is_symlink() for file in out.iterdir())
    assert (out / "notes.txt").read_bytes() == b"theirs"
    assert [(tmp_path / f"mine{n}").read_bytes() for n in (1, 2)] == [b"mine", b"mine"]


def test_folder_in_the_place_of_a_file(raw: RawServer, tmp_path: Path) -> None:
    """Nothing is removed, and no workspace comes about without its files."""
    kept = tmp_path / "l.nii.gz" / "kept"
    kept.parent.mkdir()
    kept.touch()
    with pytest.raises(TransferFailed, match=r"l\.nii\.gz is a folder: download to another place"):
        get(raw, tmp_path, listing("w.itksnap", "l.nii.gz"))
    assert kept.exists()
    assert list(tmp_path.iterdir()) == [kept.parent]


def test_workspace_is_the_last_to_appear(
    raw: RawServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = listing("w.itksnap", "a.txt", "z.txt")
    (tmp_path / "w.itksnap").write_text("old")
    moved: list[str] = []
    replace = Path.replace

    def watched(file: Path, target: Path) -> Path:
        if target.parent == tmp_path:
            moved.append(target.name)
            assert ((tmp_path / "w.itksnap").exists()) == (target.name == "none")
        return replace(file, target)

    monkeypatch.setattr(Path, "replace", watched)
    get(raw, tmp_path, names, sent("w.itksnap"), *(sent(f"{x}.txt", b"x") for x in "az"), names)
    assert moved == ["a.txt", "z.txt", "w.itksnap"]


def test_empty_list_is_looked_at_again(raw: RawServer, tmp_path: Path) -> None:
    names = listing("w.itksnap")
    get(raw, tmp_path, listing(), names, sent("w.itksnap"), names)


def test_folder_that_is_a_file(raw: RawServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(TransferFailed, match="file: "):
        get(raw, tmp_path / "file", listing("w.itksnap"))
    assert (tmp_path / "file").read_text() == "mine"


def test_file_sent_again_during_a_download(
    impatient: None,
    client: Client,
    provider: Provider,
    claimed: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Sending a file again moves it to the end of the list and shifts the others."""
    results = f"api/pro/tickets/{claimed}/files/results"
    (tmp_path / "old").write_bytes(WORKSPACE)
    (tmp_path / "new").write_bytes(b"<registry><!-- new -->\n</registry>")
    upload_files(
        provider.session,
        results,
        [(tmp_path / "old", name) for name in ("w.itksnap", "b.txt", "c.txt")],
    )
    fetch = Session.get_file
    fetched: list[str] = []

    def fetch_late(session: Session, path: str, target: Path) -> Received:
        if session is client.session:
            if not fetched:
                upload_files(provider.session, results, [(tmp_path / "new", "w.itksnap")])
            fetched.append(path.rpartition("/")[2])
        return fetch(session, path, target)

    monkeypatch.setattr(Session, "get_file", fetch_late)
    path = client.download(claimed, tmp_path / "out")
    assert fetched == ["0", "0", "1", "2"]
    assert path.read_bytes() == (tmp_path / "new").read_bytes()
    assert {file.name for file in path.parent.iterdir()} == {"w.itksnap", "b.txt", "c.txt"}


def test_ticket_deleted_during_a_download(
    client: Client,
    provider: Provider,
    claimed: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    impatient: None,
) -> None:
    (tmp_path / "w").write_bytes(WORKSPACE)
    area = f"api/pro/tickets/{claimed}/files/results"
    upload_files(provider.session, area, [(tmp_path / "w", "w.itksnap")])
    fetch = Session.get_file

    def delete_first(session: Session, path: str, target: Path) -> Received:
        client.delete(claimed)
        return fetch(session, path, target)

    monkeypatch.setattr(Session, "get_file", delete_first)
    with pytest.raises(TransferFailed, match="no workspace files in .* has: no files"):
        client.download(claimed, tmp_path / "out")
    with pytest.raises(TicketDeleted):
        provider.download(claimed, tmp_path / "out")


def test_name_that_the_server_cannot_send(
    client: Client,
    service: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    impatient: None,
) -> None:
    """Outside Latin-1 it fails at the download, and drops the connection without a word."""
    client.session.patience = 0.5
    ticket = client.create(service)
    area = f"api/tickets/{ticket}/files/results"
    body = FileBody(tmp_path, "NAME", {})
    body._head = body._head.replace(b"NAME", "日本.itksnap".encode())
    body._size = 0
    monkeypatch.setattr(FileBody, "__iter__", lambda self: iter([self._head, self._tail]))
    assert client.session.post_body(area, body, doubt="") == "success"
    with pytest.raises((ServerFailed, NetworkFailed)):
        client.download(ticket, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    client.make_ready(ticket)  # the session is as good as before


@pytest.mark.parametrize("name", ["a b", ".x", "ü", "", "x" * 256, "x/y", 'a"b', "a\n", "a\r\nb"])
def test_name_that_must_not_be_sent(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(TransferFailed, match="a file cannot be sent as"):
        FileBody(tmp_path / "file", name, {})


def test_file_that_is_not_there(raw: RawServer, tmp_path: Path) -> None:
    raw.answers = [listing()]
    with raw.session() as session, pytest.raises(TransferFailed, match="No such file"):
        upload_files(session, AREA, [(tmp_path / "none", "none")])
    assert len(raw.requests) == 1


@pytest.mark.parametrize("size", [0, 500_000, 1_500_000])
def test_file_that_changes_while_it_is_sent(
    client: Client, service: str, tmp_path: Path, size: int
) -> None:
    area = f"api/tickets/{client.create(service)}/files/input"
    file = tmp_path / "layer.nii.gz"
    file.write_bytes(bytes(1_000_000))
    body = FileBody(file, file.name, {})
    file.write_bytes(bytes(size))
    with pytest.raises(TransferFailed, match="changed while it was sent; nothing was stored"):
        client.session.post_body(area, body, doubt="?")
    assert list_files(client.session, area) == []


@pytest.mark.parametrize("size", [0, 1, 256 * 1024, 3_000_001])
def test_bytes_arrive_as_they_are(client: Client, service: str, tmp_path: Path, size: int) -> None:
    area = f"api/tickets/{client.create(service)}/files/input"
    file = tmp_path / "layer.nii.gz"
    file.write_bytes(b"\r\n--\x00\xff" * (size // 6) + b"x" * (size % 6))
    upload_files(client.session, area, [(file, file.name)])
    received = client.session.get_file(f"{area}/0", tmp_path / "back")
    assert (received.name, received.size) == (file.name, size)
    assert (tmp_path / "back").read_bytes() == file.read_bytes()


def test_upload_that_is_not_listed(raw: RawServer, tmp_path: Path) -> None:
    (tmp_path / "w").write_text("x")
    raw.answers = [listing(), answer(b"success"), answer(b"success"), listing("a")]
    with raw.session() as session, pytest.raises(TransferFailed, match=r"sent: \['b'\]"):
        upload_files(session, AREA, [(tmp_path / "w", "a"), (tmp_path / "w", "b")])


def test_archive_is_removed(workspace: Workspace) -> None:
    with archived(workspace) as making:
        files = list(making)
        assert all(file.is_file() for file in files)
        assert files[-1].suffix == ".itksnap"
        assert files[0].parent.parent == Path(tempfile.gettempdir())
    assert not files[0].parent.exists()
    Path(workspace.main.path).unlink()
    with pytest.raises(WorkspaceError), archived(workspace) as making:
        next(making)


def files_to_send(folder: Path) -> list[tuple[Path, str]]:
    for name in ("layer", "other", "workspace"):
        (folder / name).write_bytes(name.encode() * 1000)
    return [(folder / name, name) for name in ("layer", "other", "workspace")]


def uploads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Gets the names of the files that are sent."""
    names: list[str] = []
    post = Session.post_body

    def watched(
        session: Session, path: str, body: FileBody, *rest: object, **more: object
    ) -> object:
        names.append(body._file.name)
        return post(session, path, body, *rest, **more)

    monkeypatch.setattr(Session, "post_body", watched)
    return names


def test_upload_is_taken_up_where_it_stopped(
    client: Client, service: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    area = f"api/tickets/{client.create(service)}/files/input"
    files = files_to_send(tmp_path)
    (tmp_path / "part").write_bytes(b"layer" * 10)
    upload_files(client.session, area, [files[0], (tmp_path / "part", "other")])
    names = uploads(monkeypatch)
    upload_files(client.session, area, files)
    assert names == ["other", "workspace"]
    for entry in list_files(client.session, area):
        client.session.get_file(f"{area}/{entry.index}", tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == entry.name.encode() * 1000


def test_upload_that_is_verified(
    client: Client, service: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is stored as something else is sent again, and reported if that does not help."""
    area = f"api/tickets/{client.create(service)}/files/input"
    files = files_to_send(tmp_path)
    wrong = [1]
    read = FileBody.__iter__

    def changed(body: FileBody) -> Iterator[bytes]:
        for piece in read(body):
            if wrong[0] and piece.startswith(b"other"):
                wrong[0] -= 1
                piece = piece[:-1] + b"?"
            yield piece

    monkeypatch.setattr(FileBody, "__iter__", changed)
    names = uploads(monkeypatch)
    upload_files(client.session, area, files, verify=True)
    assert names == ["layer", "other", "workspace", "other"]
    wrong[0] = 9
    (tmp_path / "other").write_bytes(b"other")
    with pytest.raises(TransferFailed, match="has not stored other as it was sent"):
        upload_files(client.session, area, files, verify=True)
    assert len(names) == 4 + 3


def test_verified_upload_that_cannot_be_read_back(raw: RawServer, tmp_path: Path) -> None:
    files = files_to_send(tmp_path)[:1]
    short = b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\nabc"
    raw.answers = [listing(), answer(b"success"), listing("layer"), listing("layer"), short]
    with raw.session() as session, pytest.raises(NetworkFailed, match="could not be read back"):
        upload_files(session, AREA, files, verify=True)


def test_several_at_once(
    client: Client, service: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each in a thread and with a session of its own."""
    ticket = client.create(service)
    area = f"api/tickets/{ticket}/files/results"
    (tmp_path / "w").write_bytes(WORKSPACE)
    sources = [(tmp_path / "w", f"{n}.txt") for n in range(6)] + [(tmp_path / "w", "w.itksnap")]
    upload_files(client.session, area, sources)
    together = threading.Barrier(3, timeout=30)
    fetch = Session.get_file
    sessions: set[int] = set()

    def meet(session: Session, path: str, target: Path) -> Received:
        sessions.add(id(session))
        if path.rpartition("/")[2] in "012":
            together.wait()
        return fetch(session, path, target)

    monkeypatch.setattr(Session, "get_file", meet)
    client.download(ticket, tmp_path / "out", parallel=3)
    assert len(list((tmp_path / "out").iterdir())) == 7
    assert len(sessions) == 3
    assert id(client.session) not in sessions


def test_one_of_several_fails(
    client: Client, service: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticket = client.create(service)
    area = f"api/tickets/{ticket}/files/results"
    (tmp_path / "w").write_bytes(WORKSPACE)
    upload_files(client.session, area, [(tmp_path / "w", f"{n}.itksnap") for n in range(1)])
    upload_files(client.session, area, [(tmp_path / "w", f"{n}.gz") for n in range(5)])
    with pytest.raises(TransferFailed, match="is not gzip"):
        client.download(ticket, tmp_path / "out", parallel=2)
    assert not (tmp_path / "out").exists()

from __future__ import annotations

import gzip
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from dss import Client, NetworkFailed, Provider, ServerFailed, Session, TransferFailed
from dss.errors import TicketDeleted
from dss.session import Received
from dss.transfer import FileBody, archived, download_archive, list_files, upload_files
from snapws import Workspace, WorkspaceError
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
    with Session(raw.url) as session:
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
    with Session(raw.url) as session:
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
    [("w.itksnap", WORKSPACE[:-5]), ("mesh.vtk", b"points"), ("l.nii.gz", b""), ("w.itksnap", b"")],
)
def test_nothing_tells_that_it_is_whole(
    raw: RawServer, tmp_path: Path, name: str, body: bytes
) -> None:
    names = listing(name, "own.itksnap") if name != "w.itksnap" else listing(name)
    with pytest.raises(TransferFailed, match="nothing tells whether"):
        get(raw, tmp_path, names, unframed(name, body))


def test_folder_that_is_a_file(raw: RawServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(TransferFailed, match="file: "):
        get(raw, tmp_path / "file", listing("w.itksnap"))
    assert (tmp_path / "file").read_text() == "mine"


def test_file_sent_again_during_a_download(
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
) -> None:
    monkeypatch.setattr("dss.session.PAUSES", (0.0, 0.0, 0.0))
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
    client: Client, service: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Outside Latin-1 it fails at the download, and drops the connection without a word."""
    monkeypatch.setattr("dss.session.PAUSES", (0.0, 0.0, 0.0))
    ticket = client.create(service)
    area = f"api/tickets/{ticket}/files/results"
    body = FileBody(tmp_path, "NAME", {})
    body._head = body._head.replace(b"NAME", "日本.itksnap".encode())
    body._size = 0
    monkeypatch.setattr(FileBody, "__iter__", lambda self: iter([self._head, self._tail]))
    assert client.session.post_body(area, body, doubt="") == "success"
    with pytest.raises((ServerFailed, NetworkFailed)):
        client.download(ticket, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
    client.make_ready(ticket)  # the session is as good as before


@pytest.mark.parametrize("name", ["a b", ".x", "ü", "", "x" * 256, "x/y", 'a"b', "a\n", "a\r\nb"])
def test_name_that_must_not_be_sent(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(TransferFailed, match="a file cannot be sent as"):
        FileBody(tmp_path / "file", name, {})


def test_file_that_is_not_there(raw: RawServer, tmp_path: Path) -> None:
    with Session(raw.url) as session, pytest.raises(TransferFailed, match="No such file"):
        upload_files(session, AREA, [(tmp_path / "none", "none")])
    assert raw.requests == []


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
    raw.answers = [answer(b"success"), answer(b"success"), listing("a")]
    with Session(raw.url) as session, pytest.raises(TransferFailed, match=r"sent: \['b'\]"):
        upload_files(session, AREA, [(tmp_path / "w", "a"), (tmp_path / "w", "b")])


def test_archive_is_removed(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    with archived(workspace) as files:
        assert all(file.is_file() for file in files)
        assert files[-1].suffix == ".itksnap"
        assert files[0].parent.parent == Path(tempfile.gettempdir())
    assert not files[0].parent.exists()
    Path(workspace.main.path).unlink()
    with pytest.raises(WorkspaceError), archived(workspace):
        pass

from __future__ import annotations

import gzip
import os
import socketserver
import threading
from _thread import interrupt_main
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from dss import Client, NetworkFailed, Provider, ServerFailed, Session, TransferFailed
from dss.errors import NotPermitted, TicketDeleted, WrongState
from dss.http.multipart import FileBody
from dss.http.responses import Received
from dss.transfer.downloads import download_archive, download_file
from dss.transfer.listing import list_files
from dss.transfer.uploads import upload_files
from snapws import Workspace
from snapws.registry import xml_format
from tests.dss.downloads import AREA, LAYER, archived_layer, get, naming, nifti, workspace_of
from tests.dss.raw_server import WORKSPACE, RawServer, answer, listing, sent, serving


@pytest.fixture
def layer(tmp_path: Path) -> tuple[str, bytes]:
    return archived_layer(tmp_path)


def test_files_are_downloaded_under_their_names(raw: RawServer, tmp_path: Path) -> None:
    names = listing("w.itksnap", "l.nii.gz")
    target = tmp_path / "new" / "folder"
    path = get(raw, target, names, naming("l.nii.gz"), sent("l.nii.gz", LAYER), names)
    assert path == target / "w.itksnap"
    assert {file.name: file.read_bytes() for file in target.iterdir()} == {
        "w.itksnap": workspace_of("l.nii.gz"),
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
        "CONIN$",
        "conout$.txt",
        "com1 .txt",
        "COM¹",
        "dot.",
        "space ",
        "what?",
    ],
)
def test_name_that_must_not_touch_the_disk(raw: RawServer, tmp_path: Path, name: str) -> None:
    with pytest.raises(TransferFailed, match="not a plain file name: .* on a disk") as e:
        get(raw, tmp_path / "out", listing("w.itksnap", name))
    assert str(e.value).isprintable()
    assert list(tmp_path.iterdir()) == []
    assert len(raw.requests) == 1


@pytest.mark.parametrize("name", ["a b,c;d'[]%+=`.itksnap", "ü.itksnap", "layer_000_ab.nii.gz"])
def test_plain_name_of_a_file_is_accepted(raw: RawServer, name: str) -> None:
    raw.answers = [listing(name)]
    with raw.session() as session:
        assert [entry.name for entry in list_files(session, AREA)] == [name]


@pytest.mark.parametrize(
    ("one", "other"),
    [("w.itksnap", "W.ITKSNAP"), ("\u00fc.gz", "u\u0308.gz"), ("\u00dc.gz", "u\u0308.GZ")],
)
def test_names_that_are_equal_on_other_disks_are_refused(
    raw: RawServer, tmp_path: Path, one: str, other: str
) -> None:
    """But for case, or for how an accent is written."""
    with pytest.raises(TransferFailed, match=f"lists '{other}' twice: on some disks"):
        get(raw, tmp_path, listing(one, other))


def test_workspace_is_found_by_its_ending(raw: RawServer, tmp_path: Path) -> None:
    own = "ticket_00000001_results.itksnap"
    names = listing("other.itksnap", own)
    path = get(raw, tmp_path, names, sent(own), names)
    assert path.name == own
    assert list(tmp_path.iterdir()) == [path]
    for many in (["a.itksnap", "b.ITKSNAP"], ["layer.nii.gz"], []):
        with pytest.raises(TransferFailed, match="workspace files in api/tickets/1/files/results"):
            get(raw, tmp_path / "none", listing(*many))
    assert not (tmp_path / "none").exists()


def test_file_under_another_name_is_fetched_again(raw: RawServer, tmp_path: Path) -> None:
    before, after = listing("w.itksnap", "l.nii.gz"), listing("l.nii.gz", "w.itksnap")
    answers = [before, sent("l.nii.gz", LAYER), after, naming("l.nii.gz")]
    path = get(raw, tmp_path, *answers, sent("l.nii.gz", LAYER), after)
    assert path.read_bytes() == workspace_of("l.nii.gz")
    assert (tmp_path / "l.nii.gz").read_bytes() == LAYER


def test_list_that_changed_meanwhile(raw: RawServer, tmp_path: Path) -> None:
    one, two = listing("w.itksnap"), listing("w.itksnap", "l.nii.gz")
    last = [naming("l.nii.gz"), sent("l.nii.gz", LAYER), two]
    get(raw, tmp_path, one, sent("w.itksnap"), two, two, *last)
    assert {file.name for file in tmp_path.iterdir()} == {"w.itksnap", "l.nii.gz"}


def test_file_that_always_comes_under_another_name_ends_the_download(
    raw: RawServer, tmp_path: Path
) -> None:
    (tmp_path / "w.itksnap").write_text("old")
    words = "changed during each of 3 downloads: 'other' came instead of 'w.itksnap'"
    with pytest.raises(TransferFailed, match=words):
        get(raw, tmp_path, *[listing("w.itksnap"), sent("other")] * 3)
    assert (tmp_path / "w.itksnap").read_text() == "old"
    assert list(tmp_path.iterdir()) == [tmp_path / "w.itksnap"]


def test_file_that_comes_without_its_name_is_asked_for_again(
    raw: RawServer, tmp_path: Path
) -> None:
    """Something takes it from the answers: the files did not change."""
    names = listing("w.itksnap")
    path = get(raw, tmp_path / "once", names, answer(WORKSPACE), sent("w.itksnap"), names)
    assert path.read_bytes() == WORKSPACE
    words = "w.itksnap came without its name .*removes the Content-Disposition header"
    with pytest.raises(TransferFailed, match=words):
        get(raw, tmp_path / "never", names, answer(WORKSPACE))
    assert not (tmp_path / "never").exists()


def test_layer_that_is_there_and_comes_without_its_name(
    raw: RawServer, tmp_path: Path, layer: tuple[str, bytes]
) -> None:
    name, body = layer
    (tmp_path / name).write_bytes(body)
    names = listing(name, "w.itksnap")
    get(raw, tmp_path, names, naming(name), answer(body), sent(name, body), names)
    with pytest.raises(TransferFailed, match=f"{name} came without its name"):
        get(raw, tmp_path, names, naming(name), answer(body))


def test_interrupted_download_leaves_nothing(raw: RawServer, tmp_path: Path) -> None:
    short = b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\nabc"
    with pytest.raises(TransferFailed, match="cut off"):
        get(raw, tmp_path, listing("l.nii.gz", "w.itksnap"), naming("l.nii.gz"), short)
    assert list(tmp_path.iterdir()) == []


def test_interrupt_from_the_keyboard_leaves_nothing(
    raw: RawServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_session: Session, _path: str, target: Path, *_: object) -> Received:
        target.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(Session, "get_file", interrupted)
    with pytest.raises(KeyboardInterrupt):
        get(raw, tmp_path, listing("w.itksnap"))
    assert list(tmp_path.iterdir()) == []


class Stalling(socketserver.ThreadingTCPServer):
    """Lists six files, and sends but the beginning of each that the workspace names.

    Attributes:
        drops: Whether it then drops the connection, and does not wait.
        refuses: Whether it refuses the first file once two others have begun.
        left: Has a permit for each client that went away in the middle of a file.
        begun: Has a permit for each file that was begun.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), StallingRequest)
        self.drops = self.refuses = False
        self.left = threading.Semaphore(0)
        self.begun = threading.Semaphore(0)


class StallingRequest(socketserver.StreamRequestHandler):
    timeout = 30
    server: Stalling

    def handle(self) -> None:
        if not (line := self.rfile.readline()):
            return
        path = line.split()[1]
        while self.rfile.readline().strip():
            pass
        if path.endswith(b"/results"):
            self.wfile.write(listing("w.itksnap", *(f"{n}.nii.gz" for n in range(5))))
            return
        if path.endswith(b"/0"):
            self.wfile.write(naming(*(f"{n}.nii.gz" for n in range(5))))
            return
        if self.server.refuses and path.endswith(b"/1"):
            for _ in range(2):
                assert self.server.begun.acquire(timeout=300)
            self.wfile.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            return
        self.wfile.write(sent("0.nii.gz", b"x" * 999)[:200])
        self.server.begun.release()
        with suppress(ConnectionError):
            assert self.server.drops or not self.rfile.readline()
        self.server.left.release()


@pytest.mark.parametrize("during", ["an answer", "a pause"])
def test_interrupt_from_the_keyboard_ends_what_runs_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, during: str
) -> None:
    """It neither waits for their files, nor do they go on, nor is anything left of them."""
    monkeypatch.setattr("dss.http.retry.FIRST_PAUSE", 30.0)

    def interrupt() -> None:
        for _ in range(3):
            assert server.begun.acquire(timeout=300)
        interrupt_main()

    server = Stalling()
    server.drops = during == "a pause"
    with serving(server):
        watch = threading.Thread(target=interrupt)
        watch.start()
        address = f"http://127.0.0.1:{server.server_address[1]}"
        with (
            Session(address, timeout=(5, 100)) as session,
            pytest.raises(KeyboardInterrupt),
        ):
            download_archive(session, AREA, tmp_path / "out", "w.itksnap", parallel=3)
        watch.join()
        for _ in range(3):
            assert server.left.acquire(timeout=300)
        assert not server.begun.acquire(blocking=False)
    assert list(tmp_path.iterdir()) == []


def test_a_failure_ends_what_runs_beside(tmp_path: Path) -> None:
    server = Stalling()
    server.refuses = True
    with serving(server):
        address = f"http://127.0.0.1:{server.server_address[1]}"
        with Session(address, timeout=(5, 100)) as session, pytest.raises(NotPermitted):
            download_archive(session, AREA, tmp_path / "out", "w.itksnap", parallel=3)
        for _ in range(2):
            assert server.left.acquire(timeout=60)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="links need no permission on POSIX only")
def test_symbolic_links_are_not_followed(
    raw: RawServer, tmp_path: Path, layer: tuple[str, bytes]
) -> None:
    name, body = layer
    out = tmp_path / "out"
    out.mkdir()
    for number, listed in enumerate((name, "l.nii.gz", "w.itksnap")):
        mine = tmp_path / f"mine{number}"
        mine.write_bytes(body if listed == name else b"mine")
        (out / listed).symlink_to(mine)
    names = listing(name, "l.nii.gz", "w.itksnap")
    files = [naming(name, "l.nii.gz"), sent(name, body), sent("l.nii.gz", LAYER), names]
    get(raw, out, names, *files)
    assert not any(file.is_symlink() for file in out.iterdir())
    assert (out / "l.nii.gz").read_bytes() == LAYER
    assert [(tmp_path / f"mine{n}").read_bytes() for n in (1, 2)] == [b"mine", b"mine"]


def test_folder_in_the_place_of_a_file_is_kept(raw: RawServer, tmp_path: Path) -> None:
    """Nothing is removed, and no workspace comes about without its files."""
    kept = tmp_path / "l.nii.gz" / "kept"
    kept.parent.mkdir()
    kept.touch()
    with pytest.raises(TransferFailed, match=r"l\.nii\.gz is a folder: download to another place"):
        get(raw, tmp_path, listing("w.itksnap", "l.nii.gz"), naming("l.nii.gz"))
    assert kept.exists()
    assert list(tmp_path.iterdir()) == [kept.parent]


def test_workspace_is_the_last_to_appear(
    raw: RawServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = listing("w.itksnap", "a.nii.gz", "z.nii.gz")
    (tmp_path / "w.itksnap").write_bytes(workspace_of("a.nii.gz", "z.nii.gz"))
    moved: list[str] = []
    replace = Path.replace

    def watched(file: Path, target: Path) -> Path:
        if target.parent == tmp_path:
            moved.append(target.name)
            assert ((tmp_path / "w.itksnap").exists()) == (target.name == "none")
        return replace(file, target)

    monkeypatch.setattr(Path, "replace", watched)
    layers = [sent(f"{x}.nii.gz", LAYER) for x in "az"]
    get(raw, tmp_path, names, naming("a.nii.gz", "z.nii.gz"), *layers, names)
    assert moved == ["a.nii.gz", "z.nii.gz", "w.itksnap"]


def test_empty_list_is_looked_at_again(raw: RawServer, tmp_path: Path) -> None:
    names = listing("w.itksnap")
    get(raw, tmp_path, listing(), names, sent("w.itksnap"), names)


def test_file_in_the_place_of_the_folder_is_kept(raw: RawServer, tmp_path: Path) -> None:
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
    layers = ("b.nii.gz", "c.nii.gz")
    (tmp_path / "old").write_bytes(workspace_of(*layers))
    (tmp_path / "new").write_bytes(workspace_of(*reversed(layers)))
    (tmp_path / "layer").write_bytes(LAYER)
    files = [(tmp_path / "old", "w.itksnap"), *((tmp_path / "layer", name) for name in layers)]
    upload_files(provider.session, results, files)
    fetch = Session.get_file
    fetched: list[str] = []

    def fetch_late(session: Session, path: str, target: Path, *more: Any) -> Received:
        if session is client.session:
            if not fetched:
                upload_files(provider.session, results, [(tmp_path / "new", "w.itksnap")])
            fetched.append(path.rpartition("/")[2])
        return fetch(session, path, target, *more)

    monkeypatch.setattr(Session, "get_file", fetch_late)
    path = client.download(claimed, tmp_path / "out")
    assert fetched == ["0", "2", "0", "1"]
    assert path.read_bytes() == (tmp_path / "new").read_bytes()
    assert {file.name for file in path.parent.iterdir()} == {"w.itksnap", *layers}


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

    def delete_first(session: Session, path: str, target: Path, *more: Any) -> Received:
        client.delete(claimed)
        return fetch(session, path, target, *more)

    monkeypatch.setattr(Session, "get_file", delete_first)
    with pytest.raises(WrongState, match=f"ticket {claimed} is deleted, and has no result"):
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
    client.session.retry_for = 0.5
    ticket = client.create(service)
    area = f"api/tickets/{ticket}/files/results"
    body = FileBody(tmp_path, "NAME", {})
    body._head = body._head.replace(b"NAME", "日本.itksnap".encode())
    body._size = 0
    monkeypatch.setattr(FileBody, "__iter__", lambda self: iter([self._head, self._tail]))
    assert client.session.post_body(area, body, if_lost="") == "success"
    with pytest.raises((ServerFailed, NetworkFailed)):
        client.download(ticket, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    client.make_ready(ticket)  # the session is as good as before


def test_several_files_are_fetched_at_once(
    client: Client, service: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each in a thread and with a session of its own."""
    ticket = client.create(service)
    area = f"api/tickets/{ticket}/files/results"
    layers = [f"{n}.nii.gz" for n in range(6)]
    (tmp_path / "w").write_bytes(workspace_of(*layers))
    (tmp_path / "l").write_bytes(LAYER)
    sources = [*((tmp_path / "l", name) for name in layers), (tmp_path / "w", "w.itksnap")]
    upload_files(client.session, area, sources)
    together = threading.Barrier(3, timeout=300)
    fetch = Session.get_file
    sessions: set[int] = set()

    def meet(session: Session, path: str, target: Path, *more: Any) -> Received:
        if path.rpartition("/")[2] != "6":  # the workspace comes first, by itself
            sessions.add(id(session))
        if path.rpartition("/")[2] in "012":
            together.wait()
        return fetch(session, path, target, *more)

    monkeypatch.setattr(Session, "get_file", meet)
    client.download(ticket, tmp_path / "out", parallel=3)
    assert len(list((tmp_path / "out").iterdir())) == 7
    assert len(sessions) == 3
    assert id(client.session) not in sessions


def test_one_corrupt_file_leaves_nothing_of_the_download(
    client: Client, service: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticket = client.create(service)
    area = f"api/tickets/{ticket}/files/results"
    layers = [f"{n}.nii.gz" for n in range(5)]
    (tmp_path / "w").write_bytes(workspace_of(*layers))
    upload_files(client.session, area, [(tmp_path / "w", "w.itksnap")])
    upload_files(client.session, area, [(tmp_path / "w", name) for name in layers])
    with pytest.raises(TransferFailed, match="came damaged or cut off"):
        client.download(ticket, tmp_path / "out", parallel=2)
    assert not (tmp_path / "out").exists()


def test_workspace_without_all_its_layers_is_refused(
    raw: RawServer, tmp_path: Path, layer: tuple[str, bytes]
) -> None:
    """As of a ticket whose other layers are still being sent."""
    name, body = layer
    names = listing(name, "w.itksnap")
    workspace = naming(name, "layer_001_missing.nii.gz")
    with pytest.raises(TransferFailed, match="layer 001 of w.itksnap, 'layer_001_missing.nii.gz'"):
        get(raw, tmp_path / "out", names, workspace, names)
    assert not (tmp_path / "out" / "w.itksnap").exists()
    get(raw, tmp_path / "out", names, naming(name), sent(name, body), names)


@pytest.mark.parametrize(
    ("saved_in", "stored"),
    [
        ("/archive", "/srv/secret/NAME"),
        ("/archive", "/archive/../srv/NAME"),
        ("/archive", "/archive/below/NAME"),
        ("/a/b/c", "/a/b/other/NAME"),
        ("/a/b/c", "/a/b/out/NAME"),  # as the folder is called where it is now
        ("", "../NAME"),
        ("/archive", "https://example.org/NAME"),
        ("C:\\archive", "C:\\srv\\NAME"),
    ],
)
@pytest.mark.parametrize("of_mesh", [False, True])
def test_a_layer_that_is_said_to_be_elsewhere_is_refused(
    raw: RawServer,
    tmp_path: Path,
    layer: tuple[str, bytes],
    saved_in: str,
    stored: str,
    of_mesh: bool,
) -> None:
    """Whoever sends a workspace would get a file of this machine back, named like one of his."""
    name, body = layer
    made = Workspace()
    key = "Layers.Layer[000]"
    made.registry[f"{key}.Role"] = "MainRole"
    made.registry[f"{key}.AbsolutePath"] = f"{saved_in}/{name}" if of_mesh else stored
    if of_mesh:
        key = "MeshLayers.Layer[000].MeshTimePoints.TimePoint[000].PolyData[000]"
    made.registry[f"{key}.AbsolutePath"] = stored
    made.registry["SaveLocation"] = saved_in
    text = xml_format.to_bytes(made.registry).replace(b"NAME", name.encode())
    names = listing(name, "w.itksnap")
    with pytest.raises(TransferFailed, match="is not beside the workspace"):
        get(raw, tmp_path / "out", names, sent("w.itksnap", text), sent(name, body), names)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["x.mhd", "x.nhdr", "x.mha", "x.hdr", "x.dcm", "x.nii.mhd"])
def test_an_image_that_may_name_further_files_is_refused(
    raw: RawServer, tmp_path: Path, name: str
) -> None:
    """Its header may say that the voxels are in any file of this machine."""
    header = b"NDims = 1\nDimSize = 9\nElementType = MET_UCHAR\nElementDataFile = /etc/passwd\n"
    names = listing(name, "w.itksnap")
    with pytest.raises(TransferFailed, match="is not a NIfTI image"):
        get(
            raw,
            tmp_path / "out",
            names,
            naming(name),
            sent(name, header),
            names,
        )
    assert not (tmp_path / "out" / "w.itksnap").exists()


def test_what_somebody_worked_on_is_not_replaced(raw: RawServer, tmp_path: Path) -> None:
    names = listing("w.itksnap")
    path = get(raw, tmp_path, names, sent("w.itksnap"), names)
    assert get(raw, tmp_path, names, sent("w.itksnap"), names) == path
    path.write_bytes(b"my work")
    with pytest.raises(TransferFailed, match="w.itksnap already exists and differs"):
        get(raw, tmp_path, names, sent("w.itksnap"), names)
    assert path.read_bytes() == b"my work"


def test_a_broken_download_does_not_touch_a_layer_that_is_there(
    raw: RawServer, tmp_path: Path, layer: tuple[str, bytes]
) -> None:
    """It has the same voxels, and therefore the same name, but lies elsewhere."""
    name, _ = layer
    other = nifti(tmp_path, spacing=2.0)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_bytes(gzip.compress(other))
    names = listing(name, "l.nii.gz", "w.itksnap")
    first = [names, naming(name, "l.nii.gz")]
    with pytest.raises(TransferFailed):
        get(raw, tmp_path / "out", *first, *[sent(*layer)] * 2, sent("l.nii.gz", b"damaged"))
    assert gzip.decompress((tmp_path / "out" / name).read_bytes()) == other


def test_attachment_does_not_go_through_a_link(raw: RawServer, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    (tmp_path / "a.txt").symlink_to(tmp_path / "mine.txt")
    raw.answers = [answer(b"attached")]
    with raw.session() as session:
        download_file(session, "blobs/00000000", tmp_path / "a.txt")
    assert (tmp_path / "mine.txt").read_text() == "mine"
    assert (tmp_path / "a.txt").read_text() == "attached"

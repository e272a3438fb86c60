"""What the middleware does to its clients, one test each, and what only older ones do.

Where the real one shows it, it is the real one; else a server that answers what it would.
"""

from __future__ import annotations

import json
import re
import socket
import threading
import tracemalloc
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from dss import (
    Client,
    Middleware,
    NetworkFailed,
    OutcomeUnknown,
    Provider,
    Session,
    TransferFailed,
)
from dss.http.multipart import FileBody
from dss.http.responses import Received
from dss.login import login
from dss.transfer.listing import list_files
from dss.transfer.uploads import upload_files
from snapws import Workspace
from tests.dss.downloads import workspace_of
from tests.dss.raw_server import (
    DROP,
    WORKSPACE,
    RawServer,
    answer,
    chunked,
    listing,
    sent,
    unframed,
)
from tests.dss.tls import Forwarder

ERROR = answer(b"internal server error", status="500 Internal Server Error")
RESULTS = "api/tickets/1/files/results"


@pytest.fixture
def area(client: Client, service: str) -> str:
    return f"api/tickets/{client.create(service)}/files/results"


def ticket_of(area: str) -> int:
    return int(area.split("/")[2])


def write(folder: Path, **files: bytes) -> list[tuple[Path, str]]:
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return [(folder / name, name) for name in files]


def test_hazard_01_an_index_is_a_place_by_time(client: Client, area: str, tmp_path: Path) -> None:
    names = ["a.stl", "b.stl", "w.itksnap"]
    write(tmp_path, a=b"1", b=b"2", w=workspace_of(*names[:2]))
    upload_files(client.session, area, [(tmp_path / name[0], name) for name in names])
    assert [entry.name for entry in list_files(client.session, area)] == names
    write(tmp_path, a=b"3")
    upload_files(client.session, area, [(tmp_path / "a", "a.stl")])
    assert [entry.name for entry in list_files(client.session, area)] == [*names[1:], names[0]]
    client.download(ticket_of(area), tmp_path / "out")
    assert [(tmp_path / "out" / name).read_bytes() for name in names[:2]] == [b"3", b"2"]


def test_hazard_02_the_last_of_a_name_wins(
    client: Client, area: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else's comes in between: reading back tells, and sends ours again."""
    (ours, theirs) = write(tmp_path, ours=b"ours" * 99, theirs=b"theirs")
    read = Session.get_digest
    others = [theirs]

    def read_late(session: Session, path: str, *more: Any) -> tuple[str | None, str]:
        while others:
            upload_files(session, area, [(others.pop()[0], "layer")])
        return read(session, path, *more)

    monkeypatch.setattr(Session, "get_digest", read_late)
    upload_files(client.session, area, [(ours[0], "layer")], verify=True)
    client.session.get_file(f"{area}/0", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b"ours" * 99


@pytest.mark.parametrize(
    "name", ["日本.nii.gz", "ü", ".hidden", "..", "a/b", "a\nb", "x" * 256, ""]
)
def test_hazard_03_names_that_it_cannot_list_or_send_back(
    raw: RawServer, tmp_path: Path, name: str
) -> None:
    """They are not sent; those that it lists nevertheless touch no disk."""
    (file,) = write(tmp_path, f=b"x")
    raw.answers = [listing()]
    with raw.session() as session, pytest.raises(TransferFailed, match="cannot be sent as"):
        upload_files(session, RESULTS, [(file[0], name)])
    assert [head.split()[0] for head in raw.heads()] == ["GET"]


def test_hazard_04_head_is_never_sent(
    middleware: Middleware,
    client: Client,
    service: str,
    workspace: Workspace,
    tmp_path: Path,
) -> None:
    """Its answer has a body, which would be taken for the next answer."""
    with Forwarder(middleware.port) as wire:
        assert client.session.cookie is not None
        with Session(wire.url, cookie=client.session.cookie.value) as session:
            through = Client(session)
            ticket = through.submit(workspace, service, verify=True)
            through.status(ticket)
            through.delete(ticket)
        seen = wire.seen
    methods = set(re.findall(rb"(?:^|\n|--|\})([A-Z]+) /[^ ]* HTTP/1.1\r\n", seen))
    assert methods == {b"GET", b"POST"}


def test_hazard_05_memory_of_server_and_client(
    client: Client, area: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server reads each file whole: one at a time. Here none is in memory."""
    size = 48 * 2**20
    with (tmp_path / "big").open("wb") as big:
        big.truncate(size)
    write(tmp_path, w=workspace_of("big.stl", "n.stl"))
    names = {"big.stl": "big", "n.stl": "w", "w.itksnap": "w"}
    sources = [(tmp_path / file, name) for name, file in names.items()]
    fetch = Session.get_file
    at_work: list[int] = []
    most = [0]

    def counted(session: Session, path: str, target: Path, *more: Any) -> Received:
        at_work.append(1)
        most[0] = max(most[0], len(at_work))
        try:
            return fetch(session, path, target, *more)
        finally:
            at_work.pop()

    monkeypatch.setattr(Session, "get_file", counted)
    tracemalloc.start()
    try:
        upload_files(client.session, area, sources)
        client.download(ticket_of(area), tmp_path / "out")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (tmp_path / "out" / "big.stl").stat().st_size == size
    assert most == [1]
    assert peak < size / 4


def test_hazard_06_idle_connections_are_cut(raw: RawServer) -> None:
    """Without a word. What was closed before a request is not used for it: there is no doubt."""
    raw.says_close = False
    raw.answers = [answer(b"7")]
    with raw.session(retry_for=10) as session:
        client = Client(session)
        assert client.progress(1) == 7
        assert raw.closed.wait(300)
        assert client.create("0" * 40) == 7
    assert raw.connections == 2
    assert len(raw.requests) == 2


@pytest.mark.parametrize("framing", [sent, chunked, unframed])
def test_hazard_07_a_download_that_ends_in_the_middle(
    raw: RawServer, tmp_path: Path, framing: Callable[[str, bytes], bytes]
) -> None:
    """Some libraries take that for its end."""
    whole = framing("w.itksnap", WORKSPACE)
    raw.answers = [listing("w.itksnap"), whole[:-8], whole, listing("w.itksnap")]
    with raw.session() as session:
        path = Client(session).download(1, tmp_path)
    assert path.read_bytes() == WORKSPACE


def test_hazard_08_a_truncated_upload_stores_nothing(
    client: Client, area: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The older file of the name stays. A part is never taken for the whole."""
    (old, new) = write(tmp_path, old=b"old", new=b"new" * 99999)
    upload_files(client.session, area, [(old[0], "layer")])
    pieces = FileBody.__iter__
    monkeypatch.setattr(FileBody, "__iter__", lambda body: iter([*pieces(body)][:-1]))
    client.session.retry_for = 0.3
    client.session._timeout = (5.0, 0.5)
    with pytest.raises(NetworkFailed):
        upload_files(client.session, area, [(new[0], "layer")])
    client.session._timeout = (5.0, 20.0)
    client.session.get_file(f"{area}/0", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b"old"


def test_hazard_09_a_failure_does_not_mean_that_nothing_was_done(raw: RawServer) -> None:
    """Where it can be asked it is, and where not it is told."""
    raw.answers = [ERROR, answer(b"ready")]
    with raw.session() as session:
        Client(session).make_ready(1)
        assert raw.heads() == [
            "POST /api/tickets/1/status HTTP/1.1",
            "GET /api/tickets/1/status HTTP/1.1",
        ]
        raw.answers = [ERROR]
        with pytest.raises(OutcomeUnknown, match="internal server error.*a ticket may have been"):
            Client(session).create("0" * 40)
    assert len(raw.requests) == 3


def test_hazard_10_stalled_uploads_block_the_server(
    middleware: Middleware, client: Client, impatient: None
) -> None:
    """All of its threads wait for them. It is borne; and none of ours is ever left half sent."""
    head = (
        b"POST /api/login HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n"
        b"Content-Type: application/x-www-form-urlencoded\r\n\r\ntoken="
    )
    client.session._timeout = (5.0, 0.3)
    with ExitStack() as stack:
        stalled = [
            stack.enter_context(socket.create_connection(("127.0.0.1", middleware.port)))
            for _ in range(10)
        ]
        for one in stalled:
            one.sendall(head)
        release = threading.Timer(1.0, lambda: [one.close() for one in stalled])
        release.start()
        stack.callback(release.join)
        assert client.tickets() == []


def test_hazard_10_upload_that_fails_here_hangs_up(tmp_path: Path) -> None:
    """The server's thread is free at once, and does not wait for the rest."""
    (file,) = write(tmp_path, layer=b"x" * 10**6)
    body = FileBody(*file, {})
    write(tmp_path, layer=b"x" * 9 * 10**5)
    heard = b""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        Session(f"http://127.0.0.1:{listener.getsockname()[1]}") as session,
    ):
        failed = threading.Thread(target=_fail_to_send, args=(session, body))
        failed.start()
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(30)
            while piece := connection.recv(65536):
                heard += piece
        failed.join(300)
    assert len(heard) < len(body)


def _fail_to_send(session: Session, body: FileBody) -> None:
    with pytest.raises(TransferFailed, match="changed while it was sent"):
        session.post_body("api/x", body, if_lost=None)


ONCE: dict[str, Callable[[Session, Path], Any]] = {
    "claim": lambda s, _: Provider(s).claim(["0" * 40], "lab", "x"),
    "create": lambda s, _: Client(s).create("0" * 40),
    "log": lambda s, _: Provider(s).log(1, "info", "x"),
    "attach": lambda s, file: Provider(s).attach(1, "x", file),
    "login": lambda s, _: login(s.server, "token"),
}


@pytest.mark.parametrize("failure", [ERROR, DROP, answer(b"", status="503 Busy")])
@pytest.mark.parametrize("name", ONCE)
def test_hazard_11_a_lost_answer_is_not_asked_for_again(
    raw: RawServer, tmp_path: Path, name: str, failure: bytes
) -> None:
    (file,) = write(tmp_path, f=b"x")
    raw.answers = [failure]
    with raw.session() as session, pytest.raises(OutcomeUnknown, match="the request was sent"):
        ONCE[name](session, file[0])
    assert len(raw.requests) == 1


def test_hazard_12_nothing_is_too_large_for_it(
    client: Client, provider: Provider, claimed: int
) -> None:
    message = "ü" * 600_000
    provider.log(claimed, "info", message)
    assert client.log(claimed)[-1].message == message


def test_older_server_1_times_are_words(raw: RawServer) -> None:
    line = {"id": 1, "atime": "2019-03-04 05:06:07.5", "category": "info", "message": "x"}
    result = {"status": "claimed", "progress": 0.200000003, "log": [{**line, "attachments": []}]}
    stats = {
        "n_success": 1,
        "n_failed": 0,
        "avg_duration": "0:05:03.1",
        "last_heard_from": "1 day, 0:00:01",
        "queue_length": 2,
    }
    raw.answers = [json.dumps({"result": one}).encode() for one in (result, [stats])]
    raw.answers = [answer(one) for one in raw.answers]
    with raw.session() as session:
        detail = Client(session).detail(1)
        told = Client(session).service_stats("S")
    time_of_line = datetime(2019, 3, 4, 5, 6, 7, 500000, tzinfo=timezone.utc)
    assert detail.log[0].time == time_of_line
    assert detail.progress == pytest.approx(0.2)
    assert told.mean_duration == timedelta(minutes=5, seconds=3.1)
    assert told.last_heard == timedelta(days=1, seconds=1)


@pytest.mark.parametrize("words", ["", "None", "-1", "0"])
def test_older_server_2_nothing_to_claim(raw: RawServer, words: str) -> None:
    raw.answers = [answer(words.encode())]
    with raw.session() as session:
        assert Provider(session).claim(["0" * 40], "lab", "x") is None


def test_older_server_3_does_not_tell_what_waits(raw: RawServer) -> None:
    raw.answers = [answer(b"not found", status="404 Not Found")]
    with raw.session() as session:
        assert Provider(session).available(["0" * 40]) is None


def test_older_server_4_short_columns(raw: RawServer) -> None:
    """What is too long for them is a failure, as anything is: it is told, and nothing repeated."""
    raw.answers = [ERROR]
    with raw.session() as session, pytest.raises(OutcomeUnknown, match="internal server error"):
        Provider(session).claim(["0" * 40], "lab", "x" * 79)
    assert len(raw.requests) == 1


def test_older_server_5_fields_of_a_form(raw: RawServer, tmp_path: Path) -> None:
    """All those that the older client sent, each percent-encoded or in a part of its own."""
    (file,) = write(tmp_path, f=b"content")
    raw.answers = [listing(), answer(b"success"), listing("f"), answer(b"1")]
    with raw.session() as session:
        upload_files(session, RESULTS, [file])
        Provider(session).log(1, "info", "50 % & 1 + 1")
    form = raw.requests[1]
    assert re.search(rb'name="filename"\r\n\r\nf\r\n', form)
    assert re.search(rb'name="submit"\r\n\r\nsend\r\n', form)
    kind = b"Content-Type: application/octet-stream\r\n\r\ncontent\r\n"
    assert b'name="myfile"; filename="f"\r\n' + kind in form
    assert raw.requests[3].endswith(b"\r\n\r\nmessage=50+%25+%26+1+%2B+1")


@pytest.mark.parametrize("name", ["ticket_00000001.itksnap", "result.itksnap"])
def test_older_server_6_the_workspace_is_anywhere_and_has_any_name(
    raw: RawServer, tmp_path: Path, name: str
) -> None:
    names = listing("a.stl", name, "z.stl")
    first = sent(name, workspace_of("a.stl", "z.stl"))
    raw.answers = [names, first, sent("a.stl", b""), sent("z.stl", b""), names]
    with raw.session() as session:
        assert Client(session).download(1, tmp_path).name == name

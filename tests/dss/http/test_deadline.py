"""Answers that never end: every request has a deadline, and a file has a least rate."""

from __future__ import annotations

import gc
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import nibabel
import numpy
import pytest
import trustme

from dss import Admin, Client, NetworkFailed, OutcomeUnknown, Provider, Session, TicketStatus
from dss.errors import Unfinished
from dss.http.deadline import Deadline
from dss.http.multipart import FileBody
from dss.login import login, user
from dss.records import Attachment
from snapws import Workspace
from tests.dss.endless import ANSWERS, HANDSHAKE, Endless, EndlessServer
from tests.dss.raw_server import RawServer, answer
from tests.dss.serving.lab import until

DOUBT = "it may be there; look"
HOST = "dss.example.org"
_CONTENT = bytes(range(256)) * 4

# Whose head is whole, so that a file is what does not come.
FILES = (
    "body",
    "body to the end of the connection",
    "chunks",
    "size of a chunk",
    "trailers",
)

Serve = Callable[[Endless], tuple[EndlessServer, Session]]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def bundle(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "https_proxy", "HTTPS_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    authority.cert_pem.write_to_path(tmp_path / "bundle.pem")
    return str(tmp_path / "bundle.pem")


@pytest.fixture
def context(authority: trustme.CA) -> ssl.SSLContext:
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1", HOST).configure_cert(made)
    return made


def quick(url: str, verify: bool | str = True, retry_for: float = 0.0) -> Session:
    """A session whose requests have a short deadline, and no time-out within it."""
    return Session(url, timeout=(0.4, 0.4), retry_for=retry_for, verify=verify)


class ShortDeadline(Deadline):
    """A short deadline that begins when something has happened, however long that takes here."""

    def __init__(self, cut: Callable[[], None], begins: Callable[[Deadline], bool]) -> None:
        super().__init__(0.8, cut)
        self._begins = begins
        self._has_begun = False

    def left(self) -> float:
        return super().left() if self.passed or self._has_begun else 300.0

    def _keep(self) -> None:
        while not self._begins(self):
            if self._over.wait(0.02):
                return
        self._has_begun = True
        self.renew()
        super()._keep()


def begin_deadlines(
    monkeypatch: pytest.MonkeyPatch, begins: Callable[[Deadline], bool] | EndlessServer
) -> None:
    """Have the deadline of a request begin with an event, or when its answer begins."""

    def make(_: float, cut: Callable[[], None]) -> Deadline:
        if not isinstance(begins, EndlessServer):
            return ShortDeadline(cut, begins)
        before = begins.begun
        return ShortDeadline(cut, lambda _: begins.begun > before)

    monkeypatch.setattr("dss.http.connections.Deadline", make)


def patient(url: str, verify: bool | str = True) -> Session:
    """A session in which only the deadline ends a request."""
    return Session(url, timeout=(300.0, 300.0), retry_for=0, verify=verify)


def is_file(deadline: Deadline) -> bool:
    """Whether bytes of a file have moved."""
    return deadline._is_file


@pytest.fixture
def serve(
    request: pytest.FixtureRequest,
    context: ssl.SSLContext,
    bundle: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Serve]:
    """Starts a server and opens a session with it, in each of the ways in which one is reached."""
    with ExitStack() as stack:

        def start(endless: Endless) -> tuple[EndlessServer, Session]:
            tls, tunnel = request.param != "plain", request.param == "through a proxy"
            server = stack.enter_context(
                EndlessServer(endless, context=context if tls else None, tunnel=tunnel)
            )
            if tunnel:
                monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{server.port}")
            url = f"https://{HOST}" if tunnel else server.url
            begin_deadlines(monkeypatch, server)
            return server, stack.enter_context(patient(url, bundle))

        yield start


# What is done to the one connection does not depend on the words that come through it.
WAYS = [
    ("plain", ANSWERS),
    *(
        (way, ("header line", "100 Continue", "body", "chunks"))
        for way in ("TLS", "through a proxy")
    ),
]


@pytest.mark.parametrize(
    ("serve", "what"),
    [pytest.param(way, what, id=f"{way}-{what}") for way, kinds in WAYS for what in kinds],
    indirect=["serve"],
)
def test_answer_without_end_is_given_up(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """A request that may be repeated fails; one that may not leaves a doubt, and says which."""
    server, session = serve(ANSWERS[what])
    if what == "redirect":  # which is refused, whatever comes after its head
        begin_deadlines(monkeypatch, lambda _: False)
    failures = NetworkFailed if what != "redirect" else Exception
    with pytest.raises(failures) as failed:
        session.get_text("api/x")
    with pytest.raises(OutcomeUnknown, match=f"the request was sent: {DOUBT}") as unknown:
        session.post_form("api/x", {}, if_lost=DOUBT)
    for caught in (failed, unknown):
        words = "redirects to" if what == "redirect" else r"no answer from .*: timed out: not comp"
        assert caught.match(words)
        assert str(caught.value).isprintable()
    assert server.left.wait(120), "the connection was kept"
    until(lambda: server.seen.count(b"POST ") >= 1)
    assert server.seen.count(b"POST ") == 1


@pytest.mark.parametrize("serve", ["plain"], indirect=True)
@pytest.mark.parametrize("what", FILES)
def test_file_without_end_is_given_up(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Its bytes come more slowly than the least rate: not even what ends anyhow counts as whole."""
    server, session = serve(ANSWERS[what])
    begin_deadlines(monkeypatch, is_file)
    for get in (
        lambda: session.get_file("api/x", tmp_path / "file"),
        lambda: session.get_digest("api/x"),
        lambda: session.get_start("api/x", 1000),
    ):
        with pytest.raises(NetworkFailed, match="timed out: less than 64 kB of the file came t"):
            get()
    assert server.left.wait(120), "the connection was kept"


def test_handshake_without_end_is_given_up(bundle: str) -> None:
    """Nothing was sent, so there is no doubt."""
    with EndlessServer(HANDSHAKE, greets=True) as server:
        url = server.url.replace("http:", "https:")
        with (
            Session(url, timeout=(1.5, 1.5), retry_for=0, verify=bundle) as session,
            pytest.raises(NetworkFailed, match="timed out"),
        ):
            session.post_form("api/x", {}, if_lost=DOUBT)
        assert server.left.wait(120), "the connection was kept"


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("what", ["status line", "header line", "header lines", "100 Continue"])
def test_proxy_whose_answer_does_not_end_is_given_up(
    context: ssl.SSLContext, bundle: str, monkeypatch: pytest.MonkeyPatch, scheme: str, what: str
) -> None:
    """Nothing was sent to the server, so there is no doubt."""
    tls = context if scheme == "https" else None
    with EndlessServer(ANSWERS[what], context=tls) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        begin_deadlines(monkeypatch, proxy)
        with (
            patient(f"https://{HOST}", bundle) as session,
            pytest.raises(NetworkFailed, match=f"no answer from https://{HOST}: "),
        ):
            session.post_form("api/x", {}, if_lost=DOUBT)
        assert proxy.left.wait(120), "the connection was kept"


@pytest.mark.parametrize("proxied", [False, True], ids=["directly", "with a proxy"])
def test_deadline_before_a_handshake_leaves_no_socket_behind(
    context: ssl.SSLContext, bundle: str, monkeypatch: pytest.MonkeyPatch, proxied: bool
) -> None:
    """Python does not close a TLS socket that it makes of a connection which was cut."""
    wrap = ssl.SSLContext.wrap_socket

    def wrap_late(made: ssl.SSLContext, *args: Any, **options: Any) -> ssl.SSLSocket:
        while made is not context and not session._connections.deadline.passed:
            time.sleep(0.01)
        return wrap(made, *args, **options)

    with EndlessServer(ANSWERS["status line"], context=context) as server:
        if proxied:
            monkeypatch.setenv("https_proxy", server.url)
        with quick(f"https://{HOST}" if proxied else server.url, bundle) as session:
            monkeypatch.setattr(ssl.SSLContext, "wrap_socket", wrap_late)
            with pytest.raises(NetworkFailed, match="timed out"):
                session.get_text("api/x")
    gc.collect()  # a socket that is not closed fails this test


def test_name_that_is_looked_up_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system has no time-out for it; a connection that comes about too late is closed."""
    go_on = threading.Event()

    def look_up(*_: object, **__: object) -> list[object]:
        go_on.wait(120)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr("socket.getaddrinfo", look_up)
    with (
        quick("http://dss.example.org") as session,
        pytest.raises(NetworkFailed, match="timed out"),
    ):
        session.post_form("api/x", {}, if_lost=DOUBT)
    assert not go_on.is_set()
    go_on.set()


def test_an_abort_waits_for_no_name_to_be_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def look_up(*_: object, **__: object) -> list[object]:
        asked.set()
        go_on.wait(60)
        go_on.set()
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    def abort(session: Session) -> None:
        asked.wait(300)
        session.abort()

    monkeypatch.setattr("socket.getaddrinfo", look_up)
    with Session("http://dss.example.org", timeout=(300.0, 300.0)) as session:
        threading.Thread(target=abort, args=(session,), daemon=True).start()
        with pytest.raises(NetworkFailed, match="broken off"):
            session.get_text("api/x")
    assert not go_on.is_set()
    go_on.set()


def test_chunk_of_a_negative_size_is_refused(raw: RawServer) -> None:
    """To http.client it is all that comes, until nothing comes any more, in memory."""
    raw.keep_alive = True  # so that nothing ends
    raw.answers = [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\nxyz"]
    with patient(raw.url) as session:
        with pytest.raises(NetworkFailed) as caught:
            session.get_text("api/x")
        assert "timed out" not in str(caught.value)


def test_session_is_as_good_as_before(raw: RawServer) -> None:
    """A request that was given up ends its connection, and no other."""
    raw.answers = [answer(b"x" * 3000), answer(b"yes")]
    raw.drips = 60
    with quick(raw.url, retry_for=20) as session:
        begun = threading.Timer(0.5, setattr, (raw, "drips", None))
        begun.start()
        assert session.get_text("api/x") in ("yes", "x" * 3000)
        begun.join()
        assert session.get_text("api/x") == "yes"


@contextmanager
def slow_server(pause: float, *, context: ssl.SSLContext | None = None) -> Iterator[str]:
    """Takes requests and gives answers a few bytes at a time, and ends all of them well.

    A file is 1 kB, of which 100 bytes come at once; of a request 64 kB are taken at once.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
    closing = threading.Event()

    def serve(connection: socket.socket) -> None:
        connection.settimeout(20)
        client = context.wrap_socket(connection, server_side=True) if context else connection
        with client:
            got = client.recv(65536)
            if got.startswith(b"GET"):
                client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(_CONTENT))
                for start in range(0, len(_CONTENT), 100):
                    client.sendall(_CONTENT[start : start + 100])
                    closing.wait(pause)
                return
            while not got.endswith(b"--\r\n") and not closing.wait(pause):
                more = client.recv(65536)
                if not more:
                    return
                got = got[-10:] + more
            client.sendall(answer(b"yes"))

    def accept() -> None:
        while True:
            connection, _ = listener.accept()
            if closing.is_set():
                connection.close()
                return
            threads.append(threading.Thread(target=_quietly, args=(serve, connection)))
            threads[-1].start()

    threads: list[threading.Thread] = []
    accepting = threading.Thread(target=accept)
    accepting.start()
    try:
        yield f"{'https' if context else 'http'}://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        closing.set()
        with socket.create_connection(listener.getsockname()):
            pass
        accepting.join(120)
        for thread in threads:
            thread.join(300)
        listener.close()


def _quietly(serve: Callable[[socket.socket], None], connection: socket.socket) -> None:
    try:
        serve(connection)
    except OSError:
        connection.close()  # the client has left


def test_slow_file_that_keeps_its_least_rate_comes_whole(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It takes longer than the deadline of a request, as a large file does."""
    monkeypatch.setattr("dss.http.deadline.BLOCK", 100)
    monkeypatch.setattr("dss.http.responses._CHUNK", 100)
    with slow_server(0.6) as url, Session(url, timeout=(1.5, 4.5), retry_for=0) as session:
        session.get_file("api/x", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == _CONTENT


@pytest.fixture
def body(tmp_path: Path) -> FileBody:
    """More than the buffers of both ends can hold."""
    (tmp_path / "large").write_bytes(bytes(16 * 2**20))
    return FileBody(tmp_path / "large", "large", {})


def test_slow_upload_that_keeps_its_least_rate_arrives(body: FileBody) -> None:
    with slow_server(0.015) as url, Session(url, timeout=(1.5, 5.0), retry_for=0) as session:
        assert session.post_body("api/x", body, if_lost=DOUBT) == "yes"


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
def test_upload_that_is_taken_too_slowly_is_given_up(
    monkeypatch: pytest.MonkeyPatch, context: ssl.SSLContext, bundle: str, body: FileBody, tls: bool
) -> None:
    """A server that takes a little now and then lets no time-out of the socket run out."""
    monkeypatch.setattr("dss.http.deadline.BLOCK", 2**20)
    begin_deadlines(monkeypatch, is_file)
    with (
        slow_server(0.2, context=context if tls else None) as url,
        patient(url, bundle) as session,
        pytest.raises(OutcomeUnknown, match="timed out.*the request was sent: "),
    ):
        session.post_body("api/x", body, if_lost=DOUBT)


_FILE = Attachment(1, "A matrix", "text/plain", "blobs/00000001")
_HASH = "0" * 40

# How each call of the library is made, of a session and with a file.
CALLS: dict[str, Callable[[Session, Path], object]] = {
    "login": lambda s, _: login(s.server, "token", timeout=(0.4, 0.4), retry_for=0),
    "user": lambda s, _: user(s),
    "Client.services": lambda s, _: Client(s).services(),
    "Client.service_detail": lambda s, _: Client(s).service_detail(_HASH),
    "Client.service_stats": lambda s, _: Client(s).service_stats(_HASH),
    "Client.create": lambda s, _: Client(s).create(_HASH),
    "Client.submit": lambda s, file: Client(s).submit(file, _HASH),
    "Client.upload": lambda s, file: Client(s).upload(1, file),
    "Client.make_ready": lambda s, _: Client(s).make_ready(1),
    "Client.tickets": lambda s, _: Client(s).tickets(),
    "Client.status": lambda s, _: Client(s).status(1),
    "Client.detail": lambda s, _: Client(s).detail(1),
    "Client.log": lambda s, _: Client(s).log(1),
    "Client.progress": lambda s, _: Client(s).progress(1),
    "Client.queue_position": lambda s, _: Client(s).queue_position(1),
    "Client.attachments": lambda s, _: Client(s).attachments(1),
    "Client.fetch_attachment": lambda s, f: Client(s).fetch_attachment(_FILE, f.parent / "got"),
    "Client.start_of_attachment": lambda s, _: Client(s).start_of_attachment(_FILE, 9),
    "Client.wait": lambda s, _: list(Client(s).wait(1)),
    "Client.files": lambda s, _: Client(s).files(1, "input"),
    "Client.download": lambda s, file: Client(s).download(1, file.parent / "got"),
    "Client.delete": lambda s, _: Client(s).delete(1),
    "Client.retry": lambda s, _: Client(s).retry(1),
    "Provider.services": lambda s, _: Provider(s).services(),
    "Provider.available": lambda s, _: Provider(s).available([_HASH]),
    "Provider.claim": lambda s, _: Provider(s).claim([_HASH], "lab", "x"),
    "Provider.wait_for_claim": lambda s, _: Provider(s).wait_for_claim([_HASH], "lab", "x"),
    "Provider.status": lambda s, _: Provider(s).status(1),
    "Provider.files": lambda s, _: Provider(s).files(1),
    "Provider.download": lambda s, file: Provider(s).download(1, file.parent / "got"),
    "Provider.log": lambda s, _: Provider(s).log(1, "info", "x"),
    "Provider.attach": lambda s, file: Provider(s).attach(1, "A matrix", file),
    "Provider.progress": lambda s, _: Provider(s).progress(1, 0.5),
    "Provider.reset_progress": lambda s, _: Provider(s).reset_progress(1),
    "Provider.upload": lambda s, file: Provider(s).upload(1, file),
    "Provider.send": lambda s, file: Provider(s).send(1, [file]),
    "Provider.succeed": lambda s, _: Provider(s).succeed(1),
    "Provider.fail": lambda s, _: Provider(s).fail(1, "x"),
    "Provider.set_status": lambda s, _: Provider(s).set_status(1, TicketStatus.FAILED),
    "Admin.providers": lambda s, _: Admin(s).providers(),
    "Admin.add_provider": lambda s, _: Admin(s).add_provider("lab"),
    "Admin.delete_provider": lambda s, _: Admin(s).delete_provider("lab"),
    "Admin.users": lambda s, _: Admin(s).users("lab"),
    "Admin.add_user": lambda s, _: Admin(s).add_user("lab", "user@example.org"),
    "Admin.delete_user": lambda s, _: Admin(s).delete_user("lab", 1),
    "Admin.services": lambda s, _: Admin(s).services("lab"),
    "Admin.add_service": lambda s, _: Admin(s).add_service("lab", "repository"),
    "Admin.delete_service": lambda s, _: Admin(s).delete_service("lab", _HASH),
    "Admin.tickets": lambda s, _: Admin(s).tickets(),
    "Admin.purge": lambda s, _: Admin(s).purge("completed", hours=1),
}


def test_every_call_has_its_row() -> None:
    public = {
        f"{kind.__name__}.{name}"
        for kind in (Client, Provider, Admin)
        for name, member in vars(kind).items()
        if not name.startswith("_") and callable(member)
    }
    assert set(CALLS) == public | {"login", "user"}


@pytest.fixture(scope="module")
def studied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace of one image."""
    folder = tmp_path_factory.mktemp("study")
    nibabel.save(nibabel.Nifti1Image(numpy.zeros((2, 3, 4)), numpy.eye(4)), folder / "scan.nii")
    study = Workspace()
    study.add_anatomical(folder / "scan.nii")
    return study.save(folder / "study.itksnap")


@pytest.fixture(scope="module")
def endless_server() -> Iterator[EndlessServer]:
    with EndlessServer(ANSWERS["header line"]) as server:
        yield server


@pytest.mark.parametrize("call", CALLS)
def test_every_call_is_given_up(endless_server: EndlessServer, studied: Path, call: str) -> None:
    with (
        quick(endless_server.url) as session,
        pytest.raises((NetworkFailed, OutcomeUnknown, Unfinished), match="timed out") as caught,
    ):
        CALLS[call](session, studied)
    assert str(caught.value).isprintable()

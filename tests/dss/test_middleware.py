from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

import dss.middleware
from dss import (
    Admin,
    Client,
    Middleware,
    MiddlewareFailed,
    NetworkFailed,
    NotLoggedIn,
    NotPermitted,
    Session,
)
from dss.login import login, user
from dss.middleware import ADMINISTRATOR
from tests import ports

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _started(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here, what is started is the process that is started everywhere but in tests."""
    monkeypatch.setattr("dss.middleware.Popen", subprocess.Popen)


def gone(pid: int) -> bool:
    """Whether a process ends; waits for it."""
    try:
        psutil.Process(pid).wait(300)
    except psutil.NoSuchProcess:
        return True
    except psutil.TimeoutExpired:
        return False
    return True


def test_it_listens_on_this_machine_only(middleware: Middleware) -> None:
    assert middleware.pid is not None
    listening = [
        one.laddr
        for one in psutil.Process(middleware.pid).net_connections("inet")
        if one.status == psutil.CONN_LISTEN
    ]
    assert listening == [("127.0.0.1", middleware.port)]


@pytest.mark.skipif(os.name != "posix", reason="sessions of processes are POSIX's")
def test_interrupt_from_the_keyboard_is_not_for_it(middleware: Middleware) -> None:
    """It is in a session of its own: the parent gets the interrupt, and stops it in order."""
    assert middleware.pid is not None
    assert os.getsid(middleware.pid) == middleware.pid
    assert os.getsid(middleware.pid) != os.getsid(0)


def test_users_are_no_administrators(
    middleware: Middleware, client: Client, open_session: Callable[[str], Session]
) -> None:
    with pytest.raises(NotPermitted):
        Admin(client.session).providers()
    assert isinstance(Admin(open_session(ADMINISTRATOR)).providers(), list)
    with pytest.raises(MiddlewareFailed, match=r"no user nobody@example\.org"):
        middleware.login("nobody@example.org")


def test_user_who_is_added_again(middleware: Middleware, new_user: Callable[[], str]) -> None:
    email = new_user()
    token = middleware.add_user(email, admin=True)
    with login(middleware.url, token) as session:
        assert user(session) == email
        assert isinstance(Admin(session).tickets(), list)


def test_a_token_that_was_given_out_stays_valid(tmp_path: Path, description: Path) -> None:
    """A login without a token, an offer and a restart leave it as it was: for one login."""
    with Middleware(tmp_path / "middleware") as middleware:
        tokens = {
            "a@example.org": middleware.add_user("a@example.org"),
            ADMINISTRATOR: middleware.add_user(ADMINISTRATOR, admin=True),
        }
        middleware.publish(description, "testlab")
        middleware.login("a@example.org").close()
        middleware.restart()
        for email, token in tokens.items():
            with login(middleware.url, token) as session:
                assert user(session) == email
            middleware.login(email).close()
            with pytest.raises(NotLoggedIn):
                login(middleware.url, token)


def test_restart_keeps_tickets_and_logins(tmp_path: Path, description: Path) -> None:
    with ports.reserved() as port, Middleware(tmp_path / "middleware", port=port) as middleware:
        url, pid = middleware.url, middleware.pid
        middleware.start()  # which leaves one that runs alone
        assert middleware.pid == pid
        service = middleware.publish(description, "testlab")
        middleware.add_user("a@example.org")
        with middleware.login("a@example.org") as session:
            client = Client(session)
            ticket = client.create(service)
            middleware.restart()
            assert (middleware.url, middleware.pid != pid) == (url, True)
            assert [one.id for one in client.tickets()] == [ticket]
        middleware.stop()
        middleware.stop()
        assert middleware.pid is None
        assert pid is not None
        assert gone(pid)
        with Session(url, retry_for=0) as session, pytest.raises(NetworkFailed):
            session.get_text("about")
    with Middleware(tmp_path / "middleware") as again:
        assert again.publish(description, "testlab") == service


def test_it_leaves_nothing_outside_of_its_folder(
    tmp_path: Path, description: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server itself never removes the clones that it makes of services."""
    temporary, folder = tmp_path / "temporary", tmp_path / "middleware"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    with Middleware(folder) as middleware:
        middleware.publish(description, "testlab")
        assert [*folder.glob("temporary-*/*/service.json")]
    assert not [*folder.glob("temporary-*")]
    assert list(temporary.iterdir()) == []


def test_it_stops_whatever_happens() -> None:
    middleware = Middleware()
    pids: list[int | None] = []

    def fail() -> None:
        with middleware:
            assert middleware.log.is_file()
            pids.append(middleware.pid)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert pids[0] is not None
    assert gone(pids[0])
    assert not middleware.folder.exists()


def test_it_stops_when_its_parent_is_killed(tmp_path: Path) -> None:
    program = (
        "import sys, time\n"
        "from dss import Middleware\n"
        "middleware = Middleware(sys.argv[1])\n"
        "middleware.start()\n"
        "print(middleware.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    words = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert psutil.pid_exists(pid)
        os.kill(parent.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
    assert gone(pid)


@pytest.mark.skipif(os.name != "posix", reason="signals of threads are POSIX's")
def test_a_signal_that_another_thread_gets_ends_the_wait(middleware: Middleware) -> None:
    """The system gives it to any thread where one starts processes, as a runner does."""

    def end(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGUSR1, end)
    other = threading.Timer(0.5, lambda: signal.pthread_kill(threading.get_ident(), signal.SIGUSR1))

    def wait() -> None:
        other.start()  # not before: what it raises is expected here only
        middleware.wait()

    try:
        with pytest.raises(KeyboardInterrupt):
            wait()
    finally:
        other.join()
        signal.signal(signal.SIGUSR1, before)


def test_environment_does_not_reach_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "1")
    monkeypatch.setenv("SERVER_SOFTWARE", "fcgi")
    monkeypatch.setenv("PHP_FCGI_CHILDREN", "1")
    monkeypatch.setenv("ALFABIS_NOAUTH", "")
    monkeypatch.setenv("ALFABIS_SQLITE_PATH", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "no repository"))
    with Middleware(tmp_path / "middleware") as middleware, Session(middleware.url) as session:
        with pytest.raises(Exception, match="not logged in"):
            session.get_text("api/services")
        (tmp_path / "service.json").write_text('{"name": "S", "version": "1", "shortdesc": ""}')
        assert len(middleware.publish(tmp_path, "lab")) == 40
    assert not (tmp_path / "elsewhere").exists()


def test_port_in_use_is_refused(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        middleware = Middleware(tmp_path, port=other.getsockname()[1])
        with pytest.raises(
            MiddlewareFailed,
            match=r"port \d+ cannot be used: [^(]*; choose another one \(--port\), or 0 ",
        ):
            middleware.start()
    assert middleware.pid is None


def test_a_free_port_that_another_server_takes_meanwhile_is_left_to_it(
    middleware: Middleware, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen, choose = [], dss.middleware._usable

    def usable(port: int) -> int:
        chosen.append(port)
        return middleware.port if len(chosen) == 1 else choose(port)

    monkeypatch.setattr(dss.middleware, "_usable", usable)
    with Middleware(tmp_path / "other") as other:
        assert other.port != middleware.port
        with other.login(ADMINISTRATOR) as session:
            assert user(session) == ADMINISTRATOR
    assert chosen == [0, 0]


@pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux is known to drop what a full queue cannot take"
)
def test_a_hundred_clients_at_once_wait_in_a_queue(middleware: Middleware) -> None:
    """A queue that is too short has the system reset connections on which a request was sent."""
    assert middleware.pid
    server = psutil.Process(middleware.pid)
    with ExitStack() as stack:
        server.suspend()
        stack.callback(server.resume)
        for _ in range(100):
            address = ("127.0.0.1", middleware.port)
            stack.enter_context(socket.create_connection(address, timeout=10))


def test_start_that_fails_shows_the_log(tmp_path: Path) -> None:
    (tmp_path / "db.sqlite3").mkdir()
    middleware = Middleware(tmp_path)
    with pytest.raises(MiddlewareFailed, match=r"did not start on port \d+.*\n(.*\n)*.*sqlite3"):
        middleware.start()
    assert middleware.pid is None


def test_missing_middleware_names_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dss.middleware.find_spec", lambda name: None)
    with pytest.raises(MiddlewareFailed, match=r"pip install 'snapws\[middleware\]'"):
        Middleware(tmp_path).start()


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("{", "is not JSON"),
        ("[]", "needs the texts name, version, shortdesc"),
        ('{"name": "S", "version": "1"}', "needs the texts"),
        ('{"name": "S", "version": 1.1, "shortdesc": ""}', "needs the texts"),
        (None, "No such file"),
    ],
)
def test_invalid_description_is_refused(
    middleware: Middleware, tmp_path: Path, text: str | None, part: str
) -> None:
    if text is not None:
        (tmp_path / "service.json").write_text(text)
    with pytest.raises(MiddlewareFailed, match=part):
        middleware.publish(tmp_path, "testlab")


def test_description_is_completed(middleware: Middleware, client: Client, service: str) -> None:
    detail = client.service_detail(service)
    assert (detail.long_description, detail.url) == (detail.description, "")


def test_missing_git_is_named(
    middleware: Middleware, description: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dss.middleware.shutil.which", lambda name: None)
    with pytest.raises(MiddlewareFailed, match="git is not installed"):
        middleware.publish(description, "testlab")


def test_failed_git_is_named(
    middleware: Middleware, description: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dss.middleware.shutil.which", lambda name: sys.executable)
    with pytest.raises(MiddlewareFailed, match=r"git init in .* failed: "):
        middleware.publish(description, "testlab")


def test_published_service_keeps_what_was_said(
    middleware: Middleware, description: Path, client: Client
) -> None:
    file = description / "service.json"
    told = {**json.loads(file.read_text(encoding="utf-8")), "longdesc": "L", "url": "http://x"}
    file.write_text(json.dumps(told), encoding="utf-8")
    detail = client.service_detail(middleware.publish(description, "testlab"))
    assert detail.json == told
    assert json.loads(file.read_text(encoding="utf-8")) == told


def test_the_note_of_another_on_the_same_port_stays(tmp_path: Path) -> None:
    """Of two that start at once on a port one gets it; it is known after the other has failed."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "db.sqlite3").touch()
    with Middleware(tmp_path / "own") as own:
        note = dss.middleware._note(own.port)
        assert note
        note.write_bytes(os.fsencode(other))
    assert note.exists()
    note.unlink()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows refuses what it has no room for")
def test_a_middleware_that_takes_no_connection_for_now_is_still_there(
    middleware: Middleware,
) -> None:
    """The system queues as many connections as a server has asked for; others wait."""
    with socket.socket() as busy, ExitStack() as stack:
        busy.bind(("127.0.0.1", 0))
        busy.listen(1)
        port = busy.getsockname()[1]
        while True:
            waiting = stack.enter_context(socket.socket())
            waiting.settimeout(0.2)
            if waiting.connect_ex(busy.getsockname()):
                break
        note = dss.middleware._note(port)
        assert note
        note.write_bytes(os.fsencode(middleware.folder))
        try:
            assert dss.middleware.running()[port] == middleware.folder
        finally:
            note.unlink(missing_ok=True)


def test_a_note_of_a_folder_that_is_gone_names_no_middleware(
    middleware: Middleware, tmp_path: Path
) -> None:
    """Another program has the port of one that was killed."""
    with socket.create_server(("127.0.0.1", 0)) as foreign:
        port = foreign.getsockname()[1]
        note = dss.middleware._note(port)
        assert note
        note.write_bytes(os.fsencode(tmp_path / "gone"))
        assert port not in dss.middleware.running()
        assert not note.exists()

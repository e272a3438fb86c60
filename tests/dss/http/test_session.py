from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Event, Timer
from unittest import mock

import pytest
import requests

from dss import (
    InvalidResponse,
    Middleware,
    NetworkFailed,
    NotLoggedIn,
    OutcomeUnknown,
    Refused,
    ServerFailed,
    Session,
    TransferFailed,
)
from dss.http.multipart import FileBody
from dss.http.retry import Attempts
from dss.http.session import COOKIE_NAME
from dss.parsing import read_int
from tests import ports
from tests.dss.raw_server import DROP, RawServer, answer
from tests.dss.serving.lab import until

ERROR = answer(b"internal server error", status="500 Internal Server Error")
BUSY = answer(b"later", status="503 Service Unavailable")
DOUBT = "it may be there; look"


def unframed(body: bytes) -> bytes:
    return b"HTTP/1.0 200 OK\r\n\r\n" + body


def post(session: Session, if_lost: str | None = DOUBT) -> str:
    return session.post_form("api/x", {"key": "wert ü&=+"}, if_lost=if_lost)


@pytest.mark.parametrize("failure", [ERROR, DROP, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"])
def test_get_is_repeated(raw: RawServer, failure: bytes) -> None:
    raw.answers = [failure, failure, failure, answer(b"yes")]
    with raw.session() as session:
        assert session.get_text("api/x") == "yes"
    assert raw.heads() == ["GET /api/x HTTP/1.1"] * 4


def test_get_is_repeated_for_a_while(raw: RawServer) -> None:
    raw.answers = [DROP]
    with raw.session(retry_for=2) as session:
        with pytest.raises(NetworkFailed, match="no answer from"):
            session.get_text("api/x")
        assert len(raw.requests) > 1
        session.retry_for = 0
        del raw.requests[:]
        with pytest.raises(NetworkFailed):
            session.get_text("api/x")
    assert len(raw.requests) == 1


def test_server_error_is_retried_a_few_times(raw: RawServer) -> None:
    """A 500 is also the server's answer to what it will never understand."""
    raw.answers = [ERROR]
    with Session(raw.url) as session:
        with pytest.raises(ServerFailed, match="internal server error") as caught:
            session.get_text("api/x")
        assert caught.value.status == 500
        assert len(raw.requests) == 4
        raw.answers = [unframed(b"part")]
        with pytest.raises(
            InvalidResponse, match="nothing tells whether the answer to GET api/x came w"
        ):
            session.get_text("api/x")
        assert len(raw.requests) == 8
    raw.answers = [BUSY] * 5 + [answer(b"yes")]
    with Session(raw.url) as session:
        assert session.get_text("api/x") == "yes"


def test_pauses_grow_up_to_the_end_of_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    now, pauses = [0.0], []

    class Clock(Event):
        def wait(self, timeout: float | None = None) -> bool:
            assert timeout is not None
            pauses.append(timeout)
            now[0] += timeout
            return False

    monkeypatch.setattr("dss.http.retry.time.monotonic", lambda: now[0])
    monkeypatch.setattr("dss.http.retry.random.uniform", lambda low, high: high)
    attempts = Attempts(30.0, None, Clock())
    now[0] = 1000.0  # how long the first try took does not count
    while attempts.pause(NetworkFailed("")):
        pass
    assert pauses == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 6.25]


def test_pauses_are_not_alike() -> None:
    seconds = {random_pause() for _ in range(20)}
    assert len(seconds) > 1
    assert all(0.125 <= one <= 0.25 for one in seconds)


def random_pause() -> float:
    broken = mock.Mock(wait=mock.Mock(return_value=False))
    assert Attempts(60.0, None, broken).pause(NetworkFailed(""))
    return float(broken.wait.call_args.args[0])


@pytest.mark.parametrize("failure", [ERROR, DROP, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"])
def test_what_changes_something_is_not_repeated(raw: RawServer, failure: bytes) -> None:
    raw.answers = [failure]
    with raw.session() as session:
        with pytest.raises(OutcomeUnknown) as caught:
            post(session)
        with pytest.raises(OutcomeUnknown):
            session.get_text("api/tickets/1/retry", if_lost=DOUBT)
    assert raw.heads() == ["POST /api/x HTTP/1.1", "GET /api/tickets/1/retry HTTP/1.1"]
    assert "POST api/x" in str(caught.value)
    assert str(caught.value).endswith(f"the request was sent: {DOUBT}")


def test_late_answer_to_a_post_leaves_a_doubt(raw: RawServer) -> None:
    raw.answers = [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"]
    raw.keep_alive = True  # so it neither goes on nor hangs up
    with Session(raw.url, timeout=(5, 0.3), retry_for=0.1) as session:
        with pytest.raises(OutcomeUnknown, match="timed out"):
            post(session)
        until(lambda: len(raw.requests) >= 1)
        assert len(raw.requests) == 1
        with pytest.raises(NetworkFailed, match="timed out"):
            session.get_text("api/x")
    until(lambda: len(raw.requests) >= 3)
    assert len(raw.requests) == 3


def test_call_ends_at_its_own_deadline(raw: RawServer) -> None:
    """Neither the time-outs nor the patience of the session prolong it."""
    raw.answers = [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"]
    raw.keep_alive = True
    with Session(raw.url) as session, pytest.raises(NetworkFailed, match="timed out"):
        session.get_text("api/x", within=3)
    until(lambda: len(raw.requests) >= 1)
    assert len(raw.requests) == 1


@pytest.mark.parametrize("at_once", [0, 60])
@pytest.mark.parametrize("framing", [answer, unframed])
def test_call_ends_at_its_own_deadline_although_bytes_come(
    raw: RawServer, at_once: int, framing: Callable[[bytes], bytes]
) -> None:
    """In the head of the answer, and in its body; the session is as good as before."""
    raw.answers = [framing(b"x" * 300), answer(b"yes")]
    raw.drips = at_once
    with raw.session() as session:
        with pytest.raises(NetworkFailed, match="timed out"):
            session.get_text("api/x", within=0.3)
        raw.drips = None
        assert session.get_text("api/x", within=30) == "yes"
        assert session.get_text("api/x") == "yes"


def test_aborted_session_makes_no_further_calls(raw: RawServer) -> None:
    """By another thread, in the middle of an answer or of a pause; nothing can be done any more."""
    raw.answers = [answer(b"x" * 300)]
    raw.drips = 60
    for retry_for in (0, 600):
        with raw.session(retry_for) as session:
            stop = Timer(0.3, session.abort)
            stop.start()
            with pytest.raises((NetworkFailed, ServerFailed)):
                session.get_text("api/x")
            stop.join()
            with pytest.raises(NetworkFailed):
                session.get_text("api/x")
        raw.answers, raw.drips = [BUSY], None


ASKED = "ticket 1 may be queued; ask for its status"


def change(session: Session, said: list[str | None]) -> str:
    """A call that asks what became of it, and is told what `said` says, in turn."""
    return session.post_form("api/x", {}, if_lost=ASKED, was_done=lambda: said.pop(0))


@pytest.mark.parametrize("failure", [ERROR, DROP, b"HTTP/1.1 200 OK\r\n\r\npart"])
def test_what_was_done_is_not_done_again(raw: RawServer, failure: bytes) -> None:
    raw.answers = [failure]
    with raw.session() as session:
        assert change(session, ["ready"]) == "ready"
    assert len(raw.requests) == 1


@pytest.mark.parametrize("body", ["<html>", "\xff"])
def test_answer_of_somebody_else_leaves_a_doubt(raw: RawServer, body: str) -> None:
    """As that of a captive portal does: it may have put it in the place of the right one."""
    raw.answers = [answer(body.encode("latin-1"))]
    with raw.session() as session:
        with pytest.raises(OutcomeUnknown, match=f"the request was sent: {DOUBT}"):
            session.post_form("api/x", {}, read_int, if_lost=DOUBT)
        assert session.post_form("api/x", {}, read_int, if_lost=ASKED, was_done=lambda: 7) == 7
        with pytest.raises(OutcomeUnknown, match=ASKED):
            session.post_form("api/x", {}, read_int, if_lost=ASKED, was_done=lambda: None)
        assert len(raw.requests) == 3
        with pytest.raises(InvalidResponse):
            session.get_text("api/x", read_int)
    assert len(raw.requests) == 4


@pytest.mark.parametrize("failure", [ERROR, DROP])
def test_what_was_not_done_is_sent_again(raw: RawServer, failure: bytes) -> None:
    raw.answers = [failure, failure, answer(b"yes")]
    with raw.session(retry_for=60) as session:
        assert change(session, [None, None]) == "yes"
    assert len(raw.requests) == 3


def test_refusal_of_a_repetition_is_no_refusal_of_the_call(raw: RawServer) -> None:
    """The first request came late: only the second was refused."""
    refused = answer(b"Ticket 1 not found for user 2", status="400 Bad Request")
    raw.answers = [DROP, refused]
    with raw.session() as session:
        assert change(session, [None, "ready"]) == "ready"
        raw.answers = [DROP, refused]
        with pytest.raises(Refused, match="Ticket 1 not found"):
            change(session, [None, None])
        raw.answers = [refused]
        with pytest.raises(Refused):
            change(session, [])


def test_refused_repetition_that_cannot_be_asked_about(raw: RawServer) -> None:
    def was_done() -> str | None:
        if len(raw.requests) > 1:
            raise NetworkFailed("away")
        return None

    raw.answers = [DROP, answer(b"not found", status="400 Bad Request")]
    with raw.session() as session, pytest.raises(OutcomeUnknown, match=ASKED):
        session.post_form("api/x", {}, if_lost=ASKED, was_done=was_done)


def test_what_cannot_be_asked_is_unknown(raw: RawServer) -> None:
    raw.answers = [DROP]
    with raw.session() as session:

        def was_done() -> str:
            return session.get_text("api/status")

        with pytest.raises(OutcomeUnknown, match=f"the request was sent: {ASKED}"):
            session.post_form("api/x", {}, if_lost=ASKED, was_done=was_done)
    assert raw.heads()[0] == "POST /api/x HTTP/1.1"
    assert set(raw.heads()[1:]) == {"GET /api/status HTTP/1.1"}


def test_request_that_is_never_seen_done_stays_unknown(raw: RawServer) -> None:
    """A request that was sent may still come."""
    raw.answers = [DROP]
    with raw.session(retry_for=0.1) as session, pytest.raises(OutcomeUnknown, match=ASKED):
        change(session, [None] * 1000)
    assert len(raw.requests) > 1


def test_post_without_doubt_is_repeated(raw: RawServer) -> None:
    raw.answers = [DROP, ERROR, BUSY, answer(b"yes")]
    with raw.session(retry_for=60) as session:
        assert post(session, if_lost=None) == "yes"


def test_post_that_never_left_is_repeated(raw: RawServer) -> None:
    """The server begins to listen only in the first pause."""
    started: list[RawServer] = []

    class Pause(Event):
        def wait(self, timeout: float | None = None) -> bool:
            started.append(RawServer(port))
            started[0].answers = [answer(b"done")]
            return False

    with ports.reserved() as port, Session(f"http://127.0.0.1:{port}") as session:
        session._connections.broken = Pause()
        assert post(session) == "done"
    started[0].close()
    assert len(started[0].requests) == 1


def test_unreachable_server_got_nothing(raw: RawServer) -> None:
    with (
        ports.reserved() as port,
        Session(f"http://127.0.0.1:{port}", retry_for=2.0) as session,
        pytest.raises(NetworkFailed, match="refused"),
    ):
        post(session)


def test_idle_connection_is_not_used_again(raw: RawServer, monkeypatch: pytest.MonkeyPatch) -> None:
    raw.keep_alive = True
    raw.answers = [answer(b"1")]
    with raw.session() as session:
        post(session)
        post(session)
        assert raw.connections == 1
        monkeypatch.setattr("dss.http.session._MAX_IDLE_ONCE", -1.0)
        session.get_text("api/x")  # which can be sent again, should it be closing
        assert raw.connections == 1
        post(session)
        assert raw.connections == 2
        monkeypatch.setattr("dss.http.session._MAX_IDLE", -1.0)
        session.get_text("api/x")
    assert raw.connections == 3


@pytest.mark.parametrize("failure", [ERROR, BUSY])
def test_connection_is_not_used_again_after_a_failure(raw: RawServer, failure: bytes) -> None:
    """The server may close it without a word, and then what is sent next would be in doubt."""
    raw.keep_alive = True
    raw.answers = [failure, answer(b"1")]
    with raw.session(retry_for=0) as session:
        with pytest.raises(ServerFailed):
            session.get_text("api/x")
        assert post(session) == "1"
    assert raw.connections == 2


def test_forms_are_utf8(raw: RawServer) -> None:
    raw.answers = [answer(b"1")]
    with raw.session() as session:
        session.post_form("api/x", {"message": "ü & \udc80"}, if_lost=DOUBT)
    assert raw.requests[0].endswith(b"\r\n\r\nmessage=%C3%BC+%26+%3F")


def test_answers_are_utf8(raw: RawServer) -> None:
    raw.answers = [answer("Größe 😀".encode(), "Content-Type: text/csv"), answer(b"\xfc")]
    with raw.session() as session:
        assert session.get_text("api/x") == "Größe 😀"
        with pytest.raises(InvalidResponse, match="UTF-8"):
            session.get_text("api/x")


def test_json_is_read_and_other_answers_are_refused(raw: RawServer) -> None:
    raw.answers = [answer(json.dumps({"a": [1]}).encode()), answer(b"<html>")]
    with raw.session() as session:
        assert session.get_json("api/x") == {"a": [1]}
        with pytest.raises(InvalidResponse, match="the server did not answer with JSON: '<html>'"):
            session.get_json("api/x")


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
def test_json_has_no_such_numbers(raw: RawServer, word: str) -> None:
    raw.answers = [answer(f'{{"progress": {word}}}'.encode())]
    with raw.session() as session, pytest.raises(InvalidResponse, match="did not answer with JSON"):
        session.get_json("api/x")


def test_redirect_is_not_followed(raw: RawServer) -> None:
    raw.answers = [answer(b"", f"Location: {raw.url}/elsewhere\x1b[0m", status="303 See Other")]
    with Session(raw.url, cookie="secret") as session, pytest.raises(InvalidResponse) as caught:
        session.get_text("api/x")
    assert f"redirects to {raw.url}/elsewhere [0m (303 to GET api/x)" in str(caught.value)
    assert len(raw.requests) == 1


@pytest.mark.parametrize("status", ["204 No Content", "206 Partial Content"])
def test_unexpected_success_status_is_an_invalid_response(raw: RawServer, status: str) -> None:
    raw.answers = [answer(b"", status=status)]
    with raw.session() as session, pytest.raises(InvalidResponse, match=status[:3]):
        session.get_text("api/x")


def test_refusal_shows_little_of_the_text(raw: RawServer) -> None:
    raw.answers = [answer(b"\x1b[2Jno\xff" + b"z" * 9999, status="400 Bad Request")]
    with raw.session() as session, pytest.raises(Refused) as caught:
        session.get_text("api/x")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400
    assert len(raw.requests) == 1


def test_endless_text_is_cut(raw: RawServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dss.http.responses._MAX_TEXT", 1000)
    raw.answers = [answer(b"x" * 1001)]
    with raw.session() as session, pytest.raises(InvalidResponse, match="more than"):
        session.get_text("api/x")


def test_compressed_answer_is_refused(raw: RawServer, tmp_path: Path) -> None:
    raw.answers = [answer(b"\x1f\x8b", "Content-Encoding: gzip")]
    with raw.session() as session, pytest.raises(InvalidResponse, match="Content-Encoding gzip"):
        session.get_file("api/x", tmp_path / "x")
    assert b"\r\nAccept-Encoding: identity\r\n" in raw.requests[0]


def test_new_cookie_replaces_the_restored_one(raw: RawServer) -> None:
    """The server sets its cookie with every answer; it must replace the restored one."""
    raw.answers = [
        answer(b"", f"Set-Cookie: {COOKIE_NAME}=two; HttpOnly; Path=/", "Set-Cookie: other=1"),
        answer(b""),
    ]
    with Session(raw.url, cookie="one") as session:
        session.get_text("api/x")
        session.get_text("api/x")
        assert session.cookie is not None
        assert session.cookie.value == "two"
    sent = [line for r in raw.requests for line in r.split(b"\r\n") if line.startswith(b"Cookie:")]
    assert sent[0] == b"Cookie: webpy_session_id=one"
    assert sorted(sent[1][8:].split(b"; ")) == [b"other=1", b"webpy_session_id=two"]


def test_restored_cookie_for_a_name_without_dots() -> None:
    session = Session("http://localhost:1", cookie="one")
    assert session.cookie is not None
    assert session.cookie.domain == "localhost.local"


def test_netrc_and_proxy_have_no_say(
    raw: RawServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    raw.answers = [answer(b"")]
    with raw.session() as session:
        session.get_text("api/x")
    assert b"authorization" not in raw.requests[0].lower()


def test_secrets_are_not_shown() -> None:
    assert repr(Session("https://dss.example.org/", cookie="secret")) == (
        "Session('https://dss.example.org')"
    )


@pytest.mark.parametrize(
    "url",
    ["", "dss.itksnap.org", "ftp://host", "http://", "http://u:p@host", "https://h/?q", "x:/"],
)
def test_invalid_url_is_refused(url: str) -> None:
    with pytest.raises(NetworkFailed, match="not the URL of a server"):
        Session(url)


@pytest.mark.parametrize(
    ("url", "server", "host"),
    [
        (" https://Dss.example.org/ ", "https://Dss.example.org", "dss.example.org"),
        ("http://[::1]:80/dss//", "http://[::1]:80/dss", "::1"),
    ],
)
def test_url_is_split_into_server_and_host(url: str, server: str, host: str) -> None:
    session = Session(url)
    assert (session.server, session.host) == (server, host)


def test_downloaded_file_has_its_size_name_and_hash(raw: RawServer, tmp_path: Path) -> None:
    raw.answers = [
        answer(b"abc", 'Content-Disposition: attachment; filename="a "b".nii.gz"'),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\nabc",
    ]
    sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    with raw.session() as session:
        answers = list(raw.answers)
        got = [session.get_file("api/x", tmp_path / "x") for _ in range(3)]
        raw.answers = list(answers)
        digests = [session.get_digest("api/x") for _ in range(3)]
        raw.answers = list(answers)
        starts = [session.get_start("api/x", size) for size in (1, 3, 9)]
    assert [(r.name, r.length_given, r.chunked) for r in got] == [
        ('a "b".nii.gz', True, False),
        (None, False, True),
        (None, False, False),
    ]
    assert {r.size for r in got} == {3}
    assert digests == [(r.name, sha256) for r in got]
    assert starts == [(r.name, start) for r, start in zip(got, (b"a", b"abc", b"abc"), strict=True)]


@pytest.mark.parametrize(
    "short",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    ],
)
def test_truncated_file_is_fetched_again(raw: RawServer, tmp_path: Path, short: bytes) -> None:
    raw.answers = [short, answer(b"abcde")]
    with raw.session() as session:
        assert session.get_file("api/x", tmp_path / "x").size == 5
        assert (tmp_path / "x").read_bytes() == b"abcde"
        raw.answers = [short]
        with pytest.raises(TransferFailed, match="the file was cut off"):
            session.get_file("api/x", tmp_path / "x")


def test_bytes_are_counted(raw: RawServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Older releases of urllib3 take the end of the connection for the end of the file."""
    strict = requests.Response.iter_content

    def lenient(response: requests.Response, size: int) -> Iterator[bytes]:
        with suppress(requests.RequestException):
            yield from strict(response, size)

    monkeypatch.setattr(requests.Response, "iter_content", lenient)
    raw.answers = [b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc"]
    with raw.session() as session, pytest.raises(TransferFailed, match="of 5 bytes"):
        session.get_file("api/x", tmp_path / "x")


def test_body_is_sent_again_whole(raw: RawServer, tmp_path: Path) -> None:
    """A connection that was not opened may be opened again: the body starts anew."""
    (tmp_path / "f").write_bytes(b"content")
    body = FileBody(tmp_path / "f", "f", {"desc": "ü"})
    assert b"".join(body) == b"".join(body)
    raw.answers = [answer(b"1")]
    with raw.session() as session:
        session.post_body("api/x", body, if_lost=DOUBT)
    head, _, sent = raw.requests[0].partition(b"\r\n\r\n")
    assert sent == b"".join(body)
    assert f"Content-Length: {len(body)}".encode() in head
    assert b"chunked" not in head.lower()


def test_unknown_cookie_is_not_logged_in(middleware: Middleware) -> None:
    with Session(middleware.url, cookie="0" * 40) as session, pytest.raises(NotLoggedIn):
        session.get_text("api/services")


def test_file_of_the_system_that_cannot_be_written(raw: RawServer, tmp_path: Path) -> None:
    raw.answers = [answer(b"abc")]
    with raw.session() as session, pytest.raises(FileNotFoundError):
        session.get_file("api/x", tmp_path / "missing" / "x")
    assert len(raw.requests) == 1


def claim(session: Session) -> None:
    session.post_form(
        "api/pro/services/claims", {"provider": "p"}, if_lost="a ticket may be claimed"
    )


def test_a_lost_answer_behind_a_proxy_is_not_asked_for_again(
    raw: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy takes the request and closes: the far side may have done what was asked."""
    monkeypatch.setenv("http_proxy", raw.url)
    raw.answers = [DROP]
    with Session("http://dss.example.org") as session, pytest.raises(OutcomeUnknown):
        claim(session)
    assert len(raw.requests) == 1


def test_a_proxy_that_is_not_there_was_sent_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with Session("http://dss.example.org", retry_for=0) as session, pytest.raises(NetworkFailed):
        claim(session)


def test_what_the_caller_is_handling_says_nothing_about_a_call(raw: RawServer) -> None:
    """A lost answer stays one, also while an unreachable server is being dealt with."""
    raw.answers = [DROP]
    with raw.session() as session, Session("http://127.0.0.1:1", retry_for=0) as nowhere:
        try:
            nowhere.get_text("about")
        except NetworkFailed:
            with pytest.raises(OutcomeUnknown):
                claim(session)
    assert len(raw.requests) == 1


@pytest.mark.parametrize("verify", ["", 0])
def test_empty_name_of_a_bundle_is_refused(verify: str) -> None:
    """The libraries below would take it for: trust anybody."""
    with pytest.raises(NetworkFailed, match="empty name is not a bundle"):
        Session("https://127.0.0.1:1", verify=verify)


@pytest.mark.parametrize(
    "odd",
    [
        answer(b"x", "Location: /there", status="302 Found"),
        answer(b"x", status="206 Partial Content"),
        answer(b"x", "Content-Encoding: gzip"),
    ],
)
def test_odd_answer_to_what_changes_something_leaves_a_doubt(raw: RawServer, odd: bytes) -> None:
    raw.answers = [odd]
    with raw.session() as session, pytest.raises(OutcomeUnknown, match=DOUBT):
        post(session)
    assert len(raw.requests) == 1


def test_rubbish_in_answer_to_the_question_leaves_a_doubt(raw: RawServer) -> None:
    raw.answers = [DROP, answer(b"<html>")]
    with raw.session() as session:

        def was_done() -> str | None:
            return session.get_text("api/x", read_int) and None

        with pytest.raises(OutcomeUnknown, match=DOUBT):
            session.post_form("api/x", {}, read_int, if_lost=DOUBT, was_done=was_done)


def test_password_in_the_address_is_not_repeated() -> None:
    with pytest.raises(NetworkFailed) as caught:
        Session("https://jane:hunter2@host")
    assert "hunter2" not in str(caught.value)


def test_url_scheme_in_capitals_is_accepted(raw: RawServer) -> None:
    raw.answers = [answer(b"1")]
    with Session(raw.url.replace("http", "HTTP")) as session:
        assert session.get_text("api/x") == "1"


def test_login_is_sent_to_an_address_of_version_6() -> None:
    with Session("http://[::1]:1", cookie="abc") as session:
        request = requests.Request("GET", "http://[::1]:1/api/x", cookies=session._http.cookies)
        assert request.prepare().headers["Cookie"] == f"{COOKIE_NAME}=abc"


def test_interrupt_in_the_middle_of_a_call_says_what_may_have_happened(
    raw: RawServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with raw.session() as session:
        monkeypatch.setattr(session._http, "request", mock.Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            post(session)
    assert DOUBT in caplog.text

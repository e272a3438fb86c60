from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import requests

from dss import (
    BadAnswer,
    Middleware,
    NetworkFailed,
    NotLoggedIn,
    OutcomeUnknown,
    Refused,
    ServerFailed,
    Session,
    TransferFailed,
)
from dss.session import COOKIE_NAME
from dss.transfer import FileBody
from tests.dss.raw_server import DROP, RawServer, answer

ERROR = answer(b"internal server error", status="500 Internal Server Error")
DOUBT = "it may be there; look"


def post(session: Session, doubt: str | None = DOUBT) -> str:
    return session.post_form("api/x", {"key": "wert ü&=+"}, doubt=doubt)


@pytest.mark.parametrize("failure", [ERROR, DROP, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"])
def test_get_is_repeated(raw: RawServer, failure: bytes) -> None:
    raw.answers = [failure, failure, failure, answer(b"yes")]
    with Session(raw.url) as session:
        assert session.get_text("api/x") == "yes"
    assert raw.heads() == ["GET /api/x HTTP/1.1"] * 4


def test_get_is_repeated_a_few_times_only(raw: RawServer) -> None:
    raw.answers = [ERROR]
    with Session(raw.url) as session, pytest.raises(ServerFailed, match="internal server error"):
        session.get_text("api/x")
    raw.answers = [DROP]
    with Session(raw.url) as session, pytest.raises(NetworkFailed, match="no answer from"):
        session.get_text("api/x")
    assert len(raw.requests) == 8


@pytest.mark.parametrize("failure", [ERROR, DROP, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"])
def test_what_changes_something_is_not_repeated(raw: RawServer, failure: bytes) -> None:
    raw.answers = [failure]
    with Session(raw.url) as session:
        with pytest.raises(OutcomeUnknown) as caught:
            post(session)
        with pytest.raises(OutcomeUnknown):
            session.get_text("api/tickets/1/retry", doubt=DOUBT)
    assert raw.heads() == ["POST /api/x HTTP/1.1", "GET /api/tickets/1/retry HTTP/1.1"]
    assert "POST api/x" in str(caught.value)
    assert str(caught.value).endswith(f"the request was sent: {DOUBT}")


def test_late_answer(raw: RawServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dss.session.PAUSES", (0.0,))
    raw.answers = [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"]
    raw.keep_alive = True  # so it neither goes on nor hangs up
    with Session(raw.url, timeout=(5, 0.4)) as session:
        with pytest.raises(OutcomeUnknown, match="timed out"):
            post(session)
        assert len(raw.requests) == 1
        with pytest.raises(NetworkFailed, match="timed out"):
            session.get_text("api/x")
    assert len(raw.requests) == 3


def test_post_without_doubt_is_repeated(raw: RawServer) -> None:
    raw.answers = [DROP, answer(b"yes")]
    with Session(raw.url) as session:
        assert post(session, doubt=None) == "yes"


def test_post_that_never_left_is_repeated(raw: RawServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server begins to listen only in the first pause."""
    late = RawServer()
    late.answers = [answer(b"done")]
    late.close()
    started: list[RawServer] = []

    def pause(_: float) -> None:
        started.append(RawServer(late.port))
        started[0].answers = [answer(b"done")]

    monkeypatch.setattr("dss.session.time.sleep", pause)
    with Session(late.url) as session:
        assert post(session) == "done"
    started[0].close()
    assert len(started[0].requests) == 1


def test_unreachable_server_got_nothing(raw: RawServer) -> None:
    gone = RawServer()
    gone.close()
    with Session(gone.url) as session, pytest.raises(NetworkFailed, match="refused"):
        post(session)


def test_idle_connection_is_not_used_again(raw: RawServer, monkeypatch: pytest.MonkeyPatch) -> None:
    raw.keep_alive = True
    raw.answers = [answer(b"1")]
    with Session(raw.url) as session:
        post(session)
        post(session)
        assert raw.connections == 1
        monkeypatch.setattr("dss.session._MAX_IDLE", -1.0)
        post(session)
    assert raw.connections == 2


def test_forms_are_utf8(raw: RawServer) -> None:
    raw.answers = [answer(b"1")]
    with Session(raw.url) as session:
        session.post_form("api/x", {"message": "ü & \udc80"}, doubt=DOUBT)
    assert raw.requests[0].endswith(b"\r\n\r\nmessage=%C3%BC+%26+%3F")


def test_answers_are_utf8(raw: RawServer) -> None:
    raw.answers = [answer("Größe 😀".encode(), "Content-Type: text/csv"), answer(b"\xfc")]
    with Session(raw.url) as session:
        assert session.get_text("api/x") == "Größe 😀"
        with pytest.raises(BadAnswer, match="UTF-8"):
            session.get_text("api/x")


def test_json(raw: RawServer) -> None:
    raw.answers = [answer(json.dumps({"a": [1]}).encode()), answer(b"<html>")]
    with Session(raw.url) as session:
        assert session.get_json("api/x") == {"a": [1]}
        with pytest.raises(BadAnswer, match="did not answer with JSON: '<html>'"):
            session.get_json("api/x")


def test_redirect_is_not_followed(raw: RawServer) -> None:
    raw.answers = [answer(b"", f"Location: {raw.url}/elsewhere\x1b[0m", status="303 See Other")]
    with Session(raw.url, cookie="secret") as session, pytest.raises(BadAnswer) as caught:
        session.get_text("api/x")
    assert f"redirects to {raw.url}/elsewhere [0m (303 to GET api/x)" in str(caught.value)
    assert len(raw.requests) == 1


@pytest.mark.parametrize("status", ["204 No Content", "206 Partial Content"])
def test_other_success_is_none(raw: RawServer, status: str) -> None:
    raw.answers = [answer(b"", status=status)]
    with Session(raw.url) as session, pytest.raises(BadAnswer, match=status[:3]):
        session.get_text("api/x")


def test_refusal_shows_little_of_the_text(raw: RawServer) -> None:
    raw.answers = [answer(b"\x1b[2Jno\xff" + b"z" * 9999, status="400 Bad Request")]
    with Session(raw.url) as session, pytest.raises(Refused) as caught:
        session.get_text("api/x")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400
    assert len(raw.requests) == 1


def test_endless_text_is_cut(raw: RawServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dss.session._MAX_TEXT", 1000)
    raw.answers = [answer(b"x" * 1001)]
    with Session(raw.url) as session, pytest.raises(BadAnswer, match="more than"):
        session.get_text("api/x")


def test_compressed_answer_is_refused(raw: RawServer, tmp_path: Path) -> None:
    raw.answers = [answer(b"\x1f\x8b", "Content-Encoding: gzip")]
    with Session(raw.url) as session, pytest.raises(BadAnswer, match="gzip unasked"):
        session.get_file("api/x", tmp_path / "x")
    assert b"\r\nAccept-Encoding: identity\r\n" in raw.requests[0]


def test_one_cookie(raw: RawServer) -> None:
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
    with Session(raw.url) as session:
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
def test_no_url(url: str) -> None:
    with pytest.raises(NetworkFailed, match="not the URL of a server"):
        Session(url)


@pytest.mark.parametrize(
    ("url", "server", "host"),
    [
        (" https://Dss.example.org/ ", "https://Dss.example.org", "dss.example.org"),
        ("http://[::1]:80/dss//", "http://[::1]:80/dss", "::1"),
    ],
)
def test_url(url: str, server: str, host: str) -> None:
    session = Session(url)
    assert (session.server, session.host) == (server, host)


def test_file_is_counted_and_digested(raw: RawServer, tmp_path: Path) -> None:
    raw.answers = [
        answer(b"abc", 'Content-Disposition: attachment; filename="a "b".nii.gz"'),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\nabc",
    ]
    sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    with Session(raw.url) as session:
        got = [session.get_file("api/x", tmp_path / "x") for _ in range(3)]
    assert [(r.name, r.length_given, r.chunked) for r in got] == [
        ('a "b".nii.gz', True, False),
        (None, False, True),
        (None, False, False),
    ]
    assert {(r.size, r.sha256) for r in got} == {(3, sha256)}


@pytest.mark.parametrize(
    "short",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    ],
)
def test_short_file(raw: RawServer, tmp_path: Path, short: bytes) -> None:
    raw.answers = [short, answer(b"abcde")]
    with Session(raw.url) as session:
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
    with Session(raw.url) as session, pytest.raises(TransferFailed, match="of 5 bytes"):
        session.get_file("api/x", tmp_path / "x")


def test_body_is_sent_again_whole(raw: RawServer, tmp_path: Path) -> None:
    """A connection that was not opened may be opened again: the body starts anew."""
    (tmp_path / "f").write_bytes(b"content")
    body = FileBody(tmp_path / "f", "f", {"desc": "ü"})
    assert b"".join(body) == b"".join(body)
    raw.answers = [answer(b"1")]
    with Session(raw.url) as session:
        session.post_body("api/x", body, doubt=DOUBT)
    head, _, sent = raw.requests[0].partition(b"\r\n\r\n")
    assert sent == b"".join(body)
    assert f"Content-Length: {len(body)}".encode() in head
    assert b"chunked" not in head.lower()


def test_unknown_session(middleware: Middleware) -> None:
    with Session(middleware.url, cookie="0" * 40) as session, pytest.raises(NotLoggedIn):
        session.get_text("api/services")


def test_file_of_the_system_that_cannot_be_written(raw: RawServer, tmp_path: Path) -> None:
    raw.answers = [answer(b"abc")]
    with Session(raw.url) as session, pytest.raises(FileNotFoundError):
        session.get_file("api/x", tmp_path / "missing" / "x")
    assert len(raw.requests) == 1


def claim(session: Session) -> None:
    session.post_form("api/pro/services/claims", {"provider": "p"}, doubt="a ticket may be claimed")


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
    monkeypatch.setattr("dss.session.PAUSES", ())
    with Session("http://dss.example.org") as session, pytest.raises(NetworkFailed):
        claim(session)


def test_what_the_caller_is_handling_says_nothing_about_a_call(raw: RawServer) -> None:
    """A lost answer stays one, also while an unreachable server is being dealt with."""
    raw.answers = [DROP]
    with Session(raw.url) as session, Session("http://127.0.0.1:1") as nowhere:
        try:
            nowhere.get_text("about")
        except NetworkFailed:
            with pytest.raises(OutcomeUnknown):
                claim(session)
    assert len(raw.requests) == 1

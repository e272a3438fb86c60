"""Who is trusted: certificates, bundles, proxies, redirects."""

from __future__ import annotations

import datetime
import logging
import ssl
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
import trustme

from dss import (
    Client,
    InvalidResponse,
    Middleware,
    NetworkFailed,
    NotLoggedIn,
    OutcomeUnknown,
    Provider,
    Session,
)
from dss.login import login, user
from tests.dss.raw_server import DROP, RawServer, answer
from tests.dss.tls import Forwarder, self_signed

PAST = datetime.datetime(2020, 1, 2, tzinfo=datetime.timezone.utc)


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "https_proxy", "HTTPS_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def bundle(authority: trustme.CA, tmp_path: Path) -> str:
    authority.cert_pem.write_to_path(tmp_path / "bundle.pem")
    return str(tmp_path / "bundle.pem")


@pytest.fixture
def tls(middleware: Middleware) -> Iterator[Callable[[ssl.SSLContext], Forwarder]]:
    """Puts TLS in front of the middleware."""
    forwarders: list[Forwarder] = []

    def put(context: ssl.SSLContext) -> Forwarder:
        forwarders.append(Forwarder(middleware.port, context=context))
        return forwarders[-1].__enter__()

    yield put
    for forwarder in forwarders:
        forwarder.__exit__()


def context(certificate: trustme.LeafCert | Path) -> ssl.SSLContext:
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    if isinstance(certificate, Path):
        made.load_cert_chain(certificate)
    else:
        certificate.configure_cert(made)
    return made


def test_trusted_certificate_is_accepted(
    authority: trustme.CA,
    bundle: str,
    tls: Callable[[ssl.SSLContext], Forwarder],
    middleware: Middleware,
    new_user: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    front = tls(context(authority.issue_cert("127.0.0.1")))
    token = middleware.add_user(email := new_user())
    with login(front.url, token, verify=bundle) as session:
        assert user(session) == email
        with session.clone() as second:
            assert Client(second).tickets() == []
        assert session.cookie is not None
        cookie = session.cookie.value
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        with monkeypatch.context() as patch:
            patch.setenv(variable, bundle)
            with Session(front.url, cookie=cookie) as session:
                assert user(session) == email


@pytest.mark.parametrize(
    ("which", "words"),
    [
        ("unknown authority", "unable to get (local )?issuer certificate"),
        ("self-signed", "self-signed certificate"),
        ("wrong host", "certificate is not valid for '127.0.0.1'"),
        ("expired", "certificate has expired"),
    ],
)
def test_untrusted_certificate_is_refused(
    authority: trustme.CA,
    bundle: str,
    tls: Callable[[ssl.SSLContext], Forwarder],
    tmp_path: Path,
    which: str,
    words: str,
) -> None:
    """It is told at once, and nothing is sent: there is no doubt either."""
    kinds = {
        "unknown authority": lambda: trustme.CA().issue_cert("127.0.0.1"),
        "self-signed": lambda: self_signed(tmp_path),
        "wrong host": lambda: authority.issue_cert("dss.example.org"),
        "expired": lambda: authority.issue_cert(
            "127.0.0.1", not_before=PAST - datetime.timedelta(days=9), not_after=PAST
        ),
    }
    front = tls(context(kinds[which]()))
    message = f"its certificate is not trusted: .*{words}.*; where your network has"
    for verify in (bundle, True) if which == "self-signed" else (bundle,):
        with Session(front.url, cookie="secret", verify=verify) as session:
            for call in (
                lambda session=session: session.get_text("api/tickets"),
                lambda session=session: claim(session),
            ):
                with pytest.raises(NetworkFailed, match=message) as caught:
                    call()
                assert "secret" not in str(caught.value)
    assert front.seen == b""


def test_self_signed_certificate_as_its_own_bundle(
    tls: Callable[[ssl.SSLContext], Forwarder], tmp_path: Path
) -> None:
    certificate = self_signed(tmp_path)
    front = tls(context(certificate))
    with Session(front.url, verify=str(certificate)) as session, pytest.raises(NotLoggedIn):
        session.get_text("api/tickets")


def test_no_verification_is_silent(
    tls: Callable[[ssl.SSLContext], Forwarder],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    bundle: str,
) -> None:
    """Whoever asks for it is warned once, by the command line. The environment does not undo it."""
    front = tls(context(self_signed(tmp_path)))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", bundle)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with Session(front.url, verify=False) as session, pytest.raises(NotLoggedIn):
            session.get_text("api/tickets")
    assert caught == []


def test_missing_bundle_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = str(tmp_path / "missing.pem")
    with pytest.raises(
        NetworkFailed, match=r"no bundle of certificate authorities: .*missing\.pem"
    ):
        Session("https://127.0.0.1", verify=missing)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", missing)
    with pytest.raises(
        NetworkFailed, match=r"no bundle of certificate authorities: .*missing\.pem"
    ):
        Session("https://127.0.0.1")
    Session("https://127.0.0.1", verify=False).close()


def test_bundle_without_certificates_is_refused(
    tls: Callable[[ssl.SSLContext], Forwarder], tmp_path: Path
) -> None:
    (tmp_path / "bundle.pem").write_text("no certificates")
    front = tls(context(self_signed(tmp_path)))
    with (
        Session(front.url, verify=str(tmp_path / "bundle.pem"), retry_for=0) as session,
        pytest.raises(NetworkFailed),
    ):
        session.get_text("api/tickets")


def test_proxy_sees_no_login(
    authority: trustme.CA,
    bundle: str,
    tls: Callable[[ssl.SSLContext], Forwarder],
    middleware: Middleware,
    new_user: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    front = tls(context(authority.issue_cert("dss.example.org")))
    token = middleware.add_user(email := new_user())
    with Forwarder(front.port, tunnel="200 Connected") as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", bundle)
        with login("https://dss.example.org", token) as session:
            assert user(session) == email
            assert session.cookie is not None
            assert str(session.cookie.value).encode() in front.seen
            assert str(session.cookie.value).encode() not in proxy.seen
        assert token.encode() not in proxy.seen
        assert proxy.seen.startswith(b"CONNECT dss.example.org:443 ")


def test_proxy_that_refuses_was_sent_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even a call with a doubt is in doubt."""
    with Forwarder(1, tunnel="403 Forbidden") as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        with (
            Session("https://dss.example.org", retry_for=0) as session,
            pytest.raises(NetworkFailed, match="Tunnel connection failed: 403 Forbidden"),
        ):
            claim(session)


BREAKS = ["reset", "close", "swallow"]


def claim(session: Session) -> object:
    return Provider(session).claim(["0" * 40], "lab", "x")


def quick(url: str, bundle: str) -> Session:
    """A session that gives up soon."""
    return Session(url, verify=bundle, timeout=(0.3, 5), retry_for=0)


@pytest.mark.parametrize("fault", BREAKS)
def test_broken_handshake_leaves_no_doubt(
    authority: trustme.CA,
    bundle: str,
    tls: Callable[[ssl.SSLContext], Forwarder],
    fault: str,
) -> None:
    """Nothing has left before the handshake is done."""
    front = tls(context(authority.issue_cert("127.0.0.1")))
    front.faults = [fault]
    with quick(front.url, bundle) as session, pytest.raises(NetworkFailed, match="no answer from"):
        claim(session)
    assert front.seen == b""


def test_claim_after_broken_handshakes_is_made_once(
    authority: trustme.CA,
    bundle: str,
    tls: Callable[[ssl.SSLContext], Forwarder],
    client: Client,
    provider: Provider,
    service: str,
    impatient: None,
) -> None:
    client.make_ready(ticket := client.create(service))
    front = tls(context(authority.issue_cert("127.0.0.1")))
    front.faults = list(BREAKS)
    assert provider.session.cookie is not None
    with quick(front.url, bundle) as session:
        session.retry_for = 30
        session._http.cookies.set_cookie(provider.session.cookie)
        claimed = Provider(session).claim([service], "testlab", "x")
    assert claimed is not None
    assert claimed.ticket == ticket
    assert front.seen.count(b"POST /api/pro/services/claims") == 1


@pytest.mark.parametrize("fault", BREAKS)
@pytest.mark.parametrize("where", ["at the proxy", "behind it"])
def test_broken_tunnel_leaves_no_doubt(
    authority: trustme.CA,
    bundle: str,
    tls: Callable[[ssl.SSLContext], Forwarder],
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
    where: str,
) -> None:
    front = tls(context(authority.issue_cert("dss.example.org")))
    with Forwarder(front.port, tunnel="200 Connected") as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        (proxy if where == "at the proxy" else front).faults = [fault]
        with (
            quick("https://dss.example.org", bundle) as session,
            pytest.raises(NetworkFailed, match="no answer from"),
        ):
            claim(session)
    assert front.seen == b""


@pytest.mark.parametrize("tunnel", ["", "200 Connected"])
def test_lost_answer_on_a_used_connection_leaves_a_doubt(
    authority: trustme.CA,
    bundle: str,
    raw: RawServer,
    monkeypatch: pytest.MonkeyPatch,
    tunnel: str,
) -> None:
    """It was made before, with TLS and all: what fails then may have been done."""
    raw.keep_alive = True
    raw.answers = [answer(b"0.5"), DROP]
    leaf = context(authority.issue_cert("127.0.0.1", "dss.example.org"))
    with (
        Forwarder(raw.port, context=leaf) as front,
        Forwarder(front.port, tunnel=tunnel) as proxy,
        monkeypatch.context() as patch,
    ):
        if tunnel:
            patch.setenv("https_proxy", proxy.url)
        with Session("https://dss.example.org" if tunnel else front.url, verify=bundle) as session:
            assert Client(session).progress(1) == 0.5
            with pytest.raises(OutcomeUnknown, match="the request was sent"):
                claim(session)
    assert raw.connections == 1
    assert len(raw.requests) == 2


def test_call_ends_at_its_own_deadline_although_bytes_come(
    authority: trustme.CA, bundle: str, raw: RawServer
) -> None:
    raw.answers = [answer(b"x" * 300)]
    raw.drips = 60
    with (
        Forwarder(raw.port, context=context(authority.issue_cert("127.0.0.1"))) as front,
        Session(front.url, verify=bundle, timeout=(30, 5), retry_for=0) as session,
    ):
        with pytest.raises(NetworkFailed, match="timed out"):
            session.get_text("api/x", within=0.5)
        raw.drips = None
        assert session.get_text("api/x") == "x" * 300


def test_answer_in_the_clear_leaves_a_doubt(
    authority: trustme.CA, bundle: str, tls: Callable[[ssl.SSLContext], Forwarder]
) -> None:
    """As a firewall gives it that does not like the request; it looks as if TLS were not spoken."""
    front = tls(context(authority.issue_cert("127.0.0.1")))
    front.faults = ["block"]
    with (
        Session(front.url, verify=bundle, retry_for=0) as session,
        pytest.raises(OutcomeUnknown, match="was sent"),
    ):
        claim(session)
    assert front.seen.startswith(b"POST ")


SECRETS = [
    "http://jane:hunter2@127.0.0.1:99999",
    "http://jane:hunter2/x@127.0.0.1:9",
    "http://jane:hun#hunter2@127.0.0.1:9",
    "http://jane:hunter2@",
    "http://jane:hunter2€@127.0.0.1:9",
    "http://jane:hunter2@ho st:9",
    "http://jane:hunter2@[::1:9",
    "http://jane:hunter2@" + "a" * 70 + ".org:9",
    "htp://jane:hunter2@127.0.0.1:9",
    "jane:hunter2@127.0.0.1:9",
    "http://jane:hunter2@127.0.0.1:9",
]


@pytest.mark.parametrize("proxy", SECRETS)
def test_password_of_a_proxy_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, proxy: str
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("https_proxy", proxy)
    with (
        Session("https://dss.example.org", retry_for=0) as session,
        pytest.raises(
            NetworkFailed, match="address of a proxy|URL of the server, or of the proxy|refused"
        ) as e,
    ):
        claim(session)
    told = [*_words(e.value), "".join(traceback.format_exception(e.value)), caplog.text]
    assert not [text for text in told if "hunter2" in text]


def test_request_without_tls_goes_through_the_proxy(
    raw: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", raw.url)
    raw.answers = [answer(b"0.5")]
    with Session("http://dss.example.org") as session:
        assert Client(session).progress(1) == 0.5
    assert raw.heads() == ["GET http://dss.example.org/api/tickets/1/progress HTTP/1.1"]


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See", "307 Later", "308 Moved"])
def test_login_does_not_follow_to_another_host(raw: RawServer, status: str) -> None:
    elsewhere = RawServer()
    try:
        elsewhere.answers = [answer(b"logged in as thief@example.org \n")]
        raw.answers = [answer(b"", f"Location: {elsewhere.url}/api/login", status=status)]
        with raw.session() as session:
            session._http.cookies.set("webpy_session_id", "secret", domain="127.0.0.1")
            with pytest.raises(InvalidResponse, match=f"redirects to {elsewhere.url}/api/login"):
                session.get_text("api/login")
        with pytest.raises(OutcomeUnknown, match=f"redirects to {elsewhere.url}") as caught:
            login(raw.url, "my-token")
        assert "my-token" not in str(caught.value)
        assert elsewhere.requests == []
    finally:
        elsewhere.close()


def test_secrets_stay_secret(
    raw: RawServer, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Neither the log of this package nor its errors have them, at any level."""
    caplog.set_level(logging.DEBUG)
    raw.answers = [DROP]
    with raw.session() as session:
        session._http.cookies.set("webpy_session_id", "my-cookie", domain="127.0.0.1")
        with pytest.raises(NetworkFailed) as caught:
            session.get_text("api/tickets")
        said = [repr(session), str(session), *_words(caught.value)]
    with pytest.raises(OutcomeUnknown) as failed:
        login(raw.url, "my-token")
    said += [*_words(failed.value), caplog.text, *capfd.readouterr()]
    assert "trying again" in caplog.text
    for secret in ("my-cookie", "my-token"):
        assert not [text for text in said if secret in text]


def _words(error: BaseException | None) -> Iterator[str]:
    while error is not None:
        yield f"{error} {error!r}"
        error = error.__cause__ or error.__context__
        assert not isinstance(error, requests.HTTPError)

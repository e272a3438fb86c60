from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from dss import (
    Client,
    Credentials,
    InvalidResponse,
    Middleware,
    NetworkFailed,
    NotLoggedIn,
    OutcomeUnknown,
    Session,
)
from dss.http.session import COOKIE_NAME
from dss.login import SERVER_VARIABLE, login, user
from tests.dss.raw_server import DROP, RawServer, answer

RECORDINGS = Path(__file__).parents[2] / "fixtures" / "recordings" / "dss_commands.json"


@pytest.fixture(autouse=True)
def no_server_in_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SERVER_VARIABLE, raising=False)


@pytest.fixture
def kept(tmp_path: Path) -> Credentials:
    return Credentials(tmp_path)


def test_token_works_once(middleware: Middleware, new_user: Callable[[], str]) -> None:
    email = new_user()
    token = middleware.add_user(email)
    with login(middleware.url + "/", f"  {token}\n") as session:
        assert user(session) == email
    with pytest.raises(NotLoggedIn, match="a token works once: get another at http://"):
        login(middleware.url, token)


@pytest.mark.parametrize("token", ["", " \n", "nonsense", "ü"])
def test_wrong_token_is_refused(middleware: Middleware, token: str) -> None:
    with pytest.raises(NotLoggedIn, match="token"):
        login(middleware.url, token)


def test_bad_token_leaves_the_kept_session_alone(
    middleware: Middleware, new_user: Callable[[], str], kept: Credentials
) -> None:
    with login(middleware.url, middleware.add_user(email := new_user())) as session:
        kept.save(session)
    with pytest.raises(NotLoggedIn):
        login(middleware.url, "nonsense")
    with kept.open_session() as session:
        assert user(session) == email
        assert Client(session).tickets() == []


def test_cookie_for_another_host_is_refused(raw: RawServer) -> None:
    """So it is where the middleware runs with its default cookie domain."""
    cookie = f"Set-Cookie: {COOKIE_NAME}=1; Domain=dss.itksnap.org; HttpOnly; Path=/"
    raw.answers = [answer(b"logged in as a@b \n", cookie)]
    with pytest.raises(InvalidResponse, match="its cookie is for another host"):
        login(raw.url, "token")


def test_unexpected_answer_to_a_login_leaves_a_doubt(raw: RawServer) -> None:
    raw.answers = [answer(b"<html>welcome")]
    with pytest.raises(OutcomeUnknown, match="answered '<html>welcome' to a login; .* used up"):
        login(raw.url, "token")
    raw.answers = [DROP]
    with pytest.raises(OutcomeUnknown, match="the token may be used up; get another at"):
        login(raw.url, "token")
    assert len(raw.requests) == 2


def test_missing_server_is_a_network_failure() -> None:
    with pytest.raises(NetworkFailed):
        login("localhost:8080", "token")


def test_login_is_retried_as_long_as_wanted(
    raw: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw.close()
    pauses: list[float] = []
    monkeypatch.setattr("dss.http.retry.time.sleep", pauses.append)
    with pytest.raises(NetworkFailed, match="refused"):
        login(raw.url, "token", retry_for=0)
    assert pauses == []


def test_kept_login_is_opened_as_asked(kept: Credentials, tmp_path: Path) -> None:
    kept.save(Session("https://h", cookie="one"))
    (tmp_path / "bundle.pem").touch()
    bundle = str(tmp_path / "bundle.pem")
    session = kept.open_session(timeout=(1.0, 2.0), retry_for=3.0, verify=bundle)
    for one in (session, session.clone()):
        assert (one._timeout, one.retry_for, one._verify) == ((1.0, 2.0), 3.0, bundle)


def test_nobody_is_logged_in(middleware: Middleware) -> None:
    with Session(middleware.url) as session, pytest.raises(NotLoggedIn, match="run: dss login"):
        user(session)


def files(home: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in (home / ".alfabis").iterdir()}


def test_files_are_those_of_the_reference(tmp_path: Path, kept: Credentials) -> None:
    """All but curl's comment, the value and, on purpose, the mode."""
    recorded = {row["file"]: row["text"] for row in json.loads(RECORDINGS.read_text())[-2:]}
    line = recorded.pop("cookie_fc81441c354b8df040531bf33b1dd1d9.jar").splitlines()[-1]
    value = line.split("\t")[-1]
    url = "http://127.0.0.1:8080"
    kept.save(Session(url + "/", cookie=value))
    written = files(tmp_path)
    assert written.pop("server") == url
    digest = hashlib.md5(url.encode()).hexdigest()
    jar = f"# Netscape HTTP Cookie File\n\n{line}\n"
    assert written == {f"cookie_{digest}.jar": jar}


def test_cookie_keeps_its_domain(tmp_path: Path, kept: Credentials) -> None:
    session = Session("https://dss.itksnap.org")
    session._http.cookies.set(COOKIE_NAME, "abc", domain=".dss.itksnap.org")
    kept.save(session)
    digest = hashlib.md5(b"https://dss.itksnap.org").hexdigest()
    line = files(tmp_path)[f"cookie_{digest}.jar"].splitlines()[-1]
    assert line == f"#HttpOnly_.dss.itksnap.org\tTRUE\t/\tFALSE\t0\t{COOKIE_NAME}\tabc"


def test_jar_that_curl_wrote_is_read(kept: Credentials) -> None:
    recorded = json.loads(RECORDINGS.read_text())[-1]["text"]
    kept.save(Session("http://127.0.0.1:8080", cookie="mine"))
    (jar,) = kept.folder.glob("*.jar")
    jar.write_bytes(recorded.encode())
    session = kept.open_session()
    assert session.cookie is not None
    assert session.cookie.value == "50e0e7cc81060b83b84a78c38f2d5cf3b8acffce"


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is what reads the jar")
def test_jar_works_in_curl(
    middleware: Middleware,
    open_session: Callable[[str], Session],
    new_user: Callable[[], str],
    kept: Credentials,
) -> None:
    kept.save(open_session(email := new_user()))
    (jar,) = kept.folder.glob("*.jar")
    url = f"{middleware.url}/api/login"
    words = ["curl", "-q", "-s", "--noproxy", "*", "--max-time", "20", "-b", str(jar), url]
    said = subprocess.run(words, capture_output=True, text=True, check=True)
    assert said.stdout == f"logged in as {email} \n"


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_files_are_private(kept: Credentials) -> None:
    kept.save(Session("http://h", cookie="one"))
    for file in kept.folder.iterdir():
        file.chmod(0o644)  # as curl leaves them
    kept.save(Session("http://h", cookie="two"))
    assert {stat.S_IMODE(file.stat().st_mode) for file in kept.folder.iterdir()} == {0o600}
    assert stat.S_IMODE(kept.folder.stat().st_mode) == 0o700


def test_logins_of_several_servers_are_kept(
    kept: Credentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        kept.save(Session(f"http://{name}", cookie=f"cookie of {name}"))
    assert kept.server == "http://b"
    assert kept.open_session().server == "http://b"
    session = kept.open_session("http://a/")
    assert session.cookie is not None
    assert session.cookie.value == "cookie of a"
    monkeypatch.setenv(SERVER_VARIABLE, "http://a/")
    assert kept.server == "http://a"
    kept.forget()
    with pytest.raises(NotLoggedIn, match="not logged in to http://a; run: dss login http://a"):
        kept.open_session()
    monkeypatch.delenv(SERVER_VARIABLE)
    assert kept.open_session().server == "http://b"
    kept.forget()
    assert kept.server is None
    assert list(kept.folder.iterdir()) == []
    kept.forget()


def test_missing_login_is_refused(kept: Credentials) -> None:
    assert kept.server is None
    with pytest.raises(NotLoggedIn, match="run: dss login URL"):
        kept.open_session()
    with pytest.raises(NotLoggedIn, match="not logged in to http://h"):
        kept.save(Session("http://h"))
    assert not kept.folder.exists()


@pytest.mark.parametrize("text", ["", "\x00\xff", "# Netscape HTTP Cookie File\n", "a\tb\n"])
def test_damaged_jar_is_no_login(kept: Credentials, text: str) -> None:
    kept.save(Session("http://h", cookie="one"))
    (jar,) = kept.folder.glob("*.jar")
    jar.write_bytes(text.encode("latin-1"))
    with pytest.raises(NotLoggedIn, match="run: dss login http://h"):
        kept.open_session()


def test_home_is_the_users_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert Credentials().folder == tmp_path / ".alfabis"


def test_folder_that_cannot_be_made_is_told_of_before_a_token_is_used(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotLoggedIn, match="cannot keep a login in .*the token was not used"):
        Credentials(tmp_path / "file").make_folder()

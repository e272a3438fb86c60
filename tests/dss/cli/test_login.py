"""`dss login`, `logout`, `whoami`, and the options of the way to a server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import trustme

from dss import Client, Credentials, Session
from dss.login import SERVER_VARIABLE, login
from tests.dss.cli.https import HttpsServer

SCRIPT = Path(sysconfig.get_path("scripts")) / "dss"


EMAIL = "login@example.org"


@pytest.fixture
def token(middleware) -> str:
    return middleware.add_user(EMAIL)


def test_a_token_is_read_from_standard_input(stranger, middleware, token):
    result = stranger(["login", middleware.url, "--token", "-"], stdin=f"{token}\n")
    assert result.stdout == f"logged in to {middleware.url} as {EMAIL}\n"
    assert result.stderr == ""
    assert stranger("whoami").stdout == f"{EMAIL} at {middleware.url}\n"
    found = json.loads(stranger("whoami --json").stdout)
    assert found == {"user": EMAIL, "server": middleware.url}


def test_a_token_is_read_from_the_environment(stranger, middleware, token, monkeypatch):
    monkeypatch.setenv("DSS_TOKEN", token)
    stranger(["login", f"{middleware.url}/"])
    monkeypatch.delenv("DSS_TOKEN")
    assert EMAIL in stranger("whoami").stdout


def test_a_token_is_not_taken_from_the_command_line(stranger, middleware, token):
    result = stranger(["login", middleware.url, "--token", token], 2)
    assert "--token -" in result.stderr
    assert token not in result.output
    with login(middleware.url, token) as session:  # it is not used up
        assert Client(session).tickets() == []


def test_an_invalid_url_is_refused_before_the_token_is_asked_for(stranger):
    stranger.fails("login ftp://foo", "not the URL of a server", "ftp://foo")


@pytest.mark.parametrize(
    "url",
    ["http://jane:s3cret@127.0.0.2:9", "http://127.0.0.2:9/?token=s3cret", "http://h/#s3cret"],
)
@pytest.mark.parametrize(
    "line", ["whoami", "logout", "services list", "login URL --token -", "logout URL"]
)
def test_a_password_in_an_address_is_not_shown(stranger, monkeypatch, url, line):
    monkeypatch.setenv(SERVER_VARIABLE, url)
    words = [url if word == "URL" else word for word in line.split()]
    told = stranger(words, 1, stdin="x").output
    assert "not the URL of a server" in told
    assert "s3cret" not in told


def test_without_a_terminal_nothing_is_asked(stranger, middleware):
    result = stranger(["login", middleware.url], 2)
    assert "DSS_TOKEN" in result.stderr
    assert not (stranger.home / ".alfabis").exists()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no terminals of this kind")
def test_the_prompt_names_the_page_and_shows_no_token(stranger, middleware, token):
    import pty

    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(
            SCRIPT,
            [str(SCRIPT), "login", middleware.url],
            {**os.environ, **stranger.environment()},
        )
    shown = _read(terminal, until=": ")
    assert f"{middleware.url}/token" in shown
    os.write(terminal, f"{token}\n".encode())
    shown += _read(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    os.close(terminal)
    assert f"logged in to {middleware.url} as {EMAIL}" in shown
    assert token not in shown


def _read(terminal: int, until: str | None = None) -> str:
    text = ""
    while until is None or until not in text:
        try:
            piece = os.read(terminal, 1000)
        except OSError:  # so Linux says that the other side has ended
            return text
        if not piece:
            return text
        text += piece.decode()
    return text


def test_a_login_that_fails_leaves_the_good_one_alone(user, middleware):
    before = user("whoami").stdout
    result = user(["login", middleware.url, "--token", "-"], 1, stdin="wrong\n")
    assert result.stderr.startswith("dss: error: ")
    assert f"{middleware.url}/token" in result.stderr
    user(["login", middleware.url, "--token", "-"], 1, stdin="\n")
    assert user("whoami").stdout == before


def test_logging_out_deletes_the_login(user, middleware):
    assert user("logout").stderr == f"dss: logged out of {middleware.url}\n"
    user.fails("whoami", "not logged in", "dss login")
    assert user("logout").stderr == "dss: there was no login\n"


def test_a_server_can_be_chosen(user, middleware, client):
    Credentials(user.home).save(Session("http://127.0.0.1:9", cookie="0" * 40))
    user.fails("tickets list --patience 0", "127.0.0.1:9", "Connection refused")
    user(["tickets", "list", "--server", middleware.url])
    user.fails("tickets list --server http://127.0.0.1:10", "not logged in", ":10")
    user(["logout", middleware.url])
    user.fails(["tickets", "list", "--server", middleware.url], "not logged in")


def test_nothing_but_the_user_reads_the_login(stranger, middleware, token):
    stranger(["login", middleware.url, "--token", "-"], stdin=token)
    for file in (stranger.home / ".alfabis").iterdir():
        assert os.name == "nt" or file.stat().st_mode & 0o77 == 0, file


@pytest.fixture
def https(tmp_path):
    with HttpsServer(tmp_path) as server:
        yield server


def test_certificates_are_checked(stranger, https, tmp_path):
    Credentials(stranger.home).save(Session(https.url, cookie="0" * 40))
    stranger.fails("whoami --patience 0", "certificate")
    bundle = ["--ca-bundle", str(https.bundle)]
    assert stranger(["whoami", *bundle]).output == f"jane@example.org at {https.url}\n"
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))
    stranger.fails(["whoami", "--ca-bundle", str(tmp_path / "other.pem")], "certificate")
    result = stranger("whoami --insecure")
    assert result.stdout == f"jane@example.org at {https.url}\n"
    assert result.stderr.startswith("dss: warning: ")
    assert result.stderr.count("\n") == 1


def test_a_bundle_of_authorities_is_used_at_the_login(stranger, https):
    words = ["login", https.url, "--token", "-", "--ca-bundle", str(https.bundle)]
    assert stranger(words, stdin="x").stdout == f"logged in to {https.url} as jane@example.org\n"
    stranger(["login", https.url, "--token", "-", "--patience", "0"], 1, stdin="x")
    assert "warning" in stranger(["login", https.url, "--insecure"], 2).stderr


@pytest.mark.parametrize("line", ["--insecure --ca-bundle ca.pem", "--ca-bundle none.pem"])
def test_an_invalid_command_line_shows_the_usage(user, line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("ca.pem").touch()
    assert "Usage: dss whoami" in user(f"whoami {line}", 2).stderr


def test_a_missing_bundle_of_the_environment_is_named(user, https, monkeypatch):
    Credentials(user.home).save(Session(https.url, cookie="0" * 40))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/no/such.pem")
    user.fails("whoami --patience 0", "/no/such.pem")


def test_the_script_reads_a_token_too(stranger, middleware, token):
    done = subprocess.run(
        [SCRIPT, "login", middleware.url, "--token", "-"],
        input=token,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, **stranger.environment(), "PYTHONIOENCODING": "ascii"},
    )
    assert (done.returncode, done.stderr) == (0, ""), sys.executable
    assert done.stdout == f"logged in to {middleware.url} as {EMAIL}\n"

"""One service, its user and its provider; no ticket outlives its test."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dss import Admin, Client, Credentials, Middleware, Provider, Session
from dss.cli.app import app
from dss.middleware import ADMINISTRATOR
from snapws.cli import render

USER, WORKER, NAME = "jane@example.org", "worker@example.org", "Registration"
DESCRIPTION = {
    "name": NAME,
    "version": "1.10",
    "shortdesc": 'Größe, "Form"',
    "tags": [{"name": "Target", "type": "MainImage", "hint": "a scan", "required": True}],
}


class Account:
    """Somebody at the command line: a home folder with a login, or without."""

    def __init__(self, home: Path, session: Session | None = None) -> None:
        home.mkdir()
        self.home = home
        if session:
            Credentials(home).save(session)

    def environment(self) -> dict[str, str]:
        return {"HOME": str(self.home), "USERPROFILE": str(self.home)}

    def __call__(self, line: str | list[str], code: int = 0, *, stdin: str | None = None):
        """Run a command line, hold its exit code, and give what it printed."""
        words = shlex.split(line) if isinstance(line, str) else line
        result = CliRunner().invoke(
            app, words, prog_name="dss", input=stdin, env=self.environment()
        )
        assert result.exit_code == code, (result.output, result.exception)
        return result

    def fails(self, line: str | list[str], *parts: str) -> None:
        """Run a command line that has to be refused in one line, which has these parts."""
        result = self(line, 1)
        assert result.stdout == ""
        assert result.stderr.startswith("dss: error: ")
        assert result.stderr.count("\n") == 1
        for part in parts:
            assert part in result.stderr


@pytest.fixture(autouse=True)
def _no_settings_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ITKSNAP_WT_DSS_SERVER", "DSS_TOKEN", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    render.begin("dss", quiet=False)  # a command that was run before this may have been quiet


@pytest.fixture(scope="session")
def middleware(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Middleware]:
    """A server of these tests alone: commands list all that is on it."""
    with Middleware(tmp_path_factory.mktemp("middleware")) as running:
        yield running


@pytest.fixture(scope="session")
def sessions(middleware: Middleware) -> Iterator[Callable[[str], Session]]:
    """Open sessions that are closed at the very end."""
    middleware.add_user(USER, tier="poweruser")
    middleware.add_user(WORKER)
    with ExitStack() as stack:
        yield lambda email: stack.enter_context(middleware.login(email))


@pytest.fixture(scope="session")
def service(middleware: Middleware, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("service")
    (folder / "service.json").write_text(json.dumps(DESCRIPTION), encoding="utf-8")
    return middleware.publish(folder, "lab")


@pytest.fixture(scope="session")
def client_of_all_tests(sessions: Callable[[str], Session]) -> Client:
    return Client(sessions(USER))


@pytest.fixture
def client(client_of_all_tests: Client) -> Iterator[Client]:
    """A user without tickets."""
    yield client_of_all_tests
    for ticket in client_of_all_tests.tickets():
        client_of_all_tests.delete(ticket.id)


@pytest.fixture(scope="session")
def admin(sessions: Callable[[str], Session]) -> Admin:
    return Admin(sessions(ADMINISTRATOR))


@pytest.fixture(scope="session")
def provider(sessions: Callable[[str], Session], service: str, admin: Admin) -> Provider:
    """A user who provides `service` for `lab`."""
    admin.add_user("lab", WORKER)
    return Provider(sessions(WORKER))


@pytest.fixture
def claimed(client: Client, provider: Provider, service: str) -> int:
    """A ticket of `client`, without files, claimed by `provider`."""
    ticket = client.create(service)
    client.make_ready(ticket)
    claim = provider.claim([service], "lab", "instance_1")
    assert claim is not None
    assert claim.ticket == ticket
    return ticket


@pytest.fixture
def stranger(tmp_path: Path) -> Account:
    """Somebody without a login."""
    return Account(tmp_path / "stranger")


@pytest.fixture
def user(client: Client, tmp_path: Path) -> Account:
    """The user of `client`."""
    return Account(tmp_path / "user", client.session)


@pytest.fixture
def worker(provider: Provider, tmp_path: Path) -> Account:
    """The user of `provider`."""
    return Account(tmp_path / "worker", provider.session)


@pytest.fixture
def administrator(admin: Admin, tmp_path: Path) -> Account:
    return Account(tmp_path / "administrator", admin.session)


@pytest.fixture
def study(workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The file of `workspace`; the current folder is a temporary one."""
    monkeypatch.chdir(tmp_path)
    return workspace.path

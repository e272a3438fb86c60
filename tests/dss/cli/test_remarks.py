"""What a command says besides its results, of a server that does not answer and of what is next."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator

import pytest

from dss import Credentials, Session
from dss.cli.remarks import remarking
from dss.errors import DemoFailed
from tests import ports


@pytest.fixture
def nowhere(stranger, monkeypatch) -> Iterator[str]:
    """The URL of a server that is not running, and to which `stranger` has a login."""
    monkeypatch.setattr("dss.http.retry.FIRST_PAUSE", 0.05)
    monkeypatch.setattr("dss.http.retry.NOTICED", 0.2)
    with ports.reserved() as port:
        url = f"http://127.0.0.1:{port}"
        Credentials(stranger.home).save(Session(url, cookie="0" * 40))
        yield url


def test_a_server_that_keeps_one_waiting(stranger, nowhere):
    result = stranger("tickets list --patience 1", 1)
    assert result.stdout == ""
    waiting, end = result.stderr.splitlines()
    refused = f"no answer from {nowhere}: Connection refused (GET api/tickets); "
    assert waiting.startswith(f"dss: {refused}trying again for ")
    assert waiting.endswith(" s (--patience)")
    assert end.startswith(f"dss: error: {refused}is the server running (dss middleware ")
    assert end.endswith("(dss login, --server)?")


def test_a_login_that_waits_says_so_too(stranger, nowhere, monkeypatch):
    monkeypatch.setenv("DSS_TOKEN", "x")
    waiting, _ = stranger(f"login {nowhere} --patience 1", 1).stderr.splitlines()
    assert "trying again for " in waiting


def test_without_patience_and_quietly_only_the_end_is_said(stranger, nowhere):
    stranger.fails("tickets list --patience 0", "is the server running")
    stranger.fails("tickets list --patience 1 --quiet", "is the server running")


def test_a_server_that_answers_wrongly_is_running(stranger, raw):
    Credentials(stranger.home).save(Session(raw.url, cookie="0" * 40))
    raw.answers = [b""]
    assert "running" not in stranger("tickets list --patience 0", 1).stderr


@pytest.fixture
def waits(nowhere: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Asks the server that is not running, and says after the first failure that it waits."""
    monkeypatch.setattr("dss.http.retry.NOTICED", 0.0)

    def ask(*_given: object) -> None:
        with Session(nowhere, retry_for=0.2) as session:
            session.get_text("about")

    return ask


@pytest.mark.parametrize("how", ["", "--log-json", "--quiet"])
def test_a_runner_says_in_its_log_alone_that_it_waits(stranger, waits, monkeypatch, tmp_path, how):
    (tmp_path / "my_service.py").write_text(
        "from dss import service\n@service(name='S')\ndef s(job): ..."
    )
    monkeypatch.setattr("dss.serving.runner.Runner.run", waits)
    words = ["run", str(tmp_path), "--provider", "lab", "--workdir", str(tmp_path / "work")]
    *said, end = stranger([*words, *how.split()], 1).stderr.splitlines()
    assert end.startswith("dss: error: no answer from ")
    if how == "--log-json":
        said = [json.loads(line)["message"] for line in said]
    assert sum("trying again for " in line for line in said) == (0 if how == "--quiet" else 1)


def test_a_demonstration_says_once_that_it_waits(stranger, waits, monkeypatch, tmp_path):
    monkeypatch.setattr("dss.demo.run", waits)
    waiting, _ = stranger(["demo", str(tmp_path / "demo")], 1).stderr.splitlines()
    assert "trying again for " in waiting


def test_what_is_logged_is_remarked_in_a_block_only(capsys):
    log = logging.getLogger("dss.cli.test")
    with remarking("dss.cli.test", logging.INFO, "!"):
        log.info("heard")
        log.debug("below")
    log.info("after")
    assert capsys.readouterr().err.endswith(": heard!\n")
    assert not log.handlers


@pytest.mark.parametrize("log", ["dss.serving.runner", "dss.transfer.downloads"])
def test_a_demonstration_says_once_what_is_warned_of(stranger, monkeypatch, tmp_path, log):
    def fails(*_given: object) -> None:
        logging.getLogger(log).warning("failing: no brain")
        raise DemoFailed("the ticket is failed")

    monkeypatch.setattr("dss.demo.run", fails)
    said = stranger(["demo", str(tmp_path / "demo")], 1).stderr
    assert said == "dss: failing: no brain\ndss: error: the ticket is failed\n"

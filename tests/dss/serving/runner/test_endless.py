"""A runner whose server answers without an end: its loop goes on, and ends when it is told to."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from dss import Session, TicketStatus
from dss.login import Credentials
from tests.dss.serving.lab import Lab, stop, until
from tests.faults.endless import KINDS
from tests.faults.faults import Rule
from tests.faults.proxy import Proxy

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX only")

SERVICES = "GET api/pro/services#1+"
AVAILABLE = "POST api/pro/services/available#1+"
CLAIM = "POST api/pro/services/claims#1+"
STATUS = "GET api/pro/tickets/*/status#1+"

#: A service whose function ends when it is let go.
LONG = """
    import pathlib, time
    from dss import service

    @service(name="NAME")
    def work(job):
        pathlib.Path(FOLDER, "began").touch()
        while not pathlib.Path(FOLDER, "go_on").exists():
            time.sleep(0.05)
"""


@pytest.fixture
def proxy(lab: Lab) -> Iterator[Proxy]:
    """Stands between the runner and the server; the runner's login leads to it."""
    with Proxy(lab.middleware) as between:
        between.hold = 300.0  # longer than any test
        with lab.middleware.login(lab.email) as login:
            assert login.cookie is not None
            with Session(between.url, cookie=login.cookie.value) as session:
                Credentials(lab.home).save(session)
        yield between


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("at", [AVAILABLE, CLAIM], ids=["available", "claim"])
def test_runner_ends_within_grace(lab: Lab, proxy: Proxy, at: str, kind: str) -> None:
    with lab.running("--grace", "1s", "--interval", "0.2s") as runner:
        until(lambda: "for testlab" in lab.log)
        proxy.rules = (Rule(f"endless:{kind}", at),)
        ticket = lab.submit()
        until(lambda: proxy.endless)
        assert stop(runner) == 0
        assert not proxy.sane.is_set(), "the answer has ended"
    assert lab.log.endswith("tickets: none\n")
    assert "what is at work goes on" not in lab.log  # the runner itself broke the call off
    assert "Traceback" not in lab.log
    taken = TicketStatus.CLAIMED if at == CLAIM else TicketStatus.READY
    assert lab.status(ticket) is taken


@pytest.mark.parametrize("kind", ["head", "continue", "body"])
def test_runner_that_begins_ends_at_once(lab: Lab, proxy: Proxy, kind: str) -> None:
    proxy.rules = (Rule(f"endless:{kind}", SERVICES),)
    with lab.running() as runner:
        until(lambda: proxy.endless)
        assert stop(runner) == 0
        assert not proxy.sane.is_set(), "the answer has ended"
    assert "Traceback" not in lab.log
    assert not (lab.workdir / "journal.sqlite3").exists()


def test_second_signal_ends_a_claim_without_an_answer(lab: Lab, proxy: Proxy) -> None:
    """What may have been claimed is in the journal, and found again."""
    with lab.running("--grace", "10m", "--interval", "0.2s") as runner:
        until(lambda: "for testlab" in lab.log)
        proxy.rules = (Rule("endless:head", CLAIM),)
        ticket = lab.submit()
        until(lambda: proxy.endless)
        runner.send_signal(signal.SIGTERM)
        until(lambda: "stopping" in lab.log)
        assert stop(runner) == 0
    assert lab.rows("select count(*) from claims where outcome = 'unknown'") == [(1,)]
    proxy.rules = ()
    adopted = lab.run("--once", "--adopt")
    assert adopted.returncode == 0, adopted.stderr
    lab.result(ticket)


def test_claim_without_an_answer_is_found_again(lab: Lab, proxy: Proxy) -> None:
    with lab.running("--adopt", "--max-tickets", 1, "--interval", "0.2s") as runner:
        until(lambda: "for testlab" in lab.log)
        proxy.rules = (Rule("endless:body", CLAIM),)
        ticket = lab.submit()
        until(lambda: proxy.endless)
        proxy.rules = ()
        proxy.sane.set()
        assert runner.wait(300) == 0
    assert "may have been claimed" in lab.log
    assert [line.message for line in lab.lines(ticket)].count("Segmentation: done") <= 1
    lab.result(ticket)


def test_job_goes_on_and_is_delivered_when_the_server_is_sane_again(lab: Lab, proxy: Proxy) -> None:
    """While the runner's own question has no end, its worker is heard."""
    lab.write(LONG)
    ticket = lab.submit()
    with lab.running("--max-tickets", 1) as runner:
        until((lab.folder / "began").exists)
        proxy.rules = (Rule("endless:head", STATUS),)
        until(lambda: proxy.endless)
        lab.let_go()
        until(lambda: lab.rows("select step from tickets") == [("uploaded",)])
        proxy.rules = ()
        proxy.sane.set()
        assert runner.wait(300) == 0
    assert "Traceback" not in lab.log
    lab.result(ticket)


def test_job_keeps_its_limit(lab: Lab, proxy: Proxy) -> None:
    """Nobody has to answer for a job to be ended, and for that to be known."""
    lab.write(LONG)
    ticket = lab.submit()
    with lab.running("--max-tickets", 1, "--timeout", "5s") as runner:
        until((lab.folder / "began").exists)
        proxy.rules = (Rule("endless", "* *#1+"),)
        until(lambda: proxy.endless)
        until(lambda: lab.rows("select step from tickets") == [("failing",)])
        proxy.rules = ()
        proxy.sane.set()
        assert runner.wait(300) == 0
    assert "its time is up" in lab.error(ticket)

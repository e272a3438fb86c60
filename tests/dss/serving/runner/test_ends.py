"""What others do to a ticket while it is worked on, and what its end then is."""

from __future__ import annotations

import os
from threading import Thread

import psutil
import pytest

from dss import Client, Provider, TicketStatus
from dss.login import Credentials
from dss.middleware import ADMINISTRATOR
from dss.serving.runner import Runner
from dss.serving.settings import Settings
from dss.serving.workdir import folder_of
from dss.serving.worker.outbox import Line, Outbox
from tests.dss.serving.lab import LAB, Lab, lives, until

pytestmark = pytest.mark.skipif(os.name == "nt", reason="kills as POSIX does")

SERVICE = """
    import sabotage
    from dss import service

    @service(name="NAME", tags=["Target"])
    def wait(job):
        job.progress(0.25)
        sabotage.hold(job.ticket, "function")
        job.workspace.main.nickname = "Scan of Jane"
"""


def test_an_end_that_somebody_else_has_reported_stays(lab: Lab) -> None:
    lab.write(SERVICE)
    ticket = lab.submit()
    lab.hold({ticket: "after send"})
    with lab.running("--once") as runner, lab.middleware.login(lab.email) as session:
        until(lambda: lab.held(ticket))
        Provider(session).set_status(ticket, TicketStatus.FAILED)
        lab.let_go()
        assert runner.wait(300) == 0
    assert lab.status(ticket) is TicketStatus.FAILED
    assert lab.rows("select outcome from tickets") == [("released",)]


def test_a_ticket_that_was_queued_again_is_let_go(lab: Lab) -> None:
    lab.write(SERVICE)
    ticket = lab.submit()
    lab.hold({ticket: "function"})
    with (
        lab.running("--max-tickets", 1) as runner,
        lab.middleware.login(ADMINISTRATOR) as session,
    ):
        until(lambda: lab.held(ticket))
        Client(session).retry(ticket)
        assert runner.wait(300) == 0
    assert lab.status(ticket) is TicketStatus.READY
    assert lab.rows("select outcome, removed from tickets") == [("released", 1)]


def test_a_ticket_that_comes_back_while_it_is_worked_on_is_begun_anew(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its owner queues it again, and the runner claims it before it looks after it."""
    monkeypatch.setattr("dss.serving.runner.loop._WATCH", 600.0)
    lab.write(SERVICE)
    ticket = lab.submit()
    lab.hold({ticket: "function"})  # once
    settings = Settings(LAB, lab.workdir, workers=2, max_tickets=2, min_free=0, interval=0.1)
    runner = Runner(lab.file, lambda: Credentials(lab.home).open_session(retry_for=0.0), settings)
    running = Thread(target=runner.run)
    running.start()
    try:
        until(lambda: lab.held(ticket))
        first = psutil.Process(lab.held(ticket))
        with lab.middleware.login(ADMINISTRATOR) as session:
            Client(session).retry(ticket)
        until(lambda: lab.status(ticket) is TicketStatus.SUCCESS)
        until(lambda: not lives(first))
    finally:
        lab.let_go()
        runner.stop()
        running.join()
    steps = [step for (step,) in lab.rows("select step from events order by id")]
    assert steps.count("claimed") == 2
    assert steps.count("processed") == steps.count("finished") == 1


def test_a_result_that_the_server_has_not_kept_is_sent_again(lab: Lab) -> None:
    lab.write(SERVICE)
    ticket = lab.submit()
    lab.hold({ticket: "after a file"})
    with lab.running("--once") as runner:
        until(lambda: lab.held(ticket))
        (layer,) = lab.middleware.folder.glob(f"store/**/{ticket:08d}/results/layer_*")
        layer.write_bytes(layer.read_bytes()[:-1] + b"?")
        lab.let_go()
        assert runner.wait(300) == 0
    assert lab.result(ticket).layer(tag="Target")


def test_the_bar_of_an_earlier_try_holds_up_nothing(lab: Lab) -> None:
    """The server fails at a part of the progress that begins like one that it has."""
    lab.write(SERVICE)
    ticket = lab.submit()
    with lab.middleware.login(lab.email) as session:
        provider = Provider(session)
        assert provider.claim([lab.hash], LAB, "by hand")
        provider.progress(ticket, 1.0, start=0.0, end=0.5)
        provider.fail(ticket, "not today")
    lab.user.retry(ticket)
    lab.hold({ticket: "function"})
    with lab.running("--once") as runner:
        until(lambda: lab.user.progress(ticket) == 0.25)
        lab.let_go()
        assert runner.wait(300) == 0
    assert lab.status(ticket) is TicketStatus.SUCCESS


def test_what_a_run_that_was_cut_short_had_to_tell_is_not_told(lab: Lab) -> None:
    """The function, which runs again, tells it again."""
    lab.write(SERVICE)
    ticket = lab.submit()
    lab.hold({ticket: "function"})
    with lab.running("--once") as runner:
        until(lambda: lab.held(ticket))
        runner.kill()
        runner.wait()
    Outbox(folder_of(lab.workdir, ticket) / "reports").put(Line("info", "of the first run"))
    assert lab.run("--once").returncode == 0
    assert lab.status(ticket) is TicketStatus.SUCCESS
    assert "of the first run" not in [entry.message for entry in lab.lines(ticket)]


def test_strict_replaces_what_was_typed(lab: Lab) -> None:
    lab.write(SERVICE)
    kept, replaced = lab.submit(), lab.submit()
    assert lab.run("--max-tickets", 1).returncode == 0
    assert lab.run("--max-tickets", 1, "--strict").returncode == 0
    assert lab.result(kept).main.nickname == "Scan of Jane"
    assert lab.result(replaced).main.nickname == "Layer 000"

"""A job whose server fails, or somebody else answers for it; and what its function leaves."""

from __future__ import annotations

import io
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from dss import Client, Middleware, TicketStatus
from dss.errors import (
    DssError,
    InvalidResponse,
    NetworkFailed,
    NotFound,
    NotPermitted,
    Refused,
    ServerFailed,
    TicketDeleted,
    TransferFailed,
    WrongState,
)
from dss.http.session import Session
from dss.serving.declaration import Service
from dss.serving.journal import Outcome, Step
from dss.serving.messages import Order, Reached
from dss.serving.worker.channel import Channel
from dss.serving.worker.steps import TicketRun
from tests import ports
from tests.dss.raw_server import serving
from tests.dss.serving.lab import Lab, until

posix = pytest.mark.skipif(os.name == "nt", reason="POSIX only")

HOUR = 3600.0


class Clock:
    """Time that passes when somebody waits."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


class Pause(threading.Event):
    """The end of the work, which does not come: each wait for it takes an hour."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def wait(self, timeout: float | None = None) -> bool:
        self._clock.now += HOUR
        return False


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("dss.serving.worker.steps.time", made)
    return made


@pytest.fixture
def said() -> io.BytesIO:
    return io.BytesIO()


@pytest.fixture
def work(tmp_path: Path, clock: Clock, said: io.BytesIO) -> Iterator[TicketRun]:
    order = Order(
        ticket=1,
        service="Any",
        hash="0" * 40,
        step=Step.CLAIMED,
        reason="",
        folder=tmp_path,
        server="http://127.0.0.1:9",
        cookie="",
        verify=True,
        retry_for=0.0,
        privacy="standard",
    )
    channel = Channel(io.BytesIO(), said)
    channel.cancelled = Pause(clock)
    with Session(order.server, retry_for=0.0) as session:
        yield TicketRun(Service("Any", print), tmp_path / "my_service.py", order, session, channel)


class Server:
    """One that fails, each hour in the way that the test says, and is well afterwards."""

    def __init__(self, *failures: DssError) -> None:
        self._failures = list(failures)

    def answer(self) -> str:
        if self._failures:
            raise self._failures.pop(0)
        return "well"


def test_a_server_that_fails_is_given_a_day(work: TicketRun, clock: Clock) -> None:
    failed = ServerFailed("500")
    assert work._retry_until_available(Server(*[failed] * 24).answer) == "well"
    with pytest.raises(ServerFailed, match="500"):
        work._retry_until_available(Server(*[failed] * 26).answer)


def test_a_server_that_is_away_is_waited_for_and_has_a_day_again(
    work: TicketRun, said: io.BytesIO
) -> None:
    """While it was away it did not fail: a day of one failure is meant, not a part of each."""
    failed, away = ServerFailed("500"), NetworkFailed("no answer")
    failures = [*[failed] * 20, *[away] * 100, *[failed] * 20]
    assert work._retry_until_available(Server(*failures).answer) == "well"
    lines = said.getvalue().splitlines()
    assert len(lines) == len(failures)
    assert b"no answer (for 72000 s)" in lines[20]


@pytest.mark.parametrize("failed", [InvalidResponse("<html>"), NotPermitted("403"), Refused("400")])
def test_who_answers_for_the_server_is_waited_for(work: TicketRun, failed: DssError) -> None:
    """A proxy's page, to log in or to tell of maintenance, says nothing of the ticket."""
    assert work._retry_until_available(Server(failed, failed).answer) == "well"


def test_a_refusal_is_given_two_hours(work: TicketRun) -> None:
    """It is rather meant than a failure is: the file is too large for a proxy, for example."""
    too_large = Refused("Request Entity Too Large")
    with pytest.raises(Refused, match="Too Large"):
        work._retry_until_available(Server(*[too_large] * 4).answer)
    away = NetworkFailed("no answer")
    failures = [too_large, too_large, *[away] * 100, too_large, too_large]
    assert work._retry_until_available(Server(*failures).answer) == "well"
    # What it refuses now it has not refused for as long as it has failed.
    assert (
        work._retry_until_available(Server(*[ServerFailed("500")] * 10, too_large).answer) == "well"
    )


@pytest.mark.parametrize("error", [TicketDeleted("deleted"), WrongState("not claimed")])
def test_what_the_server_says_of_the_ticket_is_not_waited_for(
    work: TicketRun, clock: Clock, error: DssError
) -> None:
    with pytest.raises(type(error)):
        work._retry_until_available(Server(error).answer)
    assert clock.now == 0


def test_a_service_is_withdrawn_where_the_server_says_so(
    work: TicketRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy that finds nothing says nothing of what a workspace has to have."""
    failures = [NotFound("", status=404), NotFound("Unable to find service", status=400)]
    server = Server(*failures)
    monkeypatch.setattr(
        "dss.serving.worker.steps.Client.service_detail", lambda *_: server.answer()
    )
    assert work._retry_until_available(work._tags) == []
    assert not server._failures


class Heard(Channel):
    """A line to a runner that answers at once."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(io.BytesIO(), io.BytesIO())
        self.cancelled = Pause(clock)
        self.told: list[object] = []

    def tell(self, message: object) -> None:
        self.told.append(message)


def test_a_ticket_whose_status_is_refused_fails_with_that_reason(
    work: TicketRun, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = work._channel = Heard(clock)
    server = Server(*[Refused("not on Sundays")] * 4)

    def status(_ticket: int) -> TicketStatus:
        server.answer()
        return TicketStatus.DELETED

    monkeypatch.setattr(work._provider, "status", status)
    work.run()
    assert channel.told == [
        Reached(Step.FAILING, reason="not on Sundays"),
        Reached(Step.FINISHED, Outcome.DELETED),
    ]


# -------------------------------------------------------------------- in a real job


@contextmanager
def page_at(port: int, status: int) -> Iterator[list[str]]:
    """Answer all requests to a port with a page; give what is asked for."""
    asked: list[str] = []

    class Page(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            page = b"<html>Down for maintenance, back soon</html>"
            self.send_response(status)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)
            asked.append(self.path)

        do_GET = do_POST = answer  # noqa: N815 - as the library looks for them

        def log_message(self, *_words: object) -> None:
            pass

    with serving(ThreadingHTTPServer(("127.0.0.1", port), Page)):
        yield asked


@posix
@pytest.mark.parametrize("status", [200, 400])
def test_a_page_instead_of_the_server(tmp_path: Path, status: int) -> None:
    """It comes while a result is delivered, and while a failure is; neither is lost by it."""
    with ports.reserved() as port, Middleware(tmp_path / "middleware", port=port) as middleware:
        middleware.add_user("user@example.org")
        lab = Lab(middleware, tmp_path, Client(middleware.login("user@example.org")))
        lab.write(
            """
            import pathlib, sabotage
            from dss import service

            @service(name="NAME")
            def work(job):
                if pathlib.Path(FOLDER, "fails").read_text() == str(job.ticket):
                    sabotage.hold(job.ticket, "function")
                    raise RuntimeError("no head in this image")
            """
        )
        done, failed = lab.submit(), lab.submit()
        (tmp_path / "fails").write_text(str(failed))
        lab.hold({done: "after archive", failed: "function"})
        with lab.running("--once", "--workers", 2) as runner:
            until(lambda: lab.held(done) and lab.held(failed))
            middleware.stop()
            with page_at(middleware.port, status) as asked:
                lab.let_go()
                until(lambda: f"/api/pro/tickets/{failed}/error" in asked)
                waiting = "select distinct ticket from events where step = 'waiting'"
                until(lambda: len(lab.rows(waiting)) == 2 or runner.poll() is not None)
            middleware.start()
            assert runner.wait(300) == 1
        assert lab.result(done)
        assert lab.error(failed) == "no head in this image"
        assert "begun again" not in lab.log


#: What a function may leave behind, by what `plan.json` says of its ticket.
LEAVING = """
    import json, os, pathlib, sys, threading, time
    from dss import service

    def child_raises(job):
        child = os.fork()
        if child == 0:
            os.execvp("no-such-program", ["no-such-program"])
        job.log(f"child: {os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}")

    def child_returns(job):
        child = os.fork()
        if child == 0:
            return
        job.log(f"child: {os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}")

    def child_exits(job):
        child = os.fork()
        if child == 0:
            sys.exit(3)
        job.log(f"child: {os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}")

    def child_exits_well(job):
        child = os.fork()
        if child == 0:
            sys.exit()
        job.log(f"child: {os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}")

    def child_raises_later(job):
        if os.fork() == 0:
            time.sleep(0.5)
            raise RuntimeError("in the child")
        time.sleep(1)
        raise RuntimeError("in the parent")

    def talks_on(job):
        def talk():
            while True:
                job.log("tick")
                time.sleep(0.002)
        threading.Thread(target=talk, daemon=True).start()
        time.sleep(0.2)

    @service(name="NAME")
    def leave(job):
        plan = json.loads(pathlib.Path(FOLDER, "plan.json").read_text())
        return globals()[plan[str(job.ticket)]](job)
"""


@posix
def test_what_a_function_leaves_says_nothing_in_its_name(lab: Lab) -> None:
    """Neither a child that it forks, which would go on with our work, nor a thread."""
    lab.write(LEAVING)
    children = {"raises": 1, "returns": 1, "exits": 3, "exits_well": 0}
    kinds = [*(f"child_{kind}" for kind in children), "child_raises_later", "talks_on"]
    tickets = {kind: lab.submit() for kind in kinds}
    plan = {ticket: kind for kind, ticket in tickets.items()}
    (lab.folder / "plan.json").write_text(json.dumps(plan), encoding="ascii")
    with lab.running("--once", "--workers", 2, "--timeout", "20s") as runner:
        assert runner.wait(300) == 1
    for kind, code in children.items():
        said = [line.message for line in lab.lines(tickets[f"child_{kind}"])]
        assert f"child: {code}" in said, kind
        assert lab.result(tickets[f"child_{kind}"])
    assert lab.error(tickets["child_raises_later"]) == "in the parent"
    assert lab.result(tickets["talks_on"])
    failing = lab.rows("select ticket from events where step = 'failing'")
    assert failing == [(tickets["child_raises_later"],)]
    # Whoever wrote the function finds out what its child did.
    (folder,) = lab.workdir.glob(f"ticket_*{tickets['child_raises']}")
    assert "FileNotFoundError" in (folder / "output.txt").read_text(encoding="utf-8")
    assert not lab.left()


@posix
def test_a_second_failure_is_told_like_the_first(lab: Lab) -> None:
    """A ticket is queued again, and what its first try has left cannot be removed."""
    lab.write(
        """
        import pathlib, shutil
        from dss import service

        remove = shutil.rmtree

        def refuse(path, *more, **further):
            if (pathlib.Path(path) / "of_docker").exists():
                raise PermissionError(1, "Operation not permitted", "of_docker")
            remove(path, *more, **further)

        shutil.rmtree = refuse

        @service(name="NAME")
        def fail(job):
            pathlib.Path("of_docker").touch()
            raise RuntimeError("no head in this image")
        """
    )
    ticket = lab.submit()
    assert lab.run("--once").stderr.endswith("tickets: 1 failed\n")
    lab.user.retry(ticket)
    again = lab.run("--once")
    assert again.stderr.endswith("tickets: 1 failed\n")
    first, second = lab.lines(ticket, "error")
    assert first.message == "no head in this image"
    assert len(first.attachments) == 1
    reason = "work of an earlier attempt cannot be removed: of_docker: Operation not permitted"
    assert second.message == reason
    assert not second.attachments
    assert f"failing: {reason}" in again.stderr


def test_a_page_that_comes_for_a_file_is_waited_for(
    work: TicketRun, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    nameless = TransferFailed("a file came without its name")
    files, listed = Server(nameless, nameless), Server(InvalidResponse("<html>"))
    monkeypatch.setattr(work._provider, "download", lambda *_, **__: files.answer())
    monkeypatch.setattr(work._provider, "files", lambda _ticket: listed.answer())
    with pytest.raises(TransferFailed):  # where the list is well, the file is not
        work._retry_until_available(lambda: work._fetch(tmp_path))
    assert files.answer() == "well"


def test_a_ticket_that_another_login_has_is_let_go(
    work: TicketRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Reached] = []

    def refuse() -> Step:
        raise WrongState("ticket 1 has not been claimed by this user")

    monkeypatch.setattr(work._channel, "tell", told.append)
    monkeypatch.setattr(work, "_begin", lambda: Step.FAILING)
    monkeypatch.setattr(work, "_report_failure", refuse)
    work.run()
    assert told == [Reached(Step.FINISHED, Outcome.RELEASED)]

"""A Dask cluster whose machines break: real processes, really killed."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any

import pytest
import trustme

from dss import Session, TicketStatus
from dss.login import Credentials
from dss.serving.journal import Outcome
from dss.serving.messages import ProcessExited, Waiting, WorkerEvent, as_line
from dss.serving.runner import Runner
from dss.serving.runner.dask import DaskExecutor, _Remote
from dss.serving.settings import Limits, Settings
from dss.serving.workdir import folder_of
from tests.dss.serving.cluster import Cluster
from tests.dss.serving.lab import Lab, stop, until

#: A service that is held in its function if the test says so, and notes each run.
HELD = """
    import os, time
    import sabotage
    from dss import service

    @service(name="NAME", SETTINGS)
    def work(job):
        with open(f"{FOLDER}/runs_{job.ticket}", "a") as runs:
            runs.write(f"{os.getppid()} {job.workdir}\\n")
        sabotage.hold(job.ticket, "function")
"""


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest.fixture
def cluster(scheduler: Cluster) -> Iterator[Cluster]:
    """A cluster without workers."""
    yield scheduler
    scheduler.drop()


def held(lab: Lab, settings: str = "resumable=True") -> int:
    """Submit a ticket whose job will be held; give its number."""
    lab.write(HELD.replace("SETTINGS", settings))
    ticket = lab.submit()
    lab.hold({ticket: "function"})
    return ticket


def runs(lab: Lab, ticket: int) -> list[tuple[int, Path]]:
    """Return the Dask worker and the folder of each run of a job."""
    lines = (lab.folder / f"runs_{ticket}").read_text(encoding="utf-8").splitlines()
    return [(int(line.split(" ", 1)[0]), Path(line.split(" ", 1)[1])) for line in lines]


def on(cluster: Cluster) -> list[str]:
    return ["--executor", "dask", "--scheduler", cluster.address]


def session(lab: Lab) -> Session:
    return Credentials(lab.home).open_session(lab.middleware.url)


def dead(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def check(lab: Lab, ticket: int) -> None:
    """Make sure that a ticket succeeded, and was reported once."""
    assert lab.status(ticket) is TicketStatus.SUCCESS
    assert lab.rows("select step from events where step = 'finished'") == [("finished",)]


def test_worker_is_lost(lab: Lab, cluster: Cluster) -> None:
    """A killed worker's job is begun again, once, on another; its process does not outlive it."""
    ticket = held(lab)
    cluster.add("one")
    with lab.running("--max-tickets", 1, *on(cluster)) as runner:
        until(lambda: lab.held(ticket))
        cluster.workers["one"].kill()
        until(lambda: dead(lab.held(ticket) or 0))
        cluster.add("two")
        assert runner.wait(300) == 0, lab.log
    cluster.until_idle()
    workers = [worker for worker, _ in runs(lab, ticket)]
    assert workers == [cluster.workers["one"].pid, cluster.workers["two"].pid]
    check(lab, ticket)
    (note,) = lab.rows("select note from events where step = 'again'")
    assert note == ("its Dask worker was lost",)


def test_runner_is_lost(lab: Lab, cluster: Cluster) -> None:
    """A killed runner's job ends; the next runner does it again, and leaves the cluster idle."""
    ticket = held(lab)
    cluster.add("one")
    with lab.running(*on(cluster)) as runner:
        until(lambda: lab.held(ticket))
        runner.kill()
        runner.wait()
    until(lambda: dead(lab.held(ticket) or 0))
    cluster.until_idle()
    with lab.running(*on(cluster)) as runner:
        until(lambda: lab.status(ticket) is TicketStatus.SUCCESS)
        assert stop(runner) == 0
    cluster.until_idle()
    assert len(runs(lab, ticket)) == 2
    with session(lab) as login:
        assert login.cookie
        cookie = login.cookie.value or ""
    for name in ("one", "scheduler"):
        assert cookie not in cluster.log(name)
    check(lab, ticket)


def test_resources(lab: Lab, cluster: Cluster) -> None:
    """A job goes to the worker that has what its service needs."""
    tickets = [held(lab, "resources={'gpu': 1}"), lab.submit()]
    lab.let_go()
    cluster.add("plain")
    cluster.add("with_gpu", "--resources", "gpu=1")
    done = lab.run("--once", "--workers", 2, *on(cluster))
    assert done.returncode == 0, done.stderr
    for ticket in tickets:
        assert [worker for worker, _ in runs(lab, ticket)] == [cluster.workers["with_gpu"].pid]


def test_scheduler_is_away(lab: Lab, cluster: Cluster) -> None:
    """A runner waits for a cluster that is not there, and for one that has gone."""
    ticket = held(lab)
    cluster.kill_scheduler()
    with lab.running("--max-tickets", 1, *on(cluster)) as runner:
        until(lambda: "no Dask cluster at" in lab.log)
        assert lab.status(ticket) is TicketStatus.READY
        cluster.start_scheduler()
        cluster.add("one")
        until(lambda: lab.held(ticket))
        cluster.kill_scheduler()
        # Its workers end with it.
        assert cluster.workers["one"].wait(300) is not None
        cluster.start_scheduler()
        cluster.add("two")
        assert runner.wait(300) == 0, lab.log
    assert len(runs(lab, ticket)) == 2
    check(lab, ticket)


@pytest.mark.parametrize("resumable", [True, False])
def test_nothing_is_shared(
    lab: Lab, cluster: Cluster, monkeypatch: pytest.MonkeyPatch, resumable: bool
) -> None:
    """Without the runner's work folder a job has one of its own, of which nothing is left."""
    # A worker cannot tell this from a folder of the same path on another machine.
    monkeypatch.setattr("dss.serving.runner.dask._identify", lambda _: "another machine's")
    ticket = held(lab, f"resumable={resumable}")
    cluster.add("one")

    def disturb() -> None:
        until(lambda: lab.held(ticket))
        cluster.workers["one"].kill()
        cluster.add("two")

    disturbing = Thread(target=disturb)
    disturbing.start()
    settings = Settings(provider="testlab", workdir=lab.workdir, max_tickets=1, min_free=1)
    executor = DaskExecutor(cluster.address, lab.file, lab.workdir, Limits(), {})
    runner = Runner(lab.file, lambda: session(lab), settings, executor)
    outcomes = runner.run()
    disturbing.join()
    cluster.until_idle()
    folders = [folder for _, folder in runs(lab, ticket)]
    assert not any(folder.is_relative_to(lab.workdir) for folder in folders)
    assert not folders[-1].exists() or not resumable
    assert not (folder_of(lab.workdir, ticket) / "input").exists()
    if resumable:
        assert outcomes[Outcome.SUCCESS] == 1
        assert len(folders) == 2
        check(lab, ticket)
    else:
        assert outcomes[Outcome.FAILED] == 1
        assert len(folders) == 1
        assert "cut short" in lab.error(ticket)


def test_encrypted(lab: Lab, tmp_path: Path) -> None:
    """With `tls://` and certificates in Dask's configuration, all lines are encrypted."""
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1", "localhost")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / "machine.pem")
    variables = {"DASK_DISTRIBUTED__COMM__TLS__CA_FILE": str(tmp_path / "ca.pem")}
    for role in ("SCHEDULER", "WORKER", "CLIENT"):
        for what in ("KEY", "CERT"):
            name = f"DASK_DISTRIBUTED__COMM__TLS__{role}__{what}"
            variables[name] = str(tmp_path / "machine.pem")
    lab.write(HELD.replace("SETTINGS", "resumable=True"))
    ticket = lab.submit()
    with Cluster(tmp_path, protocol="tls", **variables) as cluster:
        cluster.add("one")
        done = lab.run("--once", *on(cluster), **variables)
        assert done.returncode == 0, done.stderr
    check(lab, ticket)


def test_strangers_are_not_heard(
    lab: Lab, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who connects to the runner and does not know the word of a job is given nothing."""
    ports: SimpleQueue[int] = SimpleQueue()
    start_server = asyncio.start_server

    async def noted(*args: Any, **more: Any) -> asyncio.Server:
        server = await start_server(*args, **more)
        ports.put(server.sockets[0].getsockname()[1])
        return server

    monkeypatch.setattr("asyncio.start_server", noted)
    heard: SimpleQueue[WorkerEvent] = SimpleQueue()
    lab.workdir.mkdir()
    executor = DaskExecutor(cluster.address, lab.file, lab.workdir, Limits(), {})
    worker = executor.start(heard.put)
    with socket.create_connection(("127.0.0.1", ports.get(timeout=300))) as line:
        line.sendall(b"0" * 64 + b"\n")
        assert line.recv(100) == b""
    # The job still waits for a place.
    assert heard.empty()
    worker.cancel()
    assert heard.get(timeout=300) == ProcessExited(None)
    executor.close()


@pytest.mark.parametrize("line", [b'{"message": "Later"}\n', b"null\n", b'{"message": "Rea'])
def test_a_worker_that_is_not_understood_is_lost(line: bytes) -> None:
    """One of another version: its job is begun again, and the function has not failed."""
    heard: list[WorkerEvent] = []

    async def listen() -> ProcessExited:
        reader = asyncio.StreamReader()
        reader.feed_data(as_line(Waiting("a moment")) + line)
        reader.feed_eof()
        return await _Remote(asyncio.get_running_loop(), heard.append).listen(reader)

    ended = asyncio.run(listen())
    assert ended.lost
    assert heard == [Waiting("a moment")]


def test_example_for_slurm(lab: Lab) -> None:
    """The script of the documentation, with a cluster of this machine instead of Slurm's."""
    ticket = held(lab, "resources={'gpu': 1}")
    lab.let_go()
    script = Path(__file__).parents[4] / "docs" / "examples" / "slurm.py"
    done = lab.run("--once", before=[sys.executable, script, "local", 1])
    assert done.returncode == 0, done.stderr
    check(lab, ticket)


def test_a_worker_that_connects_too_late_does_not_stand_for_the_next_one() -> None:
    """The cluster lost its task, which is submitted again; a kill is for that one."""

    class Line:
        closed = False

        def close(self) -> None:
            self.closed = True

    async def kill() -> tuple[bool, bool]:
        loop = asyncio.get_running_loop()
        remote, line = _Remote(loop, print), Line()
        remote.line = loop.create_future()
        remote.line.set_result(None)
        remote.pick_up(asyncio.StreamReader(), line)  # type: ignore[arg-type]
        remote.line = loop.create_future()
        remote.task = loop.create_task(asyncio.wait_for(remote.line, None))  # type: ignore[arg-type]
        remote.kill()
        await asyncio.wait([remote.task], timeout=60)
        return line.closed, remote.task.cancelled()

    assert asyncio.run(kill()) == (True, True)

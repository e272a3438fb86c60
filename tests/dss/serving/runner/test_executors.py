"""What holds wherever jobs are done: the same tests over every executor."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import TypeVar

import psutil
import pytest

from dss import Provider, TicketStatus
from dss.errors import JobCancelled, ServiceError
from dss.login import Credentials
from dss.serving.journal import Step
from dss.serving.messages import (
    Declared,
    JobOver,
    Order,
    ProcessExited,
    Reached,
    Ready,
    WorkerEvent,
)
from dss.serving.runner.dask import DaskExecutor, together
from dss.serving.runner.executors import Executor, LocalExecutor, describe
from dss.serving.settings import Limits
from dss.serving.workdir import folder_of
from tests.dss.serving.cluster import Cluster
from tests.dss.serving.lab import Lab, lives, until

Message = TypeVar("Message")

HEADER = """
    import os, time
    from dss import service
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("cluster")) as running:
        running.add("one")
        running.add("two")
        yield running


@pytest.fixture(params=["local", "dask"])
def options(request: pytest.FixtureRequest) -> list[str]:
    """What `dss run` is told of its executor."""
    if request.param == "local":
        return []
    cluster: Cluster = request.getfixturevalue("cluster")
    return ["--executor", "dask", "--scheduler", cluster.address]


def test_a_ticket_succeeds(lab: Lab, options: list[str]) -> None:
    ticket = lab.submit()
    done = lab.run("--once", *options)
    assert done.returncode == 0, done.stderr
    assert lab.result(ticket).layer(tag="Result")
    steps = [step for (step,) in lab.rows("select step from events order by id")]
    assert steps == [step.value for step in Step if step is not Step.FAILING]


def test_failures(lab: Lab, options: list[str]) -> None:
    """An exception, a crash, and too much time: each fails its ticket, saying so."""
    lab.write(
        HEADER
        + """
    @service(name="NAME")
    def work(job):
        fate = open(f"{FOLDER}/fate_{job.ticket}").read()
        if fate == "raise":
            raise ValueError("no such vertebra")
        if fate == "crash":
            os.abort()
        while not job.cancelled:
            time.sleep(0.05)
"""
    )
    fates = {"raise": "no such vertebra", "crash": "SIGABRT", "hang": "its time is up"}
    tickets = {fate: lab.submit() for fate in fates}
    for fate, ticket in tickets.items():
        (lab.folder / f"fate_{ticket}").write_text(fate)
    done = lab.run("--once", "--workers", 2, "--timeout", "5s", *options)
    assert done.returncode == 1, done.stderr
    for fate, reason in fates.items():
        assert reason in lab.error(tickets[fate])


def test_its_user_deletes_it(lab: Lab, options: list[str]) -> None:
    lab.write(
        HEADER
        + """
    @service(name="NAME")
    def work(job):
        open(FOLDER + "/begun", "w").close()
        while not job.cancelled:
            time.sleep(0.05)
"""
    )
    ticket = lab.submit()
    with lab.running("--max-tickets", 1, *options) as runner:
        until((lab.folder / "begun").exists)
        lab.user.delete(ticket)
        assert runner.wait(300) == 0
    assert lab.rows("select outcome from tickets") == [("deleted",)]
    assert not folder_of(lab.workdir, ticket).exists()


def test_two_at_once(lab: Lab, options: list[str]) -> None:
    """Each of two jobs waits for the other."""
    lab.write(
        HEADER
        + """
    @service(name="NAME")
    def work(job):
        open(f"{FOLDER}/begun_{job.ticket}", "w").close()
        while len([name for name in os.listdir(FOLDER) if name.startswith("begun_")]) < 2:
            time.sleep(0.05)
"""
    )
    tickets = [lab.submit(), lab.submit()]
    done = lab.run("--once", "--workers", 2, *options, "--timeout", "30s")
    assert done.returncode == 0, done.stderr
    assert [lab.status(ticket) for ticket in tickets] == [TicketStatus.SUCCESS] * 2


class Ear:
    """What a worker says."""

    def __init__(self) -> None:
        self.said: SimpleQueue[WorkerEvent] = SimpleQueue()

    def until(self, kind: type[Message]) -> Message:
        """Return the next message of a kind."""
        while True:
            said = self.said.get(timeout=300)
            if isinstance(said, kind):
                return said


@pytest.fixture(params=["local", "dask"])
def executor(lab: Lab, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Executor]:
    lab.workdir.mkdir()
    made: Executor
    if request.param == "local":
        made = LocalExecutor(lab.file, lab.workdir, Limits())
    else:
        cluster: Cluster = request.getfixturevalue("cluster")
        made = DaskExecutor(cluster.address, lab.file, lab.workdir, Limits(), {})
    yield made
    made.close()


def test_a_conversation(lab: Lab, executor: Executor) -> None:
    """A worker is ready, takes an order, and goes no step further before it is answered."""
    lab.write(
        HEADER
        + """
    @service(name="NAME", tags=["Target"], resources={"memory": 4})
    def work(job):
        while not job.cancelled:
            time.sleep(0.05)
"""
    )
    ticket = lab.submit()
    session = Credentials(lab.home).open_session(lab.middleware.url)
    assert session.cookie
    assert Provider(session).claim([lab.hash], "testlab", "by hand")
    ear = Ear()
    worker = executor.start(ear.said.put)
    assert ear.until(Ready).services == (Declared(lab.name, {"memory": 4}),)
    order = Order(
        ticket=ticket,
        service=lab.name,
        hash=lab.hash,
        step=Step.CLAIMED,
        reason="",
        folder=folder_of(lab.workdir, ticket),
        server=session.server,
        cookie=session.cookie.value or "",
        verify=True,
        privacy="standard",
        retry_for=20.0,
    )
    worker.order(order)
    reached = ear.until(Reached)
    assert reached.step is Step.DOWNLOADED
    assert not (order.folder / "work").exists()
    worker.answer(reached.number)
    reached = ear.until(Reached)
    assert reached.step is Step.PROCESSING
    worker.answer(reached.number)
    worker.cancel()
    assert ear.until(JobOver).how == "cancelled"
    assert ear.until(ProcessExited).why is None
    session.close()


def test_killed(lab: Lab, executor: Executor, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that is killed says so, once."""
    monkeypatch.setattr("dss.serving.runner.supervisor._GRACE", 300.0)  # it has yet to start
    ear = Ear()
    worker = executor.start(ear.said.put)
    ear.until(Ready)
    worker.kill()
    ear.until(ProcessExited)
    executor.start(ear.said.put).cancel()
    assert ear.until(ProcessExited).why is None
    assert ear.said.empty()


def test_a_file_is_described_without_the_login(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As its jobs are done: whatever the file does when it is imported, it has no login to use."""
    monkeypatch.setenv("DSS_TOKEN", "secret")
    monkeypatch.setenv("COLOUR", "red")
    file = tmp_path / "my_service.py"
    file.write_text(
        "import os, dss\n"
        "name = f\"{os.environ['COLOUR']} {'DSS_TOKEN' in os.environ}\"\n"
        "work = dss.service(name=name)(print)\n",
        encoding="utf-8",
    )
    assert describe(file) == (Declared("red False", {}),)


def starts_another(folder: Path, end: str) -> Path:
    """Write a file that starts a process when it is imported, then does something else."""
    file = folder / "my_service.py"
    start = """
import os, subprocess, sys
from pathlib import Path
other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
Path(__file__).with_name("new").write_text(str(other.pid))
Path(__file__).with_name("new").replace(Path(__file__).with_name("other"))
"""
    file.write_text(start + end, encoding="utf-8")
    return file


def left(folder: Path) -> bool:
    """Whether the process that was started is there; then it goes now."""
    try:
        other = psutil.Process(int((folder / "other").read_text(encoding="ascii")))
    except psutil.NoSuchProcess:
        return False
    there = lives(other)
    other.kill()
    return there


def test_what_an_import_has_started_does_not_outlive_its_end(tmp_path: Path) -> None:
    file = starts_another(tmp_path, "sys.stderr.write('no licence\\n'); os._exit(3)\n")
    with pytest.raises(ServiceError) as raised:
        describe(file)
    assert str(raised.value).startswith(f"{file} cannot be imported: its process ended with exit")
    assert str(raised.value).endswith("exit code 3: no licence")
    assert not left(tmp_path)


def test_what_an_import_has_started_does_not_outlive_its_being_given_up(tmp_path: Path) -> None:
    file = starts_another(tmp_path, "other.wait()\n")
    with pytest.raises(JobCancelled, match="stopped while .* was imported"):
        describe(file, (tmp_path / "other").exists)
    assert not left(tmp_path)


def test_an_import_that_takes_too_long_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dss.serving.runner.executors._IMPORT_LIMIT", 0.5)
    file = tmp_path / "my_service.py"
    file.write_text("import time\ntime.sleep(600)\n", encoding="utf-8")
    with pytest.raises(ServiceError, match=r"my_service.py took 0.5 s$"):
        describe(file)


def test_resources_together() -> None:
    assert together([{"gpu": 1}, {"gpu": 2, "memory": 3}, {}]) == {"gpu": 2, "memory": 3}
    assert together([]) == {}

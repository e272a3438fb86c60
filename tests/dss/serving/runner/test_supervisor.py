"""The process of a job, seen from outside."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from queue import SimpleQueue

import psutil
import pytest

from dss.serving.messages import ImportFailed, ProcessExited, Ready, Waiting, WorkerEvent, as_line
from dss.serving.runner.supervisor import Supervisor
from dss.serving.settings import Limits
from tests.dss.serving.lab import command_line, lives, until

linux = pytest.mark.skipif(sys.platform != "linux", reason="writes over its environment as there")

SERVICE = """
from dss import service

@service(name="Any")
def work(job):
    pass
"""


def process_of(file: Path) -> psutil.Process:
    """Find the process of a service's file among all that this one has started."""
    words = ["-m", "dss.serving.worker", str(file.resolve())]
    found: list[psutil.Process] = []

    def look() -> bool:  # for a moment after its start, its command line is empty
        children = psutil.Process().children()
        found[:] = (child for child in children if command_line(child)[1:] == words)
        return bool(found)

    until(look)
    (process,) = found
    return process


def test_its_end_is_told_though_it_was_spoken_to_when_it_had_ended(tmp_path: Path) -> None:
    """The runner answers a step, and the process that took it is no more."""
    file = tmp_path / "my_service.py"
    file.write_text(SERVICE, encoding="utf-8")
    heard: SimpleQueue[WorkerEvent] = SimpleQueue()

    def hear(said: WorkerEvent) -> None:
        # In the thread that listens: which does not know of the end yet.
        if isinstance(said, Ready):
            process = process_of(file)
            process.kill()
            # Until it is waited for, which `Supervisor` does: while it is a zombie, threads of it
            # may still hold its end of the line.
            until(lambda: not psutil.pid_exists(process.pid))
            supervisor.answer(1)
        heard.put(said)

    supervisor = Supervisor(file, tmp_path, Limits(), hear)
    assert isinstance(heard.get(timeout=300), Ready)
    ended = heard.get(timeout=300)
    assert isinstance(ended, ProcessExited)
    assert ended.why


def test_too_much_memory_ends_it_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is given no time to end by itself: by then the machine would have no memory left."""
    monkeypatch.setattr("dss.serving.runner.supervisor._GRACE", 3600.0)
    file = tmp_path / "my_service.py"
    file.write_text("import time\neaten = bytearray(300_000_000)\ntime.sleep(600)\n", "utf-8")
    heard: SimpleQueue[WorkerEvent] = SimpleQueue()
    supervisor = Supervisor(file, tmp_path, Limits(memory=200_000_000), heard.put)
    try:
        ended = heard.get(timeout=300)
    finally:
        supervisor.kill()
    assert isinstance(ended, ProcessExited)
    assert ended.limit
    assert "of memory: the limit is 0.20 GB" in (ended.why or "")


def test_one_that_cannot_be_started_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "my_service.py"
    file.write_text(SERVICE, encoding="utf-8")
    workdir = tmp_path / "work"
    workdir.mkdir()
    monkeypatch.setattr("sys.executable", str(tmp_path / "no such python"))
    with pytest.raises(OSError, match="no such python"):
        Supervisor(file, workdir, Limits(), lambda _: None)
    assert list(workdir.iterdir()) == []


#: What a process does to its environment that gives itself another title, once a test has found it
#: by the one that it was given.
RETITLED = """
import ctypes, time
from pathlib import Path

while not Path(__file__).with_name("found").exists():
    time.sleep(0.01)
fields = open("/proc/self/stat").read().rsplit(")", 1)[1].split()
begin, end = int(fields[47]), int(fields[48])
ctypes.memset(begin, 0, end - begin)
"""


@linux
def test_one_with_another_title_is_killed(tmp_path: Path) -> None:
    """With its children, which look like it."""
    file = tmp_path / "my_service.py"
    fork = "import os\nif os.fork() == 0: time.sleep(600)\n"
    said = "Path(__file__).with_name('on').touch()\ntime.sleep(600)\n"
    file.write_text(RETITLED + fork + said, encoding="utf-8")
    heard: SimpleQueue[WorkerEvent] = SimpleQueue()
    supervisor = Supervisor(file, tmp_path, Limits(), heard.put)
    family = [process_of(file)]
    (tmp_path / "found").touch()
    try:
        until((tmp_path / "on").exists)
        family += family[0].children()
        assert len(family) == 2
        supervisor.kill()
        assert isinstance(heard.get(timeout=300), ProcessExited)
        until(lambda: not any(lives(one) for one in family))
    finally:
        for one in family:
            if one.is_running():
                one.kill()


@linux
def test_one_with_another_title_has_its_limits(tmp_path: Path) -> None:
    file = tmp_path / "my_service.py"
    eat = "eaten = bytearray(300_000_000)\ntime.sleep(600)\n"
    file.write_text(RETITLED + eat, encoding="utf-8")
    heard: SimpleQueue[WorkerEvent] = SimpleQueue()
    Supervisor(file, tmp_path, Limits(memory=200_000_000), heard.put)
    first = process_of(file)
    (tmp_path / "found").touch()
    try:
        ended = heard.get(timeout=300)
    finally:
        if first.is_running():
            first.kill()
    assert isinstance(ended, ProcessExited)
    assert ended.limit


#: Leaves a daemon without a mark, which keeps what its parent had open, then crashes.
DAEMON = """
import os, sys, time
from pathlib import Path

if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for number in range(3, 20):
            try:
                os.set_inheritable(number, True)
            except OSError:
                pass
        Path(__file__).with_name("daemon").write_text(str(os.getpid()))
        os.chdir(Path(__file__).parent)
        os.execve("/bin/sh", ["sh", "late.sh"], {"PATH": os.defpath})
    os._exit(0)
os.wait()
while not Path(__file__).with_name("go_on").exists():
    time.sleep(0.02)
os._exit(3)
"""


LATE = """
until [ -e say ]; do sleep 0.05; done
for n in 3 4 5 6 7 8 9; do
  sh -c 'cat line >&'$n
done
touch said
exec sleep 600
"""


@pytest.mark.skipif(os.name == "nt", reason="daemons are of POSIX")
def test_its_end_is_told_though_something_unknown_holds_its_line(tmp_path: Path) -> None:
    """Once, and that goes for what is said on that line later, too."""
    file = tmp_path / "my_service.py"
    file.write_text(DAEMON, encoding="utf-8")
    (tmp_path / "late.sh").write_text(LATE, encoding="utf-8")
    (tmp_path / "line").write_bytes(as_line(Waiting("late")))
    heard: SimpleQueue[WorkerEvent] = SimpleQueue()
    Supervisor(file, tmp_path, Limits(), heard.put)
    until(lambda: (tmp_path / "daemon").exists() and (tmp_path / "daemon").read_text())
    daemon = psutil.Process(int((tmp_path / "daemon").read_text()))
    try:
        until(lambda: daemon.name() == "sh")
        (tmp_path / "go_on").touch()
        ended = heard.get(timeout=300)
        assert lives(daemon)
        (tmp_path / "say").touch()
        until((tmp_path / "said").exists)
    finally:
        daemon.kill()
    assert isinstance(ended, ProcessExited)
    assert ended.why == "its process ended with exit code 3"
    until(lambda: not lives(daemon))
    assert heard.empty()


def test_all_that_it_has_said_is_told_before_its_end(tmp_path: Path) -> None:
    file = tmp_path / "my_service.py"
    file.write_text("raise RuntimeError('not today')\n", encoding="utf-8")
    for _ in range(3):
        heard: SimpleQueue[WorkerEvent] = SimpleQueue()
        Supervisor(file, tmp_path, Limits(), heard.put)
        said = heard.get(timeout=300)
        assert isinstance(said, ImportFailed)
        assert "not today" in said.why
        ended = heard.get(timeout=300)
        assert isinstance(ended, ProcessExited)
        assert ended.why is None

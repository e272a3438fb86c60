"""The process of a job, seen from outside."""

from __future__ import annotations

from pathlib import Path
from queue import SimpleQueue

import psutil
import pytest

from dss.serving.messages import Ended, Heard, Ready
from dss.serving.supervisor import Limits, Supervisor
from tests.dss.serving.lab import until

SERVICE = """
from dss import service

@service(name="Any")
def work(job):
    pass
"""


def process_of(file: Path) -> psutil.Process:
    """Find the process of a service's file among all that this one has started."""
    (found,) = (
        child
        for child in psutil.Process().children()
        if child.cmdline()[1:] == ["-m", "dss.serving.child", str(file.resolve())]
    )
    return found


def test_its_end_is_told_though_it_was_spoken_to_when_it_had_ended(tmp_path: Path) -> None:
    """The runner answers a step, and the process that took it is no more."""
    file = tmp_path / "my_service.py"
    file.write_text(SERVICE, encoding="utf-8")
    heard: SimpleQueue[Heard] = SimpleQueue()

    def hear(said: Heard) -> None:
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
    assert isinstance(heard.get(timeout=30), Ready)
    ended = heard.get(timeout=30)
    assert isinstance(ended, Ended)
    assert ended.why


def test_too_much_memory_ends_it_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is given no time to end by itself: by then the machine would have no memory left."""
    monkeypatch.setattr("dss.serving.supervisor._GRACE", 3600.0)
    file = tmp_path / "my_service.py"
    file.write_text("import time\neaten = bytearray(300_000_000)\ntime.sleep(600)\n", "utf-8")
    heard: SimpleQueue[Heard] = SimpleQueue()
    supervisor = Supervisor(file, tmp_path, Limits(memory=200_000_000), heard.put)
    try:
        ended = heard.get(timeout=30)
    finally:
        supervisor.kill()
    assert isinstance(ended, Ended)
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

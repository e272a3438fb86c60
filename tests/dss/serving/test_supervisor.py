"""The process of a job, seen from outside."""

from __future__ import annotations

from pathlib import Path
from queue import SimpleQueue

import psutil

from dss.serving.messages import Ended, Heard, Ready
from dss.serving.supervisor import Limits, Supervisor
from tests.dss.serving.lab import lives, until

SERVICE = """
from dss import service

@service(name="Any")
def work(job):
    pass
"""


def test_its_end_is_told_though_it_was_spoken_to_when_it_had_ended(tmp_path: Path) -> None:
    """The runner answers a step, and the process that took it is no more."""
    file = tmp_path / "my_service.py"
    file.write_text(SERVICE, encoding="utf-8")
    heard: SimpleQueue[Heard] = SimpleQueue()

    def hear(said: Heard) -> None:
        # In the thread that listens: which does not know of the end yet.
        if isinstance(said, Ready):
            (process,) = psutil.Process().children()
            process.kill()
            until(lambda: not lives(process))
            supervisor.answer(1)
        heard.put(said)

    supervisor = Supervisor(file, tmp_path, Limits(), hear)
    assert isinstance(heard.get(timeout=30), Ready)
    ended = heard.get(timeout=30)
    assert isinstance(ended, Ended)
    assert ended.why

"""The line to the runner, as the process of a job has it: a real process, spoken to by hand."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dss.serving import processes
from dss.serving.journal import Step
from dss.serving.messages import Order, Ready, Waiting, as_line, from_line

SERVICE = """
from dss import service

@service(name="Any")
def work(job):
    pass
"""


@pytest.mark.parametrize(
    "line",
    [b"", b'{"message": "Answ', b"null\n", b'{"message": "Later"}\n', b"\xff\n"],
    ids=["nothing", "cut off", "no message", "another version's", "no text"],
)
def test_a_process_ends_when_its_runner_is_gone_or_not_understood(
    tmp_path: Path, line: bytes
) -> None:
    file = tmp_path / "my_service.py"
    file.write_text(SERVICE, encoding="utf-8")
    order = Order(
        ticket=1,
        service="Any",
        hash="0" * 40,
        step=Step.CLAIMED,
        reason="",
        folder=tmp_path / "ticket",
        server="http://127.0.0.1:9",  # which is away: so there is no other end
        cookie="",
        verify=True,
        retry_for=0.0,
        privacy="standard",
    )
    with subprocess.Popen(
        [sys.executable, "-m", "dss.serving.worker", str(file)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, processes.MARK: str(tmp_path)},
    ) as process:
        assert process.stdin
        assert process.stdout
        assert isinstance(from_line(process.stdout.readline()), Ready)
        process.stdin.write(as_line(order))
        process.stdin.flush()
        assert isinstance(from_line(process.stdout.readline()), Waiting)
        process.stdin.write(line)
        process.stdin.close()
        try:
            process.wait(300)  # which raises where it goes on
        finally:
            process.kill()

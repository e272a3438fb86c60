"""``dss run``: what it says, and what it takes; what it does is in `tests.dss.serving`."""

from __future__ import annotations

import pytest

from dss import TicketStatus
from tests.dss.cli.conftest import NAME

CODE = f"""
from dss import service

@service(name={NAME!r})
def work(job):
    raise RuntimeError("no brain")
"""


@pytest.fixture
def run(worker, tmp_path):
    """Runs the service of a folder once, and gives what is said."""
    folder = tmp_path / "begun"
    folder.mkdir()
    (folder / "my_service.py").write_text(CODE)
    words = ["--provider", "lab", "--once", "--min-free", "1M", "--workdir", str(tmp_path / "work")]
    return lambda *more, code=0: worker(["run", str(folder), *words, *more], code).stderr


def test_quietly_only_warnings_and_errors_are_said(run, client, service, workspace):
    assert "serving " in run()
    assert run("--quiet") == ""
    ticket = client.submit(workspace, service)
    said = run("--quiet", code=1).splitlines()
    assert client.status(ticket) is TicketStatus.FAILED
    assert said
    for line in said:
        assert "warning: " in line or "error: " in line


def test_a_folder_without_code(worker, tmp_path):
    words = ["run", str(tmp_path), "--provider", "lab", "--workdir", str(tmp_path / "work")]
    worker.fails([*words, "--quiet"], "there is no service file", "my_service.py")

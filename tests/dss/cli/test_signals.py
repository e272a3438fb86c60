"""What ends a command of dss leaves no copy of a scan among the temporary files."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nibabel
import numpy as np
import pytest

from dss.cli.run import stopping
from snapws import Workspace
from tests import warm

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")

#: `dss service test` of a service that waits, with the archive of its input among temporary files.
SERVICE = """
import os, pathlib, time
from dss import service
@service(name="Slow")
def slow(job):
    pathlib.Path("begun.new").write_text(str(os.getpid()))
    os.rename("begun.new", "begun")
    WAIT
"""

#: Ways of its function to wait: an interrupt ends it, it runs a program, or hears no interrupt.
WAITS = {
    "sleeps": "time.sleep(600)",
    "runs a program": "job.run('sh', '-c', 'echo $$ > pid && mv pid program && exec sleep 600')",
    "hears nothing": "__import__('signal').signal(2, lambda *_: None); time.sleep(600)",
}


class Stopped:
    """Counts how often it is stopped, as a runner does."""

    def __init__(self) -> None:
        self.times = 0

    def stop(self) -> None:
        self.times += 1


def test_the_end_of_a_terminal_stops_a_runner_once() -> None:
    """Terminal and shell send a signal each; a second one would end its jobs at once."""
    runner = Stopped()
    before = signal.getsignal(signal.SIGHUP)
    with stopping(runner):
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGHUP)
        assert runner.times == 1
        signal.raise_signal(signal.SIGTERM)
        assert runner.times == 2
    assert signal.getsignal(signal.SIGHUP) == before


def test_a_runner_under_nohup_stays() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stopping(runner := Stopped()):
            signal.raise_signal(signal.SIGHUP)
        assert runner.times == 0
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.fixture
def trial(tmp_path: Path) -> list[str]:
    nibabel.save(nibabel.Nifti1Image(np.ones((4, 4, 4), "<i2"), np.eye(4)), tmp_path / "t1.nii")
    workspace = Workspace()
    workspace.set_main(tmp_path / "t1.nii")
    write(tmp_path, "sleeps")
    (tmp_path / "tmp").mkdir()
    code = "from dss.cli import main; raise SystemExit(main())"
    study = workspace.save(tmp_path / "study.itksnap")
    return [sys.executable, "-c", code, "service", "test", str(tmp_path / "slow.py"), str(study)]


def write(folder: Path, wait: str) -> None:
    (folder / "slow.py").write_text(SERVICE.replace("WAIT", WAITS[wait]))


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def begun(trial: list[str], folder: Path) -> subprocess.Popen[bytes]:
    """Begin a trial, and wait until its function runs."""
    child = warm.Process(
        [*trial, "-o", str(folder / "out")],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "TMPDIR": str(folder / "tmp")},
    )
    end = time.monotonic() + 300
    while not (folder / "out" / "work" / "begun").exists():
        assert child.poll() is None
        assert time.monotonic() < end
        time.sleep(0.01)
    return child


def scans(folder: Path) -> list[str]:
    return [path.name for path in (folder / "tmp").rglob("layer_*")]


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT], ids=lambda one: one.name
)
def test_a_signal_leaves_nothing_among_temporary_files(trial, tmp_path, number):
    with begun(trial, tmp_path) as child:
        assert len(scans(tmp_path)) == 1
        child.send_signal(number)
        printed, _ = child.communicate(timeout=300)
    assert child.returncode == 128 + number
    assert b"Traceback" not in printed
    assert [*(tmp_path / "tmp").iterdir()] == []


@pytest.mark.parametrize("wait", WAITS)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda one: one.name)
def test_the_end_of_a_trial_ends_its_process_and_programs(trial, tmp_path, wait, number):
    write(tmp_path, wait)
    work = tmp_path / "out" / "work"
    with begun(trial, tmp_path) as child:
        files = [work / "begun", *([work / "program"] if "program" in wait else [])]
        end = time.monotonic() + 300
        while not files[-1].exists():
            assert time.monotonic() < end
            time.sleep(0.01)
        pids = [int(file.read_text()) for file in files]
        assert all(map(is_running, pids))
        child.send_signal(number)
        child.communicate(timeout=300)
        end = time.monotonic() + 300
        while any(map(is_running, pids)):
            assert time.monotonic() < end
            time.sleep(0.01)


def test_an_interrupted_trial_without_a_folder_for_its_result_leaves_none(trial, tmp_path):
    with warm.Process(
        trial,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "TMPDIR": str(tmp_path / "tmp")},
    ) as child:
        end = time.monotonic() + 300
        while not [*(tmp_path / "tmp").glob("dss-service-*/work/begun")]:
            assert time.monotonic() < end
            time.sleep(0.01)
        child.send_signal(signal.SIGINT)
        child.communicate(timeout=300)
    assert [*(tmp_path / "tmp").iterdir()] == []


def test_the_next_command_removes_what_a_killed_one_has_left(trial, tmp_path):
    (tmp_path / "tmp" / "dss-0123456789abcdef").mkdir()  # of somebody who names folders so
    with begun(trial, tmp_path) as child:
        child.kill()
        child.communicate(timeout=300)
    assert len(scans(tmp_path)) == 1
    (tmp_path / "out" / "work").rename(tmp_path / "away")
    with begun(trial, tmp_path) as child:
        assert len(scans(tmp_path)) == 1
        child.send_signal(signal.SIGTERM)
        child.communicate(timeout=300)
    assert [path.name for path in (tmp_path / "tmp").iterdir()] == ["dss-0123456789abcdef"]

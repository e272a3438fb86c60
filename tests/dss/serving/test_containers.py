"""Programs in containers; a stand-in engine runs them in the folder that is mounted."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

import pytest

from dss.errors import CommandFailed, JobCancelled, ServiceError
from dss.serving import containers
from dss.serving.job import Attached, Job
from snapws import Workspace

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the stand-in is a script of POSIX")

#: An engine that notes its words, and does what the program says in the mounted folder.
ENGINE = """#!{python}
import json, os, subprocess, sys
words = sys.argv[1:]
with open({noted!r}, "a") as noted:
    noted.write(json.dumps(words) + "\\n")
if words[0] == "kill":
    sys.exit()
mounted = next(w.partition("=")[2] for w in words if w.startswith(("--volume=", "--bind=")))
folder, _, inside = mounted.rpartition(":")
program = words[words.index("example/image:1") + 1:]
sys.exit(subprocess.run([w.replace(inside, folder) for w in program], cwd=folder).returncode)
"""


class Silent:
    def attach(self, attached: Attached) -> None: ...
    def log(self, category: str, message: str) -> None: ...
    def progress(self, value: float) -> None: ...


@pytest.fixture
def job(tmp_path: Path) -> Job:
    workdir = tmp_path / "work of a ticket"
    workdir.mkdir()
    return Job(7, Workspace(), workdir, Silent())


@pytest.fixture(params=["docker", "podman", "apptainer"])
def engine(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The only engine that is installed."""
    binaries = tmp_path / "bin"
    binaries.mkdir()
    script = binaries / request.param
    script.write_text(ENGINE.format(python=sys.executable, noted=str(tmp_path / "noted")))
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{binaries}:/usr/bin:/bin")
    return request.param


def noted(tmp_path: Path) -> str:
    return (tmp_path / "noted").read_text(encoding="utf-8")


def test_program_of_an_image_works_in_the_work_folder(
    job: Job, engine: str, tmp_path: Path
) -> None:
    (job.workdir / "in.txt").write_text("head")
    made = job.run_container(
        "example/image:1", "cp", job.workdir / "in.txt", "out.txt", makes="out.txt"
    )
    assert made == job.workdir / "out.txt"
    assert made.read_text() == "head"
    assert '"cp", "/work/in.txt", "out.txt"' in noted(tmp_path)
    assert "gpu" not in noted(tmp_path)
    assert "--nv" not in noted(tmp_path)


def test_program_that_fails_fails_the_job(job: Job, engine: str) -> None:
    with pytest.raises(CommandFailed, match="exit code 3"):
        job.run_container("example/image:1", "sh", "-c", "exit 3")


def test_gpus_of_the_job_are_in_the_container(
    job: Job, engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DSS_GPUS", "1")
    job.run_container("example/image:1", "true")
    flags = {
        "docker": '--gpus=\\"device=1\\"',
        "podman": "--device=nvidia.com/gpu=1",
        "apptainer": "--nv",
    }
    assert flags[engine] in noted(tmp_path)


def test_container_ends_with_the_job(job: Job, engine: str, tmp_path: Path) -> None:
    def cancel() -> None:
        while not (job.workdir / "begun").exists():
            time.sleep(0.05)
        job.cancel()

    canceller = threading.Thread(target=cancel)
    canceller.start()
    with pytest.raises(JobCancelled):
        job.run_container("example/image:1", "sh", "-c", "touch begun; exec sleep 600")
    canceller.join()
    assert ('["kill", "dss-7-' in noted(tmp_path)) == (engine != "apptainer")


def test_machine_without_an_engine(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ServiceError, match="no engine for containers is installed: docker"):
        job.run_container("example/image:1", "true")


def test_option_is_not_an_image(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="not the name of an image"):
        containers.command("--privileged", ["sh"], tmp_path, name="a", env={}, engine="docker")

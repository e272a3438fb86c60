"""GPUs are given to jobs, each to one at a time; two pretended ones stand in for real ones."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import pytest

from dss import TicketStatus
from dss.serving import gpus
from dss.serving.runner.gpu_pool import GpuPool
from tests.dss.serving.lab import Lab, stop, until
from tests.dss.serving.runner.test_loop import posix

#: A service that reports its variables, and holds its GPU until the test lets it go.
REPORTS = """
    import json, os, pathlib, signal, time
    from dss import service

    def note(job):
        names = ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER")
        seen = {name: os.environ.get(name) for name in names}
        file = pathlib.Path(FOLDER, f"seen_{job.ticket}.new")
        file.write_text(json.dumps([os.getpid(), seen]))
        file.rename(file.with_suffix(".json"))

    @service(name="NAME", resources={"gpu": GPUS})
    def work(job):
        note(job)
        while not pathlib.Path(FOLDER, "go_on").exists():
            time.sleep(0.05)

    @service(name="NAMEPlain")
    def plain(job):
        note(job)
"""

#: What stands in for the tool of two GPUs.
TOOL = """#!{python}
import sys
if sys.argv[1:] == ["-L"]:
    print("GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-5a1e)")
    print("GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-77b0)")
else:
    (devices,) = (word[5:] for word in sys.argv if word.startswith("--id="))
    for device in devices.split(","):
        print(f"{{device}}, {{1000 + int(device)}}, 40960")
"""


def tool(folder: Path, text: str = TOOL) -> str:
    """Write a stand-in for nvidia-smi; return a PATH that it is on."""
    binaries = folder / "bin"
    binaries.mkdir()
    (binaries / "nvidia-smi").write_text(text.format(python=sys.executable), encoding="utf-8")
    (binaries / "nvidia-smi").chmod(0o755)
    return f"{binaries}{os.pathsep}{os.environ['PATH']}"


@pytest.fixture
def lab(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """A lab on a machine without GPUs, whose service takes one."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(lab.folder / "state"))
    lab.write(REPORTS.replace("GPUS", "1"))
    return lab


def seen(lab: Lab, ticket: int) -> tuple[int, dict[str, str | None]]:
    """Return the process of a ticket, and what it saw."""
    file = lab.folder / f"seen_{ticket}.json"
    until(file.exists)
    process, variables = json.loads(file.read_text(encoding="utf-8"))
    return process, variables


def device(lab: Lab, ticket: int) -> str | None:
    return seen(lab, ticket)[1]["CUDA_VISIBLE_DEVICES"]


def has_begun(lab: Lab, *tickets: int) -> list[int]:
    return [ticket for ticket in tickets if (lab.folder / f"seen_{ticket}.json").exists()]


@posix
def test_two_jobs_have_a_gpu_each_and_a_third_waits(lab: Lab) -> None:
    tickets = [lab.submit() for _ in range(3)]
    with lab.running(
        "--max-tickets", 3, "--workers", 3, "--interval", "0.2s", "--gpus", "0,1"
    ) as runner:
        until(lambda: "all GPUs are in use" in lab.log)
        assert {device(lab, ticket) for ticket in tickets[:2]} == {"0", "1"}
        assert lab.status(tickets[2]) is TicketStatus.READY
        lab.let_go()
        assert runner.wait(300) == 0
    assert device(lab, tickets[2]) in ("0", "1")
    assert lab.log.count("all GPUs are in use") == 1
    assert [lab.status(ticket) for ticket in tickets] == [TicketStatus.SUCCESS] * 3


@posix
def test_gpus_are_found_by_the_tool_and_their_memory_is_in_the_log(lab: Lab) -> None:
    tickets = [lab.submit(), lab.submit()]
    lab.let_go()
    done = lab.run("--once", "--workers", 2, PATH=tool(lab.folder))
    assert done.returncode == 0, done.stderr
    for ticket in tickets:
        number = device(lab, ticket)
        assert number in ("0", "1")
        assert seen(lab, ticket)[1]["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
        said = [entry.message for entry in lab.lines(ticket)]
        assert f"GPU {number}: at most 100{number} of 40960 MiB of its memory were in use" in said


@posix
def test_gpus_of_the_runner_are_those_that_it_may_see(lab: Lab) -> None:
    ticket = lab.submit()
    lab.let_go()
    assert lab.run("--once", CUDA_VISIBLE_DEVICES="GPU-5a1e").returncode == 0
    assert device(lab, ticket) == "GPU-5a1e"


@posix
@pytest.mark.parametrize("variables", [{}, {"CUDA_VISIBLE_DEVICES": ""}], ids=["absent", "hidden"])
def test_machine_without_gpu_claims_nothing_and_says_so_once(
    lab: Lab, variables: dict[str, str]
) -> None:
    ticket = lab.submit()
    with lab.running("--interval", "0.2s", **variables) as runner:
        until(lambda: "this machine has none" in lab.log)
        other = lab.offer(f"{lab.name}Plain")
        plain = lab.submit(service=other)
        assert stop(runner) == 0
    assert lab.log.count("this machine has none") == 1
    assert lab.status(ticket) is lab.status(plain) is TicketStatus.READY
    done = lab.run("--once", "--service", lab.name, **variables)
    assert done.returncode == 1
    assert f"dss: error: no ticket of {lab.name} is worked on: each takes 1 GPU" in done.stderr
    assert lab.status(ticket) is TicketStatus.READY


@posix
def test_service_without_need_is_served_where_there_is_no_gpu(lab: Lab) -> None:
    plain = lab.offer(f"{lab.name}Plain")
    waits, works = lab.submit(), lab.submit(service=plain)
    with lab.running("--interval", "0.2s") as runner:
        until(lambda: lab.status(works) is TicketStatus.SUCCESS)
        later = lab.submit(service=plain)
        until(lambda: lab.status(later) is TicketStatus.SUCCESS)
        assert stop(runner) == 0
    assert lab.status(waits) is TicketStatus.READY
    assert device(lab, works) is None


@posix
def test_service_that_needs_no_gpu_any_more_is_taken_up(lab: Lab) -> None:
    ticket = lab.submit()
    lab.let_go()
    with lab.running("--interval", "0.2s") as runner:
        until(lambda: "this machine has none" in lab.log)
        lab.write(REPORTS.replace("GPUS", "0"))
        until(lambda: lab.status(ticket) is TicketStatus.SUCCESS)
        assert stop(runner) == 0
    assert device(lab, ticket) is None


@posix
def test_job_of_two_gpus_has_both(lab: Lab) -> None:
    lab.write(REPORTS.replace("GPUS", "2"))
    ticket = lab.submit()
    lab.let_go()
    assert "this machine has 1" in lab.run("--once", "--gpus", "1").stderr
    assert lab.run("--once", "--gpus", "1,3").returncode == 0
    assert device(lab, ticket) == "1,3"


@posix
def test_killed_worker_gives_its_gpu_back(lab: Lab) -> None:
    tickets = [lab.submit(), lab.submit()]
    with lab.running(
        "--max-tickets", 2, "--workers", 2, "--interval", "0.2s", "--gpus", "7"
    ) as runner:
        process, _ = seen(lab, tickets[0])
        os.kill(process, signal.SIGKILL)
        assert device(lab, tickets[1]) == "7"
        lab.let_go()
        assert runner.wait(300) == 0
    assert "SIGKILL" in lab.error(tickets[0])
    assert lab.status(tickets[1]) is TicketStatus.SUCCESS


@posix
def test_two_runners_of_a_machine_do_not_share_a_gpu(lab: Lab) -> None:
    tickets = [lab.submit(), lab.submit()]
    common = ("--max-tickets", 1, "--interval", "0.2s", "--gpus", "0")
    with (
        lab.running(*common) as one,
        lab.running(*common, "--workdir", lab.folder / "other work") as other,
    ):
        until(lambda: "all GPUs are in use" in lab.log and has_begun(lab, *tickets))
        assert len(has_begun(lab, *tickets)) == 1
        lab.let_go()
        assert (one.wait(300), other.wait(300)) == (0, 0)
    assert [device(lab, ticket) for ticket in tickets] == ["0", "0"]


@pytest.mark.parametrize("text", ["0,0", "0,,1", "a", "-1", "0 1"])
def test_list_of_gpus_is_invalid(lab: Lab, text: str) -> None:
    done = lab.run("--once", "--gpus", text)
    assert done.returncode == 2
    assert "GPU" in done.stderr


def test_empty_list_has_no_gpu() -> None:
    assert gpus.parse(" ") == ()
    assert GpuPool(()).take(1) is None
    assert GpuPool(()).take(0) == ()


@pytest.mark.parametrize(
    ("visible", "names"),
    [("1,0", ("1", "0")), ("0,-1,1", ("0",)), ("", ()), ("NoDevFiles", ()), ("0,0", ("0",))],
    ids=["order", "minus one ends it", "empty", "no name", "twice"],
)
def test_visible_gpus_are_read_as_cuda_reads_them(
    visible: str, names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert gpus.present() == names


@posix
def test_parts_of_a_divided_gpu_are_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = """#!/bin/sh
echo 'GPU 0: NVIDIA A100 (UUID: GPU-5a1e)'
echo '  MIG 3g.20gb     Device  0: (UUID: MIG-c6d4/1/0)'
echo '  MIG 3g.20gb     Device  1: (UUID: MIG-c6d4/2/0)'
echo 'GPU 1: NVIDIA A100 (UUID: GPU-77b0)'
"""
    monkeypatch.setenv("PATH", tool(tmp_path, text))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert gpus.present() == ("MIG-c6d4/1/0", "MIG-c6d4/2/0", "1")


@posix
def test_tool_that_fails_finds_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "#!/bin/sh\necho 'GPU 0: has no driver'\nexit 9\n"
    monkeypatch.setenv("PATH", tool(tmp_path, text))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert gpus.present() == ()


def test_part_of_a_gpu_is_a_whole_one() -> None:
    assert gpus.needed({"GPU": 0.5, "memory": 8}) == 1
    assert gpus.needed({"memory": 8}) == 0

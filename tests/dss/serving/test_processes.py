"""The processes of a job, however they were started."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from dss.serving import processes
from tests.dss.serving.lab import until

posix = pytest.mark.skipif(os.name == "nt", reason="POSIX only")

FAMILY = """
import os, subprocess, sys, time
sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
open("pids", "a").write(f"{subprocess.Popen(sleep).pid} ")
if os.name == "posix":
    open("pids", "a").write(f"{subprocess.Popen(sleep, start_new_session=True).pid} ")
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            open("pids", "a").write(f"{os.getpid()} ")
            time.sleep(600)
        os._exit(0)
open("pids", "a").write("end")
time.sleep(600 if "stay" in sys.argv else 0)
"""


@pytest.fixture
def family(tmp_path: Path) -> Iterator[list[int]]:
    """Processes with the mark `1` of this test, whose parent has ended."""
    environment = {**os.environ, processes.MARK: f"{tmp_path}/1"}
    subprocess.run([sys.executable, "-c", FAMILY], env=environment, cwd=tmp_path, check=True)
    count = 3 if os.name == "posix" else 1
    file = tmp_path / "pids"
    until(lambda: len(file.read_text().replace("end", "").split()) == count)
    pids = [int(one) for one in file.read_text().replace("end", "").split()]
    yield pids
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            psutil.Process(pid).kill()


def alive(pids: list[int]) -> list[int]:
    def lives(pid: int) -> bool:
        try:
            return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
        except psutil.Error:
            return False

    return [pid for pid in pids if lives(pid)]


def test_processes_are_killed_by_their_mark(family: list[int], tmp_path: Path) -> None:
    assert processes.kill(f"{tmp_path}/") == 0
    assert processes.kill(f"{tmp_path}/11") == 0
    assert alive(family) == family
    assert processes.kill(f"{tmp_path}/1") == len(family)
    assert alive(family) == []
    assert processes.kill(f"{tmp_path}/1") == 0


def test_processes_are_killed_by_the_beginning_of_their_mark(
    family: list[int], tmp_path: Path
) -> None:
    assert processes.kill(f"{tmp_path}/2", beginning=True) == 0
    assert alive(family) == family
    assert processes.kill(f"{tmp_path}/", beginning=True) == len(family)
    assert alive(family) == []


def test_memory_of_all_that_is_found(tmp_path: Path) -> None:
    """Of one without a mark, and of one with it that is not its descendant."""
    eat = "import sys; eaten = b'x' * 10**8; print(flush=True); sys.stdin.read()"
    words = [sys.executable, "-c", eat]
    environment = {**os.environ, processes.MARK: f"{tmp_path}/2"}
    pipe = subprocess.PIPE
    with (
        subprocess.Popen(words, stdin=pipe, stdout=pipe) as first,
        subprocess.Popen(words, stdin=pipe, stdout=pipe, env=environment) as marked,
    ):
        for one in (first, marked):
            assert one.stdout
            one.stdout.readline()
        known = processes.known(first.pid)
        assert processes.memory(f"{tmp_path}/22") == 0
        assert 10**8 < processes.memory(f"{tmp_path}/2") < 2 * 10**8
        assert 2 * 10**8 < processes.memory(f"{tmp_path}/2", known) < 3 * 10**8


def test_processes_without_mark_are_killed_as_children() -> None:
    """The first process of a job, and its child; not another one that has no mark either."""
    spawn = (
        "import subprocess, sys, time\n"
        "other = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print(other.pid, flush=True); time.sleep(600)\n"
    )
    words = [sys.executable, "-c", spawn]
    with (
        subprocess.Popen(words, stdout=subprocess.PIPE) as first,
        subprocess.Popen(words, stdout=subprocess.PIPE) as another,
    ):
        assert first.stdout
        assert another.stdout
        pids = [first.pid, int(first.stdout.readline())]
        others = [another.pid, int(another.stdout.readline())]
        process = processes.known(first.pid)
        try:
            assert processes.kill("no mark", process) >= 2
            assert alive(pids) == []
            assert processes.kill("no mark", process) == 0
            assert alive(others) == others
        finally:
            for pid in alive([*pids, *others]):
                psutil.Process(pid).kill()


def test_a_process_that_takes_a_while_to_end_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    kill = psutil.Process.kill
    killed: list[psutil.Process] = []

    def ends_at_the_third(process: psutil.Process) -> None:
        killed.append(process)
        if len(killed) == 3:
            kill(process)

    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        process = processes.known(child.pid)
        with monkeypatch.context() as patched:
            patched.setattr(psutil.Process, "kill", ends_at_the_third)
            assert processes.kill("no mark", process) == 1
        assert len(killed) >= 3


def test_an_orphan_that_takes_a_while_to_end_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child without a mark is no longer found as a child when its parent has ended before it."""
    spawn = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print(child.pid, flush=True); child.wait()\n"
    )
    kill = psutil.Process.kill
    asked = 0

    def ends_at_the_third(process: psutil.Process) -> None:
        nonlocal asked
        asked += process != parent
        if process == parent or asked == 3:
            kill(process)

    with subprocess.Popen([sys.executable, "-c", spawn], stdout=subprocess.PIPE) as first:
        assert first.stdout
        child = psutil.Process(int(first.stdout.readline()))
        parent = processes.known(first.pid)
        try:
            with monkeypatch.context() as patched:
                patched.setattr(psutil.Process, "kill", ends_at_the_third)
                assert processes.kill("no mark", parent) == 2
            assert alive([first.pid, child.pid]) == []
        finally:
            for pid in alive([first.pid, child.pid]):  # one that has gone cannot be killed
                psutil.Process(pid).kill()


def test_others_are_killed_by_one_without_mark() -> None:
    """A process that has lost its mark ends what it has started, and goes on."""
    code = (
        "from dss.serving import processes; import os, subprocess, sys;"
        "other = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
        "processes.kill_others(); print(other.wait(300) != 0)"
    )
    unmarked = {name: value for name, value in os.environ.items() if name != processes.MARK}
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, env=unmarked, capture_output=True, check=True, timeout=300)
    assert done.stdout.strip() == b"True"


def test_a_process_does_not_kill_itself(tmp_path: Path) -> None:
    code = (
        "from dss.serving import processes; import os;"
        "print(processes.kill(os.environ[processes.MARK]))"
    )
    environment = {**os.environ, processes.MARK: str(tmp_path)}
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, env=environment, capture_output=True, check=True)
    assert done.stdout.strip() == b"0"


def test_memory_of_a_process_and_its_children_is_measured() -> None:
    """Of a process and its children; nothing of one that has ended."""
    eat = "import sys; eaten = b'x' * 10**8; print(flush=True); sys.stdin.read()"
    spawn = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {eat!r}])"
    words = [sys.executable, "-c", spawn]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        parent.stdout.readline()
        first = processes.known(parent.pid)
        assert 10**8 < processes.memory("no mark", first) < 2 * 10**8
    assert processes.memory("no mark", first) == 0
    assert processes.known(parent.pid) is None


@posix
def test_shared_memory_counts_once() -> None:
    fork = (
        "import os, sys, time; eaten = b'x' * 10**8\n"
        "for _ in range(3):\n"
        "    if os.fork() == 0: sys.stdin.read(); os._exit(0)\n"
        "print(flush=True); sys.stdin.read()\n"
    )
    words = [sys.executable, "-c", fork]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        parent.stdout.readline()
        if sys.platform == "linux":
            first = processes.known(parent.pid)
            assert 10**8 < processes.memory("no mark", first) < 2 * 10**8
        assert parent.stdin
        parent.stdin.close()


def test_a_process_whose_number_another_has_got_holds_no_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """psutil then raises what the system said."""

    def gone(_: psutil.Process) -> None:
        raise FileNotFoundError

    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        process = processes.known(child.pid)
        assert processes.memory("no mark", process) > 0
        for name in ("memory_full_info", "status"):
            with monkeypatch.context() as patched:
                patched.setattr(psutil.Process, name, gone)
                assert processes.memory("no mark", process) == 0
        child.communicate(b"\n")

"""A fork that runs a command line does what the console script does."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests import warm
from tests.conformance.replay import place_inputs

LINES = [
    ("snapws", "--version"),
    ("snapws", "layers", "list", "base.itksnap"),
    ("snapws", "layers", "list", "Größe.itksnap"),
    ("snapws", "layers", "list"),
    ("snapws", "registry", "load", "base.itksnap", "Odd", "/dev/stdin"),
    ("snapws", "archive", "base.itksnap", "out"),
    ("snapws-wt", "-i", "base.itksnap", "-ll", "-o", "other.itksnap"),
    ("snapws-wt", "-i", "missing.itksnap"),
    ("dss", "status"),
    ("dss", "tickets", "list"),
]


def _by_script(program: str, *words: str, cwd, given, environment):
    return subprocess.run(
        [warm.script(program), *words],
        cwd=cwd,
        input=given,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )


@pytest.mark.parametrize("line", LINES, ids=" ".join)
def test_a_fork_does_what_the_script_does(tmp_path, line):
    """Exit code, both streams and the files, with a folder, input and environment of their own."""
    found = []
    for name, run in (("fork", warm.run), ("real", _by_script)):
        folder = tmp_path / name  # as long as the other: columns are as wide as what is in them
        place_inputs(folder)
        environment = {**os.environ, "HOME": str(folder), "COLUMNS": "70"}
        done = run(*line, cwd=folder, given="a = 1\n", environment=environment)
        printed = [text.replace(str(folder), "HERE") for text in (done.stdout, done.stderr)]
        files = {
            str(path.relative_to(folder)): path.read_bytes().replace(bytes(folder), b"HERE")
            for path in folder.rglob("*")
            if path.is_file()
        }
        found.append((done.returncode, *printed, files))
    assert found[0] == found[1]


#: Prints what a process has of its own; `hash` depends on a variable that counts at the start.
OWN = """
import os, sys
print(__name__, sys.argv[1:], os.getcwd(), os.environ["OWN"], os.getsid(0) == os.getpid(),
      hash("a"), os.environ.get("PYTHONPATH", "") in sys.path, sys.stdin.read())
print(sys.stdout.errors, sys.stdout.write_through, sys.stderr.errors)
print("no", file=sys.stderr)
sys.exit(3)
"""


@pytest.mark.parametrize("session", [True, False], ids=["session", "no session"])
@pytest.mark.parametrize("option", ["-c", "-m"])
def test_a_fork_has_all_that_a_process_that_is_started_has(tmp_path, option, session):
    (tmp_path / "own.py").write_text(OWN)
    more = {
        "OWN": "Größe",
        "PYTHONHASHSEED": "1",
        "PYTHONIOENCODING": "utf-8:backslashreplace",
        "PYTHONPATH": "/nowhere",
        "PYTHONUNBUFFERED": "1",
    }
    found = []
    for start in (subprocess.Popen, warm.Process):
        with start(
            [sys.executable, option, OWN if option == "-c" else "own", "a b", ""],
            cwd=tmp_path,
            env={**os.environ, **more},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=session,
        ) as process:
            printed = process.communicate(b"given", 300)
        assert process.returncode == 3
        assert printed[1].strip() == b"no"
        found.append(printed)
    assert found[0] == found[1]


#: What a process may do at its end.
ENDS = {
    "nothing": "",
    "exit code": "sys.exit(3)",
    "exit code too large": "sys.exit(300)",
    "message": "sys.exit('no')",
    "exception": "raise ValueError('no')",
    "interrupt": "os.kill(os.getpid(), signal.SIGINT); time.sleep(300)",
    "callbacks": "atexit.register(print, 'second'); atexit.register(print, 'first'); print('text')",
    "callback that fails": "atexit.register(sys.exit, 'no')",
    "thread": "threading.Thread(target=lambda: (time.sleep(0.2), print('late'))).start()",
    "thread behind it": (
        "threading.Thread(target=time.sleep, args=(300,), daemon=True).start(); print('text')"
    ),
    "output closed": "sys.stdout.close(); sys.exit(4)",
    "no output": "sys.stdout = sys.stderr = None; sys.exit(4)",
    "output that fails": (
        "end, other = os.pipe(); os.close(end); os.dup2(other, 1); os.close(other); print('lost')"
    ),
}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize("end", ENDS.values(), ids=list(ENDS))
def test_a_fork_ends_as_a_process_that_is_started_does(end):
    _compare_ends(end, dict(os.environ))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such pipes")
@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])
def test_output_that_fails(unbuffered):
    _compare_ends(ENDS["output that fails"], {**os.environ, "PYTHONUNBUFFERED": unbuffered})


def _compare_ends(end, environment):
    """Compare exit code or signal, the output, and the last line of what Python says went wrong."""
    words = [sys.executable, "-c", f"import atexit, os, signal, sys, threading, time; {end}"]
    found = []
    for start in (subprocess.Popen, warm.Process):
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with start(words, env=environment, **pipes) as process:
            out, err = process.communicate(timeout=300)
        found.append((process.returncode, out, err.splitlines()[-1:]))
    assert found[0] == found[1]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such terminals")
@pytest.mark.parametrize("start", [subprocess.Popen, warm.Process], ids=["real", "fork"])
def test_a_terminal_shows_each_line_at_once(start):
    terminal, other = os.openpty()
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    words = [sys.executable, "-c", "import sys; print('here'); sys.stdin.read()"]
    with start(words, env=environment, stdin=subprocess.PIPE, stdout=other) as process:
        os.close(other)
        try:
            shown = select.select([terminal], [], [], 60)[0] and os.read(terminal, 100)
        finally:
            process.communicate(timeout=300)
            os.close(terminal)
    assert shown == b"here\r\n"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has forks of warm processes")
@pytest.mark.parametrize("start", [subprocess.Popen, warm.Process], ids=["real", "fork"])
def test_others_see_the_environment_of_a_fork(start):
    variables = {**os.environ, "OWN": "Größe", "LONG": "x" * 10_000}
    words = [sys.executable, "-c", "import sys; print('here', flush=True); sys.stdin.read()"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with start(words, env=variables, **pipes) as process:
        process.stdout.readline()
        seen = Path(f"/proc/{process.pid}/environ").read_bytes().rstrip(b"\0").split(b"\0")
        process.communicate(b"", 300)
    assert sorted(seen) == sorted(os.fsencode(f"{name}={text}") for name, text in variables.items())


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has forks of warm processes")
def test_a_worker_outlives_its_runner_as_one_that_is_started_does():
    variables = warm.with_workers(dict(os.environ))
    echo = "import sys; print('here', flush=True); print(sys.stdin.readline(), flush=True)"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = warm.Process([sys.executable, "-c", echo], loaded="workers", env=variables, **pipes)
    try:
        assert process.stdout.readline() == b"here\n"
        process._line.close()  # as the system does when a runner is killed
        # Once another fork has ended, this end has been heard, too.
        other = warm.captured([sys.executable, "-c", ""], loaded="workers", env=variables)
        assert other.returncode == 0
        process.stdin.write(b"still there\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"still there\n"
    finally:
        process._line.close()
        process.returncode = 0  # nobody is there any more to ask
        process.stdin.close()
        process.stdout.close()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["kill", "terminate"])
def test_a_fork_is_a_process_to_kill(number):
    code = "import time; print(end='.', flush=True); time.sleep(600)"
    words = [sys.executable, "-c", code]
    with warm.Process(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        assert process.stdout.read(1) == b"."
        assert process.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.01)
        os.kill(process.pid, number)
        assert process.wait(300) == process.poll() == -number
        assert process.stdout.read() == b""


def test_a_fork_that_does_not_end_is_killed(tmp_path):
    environment = {**os.environ, "HOME": str(tmp_path), "USERPROFILE": str(tmp_path)}
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(300)
        words = ("login", f"http://127.0.0.1:{server.getsockname()[1]}", "--token", "-")
        with pytest.raises(subprocess.TimeoutExpired):
            warm.run("dss", *words, given="a" * 48, environment=environment, timeout=2)
        answering, _ = server.accept()
        with answering:
            answering.settimeout(300)
            while answering.recv(4096):  # until the other end is gone
                pass
    assert warm.run("snapws", "--version").stdout.startswith("snapws ")


def test_what_a_fork_changes_is_its_own(tmp_path):
    place_inputs(tmp_path / "run")
    before = Path.cwd(), dict(os.environ)
    other = {**os.environ, "HOME": "/nowhere"}
    warm.run("snapws", "layers", "list", "base.itksnap", cwd=tmp_path / "run", environment=other)
    assert (Path.cwd(), dict(os.environ)) == before
    assert warm.run("snapws", "layers", "list", "base.itksnap", cwd=tmp_path).returncode == 1

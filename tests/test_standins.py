"""A stand-in of a command does, in a shell, what the console script does."""

from __future__ import annotations

import os
import signal
import socket
import subprocess

import pytest

from tests import standins, warm
from tests.conformance.replay import place_inputs

pytestmark = pytest.mark.skipif(standins.folder() is None, reason="the real commands are used here")


def _environment(folder, home):
    path = os.pathsep.join((str(folder), os.environ["PATH"]))
    return {**os.environ, "HOME": str(home), "COLUMNS": "70", "PATH": path}


@pytest.mark.parametrize(
    "line",
    [
        "snapws --version",
        "snapws layers list Größe.itksnap | sort",
        "snapws layers list missing.itksnap",
        "printf 'a = 1\\n' | snapws registry load base.itksnap Odd /dev/stdin",
        "snapws-wt -i base.itksnap -ll -o other.itksnap > printed",
        "cd .. && dss tickets list",
    ],
)
def test_a_stand_in_does_what_the_script_does(tmp_path, line):
    found = []
    for name, programs in (("fork", standins.folder()), ("real", warm.script("dss").parent)):
        folder = tmp_path / name
        place_inputs(folder)
        environment = _environment(programs, folder)
        done = subprocess.run(
            ["sh", "-c", line], cwd=folder, env=environment, capture_output=True, timeout=300
        )
        files = {
            str(path.relative_to(folder)): path.read_bytes().replace(bytes(folder), b"HERE")
            for path in folder.rglob("*")
            if path.is_file()
        }
        printed = [text.replace(bytes(folder), b"HERE") for text in (done.stdout, done.stderr)]
        found.append((done.returncode, *printed, files))
    assert found[0] == found[1]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_a_signal_for_a_stand_in_ends_its_fork(tmp_path, number, code):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(300)
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        with subprocess.Popen(
            [standins.folder() / "dss", "login", url, "--token", "-"],
            env=_environment(standins.folder(), tmp_path),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            process.stdin.write(b"a" * 48)
            process.stdin.close()
            answering, _ = server.accept()
            with answering:
                process.send_signal(number)
                answering.settimeout(300)
                while answering.recv(4096):  # until the other end is gone
                    pass
            assert process.wait(300) == code

"""Command lines of this project, run by forks of a process that has loaded it already.

Most of what a short command costs is to load Python and the libraries. A fork has that from the
start, and all else as from its console script: a process, streams, a folder, an environment and an
exit code of its own, and the interpreter's own way out. What is about the script as such, start-up,
signals or what gets loaded, is for tests that start the real one. `test_warm` holds that both do
the same.
"""

from __future__ import annotations

import atexit
import json
import os
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from signal import SIGKILL
from struct import Struct
from typing import Any

#: What the console scripts call.
PROGRAMS = {"snapws": "snapws.cli", "snapws-wt": "snapws.wt", "dss": "dss.cli"}

#: What their commands load when they need it.
_LOADED = (
    "dss.cli.app",
    "dss.wt_commands",
    "snapws.archive",
    "snapws.cli.app",
    "snapws.comparison",
    "snapws.report",
    "snapws.verify",
    "snapws.wt.run",
)

_NUMBER = Struct("!q")
_ROOT = Path(__file__).parents[1]


def script(program: str) -> Path:
    """Find the console script of a program."""
    return Path(sysconfig.get_path("scripts")) / program


def run(
    program: str,
    *words: object,
    cwd: Path | None = None,
    given: str = "",
    environment: Mapping[str, str] | None = None,
    timeout: float = 300,
) -> subprocess.CompletedProcess[str]:
    """Run a program as `subprocess.run` does, and capture what it prints.

    Args:
        program: One of `PROGRAMS`.
        words: Its command line.
        cwd: Its folder, this process's if None.
        given: What it reads from standard input, less than a pipe holds.
        environment: Its environment, this process's if None.
        timeout: Seconds until it is killed.

    Raises:
        subprocess.TimeoutExpired: It did not end in time, and was killed.
    """
    line = [program, *map(str, words)]
    cwd, environment = cwd or Path.cwd(), environment or os.environ
    if sys.platform == "win32":  # which cannot fork
        line[0] = str(script(program))
        return subprocess.run(
            line,
            cwd=cwd,
            input=given,
            env=dict(environment),
            capture_output=True,
            encoding="utf-8",
            timeout=timeout,
            check=False,
        )
    order = {"line": line, "cwd": str(cwd), "environment": dict(environment)}
    return _server().run(order, given, timeout)


class _Server:
    """The process that forks, at the other end of a socket; it ends with this process."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair()
        with theirs:
            words = [sys.executable, "-m", "tests.warm", str(theirs.fileno())]
            self._process = subprocess.Popen(words, cwd=_ROOT, pass_fds=[theirs.fileno()])

    def close(self) -> None:
        """Wait for its end, which is that of the socket."""
        self._socket.close()
        self._process.wait()

    def run(
        self, order: dict[str, Any], given: str, timeout: float
    ) -> subprocess.CompletedProcess[str]:
        data = json.dumps(order).encode()
        (theirs, stdin), *pipes = os.pipe(), os.pipe(), os.pipe()
        with os.fdopen(stdin, "w", encoding="utf-8") as stream:
            stream.write(given)  # before somebody may have ended without reading it
        with ThreadPoolExecutor() as readers:
            files = [theirs, *(write for _, write in pipes)]
            socket.send_fds(self._socket, [_NUMBER.pack(len(data))], files)
            self._socket.sendall(data)
            for file in files:
                os.close(file)
            printed = [readers.submit(_read, read) for read, _ in pipes]
            pid = self._number(None)
            try:
                code = self._number(timeout)
            except TimeoutError:
                os.kill(pid, SIGKILL)
                self._number(None)
                raise subprocess.TimeoutExpired(order["line"], timeout) from None
            out, err = (one.result() for one in printed)
        return subprocess.CompletedProcess(order["line"], code, out, err)

    def _number(self, timeout: float | None) -> int:
        self._socket.settimeout(timeout)
        return _receive(self._socket)


@cache
def _server() -> _Server:
    server = _Server()
    atexit.register(server.close)
    return server


def _read(pipe: int) -> str:
    with os.fdopen(pipe, encoding="utf-8") as stream:
        return stream.read()


def _receive(line: socket.socket) -> int:
    data = line.recv(_NUMBER.size, socket.MSG_WAITALL)
    if not data:
        raise EOFError("the process that forks is no more")
    return int(_NUMBER.unpack(data)[0])


def _serve(line: socket.socket) -> Callable[[], int] | None:
    """Fork for each order; returns in the forks, with what to call, and at the end, with None."""
    while True:
        head, files, _, _ = socket.recv_fds(line, _NUMBER.size, 3)
        if not head:
            return None
        order = json.loads(line.recv(_NUMBER.unpack(head)[0], socket.MSG_WAITALL))
        pid = os.fork()
        if pid == 0:
            line.close()
            for number, file in enumerate(files):
                os.dup2(file, number)
                os.close(file)
            _open_streams()
            os.chdir(order["cwd"])
            os.environ.clear()
            os.environ.update(order["environment"])
            program = order["line"][0]
            sys.argv = [str(script(program)), *order["line"][1:]]
            return _main(program)
        for file in files:
            os.close(file)
        line.sendall(_NUMBER.pack(pid))
        line.sendall(_NUMBER.pack(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])))


def _open_streams() -> None:
    """Open Python's streams anew, as it does at its start: the old ones know what was there."""
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", 1, errors="backslashreplace", closefd=False)


def _main(program: str) -> Callable[[], int]:
    main: Callable[[], int] = sys.modules[PROGRAMS[program]].main  # type: ignore[attr-defined]
    return main


if __name__ == "__main__":
    import gc
    from importlib import import_module

    for _name in (*PROGRAMS.values(), *_LOADED):
        import_module(_name)
    gc.freeze()
    _called = _serve(socket.socket(fileno=int(sys.argv[1])))
    sys.exit(_called() if _called else 0)

"""Programs of this project, run by forks of processes that have loaded them already.

Most of what a short command costs is to load Python and the libraries. A fork has that from the
start, and all else as a process that is started: streams, a folder, an environment, a session and
an exit code of its own. It also ends as a process does, but that nothing is done which only
destructors do when modules are taken apart (see `_end`). What is about the script as such, start-up
or what gets loaded, is for tests that start the real one. `test_warm` holds that both do
the same. Where there are no file descriptors of processes, all are started.
"""

from __future__ import annotations

import atexit
import ctypes
import inspect
import io
import os
import re
import runpy
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from array import array
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any

#: What the console scripts call.
PROGRAMS = {"snapws": "snapws.cli", "snapws-wt": "snapws.wt", "dss": "dss.cli"}

#: What the commands load, some of it when they need it.
_COMMANDS = (
    *PROGRAMS.values(),
    "dss.cli.app",
    "dss.serving.runner.supervisor",
    "dss.wt_commands",
    "snapws.archive",
    "snapws.cli.app",
    "snapws.comparison",
    "snapws.report",
    "snapws.verify",
    "snapws.wt.run",
)

#: What is loaded, by what is run then.
LOADED = {
    "commands": _COMMANDS,
    # Not the module that is run then.
    "workers": (
        "dss",
        "dss.http.session",
        "dss.serving.declaration",
        "dss.serving.worker.steps",
        "nibabel",
        "numpy",
        "snapws.archive",
    ),
    "dask": (
        *_COMMANDS,
        "dask.cli",
        "distributed.cli.dask_scheduler",
        "distributed.cli.dask_worker",
        "dss.serving.runner.dask",
    ),
    "hdf5": ("SimpleITK", "numpy", "snapws.hdf5.minc", "snapws.hdf5.process"),
    # Not the middleware itself, which reads its command line while it is loaded.
    "middleware": (
        "apiclient.discovery",
        "dss.browser_front",
        "git",
        "markdown",
        "oauth2client.client",
        "requests",
        "web",
    ),
}

#: What Python and libraries look at when they are loaded, and never again.
_AT_START = re.compile("PYTHON(?!PATH$).*|LANG|LC_.*|DASK_.*|LD_.*|MALLOC_.*|O.*_NUM_THREADS")

#: By this variable a runner that is a fork finds the process that forks its workers.
_WORKERS = "WARM_WORKERS"

#: The environment of a runner whose workers are its own children, as they are outside of tests.
OWN_CHILDREN = {_WORKERS: ""}

_ROOM = "x" * 32_000  # where a fork shows its environment, see `_show`
_HEAD = 8  # bytes that say how long an order is
_STATUS = 4
_ROOT = Path(__file__).parents[1]


def script(program: str) -> Path:
    """Find the console script of a program."""
    return Path(sysconfig.get_path("scripts")) / program


class Process(subprocess.Popen[Any]):
    """A process as `subprocess.Popen` starts it, which is a fork where that is possible.

    Args:
        words: A console script of `PROGRAMS` and its words, or Python with `-m` or `-c`.
        loaded: What of `LOADED` it is a fork of.
        more: As for `subprocess.Popen`.
    """

    def __init__(self, words: list[Any], *, loaded: str = "commands", **more: Any) -> None:
        self._loaded = loaded
        self._line: socket.socket | None = None
        super().__init__(list(map(str, words)), **more)

    def _execute_child(self, *given: Any) -> None:
        start = super()._execute_child  # type: ignore[misc]
        named = inspect.signature(start).bind(*given).arguments
        environment = os.environ if named["env"] is None else named["env"]
        if self._loaded == "workers":
            address = environment.get(_WORKERS) or None
        else:
            address = _server(self._loaded, _at_start(environment))
        if address is None or named["preexec_fn"] or named["pass_fds"]:
            start(*given)
            return
        order = _order(
            named["args"], named["cwd"] or str(Path.cwd()), named["start_new_session"], environment
        )
        pipes = [named[name] for name in ("p2cread", "c2pwrite", "errwrite")]
        files = array("i", [own if pipe < 0 else pipe for own, pipe in enumerate(pipes)])
        self._line = socket.socket(socket.AF_UNIX)
        try:
            self._line.connect(address)
            head = len(order).to_bytes(_HEAD, "big")
            self._line.sendmsg([head], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, files)])
            self._line.sendall(order)
            self.pid = int.from_bytes(self._receive(_STATUS), "big")
        except BaseException:
            self._line.close()
            raise
        self._child_created = True
        ends = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
        self._close_pipe_fds(*(named[end] for end in ends))  # type: ignore[attr-defined]

    def _internal_poll(self, *given: Any, **more: Any) -> int | None:
        if self._line is None:
            return super()._internal_poll(*given, **more)  # type: ignore[misc, no-any-return]
        if self.returncode is None and self._waitpid_lock.acquire(False):  # type: ignore[attr-defined]
            try:
                pid, status = self._try_wait(os.WNOHANG)
                if pid and self.returncode is None:
                    self._handle_exitstatus(status)  # type: ignore[attr-defined]
            finally:
                self._waitpid_lock.release()  # type: ignore[attr-defined]
        return self.returncode

    def _try_wait(self, flags: int) -> tuple[int, int]:
        if self._line is None:
            return super()._try_wait(flags)  # type: ignore[misc, no-any-return]
        self._line.settimeout(0.0 if flags else None)
        try:
            status = self._receive(_STATUS)
        except BlockingIOError:
            return 0, 0
        self._line.close()
        return self.pid, int.from_bytes(status, "big")

    def _receive(self, size: int) -> bytes:
        assert self._line
        if len(data := self._line.recv(size, socket.MSG_WAITALL)) < size:
            raise EOFError("the process that forks is no more")
        return data


def run(
    program: str,
    *words: object,
    cwd: Path | None = None,
    given: str = "",
    environment: Mapping[str, str] | None = None,
    timeout: float = 300,
) -> subprocess.CompletedProcess[str]:
    """Run a program of `PROGRAMS` as `subprocess.run` does, and capture what it prints.

    Args:
        program: Its name.
        words: Its command line.
        cwd: Its folder, this process's if None.
        given: What it reads from standard input.
        environment: Its environment, this process's if None.
        timeout: Seconds until it is killed.

    Raises:
        subprocess.TimeoutExpired: It did not end in time, and was killed.
    """
    return captured([script(program), *words], given, timeout, cwd=cwd, env=environment)


def captured(
    line: list[Any], given: str | None = None, timeout: float = 300, **more: Any
) -> subprocess.CompletedProcess[str]:
    """Run what `Process` starts to its end, and capture what it prints."""
    stdin = None if given is None else subprocess.PIPE
    pipes = {"stdin": stdin, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with Process(line, encoding="utf-8", **pipes, **more) as process:
        try:
            out, err = process.communicate(given, timeout)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(line, process.returncode, out, err)


def with_workers(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a runner; if it is a fork, its workers are forks, too."""
    from dss.serving.runner import supervisor

    address = _server("workers", _at_start({**environment, **supervisor.OF_PYTHON}))
    return {_WORKERS: address or "", **environment}


def address() -> str | None:
    """Return the address of the process that forks commands; None where they are started."""
    return _server("commands", _at_start(os.environ))


def share() -> list[tuple[str, list[tuple[str, str]], str | None]]:
    """Start what most workers of a run need, and return what `adopt` takes in each of them."""
    from dss.serving.runner import supervisor

    own = _at_start(os.environ)
    of_workers = _at_start({**os.environ, **supervisor.OF_PYTHON})
    needed = (("commands", own), ("middleware", own), ("workers", of_workers))
    return [(loaded, [*at_start], _server(loaded, at_start)) for loaded, at_start in needed]


def adopt(shared: list[tuple[str, list[tuple[str, str]], str | None]]) -> None:
    """Have processes that another one has started fork for this one."""
    for loaded, at_start, address in shared:
        _shared[loaded, frozenset(map(tuple, at_start))] = address  # type: ignore[arg-type, index]


_shared: dict[tuple[str, frozenset[tuple[str, str]]], str | None] = {}


@cache
def _server(loaded: str, at_start: frozenset[tuple[str, str]]) -> str | None:
    """Start a process that forks, which ends with this process, and return its address."""
    if (loaded, at_start) in _shared:
        return _shared[loaded, at_start]
    if sys.platform != "linux" or not hasattr(os, "pidfd_open"):
        return None
    folder = tempfile.mkdtemp(prefix="warm-")
    address = f"{folder}/socket"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen(64)
        server = subprocess.Popen(
            [sys.executable, "-m", "tests.warm", loaded, str(listener.fileno())],
            cwd=_ROOT,
            env={
                **{k: v for k, v in os.environ.items() if not _AT_START.fullmatch(k)},
                **dict(at_start),
                "ROOM": _ROOM,
            },
            stdin=subprocess.PIPE,
            pass_fds=[listener.fileno()],
        )

    atexit.register(server.communicate)  # closes what it waits for the end of
    return address


def _prepare_typer() -> None:
    """Do here what takes each process of a command 70 ms.

    For its first command line typer loads a library, and for each one it builds all commands.
    """
    import typer

    def command(number: int = 0) -> None: ...

    app = typer.Typer()
    app.command()(command)
    typer.main.get_command(app)([], standalone_mode=False)
    typer.main.get_command = cache(typer.main.get_command)
    if commands := sys.modules.get("dss.cli.app"):
        typer.main.get_command(commands.app)


def _at_start(environment: Mapping[str, str]) -> frozenset[tuple[str, str]]:
    return frozenset(one for one in environment.items() if _AT_START.fullmatch(one[0]))


def _order(words: list[str], cwd: Any, session: bool, environment: Mapping[str, str]) -> bytes:
    variables = [os.fsencode(f"{name}={text}") for name, text in environment.items()]
    line = [os.fsencode(word) for word in words]
    return b"\0".join([os.fsencode(cwd), b"%d" % session, b"%d" % len(line), *line, *variables])


if sys.platform == "linux":

    def _serve(listener: socket.socket, *, stay: bool) -> Callable[[], object] | None:
        """Fork for each client; returns in the forks, with what to call, and at the end, None.

        A client gets the number of its fork, and in the end its status. What it sends is an
        interrupt; where it goes away before, its fork is killed, unless forks stay.
        """
        selector = selectors.DefaultSelector()
        selector.register(listener, selectors.EVENT_READ)
        selector.register(0, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj == 0:
                    return None
                if key.fileobj is not listener:
                    if selector.get_map().get(key.fd) is key:  # not ended a moment ago
                        key.data()
                    continue
                client, _ = listener.accept()
                head, files, _, _ = socket.recv_fds(client, _HEAD, 3)
                size = int.from_bytes(head, "big")
                if len(head) < _HEAD or len(data := client.recv(size, socket.MSG_WAITALL)) < size:
                    client.close()  # which has been killed
                elif pid := os.fork():
                    _attend(selector, client, pid, stay=stay)
                else:
                    for one in [*selector.get_map().values()][2:]:
                        _close(one.fileobj)
                    for own in (selector, listener, client):
                        own.close()
                    return _become(data, files)
                for file in files:
                    os.close(file)

    def _attend(
        selector: selectors.BaseSelector, client: socket.socket, pid: int, *, stay: bool
    ) -> None:
        fork = os.pidfd_open(pid)

        def hear() -> None:
            try:
                said = client.recv(1)
            except ConnectionResetError:
                said = b""
            if said or not stay:
                signal.pidfd_send_signal(fork, signal.SIGINT if said else signal.SIGKILL)
            if not said:
                selector.unregister(client)

        def end() -> None:
            status = os.waitpid(pid, 0)[1]
            with suppress(OSError):  # who has gone away
                client.sendall(status.to_bytes(_STATUS, "big"))
            for one in (client, fork):
                with suppress(KeyError):
                    selector.unregister(one)
                _close(one)

        with suppress(OSError):
            client.sendall(pid.to_bytes(_STATUS, "big"))
        selector.register(fork, selectors.EVENT_READ, end)
        selector.register(client, selectors.EVENT_READ, hear)

    def _close(file: Any) -> None:
        os.close(file) if isinstance(file, int) else file.close()

    def _become(data: bytes, files: list[int]) -> Callable[[], object]:
        """Make this process, a fork, what an order says, and return what to call."""
        cwd, session, count, *rest = map(os.fsdecode, data.split(b"\0"))
        words, variables = rest[: int(count)], rest[int(count) :]
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)
        _open_streams()
        os.chdir(cwd)
        if session == "1":
            os.setsid()
        os.environ.clear()
        os.environ.update(one.split("=", 1) for one in variables)
        _show(variables)
        tempfile.tempdir = None
        time.tzset()
        added = os.environ.get("PYTHONPATH", "")
        sys.path[:1] = [str(script("dss").parent), *filter(None, added.split(os.pathsep))]
        return _called(words)

    def _show(variables: list[str]) -> None:
        """Have the system show others the environment of this process, as of one that starts.

        It reads it where the environment was when the process started, in memory that nothing
        here uses any more.
        """
        fields = Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        start, end = int(fields[47]), int(fields[48])  # env_start and env_end of proc(5)
        text = b"".join(os.fsencode(one) + b"\0" for one in variables)
        assert len(text) <= end - start
        ctypes.memmove(start, text.ljust(end - start, b"\0"), end - start)

    def _called(words: list[str]) -> Callable[[], object]:
        program, *rest = words
        if Path(program).name in PROGRAMS:
            sys.argv = [str(script(Path(program).name)), *rest]
            main: Callable[[], object] = sys.modules[PROGRAMS[Path(program).name]].main
            return main
        sys.path[0] = str(Path.cwd())
        option, what, *sys.argv[1:] = rest
        if option == "-m":
            return lambda: runpy.run_module(what, run_name="__main__", alter_sys=True) and 0
        sys.argv[0] = "-c"
        return lambda: exec(what, {"__name__": "__main__"})

    def _end(program: Callable[[], object]) -> None:
        """Run a program and end this process as Python does, but take no module apart.

        Taking modules apart writes to memory that a fork has to copy first, which costs several
        times as much as a short command. Where Python has something to report at its end, an
        exception or a stream that fails, it ends the process itself.
        """
        try:
            code = program()
        except SystemExit as ended:
            code = ended.code
        if code is None or isinstance(code, int):
            threading._shutdown()  # type: ignore[attr-defined]
            atexit._run_exitfuncs()
            with suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit((code or 0) & 0xFF)
        sys.exit(code)  # type: ignore[arg-type]

    def _open_streams() -> None:
        """Open Python's streams anew, as it does at its start: the old ones know what was there."""
        encoding, _, errors = os.environ.get("PYTHONIOENCODING", "").partition(":")
        buffering = 0 if os.environ.get("PYTHONUNBUFFERED") else -1
        sys.stdin = os.fdopen(0, closefd=False)
        sys.stdout = io.TextIOWrapper(
            os.fdopen(1, "wb", buffering, closefd=False),
            encoding or None,
            errors or None,
            line_buffering=bool(buffering) and os.isatty(1),
            write_through=not buffering,
        )
        sys.stderr = os.fdopen(2, "w", 1, errors="backslashreplace", closefd=False)


if __name__ == "__main__":
    import gc

    for _name in LOADED[sys.argv[1]]:
        import_module(_name)
    if "typer" in sys.modules:
        _prepare_typer()
    if _runners := sys.modules.get("dss.serving.runner.supervisor"):
        _runners.Popen = partial(Process, loaded="workers")  # type: ignore[attr-defined]
    gc.freeze()
    _listener = socket.socket(fileno=int(sys.argv[2]))
    _folder = Path(_listener.getsockname()).parent
    # What a runner starts outlives it.
    if _program := _serve(_listener, stay=sys.argv[1] == "workers"):
        _end(_program)
    shutil.rmtree(_folder)

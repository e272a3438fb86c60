"""A Dask cluster of this machine, as processes to kill."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import psutil

from tests import ports, warm
from tests.dss.serving.lab import lives, until


class Cluster:
    """A scheduler, and the workers that are started; all end with the block.

    Attributes:
        address: The scheduler's address.
        folder: What the processes print, and the workers' own folders.
        workers: The workers' processes, by their names.
    """

    def __init__(self, folder: Path, *, protocol: str = "tcp", **variables: str) -> None:
        self.folder = folder
        self.workers: dict[str, subprocess.Popen[bytes]] = {}
        self._options = ["--no-dashboard", "--protocol", protocol]
        self._variables = variables
        self._port_of_its_own = ExitStack()
        self._port = str(self._port_of_its_own.enter_context(ports.reserved()))
        self.address = f"{protocol}://127.0.0.1:{self._port}"
        self.start_scheduler()

    def __enter__(self) -> Cluster:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.drop()
        self.kill_scheduler()
        self._port_of_its_own.close()

    def start_scheduler(self) -> None:
        """Start the scheduler, also again, at the same address."""
        self._scheduler = self._start("scheduler", "--port", self._port, "--host", "127.0.0.1")

    def kill_scheduler(self) -> None:
        """Kill the scheduler; the workers end by themselves then."""
        self._scheduler.kill()
        self._scheduler.wait()

    def add(self, name: str, *options: str) -> subprocess.Popen[bytes]:
        """Start a worker with one thread."""
        own = ["--name", name, "--nthreads", "1", "--no-nanny", "--host", "127.0.0.1"]
        local = ["--local-directory", str(self.folder)]
        self.workers[name] = self._start("worker", self.address, *own, *local, *options)
        return self.workers[name]

    def drop(self) -> None:
        """Kill all workers."""
        for process in self.workers.values():
            process.kill()
            process.wait()
        self.workers.clear()

    def log(self, name: str) -> str:
        """Return what a worker, or `scheduler`, has printed."""
        return (self.folder / f"{name}.log").read_text(encoding="utf-8")

    def until_idle(self) -> None:
        """Wait until no worker has a process of a job left."""

        def children() -> list[psutil.Process]:
            return [
                child
                for worker in self.workers.values()
                if worker.poll() is None
                for child in psutil.Process(worker.pid).children()
                if lives(child)
            ]

        until(lambda: not children())

    def _start(self, what: str, *words: str) -> subprocess.Popen[bytes]:
        name = words[words.index("--name") + 1] if "--name" in words else what
        # The workers are of another machine, so to speak: they have no login.
        own = dict.fromkeys(("HOME", "USERPROFILE", "TMPDIR"), str(self.folder))
        with (self.folder / f"{name}.log").open("ab") as log:
            return warm.Process(
                [sys.executable, "-m", "dask", what, *words, *self._options],
                loaded="dask",
                env={**os.environ, **own, **self._variables},
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

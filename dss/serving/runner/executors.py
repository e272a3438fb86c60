"""Where jobs are done: here, or wherever else there is an executor for."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event
from typing import Protocol

from dss.errors import JobCancelled, ServiceError
from dss.serving.gpus import environment
from dss.serving.messages import Declared, ImportFailed, Order, ProcessExited, Ready, WorkerEvent
from dss.serving.runner.gpu_pool import GpuPool
from dss.serving.runner.supervisor import Supervisor
from dss.serving.settings import Limits
from snapws import leftovers

_IMPORT_LIMIT = 600.0
_LOOK = 0.2
_PATIENCE = 5.0


class Worker(Protocol):
    """A process that gets ready for one job; `Supervisor` says what its methods do."""

    def order(self, order: Order) -> None:
        """Send the worker its order."""

    def answer(self, number: int) -> None:
        """Acknowledge a message, which is in the journal now."""

    def cancel(self) -> None:
        """End it soon."""

    def kill(self) -> None:
        """End it now."""


class Executor(Protocol):
    """What gives workers."""

    @property
    def gpus(self) -> GpuPool | None:
        """Return the GPUs that the runner gives to its workers; None where a scheduler does."""

    def start(self, heard: Callable[[WorkerEvent], None], gpus: tuple[str, ...] = ()) -> Worker:
        """Start a worker.

        Args:
            heard: Is called, from any thread, with what it says, as `dss.serving.messages` has it.
            gpus: The GPUs that it has to itself. They are given back when it has ended.
        """

    def close(self) -> None:
        """Abandon the workers that are left."""


class LocalExecutor:
    """Workers as processes of this machine.

    Args:
        file: The service's file.
        workdir: The work folder.
        limits: What each job may use.
        gpus: The GPUs for jobs that need some; by default those that are there.
    """

    def __init__(
        self, file: Path, workdir: Path, limits: Limits, gpus: GpuPool | None = None
    ) -> None:
        self._file = file
        self._workdir = workdir
        self._limits = limits
        self.gpus: GpuPool = gpus or GpuPool()

    def start(self, heard: Callable[[WorkerEvent], None], gpus: tuple[str, ...] = ()) -> Worker:
        """Start a process."""

        def hear(said: WorkerEvent) -> None:
            if isinstance(said, ProcessExited):  # and all that it has started
                self.gpus.give_back(gpus)
            heard(said)

        try:
            return Supervisor(
                self._file, self._workdir, self._limits, hear, variables=environment(gpus)
            )
        except OSError:
            self.gpus.give_back(gpus)
            raise

    def close(self) -> None:
        """Do nothing: its processes end with their line to this one."""


def describe(file: Path, stopped: Callable[[], bool] = lambda: False) -> tuple[Declared, ...]:
    """Ask a service's file, in a process of its own, which services it declares.

    Args:
        file: The file.
        stopped: Whether to give up.

    Raises:
        ServiceError: It cannot be imported, or declares none.
        JobCancelled: It was given up.
    """
    end = time.monotonic() + _IMPORT_LIMIT
    said: SimpleQueue[Ready | ImportFailed | ProcessExited] = SimpleQueue()
    ended = Event()

    def hear(message: WorkerEvent) -> None:
        if isinstance(message, (Ready, ImportFailed, ProcessExited)):
            said.put(message)
        if isinstance(message, ProcessExited):
            ended.set()

    with leftovers.temporary("dss-") as folder:
        process = Supervisor(file, folder, Limits(), hear)
        try:
            while True:
                if stopped():
                    raise JobCancelled(f"stopped while {file} was imported")
                if time.monotonic() > end:
                    raise ServiceError(f"importing {file} took {_IMPORT_LIMIT:g} s")
                with suppress(Empty):
                    return _declared(file, said.get(timeout=_LOOK))
        finally:
            process.kill()
            ended.wait(_PATIENCE)


def _declared(file: Path, first: Ready | ImportFailed | ProcessExited) -> tuple[Declared, ...]:
    """Return the services that a worker declares in its first message."""
    match first:
        case Ready(services):
            return services
        case ImportFailed(why):
            raise ServiceError(f"{file} cannot be used: {why}")
        case ProcessExited(why, printed):
            last = printed.strip().splitlines()[-1:]
            raise ServiceError(f"{file} cannot be imported: {': '.join([why or '', *last])}")

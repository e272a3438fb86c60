"""Where jobs are done: here, or wherever else there is an executor for."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from dss.errors import JobCancelled, ServiceError
from dss.serving import failure
from dss.serving.messages import Broken, Declared, Heard, Order, Ready, from_line
from dss.serving.supervisor import Limits, Supervisor, environment

_IMPORT_LIMIT = 600.0
_LOOK = 0.2


class Worker(Protocol):
    """A process that gets ready for one job; `Supervisor` says what its methods do."""

    def order(self, order: Order) -> None:
        """Tell it what to do."""

    def answer(self, number: int) -> None:
        """Tell it that what it said is in the journal."""

    def cancel(self) -> None:
        """End it soon."""

    def kill(self) -> None:
        """End it now."""


class Executor(Protocol):
    """What gives workers."""

    def start(self, heard: Callable[[Heard], None]) -> Worker:
        """Start a worker.

        Args:
            heard: Is called, from any thread, with what it says, as `dss.serving.messages` has it.
        """

    def close(self) -> None:
        """Give up what is left."""


class LocalExecutor:
    """Workers as processes of this machine.

    Args:
        file: The service's file.
        workdir: The work folder.
        limits: What each job may use.
    """

    def __init__(self, file: Path, workdir: Path, limits: Limits) -> None:
        self._file = file
        self._workdir = workdir
        self._limits = limits

    def start(self, heard: Callable[[Heard], None]) -> Worker:
        """Start a process."""
        return Supervisor(self._file, self._workdir, self._limits, heard)

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
    with subprocess.Popen(  # noqa: S603 - our own words only
        [sys.executable, "-m", "dss.serving.child", str(file)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(f"describe/{os.urandom(6).hex()}"),
        start_new_session=os.name == "posix",  # an interrupt from the keyboard is for us
    ) as process:
        while True:
            try:
                said, printed = process.communicate(timeout=_LOOK)
                break
            except subprocess.TimeoutExpired:
                if stopped() or time.monotonic() > end:
                    process.kill()
                if stopped():
                    raise JobCancelled(f"stopped while {file} was imported") from None
                if time.monotonic() > end:
                    raise ServiceError(f"importing {file} took {_IMPORT_LIMIT:g} s") from None
    for line in said.splitlines():
        try:
            first = from_line(line)
        except ValueError:  # cut off in the middle
            break
        if isinstance(first, Ready):
            return first.services
        if isinstance(first, Broken):
            raise ServiceError(f"{file} cannot be used: {first.why}")
    if process.returncode < 0:
        raise ServiceError(f"{file} cannot be imported: {failure.ended(process.returncode)}")
    last = printed.decode("utf-8", "replace").strip().splitlines()[-1:]
    raise ServiceError(f"{file} cannot be imported: {' '.join(last) or process.returncode}")

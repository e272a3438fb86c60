"""Where jobs are done: here, or wherever else there is an executor for."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from dss.errors import ServiceError
from dss.serving import failure
from dss.serving.order import Order
from dss.serving.supervisor import Limits, Supervisor, Words

_IMPORT_LIMIT = 600.0


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

    def start(self, heard: Callable[[Words], None]) -> Worker:
        """Start a worker.

        Args:
            heard: Is called, from any thread, with what it says: `ready` with the services of its
                file, or `broken`; what `dss.serving.child` says; at its end `ended`, once.
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

    def start(self, heard: Callable[[Words], None]) -> Worker:
        """Start a process."""
        return Supervisor(self._file, self._workdir, self._limits, heard)

    def close(self) -> None:
        """Do nothing: its processes end with their line to this one."""


def describe(file: Path) -> list[Words]:
    """Ask a service's file, in a process of its own, which services it declares.

    Returns:
        For each its name, tags, resources, and whether it is resumable.

    Raises:
        ServiceError: It cannot be imported, or declares none.
    """
    try:
        done = subprocess.run(  # noqa: S603 - our own words only
            [sys.executable, "-m", "dss.serving.child", str(file)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_IMPORT_LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ServiceError(f"importing {file} took more than {_IMPORT_LIMIT:g} s") from None
    for line in done.stdout.decode("utf-8", "replace").splitlines():
        words: Words = json.loads(line)
        if "ready" in words:
            declared: list[Words] = words["ready"]
            return declared
        if "broken" in words:
            raise ServiceError(f"{file} cannot be used: {words['broken']}")
    if done.returncode < 0:
        raise ServiceError(f"{file} cannot be imported: {failure.ended(done.returncode)}")
    last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
    raise ServiceError(f"{file} cannot be imported: {' '.join(last) or done.returncode}")

"""The processes of a job: found by a mark in their environment, and by whose descendants they are.

A process that a job starts inherits the mark, also if it leaves its session or outlives its parent.
One that gives itself another title loses it, for the title is written over the environment.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress

from dss.errors import ServiceError
from dss.text import install_hint

try:
    import psutil
except ImportError as error:
    raise ServiceError(f"services need the package psutil; {install_hint('service')}") from error

MARK = "DSS_JOB"
"""Variable of the environment that says which job a process works for."""

_PATIENCE = 5.0
_LOOK = 0.02


def known(pid: int) -> psutil.Process | None:
    """Return a process by its number, to be told apart from a later one of that number.

    It is None where it is no more.
    """
    with suppress(psutil.Error):
        return psutil.Process(pid)
    return None


def memory(mark: str, first: psutil.Process | None = None) -> int:
    """Return the bytes of memory that the processes of a job hold, shared ones counted once.

    Args:
        mark: As for `kill`; empty, it finds none, and no other process is looked at.
        first: As for `kill`.
    """
    return sum(map(_held, _family(mark, first)))


def kill(mark: str, first: psutil.Process | None = None, *, beginning: bool = False) -> int:
    """Kill the processes of a job, also those that are started meanwhile; give their number.

    Args:
        mark: Value of `MARK` in their environment.
        first: One that is of the job whether or not it has the mark, with its descendants.
        beginning: Whether values that only begin with the mark count, too.
    """
    killed = 0
    end = time.monotonic() + _PATIENCE
    while family := _family(mark, first, beginning=beginning):
        for one in family:
            with suppress(psutil.Error):  # it has ended by itself
                one.kill()
                killed += 1
        time.sleep(_LOOK)  # to wait for one of our children would take its exit code away
        if time.monotonic() > end:
            break
    return killed


def kill_others() -> None:
    """Kill the other processes of the job that this one is of."""
    kill(os.environ.get(MARK, ""), psutil.Process())


def _family(
    mark: str, first: psutil.Process | None, *, beginning: bool = False
) -> list[psutil.Process]:
    """Return a process, those with a mark, and their descendants, but for this one."""
    found: set[psutil.Process] = set()
    for one in [*([first] if first else []), *(psutil.process_iter() if mark else [])]:
        with suppress(psutil.Error, OSError):  # ended meanwhile, or somebody else's
            # Of one that is found, the descendants are.
            if one not in found and (one == first or _bears(one, mark, beginning=beginning)):
                found |= {one, *one.children(recursive=True)}
    return [one for one in found - {psutil.Process()} if _is_alive(one)]


def _bears(process: psutil.Process, mark: str, *, beginning: bool) -> bool:
    value = process.environ().get(MARK, "")
    return bool(value) and (value.startswith(mark) if beginning else value == mark)


def _is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _held(process: psutil.Process) -> int:
    """Return the memory of a process; shared pages count for each process by its part."""
    try:
        return int(getattr(process.memory_full_info(), "pss", 0) or process.memory_info().rss)
    except psutil.Error:
        return 0

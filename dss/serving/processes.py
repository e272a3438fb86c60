"""The processes of a job: found by a mark in their environment, however they were started.

A process that a job starts inherits the mark, also if it leaves its session or outlives its parent.
"""

from __future__ import annotations

import time
from contextlib import suppress

from dss.errors import ServiceError

try:
    import psutil
except ImportError as error:
    raise ServiceError(
        "services need the package psutil; run: pip install 'snapws[service]' "
        "(in the checkout: '.[service]')"
    ) from error

MARK = "DSS_JOB"
"""Variable of the environment that says which job a process works for."""

_PATIENCE = 5.0
_LOOK = 0.02


def memory(pid: int) -> int:
    """Give the bytes of memory that a process and its descendants hold, shared ones counted once.

    It is 0 where the process is no more.
    """
    try:
        parent = psutil.Process(pid)
        family = [parent, *parent.children(recursive=True)]
    except psutil.Error:
        return 0
    return sum(map(_held, family))


def kill(mark: str, *, beginning: bool = False) -> int:
    """Kill every process with a mark, also those that are started meanwhile; give their number.

    Args:
        mark: Value of `MARK` in their environment.
        beginning: Whether values that only begin with it count, too.
    """
    killed = 0
    end = time.monotonic() + _PATIENCE
    while family := _marked(mark, beginning=beginning):
        for one in family:
            with suppress(psutil.Error):  # it has ended by itself
                one.kill()
                killed += 1
        time.sleep(_LOOK)  # to wait for one of our children would take its exit code away
        if time.monotonic() > end:
            break
    return killed


def _marked(mark: str, *, beginning: bool) -> list[psutil.Process]:
    """Give the processes with a mark and their descendants, but for this one."""
    own = psutil.Process()
    found = set()
    for one in psutil.process_iter():
        with suppress(psutil.Error, OSError):  # ended meanwhile, or somebody else's
            value = one.environ().get(MARK, "")
            if value and (value.startswith(mark) if beginning else value == mark):
                found |= {one, *one.children(recursive=True)}
    return [one for one in found - {own} if _is_alive(one)]


def _is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _held(process: psutil.Process) -> int:
    """Give a process's memory; pages that several processes share count for each by its part."""
    try:
        return int(getattr(process.memory_full_info(), "pss", 0) or process.memory_info().rss)
    except psutil.Error:
        return 0

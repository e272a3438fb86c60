"""The processes of a job, also orphaned ones: found by a mark in their environment, or as children.

A process that a job starts inherits the mark, even if it leaves its session or is orphaned. A
process that sets its own title loses the mark, because the title overwrites the environment.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress

from dss.errors import ServiceError
from snapws.extras import install_hint

try:
    import psutil
except ImportError as error:
    raise ServiceError(f"services need the package psutil; {install_hint('service')}") from error

MARK = "DSS_JOB"
"""The environment variable that marks the processes of a job."""

_PATIENCE = 5.0
_LOOK = 0.02


def known(pid: int) -> psutil.Process | None:
    """Return the process of a pid, None if it has ended.

    The result differs from a later process with the same pid.
    """
    with suppress(psutil.Error, OSError):
        return psutil.Process(pid)
    return None


def memory(mark: str, first: psutil.Process | None = None) -> int:
    """Return the memory of a job's processes in bytes, with shared memory counted once.

    Args:
        mark: As for `kill`. An empty mark stands for no process.
        first: As for `kill`.
    """
    return sum(map(_held, _family(mark, first)))


def kill(mark: str, first: psutil.Process | None = None, *, beginning: bool = False) -> int:
    """Kill the processes of a job, also orphaned and new ones, and return how many there were.

    Args:
        mark: Value of `MARK` in their environment.
        first: A process of the job that may lack the mark. Its descendants are killed, too.
        beginning: Whether to kill processes with a value that only begins with `mark`, too.
    """
    killed: set[psutil.Process] = set()
    end = time.monotonic() + _PATIENCE
    # A killed process may take a while to end, and is not found if its parent ends before it.
    while left := {*_family(mark, first, beginning=beginning), *filter(_is_alive, killed)}:
        for one in left:
            with suppress(psutil.Error, OSError):  # the process has ended by itself
                one.kill()
                killed.add(one)
        time.sleep(_LOOK)  # not wait(): it would consume the exit code of a child of ours
        if time.monotonic() > end:
            break
    return len(killed)


def kill_others() -> None:
    """Kill the other processes of this process's job."""
    kill(os.environ.get(MARK, ""), psutil.Process())


def _family(
    mark: str, first: psutil.Process | None, *, beginning: bool = False
) -> list[psutil.Process]:
    """Return a process, those with a mark, and all their descendants, without this process."""
    found: set[psutil.Process] = set()
    for one in [*([first] if first else []), *(psutil.process_iter() if mark else [])]:
        with suppress(psutil.Error, OSError):  # the process has ended, or is another user's
            # The descendants of a found process are in the set already.
            if one not in found and (one == first or _bears(one, mark, beginning=beginning)):
                found |= {one, *one.children(recursive=True)}
    return [one for one in found - {psutil.Process()} if _is_alive(one)]


def _bears(process: psutil.Process, mark: str, *, beginning: bool) -> bool:
    value = process.environ().get(MARK, "")
    return bool(value) and (value.startswith(mark) if beginning else value == mark)


def _is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except (psutil.Error, OSError):  # an OSError where another process has got the pid
        return False


def _held(process: psutil.Process) -> int:
    """Return the memory of a process in bytes. Shared pages count for each process in part."""
    try:
        return int(getattr(process.memory_full_info(), "pss", 0) or process.memory_info().rss)
    except (psutil.Error, OSError):
        return 0

"""The GPUs of a runner, each for one job at a time."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from dss.serving import gpus
from dss.serving.messages import Declared
from snapws import leftovers, locks

_log = logging.getLogger(__name__)


class GpuPool:
    """GPUs that are taken for workers, and given back at their ends.

    While one is taken, a file of the user's state folder is locked, so that another runner of this
    user on this machine does not take it, too.

    Args:
        names: The GPUs; None for those that are there, which are looked for when one is needed.
    """

    def __init__(self, names: tuple[str, ...] | None = None) -> None:
        self._names = names
        self._taken: dict[str, int | None] = {}  # and the locked file
        self._changing = threading.Lock()

    @property
    def names(self) -> tuple[str, ...]:
        """Return all of them, taken or not."""
        if self._names is None:
            self._names = gpus.present()
        return self._names

    def take(self, number: int) -> tuple[str, ...] | None:
        """Take so many, which may be none; None where fewer are free."""
        if not number:
            return ()
        with self._changing:
            found: list[str] = []
            for name in self.names:
                if len(found) < number and name not in self._taken and self._take(name):
                    found.append(name)
            if len(found) == number:
                return tuple(found)
            self._release(tuple(found))
        return None

    def give_back(self, names: tuple[str, ...]) -> None:
        """Free GPUs that were taken; those that are free already stay free."""
        with self._changing:
            self._release(names)

    def _take(self, name: str) -> bool:
        descriptor = _opened(name)
        try:
            if descriptor is not None and not locks.take(descriptor):
                os.close(descriptor)
                return False
        except OSError as error:
            if not locks.is_unknown(error):
                raise
        self._taken[name] = descriptor
        return True

    def _release(self, names: tuple[str, ...]) -> None:
        for name in names:
            descriptor = self._taken.pop(name, None)
            if descriptor is not None:
                os.close(descriptor)


def _opened(name: str) -> int | None:
    """Open the file that is locked for a GPU; None where there is no place for it."""
    state = leftovers.state_folder()
    if state is None:
        return None
    # Homes are shared by machines, and names of GPUs have characters that files may not.
    here = hashlib.sha256(f"{leftovers.host()} {name}".encode()).hexdigest()[:16]
    file: Path = state / "gpus" / here
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        return os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    return None


class GpuNeeds:
    """How many GPUs a job of each service takes, and what there is to say of it, each once.

    Args:
        pool: The runner's GPUs; None where a scheduler sees to them, and nothing is needed here.
    """

    def __init__(self, pool: GpuPool | None) -> None:
        self._pool = pool
        self._gpus: dict[str, int] = {}
        self._said: set[str] = set()

    def note(self, services: Iterable[Declared]) -> set[str]:
        """Note what services need, as they are declared now; return their names."""
        names = {one.name: gpus.needed(one.resources) for one in services}
        if self._pool is not None:
            self._gpus |= names
        return set(names)

    def gpus(self, service: str) -> int:
        """Return how many GPUs a job of a service takes."""
        return self._gpus.get(service, 0)

    def of(self, number: int, services: Iterable[str]) -> set[str]:
        """Return those of the services whose jobs take so many."""
        return {name for name in services if self.gpus(name) == number}

    def lack(self, number: int) -> str:
        """Return in words what is lacking for jobs that take so many GPUs; empty for nothing."""
        there = len(self._pool.names) if self._pool is not None and number else number
        if number <= there:
            return ""
        names = ", ".join(sorted(self.of(number, self._gpus)))
        return (
            f"no ticket of {names} is worked on: each takes {number} GPU{'s' * (number > 1)}, and "
            f"this machine has {there or 'none'}; --gpus names those to use"
        )

    def say(self, words: str) -> None:
        """Log a warning, once."""
        if words not in self._said:
            self._said.add(words)
            _log.warning("%s", words)

    def say_taken(self, number: int) -> None:
        """Log, once, that the services that take so many wait for GPUs that are in use."""
        names = ", ".join(sorted(self.of(number, self._gpus)))
        self.say(f"all GPUs are in use: tickets of {names} wait")

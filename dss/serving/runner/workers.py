"""The pool of a runner: its workers, and which of them has which ticket."""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from dss.backoff import Backoff
from dss.errors import DssError
from dss.serving.messages import ProcessExited, WorkerEvent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from dss.serving.journal import Outcome
    from dss.serving.runner.executors import Executor, Worker

_FIRST_PAUSE = 0.5
_RETRY = 30.0
_LINGER = 60.0  # seconds for which an idle worker is kept
_SLOW = 120.0  # seconds after which a worker that is not ready is reported

_log = logging.getLogger(__name__)


@dataclass(eq=False)
class Slot:
    """A place in the pool: a worker, and what the runner knows of it.

    Attributes:
        worker: Sends it messages.
        since: When it began to wait for an order; before it is ready, when it was started.
        ticket: What it works on, None while it has no order.
        gpus: How many GPUs it has to itself.
        ready: Whether it can take an order.
        slow: Whether it was remarked that it is not ready.
        leaves: Whether it was told to end, because there was none.
        outcome: How its ticket ends when it has ended, because the runner wants so.
        reason: Why its ticket fails then.
    """

    worker: Worker = field(init=False)
    since: float
    ticket: int | None = None
    gpus: int = 0
    ready: bool = False
    slow: bool = False
    leaves: bool = False
    outcome: Outcome | None = None
    reason: str = ""

    @property
    def never_began(self) -> bool:
        """Return whether the worker, if it has ended, did so before it could take an order."""
        return self.ticket is None and not (self.ready or self.leaves)

    def drop(self, outcome: Outcome) -> None:
        """End the work on a ticket that is no longer wanted."""
        self.outcome = outcome
        self.worker.cancel()


class WorkerPool:
    """The workers of a runner. Their messages come from other threads, and wait here.

    Args:
        executor: Starts the workers.
        file: The service's file, which they import.
    """

    def __init__(self, executor: Executor, file: Path) -> None:
        self._executor = executor
        self._file = file
        self._edition = self._known_edition = self._read_edition()
        self._slots: list[Slot] = []
        self._said: SimpleQueue[tuple[Slot, WorkerEvent] | None] = SimpleQueue()
        self._start_at = 0.0
        self._backoff = Backoff(_FIRST_PAUSE, _RETRY)

    def __iter__(self) -> Iterator[Slot]:
        return iter(list(self._slots))

    def __len__(self) -> int:
        return len(self._slots)

    def busy(self) -> list[Slot]:
        """List the slots whose workers have a ticket."""
        return [slot for slot in self._slots if slot.ticket is not None]

    def idle(self) -> list[Slot]:
        """List the slots whose workers have no ticket."""
        return [slot for slot in self._slots if slot.ticket is None]

    @property
    def is_outdated(self) -> bool:
        """Return whether no worker has got ready yet with the file as it is now."""
        return self._edition != self._known_edition

    # ---------------------------------------------------------------- their messages

    def wake(self) -> None:
        """Have `receive` return soon; may be called from a signal handler."""
        self._said.put(None)

    def receive(self, within: float) -> Iterator[tuple[Slot, WorkerEvent]]:
        """Wait so many seconds for a message; yield it, and all others that have come by then."""
        with suppress(Empty):
            said = self._said.get(timeout=within)
            while True:
                # Ignore messages from workers that were abandoned.
                if said and said[0] in self._slots:
                    self._note(*said)
                    yield said
                said = self._said.get_nowait()

    def _note(self, slot: Slot, said: WorkerEvent) -> None:
        if isinstance(said, ProcessExited):
            self._slots.remove(slot)
            if slot.never_began:
                self._pause()

    # ---------------------------------------------------------------- their workers

    def start(self, number: int, gpus: int = 0) -> bool:
        """Start workers, if it is time to: after one that failed to start, the pauses grow.

        Args:
            number: How many.
            gpus: How many GPUs each of them takes.

        Returns:
            Whether there were free GPUs for all of them.
        """
        for _ in range(number):
            if time.monotonic() < self._start_at:
                return True
            taken = self._executor.gpus.take(gpus) if self._executor.gpus else ()
            if taken is None:
                return False
            slot = Slot(time.monotonic(), gpus=gpus)
            try:
                slot.worker = self._executor.start(self._listener(slot), taken)
            except (DssError, OSError) as error:
                _log.error("no worker can be started: %s", error)
                self._pause()
                return True
            self._slots.append(slot)
        return True

    def replace_outdated(self) -> None:
        """Abandon the workers without a ticket if the service's file has changed since."""
        edition = self._read_edition()
        if edition != self._edition:
            self._edition = edition
            self._start_at = 0.0
            self._backoff.reset()
            for slot in self.idle():
                self.give_up(slot)
        for slot in self.idle():
            waited = time.monotonic() - slot.since
            if waited > _SLOW and not (slot.ready or slot.leaves or slot.slow):
                slot.slow = True
                # An executor may have no place for it: so it is not ended.
                _log.warning(
                    "a worker is not ready after %.0f minutes: is there a place for it, or does "
                    "importing %s hang?",
                    _SLOW / 60,
                    self._file,
                )

    def mark_ready(self, slot: Slot) -> None:
        """Mark a worker as ready to take an order."""
        slot.ready, slot.since = True, time.monotonic()
        self._known_edition = self._edition
        self._backoff.reset()

    def retire_idle(self, slot: Slot) -> None:
        """End a worker that has been idle for long enough."""
        if time.monotonic() - slot.since > _LINGER:
            slot.ready, slot.leaves = False, True
            slot.worker.cancel()

    def give_up(self, slot: Slot) -> None:
        """Kill a worker, and ignore whatever it still sends."""
        self._slots.remove(slot)
        slot.worker.kill()

    def _read_edition(self) -> tuple[int, ...]:
        with suppress(OSError):
            now = self._file.stat()
            return now.st_mtime_ns, now.st_size, now.st_ino
        return ()

    def _listener(self, slot: Slot) -> Callable[[WorkerEvent], None]:
        return lambda said: self._said.put((slot, said))

    def _pause(self) -> None:
        self._start_at = time.monotonic() + self._backoff.next()

"""The line between a worker and its runner, seen from the worker."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import BinaryIO

from dss.errors import JobCancelled
from dss.serving import processes
from dss.serving.messages import Ack, Delivered, Order, Reached, WorkerMessage, as_line, from_line


class Channel:
    """What is said to the runner, and heard from it.

    Args:
        listen: Where its words come from.
        speak: Where ours go.

    Attributes:
        cancelled: Is set when the work is to end.
        on_cancel: Is called then.
    """

    def __init__(self, listen: BinaryIO, speak: BinaryIO) -> None:
        self._listen = listen
        self._speak = speak
        self._number = 0
        self._answered = 0
        self._changed = threading.Condition()
        self.cancelled = threading.Event()
        self.on_cancel: Callable[[], None] = lambda: None

    def order(self) -> Order | None:
        """Wait for the order; None where there will be none."""
        line = self._listen.readline()
        first = from_line(line) if line else None
        if not isinstance(first, Order):
            return None
        threading.Thread(target=self._hear, name="runner", daemon=True).start()
        return first

    def say(self, message: WorkerMessage) -> None:
        """Send a message that needs no acknowledgement."""
        with self._changed:
            self._speak.write(as_line(message))
            self._speak.flush()

    def tell(self, message: Reached | Delivered) -> None:
        """Send a message, and wait until it is in the journal.

        Raises:
            JobCancelled: The work is to end.
        """
        with self._changed:
            self._number += 1
            number = self._number
        self.say(replace(message, number=number))
        with self._changed:
            self._changed.wait_for(lambda: self._answered >= number or self.cancelled.is_set())
        if self.cancelled.is_set():
            raise JobCancelled("the work is to end")

    def _hear(self) -> None:
        try:
            for line in self._listen:
                self._heed(from_line(line))
        finally:
            # The runner is gone, or is not understood any more. Nothing of the job may outlive
            # that: the next one begins it again.
            try:
                self.cancelled.set()
                self.on_cancel()
                processes.kill_others()
            finally:
                os._exit(1)

    def _heed(self, told: object) -> None:
        with self._changed:
            if isinstance(told, Ack):
                self._answered = told.number
            else:
                self.cancelled.set()
            self._changed.notify_all()
        if self.cancelled.is_set():
            self.on_cancel()

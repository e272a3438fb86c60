"""The connection between a worker and its runner, on the worker's side."""

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
    """The messages to and from the runner.

    Args:
        listen: The stream of the runner's messages.
        speak: The stream for the worker's messages.

    Attributes:
        cancelled: Set when the work has to end.
        on_cancel: Called when `cancelled` is set.
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
        """Wait for the order and return it, None if the runner has closed the connection."""
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
            JobCancelled: The work has to end.
        """
        with self._changed:
            self._number += 1
            number = self._number
        self.say(replace(message, number=number))
        with self._changed:
            self._changed.wait_for(lambda: self._answered >= number or self.cancelled.is_set())
        if self.cancelled.is_set():
            raise JobCancelled("the work was cancelled")

    def _hear(self) -> None:
        try:
            for line in self._listen:
                self._heed(from_line(line))
        finally:
            # The runner has ended, or its messages are invalid. No process of the job may become an
            # orphan: the next runner starts the job again.
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

"""What a runner last heard from its server, for whoever watches the runner."""

from __future__ import annotations

import time
from collections.abc import Mapping


class Contact:
    """What a runner last heard from its server. Written by the runner, read by other threads.

    Attributes:
        queue: How many tickets wait at the server, by service; empty as long as the server has not
            said so.
        is_read: Whether somebody has asked for the queue. Only then does the runner keep asking
            the server for it while all its workers are busy.
    """

    def __init__(self) -> None:
        self.queue: Mapping[str, int] = {}
        self.is_read = False
        self._answered: float | None = None

    def note_answer(self) -> None:
        """Note that the server has just answered."""
        self._answered = time.monotonic()

    @property
    def silent_seconds(self) -> float | None:
        """Return how long ago the server last answered; None if it has not yet."""
        return None if self._answered is None else time.monotonic() - self._answered

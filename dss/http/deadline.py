"""The deadline of a request, by the clock.

A timeout of a socket starts again with each byte. A server that sends a byte now and then, or one
`100 Continue` after the other, would keep a request waiting for ever. So a thread shuts the
connection down at the deadline, whatever is being sent, received or negotiated.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from threading import Event, Thread
from types import TracebackType
from typing import TypeVar

BLOCK = 64 * 2**10
"""Bytes of a file that have to move before the deadline. Each such block renews the deadline."""

T = TypeVar("T")


class Deadline:
    """The deadline of one request. It is renewed while a file moves fast enough.

    Args:
        seconds: Seconds from now, and again from each block of a file that has moved.
        cut: Shuts the connection down. It is called once, from another thread.

    Attributes:
        passed: Whether the deadline has passed and the connection was shut down.
    """

    def __init__(self, seconds: float, cut: Callable[[], None]) -> None:
        self.passed = False
        self._seconds = seconds
        self._cut = cut
        self._moved = 0
        self._end = time.monotonic() + seconds
        self._is_file = False
        self._over = Event()
        self._thread = Thread(target=self._keep, name="deadline", daemon=True)

    def __str__(self) -> str:
        seconds = f"{self._seconds:.3g} s"
        if self._is_file:
            return f"less than {BLOCK >> 10} kB of the file came through in {seconds}"
        return f"not complete after {seconds}"

    def __enter__(self) -> Deadline:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()  # or it might shut down the connection of a later request

    def left(self) -> float:
        """Return the seconds before the deadline, 0 when it has passed."""
        return 0.0 if self.passed else max(0.0, self._end - time.monotonic())

    def move(self, size: int) -> None:
        """Count bytes of a file that were sent or received."""
        self._is_file |= not self.passed  # http.client takes a truncated header for a complete one
        self._moved += size
        if self._moved >= BLOCK:
            self.renew()

    def renew(self) -> None:
        """Move the deadline to the full time from now."""
        self._moved = 0
        self._end = time.monotonic() + self._seconds

    def _keep(self) -> None:
        while not self._over.wait(left := self.left()):
            if not left:
                self.passed = True
                self._cut()
                return


def in_thread(call: Callable[[], T]) -> Future[T]:
    """Start a call in a thread of its own. The process can exit while that thread runs."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:  # noqa: BLE001 - raised where the result is asked for
            future.set_exception(error)

    Thread(target=run, name="call", daemon=True).start()
    return future

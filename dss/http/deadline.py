"""The time by which a request has to be over, kept by the clock.

A timeout of a socket starts anew with each byte. Whoever sends a byte now and then, or one
`100 Continue` after the other, would be listened to for ever. So a thread cuts the connection when
the time is over, whatever is being sent, received or negotiated on it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from threading import Event, Thread
from types import TracebackType
from typing import TypeVar

BLOCK = 64 * 2**10
"""Bytes of a file that have to move within the time of a request: each block has it anew."""

T = TypeVar("T")


class Deadline:
    """The deadline of one request, which lies ahead while a file moves fast enough.

    Args:
        seconds: Seconds from now, and from each block of a file that has moved.
        cut: Ends whatever is done on the connection; called once, from another thread.

    Attributes:
        passed: Whether the deadline has passed, and the connection was cut.
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
        self._thread.join()  # so that it cuts no connection of a later request

    def left(self) -> float:
        """Return the seconds that are left, 0 when the deadline has passed."""
        return 0.0 if self.passed else max(0.0, self._end - time.monotonic())

    def move(self, size: int) -> None:
        """Count bytes of a file that were sent or received."""
        self._is_file |= not self.passed  # a head that is cut looks whole to http.client
        self._moved += size
        if self._moved >= BLOCK:
            self.renew()

    def renew(self) -> None:
        """Start the time anew."""
        self._moved = 0
        self._end = time.monotonic() + self._seconds

    def _keep(self) -> None:
        while not self._over.wait(left := self.left()):
            if not left:
                self.passed = True
                self._cut()
                return


def in_thread(call: Callable[[], T]) -> Future[T]:
    """Make a call in a thread of its own, which the end of this process does not wait for."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:  # noqa: BLE001 - raised where the result is asked for
            future.set_exception(error)

    Thread(target=run, name="call", daemon=True).start()
    return future

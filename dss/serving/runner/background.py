"""A call of the server beside the runner's loop, which never waits for one."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any, TypeVar

from dss.http.deadline import in_thread

T = TypeVar("T")


class Background:
    """Makes calls in threads, one at a time; the loop handles the outcome of each.

    Args:
        wake: Is called, from a thread, when a call has ended.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._future: Future[Any] | None = None
        self._then: Callable[[Future[Any]], None]

    @property
    def busy(self) -> bool:
        """Return whether a call is under way, or its outcome was not handled yet."""
        return self._future is not None

    def start(self, call: Callable[[], T], then: Callable[[Future[T]], None]) -> None:
        """Begin a call; `settle` will pass its outcome to `then`, in the thread of the loop."""
        self._then = then
        self._future = in_thread(call)
        self._future.add_done_callback(lambda _: self._wake())

    def settle(self, within: float = 0.0) -> None:
        """Handle the outcome of the call under way, if it ends within some seconds."""
        if self._future and wait([self._future], within).done:
            future, self._future = self._future, None
            self._then(future)

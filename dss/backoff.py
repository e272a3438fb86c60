"""Exponential backoff: pauses between attempts that double up to a longest one."""

from __future__ import annotations


class Backoff:
    """The pauses between the attempts at one thing, in seconds.

    Args:
        first: The first pause.
        longest: The longest pause.
    """

    def __init__(self, first: float, longest: float) -> None:
        self._first = self._pause = first
        self._longest = longest

    def next(self) -> float:
        """Return the next pause, twice as long as the one before."""
        pause = self._pause
        self._pause = min(2 * pause, self._longest)
        return pause

    def reset(self) -> None:
        """Begin again with the first pause, after an attempt that succeeded."""
        self._pause = self._first

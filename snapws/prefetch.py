"""Two steps of a stream at the same time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

# With one, whoever is quicker at times waits for the other at times.
_DEPTH = 3


def prefetched(items: Iterator[T]) -> Iterator[T]:
    """Yield an iterator's items, made in another thread while earlier ones are in use.

    What the iterator raises is raised here, in its turn.
    """
    end = object()
    with ThreadPoolExecutor(1) as thread:
        coming = deque(thread.submit(next, items, end) for _ in range(_DEPTH))
        while (item := coming.popleft().result()) is not end:
            coming.append(thread.submit(next, items, end))
            yield item  # type: ignore[misc]

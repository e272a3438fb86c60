"""Prefetching: the next items of a stream are made in another thread."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

# A longer queue than one item evens out short differences in speed.
_DEPTH = 3


def prefetched(items: Iterator[T]) -> Iterator[T]:
    """Yield the items of an iterator, which runs ahead in another thread.

    An error of the iterator is raised here, after the items before it.
    """
    end = object()
    with ThreadPoolExecutor(1) as thread:
        coming = deque(thread.submit(next, items, end) for _ in range(_DEPTH))
        while (item := coming.popleft().result()) is not end:
            coming.append(thread.submit(next, items, end))
            yield item  # type: ignore[misc]

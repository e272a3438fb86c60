"""Prefetching: the next items are made in other threads while one is used."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from threading import Event
from typing import TypeVar

T = TypeVar("T")
Item = TypeVar("Item")

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


def map_ahead(
    make: Callable[[Item], T],
    items: Iterable[Item],
    threads: int,
    *,
    ahead: int | None = None,
    stopped: Event | None = None,
) -> Generator[T, None, None]:
    """Yield ``make(item)`` for each item, in order, while threads make the next ones.

    Args:
        make: Called with each of them, in several threads at a time.
        items: The items.
        threads: The number of threads.
        ahead: How many items are begun before they are asked for; by default one a thread.
        stopped: Set when no more results are wanted; what has begun is waited for, and may look.
    """
    with ThreadPoolExecutor(threads) as pool:
        rest = iter(items)
        try:
            begun = deque(pool.submit(make, item) for item in islice(rest, ahead or threads))
            while begun:
                yield begun.popleft().result()
                begun.extend(pool.submit(make, item) for item in islice(rest, 1))
        except BaseException:  # also that of whoever wants no more
            if stopped:
                stopped.set()
            raise
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

"""Items that are made ahead of their use."""

from __future__ import annotations

import threading

import pytest

from snapws.prefetch import map_ahead


def test_results_come_in_order_and_errors_in_their_place():
    def halved(number: int) -> float:
        return 6 / number

    results = map_ahead(halved, [3, 2, 0, 1], 2)
    assert [next(results), next(results)] == [2, 3]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_few_items_are_made_ahead():
    made: list[int] = []
    for done, number in enumerate(map_ahead(lambda one: made.append(one) or one, range(50), 3)):
        assert number == done
        assert len(made) <= done + 3


def test_what_has_begun_is_told_that_no_more_is_wanted():
    """Each item goes on until it is told: closing would not end otherwise."""
    stopped, begun = threading.Event(), threading.Barrier(3)

    def make(number: int) -> int:
        if number:
            begun.wait(60)
            assert stopped.wait(60)
        return number

    results = map_ahead(make, range(9), 2, ahead=3, stopped=stopped)
    assert next(results) == 0
    begun.wait(60)
    results.close()

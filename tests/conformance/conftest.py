from __future__ import annotations

from collections import Counter

import pytest

_COUNTS: dict[str, Counter[str]] = {}


@pytest.fixture
def count():
    """Count how a recorded row came out, for the line at the end of the run."""

    def add(recording: str, outcome: str) -> None:
        _COUNTS.setdefault(recording, Counter())[outcome] += 1

    return add


def pytest_terminal_summary(terminalreporter):
    for recording, counts in _COUNTS.items():
        total = counts["recorded"]
        failing = total - counts["equal"] - counts["deviating"]
        terminalreporter.write_line(
            f"conformance, {recording}: {total} recorded, {counts['equal']} equal, "
            f"{counts['deviating']} deviating, {failing} failing"
        )

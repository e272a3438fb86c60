"""What fuzzing found is replayed: inputs that broke a reader, or that reached new code of one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS, run_one

INPUTS = sorted(
    path for folder in ("found", "seeds") for path in (Path(__file__).parent / folder).glob("*")
)


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: path.name)
def test_replay(path):
    data = path.read_bytes()
    run_one(list(TARGETS)[data[0] % len(TARGETS)], data[1:])


def test_there_is_something_to_replay():
    assert INPUTS

"""What fuzzing found is replayed: inputs that broke a reader, or that reached new code of one.

The name of a file begins with that of its reader: the first byte, which chose it when it was found,
means another one as soon as there are more.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.targets import run_one

INPUTS = sorted(
    path for folder in ("found", "seeds") for path in (Path(__file__).parent / folder).glob("*")
)


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: path.name)
def test_replay(path):
    run_one(path.name.partition("_")[0], path.read_bytes()[1:])


def test_there_is_something_to_replay():
    assert INPUTS

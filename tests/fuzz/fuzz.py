"""Fuzz the readers with atheris: ``python -m tests.fuzz.fuzz [CORPUS] -max_total_time=1800``.

The first byte of an input chooses the reader. Without a limit libFuzzer runs until it finds
something; ``-rss_limit_mb`` and ``-timeout`` watch memory and hangs. Inputs worth keeping go
to CORPUS. Needs ``pip install atheris``.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["snapws"]):
    from tests.fuzz.targets import TARGETS, run_one

_NAMES = list(TARGETS)


def one_input(data: bytes) -> None:
    if data:
        run_one(_NAMES[data[0] % len(_NAMES)], data[1:])


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()

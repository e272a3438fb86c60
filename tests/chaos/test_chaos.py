"""A short trial; `python -m tests.chaos` makes longer ones.

`CHAOS_SECONDS`, `CHAOS_TICKETS` and `CHAOS_SEED` change it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("the services of the trial use locks of POSIX", allow_module_level=True)

from tests.chaos.trial import ALWAYS, trial

SECONDS = float(os.environ.get("CHAOS_SECONDS", "18"))
TICKETS = int(os.environ.get("CHAOS_TICKETS", "12"))
SEED = int(os.environ.get("CHAOS_SEED", "1"))


def test_every_ticket_ends_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = trial(tmp_path, seed=SEED, seconds=SECONDS, tickets=TICKETS, pace=0.8, limit=300.0)
    with capsys.disabled():
        sys.stdout.write(f"\n{report}\n")
    assert not report.problems, str(report)
    assert len(report.verdicts) == TICKETS
    # That nothing went wrong says something only where something was done to it.
    assert report.has_struck(ALWAYS), str(report)

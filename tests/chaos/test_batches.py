"""A cohort of 40 cases through the quota, while batch and middleware are killed.

`CHAOS_CASES`, `CHAOS_STRIKES` and `CHAOS_SEED` change it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("the trial kills by signals of POSIX", allow_module_level=True)

from tests.chaos.batches import trial

CASES = int(os.environ.get("CHAOS_CASES", "40"))
STRIKES = int(os.environ.get("CHAOS_STRIKES", "16"))
SEED = int(os.environ.get("CHAOS_SEED", "1"))


def test_every_case_ends_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = trial(tmp_path, seed=SEED, cases=CASES, strikes=STRIKES)
    with capsys.disabled():
        sys.stdout.write(f"\n{report}\n")
    assert not report.problems, str(report)
    # That nothing went wrong says something only where something was done to it.
    killed = {victim for victim, _ in report.strikes}
    assert killed & {"batch", "both"}, str(report)
    assert killed & {"middleware", "both"}, str(report)

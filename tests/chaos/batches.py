"""A trial of batches: the batch and the middleware are killed again and again, then judged."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from dss.batch.journal import NAME, Step
from tests.dss.batch.site import LIMIT, Site

VICTIMS = ("batch", "batch", "middleware", "both")
MOMENTS = ("any", *(step.value for step in Step if step not in (Step.WAITING, Step.DONE)))
_TICK = 0.002
_LATEST = 20.0  # seconds after which a moment that does not come is not waited for any more


@dataclass
class Report:
    """What came of a trial.

    Attributes:
        seed: What its chances were drawn from.
        strikes: Who was killed, and at which moment.
        starts: How often the batch was started.
        problems: What is not as it must be.
    """

    seed: int
    strikes: Counter[tuple[str, str]] = field(default_factory=Counter)
    starts: int = 0
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        killed = ", ".join(f"{n} {who} at {at}" for (who, at), n in sorted(self.strikes.items()))
        lines = [f"seed {self.seed}: {self.starts} starts; killed: {killed}"]
        return "\n".join([*lines, *(f"PROBLEM: {problem}" for problem in self.problems)])


def trial(folder: Path, *, seed: int, cases: int, strikes: int) -> Report:
    """Send a cohort while the batch and the middleware are killed, let it end, and judge it.

    Args:
        folder: An empty folder.
        seed: What chances are drawn from.
        cases: How many; the service refuses two of them.
        strikes: How often to kill.
    """
    chance = random.Random(seed)
    report = Report(seed)
    with Site(folder, refused=chance.sample(range(cases), 2)) as site:
        site.add_cases(cases)
        left = strikes
        while left:
            with site.running() as batch:
                report.starts += 1
                while left and batch.poll() is None:
                    left -= _strike(site, batch, chance, report)
            if batch.returncode in (0, 1) and not _is_open(site):
                break
        done = site.run(code=None)
        report.starts += 1
        report.problems = site.problems(cases)
        if done.returncode != 1 or "2 of " not in done.stderr.splitlines()[-1]:
            report.problems.append(f"the last start ended with {done.returncode}: {done.stderr}")
    return report


def _strike(
    site: Site, batch: subprocess.Popen[bytes], chance: random.Random, report: Report
) -> bool:
    """Kill at a moment; return whether it came before the batch ended by itself."""
    victim, moment = chance.choice(VICTIMS), chance.choice(MOMENTS)
    size, more = _size(site), chance.randint(1, 2000)
    aims: Callable[[], bool] = (
        (lambda: _size(site) > size + more)
        if moment == "any"
        else (lambda: _size(site) > size and _last(site) == moment)
    )
    end = time.monotonic() + _LATEST
    while not aims():
        if batch.poll() is not None:
            return False
        if time.monotonic() > end:
            moment = "rest"
            break
        time.sleep(_TICK)
    if victim in ("batch", "both"):
        batch.kill()
    if victim in ("middleware", "both"):
        assert site.middleware.pid
        os.kill(site.middleware.pid, signal.SIGKILL)
        site.middleware.restart()
    if victim != "middleware":
        batch.wait(LIMIT)
    report.strikes[victim, moment] += 1
    return True


def _size(site: Site) -> int:
    file = site.out / NAME
    return file.stat().st_size if file.exists() else 0


def _last(site: Site) -> str:
    """Return the step of the journal's last line."""
    return str(site.records()[-1].get("step", ""))


def _is_open(site: Site) -> bool:
    """Return whether the last start ended before all cases had."""
    rows = site.table() if (site.out / "results.tsv").exists() else []
    return not rows or bool({row["status"] for row in rows} - {"success", "failed"})

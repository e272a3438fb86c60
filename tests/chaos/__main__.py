"""Chaos by hand: `python -m tests.chaos --seconds 3600 --tickets 1000 --seed 1`."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path

from tests.chaos.trial import trial


def tell(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """Do a trial as the options say."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=120.0, help="how long to kill")
    parser.add_argument("--tickets", type=int, default=40)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--seed", type=int, default=None, help="by default another each time")
    parser.add_argument("--pace", type=float, default=1.0, help="seconds between two kills")
    parser.add_argument("--folder", type=Path, help="keep everything there; it has to be new")
    parser.add_argument("--quiet", action="store_true", help="do not tell of each kill")
    given = parser.parse_args()
    seed = random.SystemRandom().randrange(10**6) if given.seed is None else given.seed
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(exist_ok=True)
        tell(f"seed {seed}, in {folder}")
        report = trial(
            folder,
            seed=seed,
            seconds=given.seconds,
            tickets=given.tickets,
            workers=given.workers,
            pace=given.pace,
            tell=(lambda line: None) if given.quiet else tell,
        )
    tell(str(report))
    return bool(report.problems)


if __name__ == "__main__":
    sys.exit(main())

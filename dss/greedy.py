"""Image registration by `greedy`, in a process of its own.

The package picsl_greedy brings its own ITK, which does not share a process with another one,
prints past Python's streams, and holds the interpreter while it works. Run as a program, this
module is that process: ``python -m dss.greedy "-d 3 …"``.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from dss.errors import GreedyFailed

_LIMIT = 600.0
_LAST_LINES = 5


def run(command: str, folder: Path, outputs: Sequence[str]) -> str:
    """Run one greedy command and give what it printed.

    Args:
        command: its options, file names relative to `folder`, without blanks in them.
        folder: where it runs.
        outputs: the files that it has to write there; greedy itself does not tell when it cannot.

    Raises:
        GreedyFailed: it is not installed, stopped, took too long, or an output is missing.
    """
    if find_spec("picsl_greedy") is None:
        raise GreedyFailed("greedy is not installed; run: pip install 'snapws[demo]'")
    try:
        done = subprocess.run(  # noqa: S603 - our own words only
            [sys.executable, "-m", "dss.greedy", command],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            timeout=_LIMIT,
        )
    except subprocess.TimeoutExpired:
        raise GreedyFailed(f"greedy took more than {_LIMIT:g} s: greedy {command}") from None
    missing = [name for name in outputs if not (folder / name).exists()]
    if done.returncode or missing:
        last = " / ".join(done.stdout.splitlines()[-_LAST_LINES:])
        reason = f"exit {done.returncode}" if done.returncode else f"no {missing[0]}"
        raise GreedyFailed(f"greedy failed ({reason}): greedy {command}: {last}")
    return done.stdout


if __name__ == "__main__":
    from picsl_greedy import Greedy3D

    Greedy3D().execute(sys.argv[1])

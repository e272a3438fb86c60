"""``dss-progress`` and ``dss-attach``: reports of a job's program to the user."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from dss.serving.hooks import FOLDER, Report, put


def progress() -> int:
    """Run ``dss-progress VALUE [MESSAGE]``; return the exit code."""
    words = sys.argv[1:]
    try:
        value = float(words[0])
        if not (len(words) <= 2 and 0 <= value <= 1):
            raise ValueError
    except (IndexError, ValueError):
        return _error('usage: dss-progress VALUE ["MESSAGE"], VALUE from 0 to 1', 2)
    return _put("dss-progress", Report(progress=value, message="".join(words[1:])))


def attach() -> int:
    """Run ``dss-attach FILE [DESCRIPTION]``; return the exit code."""
    words = sys.argv[1:]
    if not 1 <= len(words) <= 2:
        return _error('usage: dss-attach FILE ["DESCRIPTION"]', 2)
    file = Path(words[0]).absolute()
    if not file.is_file():
        return _error(f"dss-attach: error: {file} is not a file", 1)
    return _put("dss-attach", Report(message=words[-1] if words[1:] else file.name, file=str(file)))


def _put(command: str, report: Report) -> int:
    folder = os.environ.get(FOLDER)
    if not folder:
        return _error(f"{command}: error: run it in a command of a job (job.run)", 1)
    try:
        put(Path(folder), report)
    except OSError as error:
        return _error(f"{command}: error: {error.strerror}", 1)
    return 0


def _error(line: str, code: int) -> int:
    sys.stderr.write(f"{line}\n")
    return code

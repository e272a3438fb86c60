"""The progress of an outside program: from its output, or from hooks that it runs.

A program that can run commands at its steps runs ``dss-progress 0.4 "segmenting"`` and
``dss-attach FILE [DESCRIPTION]``. Each command writes a file into a folder of the job, and
`Job.run` reads that folder while the program runs.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Union

FOLDER = "DSS_REPORTS"
"""The environment variable with the folder for the reports of hooks."""

Rule = Union[str, "re.Pattern[str]", Callable[[str], "float | None"]]

_LINE_END = re.compile(rb"[\r\n]")
_LONGEST_LINE = 1 << 16


class Report(NamedTuple):
    """The report of a hook: a progress from 0 to 1, a line for the log, a file for the user."""

    progress: float | None = None
    message: str = ""
    file: str = ""


class PrintedProgress:
    """The progress that a program prints.

    Args:
        output: The file with the program's output.
        rule: A regular expression with one group (percent) or two groups (done, total), or a
            function that takes a line and returns 0 to 1, or None.

    Raises:
        ValueError: The expression is invalid, or has neither one nor two groups.
    """

    def __init__(self, output: Path, rule: Rule) -> None:
        self._output = output
        self._start = 0
        self._rest = b""
        if callable(rule):
            self._of_line = rule
            return
        try:
            pattern = re.compile(rule)
        except re.error as error:
            raise ValueError(f"progress: not a regular expression: {error}") from None
        if pattern.groups not in (1, 2):
            raise ValueError(
                "progress: expected one group (percent) or two (done, total) in "
                f"{pattern.pattern!r}"
            )
        self._of_line = lambda line: _of_match(pattern.search(line))

    def new(self) -> float | None:
        """Return the last progress among the lines printed since the last call, 0 to 1."""
        with self._output.open("rb") as file:
            file.seek(self._start)
            printed = file.read()
        self._start += len(printed)
        # Progress bars overwrite themselves with a carriage return.
        *lines, self._rest = _LINE_END.split(self._rest + printed)
        self._rest = self._rest[-_LONGEST_LINE:]
        found = None
        for line in lines:
            value = self._of_line(line.decode("utf-8", "replace"))
            if value is not None and 0 <= value <= 1:
                found = value
        return found


def _of_match(match: re.Match[str] | None) -> float | None:
    if match is None:
        return None
    numbers = [float(group) for group in match.groups()]
    if len(numbers) == 1:
        return numbers[0] / 100
    return numbers[0] / numbers[1] if numbers[1] else None


def put(folder: Path, report: Report) -> None:
    """Write the report of a hook into a folder, as an atomic write.

    Raises:
        OSError: The report cannot be written.
    """
    name = f"{time.time_ns():020d}-{os.getpid()}"
    written = folder / f".{name}"
    written.write_text(json.dumps(report._asdict()), encoding="utf-8")
    written.rename(folder / name)


def take(folder: Path) -> Iterator[Report]:
    """Yield the reports of hooks in the order of time, and remove each."""
    for file in sorted(folder.glob("[0-9]*")):
        with suppress(OSError, ValueError, TypeError):  # a file that no hook wrote
            yield Report(**json.loads(file.read_text(encoding="utf-8")))
        file.unlink(missing_ok=True)

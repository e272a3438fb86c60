"""How a command of this project ends: its exit code, and no noise when nobody listens any more."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from pathlib import Path

INTERRUPTED = 130


def run(command: Callable[[], int | None], *, encoding: str | None = None) -> int:
    """Run a command and give its exit code: what it returns or exits with.

    An interrupt from the keyboard ends it quietly with 130, a closed pipe with 1. A letter that the
    terminal lacks is printed as its number rather than ending the command. Where there is no
    standard output or error at all (``>&-``), what is printed is lost.

    Args:
        command: what to run.
        encoding: of the output; the terminal's own if None.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            nowhere = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - to the end
            setattr(sys, name, nowhere)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding=encoding, errors="backslashreplace")
    try:
        code = _code(command)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # What is still buffered would fail once more when the process ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


def _code(command: Callable[[], int | None]) -> int:
    try:
        return command() or 0
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)

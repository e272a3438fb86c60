"""How a command of this project ends: its exit code, and no noise when nobody listens any more."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable

INTERRUPTED = 130


def run(command: Callable[[], int]) -> int:
    """Run a command and give its exit code; output is UTF-8 whatever the terminal is set to.

    An interrupt from the keyboard ends it quietly with 130, a closed pipe with 1.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    try:
        code = command()
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # What is still buffered would fail once more when the process ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code

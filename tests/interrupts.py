"""Ctrl-C, pressed as people press it: again, where a program has not heard it."""

from __future__ import annotations

import signal
import subprocess
import time
from contextlib import suppress

_PAUSE = 20.0
_LIMIT = 300.0


def interrupt(child: subprocess.Popen[bytes]) -> tuple[bytes | None, bytes | None]:
    """Interrupt a process until it has ended; return what `Popen.communicate` does.

    Python loses an interrupt that comes while it runs a callback, of the garbage collector or of
    an import, and one that comes right before a read waits for that read to end.

    Raises:
        AssertionError: It has not ended in time.
    """
    end = time.monotonic() + _LIMIT
    while time.monotonic() < end:
        child.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            return child.communicate(timeout=_PAUSE)
    raise AssertionError("the process does not end, however often it is interrupted")

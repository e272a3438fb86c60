"""Ctrl-C, pressed as people press it: again, where a program has not heard it."""

from __future__ import annotations

import signal
import subprocess
import time

_PAUSE = 1.0
_LIMIT = 120.0


def interrupt(child: subprocess.Popen[bytes]) -> None:
    """Interrupt a process until it has ended.

    Python loses an interrupt that comes while it runs a callback, of the garbage collector or of
    an import, and one that comes right before a read waits for that read to end.

    Raises:
        AssertionError: It has not ended in time.
    """
    end = time.monotonic() + _LIMIT
    while child.poll() is None:
        assert time.monotonic() < end, "the process does not end, however often it is interrupted"
        child.send_signal(signal.SIGINT)
        try:
            child.wait(_PAUSE)
        except subprocess.TimeoutExpired:
            continue

"""How a command of this project ends: its exit code, and no noise when nobody listens any more."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

INTERRUPTED = 130

_ENDING = ("SIGTERM", "SIGHUP")  # Windows has no SIGHUP


def run(command: Callable[[], int | None], *, encoding: str | None = None) -> int:
    """Run a command and give its exit code: what it returns or exits with.

    An interrupt from the keyboard ends it quietly with 130, a closed pipe with 1. So do SIGTERM and
    SIGHUP, with 143 and 129: all that an interrupt cleans up, they do; where they are ignored, as
    under nohup, they stay so. A letter that the terminal lacks is printed as its number rather than
    ending the command. Where there is no standard output or error at all (``>&-``), what is printed
    is lost.

    Args:
        command: What to run.
        encoding: Of the output; the terminal's own if None.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            nowhere = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - to the end
            setattr(sys, name, nowhere)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding=encoding, errors="backslashreplace")
    with _ending() as received:
        try:
            code = _code(command)
            sys.stdout.flush()
        except KeyboardInterrupt:
            code = INTERRUPTED
        except BrokenPipeError:
            # What is still buffered would fail once more when the process ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = 1
        except OSError:
            if not received:
                raise
            code = 1  # the terminal is gone
    return 128 + received[0] if received else code


@contextmanager
def _ending() -> Iterator[list[int]]:
    """Let SIGTERM and SIGHUP interrupt the block, the first of them; it gives which has come."""
    received: list[int] = []

    def interrupt(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        if len(received) == 1:  # a shell repeats what the terminal sends: clean up in peace
            raise KeyboardInterrupt

    numbers = [number for name in _ENDING if (number := getattr(signal, name, None)) is not None]
    changed = [number for number in numbers if signal.getsignal(number) is signal.SIG_DFL]
    try:
        for number in changed:
            signal.signal(number, interrupt)
    except ValueError:  # signals are for the main thread
        changed = []
    try:
        yield received
    finally:
        for number in changed:
            signal.signal(number, signal.SIG_DFL)


def _code(command: Callable[[], int | None]) -> int:
    try:
        return command() or 0
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)

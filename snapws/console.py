"""Exit codes of commands, and a quiet end after signals and closed pipes."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

INTERRUPTED = 130

_ENDING = ("SIGTERM", "SIGHUP")  # Windows has no SIGHUP


def run(command: Callable[[], int | None], *, encoding: str | None = None) -> int:
    """Run a command and return its exit code.

    An interrupt from the keyboard ends the command quietly with 130, a closed pipe with 1, SIGTERM
    with 143 and SIGHUP with 129. These signals clean up as an interrupt does; ignored ones stay
    ignored, as under nohup. A character that the terminal cannot print is escaped. If standard
    output or error is closed (``>&-``), its text is discarded.

    Args:
        command: The function to run; it returns the exit code, or None for 0.
        encoding: The encoding of the output; by default the terminal's.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            nowhere = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - to the end
            setattr(sys, name, nowhere)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding=encoding, errors="backslashreplace")
    with _own_error_stream(), _ending() as received:
        try:
            code = _code(command)
            sys.stdout.flush()
        except KeyboardInterrupt:
            code = INTERRUPTED
        except BrokenPipeError:
            # Writing the rest of the buffer would fail again when the process ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = 1
        except OSError:
            if not received:
                raise
            code = 1  # the terminal is gone
    return 128 + received[0] if received else code


@contextmanager
def _own_error_stream() -> Iterator[None]:
    """Let Python write to a copy of standard error, which decoders do not write to.

    What these print to standard error itself is discarded while they read (see
    `snapws.images.itk.reading`): without a copy, what other threads print then would be lost.
    """
    original = sys.stderr
    try:
        is_standard = isinstance(original, io.TextIOWrapper) and original.fileno() == 2
        copy = os.dup(2) if is_standard else None
    except (OSError, ValueError):  # it is closed, or no file
        copy = None
    if copy is None:
        yield
        return
    encoding, errors = original.encoding, original.errors
    # It stays open: handlers of loggers may keep it.
    own = os.fdopen(copy, "w", 1, encoding=encoding, errors=errors, closefd=False)
    sys.stderr = own
    try:
        yield
    finally:
        sys.stderr = original
        with suppress(OSError):  # nobody reads it any more
            own.flush()


@contextmanager
def _ending() -> Iterator[list[int]]:
    """Let the first SIGTERM or SIGHUP interrupt the block. Yields the list of received signals."""
    received: list[int] = []

    def interrupt(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        if len(received) == 1:  # a shell repeats the terminal's signals: do not disturb cleaning up
            raise KeyboardInterrupt

    numbers = [number for name in _ENDING if (number := getattr(signal, name, None)) is not None]
    changed = [number for number in numbers if signal.getsignal(number) is signal.SIG_DFL]
    try:
        for number in changed:
            signal.signal(number, interrupt)
    except ValueError:  # only the main thread can handle signals
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

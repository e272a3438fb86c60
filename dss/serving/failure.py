"""Texts about a failure, with private names redacted: a line for the user, and a traceback."""

from __future__ import annotations

import os
import re
import signal
import traceback
from pathlib import Path
from types import TracebackType

from dss.serving.redaction import scrubbed
from dss.text import one_line

_LONGEST = 500
_READ = 2**20
_LONGEST_PATH = 4096


def told(error: BaseException) -> str:
    """Return an error in one line for the user: its message, or its type without a message."""
    message = one_line(_text_of(error)) or type(error).__name__
    if not isinstance(error, (OSError, MemoryError)) and _is_technical(error):
        message = f"{type(error).__name__}: {message}"
    return scrubbed(message)[:_LONGEST]


def located(error: BaseException, file: Path) -> str:
    """Return an error for the user, with the line of a file (a resolved path) where it arose."""
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename) == file
    ]
    return told(error) + (f" ({file.name}, line {lines[-1]})" if lines else "")


def full(error: BaseException, file: Path) -> str:
    """Return the traceback of an error from a file on, with paths, users and hosts redacted."""
    return scrubbed(unredacted(error, file))


def unredacted(error: BaseException, file: Path) -> str:
    """Return the traceback of an error from a file on as it is, for the author of the service."""
    trace = _within(error, file) or error.__traceback__
    return "".join(traceback.format_exception(type(error), error, trace))


def arose_in(error: BaseException, file: Path) -> bool:
    """Return whether an error arose in a file (a resolved path), or in code that it called."""
    return _within(error, file) is not None


def _within(error: BaseException, file: Path) -> TracebackType | None:
    begin = error.__traceback__
    while begin and Path(begin.tb_frame.f_code.co_filename) != file:
        begin = begin.tb_next
    return begin


def ended(code: int) -> str:
    """Return how a process ended, from its exit code."""
    if code >= 0:
        return f"its process ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    hint = ": perhaps for want of memory" if name == "SIGKILL" else ""
    return f"its process was ended by {name}{hint}"


def printed(file: Path) -> str:
    """Return the end of a program's output, redacted, beginning at a line or word."""
    with file.open("rb") as output:
        size = output.seek(0, os.SEEK_END)
        output.seek(max(0, size - _READ))
        text = output.read().decode("utf-8", "replace")
    if size > _READ:
        # A truncated path would not be redacted, so begin at a line or blank. Output without either
        # is cut after the length of the longest path.
        head = text[:_LONGEST_PATH]
        begin = re.search(r"[\r\n]", head) or re.search(r"\s", head)
        text = text[begin.end() if begin else _LONGEST_PATH :]
    return scrubbed(text)


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - the __str__ of the author's error fails
        return ""


def _is_technical(error: BaseException) -> bool:
    """Return whether the message of an error needs its kind to be understood: KeyError: 'x'."""
    return type(error).__module__ == "builtins" and not isinstance(error, RuntimeError)

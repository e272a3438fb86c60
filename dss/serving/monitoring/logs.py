"""The format of a runner's log: plain lines, or JSON lines for programs.

A record may have attributes for ticket, service, step, seconds and bytes. They are passed to
`logging` as `extra`.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import TextIO

from dss.serving.journal import Step
from dss.text import one_line

FIELDS = ("ticket", "service", "step", "seconds", "bytes")
"""The attributes that a record may have besides its message."""


class Plain(logging.Formatter):
    """A line for a terminal: local time, ticket, message, duration and bytes."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record as one line without control characters."""
        said = _said(record)
        about = [f"ticket {said['ticket']}"] if "ticket" in said else []
        about += [str(said["service"])] if "service" in said else []
        level = f"{record.levelname.lower()}: " if record.levelno >= logging.WARNING else ""
        line = f"{' '.join(about)}: " if about else ""
        line += level + record.getMessage()
        # After the reason of a failure, a duration would read like a part of the reason.
        if "seconds" in said and said.get("step") != Step.FAILING.value:
            line += f" in {duration(float(str(said['seconds'])))}"
        if "bytes" in said:
            line += f", {size(int(str(said['bytes'])))}"
        if record.exc_info and record.exc_info[1]:
            line += f": {type(record.exc_info[1]).__name__}: {record.exc_info[1]}"
        return f"{datetime.fromtimestamp(record.created):%H:%M:%S} {one_line(line)}"


class AsJson(logging.Formatter):
    """A line of JSON in ASCII: time (UTC), level, message, the record's attributes, error."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record as one line."""
        time = datetime.fromtimestamp(record.created, timezone.utc)
        line = {
            "time": time.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **_said(record),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


@contextmanager
def showing(stream: TextIO, *, as_json: bool, level: int = logging.INFO) -> Iterator[None]:
    """Write the log of `dss` to a stream, until the end of the context.

    Args:
        stream: The stream.
        as_json: Whether to write JSON lines instead of plain lines.
        level: The lowest level that is written, as in `logging`.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(AsJson() if as_json else Plain())
    with handled("dss", handler, level):
        yield


@contextmanager
def handled(name: str, handler: logging.Handler, level: int) -> Iterator[None]:
    """Send the records of a logger to a handler, until the end of the context.

    Args:
        name: Name of the logger.
        handler: The handler.
        level: The lowest level that is sent, as in `logging`.
    """
    logger = logging.getLogger(name)
    before = logger.level
    handler.setLevel(level)  # that of the logger does not hold for what loggers below it send up
    logger.addHandler(handler)
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.setLevel(before)
        logger.removeHandler(handler)


def duration(seconds: float) -> str:
    """Write a time for people: `0.3 s`, `5 min 12 s`, `2 h 05 min`, `3 d 04 h`."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours < 24 else f"{hours // 24} d {hours % 24:02d} h"


def size(count: int) -> str:
    """Write a number of bytes for people, in powers of 1000: `12 bytes`, `12.3 kB`, `1.2 MB`."""
    if count < 1000:
        return f"{count} bytes"
    value = count / 1000
    for unit in ("kB", "MB", "GB"):
        if value < 999.95:
            return f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def _said(record: logging.LogRecord) -> dict[str, object]:
    return {name: record.__dict__[name] for name in FIELDS if record.__dict__.get(name) is not None}

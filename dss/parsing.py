"""Parsing of the server's CSV and JSON into the records of `dss.records`.

The server's CSV has no header row and no column types. Here ids and counts become integers, and
everything else stays text ("1.10" is a version, "007" and "NA" are names). The order of the columns
differs between lists, so the caller of `read_csv` states it.

A server on SQLite sends times as seconds of the epoch. An older server on Postgres sends
"YYYY-MM-DD HH:MM:SS[.ffffff]" in the undeclared time zone of its database, here read as UTC.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import datetime, timedelta, timezone
from typing import Any, TypeVar, get_type_hints

from dss.errors import InvalidResponse
from dss.records import (
    Attachment,
    LogEntry,
    ServiceDetail,
    ServiceStats,
    ServiceTag,
    TicketDetail,
    TicketStatus,
)
from dss.text import shown

R = TypeVar("R")

_MOST_DIGITS = 18  # of an integer that fits into 64 bits, as databases have them


def read_word(text: str, *allowed: str) -> str:
    """Read an answer of one word, which has to be one of those `allowed`.

    Raises:
        InvalidResponse: The answer is another word.
    """
    word = text.strip()
    if word not in allowed:
        raise InvalidResponse(
            f"the server answered {shown(text)!r} instead of {' or '.join(allowed)}"
        )
    return word


def word(*allowed: str) -> Callable[[str], str]:
    """Return a reader of answers of one word, which has to be one of those `allowed`."""
    return lambda text: read_word(text, *allowed)


def read_int(text: str) -> int:
    """Read an id or a count: decimal digits and nothing else.

    Raises:
        InvalidResponse: The text is not such a number.
    """
    digits = text.strip()
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= _MOST_DIGITS):
        raise InvalidResponse(f"the server answered {shown(text)!r} instead of a number")
    return int(digits)


def read_number(text: str) -> float:
    """Read a finite decimal number.

    Raises:
        InvalidResponse: The text is not such a number.
    """
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise InvalidResponse(f"the server answered {shown(text)!r} instead of a number")
    return number


def read_status(text: str) -> TicketStatus:
    """Read the status of a ticket."""
    known = _STATUSES.get(text)  # fast, for lists of a million rows
    return known or TicketStatus(read_word(text, *_STATUSES))


_STATUSES = {status.value: status for status in TicketStatus}


_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_FAR = datetime(3000, 1, 1, tzinfo=timezone.utc)


def read_time(value: object) -> datetime:
    """Read a time: seconds of the epoch, or a date and time without a zone, taken for UTC.

    Raises:
        InvalidResponse: The value is not a time from 1970 to 2999. Not every system can convert
            other times to local time.
    """
    time: datetime | None = None
    try:
        if isinstance(value, str) and not value.isdecimal():
            form = "%Y-%m-%d %H:%M:%S.%f" if "." in value else "%Y-%m-%d %H:%M:%S"
            time = datetime.strptime(value, form).replace(tzinfo=timezone.utc)
        elif isinstance(value, (str, int, float)) and not isinstance(value, bool):
            time = _EPOCH + timedelta(seconds=float(value))
    except (ValueError, OverflowError) as error:
        raise InvalidResponse(f"not a time: {shown(repr(value))}") from error
    if time is None or not _EPOCH <= time < _FAR:
        raise InvalidResponse(f"not a time: {shown(repr(value))}")
    return time


def read_duration(value: object) -> timedelta | None:
    """Read a duration: seconds, or "[D day[s], ]H:MM:SS[.ffffff]"; None for an empty value.

    Raises:
        InvalidResponse: The value is not a duration.
    """
    if value is None or value == "":
        return None
    text = str(value)
    form = re.fullmatch(r"(?:(-?\d+) days?, )?(\d+):(\d\d):(\d\d(?:\.\d+)?)", text)
    try:
        if form:
            days, hours, minutes, seconds = (float(part or 0) for part in form.groups())
            return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        return timedelta(seconds=float(text))
    except (ValueError, OverflowError) as error:
        raise InvalidResponse(f"not a duration: {shown(text)!r}") from error


def _read_flag(text: str) -> bool:
    return read_word(text, "0", "1", "True", "False", "t", "f") in ("1", "True", "t")


_READERS: Mapping[type, Callable[[str], object]] = {
    str: str,
    int: read_int,
    float: read_number,
    bool: _read_flag,
    TicketStatus: read_status,
}


def read_csv(record: type[R], columns: Sequence[str], text: str) -> list[R]:
    """Read rows of CSV, each into a `record`.

    Args:
        record: A dataclass of this module without nested records.
        columns: Its fields in the order of the answer's columns.
        text: The answer.

    Raises:
        InvalidResponse: A row has more or fewer columns, or a value of the wrong form.
    """
    types = get_type_hints(record)
    readers = [_READERS[types[column]] for column in columns]
    # The column of each field: positional arguments make a record in half the time of names.
    places = [columns.index(field.name) for field in fields(record)]  # type: ignore[arg-type]
    records = []
    try:
        # Without `newline=""` a line end inside a quoted field would be changed.
        for number, row in enumerate(csv.reader(io.StringIO(text, newline=""), strict=True), 1):
            if len(row) != len(columns):
                raise InvalidResponse(
                    f"row {number} has {len(row)} columns instead of {len(columns)} "
                    f"({', '.join(columns)}): {shown(','.join(row))!r}"
                )
            try:
                values = [read(value) for read, value in zip(readers, row, strict=True)]
            except InvalidResponse as error:
                raise InvalidResponse(f"row {number}, {shown(','.join(row))!r}: {error}") from error
            records.append(record(*(values[place] for place in places)))
    except csv.Error as error:
        raise InvalidResponse(f"not CSV: {error}: {shown(text)!r}") from error
    return records


def rows(record: type[R], *columns: str) -> Callable[[str], list[R]]:
    """Return a reader of rows of CSV, as `read_csv` reads them."""
    return lambda text: read_csv(record, columns, text)


def read_names(text: str) -> list[str]:
    """Read CSV of one column."""
    return [row.name for row in read_csv(_Name, ("name",), text)]


@dataclass(frozen=True)
class _Name:
    name: str


@contextmanager
def _form(what: str) -> Iterator[None]:
    """Convert the errors that a document of another form causes into `InvalidResponse`."""
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise InvalidResponse(
            f"{what} is not of the expected form: {shown(repr(error))}"
        ) from error


def read_detail(document: object) -> TicketDetail:
    """Read the answer of a ticket's `detail`."""
    with _form("the ticket's detail"):
        result: Any = document["result"]  # type: ignore[index]
        position = result.get("queue_position")
        return TicketDetail(
            status=read_status(result["status"]),
            progress=read_number(str(result["progress"])),
            queue_position=None if position is None else int(position),
            log=tuple(
                LogEntry(
                    id=int(entry["id"]),
                    time=read_time(entry["atime"]),
                    category=str(entry["category"]),
                    message=str(entry["message"]),
                    attachments=tuple(
                        Attachment(
                            id=int(a["id"]),
                            description=_text(a, "description"),
                            mime_type=_text(a, "mime_type"),
                            url=_text(a, "url"),
                        )
                        for a in entry["attachments"]
                    ),
                )
                for entry in result["log"]
            ),
        )


def read_service(document: object) -> ServiceDetail:
    """Read a `service.json`. Missing entries become empty."""
    with _form("service.json"):
        service: Any = document
        return ServiceDetail(
            name=str(service["name"]),
            version=str(service["version"]),
            description=_text(service, "shortdesc"),
            long_description=_text(service, "longdesc"),
            url=_text(service, "url"),
            tags=tuple(
                ServiceTag(
                    name=str(tag["name"]),
                    type=_text(tag, "type"),
                    hint=_text(tag, "hint"),
                    required=bool(tag.get("required", False)),
                )
                for tag in service.get("tags", ())
            ),
            json=service,
        )


def read_stats(document: object) -> ServiceStats:
    """Read the answer of a service's `stats`, as JSON because its CSV columns vary."""
    with _form("the service's stats"):
        (stats,) = document["result"]  # type: ignore[index]
        return ServiceStats(
            succeeded=int(stats["n_success"]),
            failed=int(stats["n_failed"]),
            mean_duration=read_duration(stats.get("avg_duration")),
            last_heard=read_duration(stats.get("last_heard_from")),
            queue_length=int(stats["queue_length"]),
        )


def _text(values: Mapping[str, object], key: str) -> str:
    value = values.get(key)
    return "" if value is None else str(value)

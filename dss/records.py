"""What the server lists, as records, and how its CSV and JSON are read.

The server's CSV has no header and its columns no types: here ids and counts are integers and
everything else stays text ("1.10" is a version, "007" and "NA" are names). Lists differ in the
order of their columns, so the caller of `read_csv` names them as its call answers them.

Times are aware, in UTC. A server on SQLite sends seconds of the epoch; the older one on Postgres
sends "YYYY-MM-DD HH:MM:SS[.ffffff]" in the time zone of its database, which it does not tell: it is
taken for UTC.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from enum import Enum
from typing import Any, TypeVar, get_type_hints

from dss.errors import BadAnswer, shown

R = TypeVar("R")


class TicketStatus(str, Enum):
    """Where a ticket stands, in the server's words."""

    INIT = "init"  #: made, its files not all sent
    READY = "ready"  #: waits for a provider
    CLAIMED = "claimed"  #: a provider works on it
    SUCCESS = "success"  #: its result can be fetched
    FAILED = "failed"  #: its log says why
    TIMEOUT = "timeout"  #: the server has given it up
    DELETED = "deleted"  #: its files are gone

    def __str__(self) -> str:
        return self.value

    @property
    def final(self) -> bool:
        """Whether nothing more happens to the ticket unless its owner acts."""
        return self in _FINAL


_FINAL = (
    TicketStatus.SUCCESS,
    TicketStatus.FAILED,
    TicketStatus.TIMEOUT,
    TicketStatus.DELETED,
)


@dataclass(frozen=True)
class Service:
    """A service that tickets can be made for.

    Attributes:
        name: Its name; several versions may have the same.
        hash: The 40 hexadecimal digits of its git commit, which name the version.
        version: Its version, as it calls it.
        description: What it does, in a line.
    """

    name: str
    hash: str
    version: str
    description: str


@dataclass(frozen=True)
class ServiceTag:
    """A layer that a service asks for.

    Attributes:
        name: The tag that the layer has to have.
        type: ``MainImage``, ``OverlayImage``, ``AnatomicImage`` (either) or ``Segmentation``.
        hint: What the user is told to choose.
        required: Whether a ticket without it is refused.
    """

    name: str
    type: str
    hint: str
    required: bool


@dataclass(frozen=True)
class ServiceDetail:
    """What a service says of itself.

    Attributes:
        name: Its name.
        version: Its version.
        description: What it does, in a line.
        long_description: The same, at length.
        url: Its web page, or empty.
        tags: The layers that it asks for.
        json: Its `service.json`, whole.
    """

    name: str
    version: str
    description: str
    long_description: str
    url: str
    tags: tuple[ServiceTag, ...]
    json: Mapping[str, object]


@dataclass(frozen=True)
class ServiceStats:
    """How busy a service is.

    Attributes:
        succeeded: How many of its tickets were a success.
        failed: How many failed.
        mean_duration: How long a ticket took, None if none did.
        last_heard: How long ago one of its providers asked for work, None if never.
        queue_length: How many tickets wait.
    """

    succeeded: int
    failed: int
    mean_duration: timedelta | None
    last_heard: timedelta | None
    queue_length: int


@dataclass(frozen=True)
class Ticket:
    """A ticket in the list of its owner.

    Attributes:
        id: Its number.
        service: The service's name.
        status: Where it stands.
    """

    id: int
    service: str
    status: TicketStatus


@dataclass(frozen=True)
class Attachment:
    """A file attached to a log entry.

    Attributes:
        id: Its number.
        description: What it is, for people.
        mime_type: Its type, ``text/plain`` for example.
        url: Its address. Whoever has it can read the file, without a login.
    """

    id: int
    description: str
    mime_type: str
    url: str


@dataclass(frozen=True)
class LogEntry:
    """A line of a ticket's log.

    Attributes:
        id: Its number, which grows.
        time: When it was written, with its time zone.
        category: ``info``, ``warning`` or ``error``.
        message: What it says.
        attachments: The files that show with it.
    """

    id: int
    time: datetime
    category: str
    message: str
    attachments: tuple[Attachment, ...]


@dataclass(frozen=True)
class TicketDetail:
    """A ticket as it is now.

    Attributes:
        status: Its status.
        progress: 0 to 1 (the server's sum of the parts set by the provider; it can exceed 1).
        queue_position: Place in the queue of all services, from 1, None once it is not waiting.
        log: Log entries, oldest first.
    """

    status: TicketStatus
    progress: float
    queue_position: int | None
    log: tuple[LogEntry, ...]


@dataclass(frozen=True)
class FileEntry:
    """A file of a ticket.

    Attributes:
        index: Its present place by time, which shifts when files change.
        name: Its name.
    """

    index: int
    name: str


@dataclass(frozen=True)
class ProvidedService:
    """A service as one provider offers it.

    Attributes:
        name: The service's name.
        version: Its version.
        hash: Its hash; several providers give several of the same.
        provider: The provider.
    """

    name: str
    version: str
    hash: str
    provider: str


@dataclass(frozen=True)
class Available:
    """A service with tickets ready to be claimed.

    Attributes:
        hash: The service's hash.
        name: Its name.
        ready: How many tickets wait.
    """

    hash: str
    name: str
    ready: int


@dataclass(frozen=True)
class Claim:
    """A ticket that was claimed.

    Attributes:
        ticket: Its number.
        hash: Hash of the service that it is for.
        status: Where it stands.
    """

    ticket: int
    hash: str
    status: TicketStatus


@dataclass(frozen=True)
class ProviderUser:
    """A user who may provide services for a provider.

    Attributes:
        id: The user's number.
        email: The address that is logged in with.
        admin: Whether the user may say who else may.
    """

    id: int
    email: str
    admin: bool


@dataclass(frozen=True)
class AnyTicket:
    """A ticket in the administrator's list.

    Attributes:
        id: Its number.
        email: Its owner.
        service: The service's name.
        status: Where it stands.
        minutes: Time from its first to its last event.
    """

    id: int
    email: str
    service: str
    status: TicketStatus
    minutes: float


def read_word(text: str, *allowed: str) -> str:
    """Read an answer of one word, which has to be one of those `allowed`.

    Raises:
        BadAnswer: It is none.
    """
    word = text.strip()
    if word not in allowed:
        raise BadAnswer(f"the server answered {shown(text)!r} instead of {' or '.join(allowed)}")
    return word


def word(*allowed: str) -> Callable[[str], str]:
    """Give a reader of answers of one word, which has to be one of those `allowed`."""
    return lambda text: read_word(text, *allowed)


def read_int(text: str) -> int:
    """Read a number that is an id or a count: decimal digits and nothing else.

    Raises:
        BadAnswer: It is none.
    """
    if not re.fullmatch("[0-9]{1,18}", text.strip()):
        raise BadAnswer(f"the server answered {shown(text)!r} instead of a number")
    return int(text)


def read_number(text: str) -> float:
    """Read a number that need not be whole.

    Raises:
        BadAnswer: It is none.
    """
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise BadAnswer(f"the server answered {shown(text)!r} instead of a number")
    return number


def read_status(text: str) -> TicketStatus:
    """Read the status of a ticket."""
    return TicketStatus(read_word(text, *(s.value for s in TicketStatus)))


_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_FAR = datetime(3000, 1, 1, tzinfo=timezone.utc)


def read_time(value: object) -> datetime:
    """Read a time: seconds of the epoch, or a date and time without a zone, taken for UTC.

    Raises:
        BadAnswer: It is none, or none from 1970 to 2999: others cannot be told in the time of any
            place on any system.
    """
    time: datetime | None = None
    try:
        if isinstance(value, str) and not value.isdecimal():
            form = "%Y-%m-%d %H:%M:%S.%f" if "." in value else "%Y-%m-%d %H:%M:%S"
            time = datetime.strptime(value, form).replace(tzinfo=timezone.utc)
        elif isinstance(value, (str, int, float)) and not isinstance(value, bool):
            time = _EPOCH + timedelta(seconds=float(value))
    except (ValueError, OverflowError) as error:
        raise BadAnswer(f"not a time: {shown(repr(value))}") from error
    if time is None or not _EPOCH <= time < _FAR:
        raise BadAnswer(f"not a time: {shown(repr(value))}")
    return time


def read_duration(value: object) -> timedelta | None:
    """Read a duration: seconds, or "[D day[s], ]H:MM:SS[.ffffff]"; None where there is none.

    Raises:
        BadAnswer: It is none.
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
        raise BadAnswer(f"not a duration: {shown(text)!r}") from error


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
        BadAnswer: A row has more or fewer columns, or a value of the wrong form.
    """
    types = get_type_hints(record)
    records = []
    try:
        # Without `newline=""` a line end inside a quoted field would be changed.
        for number, row in enumerate(csv.reader(io.StringIO(text, newline=""), strict=True), 1):
            if len(row) != len(columns):
                raise BadAnswer(
                    f"row {number} has {len(row)} columns instead of {len(columns)} "
                    f"({', '.join(columns)}): {shown(','.join(row))!r}"
                )
            try:
                values = {c: _READERS[types[c]](v) for c, v in zip(columns, row, strict=True)}
            except BadAnswer as error:
                raise BadAnswer(f"row {number}, {shown(','.join(row))!r}: {error}") from error
            records.append(record(**values))
    except csv.Error as error:
        raise BadAnswer(f"not CSV: {error}: {shown(text)!r}") from error
    return records


def rows(record: type[R], *columns: str) -> Callable[[str], list[R]]:
    """Give a reader of rows of CSV, as `read_csv` reads them."""
    return lambda text: read_csv(record, columns, text)


def read_names(text: str) -> list[str]:
    """Read CSV of one column."""
    return [row.name for row in read_csv(_Name, ("name",), text)]


@dataclass(frozen=True)
class _Name:
    name: str


@contextmanager
def _form(what: str) -> Iterator[None]:
    """Turn whatever a document of another form causes into one error."""
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise BadAnswer(f"{what} is not of the expected form: {shown(repr(error))}") from error


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
    """Read a `service.json`; what its author left out is empty."""
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
    """Read the answer of a service's `stats`; its columns vary, so it is asked for as JSON."""
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

"""What a runner and its workers send to each other, one JSON object a line.

A worker sends `Ready` or `ImportFailed`, then of its ticket `Reached`, `Delivered`, `Waiting` and
`Deleted`, at last `JobOver`. Whoever watches its process adds at its end, once, `ProcessExited`. A
worker receives an `Order`, an `Ack` for each message that has a number, and `Cancel`. A task of a
Dask cluster in between receives `Accepted` and `Kill` besides.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from dss.serving.journal import Outcome, Step
from snapws.privacy import Privacy

# ---------------------------------------------------------------- from a worker


@dataclass(frozen=True)
class Declared:
    """A service as a runner knows it: its name, and the resources that a job of it takes."""

    name: str
    resources: dict[str, float]


@dataclass(frozen=True)
class Ready:
    """The worker can take an order, for any of these services of its file."""

    services: tuple[Declared, ...]


@dataclass(frozen=True)
class ImportFailed:
    """The worker cannot import the service's file, and why."""

    why: str


@dataclass(frozen=True)
class Reached:
    """The ticket has come to a step; the worker goes on when that is acknowledged.

    Attributes:
        step: The step.
        outcome: How the ticket ended, with the last step.
        reason: Why it fails, if it does.
        moved: Bytes that were transferred or written on the way.
        number: By which it is acknowledged.
    """

    step: Step
    outcome: Outcome | None = None
    reason: str = ""
    moved: int | None = None
    number: int = 0


@dataclass(frozen=True)
class Delivered:
    """The server has a file of the result; the worker goes on when that is acknowledged.

    Attributes:
        name: What it is called there.
        size: Its bytes.
        number: By which it is acknowledged.
    """

    name: str
    size: int
    number: int = 0


@dataclass(frozen=True)
class Waiting:
    """The worker cannot go on now, and why."""

    why: str


@dataclass(frozen=True)
class Deleted:
    """The server has said that the ticket was deleted."""


@dataclass(frozen=True)
class JobOver:
    """The worker ends: with its ticket, because it was cancelled, or for want of a login."""

    how: Literal["done", "cancelled", "login"]


WorkerMessage = Ready | ImportFailed | Reached | Delivered | Waiting | Deleted | JobOver


@dataclass(frozen=True)
class ProcessExited:
    """The process of a worker has ended.

    Attributes:
        why: None where it ended as it should, else the reason in words.
        printed: What it printed before it had an order.
        limit: Whether the reason is a limit.
        lost: Whether nobody knows, because the line to the worker has ended.
    """

    why: str | None
    printed: str = ""
    limit: bool = False
    lost: bool = False


WorkerEvent = WorkerMessage | ProcessExited

# ---------------------------------------------------------------- to a worker


@dataclass(frozen=True)
class Order:
    """Take a ticket from where it stands to its end.

    Attributes:
        ticket: Its number.
        service: Name of its service.
        hash: Hash of its service.
        step: How far it is.
        reason: Why it fails, if it does.
        folder: The folder of its files.
        server: URL of the middleware.
        cookie: The login.
        verify: How the server's certificate is checked, as for `Session`.
        retry_for: Seconds for which one call is repeated before the job remarks that it waits.
        privacy: What typed text goes along with the result, as for `snapws.archive.archive`.
        max_size: Bytes that the ticket's input may have, as for `Provider.download`.
    """

    ticket: int
    service: str
    hash: str
    step: Step
    reason: str
    folder: Path
    server: str
    cookie: str = field(repr=False)
    verify: bool | str
    retry_for: float
    privacy: Privacy
    max_size: int | None = None


@dataclass(frozen=True)
class Ack:
    """The message of this number is in the journal."""

    number: int


@dataclass(frozen=True)
class Cancel:
    """The worker is to end soon."""


@dataclass(frozen=True)
class Kill:
    """The worker is to be killed at once."""


@dataclass(frozen=True)
class Accepted:
    """The task is expected here, and starts a worker."""


RunnerMessage = Order | Ack | Cancel | Kill | Accepted

# ---------------------------------------------------------------- as a line

_KINDS: dict[str, Callable[..., Any]] = {
    kind.__name__: kind
    for kind in (
        *(Ready, ImportFailed, Reached, Delivered, Waiting, Deleted, JobOver, ProcessExited),
        *(Order, Ack, Cancel, Kill, Accepted),
    )
}
_FIELDS: dict[str, Callable[[Any], Any]] = {
    "services": lambda services: tuple(Declared(**one) for one in services),
    "step": Step,
    "outcome": Outcome,
    "folder": Path,
}


def as_line(message: WorkerEvent | RunnerMessage) -> bytes:
    """Return a message as a line."""
    fields = {"message": type(message).__name__, **asdict(message)}
    return json.dumps(fields, default=str).encode() + b"\n"


def from_line(line: str | bytes) -> Any:
    """Return the message of a line, one of `WorkerEvent` or `RunnerMessage`.

    Raises:
        ValueError: The line was cut off, or is not a message: of another version, perhaps.
    """
    fields = json.loads(line)
    try:
        kind = _KINDS[fields.pop("message")]
        read = {
            name: _FIELDS[name](value) if name in _FIELDS and value is not None else value
            for name, value in fields.items()
        }
        return kind(**read)
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"not a message: {line[:100]!r}") from error

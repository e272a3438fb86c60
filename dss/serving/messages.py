"""The messages between a runner and its workers, one JSON object a line.

A worker sends `Ready` or `ImportFailed`, then `Reached`, `Delivered`, `Waiting` and `Deleted` about
its ticket, and at last `JobOver`. The supervisor of the process adds one `ProcessExited` at its
end. A worker receives an `Order`, an `Ack` for each message with a number, and `Cancel`. A task of
a Dask cluster in between also receives `Accepted` and `Kill`.
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
    """A declared service: its name, and the resources that each of its jobs needs."""

    name: str
    resources: dict[str, float]


@dataclass(frozen=True)
class Ready:
    """The worker can take an order for any of these services."""

    services: tuple[Declared, ...]


@dataclass(frozen=True)
class ImportFailed:
    """The worker cannot import the service's file, for the reason `why`."""

    why: str


@dataclass(frozen=True)
class Reached:
    """The ticket has reached a step. The worker goes on after the acknowledgement.

    Attributes:
        step: The step.
        outcome: How the ticket ended, with the last step.
        reason: Why the ticket fails, if it does.
        moved: Bytes that were transferred or written since the last step.
        number: The number for the acknowledgement.
    """

    step: Step
    outcome: Outcome | None = None
    reason: str = ""
    moved: int | None = None
    number: int = 0


@dataclass(frozen=True)
class Delivered:
    """The server has a file of the result. The worker goes on after the acknowledgement.

    Attributes:
        name: The file's name on the server.
        size: Its size in bytes.
        number: The number for the acknowledgement.
    """

    name: str
    size: int
    number: int = 0


@dataclass(frozen=True)
class Waiting:
    """The worker cannot go on now, for the reason `why`."""

    why: str


@dataclass(frozen=True)
class Deleted:
    """The server has said that the ticket was deleted."""


@dataclass(frozen=True)
class JobOver:
    """The worker ends: its ticket is done, it was cancelled, or its login is no longer valid."""

    how: Literal["done", "cancelled", "login"]


WorkerMessage = Ready | ImportFailed | Reached | Delivered | Waiting | Deleted | JobOver


@dataclass(frozen=True)
class ProcessExited:
    """The process of a worker has ended.

    Attributes:
        why: None after a normal end, else the reason in words.
        printed: The output of the process before it had an order.
        limit: Whether the reason is an exceeded limit.
        lost: Whether the reason is unknown, because the connection to the worker was lost.
    """

    why: str | None
    printed: str = ""
    limit: bool = False
    lost: bool = False


WorkerEvent = WorkerMessage | ProcessExited

# ---------------------------------------------------------------- to a worker


@dataclass(frozen=True)
class Order:
    """The order to work on a ticket, from its current step to its end.

    Attributes:
        ticket: The ticket's number.
        service: Name of its service.
        hash: Hash of its service.
        step: The step that the ticket has reached.
        reason: Why the ticket fails, if it does.
        folder: The folder of its files.
        server: URL of the middleware.
        cookie: The login.
        verify: How the server's certificate is checked, as for `Session`.
        retry_for: Seconds for which one call is retried before the worker reports that it waits.
        privacy: Which typed text the result keeps, as for `snapws.archive.archive`.
        max_size: The limit of the ticket's input in bytes, as for `Provider.download`.
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
    """The message with this number is in the journal."""

    number: int


@dataclass(frozen=True)
class Cancel:
    """The worker has to end soon."""


@dataclass(frozen=True)
class Kill:
    """The worker has to be killed at once."""


@dataclass(frozen=True)
class Accepted:
    """The runner expects this task, which may start its worker."""


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
        ValueError: The line is truncated, or is not a message (of this version).
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

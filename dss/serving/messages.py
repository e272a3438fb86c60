"""What a runner and the processes of its jobs say to each other, one JSON object a line.

What a process says: `Ready` or `Broken`, then of its ticket `Reached`, `Delivered`, `Waits` and
`Deleted`, at last `Over`. Whoever watches it says at its end, once, `Ended`. What it is told: an
`Order`, an `Answer` to all that has a number, `Cancel`. A Dask worker in between is told `Welcome`
and `Kill` besides.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from dss.serving.journal import Outcome, Step
from snapws.privacy import Privacy

# ---------------------------------------------------------------- what a process says


@dataclass(frozen=True)
class Declared:
    """What a runner has to know of a service: its name, and what a job of it takes up."""

    name: str
    resources: dict[str, float]


@dataclass(frozen=True)
class Ready:
    """It can take an order, for any of these services of its file."""

    services: tuple[Declared, ...]


@dataclass(frozen=True)
class Broken:
    """It cannot use the service's file, and why."""

    why: str


@dataclass(frozen=True)
class Reached:
    """Its ticket has come to a step; it goes on when the answer is there.

    Attributes:
        step: The step.
        outcome: How the ticket ended, with the last step.
        reason: Why it fails, if it does.
        moved: Bytes that were transferred or written on the way.
        number: By which it is answered.
    """

    step: Step
    outcome: Outcome | None = None
    reason: str = ""
    moved: int | None = None
    number: int = 0


@dataclass(frozen=True)
class Delivered:
    """The server has a file of the result; it goes on when the answer is there.

    Attributes:
        name: What it is called there.
        size: Its bytes.
        number: By which it is answered.
    """

    name: str
    size: int
    number: int = 0


@dataclass(frozen=True)
class Waits:
    """It cannot go on now, and why."""

    why: str


@dataclass(frozen=True)
class Deleted:
    """The server has said that its ticket was deleted."""


@dataclass(frozen=True)
class Over:
    """It ends: with its ticket, because it was told to, or for want of a login."""

    how: Literal["done", "cancelled", "login"]


Said = Ready | Broken | Reached | Delivered | Waits | Deleted | Over


@dataclass(frozen=True)
class Ended:
    """A process has ended.

    Attributes:
        why: None where it ended as it should, else the reason in words.
        printed: What it printed before it had an order.
        limit: Whether the reason is a limit.
        lost: Whether nobody knows: it is the line to it that has ended.
    """

    why: str | None
    printed: str = ""
    limit: bool = False
    lost: bool = False


Heard = Said | Ended

# ---------------------------------------------------------------- what it is told


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
class Answer:
    """What it said under this number is in the journal."""

    number: int


@dataclass(frozen=True)
class Cancel:
    """End soon."""


@dataclass(frozen=True)
class Kill:
    """End it at once."""


@dataclass(frozen=True)
class Welcome:
    """You are expected."""


Told = Order | Answer | Cancel | Kill | Welcome

# ---------------------------------------------------------------- as a line

_KINDS: dict[str, Callable[..., Any]] = {
    kind.__name__: kind
    for kind in (
        *(Ready, Broken, Reached, Delivered, Waits, Deleted, Over, Ended),
        *(Order, Answer, Cancel, Kill, Welcome),
    )
}
_FIELDS: dict[str, Callable[[Any], Any]] = {
    "services": lambda services: tuple(Declared(**one) for one in services),
    "step": Step,
    "outcome": Outcome,
    "folder": Path,
}


def as_line(message: Heard | Told) -> bytes:
    """Give a message as a line."""
    fields = {"message": type(message).__name__, **asdict(message)}
    return json.dumps(fields, default=str).encode() + b"\n"


def from_line(line: str | bytes) -> Any:
    """Give the message of a line, as what it is of `Heard` or `Told`.

    Raises:
        ValueError: The line was cut off, or is none of these messages: of another version, perhaps.
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

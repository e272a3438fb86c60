"""Records of the server's lists. Times are aware datetimes in UTC."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import Enum

from snapws.tables import Record, Table


class TicketStatus(str, Enum):
    """Where a ticket stands, in the server's words."""

    INIT = "init"  #: created, but not all files are sent
    READY = "ready"  #: waits for a provider
    CLAIMED = "claimed"  #: a provider works on it
    SUCCESS = "success"  #: its result can be fetched
    FAILED = "failed"  #: its log says why
    TIMEOUT = "timeout"  #: the server has given the ticket up
    DELETED = "deleted"  #: its files are deleted

    def __str__(self) -> str:
        return self.value

    @property
    def final(self) -> bool:
        """Return whether nothing more happens to the ticket unless its owner acts."""
        return self in _FINAL


_FINAL = (
    TicketStatus.SUCCESS,
    TicketStatus.FAILED,
    TicketStatus.TIMEOUT,
    TicketStatus.DELETED,
)


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class ServiceTag:
    """A layer that a service asks for.

    Attributes:
        name: The tag that the layer has to have.
        type: ``MainImage``, ``OverlayImage``, ``AnatomicImage`` (either) or ``Segmentation``.
        hint: A hint for the user which layer to choose.
        required: Whether a ticket without it is refused.
    """

    name: str
    type: str
    hint: str
    required: bool


@dataclass(frozen=True, slots=True)
class ServiceDetail:
    """The description of a service.

    Attributes:
        name: Its name.
        version: Its version.
        description: What it does, in a line.
        long_description: A detailed description.
        url: Its web page, or empty.
        tags: The layers that it asks for.
        json: Its complete `service.json`.
    """

    name: str
    version: str
    description: str
    long_description: str
    url: str
    tags: tuple[ServiceTag, ...]
    json: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class ServiceStats:
    """How busy a service is.

    Attributes:
        succeeded: How many of its tickets were a success.
        failed: How many failed.
        mean_duration: How long a ticket took, None if none did.
        last_heard: Time since one of its providers last asked for work, None if never.
        queue_length: How many tickets wait.
    """

    succeeded: int
    failed: int
    mean_duration: timedelta | None
    last_heard: timedelta | None
    queue_length: int


@dataclass(frozen=True, slots=True)
class Ticket(Table):
    """A ticket in the list of its owner.

    Attributes:
        id: Its number.
        service: The service's name.
        status: Where it stands.
    """

    id: int
    service: str
    status: TicketStatus

    def _table(self) -> tuple[Iterable[Record], Sequence[str]]:
        return [asdict(self)], TicketList.LISTED


class TicketList(Table, list[Ticket]):
    """The tickets of a user, which a notebook shows as a table."""

    __slots__ = ()

    LISTED = ("id", "service", "status")  #: the columns of lists

    def _table(self) -> tuple[Iterable[Record], Sequence[str]]:
        return [asdict(ticket) for ticket in self], self.LISTED


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file attached to a log entry.

    Attributes:
        id: Its number.
        description: A description for the user.
        mime_type: Its type, ``text/plain`` for example.
        url: Its URL. Anybody who has the URL can read the file without a login.
    """

    id: int
    description: str
    mime_type: str
    url: str


@dataclass(frozen=True, slots=True)
class LogEntry:
    """A line of a ticket's log.

    Attributes:
        id: Its number, which grows.
        time: When it was written, with its time zone.
        category: ``info``, ``warning`` or ``error``.
        message: Its text.
        attachments: The files attached to the entry.
    """

    id: int
    time: datetime
    category: str
    message: str
    attachments: tuple[Attachment, ...]


@dataclass(frozen=True, slots=True)
class TicketDetail:
    """A ticket as it is now.

    Attributes:
        status: Its status.
        progress: 0 to 1 (the server's sum of the parts set by the provider; it can exceed 1).
        queue_position: Place in the queue of all services, from 1; None if it does not wait.
        log: Log entries, oldest first.
    """

    status: TicketStatus
    progress: float
    queue_position: int | None
    log: tuple[LogEntry, ...]


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A file of a ticket.

    Attributes:
        index: Its current index in the order of time, which shifts when files change.
        name: Its name.
    """

    index: int
    name: str


@dataclass(frozen=True, slots=True)
class ProvidedService:
    """A service as one provider offers it.

    Attributes:
        name: The service's name.
        version: Its version.
        hash: Its hash. Several providers may offer the same hash.
        provider: The provider.
    """

    name: str
    version: str
    hash: str
    provider: str


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class ProviderUser:
    """A user who may provide services for a provider.

    Attributes:
        id: The user's number.
        email: The e-mail address of the login.
        admin: Whether the user may manage the provider's users.
    """

    id: int
    email: str
    admin: bool


@dataclass(frozen=True, slots=True)
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

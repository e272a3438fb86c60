"""How a runner works."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from snapws.privacy import Privacy


@dataclass(frozen=True)
class Limits:
    """The limits of a job.

    Attributes:
        seconds: Timeout of the function in seconds, None for no limit.
        memory: Bytes of memory of all processes of the job together, None for no limit.
    """

    seconds: float | None = None
    memory: int | None = None


@dataclass(frozen=True)
class Settings:
    """The settings of a runner.

    Attributes:
        provider: Name of the provider that claims tickets.
        workdir: The work folder.
        services: Names or hashes of the services. By default, all that the file declares.
        instance: Name of this runner in the tickets' logs. By default, a generated name, which the
            work folder keeps.
        workers: How many tickets are worked on at once.
        once: Whether the runner ends when no ticket waits, or when resources for a ticket lack.
        max_tickets: How many tickets the runner claims, None for no limit.
        ticket: The only ticket that it works on, with `once` and one of `max_tickets`.
        keep: Seconds for which the files of finished tickets are kept.
        limits: The limits of each job.
        min_free: Free bytes on the disk that a claim requires. Below a quarter of that, the job
            with the most files fails, if its files cause the shortage.
        max_size: The limit of a ticket's input in bytes. By default, 90 % of the free disk space.
        grace: Seconds that running jobs have to end after the runner is stopped.
        interval: The longest time between two requests for tickets, in seconds.
        adopt: Whether to search for lost claims of this login, and work on them. Claims of other
            runners look the same: use this only if no other runner has the same login.
        trusted: Whether to accept the work folder without a proof that it is this user's: it was
            moved, or begun with another home folder.
        privacy: Which typed text results keep, as for `snapws.archive.archive`.
        verify: How the server's certificate is checked, as for `Session`.
        retry_for: Seconds for which one call of a job is retried before the job reports that it
            waits. It then waits without a limit.
    """

    provider: str
    workdir: Path
    services: tuple[str, ...] = ()
    instance: str | None = None
    workers: int = 1
    once: bool = False
    max_tickets: int | None = None
    ticket: int | None = None
    keep: float = 7 * 86400.0
    limits: Limits = field(default_factory=Limits)
    min_free: int = 2 * 10**9
    max_size: int | None = None
    grace: float = 60.0
    interval: float = 10.0
    adopt: bool = False
    trusted: bool = False
    privacy: Privacy = "standard"
    verify: bool | str = True
    retry_for: float = 20.0

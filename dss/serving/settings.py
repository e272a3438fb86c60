"""How a runner works."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from snapws.privacy import Privacy


@dataclass(frozen=True)
class Limits:
    """What a job may use.

    Attributes:
        seconds: How long the function may take, None for as long as it likes.
        memory: Bytes of memory of its processes together, None for no limit.
    """

    seconds: float | None = None
    memory: int | None = None


@dataclass(frozen=True)
class Settings:
    """How a runner works.

    Attributes:
        provider: Name of the provider for whom it claims.
        workdir: The work folder.
        services: Names or hashes of the services; by default all that the file declares.
        instance: Name of this runner in the tickets' logs; by default one is made up, and kept.
        workers: How many tickets are worked on at once.
        once: Whether it ends when no ticket waits, or when there is not what a ticket takes.
        max_tickets: How many tickets it claims, None for no limit.
        ticket: The only ticket that it works on, with `once` and one of `max_tickets`.
        keep: Seconds for which the files of finished tickets are kept.
        limits: What each job may use.
        min_free: Bytes that the disk must have free for a ticket to be claimed. At a quarter of
            it, the job with the most files fails, if these are what is lacking.
        max_size: Bytes that the input of a ticket may have; by default nine tenths of what is free
            on the disk.
        grace: Seconds that running jobs are given to end, once it is stopped.
        interval: Seconds between two looks for tickets, at most.
        adopt: Whether tickets that the login has claimed without an answer are searched for and
            worked on. Other runners' tickets look the same: so for a login that no other uses.
        trusted: Whether the work folder is this user's, though nothing proves it: it was moved, or
            begun with another home folder.
        privacy: What typed text goes along with results, as for `snapws.archive.archive`.
        verify: How the server's certificate is checked, as for `Session`.
        retry_for: Seconds for which one call of a job is repeated before it is remarked that it
            waits; it waits then, as long as it takes.
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

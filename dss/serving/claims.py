"""What a runner and the server have to do with each other: services, waiting tickets, claims.

Nothing here waits: what fails is remarked, and asked again at another turn of the runner's loop.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from dss.errors import (
    BadAnswer,
    DssError,
    NetworkFailed,
    NotFound,
    NotLoggedIn,
    OutcomeUnknown,
    Refused,
    ServerFailed,
)
from dss.provider import Provider
from dss.records import TicketStatus
from dss.serving.journal import Journal
from dss.serving.lost import LostClaims

if TYPE_CHECKING:
    from dss.serving.settings import Settings
    from dss.session import Session

T = TypeVar("T")

_FIRST_PAUSE = 0.5
_SERVICES = 300.0  # seconds between two looks for services: there may be another version

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Claimed:
    """A ticket that is ours, and the claim in the journal that gave it."""

    ticket: int
    service: str
    hash: str
    number: int


def offered(calls: Provider, settings: Settings, declared: set[str]) -> dict[str, str]:
    """Give the names of the services that are to be served, by their hashes.

    Args:
        calls: The login's calls.
        settings: For which provider, and which services.
        declared: Names of the services that the runner can do.

    Raises:
        NotFound: The provider offers none of them, or not one that was asked for.
    """
    lab, wanted = settings.provider, settings.services
    every = calls.services()
    rows = [row for row in every if row.provider == lab]
    names = ", ".join(sorted({row.name for row in rows})) or "none"
    if every and not rows:  # the server does not tell a provider that there is not
        others = ", ".join(sorted({row.provider for row in every}))
        names += f"; you can serve for: {others}"
    for one in wanted:
        if not any(one in (row.name, row.hash) for row in rows):
            raise NotFound(f"{lab} offers you no service {one}; it offers: {names}")
    found = {
        row.hash: row.name
        for row in rows
        if row.name in declared and (not wanted or {row.name, row.hash} & {*wanted})
    }
    if not found:
        own = ", ".join(sorted(declared))
        raise NotFound(
            f"{lab} does not offer you what the service's file declares ({own}); it "
            f"offers: {names}; an administrator adds it: dss admin services add {lab} FOLDER"
        )
    return found


class Claims:
    """The tickets of some services, as a provider's runner sees them.

    Args:
        open_session: Opens a session of the provider's login; again, when the server no longer
            knows it. Its calls should not be patient.
        journal: The journal.
        settings: How the runner works.
        instance: Name of the runner.
        declared: Names of the services that its file declares.

    Attributes:
        session: The session.
        services: Names of the services that are served, by their hashes.
        waiting: How many tickets wait, as far as is known; None where it has to be asked.
        lost: The claims whose answer was lost.
    """

    def __init__(
        self,
        open_session: Callable[[], Session],
        journal: Journal,
        settings: Settings,
        *,
        instance: str,
        declared: set[str],
    ) -> None:
        self._open_session = open_session
        self._journal = journal
        self._settings = settings
        self._instance = instance
        self._declared = self._known = declared
        self.session = open_session()
        self.services: dict[str, str] = {}
        self._names: dict[str, str] = {}  # of services that have been withdrawn, too
        self.waiting: int | None = None
        self.lost = LostClaims(journal, adopt=settings.adopt)
        self._pause = _FIRST_PAUSE
        self._look_at = self._find_at = 0.0
        self._ready: list[str] = []  # services with tickets, when that was last asked
        self._away = False

    def close(self) -> None:
        """Close the session."""
        self.session.close()

    # ---------------------------------------------------------------- services and tickets

    def find_services(self) -> None:
        """Find out which of the declared services the provider offers.

        Raises:
            NotFound: None, or not one that was asked for.
        """
        self._find_at = time.monotonic() + _SERVICES
        self.services = offered(self._calls, self._settings, self._known)
        self._names |= self.services

    def declare(self, names: set[str]) -> None:
        """Take note of what the service's file declares now: nothing else is claimed."""
        gone = ", ".join(sorted({*self.services.values()} - names))
        if gone and names != self._declared:
            _log.error("the service's file no longer declares %s: that is not claimed", gone)
        if not names <= self._known:
            self._find_at = 0.0
        # What is gone is looked after still: it may come back, as workers will say.
        self._declared, self._known = names, self._known | names

    def status(self, ticket: int) -> TicketStatus | None:
        """Ask for the status of a ticket; None where the server is away."""
        return self._reach(lambda: self._calls.status(ticket))

    def look(self) -> None:
        """Ask whether tickets wait, if it is time; the pauses grow while there are none."""
        now = time.monotonic()
        if now < self._look_at or self.waiting:
            return
        if not self.services or now >= self._find_at:
            self._reach(self.find_services)
        ready = self._reach(self._count_ready) if self.services else None
        if ready is not None:
            self._ready = [hash_ for hash_ in self._claimable() if ready.get(hash_)]
            ready = {hash_: ready[hash_] for hash_ in self._ready}
        self.waiting = None if ready is None else sum(ready.values())
        if self.waiting is None:
            self._wait(self._settings.interval)
        elif not self.waiting:
            self._wait_longer()

    def claim(self) -> Claimed | None:
        """Claim one of the tickets that wait; it is in the journal when this returns."""
        ready = [hash_ for hash_ in self._ready if self.services.get(hash_) in self._declared]
        if not ready:
            self.waiting = 0
            self._wait_longer()
            return None
        # Of a ticket that is found again, nothing but its claim tells the service.
        hashes = [random.choice(ready)] if self.lost.adopt else ready  # noqa: S311 - no secret
        number = self._journal.begin_claim(",".join(hashes))
        try:
            claim = self._calls.claim(hashes, self._settings.provider, self._instance)
        except OutcomeUnknown as error:
            self._journal.end_claim(number, "unknown")
            _log.warning("%s", error)
            self.waiting = None
            self.lost.hurry()
            return None
        except DssError as error:
            self._journal.end_claim(number, "none")
            self._note_away(error)
            self.waiting = None
            return None
        if claim is None:
            self._journal.end_claim(number, "none")
            self.waiting = None if len(hashes) < len(ready) else 0
            # Others were faster, or the server cannot tell whether tickets wait.
            self._wait_longer()
            return None
        self.waiting = (self.waiting or 1) - 1 or None
        self._look_at, self._pause = 0.0, _FIRST_PAUSE
        return self._take(claim.ticket, claim.hash, number)

    def _wait_longer(self) -> None:
        self._pause = min(2 * self._pause, self._settings.interval)
        self._wait(self._pause)

    def _wait(self, seconds: float) -> None:
        # Runners that became idle together do not all ask together.
        share = random.uniform(0.75, 1.25)  # noqa: S311 - no secret
        self._look_at = time.monotonic() + seconds * share

    def _take(self, ticket: int, hash_: str, number: int) -> Claimed:
        claimed = Claimed(ticket, self._names.get(hash_, hash_), hash_, number)
        self._journal.add(ticket, claimed.service, hash_, number)
        return claimed

    def _claimable(self) -> list[str]:
        """Give the services to claim from."""
        only = self.lost.unsearched(self.services)
        return [only] if only else list(self.services)

    def _count_ready(self) -> dict[str, int]:
        """Count the tickets of each service that wait; a server that cannot tell may have one."""
        available = self._calls.available(list(self.services))
        if available is None:
            return dict.fromkeys(self.services, 1)
        return {one.hash: one.ready for one in available}

    def search(self) -> Claimed | None:
        """Search a little further for the tickets of lost claims; give one that is found."""
        if not self.lost.due:
            return None
        if not self.services:  # of which a ticket that is found has to be one
            self.lost.delay(self._settings.interval)
            self._reach(self.find_services)
            return None
        try:
            found = self.lost.search(self._calls)
        except (NetworkFailed, ServerFailed, BadAnswer, Refused) as error:
            self._note_away(error)
            self.lost.delay(self._settings.interval)
            return None
        if not self.lost.scanning:
            self.waiting = self.waiting or None  # now others may be claimed, too
        return self._take(*found) if found else None

    # ---------------------------------------------------------------- the server

    @property
    def _calls(self) -> Provider:
        return Provider(self.session)

    def _reach(self, call: Callable[[], T]) -> T | None:
        """Ask the server; None where it is away, which is remarked once."""
        try:
            answer = call()
        except (NetworkFailed, ServerFailed, BadAnswer, Refused) as error:
            self._note_away(error)
            return None
        if self._away:
            self._away = False
            _log.info("%s is back", self.session.server)
        return answer

    def _note_away(self, error: DssError) -> None:
        if not self._away:
            self._away = True
            _log.warning("%s; what is at work goes on", error)
        if isinstance(error, NotLoggedIn):
            self.log_in_again()

    def log_in_again(self) -> None:
        """Open the session of the login that is kept now, if there is one."""
        with suppress(DssError):
            session = self._open_session()
            self.session.close()
            self.session = session

"""The claims of a runner, and the tickets that wait at the server.

Nothing here waits for the server: a call begins at one turn of the runner's loop, in the
background, and its outcome is handled at a later one by `receive`. There is one call at a time. A
call that fails is logged, and made again at another turn. Only the loop touches the journal.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Container, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from dss.backoff import Backoff
from dss.errors import (
    DssError,
    InvalidResponse,
    NetworkFailed,
    NotLoggedIn,
    OutcomeUnknown,
    Refused,
    ServerFailed,
)
from dss.provider import Provider
from dss.serving.contact import Contact
from dss.serving.journal import Journal
from dss.serving.runner import chosen_ticket
from dss.serving.runner.background import Background
from dss.serving.runner.lost_claims import LostClaims

if TYPE_CHECKING:
    from dss.http.session import Session
    from dss.records import Claim, TicketStatus
    from dss.serving.runner.services import Services
    from dss.serving.settings import Settings

T = TypeVar("T")

_FIRST_PAUSE = 1.0
_LAST_ANSWER = 2.0  # seconds for the answer to a claim, when the runner ends
_BROKEN_OFF = 1.0  # seconds for a call to end that was broken off

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Claimed:
    """A ticket that is ours."""

    ticket: int
    service: str
    hash: str


class Claims:
    """The tickets of some services, as a provider's runner sees them.

    Args:
        open_session: Opens a session of the provider's login; again, when the server no longer
            knows it. Its calls should not be patient.
        journal: The journal.
        settings: How the runner works.
        services: Its services.
        instance: Name of the runner.
        wake: Is called, from any thread, when there is something to `receive`.
        contact: Is told of the server's answers.

    Attributes:
        session: The session.
        cookie: Its login.
        waiting: How many tickets wait, as far as is known; None where it has to be asked.
        claiming: Whether a claim is under way.
        lost: The claims whose answer was lost.
    """

    def __init__(
        self,
        open_session: Callable[[], Session],
        journal: Journal,
        settings: Settings,
        services: Services,
        *,
        instance: str,
        wake: Callable[[], None],
        contact: Contact,
    ) -> None:
        self._contact = contact
        self._open_session = open_session
        self._journal = journal
        self._settings = settings
        self._services = services
        self._instance = instance
        self._background = Background(wake)
        self._open()
        self.waiting: int | None = None
        self.claiming = False
        self.lost = LostClaims(journal, adopt=settings.adopt)
        self._backoff = Backoff(min(_FIRST_PAUSE, settings.interval), settings.interval)
        self._look_at = self._count_at = 0.0
        self._ready: list[str] = []  # services with tickets, when that was last asked
        self._new: list[Claimed] = []
        self._away = False

    def close(self) -> None:
        """Close the session; a call that is still under way has no effect here any more.

        A claim without an answer is in the journal as a lost one.
        """
        if self.claiming:
            self._background.settle(_LAST_ANSWER)
        if self._background.busy:
            self.session.abort()
            self._background.settle(_BROKEN_OFF)
        self.session.close()

    def receive(self) -> list[Claimed]:
        """Handle the outcome of the call that has ended, if one has; return the new tickets."""
        if self._background.busy:
            self._background.settle()
        if not self._background.busy:  # else its thread may be changing it
            self._note_cookie()
        new, self._new = self._new, []
        return new

    # ---------------------------------------------------------------- tickets

    def watch(
        self, tickets: Sequence[int], then: Callable[[dict[int, TicketStatus]], None]
    ) -> bool:
        """Ask for the status of some tickets; False, and nothing is asked, during another call.

        Args:
            tickets: The tickets.
            then: Gets their status, from `receive`; not where the server is away.
        """
        if self._background.busy:
            return False
        self._ask(lambda calls: {ticket: calls.status(ticket) for ticket in tickets}, then=then)
        return True

    def look(self) -> None:
        """Ask whether tickets wait, if it is time; the pauses grow as long as no ticket waits."""
        now = time.monotonic()
        if now < self._look_at or self.waiting or self._background.busy:
            return
        if self._services.due:
            self._find_services()
            return
        hashes = list(self._services.served)

        def failed() -> None:
            self.waiting = None
            self._wait(self._settings.interval)

        if (ticket := self._settings.ticket) is not None:
            served = dict(self._services.served)
            self._ask(
                lambda calls: chosen_ticket.find(calls, ticket, served),
                then=lambda chosen: self._note_chosen(ticket, chosen),
                failed=failed,
            )
            return
        self._ask(lambda calls: _count_ready(calls, hashes), then=self._note_ready, failed=failed)

    def count(self) -> None:
        """Ask how many tickets wait, for `contact` alone, if it is time and nothing else asks."""
        hashes = list(self._services.served)
        if not hashes or self._background.busy or time.monotonic() < self._count_at:
            return
        self._count_at = time.monotonic() + self._settings.interval
        self._ask(lambda calls: _count_ready(calls, hashes), then=self._note_queue)

    def _note_queue(self, ready: dict[str, int] | None) -> None:
        self._count_at = time.monotonic() + self._settings.interval
        queue: dict[str, int] = {}
        for hash_, number in (ready or {}).items():
            name = self._services.name(hash_)
            queue[name] = queue.get(name, 0) + number
        self._contact.queue = queue

    def _note_ready(self, ready: dict[str, int] | None) -> None:
        self._note_queue(ready)
        if ready is None:  # a server that cannot tell may have a ticket of each
            ready = dict.fromkeys(self._services.served, 1)
        self._ready = [hash_ for hash_ in self._claimable() if ready.get(hash_)]
        self.waiting = sum(ready[hash_] for hash_ in self._ready)
        if not self.waiting:
            self._wait_longer()

    def _note_chosen(self, ticket: int, chosen: chosen_ticket.Chosen) -> None:
        if chosen.claimed:
            self.waiting = 0
            self._take(ticket, chosen.hashes[0])
        else:
            self._ready, self.waiting = chosen.hashes, 1

    def ready(self) -> set[str]:
        """Return the names of the services of which tickets wait, as far as is known.

        These are the services that the file declares. If it declares none of them, they are all:
        the worker for such a ticket reads the file again, and says what it declares now.
        """
        if not self.waiting:
            return set()
        return {self._services.served.get(hash_, "") for hash_ in self._declared() or self._ready}

    def look_later(self) -> None:
        """Look again after a pause: for now, none of the tickets that wait can be worked on."""
        self.waiting = None
        self._wait_longer()

    def claim(self, names: Container[str]) -> None:
        """Claim one of the tickets that wait; `receive` returns it once it is in the journal.

        Args:
            names: Names of services of which it may be.
        """
        if self._background.busy:
            return
        declared = self._declared()
        if not declared:
            self.waiting = 0
            self._wait_longer()
            return
        ready = [hash_ for hash_ in declared if self._services.served[hash_] in names]
        if not ready:
            return
        # Of a ticket that is found again, nothing but its claim tells the service.
        hashes = [random.choice(ready)] if self.lost.adopt else ready  # noqa: S311 - no secret
        number = self._journal.begin_claim(",".join(hashes))
        calls, lab = Provider(self.session), self._settings.provider
        self.claiming = True
        self._background.start(
            lambda: calls.claim(hashes, lab, self._instance),
            lambda answer: self._end_claim(number, answer, others=len(hashes) < len(declared)),
        )

    def _end_claim(self, number: int, answer: Future[Claim | None], *, others: bool) -> None:
        self.claiming = False
        try:
            claim = answer.result()
            self._contact.note_answer()
        except OutcomeUnknown as error:
            self._journal.end_claim(number, "unknown")
            _log.warning("%s", error)
            self.waiting = None
            self.lost.hurry()
            return
        except DssError as error:
            self._journal.end_claim(number, "none")
            self._note_away(error)
            self.waiting = None
            return
        if claim is None:
            self._journal.end_claim(number, "none")
            self.waiting = None if others else 0
            # Others were faster, or the server cannot tell whether tickets wait.
            self._wait_longer()
            return
        self.waiting = (self.waiting or 1) - 1 or None
        self._look_at = 0.0
        self._backoff.reset()
        self._take(claim.ticket, claim.hash, number)

    def _wait_longer(self) -> None:
        self._wait(self._backoff.next())

    def _wait(self, seconds: float) -> None:
        # Runners that became idle together do not all ask together.
        share = random.uniform(0.75, 1.25)  # noqa: S311 - no secret
        self._look_at = time.monotonic() + seconds * share

    def _take(self, ticket: int, hash_: str, number: int | None = None) -> None:
        claimed = Claimed(ticket, self._services.name(hash_), hash_)
        self._journal.add_claimed(ticket, claimed.service, hash_, number)
        self._new.append(claimed)

    def _claimable(self) -> list[str]:
        """Return the services to claim from."""
        only = self.lost.unsearched(self._services.served)
        return [only] if only else list(self._services.served)

    def _declared(self) -> list[str]:
        """Return the services with tickets that the file declares now."""
        return [hash_ for hash_ in self._ready if self._services.declares(hash_)]

    def search(self) -> None:
        """Search a little further for the tickets of lost claims."""
        if not self.lost.due or self._background.busy:
            return
        if not self._services.served:  # of which a ticket that is found has to be one
            self.lost.delay(self._settings.interval)
            self._find_services()
            return

        def then(ticket: int | None) -> None:
            if found := self.lost.found(ticket):
                self._take(*found)
            if not self.lost.scanning:
                self.waiting = self.waiting or None  # now others may be claimed, too

        self._ask(
            self.lost.search(),
            then=then,
            failed=lambda: self.lost.delay(self._settings.interval),
        )

    # ---------------------------------------------------------------- the server

    def _find_services(self) -> None:
        """Find out which services the provider offers now."""
        self._ask(
            self._services.search(),
            then=self._services.serve,
            failed=lambda: None if self._services.served else self._wait(self._settings.interval),
        )

    def _ask(
        self,
        call: Callable[[Provider], T],
        then: Callable[[T], None],
        failed: Callable[[], None] = lambda: None,
    ) -> None:
        """Ask the server; where it is away, that is remarked once."""
        calls = Provider(self.session)

        def handle(answer: Future[T]) -> None:
            try:
                found = answer.result()
                self._contact.note_answer()
            except (NetworkFailed, ServerFailed, InvalidResponse, Refused) as error:
                self._note_away(error)
                failed()
                return
            if self._away:
                self._away = False
                _log.info("%s is back", self.session.server)
            then(found)

        self._background.start(lambda: call(calls), handle)

    def _note_away(self, error: DssError) -> None:
        if not self._away and not self.session.aborted:  # by the runner itself, as it ends
            self._away = True
            _log.warning("%s; what is at work goes on", error)
        if isinstance(error, NotLoggedIn):
            self.log_in_again()

    def log_in_again(self) -> None:
        """Open the session of the login that is kept now, if there is one."""
        with suppress(DssError):
            old = self.session
            self._open()
            old.close()

    def _open(self) -> None:
        self.session = self._open_session()
        self._note_cookie()

    def _note_cookie(self) -> None:
        cookie = self.session.cookie
        self.cookie = (cookie.value if cookie else None) or ""


def _count_ready(calls: Provider, hashes: Sequence[str]) -> dict[str, int] | None:
    """Count the tickets of each service that wait; None where the server cannot tell."""
    available = calls.available(hashes)
    if available is None:
        return None
    return dict.fromkeys(hashes, 0) | {one.hash: one.ready for one in available}

"""Claims whose answer was lost, and the search for the tickets that they took.

The server tells a provider neither which tickets it has claimed nor of which service one is. But it
lists the files of a ticket only to who has claimed it: so a ticket that is claimed, that lists its
files to this login and that the journal does not know to be open is that of a lost claim, if no
other runner uses the login.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Container, Iterator
from typing import NamedTuple

from dss.errors import NotFound, WrongState
from dss.provider import Provider
from dss.records import TicketStatus
from dss.serving.journal import Journal, LostClaim, Step

_ARRIVAL = 2.0  # seconds within which a lost claim has arrived, unless the network holds it back
_SETTLED = 60.0  # seconds after which it cannot arrive any more
_PAUSE = 20.0  # seconds between two searches
_TURN = 0.2  # seconds for which a search holds up what else there is to ask
_GAP = 500  # numbers without a ticket of ours after which there are no more
_BEFORE = 5000  # numbers before the newest ticket known at which a search begins

_log = logging.getLogger(__name__)


class Found(NamedTuple):
    """A ticket of a lost claim, the service that was claimed, and the claim in the journal."""

    ticket: int
    hash: str
    number: int


class LostClaims:
    """The lost claims of a journal.

    Args:
        journal: The journal.
        adopt: Whether their tickets are searched for.
    """

    def __init__(self, journal: Journal, *, adopt: bool) -> None:
        self._journal = journal
        self.adopt = adopt
        self._scan: Iterator[int | None] | None = None
        self._open: set[int] = set()
        self._scan_began = self._search_at = 0.0
        self._searched = -math.inf
        self._sent: dict[int, float] = {}  # when claims were sent, of `time.monotonic`

    @property
    def sought(self) -> bool:
        """Return whether there are some whose tickets may still be found."""
        return self.adopt and bool(self._journal.lost_claims())

    @property
    def scanning(self) -> bool:
        """Return whether a search is under way, a little at each turn."""
        return self._scan is not None

    @property
    def due(self) -> bool:
        """Return whether it is time to search, or to go on with a search."""
        return self.sought and (self.scanning or time.monotonic() >= self._search_at)

    def warn(self) -> None:
        """Remark them where nobody searches for their tickets."""
        lost = self._journal.lost_claims()
        if lost and not self.adopt:
            _log.warning(
                "%d claims had no answer: each may have taken a ticket that nobody works on; if no "
                "other runner uses this login, --adopt finds them and works on them",
                len(lost),
            )

    def hurry(self) -> None:
        """Search at once: another claim was lost."""
        self._search_at = 0.0

    def delay(self, seconds: float) -> None:
        """Abandon a search that is under way, and begin another one later."""
        self._scan, self._search_at = None, time.monotonic() + seconds

    def unsearched(self, services: Container[str]) -> str | None:
        """Return the service of the newest lost claim, of those served, not searched for yet.

        Until it is, only that service may be claimed: another claim that is lost meanwhile is then
        for the same.
        """
        hashes = [
            claim.hashes
            for claim in self._journal.lost_claims()
            if claim.hashes in services and self._may_arrive(claim)
        ]
        return hashes[-1] if self.adopt and hashes else None

    def search(self) -> Callable[[Provider], int | None]:
        """Begin a search, or go on with it.

        Returns:
            What asks the server a little further, from any thread, without a look at the journal.
            It returns a ticket that may be ours, None where there is none yet, 0 where there is
            none at all; its outcome is for `found`.
        """
        if self._scan is None:
            self._scan_began = time.monotonic()
        newest = self._journal.newest()
        self._open = {entry.ticket for entry in self._journal.open_entries()}

        def go_on(provider: Provider) -> int | None:
            end = time.monotonic() + _TURN
            if self._scan is None:
                self._scan = self._unaccounted(provider, newest)
            for ticket in self._scan:
                if ticket is not None or time.monotonic() > end:
                    return ticket
            return 0

        return go_on

    def found(self, ticket: int | None) -> Found | None:
        """Handle the outcome of a search; return what was found, if that is of a lost claim.

        Raises:
            JournalError: The journal cannot be read.
        """
        lost = self._journal.lost_claims()
        if ticket == 0:
            self._end_search(lost)
        elif ticket is not None and lost:
            entry = self._journal.entry(ticket)
            if entry is None or entry.step is Step.FINISHED:
                # For the older ones it was searched before.
                return Found(ticket, lost[-1].hashes, lost[-1].number)
        return None

    def _end_search(self, lost: list[LostClaim]) -> None:
        self._searched = self._scan_began
        self.delay(_ARRIVAL if any(map(self._may_arrive, lost)) else _PAUSE)
        for claim in lost:
            if self._sent_at(claim) < self._scan_began - _SETTLED:
                self._journal.end_claim(claim.number, "not found")

    def _may_arrive(self, claim: LostClaim) -> bool:
        """Return whether its ticket may have become ours since the last search."""
        return self._sent_at(claim) + _ARRIVAL > self._searched

    def _sent_at(self, claim: LostClaim) -> float:
        """Return when the claim was sent, by the monotonic clock: the other may have been set back.

        What that makes of it at first, stays.
        """
        age = max(0.0, time.time() - claim.at)
        return self._sent.setdefault(claim.number, time.monotonic() - age)

    def _unaccounted(self, provider: Provider, newest: int) -> Iterator[int | None]:
        """Yield the tickets that are ours and not open in the journal; None for each other one."""
        ticket, gap = max(1, newest - _BEFORE), 0
        while gap < _GAP:
            found = None
            try:
                claimed = provider.status(ticket) is TicketStatus.CLAIMED
                gap = 0
                if claimed and ticket not in self._open:
                    provider.files(ticket)
                    found = ticket
            except NotFound:
                gap += ticket > newest
            except WrongState:  # another login has claimed it
                found = None
            yield found
            ticket += 1

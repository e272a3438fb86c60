"""Requests for tickets: as many as the server allows, without a lost ticket if an answer is lost.

A request for a ticket cannot carry a mark of its own. So the journal notes the numbers of the
user's tickets before each request. If the answer is lost, the ticket is found by these numbers: see
`Requests.settle`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from dss.batch.journal import Case, Journal, Lost, Step
from dss.errors import NetworkFailed, OutcomeUnknown, QuotaReached, Refused, ServerFailed
from dss.records import Ticket, TicketStatus

if TYPE_CHECKING:
    from dss.client import Client

_ARRIVAL = 2.0  # seconds within which a request without an answer usually arrives
_LATEST = 60.0  # seconds after which such a request cannot arrive any more
_QUIET = 10.0  # seconds after which an empty ticket belongs to no other program
_OTHERS = 60.0  # seconds within which other programs fill their new tickets

_log = logging.getLogger(__name__)


class Requests:
    """The requests of a batch for tickets.

    Args:
        client: The login of the user.
        journal: The journal of the batch.
        service: Hash of the service.
        service_name: Name of the service in the server's list of tickets.
        tell: Called with a line for each ticket that is found again.
    """

    def __init__(
        self,
        client: Client,
        journal: Journal,
        service: str,
        service_name: str,
        tell: Callable[[str], None],
    ) -> None:
        self._client = client
        self._journal = journal
        self._service = service
        self._service_name = service_name
        self._tell = tell
        self._limit: int | None = None  # maximum number of tickets, known after a refusal
        self._listed: list[Ticket] = []  # time of the last refusal
        self._stuck = 0  # times that no ticket was allowed and none was going to end

    def make(self, case: Case) -> bool:
        """Make a ticket for a case; return whether the case has, or may have, a ticket now.

        False means that the server allows no more tickets. The limit is known by its refusal.
        """
        listed = self._client.tickets()
        if (lost := self._lost()) and (found := self._strays(lost[0].newest, 0.0)):
            self._journal.note(case, Step.CREATED, ticket=found[0], found=found[0])
            return True
        if self._limit is not None and len(listed) >= self._limit:
            self._listed = listed
            return False
        self._journal.note(case, Step.CREATING, before=sorted(one.id for one in listed))
        try:
            ticket = self._client.create(self._service)
        except OutcomeUnknown as error:
            _log.warning("case %s: %s; looking for its ticket", case.name, error)
            return True
        except QuotaReached:
            self._journal.note(case, Step.WAITING)
            self._listed = self._client.tickets()
            self._limit = len(self._listed)
            return False
        except (Refused, NetworkFailed, ServerFailed):
            self._journal.note(case, Step.WAITING)  # the server did nothing
            raise
        self._stuck = 0
        self._journal.note(case, Step.CREATED, ticket=ticket)
        return True

    def settle(self, case: Case) -> None:
        """Find the ticket of a request whose answer was lost, if the server made one.

        Such a ticket is new, is for this service, is not in the journal, and is still in state init
        without a file, since this batch has not sent any to it. A ticket of another program can
        look the same, but that program soon fills it. So a ticket that stays empty is this batch's.
        If there is none, the request may still arrive. The journal then notes it as lost, and the
        ticket is looked for before the next request, and at the end of the batch.
        """
        found = self._strays(max(case.before, default=0), case.asked)
        if found:
            self._journal.note(case, Step.CREATED, ticket=found[0])
            self._tell(f"case {case.name}: found ticket {found[0]} of a request without an answer")
        else:
            self._journal.note(case, Step.WAITING, lost=True)

    def _strays(self, newest: int, asked: float) -> list[int]:
        """Wait until the tickets of requests without an answer can be told apart, and return them.

        Args:
            newest: Greatest number of a ticket before the first of these requests.
            asked: Time of the last request, in seconds of the epoch.

        Raises:
            Refused: More tickets stay empty than there are requests.
        """
        # If the clock was set back, the age of the request would be negative.
        time.sleep(min(_ARRIVAL, max(0.0, _ARRIVAL - max(0.0, time.time() - asked))))
        most = len(self._lost()) + any(case.step is Step.CREATING for case in self._journal.cases)
        end = time.monotonic() + _OTHERS
        found = self._empty(newest)
        while found:
            time.sleep(_QUIET)
            stay = [ticket for ticket in self._empty(newest) if ticket in found]
            if len(stay) <= most:
                return stay
            if time.monotonic() > end:
                listed = " ".join(map(str, stay))
                raise Refused(
                    f"{len(stay)} new tickets for {self._service_name} are empty, and at most "
                    f"{most} can be of this batch, after a request without an answer: delete those "
                    f"that no other program will fill (dss tickets delete {listed}), and run the "
                    "command again"
                )
            found = self._empty(newest)
        return []

    def _empty(self, newest: int) -> list[int]:
        """Return the tickets that may be of a request without an answer."""
        return [
            one.id
            for one in self._client.tickets()
            if one.id > newest
            and one.id not in self._journal.content.tickets
            and one.status is TicketStatus.INIT
            and one.service == self._service_name
            and not self._client.files(one.id, "input")
        ]

    def _lost(self) -> list[Lost]:
        """Return the requests without an answer that may still arrive."""
        now = time.time()
        return [one for one in self._journal.content.lost if now - one.asked < _LATEST]

    def sweep(self) -> None:
        """Delete the tickets of lost requests that arrived late, when no case needs them."""
        if lost := self._lost():
            for ticket in self._strays(lost[0].newest, 0.0):
                self._client.delete(ticket)
                self._journal.found(ticket)

    def refuse_if_stuck(self, waiting: int) -> None:
        """Refuse to wait for a free ticket if no ticket of the user will end; call after `make`.

        Args:
            waiting: Number of cases that wait.

        Raises:
            QuotaReached: Two looks in a row found no ticket that will end.
        """
        moving = {TicketStatus.READY, TicketStatus.CLAIMED}
        is_stuck = not any(one.status in moving for one in self._listed)
        self._stuck = self._stuck + 1 if is_stuck else 0
        if self._stuck > 1:
            raise QuotaReached(
                f"the server allows {self._limit} tickets, finished ones too, and nobody works on "
                f"any of yours: {waiting} cases wait; delete some tickets (dss tickets list, dss "
                "tickets delete TICKET), and run again without --keep-tickets"
            )

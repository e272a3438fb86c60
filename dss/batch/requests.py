"""Requests for tickets: as many as the server allows, and none is lost, answered or not.

The server takes no mark with a request for a ticket. So the numbers of the user's tickets are noted
before it, and of a request whose answer is not known the ticket is found by them: see
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

_ARRIVAL = 2.0  # seconds within which a request without an answer has arrived at the server
_LATEST = 60.0  # seconds after which it cannot arrive any more
_QUIET = 10.0  # seconds for which a ticket is empty that no other program fills
_OTHERS = 60.0  # seconds within which other programs fill the tickets that they have made

_log = logging.getLogger(__name__)


class Requests:
    """The requests of a batch for tickets.

    Args:
        client: The user.
        journal: The journal of the batch.
        service: Hash of the service.
        service_name: Its name, as the server lists it with tickets.
        tell: Is told of a ticket that was found again.
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
        self._limit: int | None = None  # tickets that the server allows, once it has said so
        self._listed: list[Ticket] = []  # when a ticket was last refused
        self._stuck = 0  # times that there was no room, and no ticket that will end

    def make(self, case: Case) -> bool:
        """Make a ticket for a case; return whether it has one, or may have: else there is no room.

        How many the server allows is learnt from its refusal.
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
            _log.warning("case %s: %s; that is found out", case.name, error)
            return True
        except QuotaReached:
            self._journal.note(case, Step.WAITING)
            self._listed = self._client.tickets()
            self._limit = len(self._listed)
            return False
        except (Refused, NetworkFailed, ServerFailed):
            self._journal.note(case, Step.WAITING)  # nothing was done
            raise
        self._stuck = 0
        self._journal.note(case, Step.CREATED, ticket=ticket)
        return True

    def settle(self, case: Case) -> None:
        """Find out whether a request for a ticket was done whose answer is not known.

        If it was, the ticket is one of the user's that was not there before, that is for this
        service, that the journal does not know, and that is still in state init without a file:
        the answer was not noted, so nothing was sent to it. Such tickets are all the same; another
        program's does not stay so, since it fills it. So what stays is this batch's. If there is
        none, the request may still arrive: that it is lost is noted, and the ticket is looked for
        before the next one is made, and at the end.
        """
        found = self._strays(max(case.before, default=0), case.asked)
        if found:
            self._journal.note(case, Step.CREATED, ticket=found[0])
            self._tell(f"case {case.name}: ticket {found[0]} is that of a request without answer")
        else:
            self._journal.note(case, Step.WAITING, lost=True)

    def _strays(self, newest: int, asked: float) -> list[int]:
        """Return the tickets of requests without an answer, waiting until that can be told.

        Args:
            newest: The greatest number of a ticket before the first of these requests.
            asked: When the last one was sent, in seconds of the epoch.

        Raises:
            Refused: There are more such tickets than requests.
        """
        # Its age by a clock that may have been set back is never less than nothing.
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
                    f"{len(stay)} empty tickets for {self._service_name} have come up, "
                    f"and at most {most} can be of this batch, whose request had no answer: delete "
                    f"those that no other program fills (dss tickets delete {listed}), and start "
                    "again"
                )
            found = self._empty(newest)
        return []

    def _empty(self, newest: int) -> list[int]:
        """Return tickets that could be of a request without an answer."""
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
        """Delete the tickets of requests that arrived after all, where no case waits for one."""
        if lost := self._lost():
            for ticket in self._strays(lost[0].newest, 0.0):
                self._client.delete(ticket)
                self._journal.found(ticket)

    def refuse_if_stuck(self, waiting: int) -> None:
        """Refuse to wait for room where no ticket of the user will end; after `make` found none.

        Args:
            waiting: How many cases wait.

        Raises:
            QuotaReached: It was so at two looks.
        """
        moving = {TicketStatus.READY, TicketStatus.CLAIMED}
        is_stuck = not any(one.status in moving for one in self._listed)
        self._stuck = self._stuck + 1 if is_stuck else 0
        if self._stuck > 1:
            raise QuotaReached(
                f"the server allows {self._limit} tickets, finished ones too, and as many of yours "
                f"are there that nobody works on: {waiting} cases wait; delete some (dss tickets "
                "list, dss tickets delete TICKET), and start again, without --keep-tickets"
            )

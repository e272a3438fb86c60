"""The run of a batch: make tickets for its cases, as many as allowed, and fetch their results.

The journal notes each step before it is taken at the server, and each step can be repeated.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dss.backoff import Backoff
from dss.batch import results
from dss.batch.journal import Case, Journal, Status, Step
from dss.batch.requests import Requests
from dss.errors import (
    NetworkFailed,
    NotFound,
    OutcomeUnknown,
    ServerFailed,
    TicketDeleted,
    TimedOut,
    TransferFailed,
    WrongState,
)
from dss.records import TicketStatus
from dss.text import shown
from snapws import WorkspaceError

if TYPE_CHECKING:
    from dss.client import Client
    from dss.transfer.uploads import Sent
    from snapws.privacy import Privacy

_LONGEST_PAUSE = 60.0  # seconds between two attempts while the server is unavailable
_TRIES = 3  # attempts at a failing call for one case; the session retries in each

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """Settings of a batch.

    Attributes:
        service: Hash of the service.
        service_name: Name of the service in the server's list of tickets.
        privacy: Which typed texts are sent.
        verify: Whether files are read back before a ticket is queued.
        pattern: Pattern for the names of layers in results.
        keep_tickets: Whether tickets stay on the server after their results are fetched.
        max_size: As for `Client.download`, for each case.
        interval: Seconds between two looks.
        timeout: Seconds after which `TimedOut` is raised; None for no timeout.
    """

    service: str
    service_name: str
    privacy: Privacy = "standard"
    verify: bool = False
    pattern: str = results.PATTERN
    keep_tickets: bool = False
    max_size: int | None = None
    interval: float = 5.0
    timeout: float | None = None


class Batch:
    """The cases of a journal, which become tickets and results.

    Args:
        client: The login of the user.
        journal: The journal, bound to this server, user and service.
        settings: Settings of the batch.
        wanted: Names of the cases to make tickets for. Other cases go on if they have a ticket.
        tell: Called with a line for each event.
        sent: Called for each file that the server has received.
    """

    def __init__(
        self,
        client: Client,
        journal: Journal,
        settings: Settings,
        wanted: Collection[str],
        *,
        tell: Callable[[str], None] = lambda _: None,
        sent: Callable[[Sent], None] | None = None,
    ) -> None:
        self._client = client
        self._journal = journal
        self._settings = settings
        self._wanted = wanted
        self._tell = tell
        self._sent = sent
        self._requests = Requests(client, journal, settings.service, settings.service_name, tell)
        self._listed: dict[int, TicketStatus] = {}  # at the start of this turn
        self._failures: Counter[tuple[str, Step]] = Counter()
        self._steps: dict[Step, Callable[[Case], None]] = {
            Step.CREATING: self._requests.settle,
            Step.CREATED: self._fill,
            Step.QUEUED: self._look,
            Step.ENDED: self._keep,
            Step.KEPT: self._release,
        }

    @property
    def _folder(self) -> Path:
        return self._journal.folder

    def retry_failed(self) -> int:
        """Reset the cases that did not succeed, and fetch missing results again.

        Returns:
            Number of these cases.
        """
        failed = [
            case
            for case in self._journal.cases
            if case.step is Step.DONE and case.status is not Status.SUCCESS
        ]
        for case in failed:
            again = Step.QUEUED if case.status is Status.UNFETCHED else Step.WAITING
            self._journal.note(case, again)
        return len(failed)

    def run(self) -> None:
        """Work until every case has ended; wait while the server is unavailable.

        Raises:
            TimedOut: Cases are still open; the next call continues with them.
            QuotaReached: The user has as many tickets as allowed, and none of them will end.
            Refused: The server refuses a request, as after a logout or a withdrawal of the service.
            JournalError: The journal cannot be written.
        """
        begin = time.monotonic()
        away = Backoff(self._settings.interval, max(_LONGEST_PAUSE, self._settings.interval))
        while True:
            pause = self._settings.interval
            try:
                self._turn()
                if not self._open():
                    return
                away.reset()
            except (NetworkFailed, ServerFailed, OutcomeUnknown) as error:
                pause = away.next()
                _log.warning("%s; the batch continues in %.0f s", error, pause)
            if (timeout := self._settings.timeout) is not None:
                if (left := begin + timeout - time.monotonic()) <= 0:
                    raise TimedOut(
                        f"{len(self._open())} cases are still open after {timeout:g} s; their "
                        "tickets go on: the same command continues with them"
                    )
                pause = min(pause, left)
            time.sleep(pause)

    def _turn(self) -> None:
        """Take the possible steps of every case with a ticket, then make more tickets."""
        self._listed = {one.id: one.status for one in self._client.tickets()}
        for case in self._journal.cases:
            self._advance(case)
        for case in self._waiting():
            if not self._requests.make(case):
                self._requests.refuse_if_stuck(len(self._waiting()))
                return
            self._advance(case)
        if not self._waiting():
            self._requests.sweep()

    def _waiting(self) -> list[Case]:
        """Return the cases that need a ticket."""
        return [
            case
            for case in self._journal.cases
            if case.step is Step.WAITING and case.name in self._wanted
        ]

    def _open(self) -> list[Case]:
        """Return the cases that have not ended."""
        ended = (Step.WAITING, Step.DONE)
        return [*self._waiting(), *(c for c in self._journal.cases if c.step not in ended)]

    def _advance(self, case: Case) -> None:
        """Take all steps of a case that are possible now."""
        while (take := self._steps.get(before := case.step)) is not None:
            try:
                take(case)
            except (ServerFailed, NetworkFailed) as error:
                if not isinstance(error, ServerFailed) and not isinstance(
                    error.__cause__, ServerFailed
                ):
                    raise
                self._bear(case, error)
            if case.step is before:
                return

    def _bear(self, case: Case, error: Exception) -> None:
        """Ignore a server error at one case, and give the case up after some attempts.

        Raises:
            DssError: The server fails at other calls, too.
        """
        self._client.tickets()
        key = case.name, case.step
        self._failures[key] += 1
        is_over = self._failures[key] >= _TRIES
        if is_over and case.step is Step.CREATED:
            self._end(case, Status.UNSENT, str(error))
        elif is_over and case.step is Step.ENDED:
            self._leave(case, error)
        else:
            _log.warning("case %s: %s; retrying", case.name, error)

    # ---------------------------------------------------------------- sending

    def _fill(self, case: Case) -> None:
        """Send the missing files of a ticket, and queue the ticket."""
        ticket = self._ticket(case)
        settings = self._settings
        try:
            self._client.upload(
                ticket,
                case.workspace,
                privacy=settings.privacy,
                verify=settings.verify,
                sent=self._sent,
            )
            self._client.make_ready(ticket)
        except (TicketDeleted, NotFound) as error:
            self._end(case, Status.DELETED, str(error))
            return
        except WrongState:
            pass  # the ticket is queued already; only the journal lacked it
        except (WorkspaceError, TransferFailed, OSError) as error:
            self._end(case, Status.UNSENT, str(error))
            return
        self._journal.note(case, Step.QUEUED)
        self._tell(f"case {case.name}: ticket {ticket} is queued")

    # ---------------------------------------------------------------- following

    def _look(self, case: Case) -> None:
        """Ask for the status of a ticket."""
        ticket = self._ticket(case)
        status = self._listed.get(ticket, TicketStatus.INIT)
        if status is TicketStatus.INIT:  # the ticket was queued, or is deleted
            try:
                status = self._client.status(ticket)
            except NotFound as error:
                self._end(case, Status.DELETED, str(error))
                return
        if status in (TicketStatus.SUCCESS, TicketStatus.FAILED, TicketStatus.TIMEOUT):
            failed = status is not TicketStatus.SUCCESS
            why = results.reason(self._client.detail(ticket)) if failed else ""
            self._end(case, Status(status.value), why or ("no reason is given" if failed else ""))
        elif status is TicketStatus.DELETED:
            self._end(case, Status.DELETED, "somebody deleted the ticket")
        elif status.value != case.seen:
            self._journal.note(case, Step.QUEUED, seen=status.value)

    def _end(self, case: Case, status: Status, reason: str) -> None:
        self._journal.note(case, Step.ENDED, status=status.value, reason=shown(reason))
        if status is not Status.SUCCESS:
            self._tell(f"case {case.name}: ticket {case.ticket} is {status}: {shown(reason)}")

    # ---------------------------------------------------------------- fetching

    def _keep(self, case: Case) -> None:
        """Fetch the result of a ticket, or its log, before the ticket is deleted."""
        files: tuple[str, ...] = ()
        try:
            if case.status is Status.SUCCESS:
                settings = self._settings
                files = results.fetch(
                    self._client, case, self._folder, settings.pattern, max_size=settings.max_size
                )
            elif case.status in (Status.FAILED, Status.TIMEOUT):
                files = results.fetch_log(self._client, case, self._folder)
        except WrongState as error:  # a success without a result
            self._end(case, Status.FAILED, str(error))
            return
        except (NotFound, TicketDeleted) as error:
            self._end(case, Status.DELETED, str(error))
            return
        except (WorkspaceError, TransferFailed, OSError) as error:
            self._leave(case, error)
            return
        self._journal.note(case, Step.KEPT, files=files)
        if case.status is Status.SUCCESS:
            self._tell(f"case {case.name}: success in {case.seconds or 0.0:.0f} s")

    def _leave(self, case: Case, error: Exception) -> None:
        """Leave a ticket on the server, since its result or log cannot be fetched."""
        what = "result" if case.status is Status.SUCCESS else "log"
        why = f"the {what} cannot be fetched, so the ticket stays: {error}"
        status = Status.UNFETCHED if case.status is Status.SUCCESS else case.status
        self._journal.note(case, Step.DONE, status=status, reason=shown(why))
        self._tell(f"case {case.name}: ticket {case.ticket}: {shown(why)}")

    def _release(self, case: Case) -> None:
        """Delete a fetched ticket, unless tickets are kept."""
        stays = self._settings.keep_tickets and case.status is not Status.UNSENT
        if not stays and case.status is not Status.DELETED:
            try:
                self._client.delete(self._ticket(case))
            except NotFound:
                _log.info("ticket %s is already deleted", case.ticket)
        self._journal.note(case, Step.DONE)

    @staticmethod
    def _ticket(case: Case) -> int:
        assert case.ticket is not None  # noqa: S101 - from the step CREATED on
        return case.ticket

"""The open tickets of a runner: they are claimed, and not finished.

Each is at work, or pending: it waits for a worker. The loop finds the workers, and passes on their
messages. Each step is put into the journal here, and each end.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from dss.errors import JournalError
from dss.records import TicketStatus
from dss.serving import workdir
from dss.serving.journal import Entry, Outcome, Step
from dss.serving.messages import Delivered, Order, ProcessExited, Reached, Waiting, WorkerMessage

if TYPE_CHECKING:
    from dss.serving.journal import Journal
    from dss.serving.runner.claims import Claimed
    from dss.serving.runner.disk_space import DiskSpace
    from dss.serving.runner.workers import Slot, WorkerPool
    from dss.serving.settings import Settings

_LOGIN_PAUSE = 5.0  # before a ticket is gone on with whose login the server does not know
_TRIES = 3  # how often a step is begun that ends with its process

_log = logging.getLogger(__name__)


class OpenTickets:
    """The open tickets of a journal.

    Args:
        journal: The journal.
        disk: The disk of their files.
        settings: How the runner works.
        pool: The workers.

    Attributes:
        pending: The tickets that wait for a worker, and when each may go on (`time.monotonic`).
        outcomes: How many tickets ended how.
    """

    def __init__(
        self, journal: Journal, disk: DiskSpace, settings: Settings, pool: WorkerPool
    ) -> None:
        self._journal = journal
        self._disk = disk
        self._settings = settings
        self._pool = pool
        self.pending: dict[int, float] = {}
        self.outcomes = dict.fromkeys(Outcome, 0)

    def due(self, now: float) -> list[int]:
        """List the pending tickets that may have a worker now."""
        return [ticket for ticket, at in self.pending.items() if at <= now]

    def service(self, ticket: int) -> str:
        """Return the name of a ticket's service."""
        return self._entry(ticket).service

    # ---------------------------------------------------------------- with and without workers

    def take_up(self) -> None:
        """Go on with the tickets that the last run left; with `ticket`, with that one alone."""
        for entry in self._journal.open_entries():
            if self._settings.ticket in (None, entry.ticket):
                self.pending[entry.ticket] = 0.0
                _tell(entry, "taken up again", step=entry.step.value)

    def leave(self) -> None:
        """Log which tickets are left for the next start."""
        for entry in self._journal.open_entries():
            _tell(entry, "left for the next start", step=entry.step.value)

    def add(self, claimed: Claimed) -> None:
        """Begin with a ticket that is ours from now on."""
        for slot in self._pool.busy():
            if slot.ticket == claimed.ticket:
                # Its owner queued it again while it was worked on, and it came back.
                self._pool.give_up(slot)
        self.pending[claimed.ticket] = 0.0
        _tell(self._entry(claimed.ticket), "claimed", step=Step.CLAIMED.value)

    def order(self, slot: Slot, ticket: int, *, server: str, cookie: str) -> None:
        """Have a worker go on with a ticket where it stands.

        Args:
            slot: The worker.
            ticket: The ticket.
            server: URL of the middleware.
            cookie: The login.
        """
        entry = self._entry(ticket)
        attempts = self._journal.begin(ticket)
        if attempts >= _TRIES and entry.step is Step.PROCESSING:
            self._fail(entry, f"the work was cut short {_TRIES} times")
            entry = self._entry(ticket)
        self.pending.pop(ticket, None)
        slot.ticket = ticket
        slot.worker.order(
            Order(
                ticket=ticket,
                service=entry.service,
                hash=entry.hash,
                step=entry.step,
                reason=entry.reason,
                folder=workdir.folder_of(self._settings.workdir.resolve(), ticket),
                server=server,
                cookie=cookie,
                verify=self._settings.verify,
                retry_for=self._settings.retry_for,
                privacy=self._settings.privacy,
                max_size=self._settings.max_size,
            )
        )

    # ---------------------------------------------------------------- what workers say of them

    def note(self, slot: Slot, ticket: int, said: WorkerMessage) -> None:
        """Put what a worker says of its ticket into the journal, and tell it so."""
        match said:
            case Reached():
                self._reach_step(
                    self._entry(ticket),
                    said.step,
                    outcome=said.outcome,
                    reason=said.reason,
                    moved=said.moved,
                )
                slot.worker.answer(said.number)
            case Delivered():
                self._journal.sent(ticket, said.name, said.size)
                slot.worker.answer(said.number)
            case Waiting(why):
                self._journal.remark(ticket, "waiting", why)
                _tell(self._entry(ticket), f"waits: {why}")

    def note_exit(self, slot: Slot, ticket: int, ended: ProcessExited) -> None:
        """End a ticket whose worker has ended, or have it go on, if it is not finished."""
        why = ended.why
        entry = self._entry(ticket)
        if entry.step is Step.FINISHED:
            return
        if slot.outcome:
            self._reach_step(entry, Step.FINISHED, outcome=slot.outcome)
        elif reason := slot.reason or (why if ended.limit else None):
            self._fail(entry, reason)
        elif why is None:
            self.pending[ticket] = time.monotonic() + _LOGIN_PAUSE
        elif (entry.step is Step.PROCESSING and not ended.lost) or (
            entry.attempts >= _TRIES and entry.step is not Step.FAILING
        ):
            self._fail(entry, why, printed=True)
        else:
            _tell(entry, f"{why}; begun again", level=logging.WARNING)
            self._journal.remark(ticket, "again", why)
            self.pending[ticket] = time.monotonic() + entry.attempts

    def _fail(self, entry: Entry, reason: str, *, printed: bool = False) -> None:
        """Have a ticket reported as failed."""
        try:
            workdir.remove_work(self._settings.workdir, entry.ticket)
            if printed:
                workdir.keep_output(self._settings.workdir, entry.ticket)
        except OSError as error:
            _tell(entry, f"no more about the failure: {error.strerror}", level=logging.WARNING)
        self._reach_step(entry, Step.FAILING, reason=f"{entry.service} failed: {reason}")
        self.pending[entry.ticket] = 0.0

    def _reach_step(
        self,
        entry: Entry,
        step: Step,
        *,
        outcome: Outcome | None = None,
        reason: str = "",
        moved: int | None = None,
    ) -> None:
        seconds = self._journal.record(
            entry.ticket, step, outcome=outcome, reason=reason, moved=moved
        )
        message = str(outcome or step) + (f": {reason}" if reason else "")
        failed = step is Step.FAILING or outcome is Outcome.FAILED
        level = logging.WARNING if failed else logging.INFO
        if step is Step.FAILING:
            self._disk.explain(reason)
        if outcome in (Outcome.DELETED, Outcome.RELEASED):
            self._disk.remove(entry.ticket)
        if outcome:
            self.outcomes[outcome] += 1
        # How long a ticket waited to be worked on says nothing.
        took = None if step is Step.PROCESSING else seconds
        _tell(entry, message, level=level, step=step.value, seconds=took, bytes=moved)

    # ---------------------------------------------------------------- work that has to end

    def watched(self) -> list[int]:
        """List the tickets at work whose status `drop_unwanted` needs."""
        return [slot.ticket for slot in self._pool.busy() if slot.ticket and not slot.outcome]

    def drop_unwanted(self, statuses: dict[int, TicketStatus]) -> None:
        """End the work on the tickets that their owners deleted or queued again."""
        for slot in self._pool.busy():
            status = statuses.get(slot.ticket or 0)
            if slot.outcome:
                continue
            if status is TicketStatus.DELETED:
                slot.drop(Outcome.DELETED)
            elif status in (TicketStatus.INIT, TicketStatus.READY):
                slot.drop(Outcome.RELEASED)

    def keep_room(self) -> None:
        """End a job that has filled the disk, before the disk is full for all."""
        if not (self._pool.busy() and self._disk.is_short()):
            return
        jobs = {
            slot.ticket: slot
            for slot in self._pool.busy()
            if slot.ticket and self._entry(slot.ticket).step is Step.PROCESSING
        }
        culprit = self._disk.culprit(jobs)
        if culprit is not None and not jobs[culprit].reason:
            jobs[culprit].reason = "it filled the disk"
            jobs[culprit].worker.kill()

    def _entry(self, ticket: int) -> Entry:
        entry = self._journal.entry(ticket)
        if entry is None:
            raise JournalError(f"ticket {ticket} is not in {self._journal.file}")
        return entry


def _tell(entry: Entry, message: str, *, level: int = logging.INFO, **more: object) -> None:
    about = {"ticket": entry.ticket, "service": entry.service, **more}
    _log.log(level, "%s", message, extra=about)

"""The runner: claims tickets, has them worked on, and sees each to its end.

It is one loop over what its workers say and what the server says. What it knows of a ticket is in
the journal, so that the next start goes on where this one was killed. It does no work of a job
itself, imports nothing heavy, and never waits for the server.
"""

from __future__ import annotations

import logging
import math
import os
import secrets
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import wait
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from dss.errors import (
    JobCancelled,
    JournalError,
    NetworkFailed,
    NotFound,
    ServerFailed,
    ServiceError,
)
from dss.http.deadline import in_thread
from dss.provider import Provider
from dss.records import TicketStatus
from dss.serving import processes, workdir
from dss.serving.contact import Contact
from dss.serving.journal import NAME, Entry, Journal, Outcome, Step
from dss.serving.lock import locked
from dss.serving.messages import (
    Deleted,
    Delivered,
    ImportFailed,
    JobOver,
    Order,
    ProcessExited,
    Reached,
    Ready,
    Waiting,
    WorkerMessage,
)
from dss.serving.runner.claims import Claimed, Claims, offered
from dss.serving.runner.disk_space import DiskSpace
from dss.serving.runner.executors import Executor, LocalExecutor, describe
from dss.serving.runner.gpu_pool import GpuNeeds
from dss.serving.runner.workers import Slot, WorkerPool
from dss.serving.settings import Settings

if TYPE_CHECKING:
    from dss.http.session import Session

T = TypeVar("T")

_TURN = 0.5  # seconds after which the loop looks around, if nobody says anything
_ASK = 0.2  # seconds between two looks for a signal, before the loop begins
_WATCH = 2.0  # seconds between two looks at the tickets that are worked on
_CLEAN = 60.0
_LOGIN_PAUSE = 5.0  # before a ticket is gone on with whose login the server does not know
_TRIES = 3  # how often a step is begun that ends with its process
_SAVED = 2.0  # seconds after which a file is no longer half saved
_END = 7.0  # seconds for workers to end that were told to

_log = logging.getLogger(__name__)


class Runner:
    """A runner of the services that one file declares.

    Args:
        file: The file.
        open_session: Opens a session of the provider's login; again, when the server no longer
            knows it. Its calls should not be patient: the runner comes back to what has failed.
        settings: How it works.
        executor: Where jobs are done; by default in processes of this machine.
        contact: Is told of the server's answers.
    """

    def __init__(
        self,
        file: Path,
        open_session: Callable[[], Session],
        settings: Settings,
        executor: Executor | None = None,
        contact: Contact | None = None,
    ) -> None:
        self._contact = contact or Contact()
        self._file = file
        self._make_session = open_session
        self._session: Session | None = None
        self._settings = settings
        self._executor = executor or LocalExecutor(file, settings.workdir, settings.limits)
        self._pool = WorkerPool(self._executor, file)
        self._needs = GpuNeeds(self._executor.gpus)
        self._pending: dict[int, float] = {}  # tickets to go on with, and when
        self._outcomes = dict.fromkeys(Outcome, 0)
        self._claimed = 0
        self._unready = 0  # workers in a row that could take no order
        self._unready_since = 0.0
        self._stops = 0
        self._end = math.inf  # when what is at work has to end
        self._stopping = False
        self._watch_at = self._clean_at = 0.0

    def stop(self) -> None:
        """End soon, or at once when said again; may be called from a signal handler."""
        self._stops += 1
        if self._stops == 1:
            self._end = time.monotonic() + self._settings.grace
        elif self._session:
            # Or what is begun of a claim would be waited for.
            self._session.abort()
        self._pool.wake()

    def run(self) -> dict[Outcome, int]:
        """Work until there is nothing to do (`once`, `max_tickets`), or until it is stopped.

        Returns:
            How many tickets ended how.

        Raises:
            ServiceError: The file cannot be imported or declares no service; or, with `once`, what
                a ticket takes is not there.
            JournalError: The work folder is in use, damaged or another one's.
            NotFound: The provider does not offer what the file declares.
            NetworkFailed: The server was not reached, and there is no ticket to go on with.
        """
        folder = self._settings.workdir
        owner = f"{self._settings.instance or 'a runner'}, process {os.getpid()}"
        with suppress(JobCancelled):
            declared = None if (folder / NAME).exists() else self._look_ahead()
            with (
                locked(folder, owner, trusted=self._settings.trusted),
                closing(Journal(folder, self._is_patient)) as journal,
            ):
                self._journal, self._disk = journal, DiskSpace(journal, self._settings)
                # What a killed runner has left running would work on a ticket that is begun again.
                processes.kill(f"{folder.resolve()}/", beginning=True)
                with closing(self._open_claims(declared or self._describe())) as self._claims:
                    self._begin()
                    try:
                        while not self._is_over():
                            self._turn()
                    finally:
                        self._end_workers()
                self._refuse_missed()
        return self._outcomes

    # ---------------------------------------------------------------- the loop

    def _is_patient(self) -> bool:
        return self._stops < 2 and time.monotonic() < self._end

    def _open_session(self) -> Session:
        self._session = self._make_session()
        return self._session

    def _look_ahead(self) -> set[str]:
        """Find out whether there is something to serve, before a work folder is made for it."""
        declared = self._describe()
        with closing(self._open_session()) as session:
            self._answered(lambda: offered(Provider(session), self._settings, declared))
        return declared

    def _answered(self, call: Callable[[], T]) -> T:
        """Wait for the answer of the server to the first question, or until it is stopped."""
        answer = in_thread(call)
        while not wait([answer], _ASK).done:
            if self._stops:
                if self._session:
                    self._session.abort()
                raise JobCancelled("stopped while the server was asked what it offers")
        return answer.result()

    def _describe(self) -> set[str]:
        return self._needs.note(describe(self._file, lambda: self._stops > 0))

    def _open_claims(self, declared: set[str]) -> Claims:
        settings, journal = self._settings, self._journal
        if settings.instance:
            journal.bind(instance=settings.instance)
        claims = Claims(
            self._open_session,
            journal,
            settings,
            instance=journal.value("instance", lambda: f"runner_{secrets.token_hex(3)}"),
            declared=declared,
            wake=self._pool.wake,
            contact=self._contact,
        )
        journal.bind(server=claims.session.server, provider=settings.provider)
        return claims

    def _begin(self) -> None:
        """Take up what is open, and make sure that there is something to serve."""
        for left in self._settings.workdir.glob(".starting_*"):
            left.unlink(missing_ok=True)
        chosen = self._settings.ticket
        for entry in self._journal.open_entries():
            if chosen in (None, entry.ticket):
                self._pending[entry.ticket] = 0.0
                self._tell(entry, "taken up again", step=entry.step.value)
        self._claimed = int(chosen in self._pending)
        try:
            self._claims.serve(self._answered(self._claims.offered))
        except (NetworkFailed, ServerFailed, NotFound) as error:
            if not self._pending:
                raise
            _log.warning("%s", error)
        for name in self._claims.services.values():
            if lack := self._needs.lack(self._needs.gpus(name)):
                self._needs.say(lack)
        names = ", ".join(sorted(set(self._claims.services.values()))) or "its services"
        _log.info("serving %s for %s; stop with Ctrl-C", names, self._settings.provider)
        self._claims.lost.warn()

    def _turn(self) -> None:
        """Receive messages, then do what is due."""
        self._hear(_TURN)
        for new in self._claims.receive():
            self._take_on(new)
        now = time.monotonic()
        if self._stops and not self._stopping:
            self._stopping = True
            busy = len(self._pool.busy())
            _log.info(
                "stopping%s",
                f"; {busy} at work, {self._settings.grace:g} s for them" if busy else "",
            )
        if now >= self._clean_at:
            self._clean_at = now + _CLEAN
            self._disk.clean()
        self._keep_room()
        if now >= self._watch_at and self._watch():
            self._watch_at = now + _WATCH
        if self._contact.is_read:
            self._claims.count()
        if not self._stops:
            self._feed(now)

    def _is_over(self) -> bool:
        if self._stops:
            return not (self._is_patient() and (self._pool.busy() or self._claims.claiming))
        claims_no_more = self._enough() or (self._settings.once and self._claims.waiting == 0)
        at_work = self._pool.busy() or self._pending or self._claims.claiming
        at_work = at_work or self._claims.lost.sought
        return claims_no_more and not at_work

    def _end_workers(self) -> None:
        """End all workers; what they have not done is in the journal, for the next start."""
        end = time.monotonic()
        if self._stops < 2:
            end += _END
            for slot in self._pool:
                slot.worker.cancel()
        try:
            while self._pool and time.monotonic() < end and self._stops < 2:
                self._hear(0.1)
        finally:
            for slot in self._pool:
                slot.worker.kill()
            self._executor.close()
        for entry in self._journal.open_entries():
            self._tell(entry, "left for the next start", step=entry.step.value)

    # ---------------------------------------------------------------- giving out work

    def _feed(self, now: float) -> None:
        """Assign work to workers: tickets to go on with, then new ones."""
        self._claims.search()
        due = [ticket for ticket, at in self._pending.items() if at <= now]
        free = self._settings.workers - len(self._pool.busy())
        claimable: set[str] = set()
        if free > len(due) and self._may_claim():
            self._claims.look()
            claimable = self._claims.ready()
        self._pool.replace_outdated()
        idle = self._pool.idle()
        self._employ(free, due, claimable)
        for slot in [slot for slot in idle if slot.ready]:
            fitting = [ticket for ticket in due if self._gpus_for(ticket) == slot.gpus]
            if fitting and free > 0:
                due.remove(fitting[0])
                free -= 1
                self._order(slot, fitting[0])
            elif names := self._needs.of(slot.gpus, claimable):
                if self._may_claim():
                    self._claims.claim(names)
            else:
                self._pool.retire_idle(slot)

    def _employ(self, free: int, due: list[int], claimable: set[str]) -> None:
        """Have workers for the tickets to go on with and for those that wait, as GPUs allow."""
        counts = Counter(self._gpus_for(ticket) for ticket in due)
        kinds = sorted({*counts, *map(self._needs.gpus, claimable)})
        lacking = [lack for gpus in kinds if (lack := self._needs.lack(gpus))]
        possible = False
        for gpus in kinds:
            names = self._needs.of(gpus, claimable)
            if self._needs.lack(gpus):
                continue
            wanted = counts[gpus] + ((self._claims.waiting or 0) if names else 0)
            started = self._pool.start(min(free, wanted) - self._idle(gpus), gpus)
            if not started and not self._idle(gpus):
                self._needs.say_taken(gpus)
            else:
                possible = True
        if not possible and claimable:
            self._claims.look_later()
            if self._pool.is_outdated and not self._idle(0):
                self._pool.start(1)  # it says what the services need now
        for lack in lacking:
            self._needs.say(lack)
            if len(lacking) == len(kinds):
                self._refuse_to_wait(lack)

    def _idle(self, gpus: int) -> int:
        return sum(slot.gpus == gpus for slot in self._pool.idle())

    def _gpus_for(self, ticket: int) -> int:
        return self._needs.gpus(self._entry(ticket).service)

    def _may_claim(self) -> bool:
        if self._enough() or self._disk.suffices():
            return not self._enough()
        self._claims.look()
        if self._claims.waiting and not self._pending:
            self._refuse_to_wait(self._disk.lack)
        return False

    def _refuse_to_wait(self, lack: str) -> None:
        """End a run that was to work off what waits, where somebody has to help it first."""
        if self._settings.once and not self._pool.busy():
            raise ServiceError(lack)

    def _refuse_missed(self) -> None:
        """Refuse to end well where the chosen ticket went to somebody else."""
        ticket = self._settings.ticket
        if ticket is not None and not self._stops and self._journal.entry(ticket) is None:
            raise ServiceError(
                f"ticket {ticket} was not worked on: another runner was faster, or it is of "
                "another service"
            )

    def _enough(self) -> bool:
        most = self._settings.max_tickets
        return most is not None and self._claimed >= most

    def _take_on(self, claimed: Claimed) -> None:
        """Begin with a ticket that is ours from now on."""
        for slot in self._pool.busy():
            if slot.ticket == claimed.ticket:
                # Its owner queued it again while it was worked on, and it came back.
                self._pool.give_up(slot)
        self._claimed += 1
        self._pending[claimed.ticket] = 0.0
        self._tell(self._entry(claimed.ticket), "claimed", step=Step.CLAIMED.value)

    def _order(self, slot: Slot, ticket: int) -> None:
        """Have a worker go on with a ticket where it stands."""
        entry = self._entry(ticket)
        attempts = self._journal.begin(ticket)
        if attempts >= _TRIES and entry.step is Step.PROCESSING:
            self._fail(entry, f"the work was cut short {_TRIES} times")
            entry = self._entry(ticket)
        session = self._claims.session
        self._pending.pop(ticket, None)
        slot.ticket = ticket
        slot.worker.order(
            Order(
                ticket=ticket,
                service=entry.service,
                hash=entry.hash,
                step=entry.step,
                reason=entry.reason,
                folder=workdir.folder_of(self._settings.workdir.resolve(), ticket),
                server=session.server,
                cookie=self._claims.cookie,
                verify=self._settings.verify,
                retry_for=self._settings.retry_for,
                privacy=self._settings.privacy,
                max_size=self._settings.max_size,
            )
        )

    # ---------------------------------------------------------------- what workers say

    def _hear(self, within: float) -> None:
        """Wait so many seconds for what workers say, and see to it."""
        for slot, said in self._pool.receive(within):
            match said:
                case Ready(services):
                    self._pool.mark_ready(slot)
                    self._claims.declare(self._needs.note(services))
                    self._unready = 0
                case ImportFailed(why):
                    self._note_unready(f"{self._file} cannot be used any more: {why}")
                case Deleted():
                    self._drop(slot, Outcome.DELETED)
                case ProcessExited():
                    self._note_end(slot, said)
                case _ if slot.ticket is not None:
                    self._note(slot, slot.ticket, said)

    def _note(self, slot: Slot, ticket: int, said: WorkerMessage) -> None:
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
                self._tell(self._entry(ticket), f"waits: {why}")
            case JobOver("login"):
                self._claims.log_in_again()

    def _note_unready(self, why: str) -> None:
        """Remark that a worker could take no order; others are tried."""
        if self._stops:
            return
        now = time.monotonic()
        if not self._unready:
            self._unready_since = now
        self._unready += 1
        # Several that were started together may have met the file half saved.
        if self._unready >= _TRIES and now - self._unready_since > _SAVED:
            self._refuse_to_wait(why)
        _log.error("%s", why)

    def _note_end(self, slot: Slot, ended: ProcessExited) -> None:
        """See to the ticket of a worker that has ended, if it has not ended it."""
        why = ended.why
        if slot.ticket is None:
            if why and slot.never_began and not ended.lost:
                last = ended.printed.strip().splitlines()[-1:]
                self._note_unready(": ".join([str(self._file), why, *last]))
            return
        entry = self._entry(slot.ticket)
        if entry.step is Step.FINISHED or (self._stops and not slot.outcome):
            return
        if slot.outcome:
            self._reach_step(entry, Step.FINISHED, outcome=slot.outcome)
        elif reason := slot.reason or (why if ended.limit else None):
            self._fail(entry, reason)
        elif why is None:
            self._pending[entry.ticket] = time.monotonic() + _LOGIN_PAUSE
        elif (entry.step is Step.PROCESSING and not ended.lost) or (
            entry.attempts >= _TRIES and entry.step is not Step.FAILING
        ):
            self._fail(entry, why, printed=True)
        else:
            self._tell(entry, f"{why}; begun again", level=logging.WARNING)
            self._journal.remark(entry.ticket, "again", why)
            self._pending[entry.ticket] = time.monotonic() + entry.attempts

    def _fail(self, entry: Entry, reason: str, *, printed: bool = False) -> None:
        """Have a ticket reported as failed."""
        try:
            workdir.remove_work(self._settings.workdir, entry.ticket)
            if printed:
                workdir.keep_output(self._settings.workdir, entry.ticket)
        except OSError as error:
            self._tell(entry, f"no more about the failure: {error.strerror}", level=logging.WARNING)
        self._reach_step(entry, Step.FAILING, reason=f"{entry.service} failed: {reason}")
        self._pending[entry.ticket] = 0.0

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
            self._outcomes[outcome] += 1
        # How long a ticket waited to be worked on says nothing.
        took = None if step is Step.PROCESSING else seconds
        self._tell(entry, message, level=level, step=step.value, seconds=took, bytes=moved)

    def _watch(self) -> bool:
        """Ask which of the tickets at work are no longer wanted; False where that has to wait."""
        tickets = [slot.ticket for slot in self._pool.busy() if slot.ticket and not slot.outcome]
        return bool(tickets) and self._claims.watch(tickets, self._drop_unwanted)

    def _drop_unwanted(self, statuses: dict[int, TicketStatus]) -> None:
        for slot in self._pool.busy():
            status = statuses.get(slot.ticket or 0)
            if slot.outcome:
                continue
            if status is TicketStatus.DELETED:
                self._drop(slot, Outcome.DELETED)
            elif status in (TicketStatus.INIT, TicketStatus.READY):
                self._drop(slot, Outcome.RELEASED)

    def _drop(self, slot: Slot, outcome: Outcome) -> None:
        """End the work on a ticket that is no longer wanted."""
        slot.outcome = outcome
        slot.worker.cancel()

    def _keep_room(self) -> None:
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

    # ---------------------------------------------------------------- words

    def _entry(self, ticket: int) -> Entry:
        entry = self._journal.entry(ticket)
        if entry is None:
            raise JournalError(f"ticket {ticket} is not in {self._journal.file}")
        return entry

    def _tell(
        self, entry: Entry, message: str, *, level: int = logging.INFO, **more: object
    ) -> None:
        about = {"ticket": entry.ticket, "service": entry.service, **more}
        _log.log(level, "%s", message, extra=about)

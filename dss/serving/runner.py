"""The runner: claims tickets, has them worked on, and sees each to its end.

It is one loop over what its workers say and what the server says. What it knows of a ticket is in
the journal, so that the next start goes on where this one was killed. It does no work of a job
itself, imports nothing heavy, and never waits long for the server.
"""

from __future__ import annotations

import logging
import os
import secrets
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from dss.errors import DssError, JobCancelled, JournalError, NetworkFailed, NotFound, ServerFailed
from dss.records import TicketStatus
from dss.serving import processes, workdir
from dss.serving.claims import Claimed, Claims
from dss.serving.executors import Executor, LocalExecutor, Worker, describe
from dss.serving.journal import Entry, Journal, Outcome, Step
from dss.serving.lock import locked
from dss.serving.logs import size
from dss.serving.order import Order
from dss.serving.settings import Settings
from dss.serving.supervisor import Words

if TYPE_CHECKING:
    from dss.session import Session

_TURN = 0.5  # seconds after which the loop looks around, if nobody says anything
_SHORT_TURN = 0.05  # while there is something else to go on with
_WATCH = 2.0  # seconds between two looks at the tickets that are worked on
_CLEAN = 60.0
_LINGER = 60.0  # seconds for which a worker without work is kept
_FIRST_PAUSE = 0.5
_RETRY = 30.0
_LOGIN_PAUSE = 5.0  # before a ticket is gone on with whose login the server does not know
_TRIES = 3  # how often a step is begun that ends with its process
_END = 7.0  # seconds for workers to end that were told to

_log = logging.getLogger(__name__)


@dataclass(eq=False)
class _Hand:
    """A worker, and what the runner has with it.

    Attributes:
        worker: Where it is told something.
        ticket: What it works on, None while it has no order.
        ready: Whether it can take an order.
        since: When it began to wait for one.
        outcome: How its ticket ends when it has ended, because the runner wants so.
        reason: Why its ticket fails then.
    """

    worker: Worker = field(init=False)
    ticket: int | None = None
    ready: bool = False
    since: float = field(default_factory=time.monotonic)
    outcome: Outcome | None = None
    reason: str = ""


class Runner:
    """A runner of the services that one file declares.

    Args:
        file: The file.
        open_session: Opens a session of the provider's login; again, when the server no longer
            knows it. Its calls should not be patient: the runner comes back to what has failed.
        settings: How it works.
        executor: Where jobs are done; by default in processes of this machine.
    """

    def __init__(
        self,
        file: Path,
        open_session: Callable[[], Session],
        settings: Settings,
        executor: Executor | None = None,
    ) -> None:
        self._file = file
        self._open_session = open_session
        self._settings = settings
        self._executor = executor or LocalExecutor(file, settings.workdir, settings.limits)
        self._said: SimpleQueue[tuple[_Hand, Words]] = SimpleQueue()
        self._hands: list[_Hand] = []
        self._pending: dict[int, float] = {}  # tickets to go on with, and when
        self._outcomes = dict.fromkeys(Outcome, 0)
        self._claimed = 0
        self._stops = 0
        self._end: float | None = None
        self._watch_at = self._clean_at = self._start_at = 0.0
        self._start_pause = _FIRST_PAUSE
        self._full = False

    def stop(self) -> None:
        """End soon, or at once when said again; may be called from a signal handler."""
        self._stops += 1
        self._said.put((_Hand(), {}))

    def run(self) -> dict[Outcome, int]:
        """Work until there is nothing to do (`once`, `max_tickets`), or until it is stopped.

        Returns:
            How many tickets ended how.

        Raises:
            ServiceError: The file cannot be imported or declares no service.
            JournalError: The work folder is in use, damaged or another one's.
            NotFound: The provider does not offer what the file declares.
            NetworkFailed: The server was not reached, and there is no ticket to go on with.
        """
        folder = self._settings.workdir
        owner = f"{self._settings.instance or 'a runner'}, process {os.getpid()}"
        with locked(folder, owner), closing(Journal(folder)) as journal:
            self._journal = journal
            # What a killed runner has left running would work on a ticket that is begun again.
            processes.kill(f"{folder.resolve()}/", beginning=True)
            try:
                services = describe(self._file, lambda: self._stops > 0)
            except JobCancelled:
                return self._outcomes
            declared = {str(one["name"]) for one in services}
            with closing(self._open_claims(declared)) as self._claims:
                self._begin()
                try:
                    while not self._is_over():
                        self._turn()
                finally:
                    self._end_workers()
        return self._outcomes

    # ---------------------------------------------------------------- the loop

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
        )
        journal.bind(server=claims.session.server, provider=settings.provider)
        return claims

    def _begin(self) -> None:
        """Take up what is open, and make sure that there is something to serve."""
        for left in self._settings.workdir.glob(".starting_*"):
            left.unlink(missing_ok=True)
        for entry in self._journal.open_entries():
            self._pending[entry.ticket] = 0.0
            self._tell(entry, "taken up again", step=entry.step.value)
        try:
            self._claims.find_services()
        except (NetworkFailed, ServerFailed, NotFound) as error:
            if not self._pending:
                raise
            _log.warning("%s", error)
        names = ", ".join(sorted(set(self._claims.services.values()))) or "its services"
        _log.info("serving %s for %s; stop with Ctrl-C", names, self._settings.provider)
        self._claims.lost.warn()

    def _turn(self) -> None:
        """Hear what is said, then do what is due."""
        try:
            said = self._said.get(timeout=_SHORT_TURN if self._claims.lost.scanning else _TURN)
            while True:
                self._hear(*said)
                said = self._said.get_nowait()
        except Empty:
            pass
        now = time.monotonic()
        if self._stops and self._end is None:
            self._end = now + self._settings.grace
            busy = len(self._busy())
            _log.info(
                "stopping%s",
                f"; {busy} at work, {self._settings.grace:g} s for them" if busy else "",
            )
        if now >= self._clean_at:
            self._clean_at = now + _CLEAN
            self._clean()
        self._keep_room()
        if now >= self._watch_at and self._busy():
            self._watch_at = now + _WATCH
            self._watch()
        if not self._stops:
            self._feed(now)

    def _is_over(self) -> bool:
        if self._stops:
            late = self._end is not None and time.monotonic() >= self._end
            return self._stops > 1 or late or not self._busy()
        claims_no_more = self._enough() or (self._settings.once and self._claims.waiting == 0)
        at_work = self._busy() or self._pending or self._claims.lost.sought
        return claims_no_more and not at_work

    def _end_workers(self) -> None:
        """End all workers; what they have not done is in the journal, for the next start."""
        end = time.monotonic()
        if self._stops < 2:
            end += _END
            for hand in self._hands:
                hand.worker.cancel()
        while self._hands and time.monotonic() < end and self._stops < 2:
            with suppress(Empty):
                self._hear(*self._said.get(timeout=0.1))
        for hand in self._hands:
            hand.worker.kill()
        self._executor.close()
        for entry in self._journal.open_entries():
            self._tell(entry, "left for the next start", step=entry.step.value)

    # ---------------------------------------------------------------- giving out work

    def _feed(self, now: float) -> None:
        """Give workers what there is to do: tickets to go on with, then new ones."""
        found = self._claims.search()
        if found:
            self._take_on(found)
        due = [ticket for ticket, at in self._pending.items() if at <= now]
        free = self._settings.workers - len(self._busy())
        claimable = 0
        if free > len(due) and self._may_claim():
            self._claims.look()
            claimable = self._claims.waiting or 0
        needed = min(free, len(due) + claimable)
        idle = [hand for hand in self._hands if hand.ticket is None]
        for _ in range(needed - len(idle)):
            if now >= self._start_at:
                self._start()
        for hand in [hand for hand in idle if hand.ready]:
            if not due and claimable and self._may_claim():
                new = self._claims.claim()
                claimable = self._claims.waiting or 0
                if new:
                    self._take_on(new)
                    due.append(new.ticket)
            if due:
                self._order(hand, due.pop(0))
            elif now - hand.since > _LINGER:
                hand.ready = False
                hand.worker.cancel()

    def _may_claim(self) -> bool:
        return not self._enough() and self._has_room()

    def _enough(self) -> bool:
        most = self._settings.max_tickets
        return most is not None and self._claimed >= most

    def _busy(self) -> list[_Hand]:
        return [hand for hand in self._hands if hand.ticket is not None]

    def _start(self) -> None:
        hand = _Hand()
        try:
            hand.worker = self._executor.start(lambda words: self._said.put((hand, words)))
        except (DssError, OSError) as error:
            _log.error("no worker can be started: %s", error)
            self._wait_to_start()
            return
        self._hands.append(hand)

    def _wait_to_start(self) -> None:
        self._start_at = time.monotonic() + self._start_pause
        self._start_pause = min(2 * self._start_pause, _RETRY)

    def _take_on(self, claimed: Claimed) -> None:
        """Begin with a ticket that is ours from now on."""
        for hand in self._busy():
            if hand.ticket == claimed.ticket:
                # Its owner queued it again while it was worked on, and it came back.
                self._hands.remove(hand)
                hand.worker.kill()
        self._claimed += 1
        self._pending[claimed.ticket] = 0.0
        self._tell(self._entry(claimed.ticket), "claimed", step=Step.CLAIMED.value)

    def _order(self, hand: _Hand, ticket: int) -> None:
        """Have a worker go on with a ticket where it stands."""
        entry = self._entry(ticket)
        attempts = self._journal.begin(ticket)
        if attempts >= _TRIES and entry.step is Step.PROCESSING:
            self._fail(entry, f"the work was cut short {_TRIES} times")
            entry = self._entry(ticket)
        session = self._claims.session
        self._pending.pop(ticket, None)
        hand.ticket = ticket
        hand.worker.order(
            Order(
                ticket=ticket,
                service=entry.service,
                hash=entry.hash,
                step=entry.step,
                reason=entry.reason,
                folder=workdir.folder_of(self._settings.workdir.resolve(), ticket),
                server=session.server,
                cookie=(session.cookie.value if session.cookie else None) or "",
                verify=self._settings.verify,
                patience=self._settings.patience,
                privacy=self._settings.privacy,
            )
        )

    # ---------------------------------------------------------------- what workers say

    def _hear(self, hand: _Hand, words: Words) -> None:
        if hand not in self._hands:  # one that was given up
            return
        if "ready" in words:
            hand.ready, hand.since = True, time.monotonic()
            self._start_pause = _FIRST_PAUSE
        elif "broken" in words:
            _log.error("%s cannot be used any more: %s", self._file, words["broken"])
        elif "deleted" in words:
            self._drop(hand, Outcome.DELETED)
        elif "ended" in words:
            self._hands.remove(hand)
            self._note_end(hand, words)
        elif hand.ticket is not None:
            self._note(hand, hand.ticket, words)

    def _note(self, hand: _Hand, ticket: int, words: Words) -> None:
        """Put what a worker says of its ticket into the journal, and tell it so."""
        if words.get("end") == "login":
            self._claims.log_in_again()
        if "waiting" in words:
            self._journal.remark(ticket, "waiting", words["waiting"])
            self._tell(self._entry(ticket), f"waits: {words['waiting']}")
        if "step" in words:
            outcome = Outcome(words["outcome"]) if "outcome" in words else None
            self._reach_step(
                self._entry(ticket),
                Step(words["step"]),
                outcome=outcome,
                reason=words.get("reason", ""),
                moved=words.get("moved"),
            )
        elif "sent" in words:
            self._journal.sent(ticket, words["sent"], words["size"])
        if "number" in words:
            hand.worker.answer(words["number"])

    def _note_end(self, hand: _Hand, words: Words) -> None:
        """See to the ticket of a worker that has ended, if it has not ended it."""
        why = words["ended"]
        if hand.ticket is None:
            if not hand.ready:
                self._wait_to_start()
                if why and not self._stops:
                    last = words.get("printed", "").strip().splitlines()[-1:]
                    _log.error("%s: %s: %s", self._file, why, " ".join(last))
            return
        entry = self._entry(hand.ticket)
        if entry.step is Step.FINISHED or (self._stops and not hand.outcome):
            return
        if hand.outcome:
            self._reach_step(entry, Step.FINISHED, outcome=hand.outcome)
        elif hand.reason or words.get("limit"):
            self._fail(entry, hand.reason or why)
        elif why is None:
            self._pending[entry.ticket] = time.monotonic() + _LOGIN_PAUSE
        elif (entry.step is Step.PROCESSING and not words.get("lost")) or (
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
        if outcome in (Outcome.DELETED, Outcome.RELEASED):
            self._remove(entry.ticket)
        if outcome:
            self._outcomes[outcome] += 1
        # How long a ticket waited to be worked on says nothing.
        took = None if step is Step.PROCESSING else seconds
        self._tell(entry, message, level=level, step=step.value, seconds=took, bytes=moved)

    def _watch(self) -> None:
        """Find out which of the tickets at work are no longer wanted."""
        for hand in self._busy():
            if hand.ticket is None or hand.outcome:
                continue
            status = self._claims.status(hand.ticket)
            if status is None:
                return
            if status is TicketStatus.DELETED:
                self._drop(hand, Outcome.DELETED)
            elif status in (TicketStatus.INIT, TicketStatus.READY):
                self._drop(hand, Outcome.RELEASED)

    def _drop(self, hand: _Hand, outcome: Outcome) -> None:
        """End the work on a ticket that is no longer wanted."""
        hand.outcome = outcome
        hand.worker.cancel()

    # ---------------------------------------------------------------- the disk

    def _has_room(self) -> bool:
        """Tell whether there is room for another ticket; finished ones make some if need be."""
        settings = self._settings
        finished = iter(self._journal.expired(time.time()))
        while full := workdir.free(settings.workdir) < settings.min_free:
            entry = next(finished, None)
            if entry is None:
                break
            self._remove(entry.ticket)
        if full and not self._full:
            room = size(settings.min_free)
            _log.warning("no ticket is claimed: less than %s free for %s", room, settings.workdir)
        self._full = full
        return not full

    def _keep_room(self) -> None:
        """End the job that has written most, before the disk is full for all."""
        settings = self._settings
        if not self._busy() or workdir.free(settings.workdir) >= settings.min_free / 4:
            return
        jobs = {
            hand.ticket: hand
            for hand in self._busy()
            if hand.ticket and self._entry(hand.ticket).step is Step.PROCESSING
        }
        largest = workdir.largest(settings.workdir, jobs)
        if largest is not None and not jobs[largest].reason:
            jobs[largest].reason = "it filled the disk"
            jobs[largest].worker.kill()

    def _clean(self) -> None:
        """Remove the files of tickets that are finished long since."""
        for entry in self._journal.expired(time.time() - self._settings.keep):
            self._remove(entry.ticket)
        if not self._full:
            self._journal.keep_spare()

    def _remove(self, ticket: int) -> None:
        if workdir.remove(self._settings.workdir, ticket):
            self._journal.removed(ticket)

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

"""The runner: claims tickets, has them worked on, and sees each to its end.

It is one loop over what its workers say and what the server says. What it knows of a ticket is in
the journal, so that the next start goes on where this one was killed. It does no work of a job
itself, imports nothing heavy, and never waits for the server.
"""

from __future__ import annotations

import _thread
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

from dss.errors import JobCancelled, NetworkFailed, NotFound, ServerFailed, ServiceError
from dss.http.deadline import in_thread
from dss.provider import Provider
from dss.serving import processes
from dss.serving.contact import Contact
from dss.serving.journal import NAME, Journal, Outcome
from dss.serving.lock import locked
from dss.serving.messages import Deleted, ImportFailed, JobOver, ProcessExited, Ready
from dss.serving.runner.claims import Claims
from dss.serving.runner.disk_space import DiskSpace
from dss.serving.runner.executors import Executor, LocalExecutor, describe
from dss.serving.runner.gpu_pool import GpuNeeds
from dss.serving.runner.open_tickets import OpenTickets
from dss.serving.runner.services import Services
from dss.serving.runner.workers import Slot, WorkerPool
from dss.serving.settings import Settings

if TYPE_CHECKING:
    from dss.http.session import Session

T = TypeVar("T")

_TURN = 0.5  # seconds after which the loop looks around, if nobody says anything
_ASK = 0.2  # seconds between two looks for a signal, before the loop begins
_WATCH = 2.0  # seconds between two looks at the tickets that are worked on
_CLEAN = 60.0
_UNREADY = 3  # workers in a row that can take no order, after which nobody waits for the next
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
            # Without an abort, a claim that is under way would be waited for. In another thread,
            # as this one may hold a lock that an abort takes; `Thread.start` takes one, too.
            _thread.start_new_thread(self._session.abort, ())
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
            services = None if (folder / NAME).exists() else self._look_ahead()
            with (
                locked(folder, owner, trusted=self._settings.trusted),
                closing(Journal(folder, self._is_patient)) as journal,
            ):
                self._journal, self._disk = journal, DiskSpace(journal, self._settings)
                self._tickets = OpenTickets(journal, self._disk, self._settings, self._pool)
                # Orphans of a killed runner would work on a ticket that is begun again.
                processes.kill(f"{folder.resolve()}/", beginning=True)
                self._services = services or self._describe()
                with closing(self._open_claims()) as self._claims:
                    self._begin()
                    try:
                        while not self._is_over():
                            self._turn()
                    finally:
                        self._end_workers()
                self._refuse_missed()
                return self._tickets.outcomes
        return dict.fromkeys(Outcome, 0)  # it was stopped before it began

    # ---------------------------------------------------------------- the loop

    def _is_patient(self) -> bool:
        return self._stops < 2 and time.monotonic() < self._end

    def _open_session(self) -> Session:
        self._session = self._make_session()
        return self._session

    def _look_ahead(self) -> Services:
        """Find out whether there is something to serve, before a work folder is made for it."""
        services = self._describe()
        with closing(self._open_session()) as session:
            self._search(services, session)
        return services

    def _search(self, services: Services, session: Session) -> dict[str, str]:
        """Wait for the answer to a search for services."""
        search = services.search()
        return self._answered(lambda: search(Provider(session)))

    def _answered(self, call: Callable[[], T]) -> T:
        """Wait for the answer of the server to the first question, or until it is stopped."""
        answer = in_thread(call)
        while not wait([answer], _ASK).done:
            if self._stops:
                if self._session:
                    self._session.abort()
                raise JobCancelled("stopped while the server was asked what it offers")
        return answer.result()

    def _describe(self) -> Services:
        declared = self._needs.note(describe(self._file, lambda: self._stops > 0))
        return Services(self._settings, declared)

    def _open_claims(self) -> Claims:
        settings, journal = self._settings, self._journal
        if settings.instance:
            journal.bind(instance=settings.instance)
        claims = Claims(
            self._open_session,
            journal,
            settings,
            self._services,
            instance=journal.value("instance", lambda: f"runner_{secrets.token_hex(3)}"),
            wake=self._pool.wake,
            contact=self._contact,
        )
        journal.bind(server=claims.session.server, provider=settings.provider)
        return claims

    def _begin(self) -> None:
        """Take up what is open, and make sure that there is something to serve."""
        for left in self._settings.workdir.glob(".starting_*"):
            left.unlink(missing_ok=True)
        self._tickets.take_up()
        self._claimed = int(self._settings.ticket in self._tickets.pending)
        try:
            self._services.serve(self._search(self._services, self._claims.session))
        except (NetworkFailed, ServerFailed, NotFound) as error:
            if not self._tickets.pending:
                raise
            _log.warning("%s", error)
        for name in self._services.served.values():
            if lack := self._needs.lack(self._needs.gpus(name)):
                self._needs.say(lack)
        names = ", ".join(sorted(set(self._services.served.values()))) or "its services"
        _log.info("serving %s for %s; stop with Ctrl-C", names, self._settings.provider)
        self._claims.lost.warn()

    def _turn(self) -> None:
        """Receive messages, then do what is due."""
        self._hear(_TURN)
        for new in self._claims.receive():
            self._claimed += 1
            self._tickets.add(new)
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
        self._tickets.keep_room()
        if now >= self._watch_at and self._watch():
            self._watch_at = now + _WATCH
        if self._contact.is_read:
            self._claims.count()
        if not self._stops:
            self._feed(now)

    def _watch(self) -> bool:
        """Ask which of the tickets at work are no longer wanted; False where that has to wait."""
        tickets = self._tickets.watched()
        return bool(tickets) and self._claims.watch(tickets, self._tickets.drop_unwanted)

    def _is_over(self) -> bool:
        if self._stops:
            return not (self._is_patient() and (self._pool.busy() or self._claims.claiming))
        claims_no_more = self._enough() or (self._settings.once and self._claims.waiting == 0)
        at_work = self._pool.busy() or self._tickets.pending or self._claims.claiming
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
        self._tickets.leave()

    # ---------------------------------------------------------------- giving out work

    def _feed(self, now: float) -> None:
        """Assign work to workers: tickets to go on with, then new ones."""
        self._claims.search()
        due = self._tickets.due(now)
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
                server, cookie = self._claims.session.server, self._claims.cookie
                self._tickets.order(slot, fitting[0], server=server, cookie=cookie)
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
        return self._needs.gpus(self._tickets.service(ticket))

    def _may_claim(self) -> bool:
        if self._enough() or self._disk.suffices():
            return not self._enough()
        self._claims.look()
        if self._claims.waiting and not self._tickets.pending:
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

    # ---------------------------------------------------------------- what workers say

    def _hear(self, within: float) -> None:
        """Wait so many seconds for what workers say, and see to it."""
        for slot, said in self._pool.receive(within):
            match said:
                case Ready(services):
                    self._pool.mark_ready(slot)
                    self._services.declare(self._needs.note(services))
                    self._unready = 0
                case ImportFailed(why):
                    self._note_unready(f"{self._file} cannot be used any more: {why}")
                case Deleted():
                    slot.drop(Outcome.DELETED)
                case ProcessExited():
                    self._note_exit(slot, said)
                case JobOver("login") if slot.ticket is not None:
                    self._claims.log_in_again()
                case _ if slot.ticket is not None:
                    self._tickets.note(slot, slot.ticket, said)

    def _note_unready(self, why: str) -> None:
        """Remark that a worker could take no order; others are tried."""
        if self._stops:
            return
        now = time.monotonic()
        if not self._unready:
            self._unready_since = now
        self._unready += 1
        # Several that were started together may have met the file half saved.
        if self._unready >= _UNREADY and now - self._unready_since > _SAVED:
            self._refuse_to_wait(why)
        _log.error("%s", why)

    def _note_exit(self, slot: Slot, ended: ProcessExited) -> None:
        """See to the end of a worker.

        Once the runner stops, an unfinished ticket is left for the next start.
        """
        if slot.ticket is not None:
            if slot.outcome or not self._stops:
                self._tickets.note_exit(slot, slot.ticket, ended)
        elif ended.why and slot.never_began and not ended.lost:
            last = ended.printed.strip().splitlines()[-1:]
            self._note_unready(": ".join([str(self._file), ended.why, *last]))

"""An overview of a work folder by its journal: running, waiting and failed tickets, and times."""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from dss.serving import workdir
from dss.serving.journal import Outcome, Step, reading
from dss.serving.lock import held

WAITING = "waiting"
"""The event of a ticket that waits because the server is unavailable."""

_FAILURES = 10
_PERIODS = (1, 24)


@dataclass(frozen=True)
class Runner:
    """The runner of a work folder; its texts are empty until it has started for the first time.

    Attributes:
        server: URL of the server that the tickets come from.
        provider: Name of the provider that claims the tickets.
        instance: Name of the runner.
        up: Whether the runner runs now.
    """

    server: str
    provider: str
    instance: str
    up: bool


@dataclass(frozen=True)
class OpenTicket:
    """A ticket that is not finished.

    Attributes:
        ticket: Number of the ticket.
        service: Name of its service.
        step: The last step that it has reached.
        claimed: Time of the claim.
        since: Time at which it reached the step.
        seconds: Seconds since then.
        attempts: Number of attempts at the work after this step.
        progress: Progress of the job as the user sees it, 0 to 1; None if the job has not set one,
            or runs on another machine that keeps the value.
        note: Why the ticket waits or fails; empty otherwise.
        files: Number of files of the result that the server has.
        bytes: Size of these files.
    """

    ticket: int
    service: str
    step: Step
    claimed: datetime
    since: datetime
    seconds: float
    attempts: int
    progress: float | None
    note: str
    files: int
    bytes: int


@dataclass(frozen=True)
class Failure:
    """A ticket that failed.

    Attributes:
        ticket: Number of the ticket.
        service: Name of its service.
        reason: Why it failed.
        at: Time of the failure.
        folder: The folder of its files, with the traceback in `failure.txt` and the output in
            `output.txt`; empty if the folder does not exist (any more).
    """

    ticket: int
    service: str
    reason: str
    at: datetime
    folder: str


@dataclass(frozen=True)
class Period:
    """The tickets that ended in the last hours.

    Attributes:
        hours: Number of hours.
        success: Number of tickets that were a success.
        failed: Number of tickets that failed.
        mean_seconds: Mean time of both from claim to end; None if there are no such tickets.
    """

    hours: int
    success: int
    failed: int
    mean_seconds: float | None


@dataclass(frozen=True)
class StepTimes:
    """The time that all tickets of a service have taken from one step to the next.

    Attributes:
        service: Name of the service.
        step: The step that the tickets have reached.
        count: Number of times that a ticket has reached it.
        seconds: Total time from the step before.
        bytes: Total of bytes transferred or written.
    """

    service: str
    step: Step
    count: int
    seconds: float
    bytes: int

    @property
    def mean_seconds(self) -> float:
        """Mean time from the step before."""
        return self.seconds / self.count


@dataclass(frozen=True)
class Finished:
    """The number of tickets of a service with one outcome.

    Attributes:
        service: Name of the service.
        outcome: The outcome.
        count: Number of tickets that ended so.
        last: Time at which the last one ended.
    """

    service: str
    outcome: Outcome
    count: int
    last: datetime


@dataclass(frozen=True)
class Overview:
    """The state of a work folder at one time, by its journal; times are in UTC.

    Attributes:
        at: Time of the overview.
        runner: The runner of the folder.
        running: Open tickets that the runner works on, now or when it runs again; oldest first.
        waiting: Open tickets that wait for the server; oldest first.
        failures: The last tickets that failed; newest first.
        periods: The tickets that ended in the last hour and in the last day.
        steps: The times of the steps, by service, in the order of the steps.
        finished: All tickets that have ended since the folder is in use, by service.
        lost_claims: Number of claims without a known answer; each may have taken a ticket.
    """

    at: datetime
    runner: Runner
    running: tuple[OpenTicket, ...]
    waiting: tuple[OpenTicket, ...]
    failures: tuple[Failure, ...]
    periods: tuple[Period, ...]
    steps: tuple[StepTimes, ...]
    finished: tuple[Finished, ...]
    lost_claims: int


def overview(folder: Path, *, now: float | None = None) -> Overview:
    """Return an overview of a work folder by its journal, while its runner may write to it.

    Args:
        folder: The work folder.
        now: Time of the overview in seconds of the epoch; by default now.

    Raises:
        JournalError: The journal does not exist, or is corrupt.
    """
    with reading(folder) as database:
        # One transaction, so that a ticket that ends meanwhile is counted once.
        database.execute("begin")
        up = held(folder)
        at = time.time() if now is None else now
        running, waiting = _open_tickets(database, folder, at)
        return Overview(
            at=_utc(at),
            runner=_runner(database, up=up),
            running=running,
            waiting=waiting,
            failures=_failures(database, folder),
            periods=tuple(_period(database, at, hours) for hours in _PERIODS),
            steps=_steps(database),
            finished=_finished(database),
            lost_claims=_lost_claims(database, up=up),
        )


def _runner(database: sqlite3.Connection, *, up: bool) -> Runner:
    meta: dict[str, str] = dict(database.execute("select key, value from meta").fetchall())
    server, provider, instance = (meta.get(key, "") for key in ("server", "provider", "instance"))
    return Runner(server, provider, instance, up)


def _open_tickets(
    database: sqlite3.Connection, folder: Path, now: float
) -> tuple[tuple[OpenTicket, ...], tuple[OpenTicket, ...]]:
    """Return the open tickets: first the running ones, then those that wait for the server."""
    # With max(), SQLite takes the other columns from the same row.
    found = database.execute(
        """
        with open as (select * from tickets where step != ?),
        newest as (select ticket, step, note, at, max(id) from events
            where ticket in (select ticket from open) group by ticket),
        sent as (select ticket, count(*) as files, sum(size) as bytes, max(at) as at from files
            where ticket in (select ticket from open) group by ticket)
        select newest.step = ? and coalesce(sent.at <= newest.at, 1), newest.note,
            open.ticket, open.service, open.step, open.reason, open.claimed, open.changed,
            open.attempts, coalesce(files, 0), coalesce(bytes, 0)
        from open join newest using (ticket) left join sent using (ticket)
        order by open.claimed, open.ticket
        """,
        (Step.FINISHED.value, WAITING),
    )
    waiting: list[OpenTicket] = []
    running: list[OpenTicket] = []
    for waits, note, ticket, service, step, reason, claimed, since, attempts, files, size in found:
        (waiting if waits else running).append(
            OpenTicket(
                ticket=ticket,
                service=service,
                step=Step(step),
                claimed=_utc(claimed),
                since=_utc(since),
                seconds=max(0.0, now - since),
                attempts=attempts,
                progress=workdir.progress(folder, ticket),
                note=note if waits else reason,
                files=files,
                bytes=size,
            )
        )
    return tuple(running), tuple(waiting)


def _failures(database: sqlite3.Connection, folder: Path) -> tuple[Failure, ...]:
    found = database.execute(
        "select ticket, service, reason, changed from tickets where outcome = ? "
        "order by changed desc, ticket desc limit ?",
        (Outcome.FAILED.value, _FAILURES),
    )
    return tuple(
        Failure(ticket, service, reason, _utc(at), str(files) if files.is_dir() else "")
        for ticket, service, reason, at in found
        for files in [workdir.folder_of(folder, ticket)]
    )


def _period(database: sqlite3.Connection, now: float, hours: int) -> Period:
    success, failed, mean = database.execute(
        "select count(*) filter (where outcome = ?1), count(*) filter (where outcome = ?2), "
        "avg(max(changed - claimed, 0)) from tickets where outcome in (?1, ?2) and changed > ?3",
        (Outcome.SUCCESS.value, Outcome.FAILED.value, now - 3600 * hours),
    ).fetchone()
    return Period(hours, success, failed, mean)


def _steps(database: sqlite3.Connection) -> tuple[StepTimes, ...]:
    # If the clock was set back, a step seems to end before it began.
    found = database.execute(
        "select service, events.step, count(*), total(max(seconds, 0)), "
        "coalesce(sum(bytes), 0) from events join tickets using (ticket) "
        "where seconds is not null and events.step != ? group by service, events.step",
        (Step.PROCESSING.value,),  # the wait before it says nothing
    )
    order = list(Step)
    times = [StepTimes(service, Step(step), *rest) for service, step, *rest in found]
    return tuple(sorted(times, key=lambda row: (row.service, order.index(row.step))))


def _finished(database: sqlite3.Connection) -> tuple[Finished, ...]:
    # From the events: a row of tickets loses its outcome when the owner queues the ticket again.
    found = database.execute(
        "select service, note, count(*), max(at) from events join tickets using (ticket) "
        "where events.step = ? group by service, note order by service, note",
        (Step.FINISHED.value,),
    )
    return tuple(
        Finished(service, Outcome(outcome), count, _utc(last))
        for service, outcome, count, last in found
    )


def _lost_claims(database: sqlite3.Connection, *, up: bool) -> int:
    # While the runner runs, its newest claim may still be waiting for the answer.
    (lost,) = database.execute(
        "select count(*) from claims where outcome = 'unknown' or "
        "(outcome is null and not (? and id = (select max(id) from claims)))",
        (up,),
    ).fetchone()
    return int(lost)


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)

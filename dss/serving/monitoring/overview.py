"""What the journal of a work folder says: what runs, what waits, what failed, how fast it goes."""

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
"""The event of a ticket that cannot go on because the server is away."""

_FAILURES = 10
_PERIODS = (1, 24)


@dataclass(frozen=True)
class Runner:
    """Who works in a folder; texts are empty before its runner has said them.

    Attributes:
        server: URL of the server that the tickets come from.
        provider: As which provider they are claimed.
        instance: Name of the runner.
        up: Whether it runs now.
    """

    server: str
    provider: str
    instance: str
    up: bool


@dataclass(frozen=True)
class OpenTicket:
    """A ticket that is not finished.

    Attributes:
        ticket: Its number.
        service: Name of its service.
        step: The step that it has come to.
        claimed: When it was claimed.
        since: When it came to this step.
        seconds: How long ago that is.
        attempts: How often the work was begun at this step.
        progress: How much of its job is done, 0 to 1, as its user was told; None where nothing
            was told, or a job elsewhere keeps it.
        note: Why it waits, or fails; empty otherwise.
        files: How many files of its result the server has.
        bytes: How much that is.
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
        ticket: Its number.
        service: Name of its service.
        reason: For which reason.
        at: When.
        folder: The folder of its files, in which `failure.txt` says more and `output.txt` is what
            was printed; empty where it is not there (any more).
    """

    ticket: int
    service: str
    reason: str
    at: datetime
    folder: str


@dataclass(frozen=True)
class Period:
    """What was finished in the last hours.

    Attributes:
        hours: How many hours.
        success: How many tickets were a success.
        failed: How many failed.
        mean_seconds: How long these took from claim to end, None where there are none.
    """

    hours: int
    success: int
    failed: int
    mean_seconds: float | None


@dataclass(frozen=True)
class StepTimes:
    """The ways of all tickets of a service to a step, from the step before.

    Attributes:
        service: Name of the service.
        step: The step that was come to.
        count: How often.
        seconds: How long that took, all together.
        bytes: What was transferred or written, all together.
    """

    service: str
    step: Step
    count: int
    seconds: float
    bytes: int

    @property
    def mean_seconds(self) -> float:
        """How long it takes to come to the step."""
        return self.seconds / self.count


@dataclass(frozen=True)
class Finished:
    """How often tickets of a service ended in a way.

    Attributes:
        service: Name of the service.
        outcome: The way.
        count: How often.
        last: When the last one did.
    """

    service: str
    outcome: Outcome
    count: int
    last: datetime


@dataclass(frozen=True)
class Overview:
    """What the journal of a work folder says at a time; times are in UTC.

    Attributes:
        at: The time.
        runner: Who works in the folder.
        running: Open tickets that are worked on, or will be when there is a runner; oldest first.
        waiting: Open tickets that wait for the server; oldest first.
        failures: The last tickets that failed, the newest first.
        periods: What was finished in the last hour and in the last day.
        steps: How long the steps take, by service, in their order.
        finished: All that was finished since the folder is in use, by service.
        lost_claims: How many claims have no known answer: each may have taken a ticket.
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
    """Return an overview of a work folder by its journal; its runner may write meanwhile.

    Args:
        folder: The work folder.
        now: The time, in seconds of the epoch; the clock's if None.

    Raises:
        JournalError: There is no journal, or it is damaged.
    """
    with reading(folder) as database:
        # One transaction: a ticket that ends meanwhile is counted once.
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
    """List the open tickets: those that wait for the server are the second list."""
    # With max(), SQLite gives the other columns of the same row.
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
    # A clock that was put back makes a step seem to end before it began.
    found = database.execute(
        "select service, events.step, count(*), total(max(seconds, 0)), "
        "coalesce(sum(bytes), 0) from events join tickets using (ticket) "
        "where seconds is not null and events.step != ? group by service, events.step",
        (Step.PROCESSING.value,),  # what it waited until then says nothing
    )
    order = list(Step)
    times = [StepTimes(service, Step(step), *rest) for service, step, *rest in found]
    return tuple(sorted(times, key=lambda row: (row.service, order.index(row.step))))


def _finished(database: sqlite3.Connection) -> tuple[Finished, ...]:
    # From the events: the tickets forget an end when their owner queues them again.
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
    # The newest one of a runner that is there may be on its way just now.
    (lost,) = database.execute(
        "select count(*) from claims where outcome = 'unknown' or "
        "(outcome is null and not (? and id = (select max(id) from claims)))",
        (up,),
    ).fetchone()
    return int(lost)


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)

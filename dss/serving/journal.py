"""The journal of a work folder: the step of each ticket, for the next start and for the dashboard.

The journal is a SQLite database with one writer, the runner. It commits a step to the disk before
acting on that step. Other processes may read the journal meanwhile.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, fields
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from dss.errors import JournalError

NAME = "journal.sqlite3"

_SPARE = "journal.spare"
_SPARE_SIZE = 4 * 2**20
_BUSY = 10.0  # seconds to wait for somebody else before anything is said

T = TypeVar("T")

_log = logging.getLogger(__name__)


class Step(str, Enum):
    """The step that a ticket has reached. Every interrupted step can be repeated."""

    CLAIMED = "claimed"  #: this provider has claimed the ticket
    DOWNLOADED = "downloaded"  #: all input files are in the work folder
    PROCESSING = "processing"  #: the function is running
    PROCESSED = "processed"  #: the function has returned a workspace
    PACKAGED = "packaged"  #: the workspace is archived
    UPLOADED = "uploaded"  #: the archive is sent, read back and compared
    FAILING = "failing"  #: the ticket fails, and the reason has to be sent
    FINISHED = "finished"  #: the ticket has an `Outcome`

    def __str__(self) -> str:
        return self.value


class Outcome(str, Enum):
    """How a ticket ended."""

    SUCCESS = "success"  #: the user has the result
    FAILED = "failed"  #: the user has the reason
    DELETED = "deleted"  #: the user has deleted the ticket
    RELEASED = "released"  #: the claim no longer belongs to this provider

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Entry:
    """A ticket in the journal.

    Attributes:
        ticket: Its number.
        service: Name of its service.
        hash: Hash of its service.
        step: How far it is.
        outcome: How it ended, None before.
        reason: Why it fails or failed.
        claimed: When it was claimed, in seconds of the epoch.
        changed: When it came to this step.
        attempts: How often the work was begun at this step; while it is processed, how often the
            function was begun.
        removed: Whether its folder has been removed.
    """

    ticket: int
    service: str
    hash: str
    step: Step
    outcome: Outcome | None
    reason: str
    claimed: float
    changed: float
    attempts: int
    removed: bool


class LostClaim(NamedTuple):
    """A lost claim: its answer was lost, and it may have taken a ticket.

    Attributes:
        number: Its number in the journal.
        at: When it was sent, in seconds of the epoch.
        hashes: The hashes of its services, separated by commas.
    """

    number: int
    at: float
    hashes: str


_SCHEMA = """
create table if not exists meta (key text primary key, value text not null);
create table if not exists tickets (
    ticket integer primary key, service text not null, hash text not null, step text not null,
    outcome text, reason text not null default '', claimed real not null, changed real not null,
    attempts integer not null default 0, removed integer not null default 0);
create table if not exists events (
    id integer primary key, ticket integer not null, at real not null, step text not null,
    seconds real, bytes integer, note text not null default '');
create table if not exists files (
    ticket integer not null, name text not null, size integer not null, at real not null,
    primary key (ticket, name));
create table if not exists claims (
    id integer primary key, at real not null, hashes text not null, outcome text);
"""

_COLUMNS = ", ".join(field.name for field in fields(Entry))


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    """Convert errors of a corrupt journal, or of another version's, to `JournalError`."""
    try:
        yield
    except (sqlite3.Error, ValueError) as error:
        hint = "; if it is damaged, or of another version of dss, give another --workdir"
        is_locked = "locked" in str(error)
        raise JournalError(f"{file} cannot be read: {error}{'' if is_locked else hint}") from error


@contextmanager
def reading(folder: Path) -> Iterator[sqlite3.Connection]:
    """Open the journal of a work folder to read it, while its runner writes or not.

    Raises:
        JournalError: The journal is missing, damaged, or of another version.
    """
    file = folder / NAME
    if not file.is_file() or not file.stat().st_size:  # empty: it is being made
        raise JournalError(f"there is no journal in {folder}: is it the --workdir of a dss run?")
    # Not opened read-only: SQLite has to roll back the unfinished write of a killed runner first.
    uri = f"{file.absolute().as_uri()}?mode=rw"
    with _readable(file), closing(sqlite3.connect(uri, uri=True, timeout=_BUSY)) as database:
        database.execute("pragma query_only = on")
        yield database


class Journal:
    """The journal of a work folder, opened to write. The caller has to lock the folder.

    A method that writes returns when the change is on the disk. On a full disk, a reserved file is
    removed to make space. While another process locks the database, the methods wait.

    Args:
        folder: The work folder.
        patient: Whether to wait on for somebody who has it; is asked again and again.

    Raises:
        JournalError: It cannot be opened, or is damaged; any method may find that.
    """

    def __init__(self, folder: Path, patient: Callable[[], bool] = lambda: True) -> None:
        self._patient = patient
        self.file = folder / NAME
        self._spare = folder / _SPARE
        try:
            self._database = sqlite3.connect(self.file, timeout=_BUSY)
            self.file.chmod(0o600)  # reasons of failures are not for everybody
            self._database.execute("pragma synchronous = full")
            # In one transaction: somebody may read the journal meanwhile.
            self._database.executescript(f"begin; {_SCHEMA} commit;")
        except (sqlite3.Error, OSError) as error:
            raise JournalError(f"{self.file} cannot be used: {error}") from error
        self.keep_spare()

    def close(self) -> None:
        """Close the journal."""
        self._database.close()

    def keep_spare(self) -> None:
        """Reserve the disk space that `record` needs when the disk is full."""
        with suppress(OSError):
            if not self._spare.exists():
                self._spare.write_bytes(bytes(_SPARE_SIZE))

    def bind(self, **values: str) -> None:
        """Store the values that the work folder is used for, or check that they are the same.

        Raises:
            JournalError: The folder was used with other values.
        """
        for key, value in values.items():
            known = self.value(key, partial(str, value))
            if known != value:
                raise JournalError(
                    f"{self.file.parent} is the work folder for {key} {known}, not for {value}: "
                    "give another with --workdir"
                )

    def value(self, key: str, make: Callable[[], str]) -> str:
        """Return the stored value of a key; the first call makes and stores the value."""
        for (kept,) in self._rows("select value from meta where key = ?", key):
            return str(kept)
        value = make()
        self._write(("insert into meta (key, value) values (?, ?)", (key, value)))
        return value

    # ---------------------------------------------------------------- claims

    def begin_claim(self, hashes: str) -> int:
        """Journal a claim before it is sent; return its number in the journal."""
        return self._write(("insert into claims (at, hashes) values (?, ?)", (time.time(), hashes)))

    def end_claim(self, number: int, outcome: str) -> None:
        """Record that a claim ended without a ticket, as `none`, `unknown` or `not found`.

        Older claims with the outcome `none` are removed. For a claim with a ticket, use
        `add_claimed`.
        """
        self._write(
            ("update claims set outcome = ? where id = ?", (outcome, number)),
            ("delete from claims where outcome = 'none' and id < ?", (number,)),
        )

    def lost_claims(self) -> list[LostClaim]:
        """List the lost claims, oldest first."""
        found = self._rows(
            "select id, at, hashes from claims where outcome is null or outcome = 'unknown' "
            "order by id"
        )
        return [LostClaim(*row) for row in found]

    def add_claimed(self, ticket: int, service: str, hash_: str, claim: int | None = None) -> None:
        """Journal a claimed ticket and its claim.

        If the ticket is already in the journal, its owner has queued it again. It then starts from
        the beginning.
        """
        now = time.time()
        self._write(
            ("delete from tickets where ticket = ?", (ticket,)),
            ("delete from files where ticket = ?", (ticket,)),
            (
                "insert into tickets (ticket, service, hash, step, claimed, changed) "
                "values (?, ?, ?, ?, ?, ?)",
                (ticket, service, hash_, Step.CLAIMED.value, now, now),
            ),
            (
                "insert into events (ticket, at, step) values (?, ?, ?)",
                (ticket, now, Step.CLAIMED.value),
            ),
            ("update claims set outcome = ? where id = ?", (f"ticket {ticket}", claim)),
        )

    # ---------------------------------------------------------------- tickets

    def record(
        self,
        ticket: int,
        step: Step,
        *,
        outcome: Outcome | None = None,
        reason: str = "",
        moved: int | None = None,
    ) -> float:
        """Record that a ticket has reached a step.

        Args:
            ticket: Its number.
            step: The step.
            outcome: How it ended, with the last step.
            reason: Why the ticket fails. A recorded reason is kept.
            moved: Bytes that were transferred or written since the last step.

        Returns:
            How many seconds the step before took.
        """
        now = time.time()
        ((changed,),) = self._rows("select changed from tickets where ticket = ?", ticket)
        ending = outcome.value if outcome else None
        self._write(
            (
                "update tickets set step = ?, outcome = ?, changed = ?, "
                "attempts = case when ? != 'processing' then 0 "
                "when step = 'processing' then attempts + 1 else 1 end, "
                "reason = case when ? = '' then reason else ? end where ticket = ?",
                (step.value, ending, now, step.value, reason, reason, ticket),
            ),
            (
                "insert into events (ticket, at, step, seconds, bytes, note) "
                "values (?, ?, ?, ?, ?, ?)",
                (ticket, now, step.value, now - changed, moved, ending or reason),
            ),
        )
        return float(now - changed)

    def remark(self, ticket: int, step: str, note: str) -> None:
        """Record an event other than a step: the server is away, or a job is started again."""
        self._write(
            (
                "insert into events (ticket, at, step, note) values (?, ?, ?, ?)",
                (ticket, time.time(), step, note),
            )
        )

    def begin(self, ticket: int) -> int:
        """Record an attempt at the current step of a ticket; return the number of attempts."""
        self._write(
            (
                "update tickets set attempts = attempts + 1 "
                "where ticket = ? and step != 'processing'",
                (ticket,),
            )
        )
        ((attempts,),) = self._rows("select attempts from tickets where ticket = ?", ticket)
        return int(attempts)

    def sent(self, ticket: int, name: str, size: int) -> None:
        """Record a file of the result that the server has."""
        self._write(
            (
                "insert or replace into files (ticket, name, size, at) values (?, ?, ?, ?)",
                (ticket, name, size, time.time()),
            )
        )

    def removed(self, ticket: int) -> None:
        """Record that the folder of a ticket is removed."""
        self._write(("update tickets set removed = 1 where ticket = ?", (ticket,)))

    def entry(self, ticket: int) -> Entry | None:
        """Return a ticket, None if it is not in the journal."""
        return next(iter(self._entries("where ticket = ?", ticket)), None)

    def open_entries(self) -> list[Entry]:
        """List the tickets that are not finished, oldest first."""
        return self._entries("where step != ? order by claimed", Step.FINISHED.value)

    def expired(self, before: float) -> list[Entry]:
        """List finished tickets with a folder to remove: released, deleted, or before a time."""
        return self._entries(
            "where step = ? and not removed "
            "and (outcome in ('deleted', 'released') or changed < ?) order by changed",
            Step.FINISHED.value,
            before,
        )

    def newest(self) -> int:
        """Return the highest number of a ticket in this journal, 0 without tickets."""
        ((newest,),) = self._rows("select coalesce(max(ticket), 0) from tickets")
        return int(newest)

    def _entries(self, where: str, *values: object) -> list[Entry]:
        query = f"select {_COLUMNS} from tickets {where}"  # noqa: S608 - our own words only
        with _readable(self.file):
            return [
                Entry(
                    **{
                        **dict(zip([field.name for field in fields(Entry)], row, strict=True)),
                        "step": Step(row[3]),
                        "outcome": Outcome(row[4]) if row[4] else None,
                        "removed": bool(row[9]),
                    }
                )
                for row in self._rows(query, *values)
            ]

    def _rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with _readable(self.file):
            return self._when_free(lambda: self._database.execute(query, values).fetchall())

    def _write(self, *statements: tuple[str, tuple[object, ...]]) -> int:
        """Commit statements in one transaction; return the row number of the last insert."""
        while True:
            try:
                return self._when_free(lambda: self._commit(statements))
            except sqlite3.Error as error:  # noqa: PERF203 - it seldom comes to a second try
                why = str(error)
                if not ("full" in why or "disk I/O" in why) or not self._spare.exists():
                    raise JournalError(f"{self.file} cannot be written: {why}") from error
                self._spare.unlink(missing_ok=True)

    def _when_free(self, call: Callable[[], T]) -> T:
        """Make a call as soon as no other process locks the file."""
        warned = False
        while True:
            try:
                return call()
            except sqlite3.OperationalError as error:  # noqa: PERF203 - as above
                if "locked" not in str(error) or not self._patient():
                    raise
                if not warned:
                    _log.warning("%s is locked: whoever has it is waited for", self.file)
                warned = True

    def _commit(self, statements: Iterable[tuple[str, tuple[object, ...]]]) -> int:
        row = 0
        with self._database:
            for statement, values in statements:
                row = self._database.execute(statement, values).lastrowid or 0
        return row

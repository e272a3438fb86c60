"""The journal of a batch: it records on the disk how far each case is.

The journal is a file of JSON lines, which is only appended to. A line is on the disk when `note`
returns. If a killed process left an incomplete last line, that line is removed. The request for a
ticket is recorded before it is sent, every other step after it is done. So after an interruption
the next step may have been done already, and is repeated; a ticket is never requested again before
the first request was looked for on the server.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, BinaryIO

from dss.errors import JournalError
from dss.serving.lock import Use

NAME = "batch.jsonl"
USE = Use("batch", "folder of a batch", "batch.lock", ("batch.*",), "--out", "--trust-out")
"""For the lock of its folder."""

_FORMAT = 1
_HOW = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


class Step(str, Enum):
    """The state of a case. Every step can be repeated after an interruption."""

    WAITING = "waiting"  #: the case has no ticket
    CREATING = "creating"  #: a ticket was requested; the answer is not in the journal
    CREATED = "created"  #: the case has a ticket; not all files are sent
    QUEUED = "queued"  #: the ticket waits for the service, or is in work
    ENDED = "ended"  #: the ticket has ended on the server
    KEPT = "kept"  #: the result, or the log of a failure, is fetched
    DONE = "done"  #: the ticket is deleted, or stays on the server

    def __str__(self) -> str:
        return self.value


class Status(str, Enum):
    """How a case ended."""

    SUCCESS = "success"  #: the result is fetched
    FAILED = "failed"  #: the service failed the ticket
    TIMEOUT = "timeout"  #: the server gave the ticket up
    DELETED = "deleted"  #: somebody deleted the ticket
    UNSENT = "unsent"  #: the workspace could not be sent
    UNFETCHED = "unfetched"  #: the result exists, but could not be fetched

    def __str__(self) -> str:
        return self.value


@dataclass
class Case:
    """A case as the journal knows it.

    Attributes:
        name: Name of the case.
        workspace: Path of its workspace.
        step: State of the case.
        ticket: Number of its ticket; None if it has none.
        before: Numbers of the user's tickets before the request for this ticket.
        asked: Time of this request, in seconds of the epoch.
        queued: Time at which the ticket was queued, in seconds of the epoch.
        seen: Last known status of the ticket on the server.
        status: Outcome of the case; None before its end.
        reason: Why the case did not succeed.
        seconds: Time from the queueing of the ticket until its end was seen.
        files: Fetched files, relative to the folder of the batch.
    """

    name: str
    workspace: Path
    step: Step = Step.WAITING
    ticket: int | None = None
    before: tuple[int, ...] = ()
    asked: float = 0.0
    queued: float | None = None
    seen: str = ""
    status: Status | None = None
    reason: str = ""
    seconds: float | None = None
    files: tuple[str, ...] = ()

    def begin_anew(self) -> None:
        """Reset the case to its state before it had a ticket."""
        self.step, self.ticket, self.queued, self.seen = Step.WAITING, None, None, ""
        self.status, self.reason, self.seconds, self.files = None, "", None, ()

    @property
    def is_to_send_again(self) -> bool:
        """Return whether to send the case again: it has no result, here or on the server."""
        return self.status not in (Status.SUCCESS, Status.UNFETCHED)

    @property
    def shown_status(self) -> str:
        """Return the word for the table: the outcome of the case, or its state."""
        if self.step in (Step.KEPT, Step.DONE) and self.status:
            return self.status.value
        if self.step is Step.ENDED:
            return "fetching" if self.status is Status.SUCCESS else str(self.status)
        if self.step is Step.QUEUED:
            return self.seen or "ready"
        return "waiting" if self.step is Step.WAITING else "sending"


@dataclass
class Lost:
    """A request for a ticket without an answer, which may have made a ticket.

    Attributes:
        newest: Greatest number of the user's tickets before the request.
        asked: Time of the request, in seconds of the epoch.
    """

    newest: int
    asked: float


@dataclass
class Content:
    """The content of a journal.

    Attributes:
        batch: Server, user, service and further settings that the batch is bound to.
        cases: The cases by name, in the order in which the user named them.
        lost: The requests without an answer for which no ticket was found.
        tickets: All tickets that the batch has ever had.
    """

    batch: dict[str, str] = field(default_factory=dict)
    cases: dict[str, Case] = field(default_factory=dict)
    lost: list[Lost] = field(default_factory=list)
    tickets: set[int] = field(default_factory=set)

    def is_unsent(self, name: str, *, again: bool) -> bool:
        """Return whether a case must still be sent; with `again`, also if it did not succeed."""
        case = self.cases.get(name)
        if case is None or case.step in (Step.WAITING, Step.CREATING, Step.CREATED):
            return True
        return again and case.step is Step.DONE and case.is_to_send_again

    def take(self, record: dict[str, Any]) -> None:
        """Apply a line of the journal."""
        if "batch" in record:
            if record["format"] != _FORMAT:
                raise ValueError(f"its format is {record['format']}, not {_FORMAT}")
            self.batch = {str(key): str(value) for key, value in record["batch"].items()}
            return
        if record.get("found") is not None:  # ticket of a request without an answer
            self.tickets.add(int(record["found"]))
            del self.lost[-1:]
        if "case" in record:
            self._take_case(record)

    def _take_case(self, record: dict[str, Any]) -> None:
        name, step, at = str(record["case"]), Step(record["step"]), float(record["at"])
        if step is Step.WAITING:
            if record.get("lost"):
                case = self.cases[name]
                self.lost.append(Lost(max(case.before, default=0), case.asked))
            if name in self.cases:
                self.cases[name].begin_anew()
            else:
                self.cases[name] = Case(name, Path(record["workspace"]))
            return
        case = self.cases[name]
        case.step = step
        if step is Step.CREATING:
            case.before, case.asked = tuple(map(int, record["before"])), at
        elif step is Step.CREATED:
            case.ticket = int(record["ticket"])
            self.tickets.add(case.ticket)
        elif step is Step.QUEUED:
            case.queued = at if case.queued is None else case.queued
            case.seen, case.status, case.reason = str(record.get("seen", "")), None, ""
        elif step is Step.ENDED:
            begun = at if case.queued is None else case.queued
            case.seconds = None if case.queued is None else max(0.0, at - begun)
            case.status, case.reason = Status(record["status"]), str(record["reason"])
        elif step is Step.KEPT:
            case.files = tuple(map(str, record["files"]))
        elif "status" in record:
            case.status, case.reason = Status(record["status"]), str(record["reason"])


def read(folder: Path, *, missing_ok: bool = False) -> Content:
    """Read the journal of a batch, even while the batch runs.

    Args:
        folder: The folder of the batch.
        missing_ok: Whether to return an empty content if the journal does not exist.

    Raises:
        JournalError: The journal is missing, corrupt, or of another version.
    """
    file = folder / NAME
    if missing_ok and not os.path.lexists(file):
        return Content()
    if not file.is_file():
        raise JournalError(f"there is no journal of a batch in {folder}: name its --out folder")
    return _read(file)[0]


def _read(file: Path) -> tuple[Content, int]:
    """Return the content of a journal, and the number of bytes of its complete lines."""
    content, whole = Content(), 0
    try:
        data = file.read_bytes()
    except OSError as error:
        raise JournalError(f"{file} cannot be read: {error.strerror}") from error
    for number, line in enumerate(data.split(b"\n")[:-1], 1):
        try:
            content.take(json.loads(line))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise JournalError(
                f"{file}, line {number}, is damaged, or of another version of dss: put back a copy "
                "of it, or give another --out (dss tickets list shows the tickets that are left)"
            ) from error
        whole += len(line) + 1
    return content, whole


class Journal:
    """The journal of a batch, open for writing. The caller must hold the lock of the folder.

    Args:
        folder: The folder of the batch.
        file: The journal, open at its end.
        content: Content of the journal, which is kept up to date.
    """

    def __init__(self, folder: Path, file: BinaryIO, content: Content) -> None:
        self.folder = folder
        self._file = file
        self.content = content

    @property
    def cases(self) -> list[Case]:
        """The cases, in the order in which the user named them."""
        return list(self.content.cases.values())

    def bind(self, **values: str) -> None:
        """Bind the batch to its settings, or check that they are the same as before.

        Raises:
            JournalError: The batch was begun with other settings.
        """
        if not self.content.batch:
            self._append({"format": _FORMAT, "batch": values})
        for key, value in values.items():
            known = self.content.batch.get(key, "")
            if known != value:
                raise JournalError(
                    f"the batch in {self.folder} was begun with {key} {known}, not {value}: go on "
                    "with that, or give another --out"
                )

    def add(self, name: str, workspace: Path) -> None:
        """Add a case to the journal, unless it is known already.

        Raises:
            JournalError: The case is known with another workspace.
        """
        known = self.content.cases.get(name)
        if known is None:
            self._append({"case": name, "step": Step.WAITING, "workspace": str(workspace)})
        elif known.workspace != workspace:
            raise JournalError(
                f"case {name} of the batch in {self.folder} is {known.workspace}, not {workspace}: "
                "choose another name, or another --out"
            )

    def note(self, case: Case, step: Step, **more: object) -> None:
        """Note the step of a case; the line is on the disk when this returns.

        Raises:
            JournalError: The journal cannot be written.
        """
        self._append({"case": case.name, "step": step, **more})

    def found(self, ticket: int) -> None:
        """Note the ticket of a request without an answer; no case needs this ticket any more."""
        self._append({"found": ticket})

    def _append(self, record: dict[str, Any]) -> None:
        line = json.dumps({"at": time.time(), **record})
        try:
            self._file.write(line.encode() + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise JournalError(
                f"{self.folder / NAME} cannot be written: {error.strerror}; the same command goes "
                "on once it can"
            ) from error
        self.content.take(json.loads(line))


@contextmanager
def opened(folder: Path) -> Iterator[Journal]:
    """Open or create the journal of a folder; the caller must hold the lock of the folder.

    Raises:
        JournalError: The journal cannot be opened, or is corrupt.
    """
    path = folder / NAME
    try:
        descriptor = os.open(path, _HOW, 0o600)
    except OSError as error:
        raise JournalError(f"{path} cannot be used: {error.strerror}") from error
    with os.fdopen(descriptor, "r+b") as file:
        content, whole = _read(path)
        file.truncate(whole)
        file.seek(whole)
        yield Journal(folder, file, content)

"""The journal of a batch: how far each case is, on the disk before each act.

It is a file of JSON lines that is only appended to. A line is on the disk when `note` returns; one
that a killed process left unfinished is cut off. So an act whose line is there may have been done,
and one whose line is not there was not begun.
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
    """How far a case is; every step can be taken again after it broke off."""

    WAITING = "waiting"  #: it has no ticket
    CREATING = "creating"  #: a ticket was asked for, and the answer is not noted
    CREATED = "created"  #: it has a ticket; its files are not all sent
    QUEUED = "queued"  #: the ticket is the provider's
    ENDED = "ended"  #: nothing more happens to the ticket
    KEPT = "kept"  #: its result, or its log, is here
    DONE = "done"  #: the ticket is deleted, or stays as asked

    def __str__(self) -> str:
        return self.value


class Status(str, Enum):
    """How a case ended."""

    SUCCESS = "success"  #: its result is here
    FAILED = "failed"  #: the service failed it
    TIMEOUT = "timeout"  #: the server gave it up
    DELETED = "deleted"  #: somebody deleted its ticket
    UNSENT = "unsent"  #: its workspace could not be sent
    UNFETCHED = "unfetched"  #: it has a result, which could not be fetched

    def __str__(self) -> str:
        return self.value


@dataclass
class Case:
    """A case as the journal knows it.

    Attributes:
        name: Its name.
        workspace: Its workspace file.
        step: How far it is.
        ticket: Its ticket, None before there is one.
        before: Numbers of the user's tickets before its own was asked for.
        asked: When that was, in seconds of the epoch.
        queued: When its ticket was queued.
        seen: The server's word for its ticket, when it was last asked.
        status: How it ended, None before.
        reason: Why it did not succeed.
        seconds: From being queued until its end was seen.
        files: What is here of it, from the batch's folder.
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
        """Forget its ticket and all that came of it."""
        self.step, self.ticket, self.queued, self.seen = Step.WAITING, None, None, ""
        self.status, self.reason, self.seconds, self.files = None, "", None, ()

    @property
    def is_to_send_again(self) -> bool:
        """Return whether it ended in another way than that its result is here, or on the server."""
        return self.status not in (Status.SUCCESS, Status.UNFETCHED)

    @property
    def shown_status(self) -> str:
        """Return its status in a table: how it ended, or how far it is."""
        if self.step in (Step.KEPT, Step.DONE) and self.status:
            return self.status.value
        if self.step is Step.ENDED:
            return "fetching" if self.status is Status.SUCCESS else str(self.status)
        if self.step is Step.QUEUED:
            return self.seen or "ready"
        return "waiting" if self.step is Step.WAITING else "sending"


@dataclass
class Lost:
    """A request for a ticket without an answer: it may have made one.

    Attributes:
        newest: The greatest number of a ticket of the user before it.
        asked: When it was sent, in seconds of the epoch.
    """

    newest: int
    asked: float


@dataclass
class Content:
    """All that a journal says.

    Attributes:
        batch: What the batch is bound to: server, user, service and so on.
        cases: The cases by name, in the order in which they were named.
        lost: The requests for a ticket that had no answer, and of which no ticket was found.
        tickets: All tickets that the batch has had.
    """

    batch: dict[str, str] = field(default_factory=dict)
    cases: dict[str, Case] = field(default_factory=dict)
    lost: list[Lost] = field(default_factory=list)
    tickets: set[int] = field(default_factory=set)

    def is_unsent(self, name: str, *, again: bool) -> bool:
        """Return whether a case is still to be sent; `again`: also if it did not succeed."""
        case = self.cases.get(name)
        if case is None or case.step in (Step.WAITING, Step.CREATING, Step.CREATED):
            return True
        return again and case.step is Step.DONE and case.is_to_send_again

    def take(self, record: dict[str, Any]) -> None:
        """Take up a line."""
        if "batch" in record:
            if record["format"] != _FORMAT:
                raise ValueError(f"its format is {record['format']}, not {_FORMAT}")
            self.batch = {str(key): str(value) for key, value in record["batch"].items()}
            return
        if record.get("found") is not None:  # of a request without an answer
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
    """Read the journal of a batch, while it is at work or not.

    Args:
        folder: The folder of the batch.
        missing_ok: Whether a batch that was never begun is one without cases.

    Raises:
        JournalError: The journal is missing, damaged, or of another version.
    """
    file = folder / NAME
    if missing_ok and not os.path.lexists(file):
        return Content()
    if not file.is_file():
        raise JournalError(f"there is no journal of a batch in {folder}: name its --out folder")
    return _read(file)[0]


def _read(file: Path) -> tuple[Content, int]:
    """Read a journal; return how many bytes of it are whole lines, too."""
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
    """The journal of a batch, opened to write; its folder has to be locked by the caller.

    Args:
        folder: The folder of the batch.
        file: The journal, open at its end.
        content: All that it says; it is kept up to date.
    """

    def __init__(self, folder: Path, file: BinaryIO, content: Content) -> None:
        self.folder = folder
        self._file = file
        self.content = content

    @property
    def cases(self) -> list[Case]:
        """The cases, in the order in which they were named."""
        return list(self.content.cases.values())

    def bind(self, **values: str) -> None:
        """Tie the batch to what it is for, or make sure that it is the same as before.

        Raises:
            JournalError: It was begun for something else.
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
        """Note a case, if it is new.

        Raises:
            JournalError: Another workspace is that case.
        """
        known = self.content.cases.get(name)
        if known is None:
            self._append({"case": name, "step": Step.WAITING, "workspace": str(workspace)})
        elif known.workspace != workspace:
            raise JournalError(
                f"case {name} of the batch in {self.folder} is {known.workspace}, not {workspace}: "
                "name it otherwise, or give another --out"
            )

    def note(self, case: Case, step: Step, **more: object) -> None:
        """Note that a case has come to a step; the line is on the disk when this returns.

        Raises:
            JournalError: It cannot be written.
        """
        self._append({"case": case.name, "step": step, **more})

    def found(self, ticket: int) -> None:
        """Note the ticket of a request that had no answer, which no case needs any more."""
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
    """Open the journal of a folder that the caller has locked; it is made where it is missing.

    Raises:
        JournalError: It cannot be opened, or is damaged.
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

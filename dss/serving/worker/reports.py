"""The reports of a job to its user: log lines, files and progress, delivered in order meanwhile."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from dss.backoff import Backoff
from dss.errors import (
    DssError,
    NetworkFailed,
    NotLoggedIn,
    OutcomeUnknown,
    Refused,
    ServerFailed,
    TicketDeleted,
    WrongState,
)
from dss.serving.job import Attached
from dss.serving.workdir import PROGRESS, read_progress
from dss.serving.worker.outbox import Line, Outbox

if TYPE_CHECKING:
    from dss.provider import Category, Provider

_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 30.0
_PATIENCE = 2.0
_REFUSALS = 240  # attempts to report why a ticket failed: about two hours, with the pauses

_log = logging.getLogger(__name__)


class ServerReports:
    """Reports that a thread of their own sends to the server.

    Lines and files arrive in the order of the calls, each once. If the answer to one is lost, it is
    not sent again, and may be missing; an error line is sent again, and may arrive twice. Only the
    last value of the progress is sent. While the server is unavailable, the reports wait on the
    disk; the next process sends them.

    Args:
        provider: A provider with a session that nobody else uses.
        ticket: Number of the ticket.
        folder: The folder for waiting reports, and for the last value of the progress. The next
            process reads this value, so that the user's bar never goes back.
        deleted: Called when the server says that the ticket was deleted.
    """

    def __init__(
        self, provider: Provider, ticket: int, folder: Path, deleted: Callable[[], None]
    ) -> None:
        self._provider = provider
        self._ticket = ticket
        self._deleted = deleted
        self._outbox = Outbox(folder)
        self._kept = folder / PROGRESS
        self._shown = read_progress(folder) or 0.0
        self._wanted = self._shown
        self._changed = threading.Condition()
        self._closing = False
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="reports", daemon=True)
        self._thread.start()

    def attach(self, attached: Attached) -> None:
        """Queue a copy of a file as it is now."""
        self._put(attached)

    def log(self, category: Category, message: str) -> None:
        """Queue a line for the ticket's log."""
        self._put(Line(category, message))

    def progress(self, value: float) -> None:
        """Set the progress to send; a lower value than before is ignored."""
        with self._changed:
            self._wanted = max(self._wanted, value)
            self._changed.notify_all()

    def flush(self, stopped: Callable[[], bool]) -> None:
        """Wait until all reports are delivered, or until `stopped` returns true.

        Raises:
            NotLoggedIn: The server no longer knows the login.
            TicketDeleted: The owner has deleted the ticket.
            Exception: The error that ended the delivery.
        """
        with self._changed:
            while self._waits() and not stopped():
                if self._failure:
                    raise self._failure
                self._changed.wait(0.5)

    def close(self) -> None:
        """Stop the delivery; pending reports stay in the outbox."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(_PATIENCE)  # a request that is under way may still end

    def _put(self, item: Attached | Line) -> None:
        with self._changed:
            self._outbox.put(item)
            self._changed.notify_all()

    def _waits(self) -> bool:
        return bool(self._outbox) or self._wanted > self._shown

    def _run(self) -> None:
        try:
            self._deliver_all()
        except Exception as error:  # noqa: BLE001 - `flush` raises it to its caller
            self._failure = error

    def _deliver_all(self) -> None:
        backoff, refusals = Backoff(_FIRST_PAUSE, _LONGEST_PAUSE), 0
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waits() or self._closing)
                if self._closing:
                    return
                item = self._outbox.first() if self._outbox else None
                value = self._wanted
            try:
                self._deliver(item, value)
            except TicketDeleted:
                self._deleted()
                raise
            except (DssError, OSError) as error:
                self._failure = error if isinstance(error, NotLoggedIn) else None
                in_vain = _is_refusal(error) or isinstance(error, OutcomeUnknown)
                refusals = refusals + 1 if in_vain else 0
                if _is_tried_again(item, error) and refusals <= _REFUSALS:
                    if item is not None and not isinstance(error, OutcomeUnknown):
                        # The server certainly did nothing, so that a retry is safe.
                        self._outbox.again()
                    _log.info("ticket %d: %s; its reports wait", self._ticket, error)
                    with self._changed:
                        self._changed.wait_for(lambda: self._closing, backoff.next())
                    continue
                _log.warning("ticket %d: a report is not sent again: %s", self._ticket, error)
            backoff.reset()
            refusals, self._failure = 0, None
            with self._changed:
                if item is not None:
                    self._outbox.done()
                else:
                    self._shown = max(self._shown, value)
                self._changed.notify_all()

    def _deliver(self, item: Attached | Line | None, value: float) -> None:
        if item is None:
            self._show(value)
            return
        self._outbox.begin()
        if isinstance(item, Attached):
            self._provider.attach(self._ticket, item.description, item.file, item.mime_type)
        else:
            self._provider.log(self._ticket, item.category, item.message)

    def _show(self, value: float) -> None:
        # Always one part from 0 to 1: the server fails if the parts change. So the parts of an
        # earlier claim of this ticket are removed first. The value is saved before it is sent, so
        # that no later process sends a smaller one.
        if not self._kept.exists():
            self._provider.reset_progress(self._ticket)
        self._kept.write_text(f"{value:.6f}", encoding="ascii")
        self._provider.progress(self._ticket, value)


def _is_tried_again(item: Attached | Line | None, error: Exception) -> bool:
    """Return whether to retry the delivery of an item, or of the progress."""
    if isinstance(error, (NetworkFailed, NotLoggedIn)):
        return True
    if isinstance(error, ServerFailed):
        return item is not None  # the progress is not worth holding up the lines behind it
    # A report that may have arrived is not sent twice, and a refused one does not hold up others.
    # The reason for a failed ticket must arrive, though: perhaps a proxy's page refused it.
    is_error = isinstance(item, Line) and item.category == "error"
    return is_error and (_is_refusal(error) or isinstance(error, OutcomeUnknown))


def _is_refusal(error: Exception) -> bool:
    """Return whether the server refused the report itself, not the login or the ticket."""
    return isinstance(error, Refused) and not isinstance(error, (NotLoggedIn, WrongState))


class ToldReports:
    """Reports to the author of a service, who runs a trial of it.

    Args:
        tell: Called with a line for each report.
        folder: The folder for copies of attached files, named by their descriptions.
    """

    def __init__(self, tell: Callable[[str], None], folder: Path) -> None:
        self._tell = tell
        self._folder = folder
        self._attached: list[str] = []

    def attach(self, attached: Attached) -> None:
        """Keep a copy of a file as it is now."""
        self._folder.mkdir(parents=True, exist_ok=True)
        words = "".join(c if c.isalnum() else "_" for c in attached.description)
        number = sum(1 for _ in self._folder.iterdir()) + 1
        copy = self._folder / f"{number:02d}_{words}{attached.file.suffix}"
        shutil.copyfile(attached.file, copy)
        self._attached.append(f"{attached.description}: {copy}")

    def log(self, category: Category, message: str) -> None:
        """Send a line of the log, and the files that go with it."""
        mark = "" if category == "info" else f"{category}: "
        files = "".join(f" [{one}]" for one in self._attached)
        self._attached.clear()
        self._tell(f"{mark}{message}{files}")

    def progress(self, value: float) -> None:
        """Send the progress."""
        self._tell(f"{value:.0%}")

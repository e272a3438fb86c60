"""What a job tells its user, delivered in order while the job goes on."""

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
_REFUSALS = 240  # how often a server may refuse to hear why a ticket failed: two hours, with pauses

_log = logging.getLogger(__name__)


class ServerReports:
    """Reports to the server, by a thread of its own.

    Lines and files arrive in the order in which they were told, each once or, where an answer was
    lost, perhaps not at all, but for errors: perhaps twice. Of the progress only the last value
    counts. While the server is away they wait, also for the next process.

    Args:
        provider: With a session that nobody else uses.
        ticket: The ticket.
        folder: Where they wait, and the last value of the progress is kept: also of an earlier
            process, so that the user's bar never goes back.
        deleted: Is called when the server says that the ticket was deleted.
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
        """Take a file as it is now."""
        self._put(attached)

    def log(self, category: Category, message: str) -> None:
        """Take a line for the ticket's log."""
        self._put(Line(category, message))

    def progress(self, value: float) -> None:
        """Take how much is done; less than the user has seen is not shown."""
        with self._changed:
            self._wanted = max(self._wanted, value)
            self._changed.notify_all()

    def flush(self, stopped: Callable[[], bool]) -> None:
        """Wait until everything is delivered, or until `stopped` says so.

        Raises:
            NotLoggedIn: The server no longer knows the login.
            TicketDeleted: Its owner has deleted the ticket.
            Exception: Nothing is delivered any more, and why.
        """
        with self._changed:
            while self._waits() and not stopped():
                if self._failure:
                    raise self._failure
                self._changed.wait(0.5)

    def close(self) -> None:
        """Leave what is not delivered in the outbox."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(_PATIENCE)  # it may just be finding out that nothing was sent

    def _put(self, item: Attached | Line) -> None:
        with self._changed:
            self._outbox.put(item)
            self._changed.notify_all()

    def _waits(self) -> bool:
        return bool(self._outbox) or self._wanted > self._shown

    def _run(self) -> None:
        try:
            self._deliver_all()
        except Exception as error:  # noqa: BLE001 - `flush` raises it where somebody looks
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
                        # Nothing was done: lines and files of which that is not sure are unknown.
                        self._outbox.again()
                    _log.info("ticket %d: %s; its reports wait", self._ticket, error)
                    with self._changed:
                        self._changed.wait_for(lambda: self._closing, backoff.next())
                    continue
                _log.warning("ticket %d: not told again: %s", self._ticket, error)
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
        # One part from 0 to 1, always: the server fails at parts of another division. What an
        # earlier try of this ticket left, whoever made it, goes first. The value is kept before it
        # is sent, so that no later process sends a smaller one.
        if not self._kept.exists():
            self._provider.reset_progress(self._ticket)
        self._kept.write_text(f"{value:.6f}", encoding="ascii")
        self._provider.progress(self._ticket, value)


def _is_tried_again(item: Attached | Line | None, error: Exception) -> bool:
    """Return whether the delivery of an item, or of the progress, shall be retried."""
    if isinstance(error, (NetworkFailed, NotLoggedIn)):
        return True
    if isinstance(error, ServerFailed):
        return item is not None  # a server that cannot take a progress shall hold up nothing
    # What may have arrived is not told twice, and what is refused holds up nothing; but why a
    # ticket failed has to be known, and perhaps it is a proxy's page that refuses.
    is_error = isinstance(item, Line) and item.category == "error"
    return is_error and (_is_refusal(error) or isinstance(error, OutcomeUnknown))


def _is_refusal(error: Exception) -> bool:
    """Return whether the server refused the report itself, not the login or the ticket."""
    return isinstance(error, Refused) and not isinstance(error, (NotLoggedIn, WrongState))


class ToldReports:
    """Reports to whoever runs a service by hand.

    Args:
        tell: Is called with a line for each.
        folder: Where attached files are kept, under names that tell their description.
    """

    def __init__(self, tell: Callable[[str], None], folder: Path) -> None:
        self._tell = tell
        self._folder = folder
        self._attached: list[str] = []

    def attach(self, attached: Attached) -> None:
        """Keep a file as it is now."""
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

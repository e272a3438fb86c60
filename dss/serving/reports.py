"""What a job tells its user, delivered in order while the job goes on."""

from __future__ import annotations

import logging
import shutil
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from dss.errors import DssError, NetworkFailed, OutcomeUnknown, ServerFailed, TicketDeleted
from dss.serving.job import Attached

if TYPE_CHECKING:
    from dss.provider import Category, Provider

_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 30.0

_log = logging.getLogger(__name__)


class _Line(NamedTuple):
    category: Category
    message: str


class ServerReports:
    """Reports to the server, by a thread of its own.

    Lines and files arrive in the order in which they were told, each once or, where an answer was
    lost, perhaps not at all, but for errors: perhaps twice. Of the progress only the last value
    counts. While the server is away they wait.

    Args:
        provider: With a session that nobody else uses.
        ticket: The ticket.
        folder: Where files wait, and the last value of the progress is kept: also of an earlier
            process, so that the user's bar never goes back.
        deleted: Is called when the server says that the ticket was deleted.
    """

    def __init__(
        self, provider: Provider, ticket: int, folder: Path, deleted: Callable[[], None]
    ) -> None:
        self._provider = provider
        self._ticket = ticket
        self._folder = folder
        self._deleted = deleted
        self._kept = folder / "progress"
        self._shown = self._read_progress()
        self._wanted = self._shown
        self._items: deque[Attached | _Line] = deque()
        self._count = 0
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._deliver_all, name="reports", daemon=True)
        folder.mkdir(exist_ok=True)
        self._thread.start()

    def attach(self, attached: Attached) -> None:
        """Take a file as it is now."""
        self._count += 1
        copy = self._folder / f"attached_{self._count:04d}"
        shutil.copyfile(attached.file, copy)
        self._put(attached._replace(file=copy))

    def log(self, category: Category, message: str) -> None:
        """Take a line for the ticket's log."""
        self._put(_Line(category, message))

    def progress(self, value: float) -> None:
        """Take how much is done; less than the user has seen is not shown."""
        with self._changed:
            self._wanted = max(self._wanted, value)
            self._changed.notify_all()

    def flush(self, stopped: Callable[[], bool]) -> None:
        """Wait until everything is delivered, or until `stopped` says so."""
        with self._changed:
            while (self._items or self._wanted > self._shown) and not stopped():
                if not self._thread.is_alive():
                    return
                self._changed.wait(0.5)

    def close(self) -> None:
        """Give up what is not delivered."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()

    def _put(self, item: Attached | _Line) -> None:
        with self._changed:
            self._items.append(item)
            self._changed.notify_all()

    def _deliver_all(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            with self._changed:
                while not (self._items or self._wanted > self._shown or self._closing):
                    self._changed.wait()
                if self._closing:
                    return
                item = self._items[0] if self._items else None
                value = self._wanted
            try:
                self._deliver(item, value)
                pause = _FIRST_PAUSE
            except TicketDeleted:
                self._deleted()
                return
            except (NetworkFailed, ServerFailed) as error:
                # Nothing was done: lines and files of which that is not sure are OutcomeUnknown.
                _log.info("ticket %d: %s; its reports wait", self._ticket, error)
                with self._changed:
                    self._changed.wait_for(lambda: self._closing, pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
                continue
            except OutcomeUnknown as error:
                _log.warning("ticket %d: %s", self._ticket, error)
                if isinstance(item, _Line) and item.category == "error":
                    # Why a ticket failed is better said twice than never.
                    with self._changed:
                        self._changed.wait_for(lambda: self._closing, pause)
                    continue
            except (DssError, OSError) as error:
                _log.warning("ticket %d: not told: %s", self._ticket, error)
            with self._changed:
                if item is not None:
                    self._items.popleft()
                else:
                    self._shown = max(self._shown, value)
                self._changed.notify_all()

    def _deliver(self, item: Attached | _Line | None, value: float) -> None:
        if isinstance(item, Attached):
            self._provider.attach(self._ticket, item.description, item.file, item.mime_type)
            item.file.unlink(missing_ok=True)
        elif item is not None:
            self._provider.log(self._ticket, item.category, item.message)
        else:
            self._show(value)

    def _show(self, value: float) -> None:
        # One part from 0 to 1, always: the server fails at parts of another division. What an
        # earlier try of this ticket left, whoever made it, goes first. The value is kept before it
        # is sent, so that no later process sends a smaller one.
        if not self._kept.exists():
            self._provider.reset_progress(self._ticket)
        self._kept.write_text(f"{value:.6f}", encoding="ascii")
        self._provider.progress(self._ticket, value)

    def _read_progress(self) -> float:
        with suppress(OSError, ValueError):
            return float(self._kept.read_text(encoding="ascii"))
        return 0.0


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
        """Tell a line, and the files that it takes along."""
        mark = "" if category == "info" else f"{category}: "
        files = "".join(f" [{one}]" for one in self._attached)
        self._attached.clear()
        self._tell(f"{mark}{message}{files}")

    def progress(self, value: float) -> None:
        """Tell how much is done."""
        self._tell(f"{value:.0%}")

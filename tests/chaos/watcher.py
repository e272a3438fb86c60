"""What happens, seen from outside: read from the journal, the server's database and the disk."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from dss.serving import journal
from dss.serving.workdir import folder_of

Row = tuple[Any, ...]

MOMENTS = (
    *(f"journal: {step}" for step in journal.Step),
    "journal: a claim is open",
    "journal: a file is sent",
    "server: claimed",
    "server: success",
    "server: failed",
    "server: a line",
    "server: an attachment",
    "disk: coming",
    "disk: input",
    "disk: work",
    "disk: result.itksnap",
    "disk: result",
)
"""What can be seen to happen: who is killed then is between two steps, or in the middle of one."""

_DISK = [moment.removeprefix("disk: ") for moment in MOMENTS if moment.startswith("disk: ")]


class Watcher:
    """Looks at the journal and at the server's database, and changes neither.

    Args:
        server: The server's database.
        workdir: The runner's work folder.
    """

    def __init__(self, server: Path, workdir: Path) -> None:
        self._server = _Database(server)
        self._journal = _Database(workdir / journal.NAME)
        self._workdir = workdir
        self._seen: set[Path] = set()
        self._bars: dict[int, float] = {}
        self.bars_went_back: list[tuple[int, str]] = []

    def close(self) -> None:
        self._server.close()
        self._journal.close()

    def news(self) -> set[str]:
        """Return the moments since the last look; none while a database is being mended."""
        found = {f"journal: {step}" for (step,) in self._journal.new("events", "step", "id")} & {
            *MOMENTS
        }
        if self._journal.new("claims", "id", "id", "and outcome is null"):
            found.add("journal: a claim is open")
        if self._journal.new("files", "name", "rowid"):
            found.add("journal: a file is sent")
        statuses = self._server.new("ticket_history", "status", "id")
        found |= {f"server: {status}" for (status,) in statuses} & {*MOMENTS}
        if self._server.new("ticket_log", "id", "id"):
            found.add("server: a line")
        if self._server.new("ticket_attachment", "id", "id"):
            found.add("server: an attachment")
        return found | {*self._new_on_disk()}

    def busy(self) -> bool:
        """Return whether a ticket waits or is worked on, as far as can be seen."""
        waiting = "select 1 from tickets where status in ('ready', 'claimed') limit 1"
        open_ = "select 1 from tickets where step != 'finished' limit 1"
        return bool(self._server.rows(waiting) or self._journal.rows(open_))

    def watch_bars(self) -> None:
        """Note where the progress that a user sees has become less."""
        query = "select ticket_id, sum(progress * (chunk_end - chunk_start)) from ticket_progress"
        for ticket, bar in self._server.rows(f"{query} group by ticket_id"):
            if bar < self._bars.get(ticket, 0.0) - 1e-6:
                self.bars_went_back.append((ticket, f"{self._bars[ticket]:.2f} to {bar:.2f}"))
            self._bars[ticket] = bar

    def _new_on_disk(self) -> Iterator[str]:
        for (ticket,) in self._journal.rows("select ticket from tickets where step != 'finished'"):
            for name in _DISK:
                path = folder_of(self._workdir, ticket) / name
                if path not in self._seen and path.exists():
                    self._seen.add(path)
                    yield f"disk: {name}"


class _Database:
    """A database that others write, kill and mend, while it is read."""

    def __init__(self, file: Path) -> None:
        self._uri = f"{file.absolute().as_uri()}?mode=ro"
        self._connection: sqlite3.Connection | None = None
        self._last: dict[str, int] = {}

    def rows(self, query: str) -> list[Row]:
        """Ask it; nothing comes where it is not there yet, locked, or waits to be mended."""
        with suppress(sqlite3.Error):
            if self._connection is None:
                self._connection = sqlite3.connect(self._uri, uri=True, timeout=0.0)
            return self._connection.execute(query).fetchall()
        return []

    def new(self, table: str, column: str, key: str, which: str = "") -> list[Row]:
        """Return the rows that came since the last time."""
        last = self._last.get(table, 0)
        rows = self.rows(f"select {column}, {key} from {table} where {key} > {last} {which}")
        self._last[table] = max((row[-1] for row in rows), default=last)
        return [row[:-1] for row in rows]

    def close(self) -> None:
        if self._connection:
            self._connection.close()


def ask(file: Path, query: str) -> list[Row]:
    """Ask a database that nobody writes to any more."""
    with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as database:
        return database.execute(query).fetchall()

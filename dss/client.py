"""What a user does: find a service, submit a workspace as a ticket, follow it, fetch its result."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from dss.errors import DssError, NotFound, OutcomeUnknown, TicketDeleted, TimedOut, WrongState
from dss.records import (
    Attachment,
    FileEntry,
    LogEntry,
    Service,
    ServiceDetail,
    ServiceStats,
    Ticket,
    TicketDetail,
    TicketStatus,
    read_csv,
    read_detail,
    read_int,
    read_service,
    read_stats,
    read_status,
    read_word,
)
from dss.session import Session
from dss.transfer import archived, download_archive, list_files, upload_archive

if TYPE_CHECKING:
    from snapws import Workspace

Area = Literal["input", "results"]

_log = logging.getLogger(__name__)


class Client:
    """The calls of a user who has work to be done.

    Every call raises `NotLoggedIn`, `NetworkFailed` and `ServerFailed` besides what it names.

    Args:
        session: The login of the user.
    """

    def __init__(self, session: Session) -> None:
        self.session = session

    def services(self) -> list[Service]:
        """Lists the services that tickets can be made for."""
        text = self.session.get_text("api/services")
        return read_csv(Service, ("name", "hash", "version", "description"), text)

    def service_detail(self, hash: str) -> ServiceDetail:  # noqa: A002 - the word of the field
        """Tells what a service says of itself, and which layers it asks for.

        Raises:
            NotFound: There is no such service now.
        """
        return read_service(self.session.get_json(f"api/services/{hash}/detail"))

    def service_stats(self, hash: str) -> ServiceStats:  # noqa: A002 - the word of the field
        """Tells how busy a service is.

        Raises:
            ServerFailed: There is no such service (so the server answers).
        """
        return read_stats(self.session.get_json(f"api/services/{hash}/stats?format=json"))

    def create(self, service: str) -> int:
        """Makes a ticket without files, in the state init; most want `submit`.

        Args:
            service: Hash of a service, or its name, which stands for its highest version.

        Returns:
            The ticket's number.

        Raises:
            NotFound: There is no such service.
            QuotaReached: The user has too many tickets.
            OutcomeUnknown: The answer was lost.
        """
        key = "githash" if re.fullmatch("[0-9a-f]{40}", service) else "name"
        doubt = "a ticket may have been made; it is the last of your tickets, and in state init"
        return read_int(self.session.post_form("api/tickets", {key: service}, doubt=doubt))

    def submit(self, workspace: Workspace | str | Path, service: str) -> int:
        """Archives a workspace, makes a ticket of it and queues it.

        The workspace is archived before the ticket is made, and a ticket whose files could not be
        sent is deleted again, since it would count towards the quota.

        Args:
            workspace: The workspace, or the path of its file.
            service: As for `create`.

        Returns:
            The ticket's number.

        Raises:
            NotFound: There is no such service.
            QuotaReached: The user has too many tickets.
            TransferFailed: A file could not be sent.
            OutcomeUnknown: The answer to a call was lost.
            snapws.WorkspaceError: The workspace cannot be archived.
        """
        with archived(workspace) as files:
            ticket = self.create(service)
            area = f"api/tickets/{ticket}/files/input"
            try:
                upload_archive(self.session, area, files, f"ticket_{ticket:08d}.itksnap")
            except BaseException:
                self._abandon(ticket)
                raise
        try:
            self.make_ready(ticket)
        except OutcomeUnknown:
            raise  # it may be queued, and somebody at work on it
        except BaseException:
            self._abandon(ticket)
            raise
        return ticket

    def make_ready(self, ticket: int) -> None:
        """Queues a ticket whose files are sent; from then on they are fixed.

        Raises:
            WrongState: The ticket is queued already.
            NotFound: The user has no such ticket.
            OutcomeUnknown: The answer was lost.
        """
        doubt = "the ticket may be queued; ask for its status"
        with self._state_matters(ticket, "only a ticket in state init can be queued"):
            answer = self.session.post_form(
                f"api/tickets/{ticket}/status", {"status": "ready"}, doubt=doubt
            )
            read_word(answer, "ready")

    def tickets(self) -> list[Ticket]:
        """Lists the user's tickets, but for deleted ones."""
        text = self.session.get_text("api/tickets")
        return read_csv(Ticket, ("id", "service", "status"), text)

    def status(self, ticket: int) -> TicketStatus:
        """Tells a ticket's status.

        Raises:
            NotFound: The user has no such ticket.
        """
        return read_status(self.session.get_text(f"api/tickets/{ticket}/status"))

    def detail(self, ticket: int, since: int = 0) -> TicketDetail:
        """Tells status, progress, place in the queue, and the log after the entry `since`.

        Raises:
            NotFound: The user has no such ticket.
        """
        return read_detail(self.session.get_json(f"api/tickets/{ticket}/detail?since={since}"))

    def log(self, ticket: int) -> tuple[LogEntry, ...]:
        """Gives the log of a ticket, oldest entry first; that of a deleted ticket too.

        Raises:
            NotFound: The user has no such ticket.
        """
        return self.detail(ticket).log

    def attachments(self, log_id: int) -> list[Attachment]:
        """Lists the files attached to a log entry.

        Raises:
            NotFound: The user has no such log entry.
        """
        text = self.session.get_text(f"api/tickets/logs/{log_id}/attachments")
        return read_csv(Attachment, ("id", "description", "mime_type", "url"), text)

    def wait(
        self, ticket: int, *, timeout: float | None = None, interval: float = 5.0
    ) -> Iterator[TicketDetail]:
        """Follows a ticket to its end.

        Args:
            ticket: The ticket.
            timeout: Seconds, by the clock, until `TimedOut`; None waits for ever.
            interval: Seconds between two looks.

        Yields:
            The ticket at the first look, and then whenever something is new; `log` holds only the
            entries not yielded before. The last one has a final status.

        Raises:
            NotFound: The user has no such ticket.
            TimedOut: It was not over in time; it goes on on the server.
        """
        end = None if timeout is None else time.monotonic() + timeout
        seen: TicketDetail | None = None
        since = 0
        while True:
            now = self.detail(ticket, since)
            since = max((entry.id for entry in now.log), default=since)
            if now != seen:
                yield now
            if now.status.final:
                return
            seen = replace(now, log=())
            pause = interval if end is None else min(interval, end - time.monotonic())
            if pause <= 0:
                raise TimedOut(
                    f"ticket {ticket} is still {now.status} after {timeout:g} s; it goes on: "
                    "look again later"
                )
            time.sleep(pause)

    def files(self, ticket: int, area: Area) -> list[FileEntry]:
        """Lists the files of a ticket: its input, or its results.

        Raises:
            NotFound: The user has no such ticket.
            TransferFailed: The server lists a name that must not touch a disk.
        """
        return list_files(self.session, f"api/tickets/{ticket}/files/{area}")

    def download(self, ticket: int, folder: str | Path) -> Path:
        """Fetches the result of a ticket.

        Args:
            ticket: The ticket.
            folder: Where to put the files; made if need be. All appear together, or none.

        Returns:
            The result workspace in `folder`, its layers beside it.

        Raises:
            NotFound: The user has no such ticket.
            TransferFailed: There is no result, or it did not come whole.
        """
        area = f"api/tickets/{ticket}/files/results"
        name = f"ticket_{ticket:08d}_results.itksnap"
        return download_archive(self.session, area, folder, name)

    def delete(self, ticket: int) -> None:
        """Deletes a ticket in any state, and its files at once; again is no error.

        Raises:
            NotFound: The user has no such ticket.
        """
        read_word(self.session.get_text(f"api/tickets/{ticket}/delete"), "deleted")

    def retry(self, ticket: int) -> None:
        """Queues a ticket again that failed or timed out; its results are erased, its log stays.

        Raises:
            WrongState: The ticket did not fail.
            NotFound: The user has no such ticket.
            OutcomeUnknown: The answer was lost.
        """
        doubt = "the ticket may be queued again; ask for its status"
        with self._state_matters(ticket, "only a ticket that failed can be tried again"):
            answer = self.session.get_text(f"api/tickets/{ticket}/retry", doubt=doubt)
            read_word(answer, "ready")

    @contextmanager
    def _state_matters(self, ticket: int, rule: str) -> Iterator[None]:
        """Tells a ticket in the wrong state from none: the server says "not found" of both."""
        try:
            yield
        except NotFound as error:
            status = self.status(ticket)
            kind = TicketDeleted if status is TicketStatus.DELETED else WrongState
            raise kind(
                f"ticket {ticket} is {status}: {rule}", status=error.status, text=error.text
            ) from error

    def _abandon(self, ticket: int) -> None:
        try:
            self.delete(ticket)
        except DssError as error:
            _log.warning("ticket %d stays and counts towards the quota: %s", ticket, error)

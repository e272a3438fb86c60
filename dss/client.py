"""What a user does: find a service, submit a workspace as a ticket, follow it, fetch its result."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from dss.errors import (
    InvalidResponse,
    NotFound,
    TicketDeleted,
    TooLarge,
    TransferFailed,
    WrongState,
)
from dss.http.session import Session
from dss.parsing import (
    read_detail,
    read_int,
    read_number,
    read_service,
    read_stats,
    read_status,
    rows,
    word,
)
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
)
from dss.tickets import follow, kept, kept_or_deleted, newest
from dss.transfer.attachments import path_of
from dss.transfer.downloads import download_archive, download_file
from dss.transfer.listing import list_files
from dss.transfer.uploads import Sent, archived, upload_archive

if TYPE_CHECKING:
    from snapws import Workspace
    from snapws.privacy import Privacy

Area = Literal["input", "results"]

_FIXED = "its files are fixed, only a ticket in state init takes more"


class Client:
    """The calls of a user who has work to be done.

    Every call raises `NotLoggedIn`, `NetworkFailed` and `ServerFailed` besides what it names.

    Args:
        session: The login of the user.
    """

    def __init__(self, session: Session) -> None:
        self.session = session

    def services(self) -> list[Service]:
        """List the services that tickets can be made for."""
        return self.session.get_text(
            "api/services", rows(Service, "name", "hash", "version", "description")
        )

    def service_detail(self, hash: str) -> ServiceDetail:  # noqa: A002 - the word of the field
        """Return the description of a service, with the tags that it asks for.

        Raises:
            NotFound: There is no such service now.
        """
        return read_service(self.session.get_json(f"api/services/{hash}/detail"))

    def service_stats(self, hash: str) -> ServiceStats:  # noqa: A002 - the word of the field
        """Return how busy a service is.

        Raises:
            ServerFailed: There is no such service (so the server answers).
        """
        return read_stats(self.session.get_json(f"api/services/{hash}/stats?format=json"))

    def create(self, service: str) -> int:
        """Make a ticket without files, in the state init; most want `submit`.

        Args:
            service: Hash of a service, or its name, which stands for the highest version among
                those that are listed.

        Returns:
            The ticket's number.

        Raises:
            NotFound: There is no such service.
            QuotaReached: The user has too many tickets.
            OutcomeUnknown: The answer was lost.
        """
        if not re.fullmatch("[0-9a-f]{40}", service):
            service = newest(self.services(), service).hash
        if_lost = "a ticket may have been made; it is the last of your tickets, and in state init"
        return self.session.post_form(
            "api/tickets", {"githash": service}, read_int, if_lost=if_lost
        )

    def submit(
        self,
        workspace: Workspace | str | Path,
        service: str,
        *,
        privacy: Privacy = "standard",
        verify: bool = False,
        sent: Callable[[Sent], None] | None = None,
    ) -> int:
        """Archive a workspace, make a ticket of it and queue it.

        The first file is archived before the ticket is made. A ticket that cannot be filled for a
        reason that lies here, as a damaged image, is deleted again, since it would count towards
        the quota; one that the network or the server failed is kept, to go on with.

        Args:
            workspace: The workspace, or the path of its file.
            service: As for `create`.
            privacy: What typed text goes along, as for `snapws.archive.archive`.
            verify: Whether the files are read back and compared before the ticket is queued.
            sent: Is told of each file that the server has.

        Returns:
            The ticket's number.

        Raises:
            NotFound: There is no such service.
            QuotaReached: The user has too many tickets.
            TransferFailed: A file could not be sent.
            Unfinished: A ticket was made and is kept, but not all of it was sent.
            OutcomeUnknown: A ticket may have been made, or queued; the message says which.
            snapws.WorkspaceError: The workspace cannot be archived.
        """
        with archived(workspace, privacy) as files:
            first = next(files)
            ticket = self.create(service)
            with kept_or_deleted(ticket, self.delete):
                self._upload(ticket, chain([first], files), verify=verify, sent=sent)
                self.make_ready(ticket)
        return ticket

    def upload(
        self,
        ticket: int,
        workspace: Workspace | str | Path,
        *,
        privacy: Privacy = "standard",
        verify: bool = False,
        sent: Callable[[Sent], None] | None = None,
    ) -> None:
        """Archive a workspace and send it as the input of a ticket in state init.

        What the server has already is compared and, where it is the same, not sent again: this
        takes up an upload that broke, also that of `submit`. `make_ready` then queues the ticket.

        Args:
            ticket: The ticket.
            workspace: The workspace, or the path of its file.
            privacy: What typed text goes along, as for `snapws.archive.archive`.
            verify: Whether the files that were sent are read back and compared.
            sent: Is told of each file that the server has.

        Raises:
            WrongState: The ticket is queued already.
            NotFound: The user has no such ticket.
            TransferFailed: A file could not be sent.
            Unfinished: Network or server failed; the next call sends what is missing.
            snapws.WorkspaceError: The workspace cannot be archived.
        """
        with (
            self._state_matters(ticket, _FIXED, TicketStatus.INIT),
            archived(workspace, privacy) as files,
            kept(ticket),
        ):
            self._upload(ticket, files, verify=verify, sent=sent)

    def _upload(
        self,
        ticket: int,
        files: Iterable[Path],
        *,
        verify: bool,
        sent: Callable[[Sent], None] | None,
    ) -> None:
        area = f"api/tickets/{ticket}/files/input"
        name = f"ticket_{ticket:08d}.itksnap"
        upload_archive(self.session, area, files, name, verify=verify, sent=sent)

    def make_ready(self, ticket: int) -> None:
        """Queue a ticket whose files are sent; from then on they are fixed.

        Raises:
            WrongState: The ticket is queued already.
            NotFound: The user has no such ticket.
            OutcomeUnknown: The answer was lost.
        """
        if_lost = f"ticket {ticket} may be queued; ask for its status"
        rule = "only a ticket in state init can be queued"
        with self._state_matters(ticket, rule, TicketStatus.INIT):
            self.session.post_form(
                f"api/tickets/{ticket}/status",
                {"status": "ready"},
                word("ready"),
                if_lost=if_lost,
                was_done=lambda: self._left(ticket, TicketStatus.INIT),
            )

    def tickets(self) -> list[Ticket]:
        """List the user's tickets, but for deleted ones."""
        return self.session.get_text("api/tickets", rows(Ticket, "id", "service", "status"))

    def status(self, ticket: int) -> TicketStatus:
        """Return the status of a ticket.

        Raises:
            NotFound: The user has no such ticket.
        """
        return self.session.get_text(f"api/tickets/{ticket}/status", read_status)

    def detail(self, ticket: int, since: int = 0) -> TicketDetail:
        """Return status, progress, place in the queue, and the log after the entry `since`.

        Raises:
            NotFound: The user has no such ticket.
        """
        return self._detail(ticket, since, None)

    def _detail(self, ticket: int, since: int, within: float | None) -> TicketDetail:
        path = f"api/tickets/{ticket}/detail?since={since}"
        return read_detail(self.session.get_json(path, within=within))

    def log(self, ticket: int, since: int = 0) -> tuple[LogEntry, ...]:
        """Return the log of a ticket after the entry `since`, oldest first; of deleted ones, too.

        Raises:
            NotFound: The user has no such ticket.
        """
        return self.detail(ticket, since).log

    def progress(self, ticket: int) -> float:
        """Return how much of a ticket is done: the sum of the parts that its provider has set.

        It is 0 to 1 where the provider keeps to one division of the work, and is not 1 merely
        because the ticket is over, as that of `detail` is.

        Raises:
            NotFound: The user has no such ticket.
        """
        return self.session.get_text(f"api/tickets/{ticket}/progress", read_number)

    def queue_position(self, ticket: int) -> int | None:
        """Return a ticket's place in the queue of its service, from 1; None if it is not queued.

        Raises:
            NotFound: The user has no such ticket.
        """
        return self.session.get_text(f"api/tickets/{ticket}/queuepos", read_int) or None

    def attachments(self, log_id: int) -> list[Attachment]:
        """List the files attached to a log entry.

        Raises:
            NotFound: The user has no such log entry.
        """
        return self.session.get_text(
            f"api/tickets/logs/{log_id}/attachments",
            rows(Attachment, "id", "description", "mime_type", "url"),
        )

    def fetch_attachment(
        self, attachment: Attachment, target: str | Path, *, max_size: int | None = None
    ) -> Path:
        """Fetch an attached file, as `target`, which is replaced once the file is whole.

        `dss.transfer.attachments.file_name` makes a name that nothing runs at a double click.

        Args:
            attachment: The attachment.
            target: Where to put it.
            max_size: Bytes that it may have; by default nine tenths of what is free on the disk.

        Raises:
            NotFound: There is no such file (any more).
            TooLarge: It has more bytes than it may.
            TransferFailed: It did not come whole, or cannot be written.
        """
        return download_file(self.session, path_of(attachment), target, max_size)

    def start_of_attachment(self, attachment: Attachment, size: int) -> bytes:
        """Fetch the first bytes of an attached file, at most `size`: all of one that is no longer.

        Raises:
            NotFound: There is no such file (any more).
            TransferFailed: They did not come whole.
        """
        return self.session.get_start(path_of(attachment), size)[1]

    def wait(
        self, ticket: int, *, timeout: float | None = None, interval: float = 5.0
    ) -> Iterator[TicketDetail]:
        """Follow a ticket to its end, through failures of the network that the session bears.

        Args:
            ticket: The ticket.
            timeout: Seconds, by the clock, until `TimedOut`; None waits for ever, and 0 looks once.
                The last look begins so early that its news come in time, too.
            interval: Seconds between two looks.

        Yields:
            The ticket at the first look, and then whenever something is new; `log` holds only the
            entries not yielded before. The last one has a final status.

        Raises:
            NotFound: The user has no such ticket.
            TimedOut: It was not over in time; it goes on on the server.
        """

        def look(since: int, within: float | None) -> TicketDetail:
            return self._detail(ticket, since, within)

        return follow(look, ticket, timeout=timeout, interval=interval)

    def files(self, ticket: int, area: Area) -> list[FileEntry]:
        """List the files of a ticket: its input, or its results.

        Raises:
            NotFound: The user has no such ticket.
            TransferFailed: The server lists a name that must not touch a disk.
        """
        return list_files(self.session, f"api/tickets/{ticket}/files/{area}")

    def download(
        self,
        ticket: int,
        folder: str | Path,
        *,
        parallel: int = 1,
        max_size: int | None = None,
    ) -> Path:
        """Fetch the result of a ticket; take up an earlier download that broke.

        That is its workspace and the files that the workspace names; others are not fetched, and
        logged as a warning. So are meshes that were never sent: the workspace goes on without
        them. Layers named by their content get their names as soon as they are
        whole, and are not fetched again; all other files appear together in the end, the workspace
        last.

        Args:
            ticket: The ticket.
            folder: Where to put the files; made if need be.
            parallel: How many files to fetch at once. The server holds each in its memory: more
                than one is for servers that are known to bear it.
            max_size: Bytes that all files together may have; by default, those that come may have
                nine tenths of what is free on the disk.

        Returns:
            The result workspace in `folder`, its layers beside it.

        Raises:
            NotFound: The user has no such ticket.
            TooLarge: The files have more bytes than they may.
            TransferFailed: The result did not come whole.
            WrongState: The ticket has no result, or none yet.
        """
        area = f"api/tickets/{ticket}/files/results"
        name = f"ticket_{ticket:08d}_results.itksnap"
        try:
            return download_archive(
                self.session, area, folder, name, parallel=parallel, max_size=max_size
            )
        except TooLarge:
            raise  # there are files
        except TransferFailed as error:
            if list_files(self.session, area):
                raise
            status = self.status(ticket)
            advice = "" if status.final else ": wait for it"
            raise WrongState(f"ticket {ticket} is {status}, and has no result{advice}") from error

    def delete(self, ticket: int) -> None:
        """Delete a ticket in any state, and its files at once; again is no error.

        Raises:
            NotFound: The user has no such ticket.
        """
        self.session.get_text(f"api/tickets/{ticket}/delete", word("deleted"))

    def retry(self, ticket: int) -> None:
        """Queue a ticket again that failed or timed out; its results are erased, its log stays.

        Raises:
            WrongState: The ticket did not fail.
            NotFound: The user has no such ticket.
            OutcomeUnknown: The answer was lost.
        """
        if_lost = f"ticket {ticket} may be queued again; ask for its status"
        before = max((entry.id for entry in self.log(ticket)), default=0)
        failed = (TicketStatus.FAILED, TicketStatus.TIMEOUT)

        def was_done() -> str | None:
            # It may have been queued, claimed and failed again meanwhile, which the log tells.
            queued = self._left(ticket, *failed)
            return queued or ("ready" if self.log(ticket, before) else None)

        rule = "only a ticket that failed can be tried again"
        with self._state_matters(ticket, rule, *failed):
            self.session.get_text(
                f"api/tickets/{ticket}/retry",
                word("ready"),
                if_lost=if_lost,
                was_done=was_done,
            )

    def _left(self, ticket: int, *before: TicketStatus) -> str | None:
        """Return the word for "queued" if a ticket has left the states `before`, else None."""
        status = self.status(ticket)
        if status is TicketStatus.DELETED:
            raise TicketDeleted(f"ticket {ticket} is deleted")
        return None if status in before else "ready"

    @contextmanager
    def _state_matters(self, ticket: int, rule: str, *right: TicketStatus) -> Iterator[None]:
        """Raise the right error for a ticket in the wrong state, which the server cannot find."""
        try:
            yield
        except NotFound as error:
            status = self.status(ticket)
            if status in right:
                raise InvalidResponse(
                    f"{error}; but ticket {ticket} is there, in state {status} as it must: "
                    "something between here and the server may have answered in its place"
                ) from error
            kind = TicketDeleted if status is TicketStatus.DELETED else WrongState
            raise kind(
                f"ticket {ticket} is {status}: {rule}", status=error.status, text=error.text
            ) from error

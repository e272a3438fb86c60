"""The calls of a user: find a service, submit a workspace as a ticket, wait, fetch the result."""

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
    TicketList,
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
    """The calls of a user who submits tickets.

    Every call also raises `NotLoggedIn`, `NetworkFailed` and `ServerFailed`.

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
            service: Hash of a service, or its name for the highest listed version.

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
        local reason, such as a corrupt image, is deleted again, because it would count towards the
        quota. After a failure of network or server the ticket is kept: go on with `upload`.

        Args:
            workspace: The workspace, or the path of its file.
            service: As for `create`.
            privacy: Which typed text the archive keeps, as for `snapws.archive.archive`.
            verify: Whether the files are read back and compared before the ticket is queued.
            sent: Called for each file that the server has.

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

        Files that the server already has are compared, and sent again only if they differ. So this
        continues an interrupted upload, also one of `submit`. `make_ready` then queues the ticket.

        Args:
            ticket: The ticket.
            workspace: The workspace, or the path of its file.
            privacy: Which typed text the archive keeps, as for `snapws.archive.archive`.
            verify: Whether the sent files are read back and compared.
            sent: Called for each file that the server has.

        Raises:
            WrongState: The ticket is queued already.
            NotFound: The user has no such ticket.
            TransferFailed: A file could not be sent.
            Unfinished: Network or server failed. The next call sends the missing files.
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
        """Queue a ticket after its upload. Its files cannot be changed afterwards.

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
        """List the user's tickets, without the deleted ones."""
        read = rows(Ticket, *TicketList.LISTED)
        return TicketList(self.session.get_text("api/tickets", read))

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
        """Return the log of a (perhaps deleted) ticket after the entry `since`, oldest first.

        Raises:
            NotFound: The user has no such ticket.
        """
        return self.detail(ticket, since).log

    def progress(self, ticket: int) -> float:
        """Return the progress of a ticket: the sum of the parts that its provider has set.

        The sum is 0 to 1 if the provider keeps to one division into parts. Unlike the progress in
        `detail`, it does not become 1 only because the ticket is over.

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
        """Fetch an attached file as `target`, which is overwritten once the file is complete.

        `dss.transfer.attachments.file_name` returns a name that no program executes.

        Args:
            attachment: The attachment.
            target: The path to write.
            max_size: The limit in bytes. By default, 90 % of the free disk space.

        Raises:
            NotFound: There is no such file (any more).
            TooLarge: The file exceeds the limit.
            TransferFailed: The file is truncated, or cannot be written.
        """
        return download_file(self.session, path_of(attachment), target, max_size)

    def start_of_attachment(self, attachment: Attachment, size: int) -> bytes:
        """Return the first bytes of an attached file, at most `size`.

        Raises:
            NotFound: There is no such file (any more).
            TransferFailed: The response is truncated.
        """
        return self.session.get_start(path_of(attachment), size)[1]

    def wait(
        self, ticket: int, *, timeout: float | None = None, interval: float = 5.0
    ) -> Iterator[TicketDetail]:
        """Wait for the end of a ticket, and retry when the network fails.

        Args:
            ticket: The ticket.
            timeout: Seconds, by the clock, until `TimedOut`. None waits for ever, 0 asks once. The
                last request begins early enough to be answered in time.
            interval: Seconds between two requests.

        Yields:
            The ticket after the first request, and then after each change. `log` holds only the
            new entries. The last yielded ticket has a final status.

        Raises:
            NotFound: The user has no such ticket.
            TimedOut: The ticket was not over in time. The work on the server goes on.
        """

        def look(since: int, within: float | None) -> TicketDetail:
            return self._detail(ticket, since, within)

        return follow(look, ticket, timeout=timeout, interval=interval)

    def files(self, ticket: int, area: Area) -> list[FileEntry]:
        """List the files of a ticket: its input, or its results.

        Raises:
            NotFound: The user has no such ticket.
            TransferFailed: The server lists a name that is not a safe file name.
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
        """Fetch the result of a ticket, or continue an interrupted download.

        The result is a workspace and the files that the workspace names. A warning is logged for
        other files, which are not fetched, and for meshes that were never sent, which are removed
        from the workspace. Layers that are named by their content appear as soon as they are
        complete, and are not fetched again. All other files appear together at the end, the
        workspace last.

        Args:
            ticket: The ticket.
            folder: The target folder, created if it does not exist.
            parallel: How many files to fetch at once. The server loads each whole file into
                memory: use more than 1 only if the server can bear it.
            max_size: The limit in bytes of all files together. By default, the received files may
                have 90 % of the free disk space.

        Returns:
            The result workspace in `folder`, its layers beside it.

        Raises:
            NotFound: The user has no such ticket.
            TooLarge: The files exceed the limit.
            TransferFailed: The result is incomplete or corrupt.
            WrongState: The ticket has no result (yet).
        """
        area = f"api/tickets/{ticket}/files/results"
        name = f"ticket_{ticket:08d}_results.itksnap"
        try:
            return download_archive(
                self.session, area, folder, name, parallel=parallel, max_size=max_size
            )
        except TooLarge:
            raise  # the ticket has files
        except TransferFailed as error:
            if list_files(self.session, area):
                raise
            status = self.status(ticket)
            advice = "" if status.final else ": wait for it"
            raise WrongState(f"ticket {ticket} is {status}, and has no result{advice}") from error

    def delete(self, ticket: int) -> None:
        """Delete a ticket in any state, with its files. To delete it again is not an error.

        Raises:
            NotFound: The user has no such ticket.
        """
        self.session.get_text(f"api/tickets/{ticket}/delete", word("deleted"))

    def retry(self, ticket: int) -> None:
        """Queue a failed or timed-out ticket again. Its results are deleted, its log is kept.

        Raises:
            WrongState: The ticket did not fail.
            NotFound: The user has no such ticket.
            OutcomeUnknown: The answer was lost.
        """
        if_lost = f"ticket {ticket} may be queued again; ask for its status"
        before = max((entry.id for entry in self.log(ticket)), default=0)
        failed = (TicketStatus.FAILED, TicketStatus.TIMEOUT)

        def was_done() -> str | None:
            # The ticket may have been queued, claimed and failed again. Its log shows that.
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
        """Raise the right error for a ticket in the wrong state: the server says "not found"."""
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

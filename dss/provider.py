"""The calls of a provider: claim a ticket, fetch its input, report, send its result."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar, get_args

from dss.client import Area
from dss.errors import (
    InvalidResponse,
    NetworkFailed,
    NotFound,
    OutcomeUnknown,
    ServerFailed,
    TicketDeleted,
)
from dss.http.multipart import FileBody
from dss.http.session import Session
from dss.parsing import read_int, read_status, rows, word
from dss.records import Available, Claim, FileEntry, ProvidedService, TicketStatus
from dss.text import shown
from dss.transfer.downloads import download_archive
from dss.transfer.listing import list_files
from dss.transfer.uploads import Sent, archived, upload_archive

if TYPE_CHECKING:
    from snapws import Workspace
    from snapws.privacy import Privacy

Category = Literal["info", "warning", "error"]

T = TypeVar("T")

_NO_TICKET = ("", "None", "-1", "0")


class Provider:
    """The calls of a user who provides services.

    Calls about a ticket raise `WrongState` if this user has not claimed the ticket, and
    `TicketDeleted` if the owner has deleted the ticket: then stop working on it. `claim`, `log` and
    `attach` are never sent twice: they raise `OutcomeUnknown` if the answer is lost. Every call
    also raises `NotLoggedIn`, `NetworkFailed` and `ServerFailed`.

    Args:
        session: The login of the provider's user.
    """

    def __init__(self, session: Session) -> None:
        self.session = session

    def services(self) -> list[ProvidedService]:
        """List the services that this user may provide, one row for each provider of a service."""
        return self.session.get_text(
            "api/pro/services", rows(ProvidedService, "name", "version", "hash", "provider")
        )

    def available(self, hashes: Sequence[str]) -> list[Available] | None:
        """List those of the services that have tickets to claim, without claiming any.

        Returns:
            The services, or None if the server is too old for this call. Use `claim` then.

        Raises:
            NotPermitted: The user does not provide one of the services.
        """
        fields = {"services": _joined(hashes)}
        try:
            read = rows(Available, "hash", "name", "ready")
            return self.session.post_form("api/pro/services/available", fields, read, if_lost=None)
        except NotFound as error:
            if error.status == 404:
                return None
            raise

    def claim(self, hashes: Sequence[str], provider: str, instance: str) -> Claim | None:
        """Claim the oldest waiting ticket of any of the services.

        Claims do not expire: a ticket stays claimed until it is reported as success or failed, or
        its owner deletes it.

        Args:
            hashes: Hashes of the services.
            provider: Name of the provider, shown in the ticket's log.
            instance: Name of this worker, shown in the ticket's log.

        Returns:
            The claim, or None if no ticket waits.

        Raises:
            NotPermitted: The user does not provide one of the services.
        """
        fields = {"services": _joined(hashes), "provider": provider, "code": instance}
        if_lost = (
            f"a ticket may have been claimed for {provider} {instance}, and nobody works on it; "
            "its owner sees the claim in its log"
        )
        return self.session.post_form(
            "api/pro/services/claims", fields, _read_claim, if_lost=if_lost
        )

    def wait_for_claim(
        self,
        hashes: Sequence[str],
        provider: str,
        instance: str,
        *,
        timeout: float = 0.0,
        interval: float = 5.0,
    ) -> Claim | None:
        """Wait for a ticket, and claim it.

        If the server can list waiting tickets, it is asked for the list first: a lost answer to a
        list takes no ticket, but a lost answer to a claim may.

        Args:
            hashes: As for `claim`.
            provider: As for `claim`.
            instance: As for `claim`.
            timeout: Seconds, by the clock, to wait for a ticket. 0 asks once.
            interval: Seconds between two requests.

        Returns:
            The claim, or None if no ticket came in time.

        Raises:
            NotPermitted: The user does not provide one of the services.
            OutcomeUnknown: The answer to a claim was lost. The claim is not repeated.
        """
        end = time.monotonic() + timeout
        while True:
            try:
                waiting = self.available(hashes) != []
            except (NetworkFailed, ServerFailed):
                if time.monotonic() >= end:
                    raise
                waiting = False
            if waiting and (found := self.claim(hashes, provider, instance)):
                return found
            left = end - time.monotonic()
            if left <= 0:
                return None
            time.sleep(min(interval, left))

    def status(self, ticket: int) -> TicketStatus:
        """Return the status of any ticket of a provided service, also if unclaimed or deleted.

        Raises:
            NotFound: There is no such ticket for this user.
        """
        return self.session.get_text(f"api/pro/tickets/{ticket}/status", read_status)

    def files(self, ticket: int, area: Area = "input") -> list[FileEntry]:
        """List the files of a ticket: its input, or its results.

        Raises:
            TransferFailed: The server lists a name that is not a safe file name.
        """
        return list_files(self.session, f"api/pro/tickets/{ticket}/files/{area}")

    def download(
        self,
        ticket: int,
        folder: str | Path,
        *,
        parallel: int = 1,
        max_size: int | None = None,
        skipped: Callable[[Sequence[str]], None] | None = None,
        unsent: Callable[[Sequence[str]], None] | None = None,
    ) -> Path:
        """Fetch the input of a ticket, as `Client.download` fetches the result.

        Use the returned path of the workspace: only that workspace is verified, and names no files
        except those beside it.

        Args:
            ticket: The ticket.
            folder: The target folder, created if it does not exist.
            parallel: How many files to fetch at once.
            max_size: As for `Client.download`.
            skipped: Called with the names of files that the workspace does not name. By default, a
                warning is logged.
            unsent: Called with the meshes that were never sent. By default, a warning is logged.

        Returns:
            The workspace in `folder`, its layers beside it.

        Raises:
            TooLarge: The files exceed the limit.
            TransferFailed: There is no workspace, or more than one, or a file is truncated.
        """
        area = f"api/pro/tickets/{ticket}/files/input"
        return download_archive(
            self.session,
            area,
            folder,
            None,
            parallel=parallel,
            max_size=max_size,
            skipped=skipped,
            unsent=unsent,
        )

    def log(self, ticket: int, category: Category, message: str) -> int:
        """Add a line to the ticket's log. Files attached since the last line show with it.

        Returns:
            The number of the log entry.

        Raises:
            ValueError: There is no such category.
            OutcomeUnknown: The answer was lost; the line may be in the log.
        """
        if category not in get_args(Category):
            raise ValueError(f"{category!r} is not one of {', '.join(get_args(Category))}")
        if_lost = "the line may be in the log"
        return self._post(ticket, category, {"message": message}, read_int, if_lost)

    def attach(
        self,
        ticket: int,
        description: str,
        file: str | Path,
        mime_type: str = "application/octet-stream",
    ) -> int:
        """Attach a file to the next line of the log. The user sees the file only with that line.

        The file's own name is not sent: the user sees the description. Anybody who has the URL of
        an attachment can read the file without a login.

        Returns:
            The number of the attachment.

        Raises:
            TransferFailed: The file cannot be read.
        """
        body = FileBody(Path(file), "attachment", {"desc": description, "mime_type": mime_type})
        if_lost = "the file may be attached; it shows with the next line of the log"
        path = f"api/pro/tickets/{ticket}/attachments"
        return self.session.post_body(path, body, read_int, if_lost=if_lost)

    def progress(self, ticket: int, value: float, *, start: float = 0.0, end: float = 1.0) -> None:
        """Set the progress of a part of the work. The call may be repeated.

        The ticket's progress is the sum of `value * (end - start)` over its parts. Keep to one
        division into parts: the server fails (`ServerFailed`) at a `start` that it knows with
        another `end`, such as a final (0, 1) after parts. `reset_progress` removes the parts.

        Args:
            ticket: The ticket.
            value: 0 to 1. Zero removes every part between `start` and `end`.
            start: The beginning of the part, 0 to 1.
            end: The end of the part, 0 to 1.

        Raises:
            ValueError: The part or the value is not within 0 to 1.
            ServerFailed: The server knows this `start` with another `end`.
        """
        if not (0 <= value <= 1 and 0 <= start < end <= 1):
            raise ValueError(
                "progress and its part must be within 0 to 1, and the part must end after its "
                f"start: got {value} of the part from {start} to {end}"
            )
        fields = {"chunk_start": str(start), "chunk_end": str(end), "progress": str(value)}
        try:
            self._post(ticket, "progress", fields, word("success"), None)
        except ServerFailed as error:
            raise ServerFailed(
                f"{error}; where another end was used with this start, reset the progress first",
                status=error.status,
            ) from error

    def reset_progress(self, ticket: int) -> None:
        """Set the progress to 0 and remove its parts, which a retry by the owner does not do."""
        self.progress(ticket, 0.0)

    def upload(
        self,
        ticket: int,
        workspace: Workspace | str | Path,
        *,
        privacy: Privacy = "standard",
        verify: bool = False,
        suffix: str = "_results",
        sent: Callable[[Sent], None] | None = None,
    ) -> None:
        """Archive a workspace and send it as the ticket's result; continue an interrupted upload.

        Files that the server already has are compared, and sent again only if they differ.

        Args:
            ticket: The ticket.
            workspace: The workspace, or the path of its file.
            privacy: Which typed text the archive keeps, as for `snapws.archive.archive`.
            verify: Whether the sent files are read back and compared.
            suffix: The end of the workspace's name on the server, after `ticket_%08d`.
            sent: Called for each file that the server has.

        Raises:
            TransferFailed: A file could not be sent.
            snapws.WorkspaceError: The workspace cannot be archived.
        """
        with archived(workspace, privacy) as files:
            self.send(ticket, files, verify=verify, suffix=suffix, sent=sent)

    def send(
        self,
        ticket: int,
        files: Iterable[Path],
        *,
        verify: bool = False,
        suffix: str = "_results",
        sent: Callable[[Sent], None] | None = None,
    ) -> None:
        """Send the files of an archive as the ticket's result, as `upload` does.

        Args:
            ticket: The ticket.
            files: The files, the workspace last.
            verify: As for `upload`.
            suffix: As for `upload`.
            sent: As for `upload`.

        Raises:
            TransferFailed: A file could not be sent.
        """
        area = f"api/pro/tickets/{ticket}/files/results"
        name = f"ticket_{ticket:08d}{suffix}.itksnap"
        upload_archive(self.session, area, files, name, verify=verify, sent=sent)

    def succeed(self, ticket: int) -> None:
        """Report the ticket as success, after its results were sent."""
        self.set_status(ticket, TicketStatus.SUCCESS)

    def fail(self, ticket: int, message: str) -> None:
        """Log an error and report the ticket as failed, even if the log call fails.

        Raises:
            OutcomeUnknown: The answer to the log call or to the report was lost. The message says
                which, and whether the ticket is reported.
        """
        lost: OutcomeUnknown | None = None
        try:
            self.log(ticket, "error", message)
        except OutcomeUnknown as error:
            lost = error
        finally:
            self.set_status(ticket, TicketStatus.FAILED)
        if lost:
            raise OutcomeUnknown(f"{lost}; ticket {ticket} is reported as failed") from lost

    def set_status(self, ticket: int, status: TicketStatus) -> None:
        """Report the ticket as `success` or `failed`, without a line in its log.

        The server accepts any report of a claimed ticket, even one that contradicts an earlier one.

        Raises:
            TicketDeleted: The owner has deleted the ticket.
            OutcomeUnknown: The answer was lost, or the owner has queued the ticket again.
        """
        if_lost = f"ticket {ticket} may be {status}; ask for its status"

        def was_done() -> str | None:
            now = self.status(ticket)
            if now is TicketStatus.DELETED:
                raise TicketDeleted(f"ticket {ticket} has been deleted")
            if not (now is TicketStatus.CLAIMED or now.final):
                # The owner has queued the ticket again: a second report would end another attempt.
                raise OutcomeUnknown(f"ticket {ticket} is {now}, after it was reported {status}")
            return status.value if now is status else None

        fields = {"status": status.value}
        self._post(ticket, "status", fields, word(status.value), if_lost, was_done)

    def _post(
        self,
        ticket: int,
        what: str,
        fields: dict[str, str],
        read: Callable[[str], T],
        if_lost: str | None,
        was_done: Callable[[], T | None] | None = None,
    ) -> T:
        path = f"api/pro/tickets/{ticket}/{what}"
        return self.session.post_form(path, fields, read, if_lost=if_lost, was_done=was_done)


def _read_claim(text: str) -> Claim | None:
    if text.strip() in _NO_TICKET:
        return None
    claims = rows(Claim, "ticket", "hash", "status")(text)
    if len(claims) != 1:
        raise InvalidResponse(f"{len(claims)} tickets in the answer to a claim: {shown(text)!r}")
    return claims[0]


def _joined(hashes: Sequence[str]) -> str:
    """Join hashes for the server, which would take an empty hash for an unknown service."""
    if isinstance(hashes, str) or not hashes or not all(hashes):
        raise ValueError(f"not a list of hashes of services: {hashes!r}")
    return ",".join(hashes)

"""`DSSClient`, compatible with `itksnap-dss`: the calls of a provider, with tables of pandas."""

from __future__ import annotations

import getpass
import io
import operator
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, SupportsIndex

import requests

from dss.errors import NotLoggedIn
from dss.http.session import Session
from dss.login import Credentials, login, user
from dss.provider import Category, Provider
from dss.records import Claim, TicketStatus
from snapws.extras import install_hint

if TYPE_CHECKING:
    import pandas

Ticket = SupportsIndex | str
"""Number of a ticket: an int, an integer of numpy, or text."""

_NUMBERS = ("ticket", "index", "ready_tickets")


class DSSClient:
    """The calls of a provider, with the interface of `itksnap-dss`.

    The intended differences from that package:

    - The login is stored where `dss login` and `itksnap-wt` store it, not in a keyring. The first
      call uses the stored login.
    - Every column of text stays text: a version "1.10" is not converted to a number.
    - A failure raises one of the errors of `dss.errors`, with the server's message.
    - A response is a `requests.Response`, with `status_code` and `text`. Nothing is printed.

    Args:
        server: URL of the middleware.
        verify: Whether to check the server's certificate; or the path of a bundle of authorities.

    Raises:
        ImportError: Pandas is not installed.
    """

    def __init__(self, server: str, verify: bool | str = True) -> None:
        _import_pandas()  # fail now, and not after a ticket was claimed
        self.server = server
        self.verify = verify
        self._session: Session | None = None

    # ---------------------------------------------------------------------- login

    def login(self, token: str | None = None) -> requests.Response:
        """Log in with a token, and store the login. Without a token, prompt for one.

        Raises:
            NotLoggedIn: The token is wrong, or was used before. An earlier login is kept.
        """
        if token is None:
            token = getpass.getpass(f"Token (from {self.server.rstrip('/')}/token): ")
        session = login(self.server, token, verify=self.verify)
        Credentials().save(session)
        self._session = session
        return _response(f"logged in as {user(session)}")

    def login_if_needed(self) -> None:
        """Prompt for a token and log in, unless the stored login is still valid."""
        try:
            user(self._provider.session)
        except NotLoggedIn:
            self.login()

    @property
    def _provider(self) -> Provider:
        if self._session is None:
            self._session = Credentials().open_session(self.server, verify=self.verify)
        return Provider(self._session)

    # -------------------------------------------------------------------- tickets

    def dssp_list_services(self) -> pandas.DataFrame:
        """List the services that the user provides: `service`, `version`, `hash`, `provider`."""
        services = self._provider.services()
        return _table(
            service=[one.name for one in services],
            version=[one.version for one in services],
            hash=[one.hash for one in services],
            provider=[one.provider for one in services],
        )

    def dssp_available_services(self, services: Sequence[str]) -> pandas.DataFrame | None:
        """List those services that have tickets to claim, without claiming any.

        Returns:
            `service` (its hash), `service_name`, `ready_tickets`; None if no ticket waits, or if
            the server is too old for this call.
        """
        found = self._provider.available(list(services))
        if not found:
            return None
        return _table(
            service=[one.hash for one in found],
            service_name=[one.name for one in found],
            ready_tickets=[one.ready for one in found],
        )

    def dssp_claim_ticket(
        self, services: Sequence[str], provider: str, provider_code: str
    ) -> pandas.DataFrame | None:
        """Claim the oldest ticket that waits for one of the services.

        Returns:
            One row of `ticket`, `service` (its hash), `status`; None if no ticket waits.

        Raises:
            OutcomeUnknown: The answer was lost. A ticket may have been claimed.
        """
        return _claimed(self._provider.claim(list(services), provider, provider_code))

    def dssp_wait_for_ticket(
        self,
        services: Sequence[str],
        provider: str,
        provider_code: str,
        timeout: float = 300,
        interval: float = 15,
    ) -> pandas.DataFrame | None:
        """Wait for a ticket, and claim it.

        Args:
            services: Hashes of the services.
            provider: Name of the provider.
            provider_code: Name of this worker.
            timeout: Seconds to wait. 0 asks once.
            interval: Seconds between two requests.

        Returns:
            As `dssp_claim_ticket`; None when the time is over.
        """
        return _claimed(
            self._provider.wait_for_claim(
                list(services), provider, provider_code, timeout=timeout, interval=interval
            )
        )

    def dssp_list_ticket_files(self, ticket: Ticket) -> pandas.DataFrame:
        """List the input files of a claimed ticket: `index`, `filename`."""
        files = self._provider.files(_number(ticket))
        return _table(index=[one.index for one in files], filename=[one.name for one in files])

    def dssp_download_ticket(self, ticket: Ticket, outdir: str | Path) -> None:
        """Fetch the input of a claimed ticket into a folder, created if it does not exist."""
        self._provider.download(_number(ticket), outdir)

    def dssp_set_progress(
        self, ticket: Ticket, progress: float, chunk_start: float = 0.0, chunk_end: float = 1.0
    ) -> None:
        """Set the progress of a part of the work, 0 to 1, as `Provider.progress` does."""
        self._provider.progress(_number(ticket), progress, start=chunk_start, end=chunk_end)

    def dssp_log(self, ticket: Ticket, category: Category, message: str) -> None:
        """Add a line to the ticket's log."""
        self._provider.log(_number(ticket), category, message)

    def dssp_set_status(self, ticket: Ticket, status: Literal["failed", "success"]) -> None:
        """Report the ticket as done, or as failed.

        Raises:
            ValueError: `status` is neither.
        """
        if status not in ("failed", "success"):
            raise ValueError(f"{status!r} is neither failed nor success")
        # Not `fail`, which adds a line to the log: such a script adds it by itself.
        self._provider.set_status(_number(ticket), TicketStatus(status))

    def dssp_attach(
        self, ticket: Ticket, desc: str, filename: str | Path, mime_type: str = ""
    ) -> requests.Response:
        """Attach a file to the next line of the ticket's log."""
        kind = mime_type or "application/octet-stream"
        number = self._provider.attach(_number(ticket), desc, filename, kind)
        return _response(str(number))

    def dssp_upload_ticket(
        self, ticket: Ticket, workspace_file: str | Path, wsfile_suffix: str = ""
    ) -> None:
        """Archive a workspace and send it as the ticket's result.

        Args:
            ticket: The ticket.
            workspace_file: The workspace.
            wsfile_suffix: The end of the workspace's name on the server, after `ticket_%08d`.
                ITK-SNAP's own tools use `_results`.
        """
        self._provider.upload(_number(ticket), workspace_file, suffix=wsfile_suffix)


def _claimed(claim: Claim | None) -> pandas.DataFrame | None:
    if claim is None:
        return None
    return _table(ticket=[claim.ticket], service=[claim.hash], status=[str(claim.status)])


def _number(ticket: Ticket) -> int:
    return int(ticket) if isinstance(ticket, str) else operator.index(ticket)


def _import_pandas() -> Any:
    try:
        import pandas
    except ImportError as error:
        raise ImportError(
            f"DSSClient returns tables of pandas, which is not installed; {install_hint('compat')}"
        ) from error
    return pandas


def _table(**columns: Sequence[str] | Sequence[int]) -> pandas.DataFrame:
    """Return a table with typed columns, even if it has no rows."""
    series = _import_pandas().Series
    return _import_pandas().DataFrame(
        {
            name: series(values, dtype="int64" if name in _NUMBERS else str)
            for name, values in columns.items()
        }
    )


def _response(text: str) -> requests.Response:
    """Return a response with the given text, for scripts that look at it."""
    response = requests.Response()
    response.status_code = 200
    response.encoding = "utf-8"
    response.raw = io.BytesIO(text.encode())
    return response

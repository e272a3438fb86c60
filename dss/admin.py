"""The calls of an administrator: providers, their users, and the services that they offer."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal
from urllib.parse import quote

from dss.errors import InvalidResponse, NotFound, Refused
from dss.http.session import Session
from dss.parsing import read_names, rows, word
from dss.records import AnyTicket, ProviderUser, Service
from dss.text import shown


class Admin:
    """The calls of an administrator. For other users they raise `NotPermitted`.

    Every call also raises `NotLoggedIn`, `NetworkFailed` and `ServerFailed`. Calls that add or
    purge also raise `OutcomeUnknown`. Every call may be repeated without harm.

    Args:
        session: The login of the administrator.
    """

    def __init__(self, session: Session) -> None:
        self.session = session

    def providers(self) -> list[str]:
        """List the names of all providers, deleted ones too."""
        return self.session.get_text("api/admin/providers", read_names)

    def add_provider(self, name: str) -> None:
        """Add a provider, or restore a deleted one.

        Raises:
            Refused: The name has other characters than letters, digits, `_` and `-`. The server
                would add such a provider, but none of its routes would find the provider.
        """
        if not re.fullmatch(r"[\w-]+", name):
            raise Refused(
                f"a provider cannot be named {shown(name)!r}: use letters, digits, '_' and '-'"
            )
        self._post("api/admin/providers", {"name": name}, word("success"))

    def delete_provider(self, name: str) -> None:
        """Delete a provider.

        Raises:
            NotFound: There is no such provider.
        """
        self._delete(self._known(name))

    def users(self, provider: str) -> list[ProviderUser]:
        """List the users who may provide services for a provider.

        Raises:
            NotFound: There is no such provider.
        """
        return self.session.get_text(
            f"{self._known(provider)}/users", rows(ProviderUser, "id", "email", "admin")
        )

    def add_user(self, provider: str, email: str) -> None:
        """Let a user provide services for a provider.

        Raises:
            NotFound: There is no such provider, or no user with that address.
        """
        self._post(f"{self._known(provider)}/users", {"email": email}, _matching("Added user.*"))

    def delete_user(self, provider: str, user: int) -> None:
        """Remove a user, by number, from a provider."""
        self._delete(f"api/admin/providers/{quote(provider, safe='')}/users/{user}")

    def services(self, provider: str) -> list[Service]:
        """List the services that a provider offers.

        Raises:
            NotFound: There is no such provider.
        """
        return self.session.get_text(
            f"{self._known(provider)}/services",
            rows(Service, "name", "version", "hash", "description"),
        )

    def add_service(self, provider: str, repository: str, ref: str = "HEAD") -> str:
        """Make a provider offer the service that a git repository describes.

        Args:
            provider: Name of the provider.
            repository: URL, or a path on the server, of a repository with a `service.json`.
            ref: Branch, tag or full hash of a commit.

        Returns:
            Hash of the service, equal to the hash of the commit.

        Raises:
            Refused: The repository or the ref cannot be fetched, or another commit has the same
                name and version.
            NotFound: There is no such provider.
            OutcomeUnknown: The server failed. This also happens if the `service.json` lacks name,
                version or shortdesc.
        """
        fields = {"repo": repository, "ref": ref}
        path = f"{self._known(provider)}/services"
        try:
            return self._post(path, fields, _matching("([0-9a-f]{40})"))
        except Refused as error:
            if not re.search(r"Git repository|service\.json", error.text):
                raise
            raise Refused(
                f"{error}; the server fetches it by itself: is a service.json committed there, at "
                "the top, and can the server reach it? dss service check looks at the file",
                status=error.status,
                text=error.text,
            ) from error

    def delete_service(self, provider: str, hash: str) -> None:  # noqa: A002 - the field's word
        """Withdraw a service from a provider. Other providers of the service keep it."""
        self._delete(f"api/admin/providers/{quote(provider, safe='')}/services/{hash}")

    def tickets(self) -> list[AnyTicket]:
        """List the tickets of all users."""
        return self.session.get_text(
            "api/admin/tickets", rows(AnyTicket, "id", "email", "service", "status", "minutes")
        )

    def purge(self, which: Literal["completed", "all"], *, hours: float) -> int:
        """Delete tickets that were made more than some hours ago, with their files.

        Returns:
            The number of deleted tickets.
        """
        path = f"api/admin/tickets/purge/{which}"
        return int(self._post(path, {"hours": str(hours)}, _matching("Purged ([0-9]+) tickets")))

    def _known(self, provider: str) -> str:
        """Return the API path of a provider, after a check that the server itself does not make."""
        names = self.providers()
        if provider not in names:
            known = shown(", ".join(names)) or "none"
            raise NotFound(
                f"there is no provider {shown(provider)!r}; providers: {known}; "
                f"add it first: dss admin providers add {shown(provider)}"
            )
        return f"api/admin/providers/{quote(provider, safe='')}"

    def _post(self, path: str, fields: dict[str, str], read: Callable[[str], str]) -> str:
        if_lost = "it may have been done; the list tells, and doing it again does no harm"
        return self.session.post_form(path, fields, read, if_lost=if_lost)

    def _delete(self, path: str) -> None:
        # A GET that may be repeated. "None" is one of the server's answers.
        self.session.get_text(f"{path}/delete", word("success", "None", ""))


def _matching(form: str) -> Callable[[str], str]:
    """Return a reader that matches an answer with a pattern and returns the last group."""

    def read(text: str) -> str:
        found = re.fullmatch(form, text.strip())
        if found is None:
            raise InvalidResponse(f"the server answered {shown(text)!r}, which is invalid")
        return found[found.re.groups]

    return read

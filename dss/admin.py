"""What an administrator does: providers, who belongs to them, and which services they offer."""

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
    """The calls of an administrator; to others they raise `NotPermitted`.

    Every call raises `NotLoggedIn`, `NetworkFailed` and `ServerFailed` besides what it names, and
    those that add something or purge `OutcomeUnknown`; doing any of them again does no harm.

    Args:
        session: The login of the administrator.
    """

    def __init__(self, session: Session) -> None:
        self.session = session

    def providers(self) -> list[str]:
        """List the names of all providers, deleted ones too."""
        return self.session.get_text("api/admin/providers", read_names)

    def add_provider(self, name: str) -> None:
        """Add a provider, or restores a deleted one.

        Raises:
            Refused: The name has other characters than letters, digits, `_` and `-`. The server
                would add it, and then find it under none of its routes.
        """
        if not re.fullmatch(r"[\w-]+", name):
            raise Refused(
                f"a provider cannot be named {shown(name)!r}: use letters, digits, '_' and '-'"
            )
        self._post("api/admin/providers", {"name": name}, word("success"))

    def delete_provider(self, name: str) -> None:
        """Delete a provider.

        Raises:
            NotFound: There is none of that name.
        """
        self._delete(self._known(name))

    def users(self, provider: str) -> list[ProviderUser]:
        """List who may provide services for a provider.

        Raises:
            NotFound: There is no such provider.
        """
        return self.session.get_text(
            f"{self._known(provider)}/users", rows(ProviderUser, "id", "email", "admin")
        )

    def add_user(self, provider: str, email: str) -> None:
        """Let a user provide services for a provider.

        Raises:
            NotFound: There is no such provider, or no user of that address.
        """
        self._post(f"{self._known(provider)}/users", {"email": email}, _matching("Added user.*"))

    def delete_user(self, provider: str, user: int) -> None:
        """Take a user, by number, out of a provider."""
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
            Hash of the service, which is that of the commit.

        Raises:
            Refused: The repository or the ref cannot be fetched, or another commit has the same
                name and version.
            NotFound: There is no such provider.
            OutcomeUnknown: The server failed: so it answers to a `service.json` without name,
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
        """Withdraw a service from a provider; other providers of it are not touched."""
        self._delete(f"api/admin/providers/{quote(provider, safe='')}/services/{hash}")

    def tickets(self) -> list[AnyTicket]:
        """List the tickets of all users."""
        return self.session.get_text(
            "api/admin/tickets", rows(AnyTicket, "id", "email", "service", "status", "minutes")
        )

    def purge(self, which: Literal["completed", "all"], *, hours: float) -> int:
        """Delete tickets that were made more than some hours ago, with their files.

        Returns:
            How many.
        """
        path = f"api/admin/tickets/purge/{which}"
        return int(self._post(path, {"hours": str(hours)}, _matching("Purged ([0-9]+) tickets")))

    def _known(self, provider: str) -> str:
        """Return the path of a provider; the server accepts one that never existed, too."""
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
        # A GET, and one that says the same however often it is sent; `None` is the server's word.
        self.session.get_text(f"{path}/delete", word("success", "None", ""))


def _matching(form: str) -> Callable[[str], str]:
    """Return a reader of answers of a form, which returns the part of it in brackets."""

    def read(text: str) -> str:
        found = re.fullmatch(form, text.strip())
        if found is None:
            raise InvalidResponse(f"the server answered {shown(text)!r}, which is invalid")
        return found[found.re.groups]

    return read

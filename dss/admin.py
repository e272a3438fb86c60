"""What an administrator does: providers, who belongs to them, and which services they offer."""

from __future__ import annotations

import re
from typing import Literal
from urllib.parse import quote

from dss.errors import BadAnswer, Refused, shown
from dss.records import AnyTicket, ProviderUser, Service, read_csv, read_names, read_word
from dss.session import Session


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
        """Lists the names of all providers, deleted ones too."""
        return read_names(self.session.get_text("api/admin/providers"))

    def add_provider(self, name: str) -> None:
        """Adds a provider, or restores a deleted one.

        Raises:
            Refused: The name has other characters than letters, digits, `_` and `-`. The server
                would add it, and then find it under none of its routes.
        """
        if not re.fullmatch(r"[\w-]+", name):
            raise Refused(
                f"a provider cannot be named {shown(name)!r}: use letters, digits, '_' and '-'"
            )
        read_word(self._post("api/admin/providers", {"name": name}), "success")

    def delete_provider(self, name: str) -> None:
        """Deletes a provider; the server says nothing of one that never was."""
        self._delete(_provider(name))

    def users(self, provider: str) -> list[ProviderUser]:
        """Lists who may provide services for a provider."""
        text = self.session.get_text(f"{_provider(provider)}/users")
        return read_csv(ProviderUser, ("id", "email", "admin"), text)

    def add_user(self, provider: str, email: str) -> None:
        """Lets a user provide services for a provider.

        Raises:
            NotFound: The server knows no user of that address.
        """
        answer = self._post(f"{_provider(provider)}/users", {"email": email})
        if not answer.startswith("Added user"):
            raise BadAnswer(f"the server answered {shown(answer)!r} to adding a user")

    def delete_user(self, provider: str, user: int) -> None:
        """Takes a user, by number, out of a provider."""
        self._delete(f"{_provider(provider)}/users/{user}")

    def services(self, provider: str) -> list[Service]:
        """Lists the services that a provider offers."""
        text = self.session.get_text(f"{_provider(provider)}/services")
        return read_csv(Service, ("name", "version", "hash", "description"), text)

    def add_service(self, provider: str, repository: str, ref: str = "HEAD") -> str:
        """Makes a provider offer the service that a git repository describes.

        Args:
            provider: Name of the provider.
            repository: URL, or a path on the server, of a repository with a `service.json`.
            ref: Branch, tag or full hash of a commit.

        Returns:
            Hash of the service: that of the commit.

        Raises:
            Refused: The repository or the ref cannot be fetched, or another commit has the same
                name and version.
            OutcomeUnknown: The server failed: so it answers to an unknown provider, and to a
                `service.json` without name, version or shortdesc.
        """
        fields = {"repo": repository, "ref": ref}
        answer = self._post(f"{_provider(provider)}/services", fields).strip()
        if not re.fullmatch("[0-9a-f]{40}", answer):
            raise BadAnswer(f"the server answered {shown(answer)!r} instead of a hash")
        return answer

    def delete_service(self, provider: str, hash: str) -> None:  # noqa: A002 - the field's word
        """Withdraws a service from a provider; other providers of it are not touched."""
        self._delete(f"{_provider(provider)}/services/{hash}")

    def tickets(self) -> list[AnyTicket]:
        """Lists the tickets of all users."""
        text = self.session.get_text("api/admin/tickets")
        return read_csv(AnyTicket, ("id", "email", "service", "status", "minutes"), text)

    def purge(self, which: Literal["completed", "all"], *, hours: float) -> int:
        """Deletes tickets that were made more than some hours ago, with their files.

        Returns:
            How many.
        """
        answer = self._post(f"api/admin/tickets/purge/{which}", {"hours": str(hours)})
        purged = re.fullmatch(r"Purged ([0-9]+) tickets", answer.strip())
        if not purged:
            raise BadAnswer(f"the server answered {shown(answer)!r} to a purge")
        return int(purged[1])

    def _post(self, path: str, fields: dict[str, str]) -> str:
        doubt = "it may have been done; the list tells, and doing it again does no harm"
        return self.session.post_form(path, fields, doubt=doubt)

    def _delete(self, path: str) -> None:
        # A GET, and one that says the same however often it is sent; `None` is the server's word.
        read_word(self.session.get_text(f"{path}/delete"), "success", "None", "")


def _provider(name: str) -> str:
    return f"api/admin/providers/{quote(name, safe='')}"

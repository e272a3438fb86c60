"""The services of a runner: those that its file declares and the provider offers."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from dss.errors import NotFound

if TYPE_CHECKING:
    from dss.provider import Provider
    from dss.serving.settings import Settings

_PAUSE = 300.0  # seconds between two searches: there may be another version

_log = logging.getLogger(__name__)


class Services:
    """The services of a runner.

    Args:
        settings: For which provider, and which services.
        declared: Names of the services that the runner's file declares.

    Attributes:
        served: Names of the services that are served, by their hashes.
    """

    def __init__(self, settings: Settings, declared: set[str]) -> None:
        self._settings = settings
        self._declared = self._known = declared
        self.served: dict[str, str] = {}
        self._names: dict[str, str] = {}  # of services that have been withdrawn, too
        self._search_at = 0.0

    @property
    def due(self) -> bool:
        """Return whether it is time to search."""
        return not self.served or time.monotonic() >= self._search_at

    def search(self) -> Callable[[Provider], dict[str, str]]:
        """Begin a search for the declared services that the provider offers.

        Returns:
            What asks the server, from any thread; its outcome is for `serve`. It raises `NotFound`
            if the provider offers none of them, or not one that was asked for.
        """
        self._search_at = time.monotonic() + _PAUSE
        known = self._known
        return lambda calls: _offered(calls, self._settings, known)

    def serve(self, found: dict[str, str]) -> None:
        """Serve the services that a search has found."""
        self.served = found
        self._names |= found

    def declare(self, names: set[str]) -> None:
        """Take tickets of nothing but the services that the file declares now."""
        gone = ", ".join(sorted({*self.served.values()} - names))
        if gone and names != self._declared:
            _log.error("the service's file no longer declares %s: that is not claimed", gone)
        if not names <= self._known:
            self._search_at = 0.0
        # What is gone is looked after still: it may come back, as workers will say.
        self._declared, self._known = names, self._known | names

    def name(self, hash_: str) -> str:
        """Return the name of a service that is or was served; of another one, its hash."""
        return self._names.get(hash_, hash_)

    def declares(self, hash_: str) -> bool:
        """Return whether the file declares a service now that is served."""
        return self.served.get(hash_) in self._declared


def _offered(calls: Provider, settings: Settings, declared: set[str]) -> dict[str, str]:
    """Return the names of the services that are to be served, by their hashes.

    Raises:
        NotFound: The provider offers none of them, or not one that was asked for.
    """
    lab, wanted = settings.provider, settings.services
    every = calls.services()
    rows = [row for row in every if row.provider == lab]
    names = ", ".join(sorted({row.name for row in rows})) or "none"
    if every and not rows:  # the server does not tell a provider that there is not
        others = ", ".join(sorted({row.provider for row in every}))
        names += f"; you can serve for: {others}"
    for one in wanted:
        if not any(one in (row.name, row.hash) for row in rows):
            raise NotFound(f"{lab} offers you no service {one}; it offers: {names}")
    found = {
        row.hash: row.name
        for row in rows
        if row.name in declared and (not wanted or {row.name, row.hash} & {*wanted})
    }
    if not found:
        own = ", ".join(sorted(declared))
        raise NotFound(
            f"{lab} does not offer you what the service's file declares ({own}); it "
            f"offers: {names}; an administrator adds it: dss admin services add {lab} FOLDER"
        )
    return found

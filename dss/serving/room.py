"""The room on the disk of a work folder, and how finished tickets make some."""

from __future__ import annotations

import logging
import time

from dss.serving import workdir
from dss.serving.journal import Journal
from dss.serving.logs import size
from dss.serving.settings import Settings

_log = logging.getLogger(__name__)


class Room:
    """The room of one work folder.

    Args:
        journal: Its journal.
        settings: How much is to be left, and how long finished tickets are kept.
    """

    def __init__(self, journal: Journal, settings: Settings) -> None:
        self._journal = journal
        self._settings = settings
        self._full = False

    def suffices(self) -> bool:
        """Tell whether there is room for another ticket; finished ones make some if need be."""
        settings = self._settings
        finished = iter(self._journal.expired(time.time()))
        while full := workdir.free(settings.workdir) < settings.min_free:
            entry = next(finished, None)
            if entry is None:
                break
            self.remove(entry.ticket)
        if full and not self._full:
            room = size(settings.min_free)
            _log.warning("no ticket is claimed: less than %s free for %s", room, settings.workdir)
        self._full = full
        return not full

    def is_short(self) -> bool:
        """Tell whether the disk is nearly full, for all."""
        return workdir.free(self._settings.workdir) < self._settings.min_free / 4

    def clean(self) -> None:
        """Remove the files of tickets that are finished long since."""
        for entry in self._journal.expired(time.time() - self._settings.keep):
            self.remove(entry.ticket)
        if not self._full:
            self._journal.keep_spare()

    def remove(self, ticket: int) -> None:
        """Remove the files of a ticket."""
        if workdir.remove(self._settings.workdir, ticket):
            self._journal.removed(ticket)

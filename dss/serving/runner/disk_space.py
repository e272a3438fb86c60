"""The free space on the disk of a work folder; finished tickets are removed to free more."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable

from dss.serving import workdir
from dss.serving.journal import Journal
from dss.serving.monitoring.logs import size
from dss.serving.settings import Settings

_PAUSE = 10.0  # seconds between two looks at who fills the disk, where no job does

_log = logging.getLogger(__name__)


class DiskSpace:
    """The room of one work folder.

    Args:
        journal: Its journal.
        settings: How much is to be left, and how long finished tickets are kept.

    Attributes:
        lack: What there is to say where there was no room for another ticket; else empty.
    """

    def __init__(self, journal: Journal, settings: Settings) -> None:
        self._journal = journal
        self._settings = settings
        self.lack = ""
        self._look_at = 0.0
        self._filled = False  # by others than the jobs, as far as is known

    def explain(self, reason: str) -> None:
        """Remark what the place of the work folder may have to do with a failure."""
        words = ("AF_UNIX", "EOFError")  # the latter comes of `multiprocessing.Manager()`
        if any(word in reason for word in words) and workdir.is_too_deep(self._settings.workdir):
            _log.warning(
                "the path of %s is so long that no socket fits into a job's temporary folder: if "
                "that is why, give a shorter --workdir",
                self._settings.workdir,
            )

    def suffices(self) -> bool:
        """Return whether a further ticket has space; finished ones are removed if need be."""
        settings = self._settings
        finished = iter(self._journal.expired(time.time()))
        while full := workdir.free(settings.workdir) < settings.min_free:
            entry = next(finished, None)
            if entry is None:
                break
            self.remove(entry.ticket)
        least = f"less than {size(settings.min_free)} free for {settings.workdir}"
        before, self.lack = self.lack, f"no ticket is claimed: {least}" if full else ""
        if full and not before:
            _log.warning("%s", self.lack)
        return not full

    def is_short(self) -> bool:
        """Return whether the disk is nearly full, and it is time to find out why."""
        short = self._lacking() > 0
        self._filled = self._filled and short
        return short and time.monotonic() >= self._look_at

    def culprit(self, tickets: Iterable[int]) -> int | None:
        """Return the ticket at work that has filled the disk.

        It is the one with the most files, if these are what is lacking: else somebody else has
        filled it, for which no job is ended. That is remarked once.
        """
        folder, lacking = self._settings.workdir, self._lacking()
        if lacking <= 0:
            return None
        largest = workdir.largest(folder, tickets, lacking)
        if largest is None:
            self._look_at = time.monotonic() + _PAUSE  # folders may have many files
            if not self._filled:
                _log.warning("the disk of %s is nearly full, and by no job here: make room", folder)
            self._filled = True
        return largest

    def _lacking(self) -> float:
        """Return how many bytes all jobs need beyond those that are free."""
        return self._settings.min_free / 4 - workdir.free(self._settings.workdir)

    def clean(self) -> None:
        """Remove the files of tickets that are finished long since."""
        for entry in self._journal.expired(time.time() - self._settings.keep):
            self.remove(entry.ticket)
        if not self.lack:
            self._journal.keep_spare()

    def remove(self, ticket: int) -> None:
        """Remove the files of a ticket."""
        if workdir.remove(self._settings.workdir, ticket):
            self._journal.removed(ticket)

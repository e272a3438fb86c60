"""Messages of a command that are not results: it waits for the server, or advises after errors."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from dss.errors import DssError, NetworkFailed, NotFound, NotPermitted
from snapws.cli import render

# The names of logs, without loading what writes them.
_WAITING = "dss.http.session.waiting"
_DOWNLOADS = "dss.transfer.downloads"


class _Remarks(logging.Handler):
    def __init__(self, addition: str) -> None:
        super().__init__()
        self._addition = addition

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record, unless the command shows its whole log, where it is said already."""
        whole = (one for one in logging.getLogger("dss").handlers if one is not self)
        if any(record.levelno >= one.level for one in whole):
            return
        render.note(record.getMessage() + self._addition)


@contextmanager
def remarking(name: str, level: int, addition: str = "") -> Iterator[None]:
    """Print log records as notes, until the end of the context.

    Args:
        name: Name of the logger.
        level: The lowest level that is printed, as in `logging`.
        addition: Text after each record.
    """
    from dss.serving.monitoring.logs import handled

    with handled(name, _Remarks(addition), level):
        yield


@contextmanager
def talking() -> Iterator[None]:
    """Print the log of the calls inside this context as notes, and add advice to their errors."""
    try:
        with (
            remarking(_WAITING, logging.INFO, " (--patience)"),
            remarking(_DOWNLOADS, logging.WARNING),
        ):
            yield
    except (NetworkFailed, NotFound, NotPermitted) as error:
        if advice := _advice(error):
            error.args = (f"{error}; {advice}",)
        raise


def _advice(error: DssError) -> str:
    if isinstance(error, NotPermitted) and "Insufficient privileges" in error.text:
        return "this is for administrators: dss whoami tells who is logged in"
    if isinstance(error, NotFound) and error.text.startswith("Ticket"):
        # Only the path in the message shows whether the user's own tickets were meant.
        return "yours: dss tickets list" if " api/tickets/" in str(error) else ""
    if type(error) is NetworkFailed and isinstance(error.__cause__, Exception):
        from dss.http.retry import is_permanent, never_sent

        if never_sent(error.__cause__) and not is_permanent(error.__cause__):
            return (
                "is the server running (dss middleware runs one on this machine), or is another "
                "one meant (dss login, --server)?"
            )
    return ""

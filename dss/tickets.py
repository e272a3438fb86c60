"""A user's ticket: choosing its service, keeping or deleting it after a failure, waiting for it."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from dss.errors import (
    DssError,
    NetworkFailed,
    NotFound,
    OutcomeUnknown,
    ServerFailed,
    TimedOut,
    Unfinished,
)
from dss.records import Service, TicketDetail
from dss.text import shown

_LOOK = 1.0  # timeout in seconds of the only request if the time to wait is 0
_LAST_LOOK = 0.2  # the last request begins at least so many seconds before the end of the wait

_log = logging.getLogger(__name__)


def newest(listed: Sequence[Service], name: str) -> Service:
    """Return the service of a name with the highest version; 1.10 is higher than 1.9.

    Only listed services are considered, because the server also accepts withdrawn ones.

    Raises:
        NotFound: No service has that name.
    """
    versions = [one for one in listed if one.name == name]
    if not versions:
        names = ", ".join(sorted({one.name for one in listed})) or "none"
        raise NotFound(f"no service is named {name!r}; services: {shown(names)}")
    return max(versions, key=lambda one: _numbers(one.version))


@contextmanager
def kept(ticket: int) -> Iterator[None]:
    """Keep a ticket whose upload fails inside this context.

    Raises:
        Unfinished: Network or server failed. The message says how to go on.
    """
    try:
        yield
    except (NetworkFailed, ServerFailed) as error:
        raise _unfinished(ticket, error) from error


@contextmanager
def kept_or_deleted(ticket: int, delete: Callable[[int], None]) -> Iterator[None]:
    """Keep a new ticket if network or server fail inside this context, delete it at other errors.

    A ticket that cannot be filled for a local reason would only count towards the quota.

    Args:
        ticket: The ticket.
        delete: Deletes the ticket.

    Raises:
        Unfinished: Network or server failed, or the ticket could not be deleted.
        OutcomeUnknown: The ticket may be queued, and a provider may work on it.
    """
    try:
        with kept(ticket):
            yield
    except (OutcomeUnknown, Unfinished):
        raise
    except BaseException as error:
        try:
            delete(ticket)
        except DssError as failure:
            if isinstance(error, Exception):
                raise _unfinished(ticket, error) from failure
            _log.warning("ticket %d stays and counts towards the quota: %s", ticket, failure)
        raise


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall("[0-9]+", version)]


def _unfinished(ticket: int, cause: Exception) -> Unfinished:
    return Unfinished(
        f"{cause}; ticket {ticket} is kept, but not queued: go on with "
        f"`dss submit WORKSPACE --ticket {ticket}`",
        ticket=ticket,
    )


def follow(
    look: Callable[[int, float | None], TicketDetail],
    ticket: int,
    *,
    timeout: float | None,
    interval: float,
) -> Iterator[TicketDetail]:
    """Yield a ticket whenever it has changed, until its status is final, as in `Client.wait`.

    Args:
        look: Returns the ticket with its log after an entry, within some seconds.
        ticket: The ticket's number.
        timeout: As for `Client.wait`.
        interval: As for `Client.wait`.

    Raises:
        TimedOut: The ticket was not over in time.
    """
    begin = time.monotonic()
    seen: TicketDetail | None = None
    since = 0

    def left() -> float | None:
        return None if timeout is None else max(0.0, begin + timeout - time.monotonic())

    last = timeout == 0
    within = _LOOK if last else timeout
    while True:
        looked = time.monotonic()
        try:
            now = look(since, within)
        except (NetworkFailed, ServerFailed) as error:
            if left() != 0:
                raise
            raise TimedOut(f"{timeout:g} s are over, and ticket {ticket}: {error}") from error
        # Assume that the next request takes about as long as the last one.
        margin = max(_LAST_LOOK, 2 * (time.monotonic() - looked))
        since = max((entry.id for entry in now.log), default=since)
        if now != seen:
            yield now
        if now.status.final:
            return
        seen = replace(now, log=())
        within = left()
        if within is None:
            time.sleep(interval)
        elif not last:
            rest = max(0.0, within - margin)
            last = interval >= rest
            time.sleep(min(interval, rest))
            within = left()
        else:
            time.sleep(within)
            raise TimedOut(
                f"ticket {ticket} is still {now.status} after {timeout:g} s; it goes on: "
                "look again later"
            )

"""Which service a ticket is for, and what becomes of a ticket that cannot be filled."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from dss.errors import (
    DssError,
    NetworkFailed,
    NotFound,
    OutcomeUnknown,
    ServerFailed,
    Unfinished,
    shown,
)
from dss.records import Service

_log = logging.getLogger(__name__)


def newest(listed: Sequence[Service], name: str) -> Service:
    """Give the service of a name with the highest version, of which 1.10 is higher than 1.9.

    The server would take one that was withdrawn, too: so of those that are listed.

    Raises:
        NotFound: None has that name.
    """
    versions = [one for one in listed if one.name == name]
    if not versions:
        names = ", ".join(sorted({one.name for one in listed})) or "none"
        raise NotFound(f"no service is named {name!r}; services: {shown(names)}")
    return max(versions, key=lambda one: _numbers(one.version))


@contextmanager
def kept(ticket: int) -> Iterator[None]:
    """Fill a ticket; one that network or server failed stays, to go on with.

    Raises:
        Unfinished: They did; the message says how to go on.
    """
    try:
        yield
    except (NetworkFailed, ServerFailed) as error:
        raise _unfinished(ticket, error) from error


@contextmanager
def kept_or_deleted(ticket: int, delete: Callable[[int], None]) -> Iterator[None]:
    """Fill and queue a new ticket; it is deleted where the reason that it cannot be lies here.

    It would count towards the quota.

    Args:
        ticket: The ticket.
        delete: Deletes it.

    Raises:
        Unfinished: Network or server failed, or it could not be deleted.
        OutcomeUnknown: It may be queued, and somebody at work on it.
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

"""The one ticket of ``dss run --ticket``.

The server claims the oldest ticket that waits, never one by its number, and has no way to return a
claimed one. So the ticket is one that this login has claimed already (``dss provider claim``), or
the one that the next claim takes, as far as the numbers of waiting tickets tell: should another
one be claimed, it is worked on, and the runner ends with an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from dss.errors import NotFound, ServiceError, WrongState
from dss.provider import Provider
from dss.records import TicketStatus

_BEFORE = 500  # numbers before the ticket among which older ones that wait are searched

_CLAIM_FIRST = "claim it with dss provider claim, and give the number that this prints"


class Chosen(NamedTuple):
    """The services of which one is that of the ticket, and whether it is claimed already."""

    hashes: list[str]
    claimed: bool


def find(calls: Provider, ticket: int, services: Mapping[str, str]) -> Chosen:
    """Find out how to come by a ticket; claims nothing.

    Args:
        calls: The login's calls.
        ticket: The ticket.
        services: Names of the services that are served, by their hashes.

    Raises:
        ServiceError: It does not exist, is claimed by somebody else or finished, is of another
            service, or would not be the next to be claimed.
        DssError: The server did not answer.
    """
    ready = _count_ready(calls)
    try:
        status = calls.status(ticket)
    except NotFound as error:
        raise ServiceError(
            f"there is no ticket {ticket} of a service that this login provides"
        ) from error
    if status is TicketStatus.CLAIMED:
        return _claimed(calls, ticket, services)
    if status is not TicketStatus.READY:
        raise ServiceError(f"ticket {ticket} is {status}: it does not wait for a runner")
    hashes = [hash_ for hash_ in services if ready is None or hash_ in ready]
    if not hashes:
        names = ", ".join(sorted(set(services.values())))
        raise ServiceError(f"ticket {ticket} is of another service than {names}")
    if ready is None or sum(ready[hash_] for hash_ in hashes) > 1:
        _refuse_older(calls, ticket)
    return Chosen(hashes, claimed=False)


def _count_ready(calls: Provider) -> dict[str, int] | None:
    """Count the tickets that wait by service, of all that the login provides."""
    found = calls.available(list({row.hash for row in calls.services()}))
    return None if found is None else {one.hash: one.ready for one in found if one.ready}


def _claimed(calls: Provider, ticket: int, services: Mapping[str, str]) -> Chosen:
    try:
        calls.files(ticket)
    except WrongState as error:
        raise ServiceError(f"ticket {ticket} is claimed by another login") from error
    if len(services) > 1:
        names = ", ".join(sorted(set(services.values())))
        raise ServiceError(
            f"ticket {ticket} is claimed, and the server does not say of which service: choose one "
            f"of {names} with --service"
        )
    return Chosen(list(services), claimed=True)


def _refuse_older(calls: Provider, ticket: int) -> None:
    """Refuse a ticket before which another one would be claimed.

    Raises:
        ServiceError: An older ticket waits.
    """
    for older in range(ticket - 1, max(0, ticket - _BEFORE), -1):
        try:
            waits = calls.status(older) is TicketStatus.READY
        except NotFound:
            continue
        if waits:
            raise ServiceError(
                f"ticket {ticket} is not the next: the server gives out the oldest, and ticket "
                f"{older} waits, too; {_CLAIM_FIRST}"
            )

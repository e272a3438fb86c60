"""Following a ticket to its end, by the clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from dss.errors import NetworkFailed, ServerFailed, TimedOut
from dss.records import TicketDetail

_LOOK = 1.0  # seconds that the only look at a ticket may take where none are given to wait
_LAST_LOOK = 0.2  # seconds before the end of a wait at which the last look begins, at least


def follow(
    look: Callable[[int, float | None], TicketDetail],
    ticket: int,
    *,
    timeout: float | None,
    interval: float,
) -> Iterator[TicketDetail]:
    """Give what is new of a ticket until it is over, as `Client.wait` says.

    Args:
        look: Gives the ticket with the log after an entry, within some seconds.
        ticket: Its number.
        timeout: As for `Client.wait`.
        interval: As for `Client.wait`.

    Raises:
        TimedOut: It was not over in time.
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
        # A look takes about as long as the one before.
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

"""A ticket's log on the terminal, at once or as it grows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from dss.cli.shared import Interval, as_record, seconds
from dss.text import shown
from snapws.cli import render

if TYPE_CHECKING:
    from dss.client import Client
    from dss.records import LogEntry, TicketDetail


@dataclass
class Waiting:
    """Options of a subcommand that waits for a ticket."""

    timeout: Annotated[
        float | None,
        typer.Option(
            "--timeout",
            parser=seconds,
            metavar="TIME",
            help="How long to wait; the ticket goes on after that.",
            show_default="for ever",
        ),
    ] = None
    interval: Interval = "5s"  # type: ignore[assignment] # which the parser reads


def show_log(log: tuple[LogEntry, ...]) -> None:
    """Print log entries in local time, with the lines of a message below each other."""
    for entry in log:
        first, *more = entry.message.splitlines() or [""]
        files = "".join(f" [{one.description}]" for one in entry.attachments)
        begin = f"{entry.time.astimezone():%Y-%m-%d %H:%M:%S}  {entry.category:7}  {first}{files}"
        for line in (begin, *(f"    {line}" for line in more)):
            render.result(render.printable(line))


def follow(client: Client, ticket: int, waiting: Waiting, *, json: bool) -> None:
    """Print the changes of a ticket until its end.

    Args:
        client: The ticket's owner.
        ticket: The ticket.
        waiting: How long to wait, and how often to ask.
        json: Whether to print each change as a line of JSON.

    Raises:
        typer.Exit: The ticket did not end in success. The reason is printed.
        TimedOut: The ticket did not end in time.
    """
    reason, status = "", None
    for news in client.wait(ticket, timeout=waiting.timeout, interval=waiting.interval):
        status = news.status
        reason = next((e.message for e in reversed(news.log) if e.category == "error"), reason)
        if json:
            render.as_json_line({"ticket": ticket, **as_record(news)})
        else:
            show_log(news.log)
            render.passing(_standing(ticket, news))
    if status != "success":
        render.error(f"ticket {ticket} ended as {status}: {shown(reason) or 'no reason is given'}")
        raise typer.Exit(1)
    render.note(f"ticket {ticket}: {status}")


def _standing(ticket: int, news: TicketDetail) -> str:
    if news.queue_position is not None:
        return f"ticket {ticket}: {news.status}, number {news.queue_position} in the queue"
    return f"ticket {ticket}: {news.status}, {min(news.progress, 1.0):.0%}"

"""``dss tickets``: the tickets that the user has submitted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from dss.cli.follow import Waiting, follow, show_log
from dss.cli.shared import (
    Connection,
    Folder,
    MaxSize,
    Parallel,
    TicketNumber,
    TicketNumbers,
    as_record,
    command,
    group,
)
from snapws.cli import render
from snapws.cli.frame import Listing
from snapws.cli.report import ReportFile, html_file

app = group("Your tickets.", example="dss tickets show 1")


@command(app, "list", example="dss tickets list")
def list_(connection: Connection, listing: Listing) -> None:
    """List your tickets, without the deleted ones."""
    from dss.client import Client
    from dss.records import TicketList

    with connection.open() as session:
        found = [as_record(ticket) for ticket in Client(session).tickets()]
    listing.show(found, TicketList.LISTED)


@command(app, "show", example="dss tickets show 1")
def show(ticket: TicketNumber, connection: Connection, listing: Listing) -> None:
    """Show the progress of a ticket, its log and its files."""
    from dss.client import Client

    with connection.open() as session:
        client = Client(session)
        detail = client.detail(ticket)
        found: dict[str, Any] = {
            "ticket": ticket,
            **as_record(detail),
            "input": [file.name for file in client.files(ticket, "input")],
            "results": [file.name for file in client.files(ticket, "results")],
        }
    if listing.json:
        render.as_json(found)
        return
    found |= {area: f"{len(found[area])} files" for area in ("input", "results")}
    render.fields(found, ("ticket", "status", "progress", "queue_position", "input", "results"))
    if detail.log:
        render.result("")
        show_log(detail.log)


@command(app, "log", example="dss tickets log 1")
def log(ticket: TicketNumber, connection: Connection, listing: Listing) -> None:
    """Print the log of a ticket, even of a deleted one."""
    from dss.client import Client

    with connection.open() as session:
        entries = Client(session).log(ticket)
    if listing.json:
        render.as_json([as_record(entry) for entry in entries])
    else:
        show_log(entries)


@command(app, "wait", example="dss tickets wait 1 --timeout 1h")
def wait(ticket: TicketNumber, waiting: Waiting, connection: Connection, listing: Listing) -> None:
    """Follow a ticket to its end; exit 1 if it fails.

    Prints its log as it comes, from the beginning; on a terminal also how far it is. --json prints
    an object a line, whenever something is new.
    """
    from dss.client import Client

    with connection.open() as session:
        follow(Client(session), ticket, waiting, json=listing.json)


@command(app, "download", example="dss tickets download 1 result/")
def download(
    ticket: TicketNumber,
    folder: Folder,
    connection: Connection,
    listing: Listing,
    parallel: Parallel = 1,
    max_size: MaxSize = None,
) -> None:
    """Fetch the result of a ticket; print its workspace.

    Files that the workspace does not name are not fetched. The workspace appears last, after its
    files. After a failure, run the same command again: it fetches the missing files.
    """
    from dss.client import Client

    with connection.open() as session:
        result = Client(session).download(ticket, folder, parallel=parallel, max_size=max_size)
    listing.show_lines([str(result)])


@command(app, "report", example="dss tickets report 1 -o ticket.html")
def report(ticket: TicketNumber, output: ReportFile, connection: Connection) -> None:
    """Write a page that shows a ticket, for the browser.

    The file contains status and times, the log, the attachments, and the result as snapws report
    shows it. The fetched result is not kept. The page is not anonymous.
    """
    from dss.client import Client
    from dss.report import ticket_page
    from snapws.report import save_page

    target = html_file(output)
    with connection.open() as session:
        save_page(ticket_page(Client(session), ticket), target)
    render.note(f"saved {target}")


@command(app, "delete", example="dss tickets delete 1")
def delete(tickets: TicketNumbers, connection: Connection) -> None:
    """Delete tickets in any state, and their files.

    Every ticket that is not deleted counts towards your limit, finished ones too.
    """
    from dss.client import Client

    with connection.open() as session:
        for ticket in tickets:
            Client(session).delete(ticket)
            render.note(f"ticket {ticket}: deleted")


@command(app, "retry", example="dss tickets retry 1")
def retry(ticket: TicketNumber, connection: Connection) -> None:
    """Queue a failed ticket again. Its results are deleted."""
    from dss.client import Client

    with connection.open() as session:
        Client(session).retry(ticket)
    render.note(f"ticket {ticket}: ready")


@command(app, "attachments", example="dss tickets attachments 1 --download files/")
def attachments(
    ticket: TicketNumber,
    connection: Connection,
    listing: Listing,
    download: Annotated[
        Path | None,
        typer.Option(
            "--download",
            metavar="DIR",
            help="Fetch them and print the files instead.",
            show_default=False,
        ),
    ] = None,
    max_size: MaxSize = None,
) -> None:
    """List or fetch the files attached to a ticket's log.

    Fetched files get names that a double click shows and does not execute: HTML and SVG are saved
    as text. Anybody who has the URL of an attachment can read the file without a login.
    """
    from dss.client import Client
    from dss.transfer.attachments import file_name

    with connection.open() as session:
        client = Client(session)
        entries = client.log(ticket)
        if download is None:
            found = [{**as_record(one), "log": e.id} for e in entries for one in e.attachments]
            if not (found or listing.json):
                render.note(f"nothing is attached to ticket {ticket}")
                return
            listing.show(found, ("id", "description", "mime_type", "url"))
            return
        download.mkdir(parents=True, exist_ok=True)
        files = []
        for one in (one for entry in entries for one in entry.attachments):
            files.append(download / file_name(one))
            client.fetch_attachment(one, files[-1], max_size=max_size)
            if max_size is not None:
                max_size -= files[-1].stat().st_size
    listing.show_lines([str(file) for file in files])

"""A ticket as one page of HTML: status, log, attachments, and its result as snapws.report shows it.

All that a server says is text in the page, cut and without control characters; a picture that it
gives is drawn anew, small.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

from dss.client import Area, Client
from dss.errors import DssError
from dss.records import Attachment, LogEntry, Ticket, TicketDetail
from snapws import Workspace, WorkspaceError
from snapws.pictures import pillow
from snapws.report import contents, sections
from snapws.report.document import (
    MOST_ROWS,
    Cell,
    Element,
    element,
    facts,
    instant,
    lines,
    page,
    paragraph,
    section,
    table,
    typed,
)
from snapws.report.slices import webp

_MOST_FETCHED = 100  # attachments; of the others, only what the log says is shown
_MOST_PICTURE_BYTES = 4_000_000
_MOST_PICTURE_PIXELS = 4096 * 4096
_PICTURE_SIDE = 1024  # pixels of the longest side as it is shown
_PICTURES_BUDGET = 1_500_000  # characters, of all attached pictures together
_FORMATS = {"image/png": "PNG", "image/jpeg": "JPEG"}


def report(client: Client, ticket: int) -> bytes:
    """Give a page of HTML about a ticket.

    Attachments and the result are fetched for it and not kept. What cannot be fetched is told of in
    the page.

    Raises:
        NotFound: The user has no such ticket.
        DssError: The server cannot be asked about the ticket.
    """
    detail = client.detail(ticket)
    listed = {one.id: one for one in client.tickets()}
    with tempfile.TemporaryDirectory() as folder:
        parts = [
            _summary(client, ticket, listed.get(ticket), detail),
            _log(detail.log),
            _attachments(client, detail.log, Path(folder) / "attachment"),
            *_result(client, ticket, detail, Path(folder) / "result"),
            contents.versions(),
        ]
    header = [
        element("p", "DSS ticket", class_="kind"),
        element("h1", f"Ticket {ticket}"),
        element("p", typed(client.session.server), class_="quiet"),
        contents.notice("texts of the ticket and of its result"),
    ]
    return page(f"Ticket {ticket}", header, parts)


def _summary(client: Client, ticket: int, listed: Ticket | None, detail: TicketDetail) -> Element:
    pairs: list[tuple[str, Cell]] = [
        ("Service", typed(listed.service if listed else "not listed any more")),
        ("Status", detail.status.value),
        ("Done", f"{min(detail.progress, 1.0):.0%}"),
    ]
    if detail.queue_position is not None:
        pairs.append(("Place in the queue", detail.queue_position))
    if detail.log:
        first, last = detail.log[0].time, detail.log[-1].time
        pairs += [
            ("First log entry", instant(first)),
            ("Last log entry", instant(last)),
            ("Between them", str(last - first)),
        ]
    pairs += [
        ("Files, input", _files(client, ticket, "input")),
        ("Files, results", _files(client, ticket, "results")),
        ("Asked", instant(datetime.now(timezone.utc))),
    ]
    return section("Ticket", facts(pairs))


def _files(client: Client, ticket: int, area: Area) -> Cell:
    try:
        return len(client.files(ticket, area))
    except DssError as error:  # a deleted ticket, for one, has none
        return typed(str(error))


def _log(log: tuple[LogEntry, ...]) -> Element:
    if not log:
        return section("Log", paragraph("Nothing has been logged."))
    rows = [
        (
            instant(entry.time),
            element("span", typed(entry.category), class_=_LEVELS.get(entry.category, "")),
            lines(entry.message),
            typed(", ".join(str(one.id) for one in entry.attachments)),
        )
        for entry in log[-MOST_ROWS:]
    ]
    last = f"the last {MOST_ROWS:,} of " if len(log) > MOST_ROWS else ""
    caption = f"{last}{len(log):,} entries, in the time of this place"
    return section("Log", table(caption, ("Time", "Level", "Message", "Attachments"), rows))


_LEVELS = {"error": "bad", "warning": "warning"}


def _attachments(client: Client, log: tuple[LogEntry, ...], file: Path) -> Element:
    attached = [one for entry in log for one in entry.attachments]
    if not attached:
        return section("Attachments", paragraph("Nothing is attached."))
    rows, figures, left = [], [], _PICTURES_BUDGET
    for number, one in enumerate(attached):
        size: Cell = "not fetched"
        if number < _MOST_FETCHED:
            try:
                size = client.fetch_attachment(one, file).stat().st_size
                for address in _picture(one, file):
                    left -= len(address)
                    if left > 0:
                        figures.append(_figure(one, address))
            except DssError as error:
                size = typed(str(error))
        rows.append((str(one.id), lines(one.description), typed(one.mime_type), size))
    columns = ("Number", "Description", "Type", "Bytes")
    return section("Attachments", table(f"{len(rows):,} attached", columns, rows), *figures)


def _picture(attachment: Attachment, file: Path) -> Iterator[str]:
    """Draw a fetched picture anew, if it is one and not too large; give its address."""
    kind = _FORMATS.get(attachment.mime_type)
    if kind is None or file.stat().st_size > _MOST_PICTURE_BYTES:
        return
    try:
        image, _ = pillow()
    except WorkspaceError:
        return  # it is listed
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # of Pillow, about pictures that would fill the memory
            with image.open(file, formats=[kind]) as picture:
                if picture.width * picture.height > _MOST_PICTURE_PIXELS:
                    return
                small = picture.convert("RGBA")
    except (OSError, ValueError, SyntaxError, image.DecompressionBombError, Warning):
        return  # it is none, whatever its type says: it is listed
    small.thumbnail((_PICTURE_SIDE, _PICTURE_SIDE))
    yield from webp([small], 85)


def _figure(attachment: Attachment, address: str) -> Element:
    name = f"Attachment {attachment.id}"
    return element(
        "figure",
        element("img", src=address, alt=f"{name}, {attachment.description}"),
        element("figcaption", f"{name}: ", typed(attachment.description)),
        class_="attached",
    )


def _result(client: Client, ticket: int, detail: TicketDetail, folder: Path) -> list[Element]:
    if not detail.status.final:
        return [section("Result", paragraph("There is no result yet."))]
    try:
        workspace = Workspace.open(client.download(ticket, folder))
        parts = sections(workspace, "Result")
        parts[0].append(paragraph("It was fetched for this page, and is not kept.", class_="quiet"))
        return parts
    except (DssError, WorkspaceError) as error:
        return [section("Result", paragraph("There is no result to show: ", typed(str(error))))]

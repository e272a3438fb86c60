"""A ticket as one page of HTML: status, log, attachments, and its result as snapws.report shows it.

All texts of a server are plain text in the page, shortened and without control characters. Pictures
of a server are decoded and encoded again, at a small size.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from itertools import chain, islice, repeat
from pathlib import Path

from lxml import etree

from dss.client import Area, Client
from dss.errors import DssError, NetworkFailed, NotLoggedIn, ServerFailed
from dss.records import Attachment, LogEntry, Ticket, TicketDetail
from dss.text import shown
from snapws import Workspace, WorkspaceError, leftovers
from snapws.pictures.scene import pillow
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

_MOST_FETCHED = 100  # attachments; further ones are listed only
_MOST_BYTES = 4_000_000  # of one attachment
_MOST_PIXELS = 4096 * 4096
# Each scan of a progressive JPEG goes over all its pixels. Encoders write about ten scans.
_MOST_SCANS = 32
_PICTURE_SIDE = 1024  # pixels of the longest side of a shown picture
# Bytes of the page beside the views of the result: log, list of attachments, and their pictures.
_LOG_BUDGET = 600_000
_LIST_BUDGET = 100_000
_PICTURES_BUDGET = 1_500_000
_FORMATS = {"image/png": "PNG", "image/jpeg": "JPEG"}


def ticket_page(client: Client, ticket: int) -> bytes:
    """Return an HTML page about a ticket.

    Attachments and the result are fetched for the page and then deleted. The page lists the errors
    of parts that cannot be fetched.

    Raises:
        NotFound: The user has no such ticket.
        NotLoggedIn: The server does not know the login (any more).
        NetworkFailed: The server cannot be reached (any more).
        DssError: The server cannot be asked about the ticket.
    """
    detail = client.detail(ticket)
    listed = {one.id: one for one in client.tickets()}
    with leftovers.temporary("dss-") as folder:
        parts = [
            _summary(client, ticket, listed.get(ticket), detail),
            _log(detail.log),
            _attachments(client, detail.log),
            *_result(client, ticket, detail, folder),
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
    except (NotLoggedIn, NetworkFailed):
        raise
    except DssError as error:  # a deleted ticket, for one, has none
        return typed(str(error))


def _log(log: tuple[LogEntry, ...]) -> Element:
    if not log:
        return section("Log", paragraph("Nothing has been logged."))
    rows = (
        (
            instant(entry.time),
            element("span", typed(entry.category), class_=_LEVELS.get(entry.category, "")),
            lines(entry.message),
            typed(", ".join(str(one.id) for one in entry.attachments)),
        )
        for entry in reversed(log)
    )
    fitting = _fitting(rows, _LOG_BUDGET)[::-1]
    last = f"the last {len(fitting):,} of " if len(log) > len(fitting) else ""
    caption = f"{last}{len(log):,} entries, in the time of this place"
    return section("Log", table(caption, ("Time", "Level", "Message", "Attachments"), fitting))


_LEVELS = {"error": "bad", "warning": "warning"}


def _fitting(rows: Iterable[Sequence[Cell]], budget: int) -> list[Sequence[Cell]]:
    """Return the first rows, as many as a table may have and as fit into some bytes."""
    found = []
    for row in islice(rows, MOST_ROWS):
        budget -= sum(_size(cell) for cell in row)
        if budget < 0:
            break
        found.append(row)
    return found


def _size(cell: Cell) -> int:
    """Return the size of a cell in the page, in bytes."""
    if isinstance(cell, Element):
        return len(etree.tostring(cell, method="html", encoding="utf-8"))
    return len(str(cell))


def _attachments(client: Client, log: tuple[LogEntry, ...]) -> Element:
    attached = [one for entry in log for one in entry.attachments]
    if not attached:
        return section("Attachments", paragraph("Nothing is attached."))
    sizes: list[Cell] = []
    figures: list[Element] = []
    left, undrawn = _PICTURES_BUDGET, []
    for one in attached[:_MOST_FETCHED]:
        try:
            data = client.start_of_attachment(one, _MOST_BYTES + 1)
        except NotLoggedIn:
            raise
        except (NetworkFailed, ServerFailed) as error:
            sizes.append(typed(str(error)))
            break  # the next one would take as long to fail
        except DssError as error:
            sizes.append(typed(str(error)))
            continue
        whole = len(data) <= _MOST_BYTES
        sizes.append(len(data) if whole else f"more than {_MOST_BYTES:,}")
        address = _picture(one, data) if whole else None
        if address is not None:
            figure = _figure(one, address)
            if (size := _size(figure)) <= left:
                left -= size
                figures.append(figure)
            else:
                undrawn.append(str(one.id))
    rest = repeat("not fetched")
    listed = (
        (str(one.id), lines(one.description), typed(shown(one.mime_type)), size)
        for one, size in zip(attached, chain(sizes, rest), strict=False)
    )
    rows = _fitting(listed, _LIST_BUDGET)
    first = f"the first {len(rows):,} of " if len(attached) > len(rows) else ""
    columns = ("Number", "Description", "Type", "Bytes")
    caption = f"{first}{len(attached):,} attached"
    missed = f"The page has no room for the pictures of: {', '.join(undrawn)}."
    end = [paragraph(missed), *figures] if undrawn else figures
    return section("Attachments", table(caption, columns, rows), *end)


def _picture(attachment: Attachment, data: bytes) -> str | None:
    """Return a fetched picture as a data URL, encoded again; None if it is invalid or too large."""
    kind = _FORMATS.get(attachment.mime_type)
    if kind is None or (kind == "JPEG" and data.count(b"\xff\xda") > _MOST_SCANS):
        return None
    try:
        image, _ = pillow()
    except WorkspaceError:
        return None  # it is listed
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # Pillow warns of pictures that would fill the memory
            with image.open(io.BytesIO(data), formats=[kind]) as picture:
                if picture.width * picture.height > _MOST_PIXELS:
                    return None
                # Pillow clips 16-bit values at 255 instead of scaling them.
                deep = picture.mode.startswith("I")
                grey = picture.convert("I").point(lambda value: value / 256) if deep else picture
                small = grey.convert("L" if deep else "RGBA")
    except (OSError, ValueError, SyntaxError, image.DecompressionBombError, Warning):
        return None  # not a picture, despite its type; the attachment is listed all the same
    small.thumbnail((_PICTURE_SIDE, _PICTURE_SIDE))
    return webp([small], 85)[0]


def _figure(attachment: Attachment, address: str) -> Element:
    name = f"Attachment {attachment.id}"
    return element(
        "figure",
        element("img", src=address, alt=f"{name}, {shown(attachment.description)}"),
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
    except (NotLoggedIn, NetworkFailed):
        raise
    except (DssError, WorkspaceError) as error:
        return [section("Result", paragraph("There is no result to show: ", typed(str(error))))]

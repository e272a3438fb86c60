"""Attached files: their paths on the server, and safe names that no program executes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from dss.errors import InvalidResponse
from dss.text import shown

if TYPE_CHECKING:
    from dss.records import Attachment

# Types of files that a double click shows and does not execute. A browser executes scripts in HTML,
# SVG and XML. A desktop executes scripts, links and programs.
_ENDINGS = {
    "text/plain": ".txt",
    "text/csv": ".csv",
    "text/tab-separated-values": ".tsv",
    "application/json": ".json",
    "application/pdf": ".pdf",
    "application/gzip": ".gz",
    "application/zip": ".zip",
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/gif": ".gif",
    "image/tiff": ".tiff",
    "image/bmp": ".bmp",
    "image/webp": ".webp",
}
_TEXT = re.compile(r"text/.*|.*[/+.-](xml|json|javascript|ecmascript|yaml)")
_OTHER_TEXT = ".txt"
_OTHER = ".bin"
_LONGEST = 60


def file_name(attachment: Attachment) -> str:
    """Return a name for an attached file: its number, its description and a safe ending.

    No program executes a file with such an ending. Other text types, such as HTML or SVG, get
    `.txt`. Unknown types get `.bin`.
    """
    words = re.sub("[^A-Za-z0-9]+", "-", attachment.description)[:_LONGEST].strip("-")
    kind = attachment.mime_type.partition(";")[0].strip().lower()
    ending = _ENDINGS.get(kind) or (_OTHER_TEXT if _TEXT.fullmatch(kind) else _OTHER)
    return f"attachment_{attachment.id}{'_' if words else ''}{words}{ending}"


def path_of(attachment: Attachment) -> str:
    """Return the path in the URL of an attachment. The host in that URL is never contacted.

    Raises:
        InvalidResponse: The URL has no such path.
    """
    path = re.search("blobs/[0-9a-f]{8,32}$", attachment.url)
    if path is None:
        raise InvalidResponse(f"not the URL of an attachment: {shown(attachment.url)!r}")
    return path[0]

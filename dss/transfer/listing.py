"""The list of a ticket's files on the server.

A ticket has two areas of files, reached as `api/tickets/T/files/input` and `…/results` (by its
owner) and as `api/pro/tickets/T/files/…` (by its provider). The server lists only names. It
overwrites a file that is sent again. It addresses a file by its index in the list, sorted by time:
the index changes when a file is sent again. So a download checks each file before the file gets its
name, and an upload checks the list at its end.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from unicodedata import normalize

from dss.errors import TransferFailed
from dss.parsing import read_csv
from dss.records import FileEntry
from dss.text import shown

if TYPE_CHECKING:
    from dss.http.session import Session

TRIES = 3
"""Attempts at a file that arrives corrupt, or at a ticket whose files change meanwhile."""

# Names that Windows gives to devices, with any extension.
_DEVICE = re.compile(
    r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³]) *(\..*)?", re.IGNORECASE
)


_LONGEST = 255  # bytes of a name, on most disks


class Changed(Exception):
    """The list of files is out of date. The message states the sign of it."""


def list_files(session: Session, area: str) -> list[FileEntry]:
    """Return the files of an area of a ticket, in the order of time.

    Raises:
        TransferFailed: A name is not a safe file name, or two names are equal on some disks.
    """
    listed = session.get_text(area, _read_list)
    seen: set[str] = set()
    for entry in listed:
        _check_name(entry.name)
        if (one := _folded(entry.name)) in seen:
            raise TransferFailed(
                f"the server lists {shown(entry.name)!r} twice: on some disks the two are one file"
            )
        seen.add(one)
    return listed


def _folded(name: str) -> str:
    """Return a key that is equal for names that are the same file on some file systems."""
    return normalize("NFC", normalize("NFC", name).casefold())


def _read_list(text: str) -> list[FileEntry]:
    if "\0" in text:  # which Python 3.10 does not take for CSV
        _check_name(text)
    return read_csv(FileEntry, ("index", "name"), text)


def _check_name(name: str) -> None:
    """Refuse a name that is not a plain, printable file name on every system."""
    short = len(name.encode("utf-8", "replace")) <= _LONGEST
    bare = short and not re.search(r'[/\\:*?"<>|]', name) and all(c.isprintable() for c in name)
    ends = not name.startswith(".") and not name.endswith((".", " "))
    if not name or not bare or not ends or _DEVICE.fullmatch(name):
        raise TransferFailed(
            f"the server lists a file named {shown(repr(name))}, which is not a plain file name: "
            "the files of this ticket cannot be put on a disk"
        )


def check_file_name(told: str | None, name: str, path: str) -> None:
    """Check that a response contains the file that was listed, by its name.

    Raises:
        Changed: The response contains another file.
        TransferFailed: The response has no file name.
    """
    if told is None:
        raise TransferFailed(
            f"{name} came without its name ({path}): something between here and the server "
            "removes the Content-Disposition header"
        )
    if told != name:
        raise Changed(f"{shown(told)!r} came instead of {name!r}")

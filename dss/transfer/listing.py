"""The files of a ticket on the server, as it lists them.

A ticket has two areas of files, reached as `api/tickets/T/files/input` and `…/results` (by its
owner) and as `api/pro/tickets/T/files/…` (by its provider). The server lists names only, stores
under a name whatever came last, and addresses a file by its place in the order of times, which
shifts when a file is sent again. So a download is checked on every side before a file gets its
name, and an upload ends with a look at the list.
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
"""How often a file is fetched that comes damaged, or a ticket whose files changed meanwhile."""

# Names that Windows gives to devices, with any extension.
_DEVICE = re.compile(
    r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³]) *(\..*)?", re.IGNORECASE
)


_LONGEST = 255  # bytes of a name, on most disks


class Changed(Exception):
    """The list of files is out of date; says what shows it."""


def list_files(session: Session, area: str) -> list[FileEntry]:
    """List the files of an area of a ticket, by time.

    Raises:
        TransferFailed: A name must not be given to a file on a disk.
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
    """Return a key that is equal for names that some file system takes for one file."""
    return normalize("NFC", normalize("NFC", name).casefold())


def _read_list(text: str) -> list[FileEntry]:
    if "\0" in text:  # which Python 3.10 does not take for CSV
        _check_name(text)
    return read_csv(FileEntry, ("index", "name"), text)


def _check_name(name: str) -> None:
    """Refuse what is not the bare, visible name of a file on every system."""
    short = len(name.encode("utf-8", "replace")) <= _LONGEST
    bare = short and not re.search(r'[/\\:*?"<>|]', name) and all(c.isprintable() for c in name)
    ends = not name.startswith(".") and not name.endswith((".", " "))
    if not name or not bare or not ends or _DEVICE.fullmatch(name):
        raise TransferFailed(
            f"the server lists a file named {shown(repr(name))}, which is not a plain file name: "
            "the files of this ticket cannot be put on a disk"
        )


def check_file_name(told: str | None, name: str, path: str) -> None:
    """Make sure that an answer says that it is the file that was listed.

    Raises:
        Changed: It is another.
        TransferFailed: It does not say which it is.
    """
    if told is None:
        raise TransferFailed(
            f"{name} came without its name ({path}): something between here and the server takes "
            "Content-Disposition from its answers"
        )
    if told != name:
        raise Changed(f"{shown(told)!r} came instead of {name!r}")

"""Files of a ticket, up and down, as streams: memory stays flat at any size of a file.

A ticket has two areas of files, reached as `api/tickets/T/files/input` and `…/results` (by its
owner) and as `api/pro/tickets/T/files/…` (by its provider). The server lists names only, stores
under a name whatever came last, and addresses a file by its place in the order of times, which
shifts when a file is sent again. So a download is checked on every side before a file gets its
name, and an upload ends with a look at the list.
"""

from __future__ import annotations

import re
import secrets
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dss.errors import ServerFailed, TransferFailed, shown
from dss.records import FileEntry, read_csv, read_word
from snapws.compression import GZIP_MAGIC, GzipDamaged, pieces

if TYPE_CHECKING:
    from dss.session import Received, Session
    from snapws import Workspace

TRIES = 3
"""How often a download is begun again because the files of the ticket changed meanwhile."""

_CHUNK = 256 * 2**10
_SENDABLE = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,254}")
# Names that Windows gives to devices, with any extension.
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)


class FileBody:
    """A multipart form with some fields and one file, read from the disk while it is sent.

    Args:
        file: The file; its size must not change before it is sent.
        name: What the server shall call it: letters, digits, `.`, `_`, `-`, no leading dot. The
            server stores other names too, but some it cannot list or send back.
        fields: Further fields of the form.

    Raises:
        TransferFailed: The name is not allowed, or the file cannot be read.
    """

    def __init__(self, file: Path, name: str, fields: Mapping[str, str]) -> None:
        if not _SENDABLE.fullmatch(name):
            raise TransferFailed(
                f"{file}: a file cannot be sent as {shown(name)!r}; rename it to letters, digits, "
                "'.', '_' and '-', not starting with '.'"
            )
        boundary = secrets.token_hex(20)
        self.content_type = f"multipart/form-data; boundary={boundary}"
        self._file = file
        try:
            self._size = file.stat().st_size
        except OSError as error:
            raise TransferFailed(f"{file}: {error.strerror}") from error
        head = "".join(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'
            for key, value in fields.items()
        )
        head += (
            f'--{boundary}\r\nContent-Disposition: form-data; name="myfile"; filename="{name}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        )
        self._head = head.encode("utf-8", "replace")
        self._tail = f"\r\n--{boundary}--\r\n".encode()

    def __len__(self) -> int:
        return len(self._head) + self._size + len(self._tail)

    def __iter__(self) -> Iterator[bytes]:
        yield self._head
        sent = 0
        try:
            with self._file.open("rb") as source:
                while chunk := source.read(_CHUNK):
                    sent += len(chunk)
                    if sent > self._size:
                        break
                    yield chunk
        except OSError as error:
            raise TransferFailed(f"{self._file}: {error.strerror}; nothing was stored") from error
        if sent != self._size:
            raise TransferFailed(f"{self._file} changed while it was sent; nothing was stored")
        yield self._tail


def list_files(session: Session, area: str) -> list[FileEntry]:
    """Lists the files of an area of a ticket, by time.

    Raises:
        TransferFailed: A name must not be given to a file on a disk.
    """
    text = session.get_text(area)
    if "\0" in text:  # which Python 3.10 does not take for CSV
        _check_name(text)
    listed = read_csv(FileEntry, ("index", "name"), text)
    seen: set[str] = set()
    for entry in listed:
        _check_name(entry.name)
        if entry.name.casefold() in seen:
            raise TransferFailed(f"the server lists {shown(entry.name)!r} twice")
        seen.add(entry.name.casefold())
    return listed


def _check_name(name: str) -> None:
    """Refuses what is not the bare, visible name of a file on every system."""
    bare = not re.search(r'[/\\:*?"<>|]', name) and all(c.isprintable() for c in name)
    ends = not name.startswith(".") and not name.endswith((".", " "))
    if not name or not bare or not ends or _DEVICE.fullmatch(name):
        raise TransferFailed(
            f"the server lists a file named {shown(repr(name))}, which is not a plain file name; "
            "nothing was downloaded"
        )


def upload_files(session: Session, area: str, files: Sequence[tuple[Path, str]]) -> None:
    """Sends files one after the other and makes sure that the server lists them.

    Args:
        session: The login.
        area: Path of the ticket's area.
        files: Each file and the name it shall have there; a workspace should be the last, so that
            it is there only when its layers are.

    Raises:
        TransferFailed: A name is not allowed, a file cannot be read, or is not listed afterwards.
        OutcomeUnknown: The answer to one of them was lost.
    """
    for file, name in files:
        body = FileBody(file, name, {"filename": name, "submit": "send"})
        doubt = f"{name} may be stored there; list the files, or send it again once this is over"
        read_word(session.post_body(area, body, doubt=doubt), "success")
    missing = {name for _, name in files} - {entry.name for entry in list_files(session, area)}
    if missing:
        raise TransferFailed(f"{session.server} does not list what was sent: {sorted(missing)}")


@contextmanager
def archived(workspace: Workspace | str | Path) -> Iterator[tuple[Path, ...]]:
    """Archives a workspace into a temporary folder that lives as long as the context.

    Yields:
        The layers, and last the workspace file.
    """
    from snapws import Workspace
    from snapws.archive import archive

    if isinstance(workspace, (str, Path)):
        workspace = Workspace.open(workspace)
    with tempfile.TemporaryDirectory(prefix="dss-") as folder:
        yield archive(workspace, Path(folder) / "workspace.itksnap").files


def upload_archive(session: Session, area: str, files: Sequence[Path], name: str) -> None:
    """Sends an archive: its layers under their own names, last its workspace as `name`."""
    *layers, workspace = files
    upload_files(session, area, [*((layer, layer.name) for layer in layers), (workspace, name)])


def download_archive(session: Session, area: str, folder: str | Path, name: str) -> Path:
    """Fetches all files of an area, one at a time; they appear in `folder` together or not at all.

    Args:
        session: The login.
        area: Path of the ticket's area.
        folder: Where to put them; made if need be. Files of the same names are replaced.
        name: Name of the workspace where more than one file ends in `.itksnap`.

    Returns:
        The workspace file in `folder`, its layers beside it.

    Raises:
        TransferFailed: No workspace among the files; a name not allowed; a file cut off or damaged;
            files that keep changing; a folder that cannot be written.
    """
    folder = Path(folder)
    for _ in range(TRIES):
        listed = list_files(session, area)
        workspace = _workspace([entry.name for entry in listed], area, name)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".dss-", dir=folder) as part:
                complete = _fetch(session, area, listed, Path(part))
                if not complete or list_files(session, area) != listed:
                    continue
                for entry in sorted(listed, key=lambda e: e.name == workspace):
                    (Path(part) / entry.name).replace(folder / entry.name)
        except OSError as error:
            raise TransferFailed(f"{folder}: {error.strerror or error}") from error
        return folder / workspace
    raise TransferFailed(f"the files of {area} changed during each of {TRIES} downloads")


def _workspace(names: Sequence[str], area: str, preferred: str) -> str:
    found = [name for name in names if name.lower().endswith(".itksnap")]
    if preferred in found:
        return preferred
    if len(found) != 1:
        raise TransferFailed(
            f"{len(found) or 'no'} workspace files in {area}, which has: "
            f"{shown(', '.join(names)) or 'no files'}"
        )
    return found[0]


def _fetch(session: Session, area: str, listed: Sequence[FileEntry], folder: Path) -> bool:
    """Fetches the listed files; False where the list is out of date."""
    for entry in listed:
        target = folder / entry.name
        try:
            received = session.get_file(f"{area}/{entry.index}", target)
        except ServerFailed:
            # So it answers to an index that is no more.
            if list_files(session, area) == listed:
                raise
            return False
        if received.name != entry.name:
            return False
        _check_whole(received, target)
    return True


def _check_whole(received: Received, file: Path) -> None:
    """Makes sure of a file whose size was not told: by its own end, else by the end of the answer.

    Raises:
        TransferFailed: The file is damaged, or nothing tells that it is whole.
    """
    if received.length_given:
        return
    with file.open("rb") as content:
        if content.read(2) == GZIP_MAGIC:
            content.seek(0)
            try:
                for _ in pieces(content):
                    pass
            except GzipDamaged as error:
                raise TransferFailed(f"{file.name} came damaged or cut off: {error}") from error
            return
        content.seek(max(0, received.size - 64))
        ended = file.name.endswith(".itksnap") and content.read().rstrip().endswith(b"</registry>")
    if not ended and not received.chunked:
        raise TransferFailed(f"nothing tells whether {file.name} came whole: neither size nor end")

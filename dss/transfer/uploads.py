"""Uploads of a ticket's files as streams: the memory does not depend on the size of a file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from dss.errors import NetworkFailed, TransferFailed
from dss.http.multipart import FileBody
from dss.parsing import word
from dss.transfer.integrity import digest
from dss.transfer.listing import TRIES, Changed, check_file_name, list_files

if TYPE_CHECKING:
    from dss.http.session import Session
    from snapws import Workspace
    from snapws.privacy import Privacy


class Sent(NamedTuple):
    """An uploaded file.

    Attributes:
        file: The local file.
        name: The file's name on the server.
        size: Its size in bytes.
        seconds: The time to send the file, or to find that the server already has it.
    """

    file: Path
    name: str
    size: int
    seconds: float


def upload_files(
    session: Session,
    area: str,
    files: Iterable[tuple[Path, str]],
    *,
    verify: bool = False,
    sent: Callable[[Sent], None] | None = None,
) -> None:
    """Send files one after the other, and check that the server lists them.

    A file that the server already lists is read back, and is sent again only if it differs. So an
    interrupted upload continues with the file where it stopped.

    Args:
        session: The login.
        area: Path of the ticket's area.
        files: Each file, and its name on the server. A workspace should be the last, so that it
            appears on the server only after its layers.
        verify: Whether to read all sent files back at the end.
        sent: Called for each file that the server has.

    Raises:
        TransferFailed: A name is not allowed, a file cannot be read, is not listed afterwards, or
            differs when it is read back.
    """
    there = {entry.name for entry in list_files(session, area)}
    new: list[tuple[Path, str]] = []
    for file, name in files:
        begin = time.monotonic()
        if not (name in there and _holds(session, area, file, name)):
            _send(session, area, file, name)
            new.append((file, name))
        if sent:
            sent(Sent(file, name, file.stat().st_size, time.monotonic() - begin))
    listed = {entry.name for entry in list_files(session, area)}
    missing = sorted({name for _, name in new} - listed)
    if missing:
        raise TransferFailed(f"{session.server} does not list these sent files: {missing}")
    for file, name in new if verify else ():
        _verify(session, area, file, name)


def _send(session: Session, area: str, file: Path, name: str) -> None:
    body = FileBody(file, name, {"filename": name, "submit": "send"})
    # May be repeated: the same file sent twice under one name is stored once.
    session.post_body(area, body, word("success"), if_lost=None)


def _verify(session: Session, area: str, file: Path, name: str) -> None:
    """Check that the server's file equals the local one; send the file again if it differs."""
    for _ in range(TRIES - 1):
        if _holds(session, area, file, name):
            return
        _send(session, area, file, name)
    if not _holds(session, area, file, name):
        raise TransferFailed(f"{session.server} has not stored {name} as it was sent")


def _holds(session: Session, area: str, file: Path, name: str) -> bool:
    """Return whether the server's file, read back, equals the local one."""
    for _ in range(TRIES):
        index = next((e.index for e in list_files(session, area) if e.name == name), None)
        if index is None:
            return False
        try:
            told, sha256 = session.get_digest(f"{area}/{index}", file.stat().st_size)
            check_file_name(told, name, f"{area}/{index}")
        except TransferFailed as error:
            raise NetworkFailed(f"{name} could not be read back: {error}") from error
        except Changed:
            continue
        return sha256 == digest(file)
    return False


@contextmanager
def archived(
    workspace: Workspace | str | Path, privacy: Privacy = "standard"
) -> Iterator[Iterator[Path]]:
    """Archive a workspace into a temporary folder that is deleted at the end of the context.

    Args:
        workspace: The workspace, or the path of its file.
        privacy: Which typed text the archive keeps, as for `snapws.archive.archive`.

    Yields:
        The files, each as soon as it is complete: the layers first, the workspace last.
    """
    from snapws import Workspace, leftovers
    from snapws.packing import pack

    if isinstance(workspace, (str, Path)):
        workspace = Workspace.open(workspace)
    with (
        leftovers.temporary("dss-") as folder,
        closing(pack(workspace, folder, "workspace.itksnap", privacy=privacy)) as files,
    ):
        yield files


def upload_archive(
    session: Session,
    area: str,
    files: Iterable[Path],
    name: str,
    *,
    verify: bool = False,
    sent: Callable[[Sent], None] | None = None,
) -> None:
    """Send the files of an archive under their own names, and the workspace as `name`."""
    named = ((file, name if file.suffix == ".itksnap" else file.name) for file in files)
    upload_files(session, area, named, verify=verify, sent=sent)

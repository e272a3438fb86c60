"""Files of a ticket on their way down, as streams: memory stays flat at any size of a file."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import ExitStack
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, NamedTuple

from dss.areas import TRIES, Changed, check_told, list_files
from dss.errors import ServerFailed, TransferFailed, shown
from dss.records import FileEntry
from dss.whole import check_framed, check_whole, digest, named_by_content, same_header
from snapws.compression import GzipDamaged
from snapws.errors import WorkspaceError
from snapws.files import appearing, replacing
from snapws.names import LAYER_NAME, MESH_NAME

if TYPE_CHECKING:
    from dss.session import Session

_START = 64 * 2**10


def download_archive(
    session: Session, area: str, folder: str | Path, name: str, *, parallel: int = 1
) -> Path:
    """Fetch all files of an area.

    Layers and meshes that are named by what they contain get their names as soon as they have
    proved it: a download that broke is taken up by the next one, which does not fetch again what
    is in `folder` already. All other files appear together in the end, the workspace last.

    Args:
        session: The login.
        area: Path of the ticket's area.
        folder: Where to put them; made if need be. Symbolic links of the same names are replaced,
            and layers that are not what their names say; any other file that is not the same as
            the server's is an error.
        name: Name of the workspace where more than one file ends in `.itksnap`.
        parallel: How many files to fetch at once. The server reads each into its memory, whole.

    Returns:
        The workspace file in `folder`, its layers beside it.

    Raises:
        TransferFailed: No workspace among the files; a name not allowed; a file cut off or damaged;
            files that keep changing; a layer that is not among them; a folder that cannot be
            written.
    """
    if not os.fspath(folder):
        raise TransferFailed("the name of the folder is empty: name a folder")
    folder = Path(folder)
    if folder.is_file():
        raise TransferFailed(f"{folder} is a file: name a folder")
    for further in reversed(range(TRIES)):
        listed = list_files(session, area)
        try:
            workspace = _workspace([entry.name for entry in listed], area, name)
        except TransferFailed:
            if not further:
                raise
            continue
        _refuse_folders(folder / entry.name for entry in listed)
        try:
            with appearing(folder, last=workspace) as aside:
                _fetch_all(session, area, listed, _Place(folder, aside), parallel)
                _check_unchanged(session, area, listed)
                _refuse_foreign_layers(aside / workspace, {entry.name for entry in listed})
                _refuse_loss(folder, aside)
        except Changed as changed:
            sign = changed
            continue
        except OSError as error:
            raise TransferFailed(f"{folder}: {error.strerror or error}") from error
        return folder / workspace
    raise TransferFailed(f"the files of {area} changed during each of {TRIES} downloads: {sign}")


def download_file(session: Session, path: str, target: str | Path) -> Path:
    """Fetch one file, whose name says nothing; `target` is old, or is new and whole.

    A symbolic link is replaced; a device or FIFO is written through.

    Raises:
        TransferFailed: It did not come whole, or cannot be written.
    """
    try:
        with replacing(target) as aside:
            check_framed(session.get_file(path, aside), Path(target).name)
    except OSError as error:
        raise TransferFailed(f"{target}: {error.strerror or error}") from error
    return Path(target)


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


def _refuse_folders(files: Iterable[Path]) -> None:
    """Refuse to put a file where a folder is, with all that is in it."""
    for file in files:
        if file.is_dir():
            raise TransferFailed(f"{file} is a folder: download to another place")


def _refuse_foreign_layers(workspace: Path, listed: set[str]) -> None:
    """Refuse a workspace whose images and meshes are not all among the files that came.

    One that has not come may still be on its way. One that lies elsewhere would be a file of this
    machine, which whoever sent the workspace would have sent back to him; and so would be what an
    image of several files names as its voxels. Archives have images of one file, NIfTI, only.
    """
    from snapws import Workspace
    from snapws.paths import is_url, moved
    from snapws.verify import named_files

    sent = Workspace.open(workspace)
    saved_in = sent.registry.get("SaveLocation")
    # A folder that nobody can name: what leads into it is beside the workspace, wherever that is.
    nowhere = Path(os.path.abspath(f"{os.sep}{secrets.token_hex(16)}"))  # noqa: PTH100
    for named in named_files(sent):
        stored = sent.registry.get(named.key)
        place = stored if is_url(stored) else moved(stored, saved_in, nowhere) or stored
        name = re.split(r"[/\\]", place)[-1]
        known = f"{named.where} of {workspace.name}, {shown(name)!r},"
        if name not in listed and not is_url(stored):
            raise TransferFailed(
                f"{known} is not among the files of the ticket: it may still be on its way, look "
                "again later"
            )
        if is_url(stored) or Path(place).parent != nowhere:
            raise TransferFailed(f"{known} is said to be elsewhere than beside the workspace")
        if not (named.is_mesh or name.lower().endswith((".nii", ".nii.gz"))):
            raise TransferFailed(f"{known} is no NIfTI image, as all images of an archive are")


def _refuse_loss(folder: Path, aside: Path) -> None:
    """Refuse to put a file in place of another one of its name, on which somebody has worked."""
    for file in sorted(aside.iterdir()):
        place = folder / file.name
        if LAYER_NAME.fullmatch(file.name) or MESH_NAME.fullmatch(file.name):
            continue  # what is there is not what its name says
        if place.is_file() and not place.is_symlink() and digest(place) != digest(file):
            raise TransferFailed(
                f"{place} is there already, and is not what the server has: rename it, or "
                "download to another folder"
            )


def _check_unchanged(session: Session, area: str, listed: Sequence[FileEntry]) -> None:
    if list_files(session, area) != listed:
        raise Changed("the list became another")


class _Place(NamedTuple):
    """Where a download goes: the folder, and one aside for what may not appear in it yet."""

    folder: Path
    aside: Path


def _fetch_all(
    session: Session, area: str, listed: Sequence[FileEntry], place: _Place, parallel: int
) -> None:
    """Fetch the listed files; several at once need a session each."""
    if parallel == 1:
        for entry in listed:
            _fetch(session, area, listed, entry, place)
        return
    idle: SimpleQueue[Session] = SimpleQueue()

    def fetch(entry: FileEntry) -> None:
        own = idle.get()
        try:
            _fetch(own, area, listed, entry, place)
        finally:
            idle.put(own)

    with ExitStack() as stack:
        sessions = [stack.enter_context(session.another()) for _ in range(parallel)]
        for one in sessions:
            idle.put(one)
        pool = stack.enter_context(ThreadPoolExecutor(parallel))
        stack.callback(pool.shutdown, cancel_futures=True)
        running = {pool.submit(fetch, entry) for entry in listed}
        try:
            while running:
                # Not for longer: on Windows, Ctrl-C does not end a wait for a thread.
                done, running = wait(running, timeout=0.5, return_when=FIRST_COMPLETED)
                for end in done:
                    end.result()
        except KeyboardInterrupt:
            for one in sessions:
                one.break_off()
            raise


def _fetch(
    session: Session, area: str, listed: Sequence[FileEntry], entry: FileEntry, place: _Place
) -> None:
    """Fetch one file, unless it is there.

    Raises:
        Changed: The list is out of date.
        TransferFailed: The file came damaged each time.
    """
    path = f"{area}/{entry.index}"
    target = place.aside / entry.name
    try:
        if _is_there(session, path, place.folder / entry.name):
            return
        for further in reversed(range(TRIES)):
            received = session.get_file(path, target)
            try:
                check_told(received.name, entry.name, path)
                proved = check_whole(received, target)
                break
            except TransferFailed:
                if not further:
                    raise
    except ServerFailed:
        # So it answers to an index that is no more.
        _check_unchanged(session, area, listed)
        raise
    known = place.folder / entry.name
    if proved and not (known.exists() or known.is_symlink()):
        target.replace(known)


def _is_there(session: Session, path: str, file: Path) -> bool:
    """Tell whether a file is in its place, as the server has it."""
    if file.is_symlink() or not file.is_file():
        return False
    try:
        if not named_by_content(file):
            return False
    except (TransferFailed, GzipDamaged, WorkspaceError):
        return False
    if not file.name.endswith(".gz"):
        return True
    name, start = session.get_start(path, _START)
    if name is None:
        return False
    check_told(name, file.name, path)
    return same_header(file, start)

"""Files of a ticket, up and down, as streams: memory stays flat at any size of a file.

A ticket has two areas of files, reached as `api/tickets/T/files/input` and `…/results` (by its
owner) and as `api/pro/tickets/T/files/…` (by its provider). The server lists names only, stores
under a name whatever came last, and addresses a file by its place in the order of times, which
shifts when a file is sent again. So a download is checked on every side before a file gets its
name, and an upload ends with a look at the list.
"""

from __future__ import annotations

import os
import re
import secrets
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, NamedTuple
from unicodedata import normalize

from dss.errors import NetworkFailed, ServerFailed, TransferFailed, shown
from dss.multipart import FileBody
from dss.records import FileEntry, read_csv, word
from dss.whole import check_framed, check_whole, digest, named_by_content, same_header
from snapws.compression import GzipDamaged
from snapws.errors import WorkspaceError
from snapws.files import appearing, replacing
from snapws.names import LAYER_NAME, MESH_NAME

if TYPE_CHECKING:
    from dss.session import Session
    from snapws import Workspace
    from snapws.privacy import Privacy

TRIES = 3
"""How often a file is fetched that comes damaged, or a ticket whose files changed meanwhile."""

_START = 64 * 2**10
# Names that Windows gives to devices, with any extension.
_DEVICE = re.compile(
    r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³]) *(\..*)?", re.IGNORECASE
)


class Sent(NamedTuple):
    """A file that the server has now.

    Attributes:
        file: The file here.
        name: What it is called there.
        size: Its bytes.
        seconds: How long it took to send it, or to find that it was there.
    """

    file: Path
    name: str
    size: int
    seconds: float


class _Changed(Exception):
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
    """Give what is the same of all names that are one to some file system."""
    return normalize("NFC", normalize("NFC", name).casefold())


def _read_list(text: str) -> list[FileEntry]:
    if "\0" in text:  # which Python 3.10 does not take for CSV
        _check_name(text)
    return read_csv(FileEntry, ("index", "name"), text)


def _check_name(name: str) -> None:
    """Refuse what is not the bare, visible name of a file on every system."""
    bare = not re.search(r'[/\\:*?"<>|]', name) and all(c.isprintable() for c in name)
    ends = not name.startswith(".") and not name.endswith((".", " "))
    if not name or not bare or not ends or _DEVICE.fullmatch(name):
        raise TransferFailed(
            f"the server lists a file named {shown(repr(name))}, which is not a plain file name: "
            "the files of this ticket cannot be put on a disk"
        )


def upload_files(
    session: Session,
    area: str,
    files: Iterable[tuple[Path, str]],
    *,
    verify: bool = False,
    sent: Callable[[Sent], None] | None = None,
) -> None:
    """Send files one after the other and make sure that the server lists them.

    What the server lists before is read back, and not sent again if it is the same: so an upload
    that broke is taken up at the file where it stopped.

    Args:
        session: The login.
        area: Path of the ticket's area.
        files: Each file and the name it shall have there; a workspace should be the last, so that
            it is there only when its layers are.
        verify: Whether everything is read back in the end.
        sent: Is told of each file that the server has.

    Raises:
        TransferFailed: A name is not allowed, a file cannot be read, is not listed afterwards, or
            comes back as something else.
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
        raise TransferFailed(f"{session.server} does not list what was sent: {missing}")
    for file, name in new if verify else ():
        _verify(session, area, file, name)


def _send(session: Session, area: str, file: Path, name: str) -> None:
    body = FileBody(file, name, {"filename": name, "submit": "send"})
    # Twice the same under the same name is once.
    session.post_body(area, body, word("success"), doubt=None)


def _verify(session: Session, area: str, file: Path, name: str) -> None:
    """Make sure that the server has a file as it is here; send it again where it has not."""
    for _ in range(TRIES - 1):
        if _holds(session, area, file, name):
            return
        _send(session, area, file, name)
    if not _holds(session, area, file, name):
        raise TransferFailed(f"{session.server} has not stored {name} as it was sent")


def _holds(session: Session, area: str, file: Path, name: str) -> bool:
    """Read a file of an area back, and tell whether it is the same as the one here."""
    for _ in range(TRIES):
        index = next((e.index for e in list_files(session, area) if e.name == name), None)
        if index is None:
            return False
        try:
            told, sha256 = session.get_digest(f"{area}/{index}")
            _check_told(told, name, f"{area}/{index}")
        except TransferFailed as error:
            raise NetworkFailed(f"{name} could not be read back: {error}") from error
        except _Changed:
            continue
        return sha256 == digest(file)
    return False


@contextmanager
def archived(
    workspace: Workspace | str | Path, privacy: Privacy = "standard"
) -> Iterator[Iterator[Path]]:
    """Archive a workspace into a temporary folder that lives as long as the context.

    Args:
        workspace: The workspace, or the path of its file.
        privacy: What typed text goes along, as for `snapws.archive.archive`.

    Yields:
        The files, each as soon as it is complete, while others are being made: the layers, and
        last the workspace.
    """
    from snapws import Workspace
    from snapws.packing import pack

    if isinstance(workspace, (str, Path)):
        workspace = Workspace.open(workspace)
    with (
        tempfile.TemporaryDirectory(prefix="dss-") as folder,
        closing(pack(workspace, Path(folder), "workspace.itksnap", privacy=privacy)) as files,
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
    """Send the files of an archive under their own names, but for the workspace: that as `name`."""
    named = ((file, name if file.suffix == ".itksnap" else file.name) for file in files)
    upload_files(session, area, named, verify=verify, sent=sent)


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
        except _Changed as changed:
            sign = changed
            continue
        except OSError as error:
            raise TransferFailed(f"{folder}: {error.strerror or error}") from error
        return folder / workspace
    raise TransferFailed(f"the files of {area} changed during each of {TRIES} downloads: {sign}")


def download_file(session: Session, path: str, target: str | Path) -> Path:
    """Fetch one file, whose name says nothing; `target` is old, or is new and whole.

    Raises:
        TransferFailed: It did not come whole, or cannot be written.
    """
    target = Path(target)
    try:
        if target.is_symlink():
            target.unlink()
        with replacing(target) as aside:
            check_framed(session.get_file(path, aside), target.name)
    except OSError as error:
        raise TransferFailed(f"{target}: {error.strerror or error}") from error
    return target


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
        raise _Changed("the list became another")


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
        _Changed: The list is out of date.
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
                _check_told(received.name, entry.name, path)
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


def _check_told(told: str | None, name: str, path: str) -> None:
    """Make sure that an answer says that it is the file that was listed.

    Raises:
        _Changed: It is another.
        TransferFailed: It does not say which it is.
    """
    if told is None:
        raise TransferFailed(
            f"{name} came without its name ({path}): something between here and the server takes "
            "Content-Disposition from its answers"
        )
    if told != name:
        raise _Changed(f"{shown(told)!r} came instead of {name!r}")


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
    _check_told(name, file.name, path)
    return same_header(file, start)

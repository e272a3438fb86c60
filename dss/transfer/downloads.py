"""Files of a ticket on their way down, as streams: memory stays flat at any size of a file.

The workspace comes first, since only what it names is fetched besides: whoever filled the ticket
puts no other file into a folder of this machine. Its path is what a download returns; whoever looks
for a workspace in the folder might find another one.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

from dss.errors import ServerFailed, TransferFailed
from dss.records import FileEntry
from dss.text import shown
from dss.transfer.allowance import Allowance
from dss.transfer.integrity import (
    check_framed,
    check_whole,
    digest,
    is_nifti,
    named_by_content,
    same_header,
)
from dss.transfer.listing import TRIES, Changed, check_file_name, list_files
from snapws.archive_names import LAYER_NAME, MESH_NAME
from snapws.compression import GzipDamaged
from snapws.errors import WorkspaceError
from snapws.files import atomic_files, atomic_write

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dss.http.session import Session
    from snapws import Workspace
    from snapws.named_files import NamedFile

_START = 64 * 2**10
_WORKSPACE = ".itksnap"
_IMAGES = (".nii", ".nii.gz")
_MESHES = (".vtk", ".vtp", ".stl", ".byu", ".y")
_MOST_WORKSPACE = 32 * 2**20  # bytes: it is read into memory; of 4,000 layers it has some 4 MB

_log = logging.getLogger(__name__)


def download_archive(
    session: Session,
    area: str,
    folder: str | Path,
    name: str | None,
    *,
    parallel: int = 1,
    max_size: int | None = None,
    skipped: Callable[[Sequence[str]], None] | None = None,
    unsent: Callable[[Sequence[str]], None] | None = None,
) -> Path:
    """Fetch the workspace of an area and all files that it names.

    Programs that send no meshes name them in the workspace all the same: a mesh that the server
    does not list is taken out of the workspace that is fetched.

    Layers and meshes that are named by what they contain get their names as soon as they have
    proved it: a download that broke is taken up by the next one, which does not fetch again what
    is in `folder` already. All other files appear together in the end, the workspace last.

    Args:
        session: The login.
        area: Path of the ticket's area.
        folder: Where to put them; made if need be. Symbolic links of the same names are replaced,
            and layers that are not what their names say; any other file that is not the same as
            the server's is an error.
        name: Name of the workspace where more than one file ends in `.itksnap`; None where no more
            than one may.
        parallel: How many files to fetch at once. The server reads each into its memory, whole.
        max_size: Bytes that all files together may have; by default, those that come may have nine
            tenths of what is free on the disk.
        skipped: Is told the names of the files that the workspace does not name, if there are any;
            by default they are logged, as a warning.
        unsent: Is told the meshes that the server does not list, if there are any; by default they
            are logged, as a warning.

    Returns:
        The workspace file in `folder`, its layers beside it: the one that was checked.

    Raises:
        TooLarge: The files have more bytes than they may.
        TransferFailed: No workspace among the files, or one too many; a name not allowed; a file
            cut off or damaged; files that keep changing; a layer that is not among them; a folder
            that cannot be written.
    """
    if not os.fspath(folder):
        raise TransferFailed("the name of the folder is empty: name a folder")
    folder = Path(folder)
    if folder.is_file():
        raise TransferFailed(f"{folder} is a file: name a folder")
    for further in reversed(range(TRIES)):
        listed = list_files(session, area)
        try:
            workspace = _workspace(listed, area, name)
        except TransferFailed:
            if not further:
                raise
            continue
        try:
            allowance = Allowance.at(folder, max_size)
            with atomic_files(folder, last=workspace.name) as aside:
                download = _Download(session, area, listed, folder, aside, allowance)
                wanted, absent = download.fetch_workspace(workspace)
                download.fetch_all(wanted, parallel)
                download.check_unchanged()
                _refuse_loss(folder, aside)
        except Changed as changed:
            sign = changed
            continue
        except OSError as error:
            raise TransferFailed(f"{folder}: {error.strerror or error}") from error
        needed = {workspace.name, *(entry.name for entry in wanted)}
        if left := [entry.name for entry in listed if entry.name not in needed]:
            (skipped or _warn_of_skipped)(left)
        if absent:
            (unsent or _warn_of_unsent)(absent)
        return folder / workspace.name
    raise TransferFailed(f"the files of {area} changed during each of {TRIES} downloads: {sign}")


def download_file(
    session: Session, path: str, target: str | Path, max_size: int | None = None
) -> Path:
    """Fetch one file, whose name says nothing; `target` is old, or is new and whole.

    A symbolic link is replaced; a device or FIFO is written through.

    Raises:
        TooLarge: It has more than `max_size` bytes, by default nine tenths of what is free.
        TransferFailed: It did not come whole, or cannot be written.
    """
    try:
        allowance = Allowance.at(Path(target).parent, max_size)
        with atomic_write(target) as aside:
            check_framed(session.get_file(path, aside, allowance), Path(target).name)
    except OSError as error:
        raise TransferFailed(f"{target}: {error.strerror or error}") from error
    return Path(target)


def archive_names(workspace: Path) -> set[str]:
    """Return the names of all files of an archive that was downloaded: its workspace, and its own.

    Raises:
        snapws.WorkspaceError: It cannot be read.
    """
    from snapws import Workspace

    found = {Path(named.file).name for named in Workspace.open(workspace).files()}
    return {workspace.name, *found}


def skipped_words(names: Sequence[str]) -> str:
    """Return the line that says which files of a ticket were not fetched."""
    these = f"{len(names)} files that the workspace does not name are"
    one = "a file that the workspace does not name is"
    return f"{one if len(names) == 1 else these} not fetched: {shown(', '.join(names))}"


def unsent_words(meshes: Sequence[str]) -> str:
    """Return the line that says which meshes of a ticket were never sent."""
    these = f"{len(meshes)} meshes that the workspace names were"
    one = "a mesh that the workspace names was"
    return (
        f"{one if len(meshes) == 1 else these} never sent, and the workspace goes on without: "
        f"{shown(', '.join(meshes))}"
    )


def _warn_of_skipped(names: Sequence[str]) -> None:
    _log.warning("%s", skipped_words(names))


def _warn_of_unsent(meshes: Sequence[str]) -> None:
    _log.warning("%s", unsent_words(meshes))


def _workspace(listed: Sequence[FileEntry], area: str, preferred: str | None) -> FileEntry:
    """Return the one workspace of an area, or the `preferred` one of several."""
    found = [entry for entry in listed if entry.name.lower().endswith(_WORKSPACE)]
    chosen = [entry for entry in found if entry.name == preferred] or found
    if len(chosen) != 1:
        names = ", ".join(entry.name for entry in listed)
        raise TransferFailed(
            f"{len(found) or 'no'} workspace files in {area}, which has to have one; it has: "
            f"{shown(names) or 'no files'}"
        )
    _refuse_name(chosen[0].name, (_WORKSPACE,), "the workspace")
    return chosen[0]


def _refuse_name(name: str, endings: Sequence[str], what: str) -> None:
    """Refuse a file that a program on this machine might take for something else than data."""
    if name.startswith("-") or not name.lower().endswith(tuple(endings)):
        raise TransferFailed(
            f"{what} must not be put into a folder under this name: it has to end in "
            f"{' or '.join(endings)}, and not to begin with a hyphen"
        )


def _refuse_folders(files: Iterable[Path]) -> None:
    """Refuse to put a file where a folder is, with all that is in it."""
    for file in files:
        if file.is_dir():
            raise TransferFailed(f"{file} is a folder: download to another place")


def _without_unsent(workspace: Workspace, listed: Collection[str]) -> list[str]:
    """Remove the meshes of which no file is listed, and say which those are."""
    found, empty = [], []
    for mesh in workspace.meshes():
        surfaces = mesh.polydata()
        names = [re.split(r"[/\\]", one.file)[-1] for one in surfaces]
        unsent = [one for one in zip(surfaces, names, strict=True) if one[1] not in listed]
        found += [f"mesh:{mesh.number} ({name})" for _, name in unsent]
        if unsent and len(unsent) == len(surfaces):
            empty.append(mesh)
        else:
            for surface, _ in reversed(unsent):
                mesh.remove_polydata(surface.time_point, surface.number)
    workspace.remove(*empty)
    return found


def _named_beside(workspace: Workspace) -> Iterator[tuple[NamedFile, str]]:
    """Yield the files that a workspace names, and their names; all have to be beside it.

    One that lies elsewhere would be a file of this machine, which whoever sent the workspace would
    have sent back to him; and so would be what an image of several files names as its voxels.
    Archives have images of one file, NIfTI, only.
    """
    from snapws.paths import is_url, moved

    saved_in = workspace.registry.get("SaveLocation")
    # A folder that nobody can name: what leads into it is beside the workspace, wherever that is.
    nowhere = Path(os.path.abspath(f"{os.sep}{secrets.token_hex(16)}"))  # noqa: PTH100
    for named in workspace.files():
        stored = workspace.registry.get(named.key)
        parts = re.split(r"[/\\]", stored)
        known = f"{named.where} of {workspace.path and workspace.path.name}, {shown(parts[-1])!r},"
        place = None if is_url(stored) else moved(stored, saved_in, nowhere)
        # Two dots may lead through a link, where the folder is the one that it was saved in.
        if place is None or ".." in parts or Path(place) != nowhere / parts[-1]:
            raise TransferFailed(f"{known} is said to be elsewhere than beside the workspace")
        if named.image and not parts[-1].lower().endswith(_IMAGES):
            raise TransferFailed(f"{known} is no NIfTI image, as all images of an archive are")
        _refuse_name(parts[-1], _IMAGES if named.image else _MESHES, known.rstrip(","))
        yield named, parts[-1]


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


@dataclass(frozen=True)
class _Download:
    """One look at the files of an area, and what is fetched of them.

    Attributes:
        session: The login.
        area: Path of the area.
        listed: Its files.
        folder: Where they are to be.
        aside: A folder for what may not appear there yet.
        allowance: The bytes that may come.
    """

    session: Session
    area: str
    listed: Sequence[FileEntry]
    folder: Path
    aside: Path
    allowance: Allowance

    def check_unchanged(self) -> None:
        """Raise `Changed` where the server lists something else by now."""
        if list_files(self.session, self.area) != self.listed:
            raise Changed("the list became another")

    def fetch_workspace(self, entry: FileEntry) -> tuple[list[FileEntry], list[str]]:
        """Fetch the workspace; return the entries of all its files, and the meshes without one.

        Raises:
            Changed: The list is out of date.
            TransferFailed: It names a file that is not beside it, or an image that is not on the
                server: one that has not come may still be on its way.
        """
        from snapws import Workspace
        from snapws.registry import xml_format

        _refuse_folders([self.folder / entry.name])
        self._fetch(
            self.session, entry, Allowance(_MOST_WORKSPACE, "it is a workspace", whole=True)
        )
        file = self.aside / entry.name
        self.allowance.take_present(file)
        entries = {one.name: one for one in self.listed}
        wanted: dict[str, FileEntry] = {}
        workspace = Workspace.open(file)
        if unsent := _without_unsent(workspace, entries):
            self.check_unchanged()
            file.write_bytes(xml_format.to_bytes(workspace.registry, workspace.comments))
        for named, name in _named_beside(workspace):
            if name not in entries:
                self.check_unchanged()
                raise TransferFailed(
                    f"{named.where} of {entry.name}, {shown(name)!r}, is not among the files of "
                    "the ticket: it may still be on its way, look again later"
                )
            wanted[name] = entries[name]
        _refuse_folders(self.folder / name for name in wanted)
        return sorted(wanted.values(), key=lambda one: one.index), unsent

    def fetch_all(self, wanted: Sequence[FileEntry], parallel: int) -> None:
        """Fetch files; several at once need a session each."""
        if parallel == 1:
            for entry in wanted:
                self._fetch(self.session, entry, self.allowance)
            return
        idle: SimpleQueue[Session] = SimpleQueue()

        def fetch(entry: FileEntry) -> None:
            own = idle.get()
            try:
                self._fetch(own, entry, self.allowance)
            finally:
                idle.put(own)

        with ExitStack() as stack:
            sessions = [stack.enter_context(self.session.clone()) for _ in range(parallel)]
            for one in sessions:
                idle.put(one)
            pool = stack.enter_context(ThreadPoolExecutor(parallel))
            stack.callback(pool.shutdown, cancel_futures=True)
            running = {pool.submit(fetch, entry) for entry in wanted}
            try:
                while running:
                    # Not for longer: on Windows, Ctrl-C does not end a wait for a thread.
                    done, running = wait(running, timeout=0.5, return_when=FIRST_COMPLETED)
                    for end in done:
                        end.result()
            except KeyboardInterrupt:
                for one in sessions:
                    one.abort()
                raise

    def _fetch(self, session: Session, entry: FileEntry, allowance: Allowance) -> None:
        """Fetch one file, unless it is there.

        Raises:
            Changed: The list is out of date.
            TransferFailed: The file came damaged each time.
        """
        path = f"{self.area}/{entry.index}"
        target, place = self.aside / entry.name, self.folder / entry.name
        try:
            if _is_there(session, path, place):
                allowance.take_present(place)
                return
            for further in reversed(range(TRIES)):
                received = session.get_file(path, target, allowance)
                try:
                    check_file_name(received.name, entry.name, path)
                    proved = check_whole(received, target)
                    break
                except TransferFailed:
                    allowance.give_back(received.size)
                    if not further:
                        raise
        except ServerFailed:
            # So it answers to an index that is no more.
            self.check_unchanged()
            raise
        if proved and not (place.exists() or place.is_symlink()):
            target.replace(place)


def _is_there(session: Session, path: str, file: Path) -> bool:
    """Return whether a file is in its place, as the server has it."""
    if file.is_symlink() or not file.is_file():
        return False
    try:
        if LAYER_NAME.fullmatch(file.name) and not is_nifti(file):
            return False
        if not named_by_content(file):
            return False
    except (TransferFailed, GzipDamaged, WorkspaceError):
        return False
    if not file.name.endswith(".gz"):
        return True
    name, start = session.get_start(path, _START)
    if name is None:
        return False
    check_file_name(name, file.name, path)
    return same_header(file, start)

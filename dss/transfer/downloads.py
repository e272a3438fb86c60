"""Downloads of a ticket's files as streams: the memory does not depend on the size of a file.

The workspace is fetched first, and then only the files that it names: the author of a ticket cannot
put other files into a folder of this machine. A download returns the path of the workspace, because
the folder may contain other workspaces.
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
_MOST_WORKSPACE = 32 * 2**20  # bytes, read into memory; a workspace of 4,000 layers has about 4 MB

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

    Some programs send no meshes but still name them in the workspace. A mesh that the server does
    not list is removed from the fetched workspace.

    Layers and meshes that are named by their content appear in `folder` as soon as their content
    is verified. After an interrupted download, the next one does not fetch them again. All other
    files appear together at the end, the workspace last.

    Args:
        session: The login.
        area: Path of the ticket's area.
        folder: The target folder, created if it does not exist. Symbolic links of the same names
            are overwritten, and so are layers with a wrong content. Any other existing file that
            differs from the server's is an error.
        name: Name of the workspace if several files may end in `.itksnap`, None if only one may.
        parallel: How many files to fetch at once. The server loads each whole file into memory.
        max_size: The limit in bytes of all files together. By default, the received files may have
            90 % of the free disk space.
        skipped: Called with the names of the files that the workspace does not name, if any. By
            default, a warning is logged.
        unsent: Called with the meshes that the server does not list, if any. By default, a warning
            is logged.

    Returns:
        The verified workspace file in `folder`. Its layers are beside it.

    Raises:
        TooLarge: The files exceed the limit.
        TransferFailed: The ticket has no workspace, or several; a name is not allowed; a file is
            truncated or corrupt; the files keep changing; a layer is missing; or the folder cannot
            be written.
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
    """Fetch one file with an atomic write: `target` is the old file or the complete new one.

    A symbolic link is overwritten. A device or FIFO is written through.

    Raises:
        TooLarge: The file exceeds `max_size`, by default 90 % of the free disk space.
        TransferFailed: The file is truncated, or cannot be written.
    """
    try:
        allowance = Allowance.at(Path(target).parent, max_size)
        with atomic_write(target) as aside:
            check_framed(session.get_file(path, aside, allowance), Path(target).name)
    except OSError as error:
        raise TransferFailed(f"{target}: {error.strerror or error}") from error
    return Path(target)


def archive_names(workspace: Path) -> set[str]:
    """Return the names of the files of a downloaded archive: the workspace and the files it names.

    Raises:
        snapws.WorkspaceError: The workspace cannot be read.
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
    """Refuse a name that a program on this machine might take for an option or an executable."""
    if name.startswith("-") or not name.lower().endswith(tuple(endings)):
        raise TransferFailed(
            f"{what} must not be put into a folder under this name: it has to end in "
            f"{' or '.join(endings)}, and not to begin with a hyphen"
        )


def _refuse_folders(files: Iterable[Path]) -> None:
    """Refuse to overwrite a folder with a file."""
    for file in files:
        if file.is_dir():
            raise TransferFailed(f"{file} is a folder: download to another place")


def _without_unsent(workspace: Workspace, listed: Collection[str]) -> list[str]:
    """Remove the meshes that the server does not list from a workspace, and return their names."""
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
    """Yield the files that a workspace names, with their names; all have to be beside it.

    A path elsewhere would be a file of this machine, and would be sent to the author of the ticket
    with the result. So would the voxel file that the header of a two-file image names: archives
    contain single-file NIfTI images only.

    Raises:
        TransferFailed: A path leads elsewhere, or an image is not NIfTI.
    """
    from snapws.paths import is_url, moved

    saved_in = workspace.registry.get("SaveLocation")
    # A folder with an unguessable name: a path that leads into it is relative to the workspace.
    nowhere = Path(os.path.abspath(f"{os.sep}{secrets.token_hex(16)}"))  # noqa: PTH100
    for named in workspace.files():
        stored = workspace.registry.get(named.key)
        parts = re.split(r"[/\\]", stored)
        known = f"{named.where} of {workspace.path and workspace.path.name}, {shown(parts[-1])!r},"
        place = None if is_url(stored) else moved(stored, saved_in, nowhere)
        # ".." may lead through a symbolic link when the workspace is in the folder it was saved in.
        if place is None or ".." in parts or Path(place) != nowhere / parts[-1]:
            raise TransferFailed(f"{known} is not beside the workspace, as all files have to be")
        if named.image and not parts[-1].lower().endswith(_IMAGES):
            raise TransferFailed(f"{known} is not a NIfTI image, as all images have to be")
        _refuse_name(parts[-1], _IMAGES if named.image else _MESHES, known.rstrip(","))
        yield named, parts[-1]


def _refuse_loss(folder: Path, aside: Path) -> None:
    """Refuse to overwrite a file with other content, on which somebody may have worked."""
    for file in sorted(aside.iterdir()):
        place = folder / file.name
        if LAYER_NAME.fullmatch(file.name) or MESH_NAME.fullmatch(file.name):
            continue  # the existing file does not have the content that its name states: overwrite
        if place.is_file() and not place.is_symlink() and digest(place) != digest(file):
            raise TransferFailed(
                f"{place} already exists and differs from the server's file: rename it, or "
                "download to another folder"
            )


@dataclass(frozen=True)
class _Download:
    """One attempt at a download, for one listing of the area.

    Attributes:
        session: The login.
        area: Path of the area.
        listed: The files of the area.
        folder: The target folder.
        aside: A folder for files that may not appear in the target folder yet.
        allowance: The bytes that may be written.
    """

    session: Session
    area: str
    listed: Sequence[FileEntry]
    folder: Path
    aside: Path
    allowance: Allowance

    def check_unchanged(self) -> None:
        """Raise `Changed` if the server lists other files by now."""
        if list_files(self.session, self.area) != self.listed:
            raise Changed("the list of files has changed")

    def fetch_workspace(self, entry: FileEntry) -> tuple[list[FileEntry], list[str]]:
        """Fetch the workspace; return the entries of its files, and the meshes without an entry.

        Raises:
            Changed: The list is out of date.
            TransferFailed: The workspace names a file that is not beside it, or an image that is
                missing on the server (where it may still arrive).
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
        """Fetch files, one after the other or each parallel thread with its own session."""
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
                    # A short timeout, because on Windows Ctrl-C does not interrupt this wait.
                    done, running = wait(running, timeout=0.5, return_when=FIRST_COMPLETED)
                    for end in done:
                        end.result()
            except Changed:
                raise  # and keep what the others bring, for the next round
            except BaseException:
                # Those that go on would have to be waited for.
                for one in sessions:
                    one.abort()
                raise

    def _fetch(self, session: Session, entry: FileEntry, allowance: Allowance) -> None:
        """Fetch one file, unless the folder has it already.

        Raises:
            Changed: The list is out of date.
            TransferFailed: The file was corrupt at every attempt.
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
            # The server also answers so if the index no longer exists.
            self.check_unchanged()
            raise
        if proved and not (place.exists() or place.is_symlink()):
            target.replace(place)


def _is_there(session: Session, path: str, file: Path) -> bool:
    """Return whether the folder has the file already, equal to the server's."""
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

"""Archives: a workspace and its images in one folder, named by content, naming no person.

Every image becomes ``layer_NNN_<hash>.nii.gz``, the hash being that of its voxels (`VoxelHash`),
with a header that holds voxel type, scaling and geometry and nothing else; every mesh
``mesh_NNN_NNN_NNN_<hash>.EXT`` (layer, time point, number; the MD5 of the file), with points,
cells and numbers and no text. The workspace keeps what is documented of its format; paths, history,
comments and unknown keys go. The same input gives the same bytes.

What makes the files is `snapws.packing`; here is where they go.
"""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from snapws import compression, files, verify
from snapws.errors import ArchiveError
from snapws.packing import ArchiveReport, Names, Packing, Watcher, pack
from snapws.privacy import Privacy
from snapws.workspace import Workspace

#: Name of the workspace where none is asked for: its own name may be a person's.
DEFAULT_NAME = "workspace.itksnap"

_MOST_NAMED = 3


def write_archive(
    workspace: Workspace,
    destination: str | Path,
    *,
    names: Names = "hash",
    privacy: Privacy = "standard",
    level: int = compression.LEVEL,
    unscrubbed_meshes: bool = False,
    progress: Watcher | None = None,
) -> ArchiveReport:
    """Write an archive of a workspace and its images.

    The files appear in the destination's folder when all of them are complete, the workspace last;
    after an error none does. While another archive is being written to the same folder, it waits.

    Args:
        workspace: What to archive; it is not changed.
        destination: A folder that is empty, not there yet, or holds an earlier archive, which is
            replaced as a whole; its workspace is ``workspace.itksnap``. Or the ``.itksnap`` file to
            write, its images beside it: files of the same names are replaced, others stay.
        names: ``hash`` names images and meshes by their content; ``keep`` by their file name up to
            its first dot, which may be a person's.
        privacy: ``standard`` keeps the texts that a person typed to be read: nicknames of layers,
            meshes and time points, label names, annotation texts. ``strict`` replaces them by
            ``Layer 000``, ``Label 1`` and so on. Tags of layers stay, since services need them.
        level: Of compression, one of `snapws.compression.LEVELS`.
        unscrubbed_meshes: Whether meshes of a kind that cannot be scrubbed are taken as they are;
            else they are refused.
        progress: Is called whenever a piece of a layer has been read; from other threads, but never
            twice at once.

    Raises:
        LayerNotFound: The workspace has no main image.
        LayerFileMissing: The file of a layer or mesh is not on this machine.
        ImageDamaged: An image is cut short or its header impossible; the message names the layer.
        ImageUnsupported: An image is of a kind that ITK-SNAP or this package does not read.
        ImageChanged: An image was written to while it was read.
        MeshError: A mesh is damaged, or cannot be scrubbed.
        ArchiveError: The folder holds other files, or the archive cannot be written.
    """
    if not os.fspath(destination):
        raise ArchiveError("the name of the archive's folder is empty: name a folder")
    target = Path(destination)
    as_folder = target.suffix != ".itksnap"
    if as_folder:
        target = target / DEFAULT_NAME
    try:
        _refuse_impossible(workspace, target)
        with files.atomic_files(target.parent, last=target.name, instead=as_folder) as aside:
            if as_folder:
                _refuse_other_files(target.parent)
            packing = pack(
                workspace,
                aside,
                target.name,
                names=names,
                privacy=privacy,
                level=level,
                unscrubbed_meshes=unscrubbed_meshes,
                progress=progress,
            )
            with closing(packing):
                report = _report(packing)
            _refuse_own_images(workspace, target.parent, aside, as_folder=as_folder)
    except OSError as error:
        raise ArchiveError(f"cannot write the archive {target}: {error.strerror}") from None

    def placed(written: tuple[Path, ...]) -> tuple[Path, ...]:
        return tuple(target.parent / file.name for file in written)

    return replace(
        report,
        workspace=target,
        files=placed(report.files),
        taken=placed(report.taken),
        unscrubbed=placed(report.unscrubbed),
    )


archive = write_archive
"""The name that scripts know it by."""


def _report(packing: Packing) -> ArchiveReport:
    """Let all files be written, and give the report that comes after them."""
    try:
        while True:
            next(packing)
    except StopIteration as end:
        report: ArchiveReport = end.value
        return report


def _refuse_impossible(workspace: Workspace, target: Path) -> None:
    """Refuse to write over the workspace that is archived, and where no file can be."""
    own = workspace.path
    if own and own.exists() and target.exists() and target.samefile(own):
        raise ArchiveError(f"{target} is the workspace itself: archive to another folder")
    if target.is_dir():
        raise ArchiveError(f"{target} is a folder: choose another name")
    if target.parent.is_file():
        raise ArchiveError(f"{target.parent} is not a folder: choose another name")


def _refuse_other_files(folder: Path) -> None:
    """Refuse a folder that holds anything but an earlier archive: it would be lost."""
    earlier, known = folder / DEFAULT_NAME, set()
    if earlier.is_file():
        archived = Workspace.open(earlier)
        if not verify.is_made_here(archived):
            raise ArchiveError(
                f"{earlier} is not an archive, or has been edited since: choose an empty folder"
            )
        known = {earlier.name, *(Path(one.file).name for one in archived.files())}
    other = [
        path.name for path in files.listed(folder) if path.name not in known or not path.is_file()
    ]
    if other:
        named = ", ".join(other[:_MOST_NAMED]) + (" …" if other[_MOST_NAMED:] else "")
        raise ArchiveError(
            f"{folder} holds other files ({named}): choose an empty folder, or name the file to "
            f"write, {folder / DEFAULT_NAME}"
        )


def _refuse_own_images(workspace: Workspace, folder: Path, aside: Path, *, as_folder: bool) -> None:
    """Refuse to write over what is archived."""
    for named in workspace.files():
        own = workspace.folder / named.file
        if own.parent.samefile(folder) and (as_folder or (aside / own.name).exists()):
            raise ArchiveError(f"{own} is part of the workspace itself: archive to another folder")

"""Archives: a workspace and its images in one folder, named by content, naming no person.

An image is stored as ``layer_NNN_<hash>.nii.gz`` with the hash of its voxels (`VoxelHash`). Its
header holds only voxel type, scaling and geometry. A mesh file is stored as
``mesh_NNN_NNN_NNN_<hash>.EXT`` (layer, time point, number, MD5 of the file). It holds points, cells
and numbers, but no text. The workspace keeps the documented entries of its format. Paths, history,
comments and unknown keys are removed. The same input gives the same bytes.

`snapws.packing` makes the files; this module puts them into their folder.
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

#: The name of an archive's workspace, unless the user chooses one: the original name may be a
#: person's.
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

    The write is atomic: the files appear in the destination when all are complete, the workspace
    last; after an error, none appears. If another process writes an archive to the same folder,
    this one waits.

    Args:
        workspace: The workspace to archive; it is not changed.
        destination: A folder that is missing, empty, or holds an earlier archive, which is replaced
            completely; the workspace is ``workspace.itksnap`` in it. Or the ``.itksnap`` file to
            write: its images are written beside it, and only files of the same names are replaced.
        names: ``hash`` names images and meshes by their content; ``keep`` by their file name up to
            its first dot, which may be a person's.
        privacy: ``standard`` keeps the texts that a person typed to be read: nicknames of layers,
            meshes and time points, label names, annotation texts. ``strict`` replaces them by
            ``Layer 000``, ``Label 1`` and so on. Tags of layers stay, since services need them.
        level: The compression level, one of `snapws.compression.LEVELS`.
        unscrubbed_meshes: Whether to copy meshes that cannot be scrubbed unchanged; by default
            they are refused.
        progress: Called after each read piece of a layer; from other threads, but never from two
            at once.

    Raises:
        LayerNotFound: The workspace has no main image.
        LayerFileMissing: The file of a layer or mesh is not on this machine.
        ImageDamaged: An image is truncated or has a corrupt header; the message names the layer.
        ImageUnsupported: ITK-SNAP or this package does not support the format of an image.
        ImageChanged: An image was written to while it was read.
        MeshError: A mesh is corrupt, or cannot be scrubbed.
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
"""The name of `write_archive` in older scripts."""


def _report(packing: Packing) -> ArchiveReport:
    """Write all files, and return the report."""
    try:
        while True:
            next(packing)
    except StopIteration as end:
        report: ArchiveReport = end.value
        return report


def _refuse_impossible(workspace: Workspace, target: Path) -> None:
    """Refuse to overwrite the archived workspace, and refuse paths that cannot be a file."""
    own = workspace.path
    if own and own.exists() and target.exists() and target.samefile(own):
        raise ArchiveError(f"{target} is the workspace itself: archive to another folder")
    if target.is_dir():
        raise ArchiveError(f"{target} is a folder: choose another name")
    if target.parent.is_file():
        raise ArchiveError(f"{target.parent} is not a folder: choose another name")


def _refuse_other_files(folder: Path) -> None:
    """Refuse a folder with files that do not belong to an earlier archive: they would be lost."""
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
    """Refuse to overwrite the archived files."""
    for named in workspace.files():
        own = workspace.folder / named.file
        if own.parent.samefile(folder) and (as_folder or (aside / own.name).exists()):
            raise ArchiveError(f"{own} is part of the workspace itself: archive to another folder")

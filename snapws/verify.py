"""End-to-end integrity of archives: file names hold hashes of the content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from snapws import images, mesh_formats, paths, prefetch, privacy
from snapws.archive_names import LAYER_NAME, MESH_NAME
from snapws.check import Problem, missing_file
from snapws.errors import (
    ArchiveError,
    ImageError,
    ImageHasMetadata,
    MeshError,
    MeshUnsupported,
    WorkspaceError,
)
from snapws.images import voxel_files
from snapws.images.header import ImageHeader
from snapws.images.hints import NO_HINTS, Hints
from snapws.images.voxel_hash import VoxelHash
from snapws.registry import xml_format
from snapws.workspace import Workspace


def verify_archive(folder: str | Path, against: Workspace | None = None) -> tuple[Problem, ...]:
    """Compare every file of an archive with the hash in its name, and return the problems.

    The folder must hold one workspace, its layers and no other file. A layer is named
    ``layer_NNN_<hash>.nii.gz`` with the hash of its voxels (`VoxelHash`), a mesh file
    ``mesh_NNN_NNN_NNN_<hash>.EXT`` with the MD5 of the file. An archive that this package has made
    must not hold additional text or metadata.

    Args:
        folder: The folder of the archive, or its workspace file.
        against: The workspace that the archive was made from. Then layers must have the same voxels
            and geometry, and meshes the same points and values.

    Raises:
        ArchiveError: The folder cannot be read, or does not hold exactly one workspace.
        RegistryError: The workspace is corrupt.
    """
    folder = Path(folder)
    if folder.suffix == ".itksnap" and folder.is_file():
        folder = folder.parent
    try:
        found = sorted(folder.iterdir())
    except OSError as error:
        raise ArchiveError(f"cannot read the archive {folder}: {error.strerror}") from None
    workspaces = [path for path in found if path.suffix == ".itksnap" and path.is_file()]
    if len(workspaces) != 1:
        names = ", ".join(path.name for path in workspaces) or "none"
        raise ArchiveError(f"an archive holds one workspace, {folder} holds {names}")
    archived = Workspace.open(workspaces[0])
    problems = [*_problems(archived, {path.name for path in found})]
    if against:
        problems += _differences(archived, against)
    return tuple(problems)


def content_hash(path: Path, hints: Hints = NO_HINTS) -> str:
    """Return the hash of the voxels of an image, which is in its name in an archive.

    Raises:
        ImageError: The image is corrupt or cannot be read.
    """
    return _hash(path, hints, clean=False)


def is_made_here(workspace: Workspace) -> bool:
    """Return whether this package wrote the workspace, as part of an archive."""
    return workspace.registry.get("SaveLocation") == privacy.NEUTRAL_ROOT


def _problems(workspace: Workspace, found: set[str]) -> Iterator[Problem]:
    assert workspace.path  # noqa: S101 - it has been opened
    is_ours = is_made_here(workspace)
    unused = found - {workspace.path.name}
    for named in workspace.files():
        where, file = named.where, named.file
        if is_ours and not (workspace.folder / file).exists():
            file = str(workspace.folder / Path(file).name)  # its path in the archive
        missing = missing_file(workspace, file, where)
        if missing:
            yield missing
            continue
        path = workspace.folder / file
        is_here = path.parent.samefile(workspace.folder)
        if is_here:
            unused.discard(path.name)
        if not is_here or path.is_symlink():
            yield Problem("file", where, f"its file {file} is not in the archive's folder")
            continue
        name = (LAYER_NAME if named.image else MESH_NAME).fullmatch(path.name)
        if name is None or name["number"] != named.number:
            message = f"{path.name} is not named by its number and its content"
            yield Problem("file", where, message)
            continue
        try:
            content = (_hash if named.image else _mesh_hash)(path, clean=is_ours)
        except (ImageHasMetadata, MeshUnsupported) as error:
            yield Problem("privacy", where, str(error))
        except (ImageError, MeshError) as error:
            yield Problem("image", where, str(error))
        else:
            if content != name["hash"]:
                message = f"{path.name} does not match its name: its content has the hash {content}"
                yield Problem("image", where, message)
    if is_ours:
        yield from _foreign_entries(workspace)
    for extra in sorted(unused):
        yield Problem("file", "archive", f"{extra} is not part of the workspace")


def _foreign_entries(workspace: Workspace) -> Iterator[Problem]:
    """Yield the entries of an archive's workspace that no archive keeps."""
    assert workspace.path  # noqa: S101 - it has been opened
    name, registry = workspace.path.name, workspace.registry
    try:
        meant = privacy.scrubbed(workspace, "standard").registry
    except WorkspaceError as error:
        yield Problem("privacy", "archive", f"{name}: {error}")
        return
    for named in workspace.files():
        meant[named.key] = f"{privacy.NEUTRAL_ROOT}/{Path(named.file).name}"
    foreign = [key for key, value in registry.walk() if meant.get(key) != value]
    for key in foreign:
        yield Problem(
            "privacy", "archive", f"{name} has the entry {key}, which no archive may have"
        )
    if not foreign and paths.read_file(workspace.path) != xml_format.to_bytes(meant):
        yield Problem("privacy", "archive", f"{name} contains text outside of its entries")


def _differences(archived: Workspace, source: Workspace) -> Iterator[Problem]:
    """Yield the differences between an archive and the workspace that it was made from."""
    ours, theirs = list(archived.files()), list(source.files())
    if [one.where for one in ours] != [one.where for one in theirs]:
        message = f"the archive has {len(ours)} layers and surfaces, the source has {len(theirs)}"
        yield Problem("source", "archive", message)
        return
    for one, other in zip(ours, theirs, strict=True):
        path, before = archived.folder / one.file, source.folder / other.file
        missing = missing_file(source, other.file, one.where)
        if missing:
            yield Problem("source", one.where, f"its source cannot be read: {missing.message}")
            continue
        try:
            for file in (path, before):
                voxel_files.open_regular(file).close()  # refuse FIFOs, which would block
            if other.image:
                difference = _image_difference(path, before, other.image.hints)
            else:
                difference = _mesh_difference(path, before)
        except (ImageError, MeshError) as error:
            difference = str(error)
        except OSError as error:
            difference = f"{error.filename}: {error.strerror}"
        if difference:
            yield Problem("source", one.where, f"it differs from {before}: {difference}")


def _mesh_difference(path: Path, before: Path) -> str:
    try:
        meant = mesh_formats.scrubbed(before)
    except MeshUnsupported:
        meant = mesh_formats.read(before)
    return "" if mesh_formats.read(path) == meant else "content"


def _image_difference(path: Path, before: Path, hints: Hints) -> str:
    """Compare geometry and stored voxels. Different stored voxels can be equal once scaled."""
    ours, theirs = images.read_header(path), images.read_header(before, hints=hints)
    for name in ours.nifti:
        if ours.nifti[name].tobytes() != theirs.nifti[name].tobytes():
            return f"{name} is {ours.nifti[name]}, not {theirs.nifti[name]}"
    return "" if _md5(ours.voxels()) == _md5(theirs.voxels()) else "voxels"


def _hash(path: Path, hints: Hints = NO_HINTS, *, clean: bool) -> str:
    header = images.read_header(path, hints=hints)
    return _voxel_hash(header, header.clean_voxels() if clean else header.voxels())


def _voxel_hash(header: ImageHeader, voxels: Iterator[bytes]) -> str:
    content = VoxelHash(header)
    for piece in prefetch.prefetched(voxels):
        content.update(piece)
    return content.hexdigest()


def _mesh_hash(path: Path, *, clean: bool) -> str:
    data = mesh_formats.read(path)
    if clean and mesh_formats.scrub(data, path) != data:
        raise MeshUnsupported(f"{path}: the mesh contains more than points, cells and numbers")
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _md5(pieces: Iterator[bytes]) -> str:
    content = hashlib.md5(usedforsecurity=False)
    for piece in prefetch.prefetched(pieces):
        content.update(piece)
    return content.hexdigest()

"""Whether an archive is what its names say: end-to-end integrity of what was sent or received."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from snapws import compression, images, mesh_formats, privacy, registry_xml, streams
from snapws.check import Problem, missing_file
from snapws.errors import ArchiveError, ImageError, MeshError, MeshUnsupported
from snapws.images import ImageHeader
from snapws.layers import Layer
from snapws.workspace import Workspace

#: Name of a layer of an archive: its number, and the hash of its voxels (`content_hash`).
LAYER_NAME = re.compile(r"layer_(?P<number>[0-9]{3,})_(?P<hash>[0-9a-f]{32})\.nii\.gz")

#: Name of a mesh of an archive: layer, time point, number, and the MD5 of the file.
MESH_NAME = re.compile(
    r"mesh_(?P<number>[0-9]{3,}_[0-9]{3,}_[0-9]{3,})_(?P<hash>[0-9a-f]{32})\.[^.]+"
)

# The old name of the field at this place, "regular", has one value that all programs write.
_REGULAR = (38, ord("r"))


def verify(folder: str | Path, against: Workspace | None = None) -> tuple[Problem, ...]:
    """Hold every file of an archive against its name, and give what is wrong; nothing, if all is.

    The folder has to hold one workspace, its layers and nothing else. A layer is named
    ``layer_NNN_<hash>.nii.gz``, the hash being that of its voxels (`snapws.images.VoxelHash`); a
    mesh file ``mesh_NNN_NNN_NNN_<hash>.EXT``, the hash being the MD5 of the file. An archive that
    this package has made also has to say nothing that such an archive does not.

    Args:
        folder: the archive's.
        against: the workspace that the archive was made from; its layers then have to have the
            same voxels and geometry, and its meshes the same points and values.

    Raises:
        ArchiveError: the folder cannot be read, or does not hold exactly one workspace.
        RegistryError: the workspace is damaged.
    """
    folder = Path(folder)
    try:
        found = sorted(folder.iterdir())
    except OSError as error:
        raise ArchiveError(f"cannot read the archive {folder}: {error.strerror}") from None
    workspaces = [path for path in found if path.suffix == ".itksnap"]
    if len(workspaces) != 1:
        names = ", ".join(path.name for path in workspaces) or "none"
        raise ArchiveError(f"an archive holds one workspace, {folder} holds {names}")
    archived = Workspace.open(workspaces[0])
    problems = [*_problems(archived, {path.name for path in found})]
    if against:
        problems += _differences(archived, against)
    return tuple(problems)


def content_hash(path: Path) -> str:
    """Give the hash that the name of an image in an archive bears: that of its voxels.

    Raises:
        ImageError: the image is damaged or cannot be read.
    """
    return _voxel_hash(images.read_header(path))


def is_clean(header: ImageHeader) -> bool:
    """Whether the file of a layer says nothing but what `snapws.images.write_nifti` writes.

    Raises:
        ImageError: the file cannot be read.
    """
    path = header.path
    try:
        with path.open("rb") as file:
            block = next(compression.pieces(file))[: images.VOXEL_OFFSET]
        bare = compression.is_bare(path, images.VOXEL_OFFSET + header.size)
    except (OSError, StopIteration, compression.GzipDamaged) as error:
        raise ImageError(f"{path}: {error}") from None
    # What other programs leave zero where this one writes a default says nothing, either.
    return bare and all(
        there in (meant, 0) or (place, there) == _REGULAR
        for place, (there, meant) in enumerate(zip(block, header.block, strict=True))
    )


class _File(NamedTuple):
    """A file that a workspace names: of what (``layer 000``), its number in names, its path."""

    where: str
    number: str
    file: str
    key: str
    is_mesh: bool


def _files(workspace: Workspace) -> Iterator[_File]:
    path = Layer.stored_path.key
    for layer in workspace.layers():
        number = f"{layer.number:03d}"
        yield _File(f"layer {number}", number, layer.file, f"{layer.key}.{path}", is_mesh=False)
    for mesh in workspace.meshes():
        for one in mesh.polydata():
            number = f"{mesh.number:03d}_{one.time_point:03d}_{one.number:03d}"
            key = f"{mesh.key}.{one.key}.{path}"
            yield _File(f"mesh:{mesh.number}", number, one.file, key, is_mesh=True)


def _problems(workspace: Workspace, found: set[str]) -> Iterator[Problem]:
    assert workspace.path  # noqa: S101 - it has been opened
    is_ours = workspace.registry.get("SaveLocation") == privacy.NEUTRAL_ROOT
    unused = found - {workspace.path.name}
    for where, number, file, _key, is_mesh in _files(workspace):
        missing = missing_file(workspace, file, where)
        if missing:
            yield missing
            continue
        path = workspace.folder / file
        if path.is_symlink() or not path.parent.samefile(workspace.folder):
            yield Problem("file", where, f"its file {file} is not in the archive's folder")
            continue
        unused.discard(path.name)
        name = (MESH_NAME if is_mesh else LAYER_NAME).fullmatch(path.name)
        if name is None or name["number"] != number:
            message = f"{path.name} is not named by its number and its content"
            yield Problem("file", where, message)
            continue
        try:
            content = _file_hash(path) if is_mesh else content_hash(path)
            clean = not is_ours or (
                _is_scrubbed(path) if is_mesh else is_clean(images.read_header(path))
            )
        except (ImageError, MeshError) as error:
            yield Problem("image", where, str(error))
            continue
        if content != name["hash"]:
            message = f"{path.name} holds something else: its content's hash is {content}"
            yield Problem("image", where, message)
        elif not clean:
            yield Problem("privacy", where, f"{path.name} says more than its content and geometry")
    if is_ours:
        yield from _foreign_entries(workspace)
    for extra in sorted(unused):
        yield Problem("file", "archive", f"{extra} is no part of the workspace")


def _foreign_entries(workspace: Workspace) -> Iterator[Problem]:
    """Give what the workspace of an archive says beyond what may leave."""
    assert workspace.path  # noqa: S101 - it has been opened
    name, registry = workspace.path.name, workspace.registry
    meant = privacy.scrubbed(workspace, "standard").registry
    for file in _files(workspace):
        meant[file.key] = registry[file.key]
    foreign = [key for key, value in registry.walk() if meant.get(key) != value]
    for key in foreign:
        yield Problem("privacy", "archive", f"{name} has the entry {key}, which is not documented")
    if not foreign and workspace.path.read_bytes() != registry_xml.to_bytes(meant):
        yield Problem("privacy", "archive", f"{name} says something outside its entries")


def _is_clean(path: Path) -> bool:
    return is_clean(images.read_header(path))


def _is_scrubbed(path: Path) -> bool:
    try:
        return mesh_formats.scrubbed(path) == path.read_bytes()
    except MeshUnsupported:
        return False


def _differences(archived: Workspace, source: Workspace) -> Iterator[Problem]:
    """Give what of an archive is not as in the workspace that it was made from."""
    ours, theirs = list(_files(archived)), list(_files(source))
    if [one.where for one in ours] != [one.where for one in theirs]:
        message = f"it has {len(ours)} layers and surfaces, the source has {len(theirs)}"
        yield Problem("source", "archive", message)
        return
    for one, other in zip(ours, theirs, strict=True):
        path, before = archived.folder / one.file, source.folder / other.file
        try:
            if one.is_mesh:
                difference = "" if path.read_bytes() == mesh_formats.scrubbed(before) else "content"
            else:
                difference = _difference(images.read_header(path), images.read_header(before))
        except (ImageError, MeshError) as error:
            difference = str(error)
        except OSError as error:
            difference = f"{error.filename}: {error.strerror}"
        if difference:
            yield Problem("source", one.where, f"it differs from {before}: {difference}")


def _difference(ours: ImageHeader, theirs: ImageHeader) -> str:
    for name in ours.nifti:
        if ours.nifti[name].tobytes() != theirs.nifti[name].tobytes():
            return f"{name} is {ours.nifti[name]}, not {theirs.nifti[name]}"
    return "" if _voxel_hash(ours) == _voxel_hash(theirs) else "voxels"


def _voxel_hash(header: ImageHeader) -> str:
    content = images.VoxelHash(header)
    for voxels in streams.ahead(header.voxels()):
        content.update(voxels)
    return content.hexdigest()


def _file_hash(path: Path) -> str:
    content = hashlib.md5(usedforsecurity=False)
    try:
        with path.open("rb") as file:
            while piece := file.read(compression.PIECE):
                content.update(piece)
    except OSError as error:
        raise ImageError(f"{path}: {error.strerror}") from None
    return content.hexdigest()

"""Whether an archive is what its names say: end-to-end integrity of what was sent or received."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from snapws import compression, images
from snapws.check import Problem, missing_file
from snapws.errors import ArchiveError, ImageError
from snapws.workspace import Workspace

_LAYER_NAME = re.compile(r"layer_(?P<number>[0-9]{3,})_(?P<hash>[0-9a-f]{32})\.nii\.gz")
_MESH_NAME = re.compile(
    r"mesh_(?P<number>[0-9]{3,})_[0-9]{3,}_[0-9]{3,}_(?P<hash>[0-9a-f]{32})\.[^.]+"
)


def verify(folder: str | Path) -> tuple[Problem, ...]:
    """Hold every file of an archive against its name, and give what is wrong; nothing, if all is.

    The folder has to hold one workspace, its layers and nothing else. A layer is named
    ``layer_NNN_<hash>.nii.gz``, the hash being that of its voxels (`snapws.images.VoxelHash`); a
    mesh file ``mesh_NNN_NNN_NNN_<hash>.EXT``, the hash being the MD5 of the file.

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
    return tuple(_problems(Workspace.open(workspaces[0]), {path.name for path in found}))


def _problems(workspace: Workspace, found: set[str]) -> Iterator[Problem]:
    assert workspace.path  # noqa: S101 - it has been opened
    unused = found - {workspace.path.name}
    for where, number, file, pattern in _files(workspace):
        missing = missing_file(workspace, file, where)
        if missing:
            yield missing
            continue
        path = workspace.folder / file
        if not path.parent.samefile(workspace.folder):
            yield Problem("file", where, f"its file {file} is not in the archive's folder")
            continue
        unused.discard(path.name)
        name = pattern.fullmatch(path.name)
        if name is None or int(name["number"]) != number:
            message = f"{path.name} is not named by its number and its content"
            yield Problem("file", where, message)
            continue
        try:
            content = _layer_hash(path) if pattern is _LAYER_NAME else _file_hash(path)
        except ImageError as error:
            yield Problem("image", where, str(error))
            continue
        if content != name["hash"]:
            message = f"{path.name} holds something else: its content's hash is {content}"
            yield Problem("image", where, message)
    for extra in sorted(unused):
        yield Problem("file", "archive", f"{extra} is no part of the workspace")


def _files(workspace: Workspace) -> Iterator[tuple[str, int, str, re.Pattern[str]]]:
    for layer in workspace.layers():
        yield f"layer {layer.number:03d}", layer.number, layer.file, _LAYER_NAME
    for mesh in workspace.meshes():
        for surface in mesh.polydata():
            yield f"mesh:{mesh.number}", mesh.number, surface.file, _MESH_NAME


def _layer_hash(path: Path) -> str:
    header = images.read_header(path)
    content = images.VoxelHash(header)
    for voxels in header.voxels():
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

"""Files outside of the workspace's folder that an archive reads.

Images in other folders are normal. But a workspace that somebody else made can name any scan on
this machine: so the sender is shown the real paths of the files that voxels come from.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from snapws import paths
from snapws.errors import ImageError
from snapws.images import voxel_files

if TYPE_CHECKING:
    from snapws.workspace import Workspace

_MOST_NAMED = 10


class Source(NamedTuple):
    """A file that an archive reads.

    Attributes:
        where: The layer of the file, ``layer 000`` or ``mesh:0``.
        path: The file; its real path if returned by `outside`.
    """

    where: str
    path: Path


def outside(workspace: Workspace, folders: Iterable[Path] = ()) -> tuple[Source, ...]:
    """Find the files of images (voxel files, too) and meshes outside of the workspace's folder.

    Headers are read, but no voxels. Of an image that cannot be read, only the named file is known.

    Args:
        workspace: The workspace.
        folders: The workspace's folders; by default the folder of its file.
    """
    return beyond(_sources(workspace), folders or (workspace.folder,))


def beyond(sources: Iterable[Source], folders: Iterable[Path]) -> tuple[Source, ...]:
    """Return the sources outside of folders by real path, without repetitions.

    A link that leads out of the folders is outside; a link to the annex of their Git repository
    is not.
    """
    roots = [Path(os.path.realpath(folder)) for folder in folders]
    places: dict[Path, Path] = {}

    def real_folder(folder: Path) -> Path:
        if folder not in places:  # the slices of a series share a folder
            places[folder] = Path(os.path.realpath(folder))
        return places[folder]

    found: dict[Source, None] = {}
    for where, path in sources:
        place = real_folder(path.parent)
        real = place / path.name
        if real.is_symlink():
            real = Path(os.path.realpath(real))
        if not any(_is_inside(real, place, root) for root in roots):
            found[Source(where, real)] = None
    return tuple(found)


def read_instead(workspace: Workspace) -> Iterator[str]:
    """Yield a line for each image in whose place ITK-SNAP reads another file."""
    from snapws.images import readings

    for one in workspace.files():
        if one.image and one.is_local and (line := readings.read_instead(one.path)):
            yield f"{one.where}: {one.path.name} is what is sent: {line}"


def told(sources: Iterable[Source]) -> Iterator[str]:
    """Yield lines that name outside sources: the first ones of each folder, and a count."""
    folders: dict[tuple[str, Path], list[Path]] = {}
    for where, path in sources:
        folders.setdefault((where, path.parent), []).append(path)
    for (where, folder), files in folders.items():
        for path in files[:_MOST_NAMED]:
            yield f"{where} is from outside of the workspace's folder: {path}"
        if more := files[_MOST_NAMED:]:
            yield f"{where} is from outside of the workspace's folder: {len(more)} more in {folder}"


def _sources(workspace: Workspace) -> Iterator[Source]:
    for one in workspace.files():
        if not one.is_local or paths.unusable(one.path):
            continue  # nothing is read from the file; packing reports the error
        yield Source(one.where, one.path)
        if one.image:
            with suppress(ImageError):  # packing reports the error
                header = one.image.header("send")
                yield from (Source(one.where, file) for file in header.files)


def _is_inside(real: Path, place: Path, root: Path) -> bool:
    """Return whether a file is inside of a folder.

    Args:
        real: The file's real path, without links.
        place: The folder of the file, or of the link to it.
        root: The folder.
    """
    if real.is_relative_to(root):
        return True
    objects = voxel_files.annex(root) if place.is_relative_to(root) else None
    return objects is not None and real.is_relative_to(objects)

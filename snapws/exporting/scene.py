"""A workspace as a scene of 3D Slicer: ``.mrml`` beside its files, or all in one ``.mrb``."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, cast

from snapws import files
from snapws.arrays import safe_name
from snapws.errors import InvalidValue, WorkspaceError
from snapws.exporting.names import Names

if TYPE_CHECKING:
    from snapws.workspace import Workspace

BUNDLE, SCENE = ".mrb", ".mrml"
_IN_FOLDER = f"scene{SCENE}"
_DATA = "Data/"  # where a bundle has its files
_COMPRESSED = (".nrrd",)

#: Opens a new file of a scene, by its name.
Create = Callable[[str], AbstractContextManager[BinaryIO]]


class Exported(NamedTuple):
    """The result of an export.

    Attributes:
        files: The paths of the files written; of a bundle, its own.
        left_out: What the scene cannot hold, a line each.
    """

    files: list[Path]
    left_out: list[str]


def export_scene(workspace: Workspace, target: Path, *, force: bool = False) -> Exported:
    """Write a workspace as a scene of 3D Slicer, in one atomic step. The workspace is not changed.

    Each image is a volume at the place where ITK-SNAP shows it, a segmentation one with segments,
    in the names and colours of the label table. Transforms are linear transforms of the volumes;
    meshes are models, landmarks and lines markups. The slice views show the main image, and the
    first sticky overlay over it.

    Args:
        workspace: The workspace.
        target: A bundle (``.mrb``), a scene (``.mrml``), whose files lie beside it, or a folder,
            which gets a scene and its files; a missing folder is made.
        force: Whether to overwrite existing files.

    Raises:
        InvalidValue: The name of the target has another ending; a file already exists or is one of
            the workspace; a transform has no inverse, or a segmentation not the main image's size.
        LayerNotFound: The workspace has no main image.
        LayerFileMissing: The file of a layer is missing.
        ImageError: An image cannot be read.
        MeshError: A mesh cannot be read.
        WorkspaceError: A file cannot be written.
    """
    from snapws.exporting.contents import Contents

    kind = target.suffix.lower()
    if kind == BUNDLE:
        folder, names, scene = target.parent, [target.name], ""
    else:
        folder, scene = _place(target)
    contents = Contents(workspace, Names(scene))
    if kind != BUNDLE:
        names = [*contents.files, scene]
    refuse_overwriting(workspace, [folder / name for name in names], force=force)
    try:
        if kind == BUNDLE:
            with _bundle(target) as (create, finish):
                finish(contents.write(create, _DATA))
        else:
            with files.atomic_files(folder, last=scene) as aside:
                document = contents.write(lambda name: _opened(aside / name))
                (aside / scene).write_bytes(document)
    except OSError as error:
        where = error.filename or folder
        raise WorkspaceError(f"cannot write to {folder}: {where}: {error.strerror}") from None
    return Exported([folder / name for name in names], contents.left_out)


def refuse_overwriting(workspace: Workspace, targets: Iterable[Path], *, force: bool) -> None:
    """Raise an error if a file must not be written.

    Raises:
        InvalidValue: A file is one of the workspace, or already exists without `force`.
    """
    for path in targets:
        workspace.refuse_overwriting(path)
        if os.path.lexists(path) and not force:
            raise InvalidValue(f"{path} already exists: choose another name, or use --force")


def _place(target: Path) -> tuple[Path, str]:
    """Return the folder and the name of a scene that is not a bundle."""
    if target.suffix.lower() == SCENE and not target.is_dir():
        return target.parent, target.name
    if (target.suffix or target.exists()) and not target.is_dir():
        raise InvalidValue(
            f"{target}: a workspace is exported to a name that ends in {BUNDLE}, {SCENE} or .nvd, "
            "or to a folder"
        )
    return target, _IN_FOLDER


def _opened(path: Path) -> AbstractContextManager[BinaryIO]:
    return path.open("xb")


@contextmanager
def _bundle(target: Path) -> Iterator[tuple[Create, Callable[[bytes], None]]]:
    """Write a bundle: yields how a file is added to it, and how the scene is, at last."""
    top = safe_name(target.stem) or "scene"

    with files.atomic_write(target) as aside, zipfile.ZipFile(aside, "w") as archive:

        def create(name: str) -> AbstractContextManager[BinaryIO]:
            # The same workspace gives the same bytes: no times.
            entry = zipfile.ZipInfo(f"{top}/{_DATA}{name}")
            if not name.endswith(_COMPRESSED):
                entry.compress_type = zipfile.ZIP_DEFLATED
            stream = archive.open(entry, "w", force_zip64=True)
            return cast("AbstractContextManager[BinaryIO]", stream)

        def finish(scene: bytes) -> None:
            entry = zipfile.ZipInfo(f"{top}/{top}{SCENE}")
            archive.writestr(entry, scene, zipfile.ZIP_DEFLATED)

        yield create, finish

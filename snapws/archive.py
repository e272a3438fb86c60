"""Archives: a workspace and its images in one folder, named by content, naming no person.

Every image becomes ``layer_NNN_<hash>.nii.gz``, the hash being that of its voxels (`VoxelHash`),
with a header that holds voxel type, scaling and geometry and nothing else. The workspace keeps what
is documented of its format; paths, history, comments and unknown keys go. The same input gives the
same bytes.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from snapws import images, privacy, registry_xml
from snapws.errors import ArchiveError, ImageError, LayerFileMissing
from snapws.layers import Layer
from snapws.privacy import KeptText
from snapws.workspace import FORMAT_VERSION, Workspace

Names = Literal["hash", "keep"]

#: The folder that the workspace of an archive claims to have been saved in. Readers take the paths
#: below it to be relative to wherever the archive is.
NEUTRAL_ROOT = "/archive"

#: Name of the workspace where none is asked for: its own name may be a person's.
DEFAULT_NAME = "workspace.itksnap"


@dataclass(frozen=True)
class ArchiveReport:
    """What an archive consists of, what it still says, and what was left out.

    Voxels are never changed: a scan of a head can still show a face.

    Attributes:
        workspace: the workspace file of the archive.
        files: every file of the archive, the workspace last.
        kept: the texts that somebody typed and that are in the archive, as they are.
        dropped: registry entries that are not in the archive, counted by key (indices as ``[]``).
    """

    workspace: Path
    files: tuple[Path, ...]
    kept: tuple[KeptText, ...]
    dropped: dict[str, int]


def archive(
    workspace: Workspace, destination: str | Path, *, names: Names = "hash"
) -> ArchiveReport:
    """Write an archive of a workspace and its images.

    The files appear in the destination's folder when all of them are complete, the workspace last;
    after an error none does. Files of the same name are replaced; others that are in the folder
    stay.

    Args:
        workspace: what to archive; it is not changed.
        destination: the ``.itksnap`` file to write, its images beside it, or a folder to write
            ``workspace.itksnap`` to. Folders are made where they are missing.
        names: ``hash`` names images by their content; ``keep`` by their file name up to its first
            dot, which may be a person's.

    Raises:
        LayerNotFound: the workspace has no main image.
        LayerFileMissing: the file of a layer is not on this machine.
        ImageDamaged: an image is cut short or its header impossible; the message names the layer.
        ImageUnsupported: an image is of a kind that ITK-SNAP or this package does not read.
        ArchiveError: the workspace has mesh layers, or the archive cannot be written.
    """
    target = Path(destination)
    if target.suffix != ".itksnap":
        target = target / DEFAULT_NAME
    if names not in get_args(Names):
        raise ArchiveError(f"images are named by 'hash' or 'keep', not by {names!r}")
    if workspace.meshes():
        raise ArchiveError(
            "the workspace has mesh layers, and meshes cannot be archived yet: remove them first"
        )
    workspace.main  # noqa: B018 - there has to be one
    made = _make_folder(target.parent)
    aside = target.parent / f".archive-{os.urandom(6).hex()}"
    moved: list[Path] = []
    try:
        _refuse_own_file(workspace, target)
        aside.mkdir()
        report = _write(workspace, aside, target.name, names)
        for file in report.files:
            place = target.parent / file.name
            is_new = not place.exists()
            file.replace(place)
            moved += [place] if is_new else []
        aside.rmdir()
    except BaseException as error:
        for file in moved:
            file.unlink()
        shutil.rmtree(aside, ignore_errors=True)
        with suppress(OSError):  # a folder in which another program has put something stays
            for folder in made:
                folder.rmdir()
        if isinstance(error, OSError):
            raise ArchiveError(f"cannot write the archive {target}: {error.strerror}") from None
        raise
    files = tuple(target.parent / file.name for file in report.files)
    return ArchiveReport(files[-1], files, report.kept, report.dropped)


def _write(workspace: Workspace, folder: Path, name: str, names: Names) -> ArchiveReport:
    scrubbed = Workspace()
    files = []
    for number, layer in enumerate(workspace.layers()):
        file = _write_image(layer, number, folder, names)
        files.append(file)
        copy = scrubbed.registry.make_folder(layer.key)
        privacy.copy_kept(layer.registry, copy, privacy.LAYER_KEYS)
        if "Role" not in copy:
            role = layer.registry.get("Role")
            raise ArchiveError(f"layer {number:03d} has the role {role!r}, which is not known")
        copy[Layer.stored_path.key] = f"{NEUTRAL_ROOT}/{file.name}"
    privacy.copy_kept(workspace.registry, scrubbed.registry, privacy.WORKSPACE_KEYS)
    if workspace.labels:
        scrubbed.labels = workspace.labels
    scrubbed.registry["SaveLocation"] = NEUTRAL_ROOT
    scrubbed.registry["Version"] = FORMAT_VERSION
    files.append(folder / name)
    files[-1].write_bytes(registry_xml.to_bytes(scrubbed.registry))
    return ArchiveReport(
        files[-1],
        tuple(files),
        privacy.kept_texts(scrubbed.registry),
        dict(privacy.dropped_keys(workspace.registry, scrubbed.registry)),
    )


def _write_image(layer: Layer, number: int, folder: Path, names: Names) -> Path:
    unnamed = folder / f"layer_{number:03d}"
    if not layer.path.is_file():
        raise LayerFileMissing(
            f"layer {number:03d}: its file {layer.file} is not there: put it back or set its path"
        )
    try:
        header = images.read_header(layer.path)
        content = images.VoxelHash(header)
        with unnamed.open("wb") as file:
            images.write_nifti(header, file, compressed=True, content=content)
    except ImageError as error:
        raise type(error)(f"layer {number:03d}: {error}") from None
    name = content.hexdigest() if names == "hash" else layer.path.name.partition(".")[0]
    return unnamed.rename(folder / f"layer_{number:03d}_{name}.nii.gz")


def _make_folder(folder: Path) -> list[Path]:
    """Make a folder and those above it, and give those that were not there, innermost first."""
    try:
        missing = [path for path in (folder, *folder.parents) if not path.exists()]
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArchiveError(f"cannot make the folder {folder}: {error.strerror}") from None
    return missing


def _refuse_own_file(workspace: Workspace, target: Path) -> None:
    """Refuse to write an archive in place of the workspace that it is made from."""
    own = workspace.path
    if own and own.exists() and target.exists() and target.samefile(own):
        raise ArchiveError(f"{target} is the workspace itself: archive to another folder")
    if target.is_dir():
        raise ArchiveError(f"{target} is a folder: choose another name")

"""Export of layers' images to files that are named by a pattern. The workspace is not changed."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from snapws import files, images
from snapws.arrays import safe_name
from snapws.errors import InvalidValue, WorkspaceError

if TYPE_CHECKING:
    from snapws.layers import Layer

FIELDS = ("number", "nickname", "role", "tag", "file")
"""The fields of a pattern, which stand in braces."""

_FIELD = re.compile(r"\{([^{}]*)\}")
_SUFFIX = re.compile(
    r"\.(nii|hdr|img|mgh|mgz|mha|mhd|nrrd|nhdr|gipl|vtk|dcm)(\.gz)?$", re.IGNORECASE
)


def export(
    layers: Sequence[Layer], folder: Path, pattern: str = "{nickname}", *, force: bool = False
) -> list[Path]:
    """Write the images of layers to ``.nii.gz`` files, in one atomic step.

    Args:
        layers: Layers of one workspace.
        folder: The folder of the files; made if missing.
        pattern: The name of a file without extension, with ``{number}`` (three digits),
            ``{nickname}``, ``{role}``, ``{tag}`` (the first one) or ``{file}`` (the name of the
            layer's own file). Characters that are invalid on any system are replaced.
        force: Whether to overwrite existing files.

    Returns:
        The paths of the files, in the order of the layers.

    Raises:
        InvalidValue: The pattern is invalid, a name is empty or used by two layers, or a file
            already exists or is one of the workspace.
        LayerFileMissing: The file of a layer is missing.
        ImageError: An image cannot be read, or NIfTI cannot hold it.
        WorkspaceError: A file cannot be written.
    """
    if not layers:
        raise InvalidValue("there is no layer to export")
    names = [f"{name}.nii.gz" for name in file_names(layers, pattern)]
    for layer, name in zip(layers, names, strict=True):
        layer.existing()
        layer.workspace.refuse_overwriting(folder / name)
        if os.path.lexists(folder / name) and not force:
            raise InvalidValue(
                f"{folder / name} already exists: choose another folder or name, or use --force"
            )
    try:
        with files.atomic_files(folder, last=names[-1]) as aside:
            for layer, name in zip(layers, names, strict=True):
                with (aside / name).open("wb") as file:
                    images.write_nifti(layer.header(), file)
    except OSError as error:
        where = error.filename or folder
        raise WorkspaceError(f"cannot write to {folder}: {where}: {error.strerror}") from None
    return [folder / name for name in names]


def file_names(layers: Sequence[Layer], pattern: str) -> list[str]:
    """Return the name of a file for each layer, without its ending, as `export` makes them.

    Raises:
        InvalidValue: The pattern is invalid, or a name is empty or used by two layers.
    """
    literal = _FIELD.sub("", pattern)
    if set(literal) & set("{}/\\"):
        raise InvalidValue(f"{pattern!r} is not a valid name: it holds a brace or a separator")
    if unknown := set(_FIELD.findall(pattern)) - set(FIELDS):
        known = ", ".join(f"{{{field}}}" for field in FIELDS)
        raise InvalidValue(f"{pattern!r}: {{{min(unknown)}}} is not a valid field: use {known}")
    names: list[str] = []
    taken: dict[str, Layer] = {}
    for layer in layers:
        values = {
            "number": f"{layer.number:03d}",
            "nickname": layer.nickname,
            "role": layer.role.name.lower(),
            "tag": next(iter(layer.tags), ""),
            "file": file_stem(layer),
        }
        parts = _FIELD.split(pattern)  # every second part is a field
        parts[1::2] = [values[field] for field in parts[1::2]]
        name = safe_name("".join(parts))
        if not name:
            raise InvalidValue(
                f"{pattern!r} gives layer {layer.number:03d} an empty name: add {{number}} to the "
                "pattern, or set the nickname or tag that it names"
            )
        # Some file systems ignore case and Unicode normalization.
        key = unicodedata.normalize("NFC", name).casefold()
        if (other := taken.setdefault(key, layer)) is not layer:
            raise InvalidValue(
                f"layers {other.number:03d} and {layer.number:03d} would both be {name!r}: "
                "add {number} to the pattern"
            )
        names.append(name)
    return names


def file_stem(layer: Layer) -> str:
    """Return the name of a layer's own file, without the extension of an image."""
    return _SUFFIX.sub("", Path(layer.file).name)


def speaking_name(layer: Layer) -> str:
    """Return the nickname of a layer, or the name of its file."""
    return layer.nickname or file_stem(layer)

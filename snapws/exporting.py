"""Layers' images as files with speaking names; the workspace stays as it is."""

from __future__ import annotations

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
"""What a pattern can name, in braces."""

_FIELD = re.compile(r"\{([^{}]*)\}")
_SUFFIX = re.compile(
    r"\.(nii|hdr|img|mgh|mgz|mha|mhd|nrrd|nhdr|gipl|vtk|dcm)(\.gz)?$", re.IGNORECASE
)


def export(
    layers: Sequence[Layer], folder: Path, pattern: str = "{nickname}", *, force: bool = False
) -> list[Path]:
    """Write the images of layers as ``.nii.gz`` files: all of them, or none.

    Args:
        layers: Layers of one workspace.
        folder: Where to; it is made where it is missing.
        pattern: The name of a file without its ending, with ``{number}`` (three digits),
            ``{nickname}``, ``{role}``, ``{tag}`` (the first one) or ``{file}`` (the name of the
            layer's own file). Signs that a name cannot have on any system are replaced.
        force: Whether files that are there are replaced.

    Returns:
        The files, in the order of the layers.

    Raises:
        InvalidValue: The pattern is invalid, a name is empty or that of two layers, or a file is
            there or is one of the workspace.
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
        if (folder / name).exists() and not force:
            raise InvalidValue(
                f"{folder / name} is there already: choose another folder or name, or say --force"
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
        InvalidValue: The pattern is invalid, or a name is empty or that of two layers.
    """
    literal = _FIELD.sub("", pattern)
    if set(literal) & set("{}/\\"):
        raise InvalidValue(f"{pattern!r} is not a valid name: it holds a brace or a separator")
    if unknown := set(_FIELD.findall(pattern)) - set(FIELDS):
        known = ", ".join(f"{{{field}}}" for field in FIELDS)
        raise InvalidValue(f"{pattern!r}: {{{min(unknown)}}} is not a valid field: say {known}")
    names: list[str] = []
    taken: dict[str, Layer] = {}
    for layer in layers:
        values = {
            "number": f"{layer.number:03d}",
            "nickname": layer.nickname,
            "role": layer.role.name.lower(),
            "tag": next(iter(layer.tags), ""),
            "file": _SUFFIX.sub("", Path(layer.file).name),
        }
        parts = _FIELD.split(pattern)  # every other one is a field
        parts[1::2] = [values[field] for field in parts[1::2]]
        name = safe_name("".join(parts))
        if not name:
            raise InvalidValue(
                f"layer {layer.number:03d} would get an empty name by {pattern!r}: give it what "
                "the name is made of, or add {number}"
            )
        # As file systems compare that know neither capitals nor the form of an accent.
        key = unicodedata.normalize("NFC", name).casefold()
        if (other := taken.setdefault(key, layer)) is not layer:
            raise InvalidValue(
                f"layers {other.number:03d} and {layer.number:03d} would both be {name!r}: "
                "add {number} to the name"
            )
        names.append(name)
    return names

"""Mesh files without the text that somebody typed into them.

A file is written afresh from a list of what stays: its geometry, its topology and its arrays of
numbers. Titles, comments, metadata, arrays of text and names of arrays go, whatever they hold, and
so does everything that the list does not know. Binary numbers stay bit for bit, numbers in text
digit for digit, one to a line. What is written is the same on every run, and scrubbing it again
changes nothing.

A file is held in memory as a whole, some times over while it is rewritten: up to ten times its
size, whatever its header claims.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from snapws import paths, stand_ins
from snapws.errors import MeshError, MeshUnsupported
from snapws.mesh_formats import kinds, stl, vtk, vtp
from snapws.mesh_formats.reading import Names

_FORMATS = {".vtk": vtk.scrub, ".vtp": vtp.scrub, ".stl": stl.scrub}
_BYU = (".byu", ".y")
_STAND_IN = 32 << 10  # bytes that are looked at for what stands in the place of a mesh


class Content(NamedTuple):
    """What an archive can hold of a mesh file.

    Attributes:
        data: The bytes.
        refusal: Why they could not be scrubbed, and are those of the file; None if they are
            scrubbed.
        names: The neutral name of each array of a mesh that is scrubbed, by the name in its file.
    """

    data: bytes
    refusal: MeshUnsupported | None
    names: Mapping[str, str] = {}


def read(path: Path) -> bytes:
    """Return the bytes of a mesh file.

    Raises:
        MeshError: The file does not exist, is a pipe or a device, cannot be read, or was written
            to meanwhile.
    """
    try:
        with paths.open_file(path) as file:
            before = os.fstat(file.fileno())
            data = file.read()
            after = os.fstat(file.fileno())
    except OSError as error:
        raise MeshError(f"{path}: {error.strerror or error}") from None
    if not before.st_size == len(data) == after.st_size or before.st_mtime_ns != after.st_mtime_ns:
        raise MeshError(f"{path} was written to while it was read: try again when it is not in use")
    return data


def scrub(data: bytes, path: Path, names: Names | None = None) -> bytes:
    """Return the geometry, topology and numbers of a mesh, and no typed text.

    The format is told by the extension, in any case: ``.vtk`` (legacy polygonal data, text or
    binary, versions 1.0 to 5.1), ``.vtp`` (XML polygonal data), ``.stl`` (text or binary).
    Coordinates and values are those of the file, in its units and its coordinate system.

    Args:
        data: The content of the file.
        path: Its path, for its extension and for messages.
        names: Is given the arrays, and knows their neutral names.

    Raises:
        MeshDamaged: The file is cut short or is not of its form; the message gives the place.
        MeshUnsupported: The file is of a kind, or has a part, that is not known here.
    """
    if what := stand_ins.of_content(data[:_STAND_IN]):
        raise MeshUnsupported(f"{path}: {what}")
    suffix = path.suffix.lower()
    if suffix in _BYU:
        raise MeshUnsupported(
            f"{path}: ITK-SNAP opens no Movie.BYU meshes, and no archive takes one: "
            "convert it to .vtk or .vtp"
        )
    if suffix not in _FORMATS:
        raise MeshUnsupported(
            f"{path}: only {', '.join(_FORMATS)} files can be freed of the text in them: "
            "save the mesh as one of these"
        )
    return _FORMATS[suffix](data, str(path), Names() if names is None else names)


def scrubbed(path: Path) -> bytes:
    """Return the bytes of a mesh file, scrubbed; see `read` and `scrub`, also for the errors."""
    return scrub(read(Path(path)), Path(path))


def unopened(path: Path) -> str:
    """Return why ITK-SNAP cannot open a mesh file; empty, if it can, damaged or not.

    Raises:
        MeshUnsupported: The file is not a mesh at all.
        MeshError: The file cannot be read.
    """
    path = Path(path)
    data = read(path)
    if what := stand_ins.of_content(data[:_STAND_IN]):
        raise MeshUnsupported(f"{path}: {what}")
    suffix = path.suffix.lower()
    if not (kinds.is_mesh(data) or (suffix == ".stl" and kinds.is_stl(data)) or suffix in _BYU):
        raise _no_mesh(path)
    return kinds.unopened(data, suffix)


def _no_mesh(path: Path) -> MeshUnsupported:
    return MeshUnsupported(
        f"{path}: this is not a mesh of a kind that is known here ({kinds.NAMES}): "
        "save the mesh as .vtk, .vtp or .stl, or remove it from the workspace"
    )


def common_names(files: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Return the neutral names of arrays on which all files of a mesh layer agree.

    >>> common_names([{"Thickness": "array_0", "Area": "array_1"}, {"Area": "array_0"}])
    {'Thickness': 'array_0'}
    """
    found: dict[str, set[str]] = {}
    for names in files:
        for name, neutral in names.items():
            found.setdefault(name, set()).add(neutral)
    return {name: neutral.pop() for name, neutral in found.items() if len(neutral) == 1}


def content(path: Path) -> Content:
    """Return what an archive can hold of a mesh file: scrubbed bytes, or the file as it is.

    Raises:
        MeshUnsupported: The file cannot be scrubbed, and is not a mesh of a known kind either, or
            a Movie.BYU mesh.
        MeshError: As by `read` and `scrub`.
    """
    path = Path(path)
    data = read(path)
    names = Names()
    try:
        return Content(scrub(data, path, names), None, names.known())
    except MeshUnsupported as error:
        if path.suffix.lower() in _BYU or stand_ins.of_content(data[:_STAND_IN]):
            raise
        if not kinds.is_mesh(data):
            raise _no_mesh(path) from None
        return Content(data, error)

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
from pathlib import Path
from typing import NamedTuple

from snapws import paths, stand_ins
from snapws.errors import MeshError, MeshUnsupported
from snapws.mesh_formats import kinds, stl, vtk, vtp

_FORMATS = {".vtk": vtk.scrub, ".vtp": vtp.scrub, ".stl": stl.scrub}
_BYU = (".byu", ".y")
_STAND_IN = 32 << 10  # bytes that are looked at for what stands in the place of a mesh


class Content(NamedTuple):
    """What an archive can hold of a mesh file.

    Attributes:
        data: The bytes.
        refusal: Why they could not be scrubbed, and are those of the file; None if they are
            scrubbed.
    """

    data: bytes
    refusal: MeshUnsupported | None


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


def scrub(data: bytes, path: Path) -> bytes:
    """Return the geometry, topology and numbers of a mesh, and no typed text.

    The format is told by the extension, in any case: ``.vtk`` (legacy polygonal data, text or
    binary, versions 1.0 to 5.1), ``.vtp`` (XML polygonal data), ``.stl`` (text or binary).
    Coordinates and values are those of the file, in its units and its coordinate system.

    Args:
        data: The content of the file.
        path: Its path, for its extension and for messages.

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
    return _FORMATS[suffix](data, str(path))


def scrubbed(path: Path) -> bytes:
    """Return the bytes of a mesh file, scrubbed; see `read` and `scrub`, also for the errors."""
    return scrub(read(Path(path)), Path(path))


def content(path: Path) -> Content:
    """Return what an archive can hold of a mesh file: scrubbed bytes, or the file as it is.

    Raises:
        MeshUnsupported: The file cannot be scrubbed, and is not a mesh of a known kind either, or
            a Movie.BYU mesh.
        MeshError: As by `read` and `scrub`.
    """
    path = Path(path)
    data = read(path)
    try:
        return Content(scrub(data, path), None)
    except MeshUnsupported as error:
        if path.suffix.lower() in _BYU or stand_ins.of_content(data[:_STAND_IN]):
            raise
        if not kinds.is_mesh(data):
            raise MeshUnsupported(
                f"{path}: this is not a mesh of a kind that is known here ({kinds.NAMES}): "
                "save the mesh as .vtk, .vtp or .stl, or remove it from the workspace"
            ) from None
        return Content(data, error)

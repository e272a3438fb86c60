"""Scrubbing of mesh files: they are rewritten without any text that somebody typed.

Only geometry, topology and arrays of numbers are kept. Titles, comments, metadata, arrays of text,
names of arrays and unknown parts are removed. Binary numbers stay the same bit for bit, numbers in
text digit for digit, one per line. Each run writes the same bytes, and scrubbing a scrubbed file
changes nothing.

The complete file is held in memory. Rewriting needs up to ten times the size of the file, whatever
its header claims.
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
from snapws.mesh_formats.surfaces import Surface

_FORMATS = {".vtk": vtk.scrub, ".vtp": vtp.scrub, ".stl": stl.scrub}
#: The largest file that a surface is read from: reading takes several times its size.
MOST_BYTES = 256 << 20

_BYU = (".byu", ".y")
_STAND_IN = 32 << 10  # bytes that are searched for a placeholder


class Content(NamedTuple):
    """The content of a mesh file for an archive.

    Attributes:
        data: The bytes.
        refusal: Why `data` is the unchanged file, which cannot be scrubbed; None if scrubbed.
        names: The neutral names of the arrays of a scrubbed mesh, by their original name.
    """

    data: bytes
    refusal: MeshUnsupported | None
    names: Mapping[str, str] = {}


def read(path: Path) -> bytes:
    """Return the bytes of a mesh file.

    Raises:
        MeshError: The file does not exist, is a pipe or a device, cannot be read, or was written
            to while it was read.
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


def scrub(
    data: bytes, path: Path, names: Names | None = None, surface: Surface | None = None
) -> bytes:
    """Return the geometry, topology and numbers of a mesh, and no typed text.

    The extension gives the format: ``.vtk`` (legacy polygonal data, text or binary, versions 1.0 to
    5.1), ``.vtp`` (XML polygonal data), ``.stl`` (text or binary). Coordinates and values are those
    of the file, in its units and its coordinate system.

    Args:
        data: The content of the file.
        path: The path of the file, for its extension and for messages.
        names: Collects the neutral names of the arrays.
        surface: Collects points and triangles. The result is then of no use.

    Raises:
        MeshDamaged: The file is truncated or corrupt; the message gives the place.
        MeshUnsupported: The format of the file, or a part of it, is not supported.
    """
    if placeholder := stand_ins.of_content(data[:_STAND_IN]):
        raise MeshUnsupported(f"{path}: {placeholder}")
    suffix = path.suffix.lower()
    if suffix in _BYU:
        raise MeshUnsupported(
            f"{path}: ITK-SNAP opens no Movie.BYU meshes, and no archive takes one: "
            "convert it to .vtk or .vtp"
        )
    if suffix not in _FORMATS:
        raise MeshUnsupported(
            f"{path}: only {', '.join(_FORMATS)} files can be read: save the mesh as one of these"
        )
    return _FORMATS[suffix](data, str(path), Names() if names is None else names, surface)


def scrubbed(path: Path) -> bytes:
    """Return the scrubbed bytes of a mesh file; see `read` and `scrub`, also for the errors."""
    return scrub(read(Path(path)), Path(path))


def read_surface(path: Path) -> Surface:
    """Return the surface in a mesh file; see `scrub` for the formats.

    Raises:
        MeshUnsupported: The format of the file is not supported, or the file is larger than
            `MOST_BYTES`.
        MeshError: The file cannot be read, or is corrupt.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
    except OSError as error:
        raise MeshError(f"{path}: {error.strerror or error}") from None
    if size > MOST_BYTES:
        raise MeshUnsupported(
            f"{path} has {size:,} bytes, a surface is read from {MOST_BYTES:,} at most: "
            "save it with fewer triangles"
        )
    surface = Surface()
    scrub(read(path), path, surface=surface)
    return surface


def unopened(path: Path) -> str:
    """Return why ITK-SNAP cannot open meshes of a file's format; empty if it can.

    Raises:
        MeshUnsupported: The file is not a mesh at all.
        MeshError: The file cannot be read.
    """
    path = Path(path)
    data = read(path)
    if placeholder := stand_ins.of_content(data[:_STAND_IN]):
        raise MeshUnsupported(f"{path}: {placeholder}")
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
    """Return the neutral names of arrays that are the same in all files of a mesh layer.

    >>> common_names([{"Thickness": "array_0", "Area": "array_1"}, {"Area": "array_0"}])
    {'Thickness': 'array_0'}
    """
    found: dict[str, set[str]] = {}
    for names in files:
        for name, neutral in names.items():
            found.setdefault(name, set()).add(neutral)
    return {name: neutral.pop() for name, neutral in found.items() if len(neutral) == 1}


def content(path: Path) -> Content:
    """Return the content of a mesh file for an archive: scrubbed if possible, else unchanged.

    Raises:
        MeshUnsupported: The file cannot be scrubbed, and is not a mesh of a known format, or it is
            a Movie.BYU mesh.
        MeshError: The file cannot be read, or is corrupt; see `read` and `scrub`.
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

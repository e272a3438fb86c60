"""Mesh files without the text that somebody typed into them.

A file is written afresh from a list of what stays: its geometry, its topology and its arrays of
numbers. Titles, comments, metadata, arrays of text and names of arrays go, whatever they hold, and
so does everything that the list does not know. Binary numbers stay bit for bit, numbers in text
digit for digit, one to a line. What is written is the same on every run, and scrubbing it again
changes nothing.

A file is held in memory as a whole, some times over while it is rewritten: up to five times its
size, ten times if it is compressed.
"""

from __future__ import annotations

from pathlib import Path

from snapws import paths
from snapws.errors import MeshError, MeshUnsupported
from snapws.mesh_formats import byu, stl, vtk, vtp

_FORMATS = {
    ".vtk": vtk.scrub,
    ".vtp": vtp.scrub,
    ".stl": stl.scrub,
    ".byu": byu.scrub,
    ".y": byu.scrub,
}


def scrubbed(path: Path) -> bytes:
    """Give the bytes of a mesh file with its geometry, topology and numbers, and no typed text.

    The format is told by the extension, in any case: ``.vtk`` (legacy polygonal data, text or
    binary, versions 1.0 to 5.1), ``.vtp`` (XML polygonal data), ``.stl`` (text or binary), ``.byu``
    and ``.y`` (Movie.BYU). Coordinates and values are those of the file, in its units and its
    coordinate system.

    Raises:
        MeshDamaged: the file is cut short or is not of its form; the message gives the place.
        MeshUnsupported: the file is of a kind, or has a part, that is not known here.
        MeshError: the file cannot be read.
    """
    path = Path(path)
    try:
        scrub = _FORMATS[path.suffix.lower()]
    except KeyError:
        raise MeshUnsupported(
            f"{path}: only {', '.join(_FORMATS)} files can be freed of the text in them: "
            "save the mesh as one of these"
        ) from None
    try:
        data = paths.read_file(path)
    except OSError as error:
        raise MeshError(f"{path}: {error.strerror or error}") from None
    return scrub(data, str(path))

"""The files that a workspace names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from snapws import paths

if TYPE_CHECKING:
    from snapws.layers import Layer
    from snapws.meshes import PolyData


@dataclass(frozen=True)
class NamedFile:
    """An image, or a surface of a mesh layer, as a workspace names it.

    Attributes:
        where: Its layer, ``layer 000`` or ``mesh:0``.
        number: Its number in the names of archived files: ``000`` for an image, ``000_001_002`` for
            a surface (mesh layer, time point, surface).
        key: The registry key that holds its path.
        file: Its present path, or its URL; empty if no path is stored.
        folder: The folder of the workspace.
        image: The layer of an image; None for a surface.
        surface: The surface; None for an image.
    """

    where: str
    number: str
    key: str
    file: str
    folder: Path
    image: Layer | None = None
    surface: PolyData | None = None

    @property
    def is_local(self) -> bool:
        """Whether `file` is a path, and not empty or the URL of a file on a server."""
        return bool(self.file) and not paths.is_url(self.file)

    @property
    def path(self) -> Path:
        """The path of a file that `is_local`; a relative one is below `folder`."""
        return self.folder / self.file

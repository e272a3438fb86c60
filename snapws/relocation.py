"""Workspaces whose images went to another place, on this system or another."""

from __future__ import annotations

from dataclasses import dataclass

from snapws import paths
from snapws.errors import LayerFileMissing
from snapws.workspace import Workspace


@dataclass(frozen=True)
class Relocated:
    """A file of a workspace that is named by another path now.

    Attributes:
        key: The registry key that holds the path.
        old: The path as it was.
        new: The path as it is now.
    """

    key: str
    old: str
    new: str


def relocate_files(workspace: Workspace, old: str, new: str) -> tuple[Relocated, ...]:
    """Name the files below the folder `old` by their place below the folder `new`.

    Paths of layers and meshes, as stored or as they are found now, are compared by whole
    components, as the system that wrote them compares them: Windows takes both slashes and either
    case. Whether a file is there does not matter. Other paths are written as they are found now,
    and none depends any more on where the workspace was saved.

    Args:
        workspace: What to change; nothing is saved.
        old: The folder as the workspace has it.
        new: The folder where its files are now; made absolute.

    Raises:
        LayerFileMissing: No path lies below `old`; the workspace is not changed.
    """
    stored, now = workspace.registry, workspace.as_saved_in(workspace.folder).registry
    moved = []
    for key, path in now.walk():
        if key.startswith(("Layers.", "MeshLayers.")) and key.endswith(".AbsolutePath"):
            for known in (stored[key], path):
                target = paths.rerooted(known, old, paths.absolute(new))
                if target is not None:
                    moved.append(Relocated(key, known, target))
                    break
    if not moved:
        raise LayerFileMissing(
            f"no file of the workspace is below {old}: layers list shows where they are"
        )
    for one in moved:
        now[one.key] = one.new
    workspace.registry.update(now)
    workspace.saved_in = now["SaveLocation"]
    return tuple(moved)


relocate = relocate_files
"""The name that scripts know it by."""

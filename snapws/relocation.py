"""Changes of paths after images were moved to another folder or machine."""

from __future__ import annotations

from dataclasses import dataclass

from snapws import paths
from snapws.errors import LayerFileMissing
from snapws.workspace import Workspace


@dataclass(frozen=True)
class Relocated:
    """A changed path of a workspace.

    Attributes:
        key: The registry key of the path.
        old: The old path.
        new: The new path.
    """

    key: str
    old: str
    new: str


def relocate_files(workspace: Workspace, old: str, new: str) -> tuple[Relocated, ...]:
    """Replace the folder `old` by the folder `new` in the paths of layers and meshes.

    Both the stored path and the present path of a file are compared with `old`, component by
    component, by the rules of the system that wrote them: Windows has two separators and ignores
    case. The files need not exist. Other paths are set to the present path of the file; then no
    path depends on where the workspace was saved.

    Args:
        workspace: The workspace to change. It is not saved.
        old: The folder in the paths of the workspace.
        new: The folder where the files are now; made absolute.

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
"""The name of `relocate_files` in older scripts."""

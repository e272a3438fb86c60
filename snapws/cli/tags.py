"""``snapws tags``: the tags of layers and mesh layers."""

from __future__ import annotations

from snapws.cli import lookup
from snapws.cli.frame import Saving, command, group
from snapws.cli.options import LayerName, TagNames, WorkspaceFile
from snapws.errors import LayerNotFound

app = group("Tags of layers and mesh layers.", example="snapws tags add study.itksnap O:0 Source")


@command(app, "add", example="snapws tags add study.itksnap O:0 Source")
def add(workspace: WorkspaceFile, layer: LayerName, tags: TagNames, saving: Saving) -> None:
    """Add tags to a layer."""
    with saving.edit(workspace) as opened:
        found = lookup.find(opened, layer)
        for tag in tags:
            found.add_tag(tag)


@command(app, "remove", example="snapws tags remove study.itksnap O:0 Source")
def remove(workspace: WorkspaceFile, layer: LayerName, tags: TagNames, saving: Saving) -> None:
    """Remove tags that a layer has."""
    with saving.edit(workspace) as opened:
        found = lookup.find(opened, layer)
        for tag in tags:
            if tag not in found.tags:
                has = ", ".join(found.tags) or "none"
                raise LayerNotFound(f"{found.key} has no tag {tag!r}; its tags: {has}")
            found.remove_tag(tag)


@command(app, "move", example="snapws tags move study.itksnap O:0 Source")
def move(workspace: WorkspaceFile, layer: LayerName, tags: TagNames, saving: Saving) -> None:
    """Add tags to one layer, and remove them from all others."""
    with saving.edit(workspace) as opened:
        found = lookup.find(opened, layer)
        for tag in tags:
            found.take_tag(tag)

"""``snapws info``: a workspace on one screen."""

from __future__ import annotations

from snapws.cli import layers, render
from snapws.cli.frame import Listing
from snapws.cli.options import WorkspaceFile
from snapws.layers import Role
from snapws.workspace import Workspace

_COLUMNS = (
    *("number", "role", "nickname", "tags"),
    *("size", "spacing", "voxel_type", "orientation", "file"),
)


def info(workspace: WorkspaceFile, listing: Listing) -> None:
    """Show a workspace on one screen.

    Of each image: size, spacing in mm, voxel type, and where its axes run to (RAS: right, anterior,
    superior). Only headers are read.
    """
    from snapws.summary import image_summary

    opened = Workspace.open(workspace)
    records = [{**layers.record(layer), **vars(image_summary(layer))} for layer in opened.layers()]
    content = {
        "workspace": str(opened.path),
        "saved_in": opened.registry.get("SaveLocation"),
        "version": opened.registry.get("Version"),
        "labels": len(opened.labels) if opened.layers(role=Role.MAIN) else 0,
        "meshes": len(opened.meshes()),
        "annotations": len(opened.annotations),
        "time_points": len(opened.time_points),
    }
    if listing.json:
        render.as_json({**content, "layers": records})
        return
    for name, value in content.items():
        render.result(render.plain(f"{name.replace('_', ' ')}: {value}"))
    render.result("")
    render.table(records, _COLUMNS)
    for record in records:
        if record["problem"]:
            render.result(render.plain(f"layer {record['number']}: {record['problem']}"))

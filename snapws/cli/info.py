"""``snapws info``: a workspace on one screen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from snapws import cohort
from snapws.cli import many, render
from snapws.cli.frame import Listing
from snapws.cli.many import WorkspaceFiles
from snapws.layers import Role
from snapws.workspace import Workspace

_COLUMNS = (
    *("number", "role", "nickname", "tags"),
    *("size", "spacing", "voxel_type", "orientation", "file"),
)


def info(workspaces: WorkspaceFiles, listing: Listing) -> None:
    """Show a workspace on one screen, or many one after the other.

    For each image: size, spacing in mm, voxel type, and the directions of its axes (RAS: right,
    anterior, superior). Reads headers only.
    """
    many.show_each(
        cohort.expand(workspaces),
        _content,
        _show,
        data=dict,
        key="",
        alone=cohort.is_one(workspaces),
        as_json=listing.json,
    )


def _content(workspace: Path) -> dict[str, Any]:
    from snapws.summary import image_summary

    opened = Workspace.open(workspace)
    records = [{**layer.record(), **vars(image_summary(layer))} for layer in opened.layers()]
    return {
        "workspace": str(opened.path),
        "saved_in": opened.registry.get("SaveLocation"),
        "version": opened.registry.get("Version"),
        "labels": len(opened.labels) if opened.layers(role=Role.MAIN) else 0,
        "meshes": len(opened.meshes()),
        "annotations": len(opened.annotations),
        "time_points": len(opened.time_points),
        "layers": records,
    }


def _show(content: dict[str, Any]) -> None:
    records = content["layers"]
    for name, value in content.items():
        if name != "layers":
            render.result(render.printable(f"{name.replace('_', ' ')}: {value}"))
    render.result("")
    render.table(records, _COLUMNS)
    for record in records:
        if record["problem"]:
            render.result(render.printable(f"layer {record['number']}: {record['problem']}"))

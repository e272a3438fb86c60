"""``snapws info``: a workspace on one screen."""

from __future__ import annotations

from typing import Any

from snapws.cli import layers, render
from snapws.cli.frame import Listing
from snapws.cli.options import WorkspaceFile
from snapws.errors import ImageError
from snapws.layers import Layer, Role
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
    opened = Workspace.open(workspace)
    records = [{**layers.record(layer), **_image(layer)} for layer in opened.layers()]
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
        render.result(f"{name.replace('_', ' ')}: {value}")
    render.result("")
    render.table(records, _COLUMNS)
    for record in records:
        if record["problem"]:
            render.result(f"layer {record['number']}: {record['problem']}")


def _image(layer: Layer) -> dict[str, Any]:
    """Give what the header of a layer's image says, or why it says nothing."""
    from nibabel.nifti1 import data_type_codes

    from snapws import geometry, images
    from snapws.check import missing_file

    empty = dict.fromkeys(("size", "components", "spacing", "voxel_type", "orientation"))
    missing = missing_file(layer.workspace, layer.file, "")
    if missing:
        return {**empty, "problem": missing.message}
    try:
        header = images.read_header(layer.path)
        affine = geometry.affine(header)
    except ImageError as error:
        return {**empty, "problem": str(error)}
    three = header.shape[:4] if len(header.shape) > 3 and header.shape[3] > 1 else header.dimensions
    return {
        "size": three,
        "components": header.components,
        "spacing": geometry.spacing(affine),
        "voxel_type": data_type_codes.label[int(header.nifti["datatype"])],
        "orientation": geometry.orientation(affine),
        "problem": None,
    }

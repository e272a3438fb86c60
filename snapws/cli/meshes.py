"""``snapws meshes``: the surfaces of a workspace."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from snapws import paths
from snapws.cli import lookup, render
from snapws.cli.frame import Listing, Saving, command, group
from snapws.cli.options import Nickname, OnlyTag, Tags, WorkspaceFile, existing
from snapws.meshes import MeshLayer
from snapws.workspace import Workspace

app = group("Mesh layers: surfaces.", example="snapws meshes list study.itksnap")


@command(app, "list", example="snapws meshes list study.itksnap")
def list_(workspace: WorkspaceFile, listing: Listing, tag: OnlyTag = None) -> None:
    """List the surface files of the mesh layers."""
    opened = Workspace.open(workspace)
    records = [record for mesh in opened.meshes(tag=tag) for record in mesh.records()]
    listing.show(records, MeshLayer.LISTED)


@command(app, "add", example="snapws meshes add study.itksnap cortex.vtk --nickname Cortex")
def add(
    workspace: WorkspaceFile,
    file: Annotated[str, typer.Argument(metavar="FILE", help="The surface.", show_default=False)],
    *,
    nickname: Nickname = None,
    tag: Tags = None,
    time_point: Annotated[
        int, typer.Option(min=1, metavar="N", help="The time point of the surface, from 1.")
    ] = 1,
    to: Annotated[
        str | None,
        typer.Option(metavar="MESH", help="An existing mesh layer to add the surface to: mesh:0."),
    ] = None,
    saving: Saving,
) -> None:
    """Add a surface as a new mesh layer, or to an existing one.

    The command refuses a file that is not a mesh. It prints a remark if ITK-SNAP cannot open the
    mesh.
    """
    from snapws import mesh_formats

    path = paths.local(existing(file))
    why = "" if paths.is_url(path) else mesh_formats.unopened(Path(path))
    with saving.edit(workspace) as opened:
        if to is None:
            mesh = opened.add_mesh(file, time_point=time_point)
        else:
            mesh = lookup.find_mesh(opened, to)
            mesh.add_polydata(file, time_point)
        if nickname is not None:
            mesh.nickname = nickname
        if tag is not None:
            mesh.tags = tuple(tag)
        if why:
            render.note(f"{file}: {why}")

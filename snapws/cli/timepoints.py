"""``snapws timepoints``: the time points of a 4-D workspace."""

from __future__ import annotations

from typing import Annotated

import typer

from snapws.cli.frame import Listing, command, group
from snapws.cli.options import WorkspaceFile
from snapws.workspace import Workspace

app = group("Time points of a 4-D workspace.", example="snapws timepoints list study.itksnap")


@command(app, "list", example="snapws timepoints list study.itksnap --tag systole")
def list_(
    workspace: WorkspaceFile,
    listing: Listing,
    tag: Annotated[str | None, typer.Option(metavar="TAG", help="Only those.")] = None,
    nickname: Annotated[str | None, typer.Option(metavar="NAME", help="Only those.")] = None,
) -> None:
    """List the time points that the workspace describes."""
    records = [
        {"number": point.number, "nickname": point.nickname, "tags": list(point.tags)}
        for point in Workspace.open(workspace).time_points
        if (tag is None or tag in point.tags) and nickname in (None, point.nickname)
    ]
    listing.show(records, ("number", "nickname", "tags"))

"""``snapws annotations``: landmarks and lines."""

from __future__ import annotations

from snapws.annotations import Landmark, LineSegment
from snapws.cli.frame import Listing, command, noun
from snapws.cli.options import WorkspaceFile
from snapws.workspace import Workspace

app = noun(
    "Landmarks and lines that a person drew.",
    example="snapws annotations list study.itksnap --json",
)


@command(app, "list", example="snapws annotations list study.itksnap")
def list_(workspace: WorkspaceFile, listing: Listing) -> None:
    """List the annotations.

    Their places are in voxels of the main image.
    """
    records = [
        {
            "number": number,
            "kind": one.kind,
            "center": one.center,
            "points": [one.point1, one.point2] if isinstance(one, LineSegment) else [],
            "text": one.text if isinstance(one, Landmark) else "",
            "tags": list(one.tags),
        }
        for number, one in enumerate(Workspace.open(workspace).annotations)
    ]
    listing.show(records, ("number", "kind", "center", "tags", "text"))

"""``snapws transform``: where a layer lies relative to the main image."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from snapws import transforms
from snapws.cli import lookup, render
from snapws.cli.frame import Listing, Saving, command, noun
from snapws.cli.options import LayerName, WorkspaceFile
from snapws.fields import format_number
from snapws.workspace import Workspace

app = noun(
    "Affine transforms of layers, in RAS mm.",
    example="snapws transform set study.itksnap tag:Source affine.mat",
)


@command(app, "get", example="snapws transform get study.itksnap tag:Source > source.mat")
def get(workspace: WorkspaceFile, layer: LayerName, listing: Listing) -> None:
    """Print the transform of a layer, a 4x4 matrix.

    It maps RAS mm of the main image to RAS mm of the layer, as c3d and greedy write it.
    """
    rows = lookup.find_image(Workspace.open(workspace), layer).transform.tolist()
    if listing.json:
        render.as_json(rows)
    else:
        for row in rows:
            render.result(" ".join(format_number(value) for value in row))


@command(app, "set", example="snapws transform set study.itksnap tag:Source affine.mat")
def set_(
    workspace: WorkspaceFile,
    layer: LayerName,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="A 4x4 matrix (RAS), or an ITK transform file (LPS).",
            show_default=False,
        ),
    ],
    saving: Saving,
) -> None:
    """Set the transform of a layer from a file."""
    with saving.edit(workspace) as opened:
        lookup.find_image(opened, layer).transform = transforms.read_file(file)

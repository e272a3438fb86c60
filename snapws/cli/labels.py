"""``snapws labels``: the segmentation labels of a workspace."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from snapws import files, labels
from snapws.cli import render
from snapws.cli.frame import Listing, Saving, command, noun
from snapws.cli.options import WorkspaceFile
from snapws.workspace import Workspace

app = noun(
    "Segmentation labels: names and colours.",
    example="snapws labels export study.itksnap labels.txt",
)

LabelFile = Annotated[
    Path, typer.Argument(metavar="FILE", help="A label file of ITK-SNAP.", show_default=False)
]


@command(app, "list", example="snapws labels list study.itksnap")
def list_(workspace: WorkspaceFile, listing: Listing) -> None:
    """List the labels."""
    records = [asdict(label) for label in Workspace.open(workspace).labels]
    listing.show(records, ("index", "color", "alpha", "visible", "mesh_visible", "name"))


@command(app, "set", example="snapws labels set study.itksnap labels.txt")
def set_(workspace: WorkspaceFile, file: LabelFile, saving: Saving) -> None:
    """Replace all labels by those of a label file."""
    with saving.edit(workspace) as opened:
        opened.labels = labels.read_file(file)


@command(
    app,
    "add",
    example='snapws labels add study.itksnap labels.txt --offset 100 --pattern "left %s"',
)
def add(
    workspace: WorkspaceFile,
    file: LabelFile,
    *,
    offset: Annotated[int, typer.Option(metavar="N", help="Added to each index.")] = 0,
    pattern: Annotated[
        str, typer.Option(metavar="TEXT", help="The new name; %s stands for the old one.")
    ] = "%s",
    saving: Saving,
) -> None:
    """Add labels of a label file.

    A label whose index is there already is replaced.
    """
    with saving.edit(workspace) as opened:
        added = labels.shifted(labels.read_file(file), offset, pattern)
        opened.labels = (*opened.labels, *added)


@command(app, "clear", example="snapws labels clear study.itksnap")
def clear(workspace: WorkspaceFile, saving: Saving) -> None:
    """Remove all labels."""
    with saving.edit(workspace) as opened:
        opened.labels = ()


@command(app, "export", example="snapws labels export study.itksnap labels.txt")
def export(
    workspace: WorkspaceFile,
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="The file to write; none: print.")
    ] = None,
) -> None:
    """Write the labels as a label file of ITK-SNAP."""
    content = labels.format_file(Workspace.open(workspace).labels)
    if file is None:
        render.result(content.removesuffix("\n"))
    else:
        files.write_bytes(file, content.encode())
        render.note(f"wrote {file}")

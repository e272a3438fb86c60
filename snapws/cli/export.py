"""``snapws export``: a workspace for another program."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from snapws.cli import render
from snapws.cli.frame import Listing
from snapws.cli.options import WorkspaceFile
from snapws.workspace import Workspace


def export(
    workspace: WorkspaceFile,
    target: Annotated[
        Path,
        typer.Argument(
            metavar="TARGET",
            help="A bundle (.mrb), a scene (.mrml) or a folder; or a document of NiiVue (.nvd).",
            show_default=False,
        ),
    ],
    *,
    force: Annotated[bool, typer.Option("--force", help="Overwrite existing files.")] = False,
    listing: Listing,
) -> None:
    """Write a scene of 3D Slicer, or a document of NiiVue.

    Images, segmentations with the names and colours of the labels, transforms, meshes, landmarks
    and lines, and how they are shown. What the target cannot hold is listed. In a bundle, and in a
    document for browsers, all is in one file; the files of a scene lie beside it. The workspace
    stays as it is. All files are written, or none.
    """
    from snapws.exporting.document import DOCUMENT, export_document
    from snapws.exporting.scene import export_scene

    is_document = target.suffix.lower() == DOCUMENT and not target.is_dir()
    write = export_document if is_document else export_scene
    made = write(Workspace.open(workspace), target, force=force)
    listing.show_lines([str(file) for file in made.files])
    for line in made.left_out:
        render.note(f"left out: {line}")

"""``snapws report``: a workspace as a page for the browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from snapws.cli import render
from snapws.cli.options import WorkspaceFile
from snapws.targets import is_stream
from snapws.workspace import Workspace


def html_file(path: Path) -> Path:
    """Return the name of a page; refuse other names, whose files could be overwritten."""
    if path.suffix.lower() not in (".html", ".htm") and not is_stream(path):
        raise typer.BadParameter(f"a report's name ends in .html, not as that of {path}")
    return path


ReportFile = Annotated[
    Path,
    typer.Option(
        "--output", "-o", metavar="FILE.html", help="The page to write.", show_default=False
    ),
]


def report(workspace: WorkspaceFile, output: ReportFile) -> None:
    """Write a page that shows a workspace, for the browser.

    One file: slices to go through, layers, labels with their volumes, missing files, what an
    archive would keep and remove. All images are read. The page shows paths and names: it is not
    anonymous.
    """
    from snapws.check import missing_file
    from snapws.report import refuse_overwriting, write_report

    target = html_file(output)
    refuse_overwriting(target)  # before the workspace is read
    opened = Workspace.open(workspace)
    write_report(opened, target)
    for layer in opened.layers():
        if missing := missing_file(opened, layer.file, f"layer {layer.number:03d}"):
            render.note(f"warning: {missing.where}: {missing.message}")
    render.note(f"saved {target}")

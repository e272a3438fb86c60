"""``snapws report``: a workspace as a page for the browser."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Annotated

import typer

from snapws import cohort
from snapws.cli import render
from snapws.cli.many import WorkspaceFiles, summary
from snapws.targets import is_stream
from snapws.workspace import Workspace


def html_file(path: Path) -> Path:
    """Return the path of a page; refuse other endings, to protect other files from overwriting."""
    if path.suffix.lower() not in (".html", ".htm") and not is_stream(path):
        raise typer.BadParameter(f"{path} is not a name for a report: it must end in .html")
    return path


ReportFile = Annotated[
    Path,
    typer.Option(
        "--output", "-o", metavar="FILE.html", help="The page to write.", show_default=False
    ),
]


def report(
    workspaces: WorkspaceFiles,
    output: ReportFile,
    pages: Annotated[
        Path | None,
        typer.Option(
            "--pages",
            metavar="DIR",
            help="For several workspaces: also write a page for each, into this folder.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write a page that shows workspaces in the browser.

    The page is one file. For one workspace, it shows slices to browse, layers, labels with their
    volumes, missing files, and the texts that an archive would keep or remove. For several
    workspaces, it shows slices of each, problems, empty segmentations, outlying volumes, and a
    column for decisions, which the page saves as a table. The command reads all images. The page
    is not anonymous: it shows paths and names.
    """
    from snapws.check import missing_file
    from snapws.report import refuse_overwriting, write_report

    target = html_file(output)
    if not cohort.is_one(workspaces):
        _report_many(cohort.expand(workspaces), target, pages)
        return
    if pages:
        raise typer.BadParameter("--pages needs several workspaces")
    (workspace,) = workspaces
    refuse_overwriting(target)  # before the workspace is read
    opened = Workspace.open(workspace)
    write_report(opened, target)
    for layer in opened.layers():
        if missing := missing_file(opened, layer.file, f"layer {layer.number:03d}"):
            render.note(f"warning: {missing.where}: {missing.message}")
    render.note(f"saved {target}")


def _report_many(workspaces: list[Path], target: Path, pages: Path | None) -> None:
    from snapws.report import write_cohort_report
    from snapws.report.cohort_page import Case

    numbers = count(1)
    bad = failed = 0

    def show(case: Case) -> None:
        nonlocal bad, failed
        if not case.is_readable:
            failed += 1
            render.error(case.problems[0].message)
        elif any(one.is_error for one in case.problems):
            bad += 1
        render.passing(f"{next(numbers)} of {len(workspaces)} workspaces")

    write_cohort_report(workspaces, target, pages, on_case=show)
    render.note(f"saved {target}")
    if failed:
        summary(len(workspaces), bad=bad, failed=failed)
    elif bad:
        render.note(f"{len(workspaces)} workspaces, errors in {bad}", always=True)

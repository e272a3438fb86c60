"""``snapws build``: workspaces from a table or a BIDS dataset."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from snapws.cli import many, render

if TYPE_CHECKING:
    from snapws.building import Recipe


def build(
    manifest: Annotated[
        Path | None,
        typer.Argument(metavar="[MANIFEST.tsv]", help="The table.", show_default=False),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="The folder to write to.",
            show_default="the folder of the table, or the current one",
        ),
    ] = None,
    bids: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="A BIDS dataset, instead of a table.", show_default=False),
    ] = None,
    main: Annotated[
        str, typer.Option(metavar="SUFFIX", help="With --bids: the suffix of main images.")
    ] = "T1w",
    overlay: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SUFFIX",
            help="With --bids: a suffix of overlays; repeat it for several.",
            show_default=False,
        ),
    ] = None,
    segmentation: Annotated[
        str,
        typer.Option(metavar="SUFFIX", help="With --bids: the suffix of segmentations."),
    ] = "dseg",
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite workspaces that differ.")
    ] = False,
) -> None:
    """Make workspaces from a table or a BIDS dataset.

    The table has the columns workspace and main, and optionally overlays, segmentation, tags,
    nicknames, transform and labels. Semicolons separate several values, in the order of the layers.
    You can run the command again after a change. It does not touch a workspace that already has the
    right content, and refuses to overwrite a different one without --force. It prints each
    workspace with made, unchanged or replaced.
    """
    from snapws import building

    if (manifest is None) == (bids is None):
        raise typer.BadParameter("name either a table, or a dataset with --bids")
    recipes: Sequence[Recipe]
    if manifest is not None:
        table = building.read_manifest(manifest, output)
        recipes = table.recipes
        if table.unused:
            render.note(f"not used: column {', '.join(table.unused)}")
    else:
        recipes = building.bids_recipes(
            bids or Path(),
            output or Path(),
            main=main,
            overlays=overlay or (),
            segmentation=segmentation,
        )
    by_file = {one.workspace: one for one in recipes}

    def work(path: Path) -> building.Result:
        return building.write(by_file[path], force=force)

    failed = 0
    for outcome in many.outcomes([*by_file], work):
        failed += outcome.error is not None
        for result in outcome.values:
            render.result(f"{result}  {os.path.relpath(outcome.path)}")
    many.summary(len(recipes), failed=failed)

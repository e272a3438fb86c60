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
            help="The folder of the workspaces; without it that of the table, or the current one.",
            show_default=False,
        ),
    ] = None,
    bids: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Instead of a table, a BIDS dataset.", show_default=False),
    ] = None,
    main: Annotated[
        str, typer.Option(metavar="SUFFIX", help="Of --bids: the main images, by their suffix.")
    ] = "T1w",
    overlay: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SUFFIX",
            help="Of --bids: overlays; give it several times for several.",
            show_default=False,
        ),
    ] = None,
    segmentation: Annotated[
        str, typer.Option(metavar="SUFFIX", help="Of --bids: segmentations, of derivatives, too.")
    ] = "dseg",
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite workspaces that are different.")
    ] = False,
) -> None:
    """Make workspaces from a table or a BIDS dataset.

    Columns of the table: workspace, main, and maybe overlays, segmentation, tags, nicknames,
    transform, labels; semicolons separate several values, in the order of the layers. Run it again
    after a change: a workspace that already is as it would be written is left alone, one that is
    different is refused without --force. Prints each workspace with made, unchanged or replaced.
    """
    from snapws import building

    if (manifest is None) == (bids is None):
        raise typer.BadParameter("name a table, or a dataset with --bids")
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

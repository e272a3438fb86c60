"""``snapws open``: workspaces in ITK-SNAP, one after the other."""

from __future__ import annotations

from typing import Annotated

import typer

from snapws import cohort
from snapws.cli import compare, many, render
from snapws.cli.many import WorkspaceFiles


def open_(
    workspaces: WorkspaceFiles,
    program: Annotated[
        str | None,
        typer.Option(
            metavar="PATH",
            help="The ITK-SNAP program, if not on the PATH.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Open workspaces in ITK-SNAP, one after the other.

    The command opens the next workspace when you close ITK-SNAP. It prints your changes to each
    workspace and its files, as compare does.
    """
    from snapws import opening

    command = [opening.find_program(program)]
    found = cohort.expand(workspaces)
    failed = 0
    for number, path in enumerate(found, 1):
        render.note(f"{number} of {len(found)}: {path}")
        for outcome in many.outcomes([path], lambda one: opening.open_and_compare(one, command)):
            failed += outcome.error is not None
            for differences in outcome.values:
                compare.show(differences, f"{path}, before and after")
    if len(found) > 1 or failed:
        many.summary(len(found), failed=failed)

"""The subcommands about a workspace as a whole."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from snapws.cli import render
from snapws.cli.frame import Listing, Saving
from snapws.cli.options import Properties, WorkspaceFile, existing
from snapws.errors import WorkspaceError
from snapws.workspace import Workspace

if TYPE_CHECKING:
    from snapws.check import Problem


def new(
    workspace: WorkspaceFile,
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="Its main image.", show_default=False)
    ],
    properties: Properties,
    force: Annotated[
        bool, typer.Option("--force", help="Replace a workspace that is there.")
    ] = False,
) -> None:
    """Make a new workspace with a main image."""
    if workspace.exists() and not force:
        raise WorkspaceError(f"{workspace} is there already: choose another name, or --force")
    made = Workspace()
    properties.apply(made.set_main(existing(file)))
    made.save(workspace)
    render.note(f"saved {workspace}")


def check(workspace: WorkspaceFile, listing: Listing) -> None:
    """List what is wrong with the files of a workspace.

    All of them are read. They have to be there and whole; segmentations need the main image's size
    and place, and a description of each label that they use. Exit 1 if anything is wrong.
    """
    from snapws.check import check as problems

    opened = Workspace.open(workspace)
    _report(problems(opened), listing, f"{workspace}: {len(opened.layers())} layers, all well")


def relocate(
    workspace: WorkspaceFile,
    old: Annotated[
        str, typer.Option("--from", metavar="OLD", help="The folder as layers list shows it.")
    ],
    new: Annotated[str, typer.Option("--to", metavar="NEW", help="Where its files are now.")],
    saving: Saving,
) -> None:
    """Make paths follow files that went elsewhere.

    Paths below the folder OLD become paths below NEW. Either may be of another system.
    """
    from snapws.relocation import relocate as moved

    with saving.edit(workspace) as opened:
        files = moved(opened, old, new)
        render.note(f"paths moved from {old} to {new}: {len(files)}")
        for one in files:
            if not (opened.folder / one.new).exists():
                render.note(f"warning: {one.new} is not there")


def archive(
    workspace: WorkspaceFile,
    destination: Annotated[
        Path,
        typer.Argument(
            metavar="DIR|FILE", help="A folder, or an .itksnap file in one.", show_default=False
        ),
    ],
    listing: Listing,
    keep_names: Annotated[
        bool, typer.Option("--keep-names", help="Keep file names, which may name a person.")
    ] = False,
) -> None:
    """Write a copy that names no person.

    The workspace and its images, named by their content. Texts that somebody typed, nicknames for
    example, are kept and shown. Prints the files written, the workspace last.
    """
    from snapws.archive import archive as write

    report = write(Workspace.open(workspace), destination, names="keep" if keep_names else "hash")
    listing.show_lines([str(file) for file in report.files])
    for kept in report.kept:
        render.note(f"the archive says: {kept.kind}: {kept.text}")
    render.note("voxels are as they were: a scan of a head can still show a face")


def verify(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="The archive's folder.", show_default=False)
    ],
    listing: Listing,
) -> None:
    """List what of an archive is not what its name says.

    Every layer is read and its content held against its name; every file of the workspace has to be
    there, and nothing else. Exit 1 if anything is wrong.
    """
    from snapws.verify import verify as problems

    _report(problems(folder), listing, f"{folder}: every file is what its name says")


def wt(context: typer.Context) -> None:
    """Run a command line of itksnap-wt as it is.

    snapws wt -h lists its commands.
    """
    from snapws.wt import main

    raise typer.Exit(main(context.args))


def _report(problems: tuple[Problem, ...], listing: Listing, well: str) -> None:
    if listing.json:
        render.as_json([vars(problem) for problem in problems])
    else:
        for problem in problems:
            render.result(f"{problem.where}: {problem.message}")
    if problems:
        raise typer.Exit(1)
    render.note(well)

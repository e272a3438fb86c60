"""``snapws compare``: the differences between two workspaces."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from snapws import cohort
from snapws.cli import many, render
from snapws.cli.frame import Listing
from snapws.workspace import Workspace

if TYPE_CHECKING:
    from snapws.comparison import Differences

_MICROMETRE = 0.001  # equals the default of the library, which a help text does not load


def compare(
    a: Annotated[
        Path, typer.Argument(metavar="A", help="A workspace, or a folder.", show_default=False)
    ],
    b: Annotated[
        Path, typer.Argument(metavar="B", help="The other workspace or folder.", show_default=False)
    ],
    listing: Listing,
    picture: Annotated[
        Path | None,
        typer.Option(
            "--picture",
            metavar="FILE",
            help="Save a picture of both, at the same slices: .png, .jpg, .jpeg or .webp.",
            show_default=False,
        ),
    ] = None,
    tolerance: Annotated[
        float,
        typer.Option(
            "--tolerance",
            metavar="MM",
            min=0,
            help="The distance at a corner of the image up to which transforms are equal.",
        ),
    ] = _MICROMETRE,
) -> None:
    """List the differences between two workspaces.

    Compares layers and their order, tags, nicknames and display; size, position and voxels of
    images (by hash); transforms (by the distance in mm at the corners of the main image); meshes;
    labels; the opacity of segmentations; time points; and annotations. Ignores everything else in
    the files, and names and folders of files.

    Pairs layers of A and B by their voxels; then by tags, nickname or file name; then, for the main
    image and for layers with neither tags nor nickname, by role and order.

    The exit code is that of diff: 0 if nothing differs, 1 if something differs, 2 if a workspace
    cannot be read or the picture cannot be drawn. An image or a mesh that cannot be read counts as
    a difference; the picture leaves it out and says so.

    Given two folders, compares the workspaces that have the same name in both.
    """
    from snapws import comparison

    if a.is_dir() and b.is_dir():
        if picture:
            raise typer.BadParameter("--picture needs two workspaces, not folders")
        _compare_folders(a, b, tolerance, as_json=listing.json)
        return
    ours, theirs = Workspace.open(a), Workspace.open(b)
    if picture:
        from snapws.pictures import scene

        scene.checked_format(picture, ours, theirs)  # before images are read
    found = comparison.compare_workspaces(ours, theirs, tolerance=tolerance)
    if listing.json:
        render.as_json([vars(one) for one in found])
    else:
        show(found, f"{a} and {b}")
    if picture:
        scene.save_picture(comparison.draw_comparison(ours, theirs), picture, ours, theirs)
        render.note(f"saved {picture}")
    if found:
        raise typer.Exit(1)


def _compare_folders(a: Path, b: Path, tolerance: float, *, as_json: bool) -> None:
    """Compare the workspaces below two folders, and exit as for two workspaces."""
    from snapws.comparison import compare_workspaces

    ours, theirs = ({one.relative_to(top) for one in cohort.expand([top])} for top in (a, b))
    for name, place, alone in (("A", a, ours - theirs), ("B", b, theirs - ours)):
        for one in sorted(alone):
            if as_json:
                render.as_json_line({"workspace": str(one), "only_in": name})
            else:
                render.result(render.printable(f"only in {place}: {one}"))

    def work(name: Path) -> Differences:
        first, second = Workspace.open(a / name), Workspace.open(b / name)
        return compare_workspaces(first, second, tolerance=tolerance)

    both = sorted(ours & theirs)
    failed, differing = 0, len(ours ^ theirs)
    for outcome in many.outcomes(both, work, as_json=as_json):
        failed += outcome.error is not None
        for found in outcome.values:
            differing += bool(found)
            if as_json:
                differences = [vars(one) for one in found]
                record = {"workspace": str(outcome.path), "differences": differences}
                render.as_json_line(record)
            elif found:
                render.result(render.printable(f"{outcome.path}:"))
                show(found, str(outcome.path))
                render.result("")
    parts = [f"{len(ours | theirs)} workspaces", f"{differing} differ"]
    render.note(", ".join([*parts, *([f"{failed} failed"] if failed else [])]), always=True)
    if failed or differing:
        raise typer.Exit(2 if failed else 1)


def show(found: Differences, about: str) -> None:
    """Print differences as a table, or a note that nothing differs."""
    if found:
        render.table(*found.table())
    else:
        render.note(f"{about}: no difference in the compared properties")

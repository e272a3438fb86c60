"""``snapws compare``: what differs between two workspaces."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from snapws.cli import render
from snapws.cli.frame import Listing
from snapws.workspace import Workspace

_MICROMETRE = 0.001  # that of the library, which is not loaded for a help text


def compare(
    a: Annotated[Path, typer.Argument(metavar="A", help="A workspace.", show_default=False)],
    b: Annotated[Path, typer.Argument(metavar="B", help="The other one.", show_default=False)],
    listing: Listing,
    picture: Annotated[
        Path | None,
        typer.Option(
            "--picture",
            metavar="FILE",
            help="Save a picture of both here, at the same slices: .png, .jpg, .jpeg or .webp.",
            show_default=False,
        ),
    ] = None,
    tolerance: Annotated[
        float,
        typer.Option(
            "--tolerance",
            metavar="MM",
            min=0,
            help="How far apart transforms may take a corner of the image.",
        ),
    ] = _MICROMETRE,
) -> None:
    """List what differs between two workspaces.

    Layers, their order, tags, nicknames and display, voxels by hash, size and place of images,
    transforms (by how many mm they take a corner of the main image apart), meshes, labels, the
    opacity of segmentations, time points and annotations; nothing else that the files hold. Names
    and folders of files are no difference.

    A layer of A and one of B are the same layer by their voxels; else by tags, nickname or file
    name; the main image, and a layer that has neither tags nor nickname, else by role and order.

    Exit as with diff: 0 if nothing differs, 1 if something does, 2 if a workspace cannot be read or
    the picture not be made. An image or a mesh that cannot be read differs; the picture is without
    it, and says so.
    """
    from snapws import comparison

    ours, theirs = Workspace.open(a), Workspace.open(b)
    if picture:
        from snapws.pictures import scene

        scene.checked_format(picture, ours, theirs)  # before images are read
    found = comparison.compare_workspaces(ours, theirs, tolerance=tolerance)
    if listing.json:
        render.as_json([vars(one) for one in found])
    elif found:
        columns = ["place", "what", "a", "b", "distance_mm"]
        if all(one.distance_mm is None for one in found):
            columns.pop()
        render.table(
            [
                {
                    **vars(one),
                    "what": one.what.replace("_", " "),
                    "a": _short(one.a),
                    "b": _short(one.b),
                }
                for one in found
            ],
            columns,
        )
    else:
        render.note(f"{a} and {b}: no difference in what is compared")
    if picture:
        scene.save_picture(comparison.draw_comparison(ours, theirs), picture, ours, theirs)
        render.note(f"saved {picture}")
    if found:
        raise typer.Exit(1)


def _short(value: Any) -> Any:
    """Return a value as it stands in a table: a matrix or a curve row by row."""
    if isinstance(value, tuple) and value and isinstance(value[0], tuple):
        rows = [" ".join(f"{number:.5g}" for number in row) for row in value]
        if rows[-1] == "0 0 0 1":  # the last row of every affine
            return "identity" if _is_identity(value) else "; ".join(rows[:-1])
        return "; ".join(rows)
    return value


def _is_identity(rows: tuple[tuple[float, ...], ...]) -> bool:
    return all(value == (i == j) for i, row in enumerate(rows) for j, value in enumerate(row))

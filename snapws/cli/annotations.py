"""``snapws annotations``: landmarks and lines."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from snapws import files, markups
from snapws.annotations import Annotation, Landmark, LineSegment
from snapws.cli import render
from snapws.cli.frame import Listing, Saving, command, group
from snapws.cli.options import Tags, WorkspaceFile
from snapws.errors import InvalidValue
from snapws.workspace import Workspace

app = group(
    "Landmarks and lines that a person drew.",
    example="snapws annotations list study.itksnap --json",
)

SystemName = Annotated[
    Literal["ras", "lps"] | None,
    typer.Option(
        help="The file's coordinate system, if the file does not state it.", show_default=False
    ),
]
FormName = Annotated[
    Literal["json", "fcsv", "csv"] | None,
    typer.Option(help="The file's format, if content or name do not show it.", show_default=False),
]


@command(app, "list", example="snapws annotations list study.itksnap --mm")
def list_(
    workspace: WorkspaceFile,
    *,
    mm: Annotated[
        bool, typer.Option("--mm", help="Print positions in mm, too, in RAS and LPS.")
    ] = False,
    listing: Listing,
) -> None:
    """List the annotations.

    Positions are in voxels of the main image.
    """
    opened = Workspace.open(workspace)
    annotations = opened.annotations
    records = [_record(number, one) for number, one in enumerate(annotations)]
    if mm:
        placed = iter(opened.markups())
        for record, one in zip(records, annotations, strict=True):
            is_known = isinstance(one, (Landmark, LineSegment))
            record.update(_millimetres(next(placed) if is_known else None))
    columns = ("number", "kind", "center", *(("ras", "lps") if mm else ()), "tags", "text")
    listing.show(records, columns)


@command(
    app, "add", example='snapws annotations add study.itksnap "Fovea" --at 3,4.5,-12 --system ras'
)
def add(
    workspace: WorkspaceFile,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="The text of the landmark.")],
    *,
    at: Annotated[
        str, typer.Option(metavar="X,Y,Z", help="The position: a voxel of the main image, or mm.")
    ],
    system: Annotated[
        Literal["voxel", "ras", "lps"],
        typer.Option(help="The coordinate system of the three numbers."),
    ] = "voxel",
    tag: Tags = None,
    saving: Saving,
) -> None:
    """Add a landmark."""
    point = _point(at)
    with saving.edit(workspace) as opened:
        if system == "voxel":
            opened.add_landmark(point, text, tag or ())
        else:
            opened.add_markups([markups.Markup((markups.turned(point, system),), text)], tag or ())


@command(app, "import", example="snapws annotations import study.itksnap landmarks.mrk.json")
def import_(
    workspace: WorkspaceFile,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="The file: .mrk.json, .fcsv or .csv.",
            show_default=False,
        ),
    ],
    *,
    format: FormName = None,  # noqa: A002
    system: SystemName = None,
    tag: Tags = None,
    saving: Saving,
) -> None:
    """Add the landmarks and lines of a file."""
    with saving.edit(workspace) as opened:
        found = markups.read_file(file, format=format, system=system)
        opened.add_markups(found, tag or ())
        render.note(f"{len(found)} annotations from {file}")


@command(app, "export", example="snapws annotations export study.itksnap landmarks.mrk.json")
def export(
    workspace: WorkspaceFile,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="The file to write: .mrk.json, .fcsv or .csv.", show_default=False
        ),
    ],
    *,
    format: FormName = None,  # noqa: A002
    system: Annotated[
        Literal["ras", "lps"], typer.Option(help="The coordinate system of the file.")
    ] = "lps",
) -> None:
    """Write the annotations to a file of 3D Slicer or a CSV file."""
    form = format or markups.form_of(file)
    opened = Workspace.open(workspace)
    found = opened.markups()
    text = markups.format_file(found, form, system)
    files.write_bytes(file, text.encode())
    render.note(f"wrote {file}")
    if left_out := len(opened.annotations) - len(found):
        render.note(f"annotations left out (no position, or an unknown type): {left_out}")


def _record(number: int, one: Annotation) -> dict[str, object]:
    return {
        "number": number,
        "kind": one.kind,
        "center": one.center,
        "points": [one.point1, one.point2] if isinstance(one, LineSegment) else [],
        "text": one.text if isinstance(one, Landmark) else "",
        "tags": list(one.tags),
    }


def _millimetres(one: markups.Markup | None) -> dict[str, object]:
    """Return the middle of an annotation in both systems, and its points in RAS."""
    if one is None:
        return {"ras": None, "lps": None, "points_ras": []}
    x, y, z = (sum(values) / len(one.points) for values in zip(*one.points, strict=True))
    return {
        "ras": (x, y, z),
        "lps": markups.turned((x, y, z), "lps"),
        "points_ras": one.points if len(one.points) > 1 else [],
    }


def _point(text: str) -> markups.Point:
    try:
        x, y, z = (float(word) for word in text.split(","))
    except ValueError:
        raise InvalidValue(f"{text!r} is not a valid position: expected X,Y,Z") from None
    return x, y, z

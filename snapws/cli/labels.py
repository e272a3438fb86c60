"""``snapws labels``: the segmentation labels of a workspace."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from snapws import cohort, label_edits, labels
from snapws.cli import many, render
from snapws.cli.frame import Listing, Saving, command, group
from snapws.cli.many import WorkspaceFiles
from snapws.cli.options import WorkspaceFile
from snapws.label_tables import Labels
from snapws.workspace import Workspace

if TYPE_CHECKING:
    from snapws.volumes import LabelVolume

app = group(
    "Segmentation labels: names and colours.",
    example="snapws labels export study.itksnap labels.txt",
)

LabelFile = Annotated[
    Path,
    typer.Argument(metavar="FILE", help="A label table, of any format.", show_default=False),
]
FormatName = Literal[
    "itksnap",
    "freesurfer",
    "bids",
    "slicer",
    "slicer-csv",
    "nnunet",
    "fsleyes",
    "totalsegmentator",
    "seg-nrrd",
]
Format = Annotated[
    FormatName | None,
    typer.Option("--format", help="The table's format, if content or ending do not show it."),
]


@command(app, "list", example="snapws labels list study.itksnap")
def list_(workspace: WorkspaceFile, listing: Listing) -> None:
    """List the labels."""
    records = [asdict(label) for label in Workspace.open(workspace).labels]
    listing.show(records, labels.LabelTable.LISTED)


@command(app, "set", example="snapws labels set study.itksnap labels.txt")
def set_(workspace: WorkspaceFile, file: LabelFile, saving: Saving, format_: Format = None) -> None:
    """Replace all labels by those of a label file.

    The file can be a table of ITK-SNAP, FreeSurfer, BIDS, 3D Slicer, nnU-Net or FSLeyes, or an
    image with a table in its header.
    """
    with saving.edit(workspace) as opened:
        opened.labels = _read(file, format_)


@command(
    app,
    "add",
    example='snapws labels add study.itksnap labels.txt --offset 100 --pattern "left %s"',
)
def add(
    workspace: WorkspaceFile,
    file: LabelFile,
    *,
    offset: Annotated[int, typer.Option(metavar="N", help="The number to add to each index.")] = 0,
    pattern: Annotated[
        str, typer.Option(metavar="TEXT", help="The new name; %s stands for the old one.")
    ] = "%s",
    format_: Format = None,
    saving: Saving,
) -> None:
    """Add the labels of a label file.

    A label of the file replaces a label with the same index.
    """
    with saving.edit(workspace) as opened:
        added = labels.shifted(_read(file, format_), offset, pattern)
        opened.labels = (*opened.labels, *added)


@command(
    app,
    "edit",
    example='snapws labels edit study.itksnap --where "index >= 1" --opacity 128',
)
def edit(
    workspace: WorkspaceFile,
    *,
    where: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CONDITION",
            help="Change only labels that match: 'name ~ TEXT' (a regular expression), "
            "'index >= 100', 'visible = no'; several conditions must all match.",
        ),
    ] = None,
    color: Annotated[
        str | None, typer.Option(metavar="COLOR", help="#RRGGBB, or R,G,B from 0 to 255.")
    ] = None,
    opacity: Annotated[
        int | None, typer.Option(min=0, max=255, metavar="N", help="0 to 255 (opaque).")
    ] = None,
    visible: Annotated[
        bool | None,
        typer.Option("--visible/--no-visible", help="Show in slices.", show_default=False),
    ] = None,
    mesh_visible: Annotated[
        bool | None,
        typer.Option(
            "--mesh-visible/--no-mesh-visible",
            help="Show in 3-D.",
            show_default=False,
        ),
    ] = None,
    saving: Saving,
) -> None:
    """Change many labels at once.

    Properties without an option stay as they are.
    """
    rgb = None if color is None else label_edits.color_of(color)
    changes = label_edits.Changes(rgb, opacity, visible, mesh_visible)
    if changes == label_edits.Changes():
        raise typer.BadParameter("nothing to change: give an option, --opacity for example")
    with saving.edit(workspace) as opened:
        opened.labels, count = label_edits.edited(opened.labels, where or (), changes)
        render.note(f"changed {count} labels")


@command(app, "remap", example="snapws labels remap study.itksnap --map 2:1 --map 10:2")
def remap(
    workspace: WorkspaceFile,
    *,
    compact: Annotated[
        bool, typer.Option("--compact", help="Number the labels 1, 2, 3 … in their order.")
    ] = False,
    map_: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="OLD:NEW",
            help="Renumber a label; equal new numbers merge labels; 0 clears one.",
        ),
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="The table of the old labels, if not that of the workspace."
        ),
    ] = None,
    listing: Listing,
    saving: Saving,
) -> None:
    """Renumber labels, in the images and the table together.

    Writes all segmentations under new names, beside the saved workspace; the old files stay. Also
    reads images with labels above 65535, which ITK-SNAP cannot hold.
    """
    from snapws import label_remap

    if compact == bool(map_):
        raise typer.BadParameter("give either --compact or --map OLD:NEW")
    mapping = None if compact else label_remap.pairs(map_ or ())
    entries = None if table is None else Labels.read(table).entries
    folder = (saving.output or workspace).absolute().parent
    with label_remap.new_images() as made, saving.edit(workspace) as opened:
        changed = label_remap.remap(
            opened, mapping, made, folder=folder, table=entries, dry_run=saving.dry_run
        )
        for line in (*made.notes, *(f"wrote {path}" for path in made.paths)):
            render.note(line)
        listing.show([asdict(one) for one in changed], ("old", "new", "name"))


@command(app, "volumes", example="snapws labels volumes study.itksnap --csv > volumes.csv")
def volumes(
    workspaces: WorkspaceFiles,
    listing: Listing,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
) -> None:
    """Measure labels: voxels, volume in mm3, mean intensity.

    Measures each label of each segmentation and time point, without the background. The mean is
    over the finite voxels of the main image; it is empty for a main image of several components.
    Volume and mean have seven significant digits.
    """
    if csv and listing.json:
        raise typer.BadParameter("give either --csv or --json")

    def work(path: Path) -> list[dict[str, Any]]:
        found = Workspace.open(path).volumes()
        return [{"workspace": str(path), **_measured(one)} for one in found]

    found, alone = cohort.expand(workspaces), cohort.is_one(workspaces)
    columns = ["layer", "time_point", "label", "voxels", "volume_mm3", "mean", "name"]
    if listing.json or (alone and not csv):
        many.show_each(
            found,
            work,
            lambda records: _volume_table(records, columns),
            data=list,
            key="volumes",
            alone=alone,
            as_json=listing.json,
        )
        return
    if alone:
        render.as_csv(work(found[0]), ["workspace", *columns])
        return
    outcomes = list(many.outcomes(found, work))
    records = [record for outcome in outcomes for value in outcome.values for record in value]
    (render.as_csv if csv else _volume_table)(records, ["workspace", *columns])
    many.summary(len(found), failed=sum(outcome.error is not None for outcome in outcomes))


def _measured(volume: LabelVolume) -> dict[str, Any]:
    """Return the fields of a measured label, with no more digits than the header justifies."""
    mean = None if volume.mean is None else _seven_digits(volume.mean)
    return asdict(volume) | {"volume_mm3": _seven_digits(volume.volume_mm3), "mean": mean}


def _seven_digits(value: float) -> float:
    """Return a number rounded to seven significant digits, but with all digits before the point.

    Headers store voxel sizes in single precision, which has no more digits.
    """
    if not value:
        return value
    return round(value, max(0, 6 - math.floor(math.log10(abs(value)))))


def _volume_table(records: Iterable[dict[str, Any]], columns: Sequence[str]) -> None:
    shown = [one | {"volume_mm3": f"{one['volume_mm3']:.15g}"} for one in records]
    render.table(shown, columns)


@command(app, "clear", example="snapws labels clear study.itksnap")
def clear(workspace: WorkspaceFile, saving: Saving) -> None:
    """Remove all labels."""
    with saving.edit(workspace) as opened:
        opened.labels = ()


@command(app, "export", example="snapws labels export study.itksnap labels.txt")
def export(
    workspace: WorkspaceFile,
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="The file to write; otherwise print."),
    ] = None,
    format_: Format = None,
) -> None:
    """Write the labels to a label file of any supported format.

    Without --format, the file's ending decides: .ctbl and .csv for 3D Slicer, .tsv for BIDS, .json
    for nnU-Net, .lut for FSLeyes, any other for ITK-SNAP.
    """
    table = Labels(Workspace.open(workspace).labels)
    if file is None:
        content, notes = table.to_text(format_ or "itksnap")
        render.result(content.removesuffix("\n"))
    else:
        notes = table.write(file, format_)
        render.note(f"wrote {file}")
    for line in notes:
        render.note(line)


def _read(file: Path, format_: str | None) -> Labels:
    """Read a table, and print remarks about properties that a workspace cannot store."""
    found = Labels.read(file, format_)
    for line in found.notes:
        render.note(line)
    return found

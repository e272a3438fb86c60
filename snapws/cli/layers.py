"""``snapws layers``: the images of a workspace."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from snapws import cohort, paths
from snapws.cli import lookup, many, render
from snapws.cli.frame import Listing, Saving, command, group
from snapws.cli.many import WorkspaceFiles
from snapws.cli.options import (
    LayerName,
    LayerNames,
    OnlyTag,
    Properties,
    RoleName,
    WorkspaceFile,
    existing,
    role,
)
from snapws.errors import LayerNotFound, TextFileError
from snapws.layers import Layer
from snapws.workspace import Workspace

app = group(
    "Image layers: main image, overlays, segmentations.",
    example="snapws layers list study.itksnap --role overlay",
)

OnlyRole = Annotated[RoleName | None, typer.Option("--role", help="Only layers of this role.")]
FromFile = Annotated[
    Literal["from-file"] | None,
    typer.Option("--labels", help="Add the label table of the segmentation's file."),
]
File = Annotated[str, typer.Argument(metavar="FILE", help="The image.", show_default=False)]


@command(app, "list", example="snapws layers list study.itksnap")
def list_(
    workspaces: WorkspaceFiles, listing: Listing, tag: OnlyTag = None, role_: OnlyRole = None
) -> None:
    """List the layers, and whether their files exist."""

    def work(workspace: Path) -> list[dict[str, Any]]:
        return [
            layer.record() for layer in Workspace.open(workspace).layers(tag=tag, role=role(role_))
        ]

    many.show_each(
        cohort.expand(workspaces),
        work,
        lambda records: render.table(records, Layer.LISTED),
        data=list,
        key="layers",
        alone=cohort.is_one(workspaces),
        as_json=listing.json,
    )


@command(app, "files", example="snapws layers files study.itksnap --tag Target")
def files(
    workspace: WorkspaceFile, listing: Listing, tag: OnlyTag = None, role_: OnlyRole = None
) -> None:
    """Print the files of layers, one per line.

    Fails if no layer matches, or if a file is missing.
    """
    opened = Workspace.open(workspace)
    found = opened.layers(tag=tag, role=role(role_))
    if not found:
        kind = f"{role_} layer" if role_ else "layer"
        if tag is None:
            raise LayerNotFound(f"{workspace} has no {kind}: add one first")
        known = ", ".join(sorted({tag for layer in opened.layers() for tag in layer.tags}))
        raise LayerNotFound(
            f"no {kind} has the tag {tag!r}; tags in {workspace.name}: {known or 'none'}"
        )
    listing.show_lines([str(layer.existing()) for layer in found])


@command(app, "pick", example="snapws layers pick study.itksnap tag:Target")
def pick(workspace: WorkspaceFile, layer: LayerName, listing: Listing) -> None:
    """Print the file of one layer; --json: all its properties."""
    found = lookup.find_image(Workspace.open(workspace), layer)
    if not listing.json:
        render.result(str(found.existing()))
        return
    display = found.display
    render.as_json(
        {
            **found.record(),
            "color_map": display.color_map,
            "contrast": display.contrast,
            "mode": display.mode.value.lower(),
            "component": display.component,
            "opacity": display.opacity,
            "sticky": display.sticky,
            "transform": found.transform.tolist(),
        }
    )


@command(
    app,
    "add",
    example="snapws layers add study.itksnap seg.nii.gz --role segmentation"
    ' --nickname "Result" --tag Result -o out.itksnap',
)
def add(
    workspace: WorkspaceFile,
    file: File,
    *,
    role_: Annotated[
        Literal["overlay", "segmentation"], typer.Option("--role", help="The role of the image.")
    ] = "overlay",
    labels: FromFile = None,
    properties: Properties,
    saving: Saving,
) -> None:
    """Add an image as an overlay or a segmentation."""
    if labels and role_ == "overlay":
        raise typer.BadParameter("--labels needs --role segmentation")
    with saving.edit(workspace) as opened:
        if role_ == "overlay":
            properties.apply(opened.add_overlay(existing(file)))
        else:
            properties.apply(opened.add_segmentation(existing(file)))
            _take_labels(opened, file, wanted=labels is not None)


@command(app, "set-main", example="snapws layers set-main study.itksnap t1.nii.gz")
def set_main(workspace: WorkspaceFile, file: File, properties: Properties, saving: Saving) -> None:
    """Replace the main image.

    The old main image is removed with its settings and all labels.
    """
    with saving.edit(workspace) as opened:
        properties.apply(opened.set_main(existing(file)))


@command(app, "set-segmentation", example="snapws layers set-segmentation study.itksnap seg.nii.gz")
def set_segmentation(
    workspace: WorkspaceFile,
    file: File,
    *,
    labels: FromFile = None,
    properties: Properties,
    saving: Saving,
) -> None:
    """Replace all segmentations by one image."""
    with saving.edit(workspace) as opened:
        properties.apply(opened.set_segmentation(existing(file)))
        _take_labels(opened, file, wanted=labels is not None)


def _take_labels(workspace: Workspace, file: str, *, wanted: bool) -> None:
    """Add the label table of a segmentation's file, or print a note that it has one."""
    from snapws import label_tables

    try:
        found = None if paths.is_url(file) else label_tables.carried(paths.local(file))
    except TextFileError as error:
        if wanted:
            raise
        render.note(f"the label table cannot be read: {error}")
        return
    if not wanted:
        if found:
            count = f"{len(found)} labels" if len(found) > 1 else "1 label"
            render.note(f"{file} contains a table of {count}: --labels from-file adds it")
        return
    if found is None:
        raise TextFileError(f"{file} contains no label table: leave out --labels")
    for line in found.notes:
        render.note(line)
    workspace.labels = (*workspace.labels, *found)


@command(app, "remove", example="snapws layers remove study.itksnap tag:Draft")
def remove(workspace: WorkspaceFile, layers: LayerNames, saving: Saving) -> None:
    """Remove layers; their files stay.

    The numbers of the layers behind them decrease.
    """
    with saving.edit(workspace) as opened:
        for layer in [lookup.find(opened, name) for name in layers]:
            opened.remove(layer)


@command(app, "set", example="snapws layers set study.itksnap O:0 --nickname T2 --color-map Jet")
def set_(
    workspace: WorkspaceFile, layer: LayerName, properties: Properties, saving: Saving
) -> None:
    """Set nickname, tags, display and transform of a layer.

    Properties without an option stay as they are. --tag replaces all tags.
    """
    if not properties.given():
        raise typer.BadParameter("nothing to set: give an option, --nickname for example")
    with saving.edit(workspace) as opened:
        properties.apply(lookup.find(opened, layer))


@command(app, "copy-image", example="snapws layers copy-image study.itksnap M copy.nii.gz")
def copy_image(
    workspace: WorkspaceFile,
    layer: LayerName,
    file: Annotated[Path, typer.Argument(help="The NIfTI file to write.", show_default=False)],
    saving: Saving,
) -> None:
    """Copy a layer's image to a NIfTI file, and use that file."""
    if saving.dry_run:
        raise typer.BadParameter("layers copy-image has no --dry-run")
    with saving.edit(workspace) as opened:
        lookup.find_image(opened, layer).copy_image(file)


@command(
    app,
    "export",
    example='snapws layers export study.itksnap results/ --name "{number}-{nickname}"',
)
def export(
    workspace: WorkspaceFile,
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder to write to.", show_default=False)
    ],
    *,
    name: Annotated[
        str,
        typer.Option(
            "--name",
            metavar="PATTERN",
            help="The file names, of {nickname}, {number}, {role}, {tag} (the first), {file}.",
        ),
    ] = "{nickname}",
    tag: OnlyTag = None,
    role_: OnlyRole = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite existing files.")] = False,
    listing: Listing,
) -> None:
    """Copy images of layers to NIfTI files with readable names.

    The workspace stays unchanged. The command writes all files or none.
    """
    from snapws import exporting

    layers = Workspace.open(workspace).layers(tag=tag, role=role(role_))
    listing.show_lines([str(one) for one in exporting.export(layers, folder, name, force=force)])

"""``snapws transform``: the transforms of layers relative to the main image."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from snapws.cli import lookup, render
from snapws.cli.frame import Listing, Saving, command, group
from snapws.cli.options import LayerName, WorkspaceFile, remark_on
from snapws.errors import InvalidValue
from snapws.workspace import Workspace

app = group(
    "Linear transforms of layers.",
    example="snapws transform set study.itksnap tag:Source affine.mat",
)


@command(
    app,
    "get",
    example="snapws transform get study.itksnap tag:Source > source.mat\n"
    "snapws transform get study.itksnap tag:Source --format itk > source.tfm",
)
def get(
    workspace: WorkspaceFile,
    layer: LayerName,
    *,
    format: Annotated[  # noqa: A002 - what the option is called
        Literal["ras", "itk", "flirt", "fsl", "lta"],
        typer.Option(
            help="ras: c3d and greedy; itk: ITK, ANTs, 3D Slicer; fsl: FLIRT; lta: FreeSurfer."
        ),
    ] = "ras",
    inverse: Annotated[
        bool, typer.Option("--inverse", help="Print the map from the layer to the main image.")
    ] = False,
    listing: Listing,
) -> None:
    """Print the transform of a layer.

    The transform maps points of the main image to points of the layer. Without --format, it is
    a 4x4 matrix in RAS mm.
    """
    if listing.json and format != "ras":
        raise InvalidValue(f"--json prints the matrix in RAS: leave out --format {format}")
    text = lookup.find_image(Workspace.open(workspace), layer).transform_text(
        format, inverse=inverse
    )
    if listing.json:
        render.as_json([[float(word) for word in row.split()] for row in text.splitlines()])
    else:
        render.result(text.removesuffix("\n"))


@command(
    app,
    "set",
    example="snapws transform set study.itksnap tag:Source affine.mat\n"
    "snapws transform set study.itksnap tag:Source affine.mat --format flirt",
    more="howto/registrations.md",
)
def set_(
    workspace: WorkspaceFile,
    layer: LayerName,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="A file of c3d, greedy, ITK, ANTs, 3D Slicer, FLIRT or FreeSurfer.",
            show_default=False,
        ),
    ],
    *,
    format: Annotated[  # noqa: A002
        Literal["ras", "itk", "flirt", "fsl", "lta", "dat"] | None,
        typer.Option(
            help="The format; needed for a 4x4 matrix that is not RAS (c3d, greedy): flirt.",
            show_default=False,
        ),
    ] = None,
    moving: Annotated[
        Path | None,
        typer.Option(metavar="IMAGE", help="The moving image, if not that of the layer."),
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option(metavar="IMAGE", help="The fixed image, if not the main image."),
    ] = None,
    inverse: Annotated[
        bool, typer.Option("--inverse", help="The main image was registered to the layer.")
    ] = False,
    saving: Saving,
) -> None:
    """Set the transform of a layer from a transform file.

    The command recognises the format by the content. It accepts linear transforms: translations,
    rotations, scales, affine transforms, and composites of them.
    """
    with saving.edit(workspace) as opened:
        remark_on(
            lookup.find_image(opened, layer).read_transform(
                file, format=format, moving=moving, reference=reference, inverse=inverse
            )
        )

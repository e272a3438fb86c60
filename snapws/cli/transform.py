"""``snapws transform``: where a layer lies relative to the main image."""

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
        bool, typer.Option("--inverse", help="The map from the layer to the main image.")
    ] = False,
    listing: Listing,
) -> None:
    """Print the transform of a layer.

    It maps points of the main image to points of the layer; plain, a 4x4 matrix in RAS mm.
    """
    if listing.json and format != "ras":
        raise InvalidValue(f"--json prints the matrix in RAS, not a file of the form {format}")
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
            help="Of c3d, greedy, ITK, ANTs, 3D Slicer, FLIRT or FreeSurfer.",
            show_default=False,
        ),
    ],
    *,
    format: Annotated[  # noqa: A002
        Literal["ras", "itk", "flirt", "fsl", "lta", "dat"] | None,
        typer.Option(
            help="What a 4x4 matrix is: ras (c3d, greedy) or flirt; other forms are recognised.",
            show_default=False,
        ),
    ] = None,
    moving: Annotated[
        Path | None,
        typer.Option(
            metavar="IMAGE", help="The image that was registered, if it is not the layer's."
        ),
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option(
            metavar="IMAGE", help="The image it was registered to, if it is not the main image."
        ),
    ] = None,
    inverse: Annotated[
        bool, typer.Option("--inverse", help="The main image was registered to the layer.")
    ] = False,
    saving: Saving,
) -> None:
    """Set the transform of a layer from a file of a registration.

    The form is recognised by the content. Linear transforms are taken: translations, rotations,
    scales, affine ones, and composites of them.
    """
    with saving.edit(workspace) as opened:
        remark_on(
            lookup.find_image(opened, layer).read_transform(
                file, format=format, moving=moving, reference=reference, inverse=inverse
            )
        )

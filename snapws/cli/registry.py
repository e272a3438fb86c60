"""``snapws registry``: the keys and values that a workspace consists of."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from snapws.cli import lookup, render
from snapws.cli.frame import Listing, Saving, command, group
from snapws.cli.options import WorkspaceFile, complete_layer
from snapws.errors import RegistryError
from snapws.registry import Registry, text_format
from snapws.workspace import Workspace

app = group(
    "All keys and values of a workspace.",
    example="snapws registry get study.itksnap SaveLocation",
)

Key = Annotated[
    str, typer.Argument(metavar="KEY", help="Folders and name, by dots.", show_default=False)
]
OfLayer = Annotated[
    str | None,
    typer.Option(
        "--layer",
        metavar="LAYER",
        help=f"Keys are those of this layer: {lookup.FORMS}.",
        autocompletion=complete_layer,
    ),
]


def _root(workspace: Workspace, layer: str | None) -> Registry:
    return workspace.registry if layer is None else lookup.find(workspace, layer).registry


@command(app, "get", example="snapws registry get study.itksnap Layers.Layer[000].Role")
def get(workspace: WorkspaceFile, key: Key, layer: OfLayer = None) -> None:
    """Print the value of a key.

    On a terminal, control characters are shown as question marks; a program gets it as it is.
    """
    render.result(_root(Workspace.open(workspace), layer)[key])


@command(app, "set", example="snapws registry set study.itksnap Tags Target --layer M")
def set_(
    workspace: WorkspaceFile,
    key: Key,
    value: Annotated[str, typer.Argument(help="Its new value.", show_default=False)],
    saving: Saving,
    layer: OfLayer = None,
) -> None:
    """Set the value of a key.

    Whether ITK-SNAP understands it is not checked.
    """
    with saving.edit(workspace) as opened:
        _root(opened, layer)[key] = value


@command(app, "dump", example="snapws registry dump cardiac.itksnap Annotations > annotations.txt")
def dump(
    workspace: WorkspaceFile,
    listing: Listing,
    key: Annotated[
        str | None, typer.Argument(metavar="[FOLDER]", help="Only this folder of keys.")
    ] = None,
    layer: OfLayer = None,
) -> None:
    """Print keys and values, as registry load reads them."""
    folder: Registry | None = _root(Workspace.open(workspace), layer)
    if folder is not None and key is not None:
        folder = folder.folder(key)
    if folder is None:
        raise RegistryError(f"there is no registry folder {key!r}")
    if listing.json:
        render.as_json(dict(folder.walk()))
    else:
        listing.show_lines(text_format.to_bytes(folder).decode().splitlines())


@command(app, "load", example="snapws registry load study.itksnap Annotations annotations.txt")
def load(
    workspace: WorkspaceFile,
    key: Annotated[
        str, typer.Argument(metavar="FOLDER", help="Where they go.", show_default=False)
    ],
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Plain text or XML.", show_default=False)
    ],
    saving: Saving,
    layer: OfLayer = None,
) -> None:
    """Load keys and values from a file.

    The value of an existing key is overwritten.
    """
    with saving.edit(workspace) as opened:
        _root(opened, layer).make_folder(key).update(text_format.read_file(file))

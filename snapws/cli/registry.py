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
    str,
    typer.Argument(metavar="KEY", help="Folders and name, separated by dots.", show_default=False),
]
OfLayer = Annotated[
    str | None,
    typer.Option(
        "--layer",
        metavar="LAYER",
        help=f"Read keys of this layer: {lookup.FORMS}.",
        autocompletion=complete_layer,
    ),
]


def _root(workspace: Workspace, layer: str | None) -> Registry:
    return workspace.registry if layer is None else lookup.find(workspace, layer).registry


@command(app, "get", example="snapws registry get study.itksnap Layers.Layer[000].Role")
def get(workspace: WorkspaceFile, key: Key, layer: OfLayer = None) -> None:
    """Print the value of a key.

    A terminal shows control characters as question marks; a pipe gets the exact value.
    """
    render.result(_root(Workspace.open(workspace), layer)[key])


@command(app, "set", example="snapws registry set study.itksnap Tags Target --layer M")
def set_(
    workspace: WorkspaceFile,
    key: Key,
    value: Annotated[str, typer.Argument(help="The new value.", show_default=False)],
    saving: Saving,
    layer: OfLayer = None,
) -> None:
    """Set the value of a key.

    The command does not check whether ITK-SNAP understands the value.
    """
    with saving.edit(workspace) as opened:
        _root(opened, layer)[key] = value


@command(app, "dump", example="snapws registry dump cardiac.itksnap Annotations > annotations.txt")
def dump(
    workspace: WorkspaceFile,
    listing: Listing,
    key: Annotated[
        str | None, typer.Argument(metavar="[FOLDER]", help="Print only this folder.")
    ] = None,
    layer: OfLayer = None,
) -> None:
    """Print keys and values, as registry load reads them."""
    folder: Registry | None = _root(Workspace.open(workspace), layer)
    if folder is not None and key is not None:
        folder = folder.folder(key)
    if folder is None:
        raise RegistryError(f"the registry folder {key!r} does not exist")
    if listing.json:
        render.as_json(dict(folder.walk()))
    else:
        listing.show_lines(text_format.to_bytes(folder).decode().splitlines())


@command(app, "load", example="snapws registry load study.itksnap Annotations annotations.txt")
def load(
    workspace: WorkspaceFile,
    key: Annotated[
        str,
        typer.Argument(metavar="FOLDER", help="The registry folder to fill.", show_default=False),
    ],
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Plain text or XML.", show_default=False)
    ],
    saving: Saving,
    layer: OfLayer = None,
) -> None:
    """Load keys and values from a file.

    Values of existing keys are overwritten.
    """
    with saving.edit(workspace) as opened:
        _root(opened, layer).make_folder(key).update(text_format.read_file(file))

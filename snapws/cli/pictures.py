"""``snapws show``: a workspace as a picture."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from snapws.cli import render, terminal
from snapws.cli.lookup import find_image
from snapws.cli.options import WorkspaceFile
from snapws.errors import InvalidValue
from snapws.workspace import Workspace

PictureLayers = Annotated[
    str | None,
    typer.Option(
        "--layers",
        metavar="LAYER,…",
        help="The layers to draw, by number, M, S, O:N, A:N, tag:TAG or nickname:NAME; without it "
        "what ITK-SNAP lays over each other (the main image, sticky overlays, segmentations), and "
        "below it the others as tiles.",
        show_default=False,
    ),
]


def show(
    workspace: WorkspaceFile,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="PICTURE",
            help="Save the picture here: .png, .jpg, .jpeg or .webp.",
            show_default=False,
        ),
    ] = None,
    layers: PictureLayers = None,
    slices: Annotated[
        str | None,
        typer.Option(
            metavar="I,J,K",
            help="The voxel of the main image, from 0, that the views go through; without it the "
            "centre of the segmentation, or of the image.",
            show_default=False,
        ),
    ] = None,
    size: Annotated[
        int,
        typer.Option(
            min=16,
            max=2048,  # at 4096, a workspace of four layers takes gigabytes and more than a minute
            help="Pixels of the longest side of a view.",
        ),
    ] = 320,
    time_point: Annotated[
        int, typer.Option(min=1, metavar="N", help="The time point of images that have several.")
    ] = 1,
) -> None:
    """Draw the three views of a workspace.

    The main image, with sticky overlays and segmentations over it; below it, each other overlay as
    a tile. Right is on the left, as ITK-SNAP shows it. Without -o the picture is drawn on the
    terminal, if that can (kitty, iTerm2, sixel); else it is saved in a new folder for temporary
    files, and its name is printed.
    """
    from snapws.pictures import scene, tiles

    opened = Workspace.open(workspace)
    if output is not None:
        scene.checked_format(output, opened)  # before images are read
    voxel = _voxel(slices) if slices is not None else None
    left_out: list[str] = []
    if layers is None:
        picture, left_out = tiles.picture(opened, slices=voxel, size=size, time_point=time_point)
    else:
        numbers = _numbers(opened, layers)
        picture = opened.picture(layers=numbers, slices=voxel, size=size, time_point=time_point)
    protocol = terminal.drawing() if output is None else None
    if protocol:
        sys.stdout.write(terminal.encoded(picture, protocol))
        sys.stdout.flush()
        if layers is None:
            _remark_meshes(opened)
        return
    if output is None:
        folder = Path(tempfile.mkdtemp(prefix="snapws-"))
        output = folder / workspace.with_suffix(".png").name
        try:
            scene.save_picture(picture, output, opened)
        except BaseException:
            folder.rmdir()
            raise
    else:
        scene.save_picture(picture, output, opened)
        for line in left_out:
            render.note(f"not drawn: {line}")
    render.result(str(output))
    if layers is None:
        _remark_meshes(opened)


def _remark_meshes(workspace: Workspace) -> None:
    if meshes := workspace.meshes():
        names = ", ".join(f"mesh:{mesh.number}" for mesh in meshes)
        render.note(f"not drawn: {names}: pictures show no meshes")


def _numbers(workspace: Workspace, layers: str) -> list[int]:
    return [find_image(workspace, name.strip()).number for name in layers.split(",")]


def _voxel(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise InvalidValue(f"{text!r} is not a voxel: expected I,J,K (91,109,60)") from None

"""``snapws show``: a workspace as a picture."""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from snapws import cohort
from snapws.cli import many, render, terminal
from snapws.cli.lookup import find_image
from snapws.cli.many import WorkspaceFiles
from snapws.errors import InvalidValue
from snapws.workspace import Workspace

if TYPE_CHECKING:
    from PIL.Image import Image

PictureLayers = Annotated[
    str | None,
    typer.Option(
        "--layers",
        metavar="LAYER,…",
        help="The layers to draw: numbers, M, S, O:N, A:N, tag:TAG or nickname:NAME.",
        show_default="all, as ITK-SNAP shows them",
    ),
]


def show(
    workspaces: WorkspaceFiles,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="PICTURE",
            help="The file of the picture: .png, .jpg, .jpeg or .webp; for several workspaces, a "
            "folder.",
            show_default=False,
        ),
    ] = None,
    layers: PictureLayers = None,
    slices: Annotated[
        str | None,
        typer.Option(
            metavar="I,J,K",
            help="The voxel of the main image, from 0, at which the views intersect.",
            show_default="the centre of the segmentation, or of the image",
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
        int, typer.Option(min=1, metavar="N", help="The time point of 4-D images.")
    ] = 1,
) -> None:
    """Draw the three views of one workspace, or of many.

    The picture shows the main image with sticky overlays and segmentations over it, and below, each
    other overlay as a tile. Outlines of meshes, landmarks and line segments lie over them. The
    patient's right is on the left, as in ITK-SNAP. Without -o, the picture appears on the terminal
    if that supports pictures (kitty, iTerm2, sixel). Otherwise the command saves it in a new
    temporary folder, and prints its name.
    """
    from snapws.pictures import scene

    request = _Request(layers, _voxel(slices) if slices is not None else None, size, time_point)
    if not cohort.is_one(workspaces):
        _show_many(cohort.expand(workspaces), output, request)
        return
    (workspace,) = workspaces
    opened = Workspace.open(workspace)
    if output is not None:
        scene.checked_format(output, opened)  # before images are read
    picture, left_out = request.draw(opened)
    if output is None:  # a word about each tile would not leave a terminal to the picture
        left_out = [line for line in left_out if not line.startswith("layer ")]
    protocol = terminal.drawing() if output is None else None
    if protocol:
        sys.stdout.write(terminal.encoded(picture, protocol))
        sys.stdout.flush()
    elif output is None:
        folder = Path(tempfile.mkdtemp(prefix="snapws-"))
        output = folder / workspace.with_suffix(".png").name
        try:
            scene.save_picture(picture, output, opened)
        except BaseException:
            folder.rmdir()
            raise
        render.result(str(output))
    else:
        scene.save_picture(picture, output, opened)
        render.result(str(output))
    for line in left_out:
        render.note(f"not drawn: {line}")


@dataclass(frozen=True)
class _Request:
    """The part of a workspace to draw, and the size of the picture."""

    layers: str | None
    voxel: list[int] | None
    size: int
    time_point: int

    def draw(self, workspace: Workspace) -> tuple[Image, list[str]]:
        """Return the picture, and a line for each layer and mesh that cannot be drawn."""
        from snapws.pictures import tiles

        options: dict[str, Any] = {
            "slices": self.voxel,
            "size": self.size,
            "time_point": self.time_point,
        }
        if self.layers is not None:
            return workspace.picture(layers=_numbers(workspace, self.layers), **options), []
        return tiles.picture(workspace, **options)


def _show_many(workspaces: list[Path], output: Path | None, request: _Request) -> None:
    """Save a picture of each workspace in a folder."""
    from snapws.pictures import scene

    if output is None or output.suffix.lower() in scene.FORMATS:
        raise typer.BadParameter(
            "several workspaces need a folder for their pictures: name it with -o"
        )
    output.mkdir(exist_ok=True)
    files = {
        path: output / f"{name}.png"
        for path, name in zip(workspaces, cohort.names(workspaces), strict=True)
    }

    def work(path: Path) -> tuple[Path, list[str]]:
        opened = Workspace.open(path)
        picture, left_out = request.draw(opened)
        scene.save_picture(picture, files[path], opened)
        return files[path], left_out

    failed = 0
    for outcome in many.outcomes(workspaces, work):
        failed += outcome.error is not None
        for file, left_out in outcome.values:
            render.result(str(file))
            for line in left_out:
                render.note(f"{outcome.path}: not drawn: {line}")
    many.summary(len(workspaces), failed=failed)


def _numbers(workspace: Workspace, layers: str) -> list[int]:
    return [find_image(workspace, name.strip()).number for name in layers.split(",")]


def _voxel(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise InvalidValue(f"{text!r} is not a valid voxel: expected I,J,K (91,109,60)") from None

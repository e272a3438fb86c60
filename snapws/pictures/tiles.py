"""The layers that ITK-SNAP shows as tiles beside the main image, not over it.

Each tile is one layer on the voxel grid of the main image. Sticky overlays and segmentations lie
over each tile as over the main image.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from snapws.errors import WorkspaceError
from snapws.pictures.scene import SIZE, Scene, below, composed, is_tile, pillow
from snapws.pictures.scene import places as main_places

if TYPE_CHECKING:
    from PIL.Image import Image

    from snapws.layers import Layer
    from snapws.pictures.marks import Marks
    from snapws.pictures.views import View
    from snapws.workspace import Workspace

#: Tiles that are drawn with the main image; each takes the time and room of a picture.
MOST = 12


def tiles(workspace: Workspace, without: Collection[int] = ()) -> list[Layer]:
    """Return the layers that are tiles, by number.

    Args:
        workspace: The workspace.
        without: Numbers of layers that are left out.
    """
    return [one for one in workspace.layers() if is_tile(one) and one.number not in without]


def scene(
    tile: Layer,
    time_point: int = 1,
    without: Collection[int] = (),
    marks: Marks | None = None,
) -> Scene:
    """Return a tile, ready to be drawn on slices of the main image.

    Args:
        tile: The layer.
        time_point: The time point of images that have several, from 1.
        without: Numbers of layers that are left out.
        marks: The meshes and annotations over it; none without them.

    Raises:
        snapws.WorkspaceError: As of `snapws.pictures.scene.Scene`.
    """
    workspace = tile.workspace
    tile.existing()
    over = [one.number for one in workspace.layers() if not is_tile(one)]
    main = workspace.main.number
    drawn = [tile.number, *(number for number in over if number not in (main, *without))]
    found = Scene(workspace, drawn, marks=marks)
    moves = time_point > 1 and found.moves
    return Scene(workspace, drawn, time_point, marks) if moves else found


def picture(
    workspace: Workspace,
    *,
    slices: Sequence[int] | None = None,
    size: int = SIZE,
    time_point: int = 1,
) -> tuple[Image, list[str]]:
    """Draw the three views of a workspace, and below them those of each tile, `MOST` at most.

    A tile that cannot be drawn is left out, as is one that ITK-SNAP cannot open.

    Args:
        workspace: The workspace.
        slices: The voxel of the main image that the views go through; see `snapws.pictures`.
        size: Pixels of the longest side of a view.
        time_point: The time point of images that have several, from 1.

    Returns:
        The picture, and a line for each tile, mesh and annotation that was left out; one for all
        tiles beyond `MOST`.

    Raises:
        snapws.WorkspaceError: As of `snapws.pictures.scene.picture`, for the layers over the main
            image.
    """
    pillow()
    main = Scene(workspace, time_point=time_point)
    places = main_places(main, slices)
    drawn = [("", composed(main, places, size))]
    left_out = []
    coming = list(tiles(workspace))
    while coming and len(drawn) <= MOST:
        tile = coming.pop(0)
        image, why = _drawn(tile, places, size, time_point, main.marks)
        if image:
            drawn.append((f"Layer {tile.number:03d}, a tile beside the main image", image))
        else:
            left_out.append(f"layer {tile.number:03d}: {why}")
    if coming:
        left_out.append(
            f"layer {coming[0].number:03d} and {len(coming) - 1} more tiles: a picture has {MOST} "
            "at most: choose layers to draw"
        )
    left_out += main.marks.left_out if main.marks else []
    whole = drawn[0][1] if len(drawn) == 1 else below(drawn)
    return whole, left_out


def _drawn(
    tile: Layer,
    places: Sequence[tuple[View, int]],
    size: int,
    time_point: int,
    marks: Marks | None,
) -> tuple[Image | None, str]:
    """Return the picture of a tile, or the reason why it cannot be drawn."""
    try:
        return composed(scene(tile, time_point, marks=marks), places, size), ""
    except WorkspaceError as error:
        return None, str(error)

"""Pictures in notebooks."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import TYPE_CHECKING

from snapws.errors import WorkspaceError

if TYPE_CHECKING:
    from snapws.workspace import Workspace


def picture(workspace: Workspace, layers: Iterable[str | int] | None = None) -> bytes | None:
    """Return the picture of `snapws.draw_picture` as PNG; None where it cannot be drawn.

    A notebook then shows the table alone: Pillow is not installed, or a file is missing.
    """
    try:
        image = workspace.picture(layers=layers)
    except WorkspaceError:
        return None
    data = io.BytesIO()
    image.save(data, "PNG")
    return data.getvalue()

"""The import of SimpleITK, of the extra `formats`, and what it says of the grid of an image.

Little is imported here, since some processes load nothing else.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from snapws.errors import ImageUnsupported
from snapws.extras import install_hint


class Grid(NamedTuple):
    """Size and position of an image in ITK: in LPS mm, the directions as a matrix by rows."""

    size: tuple[int, ...]
    spacing: tuple[float, ...]
    origin: tuple[float, ...]
    direction: tuple[float, ...]
    voxel: str
    components: int


def grid_of(reader: Any) -> Grid:
    """Return size and position of an image, from a reader that read its header."""
    kind = simpleitk().GetPixelIDValueAsString(reader.GetPixelID())
    return Grid(
        reader.GetSize(),
        reader.GetSpacing(),
        reader.GetOrigin(),
        reader.GetDirection(),
        kind.removeprefix("vector of "),
        reader.GetNumberOfComponents() if kind.startswith("vector of ") else 1,
    )


def simpleitk(path: Path | str = "image") -> ModuleType:
    """Import SimpleITK, and turn off its warnings.

    Raises:
        ImageUnsupported: SimpleITK is not installed; the message names the file.
    """
    try:
        import SimpleITK as sitk  # noqa: N813 - its usual name
    except ImportError:
        raise ImageUnsupported(
            f"{path}: this format needs SimpleITK; {install_hint('formats')}"
        ) from None
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    return sitk

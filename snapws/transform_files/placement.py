"""A plausibility check of transforms: a layer must not lie far away from the main image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from snapws.transform_files.grids import Array, Grid


def doubt(ras: Array, layer: Grid, main: Grid) -> str:
    """Return why a bare matrix is implausible as the RAS map from main image to layer, if so."""
    away = main.distance((np.linalg.inv(ras) @ [*layer.center, 1])[:3])
    if away > layer.extent:
        return (
            f"puts the middle of the layer {away:.0f} mm outside of the main image, further than "
            f"the layer is long ({layer.extent:.0f} mm)"
        )
    return ""

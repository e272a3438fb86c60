"""Layer specifications: the short names by which `itksnap-wt` and its users pick layers.

``3`` or ``003`` is a layer by number; ``M`` or ``main`` the main image; ``S`` or ``seg`` the first
segmentation; ``O:N`` or ``overlay:N`` the N-th overlay, ``A:N`` or ``anat:N`` the N-th anatomical
(main or overlay) layer, ``mesh:N`` the N-th mesh layer, from 0, -1 being the last.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from snapws.layers import Layer, Role
from snapws.meshes import MeshLayer

_FORM = re.compile(r"(?P<number>[0-9]{1,9})|(?P<kind>[A-Za-z]+)(:(?P<nth>-?[0-9]{1,9}))?")
_ROLES = {
    **dict.fromkeys(("m", "main"), (Role.MAIN,)),
    **dict.fromkeys(("s", "seg"), (Role.SEGMENTATION,)),
    **dict.fromkeys(("o", "overlay"), (Role.OVERLAY,)),
    **dict.fromkeys(("a", "anat"), (Role.MAIN, Role.OVERLAY)),
}
_COUNTED = ("o", "overlay", "a", "anat", "mesh")


def select(
    specification: str, layers: Sequence[Layer], meshes: Sequence[MeshLayer]
) -> Layer | MeshLayer | None:
    """Give the layer or mesh layer that a specification means, or None where it means none."""
    match = _FORM.fullmatch(specification)
    if match is None:
        return None
    if match["number"]:
        return _nth(layers, int(match["number"]))
    kind, nth = match["kind"].lower(), match["nth"]
    if (kind in _COUNTED) != (nth is not None):
        return None
    if kind == "mesh":
        return _nth(meshes, int(nth))
    return _nth([one for one in layers if one.role in _ROLES.get(kind, ())], int(nth or 0))


def _nth(candidates: Sequence[Layer] | Sequence[MeshLayer], nth: int) -> Layer | MeshLayer | None:
    return candidates[nth] if -len(candidates) <= nth < len(candidates) else None

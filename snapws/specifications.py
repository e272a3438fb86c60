"""Layers found by a specification, a tag or a nickname.

A specification is a short name of a layer, as `itksnap-wt` has them:
``3`` or ``003`` is a layer by number; ``M`` or ``main`` the main image; ``S`` or ``seg`` the first
segmentation; ``O:N`` or ``overlay:N`` the N-th overlay, ``A:N`` or ``anat:N`` the N-th anatomical
(main or overlay) layer, ``mesh:N`` the N-th mesh layer, from 0, -1 being the last.

>>> from snapws import Workspace
>>> ws = Workspace()
>>> for number, role in enumerate(("MainRole", "OverlayRole", "OverlayRole")):
...     ws.registry[f"Layers.Layer[{number:03d}].Role"] = role
>>> [ws.find(name).number for name in ("M", "main", "O:0", "O:-1", "A:1", "002")]
[0, 0, 1, 2, 1, 2]
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence

from snapws.errors import AmbiguousLayer, LayerNotFound
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


def by_specification(
    specification: str, layers: Sequence[Layer], meshes: Sequence[MeshLayer], where: str
) -> Layer | MeshLayer:
    """Return the image or mesh layer of a specification.

    Raises:
        LayerNotFound: No layer matches; the message lists the layers of the workspace `where`.
    """
    found = _select(specification, layers, meshes)
    if found is None:
        everything: list[Layer | MeshLayer] = [*layers, *meshes]
        names = ", ".join(_short_name(one) for one in everything)
        raise LayerNotFound(f"no layer is {specification!r}; layers in {where}: {names or 'none'}")
    return found


def by_tag_or_nickname(
    kind: str,
    text: str,
    candidates: Sequence[Layer | MeshLayer],
    texts: Callable[[Layer | MeshLayer], Collection[str]],
    where: str,
) -> Layer | MeshLayer:
    """Look up the one image or mesh layer with the tag or nickname (`kind`) `text`.

    Raises:
        LayerNotFound: No layer matches; the message lists the tags or nicknames `where`.
        AmbiguousLayer: Several layers match.
    """
    found = [one for one in candidates if text in texts(one)]
    if len(found) > 1:
        names = ", ".join(_short_name(one) for one in found)
        raise AmbiguousLayer(f"{len(found)} layers of {where} have the {kind} {text!r}: {names}")
    if not found:
        known = ", ".join(sorted({known for one in candidates for known in texts(one) if known}))
        raise LayerNotFound(
            f"no layer has the {kind} {text!r}; {kind}s in {where}: {known or 'none'}"
        )
    return found[0]


def _short_name(layer: Layer | MeshLayer) -> str:
    if isinstance(layer, Layer):
        return f"{layer.number:03d} ({layer.role.name.lower()})"
    return f"mesh:{layer.number}"


def _select(
    specification: str, layers: Sequence[Layer], meshes: Sequence[MeshLayer]
) -> Layer | MeshLayer | None:
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

"""Names of layers on the command line."""

from __future__ import annotations

from snapws.errors import InvalidValue, LayerNotFound
from snapws.layers import Layer
from snapws.meshes import MeshLayer
from snapws.workspace import Workspace

#: The forms of a layer's name, for help texts.
FORMS = "number, M, S, O:N, A:N, mesh:N, tag:TAG or nickname:NAME"


def find(workspace: Workspace, name: str) -> Layer | MeshLayer:
    """Return the one layer or mesh layer that a name means.

    Args:
        workspace: Where to look.
        name: ``tag:TAG``, ``nickname:NAME``, or a specification: see `snapws.specifications`.

    Raises:
        LayerNotFound: No layer matches; the message names the layers of the workspace.
        AmbiguousLayer: Several layers have the tag or the nickname.
    """
    kind, colon, value = name.partition(":")
    if colon and kind == "tag":
        return workspace.find(tag=value)
    if colon and kind == "nickname":
        return workspace.find(nickname=value)
    try:
        return workspace.find(name)
    except LayerNotFound as error:
        named: list[Layer | MeshLayer] = [*workspace.layers(), *workspace.meshes()]
        if any(name in one.tags for one in named):
            raise LayerNotFound(f"{error}; or tag:{name}") from None
        if any(name == one.nickname for one in named):
            raise LayerNotFound(f"{error}; or nickname:{name}") from None
        raise


def find_image(workspace: Workspace, name: str) -> Layer:
    """Return the one image layer that a name means; see `find`.

    Raises:
        InvalidValue: The name means a mesh layer.
    """
    found = find(workspace, name)
    if not isinstance(found, Layer):
        raise InvalidValue(f"{name} is a mesh layer: name an image layer")
    return found


def find_mesh(workspace: Workspace, name: str) -> MeshLayer:
    """Return the one mesh layer that a name means; see `find`.

    Raises:
        InvalidValue: The name means an image layer.
    """
    found = find(workspace, name)
    if not isinstance(found, MeshLayer):
        raise InvalidValue(f"{name} is an image layer: name a mesh layer")
    return found

"""Checks of the layers that a service made: errors that fail the ticket, and warnings for the user.

A ticket fails if ITK-SNAP cannot open a layer: the file cannot be read, or the size or number of
time points of a segmentation differ from the main image. All other problems are warnings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from dss.errors import ServiceError
from dss.serving import failure
from snapws import WorkspaceError
from snapws.layers import Layer, Role

if TYPE_CHECKING:
    from snapws import Workspace
    from snapws.check import Problem

_REFUSED = "ITK-SNAP cannot open the result of the service"


class _Seen(NamedTuple):
    """The state of a layer, to detect a change."""

    file: str
    role: str
    size: int
    changed: int


class OriginalWorkspace:
    """A workspace before a function works on it.

    Args:
        workspace: The workspace.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._layers = {_seen(layer) for layer in workspace.layers()}
        self._main = {_seen(layer) for layer in workspace.layers(role=Role.MAIN)}
        self._entries = dict(workspace.registry.walk())

    def warnings(self, result: Workspace) -> list[str]:
        """Check the layers that a function added or changed; return warnings for the user.

        The images of these layers are read to the end.

        Raises:
            ServiceError: ITK-SNAP does not open one of the layers. The message contains no path.
        """
        from snapws.check import check_workspace
        from snapws.segmentations import misfits

        made = self._made(result)
        if not made and dict(result.registry.walk()) == self._entries:
            return ["the service added nothing: its result is the workspace as it came"]
        found = check_workspace(result, {layer.number for layer in made})
        for one in found:
            if one.kind in ("file", "image"):
                raise ServiceError(f"{_REFUSED}: {_words(one)}")
        unopened = misfits(result)
        for layer in made:
            if why := unopened.get(layer.number):
                raise ServiceError(f"{_REFUSED}: layer {layer.number:03d}: {why}")
        return [*map(_words, found)]

    def _made(self, result: Workspace) -> list[Layer]:
        """Return the new or changed layers: all layers if the main image is new or changed."""
        layers = result.layers()
        if not self._main.issuperset(map(_seen, result.layers(role=Role.MAIN))):
            return layers
        return [layer for layer in layers if _seen(layer) not in self._layers]


def _seen(layer: Layer) -> _Seen:
    try:
        status = layer.path.stat()
    except (OSError, WorkspaceError):
        return _Seen(layer.file, layer.registry.get("Role"), -1, -1)
    return _Seen(layer.file, layer.registry.get("Role"), status.st_size, status.st_mtime_ns)


def _words(problem: Problem) -> str:
    return failure.told(ServiceError(f"{problem.where}: {problem.message}"))

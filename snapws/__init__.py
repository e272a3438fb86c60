"""ITK-SNAP workspaces: read, edit, write and archive them.

>>> from snapws import Role, Workspace
>>> ws = Workspace()
>>> ws.registry["Layers.Layer[000].Role"] = "MainRole"
>>> ws.main.nickname = "T1"
>>> [layer.nickname for layer in ws.layers(role=Role.MAIN)]
['T1']

`Workspace.open` reads a file, `Workspace.layer` finds a layer by its tag, `Workspace.save` writes.
Importing this package loads no array or image library; each comes with the first use of what
needs it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from snapws.annotations import Annotation, Landmark, LineSegment
    from snapws.archive import write_archive
    from snapws.display import ComponentMode, Display
    from snapws.errors import (
        AmbiguousLayer,
        ArchiveError,
        ImageChanged,
        ImageDamaged,
        ImageError,
        ImageSaysMore,
        ImageUnsupported,
        InvalidValue,
        LayerFileMissing,
        LayerNotFound,
        MeshDamaged,
        MeshError,
        MeshUnsupported,
        PictureError,
        RegistryError,
        TextFileError,
        WorkspaceChanged,
        WorkspaceError,
    )
    from snapws.labels import Label
    from snapws.layers import Layer, Role
    from snapws.meshes import MeshLayer, PolyData
    from snapws.packing import ArchiveReport
    from snapws.registry import Registry
    from snapws.relocation import relocate_files
    from snapws.resampling import resample
    from snapws.timepoints import TimePoint
    from snapws.workspace import Workspace

__all__ = [
    "AmbiguousLayer",
    "Annotation",
    "ArchiveError",
    "ArchiveReport",
    "ComponentMode",
    "Display",
    "ImageChanged",
    "ImageDamaged",
    "ImageError",
    "ImageSaysMore",
    "ImageUnsupported",
    "InvalidValue",
    "Label",
    "Landmark",
    "Layer",
    "LayerFileMissing",
    "LayerNotFound",
    "LineSegment",
    "MeshDamaged",
    "MeshError",
    "MeshLayer",
    "MeshUnsupported",
    "PictureError",
    "PolyData",
    "Registry",
    "RegistryError",
    "Role",
    "TextFileError",
    "TimePoint",
    "Workspace",
    "WorkspaceChanged",
    "WorkspaceError",
    "relocate_files",
    "resample",
    "write_archive",
]

_HOME = {
    "AmbiguousLayer": "errors",
    "Annotation": "annotations",
    "ArchiveError": "errors",
    "ArchiveReport": "packing",
    "ComponentMode": "display",
    "Display": "display",
    "ImageChanged": "errors",
    "ImageDamaged": "errors",
    "ImageError": "errors",
    "ImageSaysMore": "errors",
    "ImageUnsupported": "errors",
    "InvalidValue": "errors",
    "Label": "labels",
    "Landmark": "annotations",
    "Layer": "layers",
    "LayerFileMissing": "errors",
    "LayerNotFound": "errors",
    "LineSegment": "annotations",
    "MeshDamaged": "errors",
    "MeshError": "errors",
    "MeshLayer": "meshes",
    "MeshUnsupported": "errors",
    "PictureError": "errors",
    "PolyData": "meshes",
    "Registry": "registry",
    "RegistryError": "errors",
    "Role": "layers",
    "TextFileError": "errors",
    "TimePoint": "timepoints",
    "Workspace": "workspace",
    "WorkspaceChanged": "errors",
    "WorkspaceError": "errors",
    "relocate_files": "relocation",
    "resample": "resampling",
    "write_archive": "archive",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'snapws' has no attribute {name!r}")
    return getattr(import_module(f"snapws.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

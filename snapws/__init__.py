"""ITK-SNAP workspaces: read, edit, write and archive them.

>>> from snapws import Role, Workspace
>>> ws = Workspace()
>>> ws.registry["Layers.Layer[000].Role"] = "MainRole"
>>> ws.main.nickname = "T1"
>>> [layer.nickname for layer in ws.layers(role=Role.MAIN)]
['T1']

`Workspace.open` reads a file, `Workspace.layer` finds a layer by its tag, `Workspace.save` writes.
Importing this package loads no array or image library; they are loaded on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from snapws.annotations import (
        Annotation as Annotation,
    )
    from snapws.annotations import (
        Landmark as Landmark,
    )
    from snapws.annotations import (
        LineSegment as LineSegment,
    )
    from snapws.archive import write_archive as write_archive
    from snapws.check import check_workspace as check_workspace
    from snapws.comparison import compare_workspaces as compare_workspaces
    from snapws.display import (
        ComponentMode as ComponentMode,
    )
    from snapws.display import (
        Display as Display,
    )
    from snapws.errors import (
        AmbiguousLayer as AmbiguousLayer,
    )
    from snapws.errors import (
        ArchiveError as ArchiveError,
    )
    from snapws.errors import (
        ImageChanged as ImageChanged,
    )
    from snapws.errors import (
        ImageDamaged as ImageDamaged,
    )
    from snapws.errors import (
        ImageError as ImageError,
    )
    from snapws.errors import (
        ImageHasMetadata as ImageHasMetadata,
    )
    from snapws.errors import (
        ImageUnsupported as ImageUnsupported,
    )
    from snapws.errors import (
        InvalidValue as InvalidValue,
    )
    from snapws.errors import (
        LayerFileMissing as LayerFileMissing,
    )
    from snapws.errors import (
        LayerNotFound as LayerNotFound,
    )
    from snapws.errors import (
        MeshDamaged as MeshDamaged,
    )
    from snapws.errors import (
        MeshError as MeshError,
    )
    from snapws.errors import (
        MeshUnsupported as MeshUnsupported,
    )
    from snapws.errors import (
        PictureError as PictureError,
    )
    from snapws.errors import (
        RegistryError as RegistryError,
    )
    from snapws.errors import (
        TextFileError as TextFileError,
    )
    from snapws.errors import (
        WorkspaceChanged as WorkspaceChanged,
    )
    from snapws.errors import (
        WorkspaceError as WorkspaceError,
    )
    from snapws.labels import Label as Label
    from snapws.layers import (
        Layer as Layer,
    )
    from snapws.layers import (
        Role as Role,
    )
    from snapws.meshes import (
        MeshLayer as MeshLayer,
    )
    from snapws.meshes import (
        PolyData as PolyData,
    )
    from snapws.packing import ArchiveReport as ArchiveReport
    from snapws.pictures.scene import draw_picture as draw_picture
    from snapws.registry import Registry as Registry
    from snapws.relocation import relocate_files as relocate_files
    from snapws.report import write_report as write_report
    from snapws.resampling import resample as resample
    from snapws.timepoints import TimePoint as TimePoint
    from snapws.verify import verify_archive as verify_archive
    from snapws.workspace import Workspace as Workspace

#: The module of each name, which is imported when the name is first used.
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
    "ImageHasMetadata": "errors",
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
    "check_workspace": "check",
    "compare_workspaces": "comparison",
    "draw_picture": "pictures.scene",
    "relocate_files": "relocation",
    "resample": "resampling",
    "verify_archive": "verify",
    "write_archive": "archive",
    "write_report": "report",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'snapws' has no attribute {name!r}")
    return getattr(import_module(f"snapws.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

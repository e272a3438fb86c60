"""What can go wrong with a workspace, as one tree.

WorkspaceError                a workspace, or a file that it names, cannot be used as asked
├── RegistryError             a registry file is damaged or none, or a key or value is unwritable
├── WorkspaceChanged          the file has been changed by another program since it was read
├── InvalidValue              a key holds, or is given, a value that is not of its kind
├── LayerNotFound             no layer answers the specification or the tag
├── AmbiguousLayer            several layers do where one is asked for
├── LayerFileMissing          the layer is there, its file is not (or is on another machine)
├── TextFileError             a label or transform file is not of its form
├── ImageError                an image cannot be read
│   ├── ImageDamaged          it is cut short, or its checksum or header is wrong
│   ├── ImageUnsupported      it is whole, but of a kind that ITK-SNAP or this package does not read
│   ├── ImageChanged          it was written to while it was read
│   └── ImageHasMetadata         a layer of an archive holds more than voxels and geometry
├── MeshError                 a mesh cannot be read
│   ├── MeshDamaged           it is cut short, or not of its form
│   └── MeshUnsupported       it is of a kind, or has a part, that is not known here
├── PictureError              a picture cannot be drawn on this machine
└── ArchiveError              an archive cannot be made

Each message is one line: what is wrong, where, and what to do about it.
"""

from __future__ import annotations


class WorkspaceError(Exception):
    """A workspace, or a file that it names, cannot be used as asked."""


class RegistryError(WorkspaceError):
    """A registry file is damaged or not a registry, or a key or value cannot be written."""


class WorkspaceChanged(WorkspaceError):
    """A workspace file has been changed by another program since it was read."""


class InvalidValue(WorkspaceError):
    """A key holds, or is given, a value that is not of its kind."""


class LayerNotFound(WorkspaceError):
    """No layer answers the specification or the tag."""


class AmbiguousLayer(WorkspaceError):
    """Several layers answer where exactly one is asked for."""


class LayerFileMissing(WorkspaceError):
    """A layer's file is not on this machine."""


class TextFileError(WorkspaceError):
    """A label file or a transform file is not of its form."""


class ImageError(WorkspaceError):
    """An image cannot be read."""


class ImageDamaged(ImageError):
    """An image is cut short, or its checksum or header is wrong."""


class ImageUnsupported(ImageError):
    """An image is whole, but of a kind that ITK-SNAP or this package does not read."""


class ImageChanged(ImageError):
    """An image was written to while it was read."""


class ImageHasMetadata(ImageError):
    """A layer of an archive holds more than voxels and geometry."""


class MeshError(WorkspaceError):
    """A mesh cannot be read."""


class MeshDamaged(MeshError):
    """A mesh is cut short, or not of its form."""


class MeshUnsupported(MeshError):
    """A mesh is of a kind, or has a part, that is not known here."""


class PictureError(WorkspaceError):
    """A picture cannot be drawn on this machine."""


class ArchiveError(WorkspaceError):
    """An archive cannot be made."""

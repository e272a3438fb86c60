"""All errors of this package, as one tree.

WorkspaceError                a workspace, or a file that it names, cannot be used as asked
├── RegistryError             a registry file is corrupt, or a key or value cannot be written
├── WorkspaceChanged          another program has changed the workspace file since it was read
├── InvalidValue              a value is invalid
├── LayerNotFound             no layer matches the specification, the tag or the nickname
├── AmbiguousLayer            several layers match, but exactly one is needed
├── LayerFileMissing          the file of a layer is missing, or on another machine
├── TextFileError             a label or transform file is invalid
├── ImageError                an image cannot be read
│   ├── ImageDamaged          the image is truncated, or its checksum or header is corrupt
│   ├── ImageUnsupported      ITK-SNAP or this package does not support the format of the image
│   ├── ImageChanged          the image was written to while it was read
│   └── ImageHasMetadata      a layer of an archive holds more than voxels and geometry
├── MeshError                 a mesh cannot be read
│   ├── MeshDamaged           the mesh is truncated or corrupt
│   └── MeshUnsupported       the format of the mesh, or a part of it, is not supported
├── PictureError              a picture cannot be drawn on this machine
└── ArchiveError              an archive cannot be made

Each message is one line: what is wrong, where, and what to do about it.
"""

from __future__ import annotations


class WorkspaceError(Exception):
    """A workspace, or a file that it names, cannot be used as asked."""


class RegistryError(WorkspaceError):
    """A registry file is corrupt or not a registry, or a key or value cannot be written."""


class WorkspaceChanged(WorkspaceError):
    """Another program has changed the workspace file since it was read."""


class InvalidValue(WorkspaceError):
    """A value in a file or of an argument is invalid."""


class LayerNotFound(WorkspaceError):
    """No layer matches the specification, the tag or the nickname."""


class AmbiguousLayer(WorkspaceError):
    """Several layers match, but exactly one is needed."""


class LayerFileMissing(WorkspaceError):
    """The file of a layer is missing, or on another machine."""


class TextFileError(WorkspaceError):
    """A label file or a transform file is invalid."""


class ImageError(WorkspaceError):
    """An image cannot be read."""


class ImageDamaged(ImageError):
    """An image is truncated, or its checksum or header is corrupt."""


class ImageUnsupported(ImageError):
    """ITK-SNAP or this package does not support the format of an image."""


class ImageChanged(ImageError):
    """An image was written to while it was read."""


class ImageHasMetadata(ImageError):
    """A layer of an archive holds more than voxels and geometry."""


class MeshError(WorkspaceError):
    """A mesh cannot be read."""


class MeshDamaged(MeshError):
    """A mesh is truncated or corrupt."""


class MeshUnsupported(MeshError):
    """The format of a mesh, or a part of it, is not supported."""


class PictureError(WorkspaceError):
    """A picture cannot be drawn on this machine."""


class ArchiveError(WorkspaceError):
    """An archive cannot be made."""

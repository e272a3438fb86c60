"""Images: their headers, and their voxels as a stream, in and out.

Importing this package loads no array library: each name loads its module at its first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from snapws.images.header import ImageHeader as ImageHeader
    from snapws.images.reading import read_header as read_header
    from snapws.images.writing import write_nifti as write_nifti

#: The module of each name, imported at the first use of the name.
_HOME = {
    "ImageHeader": "header",
    "read_header": "reading",
    "write_nifti": "writing",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)

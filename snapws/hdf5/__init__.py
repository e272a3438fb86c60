"""HDF5 files of strangers: transforms of ITK and MINC images, which SimpleITK reads.

Such a file can make its reader open any other file of this machine, allocate any amount of memory,
or crash. Therefore `structure` checks its structure first, and then SimpleITK reads it in a
separate process with limits (`process`).
"""

from __future__ import annotations

SIGNATURE = b"\x89HDF\r\n\x1a\n"
"""The first bytes of such a file."""

"""Headers of MetaImage and NRRD whose voxels are in other files, wherever these say.

What a header names is what is read: so whoever made it chooses which files of this machine an
archive would send.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterator
from pathlib import Path

from snapws.errors import ImageError, ImageUnsupported

#: Endings of the names of headers that may name other files.
SUFFIXES = (".mha", ".mhd", ".nrrd", ".nhdr")

# Fields that name files; more than the readers of these formats take for one, so that they find
# none that is not found here: each has its own way with blanks, separators, and the same key twice.
# MetaIO goes on to the next separator, through lines and other words; what seems to be a value may
# be the next field, so it is looked at and not passed over, as far as a path can be long.
_META_FIELD = re.compile(rb"DataFile[^:=]*[:=][:=\s]*(?=([^\n]{0,32768}))")
_NRRD_FIELD = re.compile(rb"data ?file[^:=\n]*[:=]([^\n]*)", re.IGNORECASE)
_ELSEWHERE = re.compile(r"[/\\~]|[A-Za-z]:|(.*[/\\])?\.\.([/\\]|$)")

# Readers make the names of several files by printf, whose other conversions than this one can make
# any sign from a number, or nothing at all.
_PATTERN = re.compile(r"[^%]*(%[0-9]{0,2}d[^%]*)?")


def refuse_elsewhere(path: Path) -> None:
    """Refuse an image whose voxels are in files outside its own folder.

    Raises:
        ImageUnsupported: a name in its header is absolute, leads out of the folder, or is a pattern
            that could.
        ImageError: the file cannot be read.
    """
    if not path.name.lower().endswith(SUFFIXES):
        return
    try:
        with path.open("rb") as file:
            if not path.stat().st_size:  # of which there can be no map
                return
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                for field in _fields(content, path):
                    _refuse(field[1], path)
                    if field[1].strip().upper().startswith(b"LIST"):
                        for line in content[field.end(1) :].splitlines():
                            _refuse(line, path)
    except OSError as error:
        raise ImageError(f"{path}: {error.strerror or error}") from None


def _fields(content: mmap.mmap, path: Path) -> Iterator[re.Match[bytes]]:
    if path.name.lower().endswith((".mha", ".mhd")):
        return _META_FIELD.finditer(content)  # through the voxels, too: anything may end its header
    end = content.find(b"\n\n")
    return _NRRD_FIELD.finditer(content, 0, len(content) if end < 0 else end + 1)


def _refuse(value: bytes, path: Path) -> None:
    name = value.decode("utf-8", "replace").strip()
    if _ELSEWHERE.match(name) or not _PATTERN.fullmatch(name) or not name.isprintable():
        told = "".join(sign if sign.isprintable() else "?" for sign in name)[:100]
        raise ImageUnsupported(
            f"{path}: it says that its voxels are in {told}, which is not beside it: an archive "
            "takes no file from elsewhere; put it there, or convert the image to NIfTI"
        )

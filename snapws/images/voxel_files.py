"""Voxel files that a header names, and the rules which of them may be opened.

The author of a header could name any file of this machine as its voxels. Code that opens such a
file therefore checks it with `beside` first, and opens it with `open_regular`.
"""

from __future__ import annotations

import math
import os
import re
import struct
from collections.abc import Collection
from pathlib import Path
from typing import BinaryIO, Literal

from snapws import paths, stand_ins
from snapws.errors import ImageDamaged, ImageError, ImageUnsupported
from snapws.text import excerpt

Purpose = Literal["send", "show"]
"""``send``: the voxels leave this machine. ``show``: they stay with the user of the header."""

#: Endings of voxel files, in any case; ``.gz`` may follow. Three or four digits, which
#: number slices, are an ending, too.
ENDINGS = (
    *(".raw", ".zraw", ".img", ".dat", ".data", ".bin", ".vol"),
    *(".dcm", ".dicom", ".ima", ".nii", ".gz"),
)
_PAIR_ENDINGS = (".hdr", ".img")
_NUMBERED = re.compile(r"\.[0-9]{3,4}")

# More than a header of these formats needs, but still quick to read.
MAX_HEADER = 4 << 20
"""The most bytes of a header written as text."""


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading. Refuse anything else; never wait for a FIFO.

    Raises:
        ImageError: The file does not exist, cannot be read or is not a regular file.
    """
    try:
        return paths.open_file(path)
    except (OSError, ValueError) as error:  # a NUL character in the name raises ValueError
        raise ImageError(f"{path}: {getattr(error, 'strerror', None) or error}") from None


def open_voxels(header: Path, path: Path) -> BinaryIO:
    """Open the voxel file of an image with `open_regular`; it can be the file of the header.

    Raises:
        ImageUnsupported: A stand-in takes its place (`snapws.stand_ins`).
        ImageError: The file is missing or cannot be read; the message names the header, too.
    """
    if path == header:
        return open_regular(path)
    refuse_missing(header, path)
    try:
        file = open_regular(path)
    except ImageError as error:
        raise ImageError(f"{header}: its voxels cannot be read: {error}") from None
    what = stand_ins.of_content(file.read(START))
    if what:
        file.close()
        raise ImageUnsupported(f"{header}: its voxels are in {excerpt(path.name)}, {what}")
    file.seek(0)
    return file


def refuse_missing(header: Path, path: Path) -> None:
    """Refuse a missing voxel file.

    Raises:
        ImageError: The file is missing; the message names the header and the reason.
    """
    if not path.exists() and (why := paths.unusable(path)):
        raise ImageError(f"{header}: its voxels are in {excerpt(path.name)}, which {why}")


def beside(header: Path, name: str, purpose: Purpose) -> Path:
    """Return the real path of a voxel file that a header names, if it may be opened.

    The file needs the ending of a voxel file, must not be the header itself, and no component of
    its path may begin with a dot. To be sent, it must be beside the header; to be shown, in the
    header's folder or below. Links are resolved first, so the real place of the file counts. The
    folder of the header counts both as named and as resolved. Files that git-annex keeps in the
    header's own repository count as inside.

    Raises:
        ImageUnsupported: The file may not be opened.
    """
    return _beside(header, name, purpose, ENDINGS)


def partner(path: Path, name: str, purpose: Purpose) -> Path:
    """Return the real path of the other file of a ``.hdr``/``.img`` pair, by the rules of `beside`.

    Raises:
        ImageUnsupported: The file may not be opened.
    """
    return _beside(path, name, purpose, _PAIR_ENDINGS)


def headerless(path: Path) -> Path:
    """Return the real path of a headerless voxel file, if it has the name of one.

    Raises:
        ImageUnsupported: The file, or the target of a link, lacks the name of a voxel file.
    """
    real = Path(os.path.realpath(path))
    for name in (path.name, real.name):
        if name.startswith(".") or not _has_ending(name, ENDINGS):
            raise ImageUnsupported(
                f"{path}: its workspace says that it is raw voxels, and {excerpt(name)} has not "
                f"the name of such a file ({', '.join(ENDINGS)}): rename it, or convert it to NIfTI"
            )
    return real


def refuse_outside(header: Path, path: Path, purpose: Purpose) -> None:
    """Refuse a file outside of the folders that `beside` allows, whatever its name.

    Raises:
        ImageUnsupported: The file is outside.
    """
    if _inner_parts(header, Path(os.path.realpath(path)), purpose) is None:
        raise ImageUnsupported(
            f"{path}: it is beside {header.name} by a link alone, and is elsewhere: no file is "
            "taken from there; copy it here"
        )


def elsewhere(header: Path, name: str) -> ImageUnsupported:
    """Return the error for a header that names a file at a place which is not allowed."""
    return ImageUnsupported(
        f"{header}: it says that its voxels are in {excerpt(name)}, which is not beside it: "
        "no file is taken from elsewhere; put it there, or convert the image to NIfTI"
    )


def annex(folder: Path) -> Path | None:
    """Return the folder of git-annex in the repository that contains a folder."""
    for top in (folder, *folder.parents):
        if (top / ".git").exists():
            git = Path(os.path.realpath(top / ".git"))
            # In a submodule, this folder is a link into the outer repository.
            owners = (one / ".git" for one in (top, *top.parents))
            owned = any(git.is_relative_to(one) for one in owners if not one.is_symlink())
            return git / "annex" / "objects" if owned else None
    return None


def _beside(header: Path, name: str, purpose: Purpose, endings: Collection[str]) -> Path:
    plain = name
    while plain.startswith("./"):
        plain = plain[2:].lstrip("/")
    drive = ":" in plain if os.name == "nt" else re.match("[A-Za-z]:", plain)
    if not plain.isprintable() or drive or plain.startswith("~") or set(plain) & set("\\%"):
        raise elsewhere(header, name)
    if "/" in plain and purpose == "send":
        raise elsewhere(header, name)
    path = header.parent / plain
    real = Path(os.path.realpath(path))
    inner = _inner_parts(header, real, purpose)
    parts = Path(plain).parts if not Path(plain).is_absolute() else ()
    if inner is None or any(part.startswith(".") for part in (*parts, *inner)):
        raise elsewhere(header, name)
    for one in (path.name, *inner[-1:]):
        _refuse_ending(header, one, endings)
    if real == Path(os.path.realpath(header)):
        raise ImageUnsupported(f"{header}: it says that it is its own file of voxels")
    return real


def _inner_parts(header: Path, real: Path, purpose: Purpose) -> tuple[str, ...] | None:
    """Return the parts of a real path below the header's folder; empty for an annexed file.

    For a file outside, return None.
    """
    home = Path(os.path.realpath(header.parent))
    for folder in (home, Path(os.path.realpath(header)).parent):
        if real.is_relative_to(folder):
            parts = real.relative_to(folder).parts
            if parts and (purpose == "show" or len(parts) == 1):
                return parts
    objects = annex(home)
    return () if objects and real.is_relative_to(objects) else None


def _refuse_ending(header: Path, name: str, endings: Collection[str]) -> None:
    if not _has_ending(name, endings):
        raise ImageUnsupported(
            f"{header}: it says that its voxels are in {excerpt(name)}, whose ending is not "
            f"that of a file of voxels ({', '.join(endings)}): rename it, or convert the image to "
            "NIfTI"
        )


def _has_ending(name: str, endings: Collection[str]) -> bool:
    stem, ending = os.path.splitext(name.lower())  # noqa: PTH122 - a name and no path
    inner = os.path.splitext(stem)[1] if ending == ".gz" else ""  # noqa: PTH122
    known = (*endings, ".gz")
    return bool(ending) and all(
        one in known or _NUMBERED.fullmatch(one) for one in (ending, inner) if one
    )


# Signatures of other file formats, by their position in the file.
_SIGNS = {
    0: (
        *(
            b"NRRD",
            b"ObjectType",
            b"NDims",
            b"# vtk",
            b"II*\0",
            b"MM\0*",
            b"\x89PNG",
            b"\xff\xd8\xff",
        ),
        *(
            b"GIF8",
            b"\x89HDF",
            b"%PDF",
            b"PK\3\4",
            b"\x1f\x8b\x08",
            b"\x7fELF",
            b"<?xml",
            b"SQLite",
        ),
        *(b"-----BEGIN", b"#!", b"{\\rtf", b"\xd0\xcf\x11\xe0", b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf"),
    ),
    252: (b"\xef\xff\xe9\xb0", b"\x2a\xe3\x89\xb8", b"\xb0\xe9\xff\xef"),
    257: (b"ustar",),
}
_NIFTI = {b"\x5c\x01\0\0": "<", b"\0\0\x01\x5c": ">", b"\x1c\x02\0\0": "<", b"\0\0\x02\x1c": ">"}
_BARE_DICOM = re.compile(rb"[\x02\x08]\0.\0(?:[A-Z]{2}|\x04\0\0\0)", re.DOTALL)
# Files without a preamble begin with an element of group 2 or 8: with a type or a 32-bit length.
_FIRST_ELEMENT = re.compile(rb"[\x02\x08]\0.\0(?:[A-Z]{2}|.\0\0\0)", re.DOTALL)
_PIXEL_DATA = re.compile(
    rb"(?:\xe0\x7f\x10\0|\xe0\x7f\x10\0O[BWFDLV]\0\0|\x7f\xe0\0\x10O[BWFDLV]\0\0).{4}\Z",
    re.DOTALL,
)
START = 544
"""The number of inflated bytes of a voxel file that `refuse_other_header` examines."""


def has_dicom_preamble(start: bytes) -> bool:
    """Return whether a file begins with a DICOM preamble: 128 arbitrary bytes and a signature."""
    return start[128:132] == b"DICM"


def is_bare_dicom(start: bytes) -> bool:
    """Return whether a file can be DICOM without preamble, as older programs write it."""
    return _FIRST_ELEMENT.match(start) is not None


def refuse_other_header(path: Path, start: bytes, offset: int, before: bytes) -> bool:
    """Refuse a voxel file that begins with a header, unless its voxels begin behind that header.

    Return whether the file begins with a header.

    Args:
        path: The file.
        start: Its first `START` bytes.
        offset: The position of the first voxel.
        before: Up to 12 bytes in front of the voxels.

    Raises:
        ImageDamaged: The voxels begin within another header, or may begin there.
    """
    end: int | None
    if has_dicom_preamble(start) or _BARE_DICOM.match(start):
        end = offset if _PIXEL_DATA.search(before) else None
    elif start[:4] in _NIFTI and start[344:347] in (b"n+1", b"ni1"):
        (number,) = struct.unpack(f"{_NIFTI[start[:4]]}f", start[108:112])
        end = int(number) if math.isfinite(number) else None
    elif start[:4] in _NIFTI and start[4:7] in (b"n+2", b"ni2"):
        end = int.from_bytes(start[168:176], "little" if _NIFTI[start[:4]] == "<" else "big")
    elif any(start.startswith(signs, place) for place, signs in _SIGNS.items()):
        end = None
    else:
        return False
    if end != offset:
        raise ImageDamaged(
            f"{path}: it begins with a header of its own, and the voxels are said to begin within "
            "it: convert the image to NIfTI"
        )
    return True

"""Integrity of received files: checks of the response's end, the file's end and the file's name.

The server reports the size of a file to the ticket's owner only, and never a checksum. But a gzip
stream ends with a checksum, and the names of an archive's layers and meshes contain their hashes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from contextlib import closing, suppress
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from dss.errors import TransferFailed
from dss.text import shown
from snapws.archive_names import LAYER_NAME, MESH_NAME
from snapws.compression import GZIP_MAGIC, GzipDamaged, iter_decompressed
from snapws.prefetch import prefetched

if TYPE_CHECKING:
    from dss.http.responses import Received

_IMAGES = (".nii", ".nii.gz")
_HEADER = 352  # bytes at the beginning of a NIfTI file that hold its header


def check_whole(received: Received, file: Path) -> bool:
    """Check that a received file is complete, by every possible means.

    Args:
        received: How the file was received.
        file: The file, under its name on the server.

    Returns:
        Whether the file's name contains the hash of its content.

    Raises:
        TransferFailed: The file is corrupt, its name does not fit its content, or its completeness
            cannot be checked.
        OSError: `file` cannot be read.
    """
    from snapws.errors import ImageError

    # Checked first, because the first bytes decide which library reads the file.
    if file.name.lower().endswith(_IMAGES) and not is_nifti(file):
        raise TransferFailed(
            f"{file.name} came damaged or cut off, or is not a single-file NIfTI image"
        )
    try:
        named = named_by_content(file)
        ended = named or _ends_well(file)
    except (GzipDamaged, ImageError) as error:
        reason = shown(str(error).removeprefix(f"{file}: "))
        raise TransferFailed(f"{file.name} came damaged or cut off: {reason}") from error
    if not ended:
        check_framed(received, file.name)
    return named


def check_framed(received: Received, name: str) -> None:
    """Check that the response marked its end, so that the file `name` is complete."""
    if not (received.length_given or received.chunked):
        raise TransferFailed(f"nothing tells whether {name} came whole: neither size nor end")


def named_by_content(file: Path) -> bool:
    """Return whether the name of a file contains the hash of its content, as in an archive.

    Raises:
        TransferFailed: The content has another hash.
        GzipDamaged: The file is a corrupt image.
        ImageError: The file is a corrupt image.
        OSError: The file cannot be read.
    """
    mesh = MESH_NAME.fullmatch(file.name)
    named = mesh or LAYER_NAME.fullmatch(file.name)
    if named is None:
        return False
    told = named["hash"]
    if mesh:
        content = digest(file, "md5")
    else:
        with file.open("rb") as layer:
            content = _bare_hash(layer)
    if content != told and not mesh:
        from snapws.errors import ImageUnsupported
        from snapws.verify import content_hash

        try:
            content = content_hash(file)
        except ImageUnsupported:
            return False
    if content != told:
        raise TransferFailed(f"{file.name} came as something else: its content's hash is {content}")
    return True


def _bare_hash(file: BinaryIO) -> str:
    """Return the MD5 of all bytes after the header of a gzipped NIfTI image.

    This is the hash of the voxels unless they are scaled, of several components or big-endian. It
    needs no image library, and no other file has it by accident.

    Raises:
        GzipDamaged: The file is corrupt or truncated.
        OSError: The file cannot be read.
    """
    md5 = hashlib.md5(usedforsecurity=False)
    skip = _HEADER
    with closing(iter_decompressed(file)) as inflated:
        for piece in prefetched(inflated):
            md5.update(memoryview(piece)[skip:])
            skip -= min(skip, len(piece))
    return md5.hexdigest()


def _ends_well(file: Path) -> bool:
    """Return whether the file's format marks its end, and check that end.

    Raises:
        TransferFailed: The content does not have the format that the name states.
        GzipDamaged: The gzip stream is truncated.
        ImageError: The image is truncated.
    """
    name = file.name.lower()
    with file.open("rb") as content:
        zipped = content.read(2) == GZIP_MAGIC
        if name.endswith(".itksnap"):
            content.seek(max(0, file.stat().st_size - 64))
            if not content.read().rstrip().endswith(b"</registry>"):
                raise TransferFailed(f"{file.name} came damaged or cut off: it is not a workspace")
            return True
    if name.endswith(".gz") and not zipped:
        raise TransferFailed(f"{file.name} came damaged or cut off: it is not gzip")
    if name.endswith(_IMAGES):
        from snapws.errors import ImageUnsupported
        from snapws.images.reading import read_header

        with suppress(ImageUnsupported):
            _drain(read_header(file).voxels())
            return True
    if zipped:
        with file.open("rb") as content:
            _drain(iter_decompressed(content))
        return True
    return False


def same_header(file: Path, start: bytes) -> bool:
    """Return whether two NIfTI images have the same header.

    The name of a layer contains the hash of its voxels, but not their position in space.

    Args:
        file: The first image.
        start: The first bytes of the second image's file, plain or gzip.
    """
    with file.open("rb") as content:
        mine = _first(content)
    return len(mine) == _HEADER and mine == _first(BytesIO(start))


def is_nifti(file: Path) -> bool:
    """Return whether a file is a single-file NIfTI image, by its bytes and not by its name.

    Libraries choose the reader by the first bytes, too: a file with the name of a NIfTI image may
    have a format that names further files.
    """
    with file.open("rb") as content:
        start = _first(content)
    if start[:4] in (b"\x5c\x01\0\0", b"\0\0\x01\x5c"):
        return start[344:348] == b"n+1\0"
    return start[:4] in (b"\x1c\x02\0\0", b"\0\0\x02\x1c") and start[4:8] == b"n+2\0"


def _first(content: Any) -> bytes:
    start = b""
    with suppress(GzipDamaged):  # the beginning of a file is truncated gzip
        for piece in iter_decompressed(content):
            start += piece[: _HEADER - len(start)]
            if len(start) == _HEADER:
                break
    return start


def digest(file: Path, method: str = "sha256") -> str:
    """Return the digest of a file, in hex digits."""
    state = hashlib.new(method, usedforsecurity=False)
    with file.open("rb") as content:
        while chunk := content.read(1 << 20):
            state.update(chunk)
    return state.hexdigest()


def _drain(items: Iterable[object]) -> None:
    for _ in items:
        pass

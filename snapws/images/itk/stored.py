"""The storage of voxels in MetaImage, NRRD, GIPL and VTK images, by their headers.

This package reads a header by the strict part of its format that programs write, and writes a new
header from it, which SimpleITK reads. Therefore SimpleITK opens no file that the image names, and
the position of the first voxel is checked.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np

from snapws import compression
from snapws.errors import ImageDamaged, ImageError, ImageUnsupported
from snapws.images import voxel_files
from snapws.images.itk import text_voxels
from snapws.text import excerpt

Encoding = Literal["raw", "gzip", "zlib", "text"]

# Bytes examined in front of the voxels: more than any line or element that ends there.
_MOST_SKIPPED = 1 << 20
_TEXT = re.compile(rb"[ -~]{6}")
_PADDING = 4096
_MOST_FILES = 2**15  # a file for each slice of the longest axis
_FEW = 10
# Programs format the names of several files by printf; its other conversions could insert any text.
_PATTERN = re.compile(r"[^%]*%[0-9]{0,2}d[^%]*")
_WHOLE = re.compile(r"[-+]?[0-9]{1,9}")


@dataclass(frozen=True)
class Stored:
    """The content of a header, and the place and storage of its voxels.

    Attributes:
        path: The file of the header.
        ending: The ending of a file with `header`, ``.mha`` for example.
        header: A new header with size, type and geometry.
        start: The end of the header's text, in bytes.
        names: The voxel files as the header names them; empty if voxels follow the header.
        encoding: The encoding of the voxels.
        big_endian: Whether the voxels are big-endian.
        lines: The lines of text in front of the voxels, in each file.
        skip: The bytes in front of the voxels, behind these lines; -1 if voxels end the file.
        is_planar: Whether the components of vectors are stored apart, not interleaved.
        deflated: The size of the compressed voxels in bytes; 0 if not stated.
        following: A pattern for data behind the voxels; None if only padding may follow.
        special: Whether NaN and infinity are valid in voxels written as text.
        misfit: The reason why the files cannot hold the voxels; empty if they can.
    """

    path: Path
    ending: str
    header: bytes
    start: int = 0
    names: tuple[str, ...] = ()
    encoding: Encoding = "raw"
    big_endian: bool = False
    lines: int = 0
    skip: int = 0
    is_planar: bool = False
    deflated: int = 0
    following: re.Pattern[bytes] | None = None
    special: bool = False
    misfit: str = ""

    @property
    def named(self) -> tuple[Path, ...]:
        """The voxel files, whether they may be opened or not."""
        return tuple(self.path.parent / name for name in self.names) or (self.path,)

    def parts(self, purpose: voxel_files.Purpose) -> tuple[Path, ...]:
        """Return the voxel files.

        Raises:
            ImageUnsupported: A file must not be opened for the purpose, or there are too many.
            ImageDamaged: The number of files is wrong.
        """
        if self.misfit:
            # There may be a million names: enough of them are checked to report a file elsewhere.
            for name in self.names[:_FEW]:
                voxel_files.beside(self.path, name, purpose)
            raise ImageDamaged(f"{self.path}: the header is corrupt: {self.misfit}")
        if len(self.names) > _MOST_FILES:
            raise ImageUnsupported(
                f"{self.path}: its voxels are in more than {_MOST_FILES} files: convert it to NIfTI"
            )
        found = {name: voxel_files.beside(self.path, name, purpose) for name in set(self.names)}
        return tuple(found[name] for name in self.names) or (self.path,)


@dataclass(frozen=True)
class StoredVoxels:
    """The voxels of an image, in checked files.

    Attributes:
        stored: The storage of the voxels.
        parts: The voxel files, in order.
        dtype: The type of a number, little-endian.
        size: The size of all voxels in bytes.
        row_size: The size of a row in bytes.
    """

    stored: Stored
    parts: tuple[Path, ...]
    dtype: np.dtype[Any]
    size: int
    row_size: int

    def pieces(self) -> Iterator[bytes]:
        """Yield the bytes of all voxels, little-endian, in pieces of whole numbers.

        Raises:
            ImageDamaged: The files have too few or too many voxels, or do not match the header.
            ImageUnsupported: The voxels are compressed or text, and in several files.
            ImageError: A file cannot be read.
        """
        stored = self.stored
        if stored.encoding != "raw" and len(self.parts) > 1:
            raise ImageUnsupported(
                f"{stored.path}: its voxels are in several files, compressed or as text: convert "
                "it to NIfTI first"
            )
        if self.size % len(self.parts):
            raise ImageDamaged(
                f"{stored.path}: {self.size} bytes of voxels do not fit {len(self.parts)} files"
            )
        for path in self.parts:
            with self._opened(path) as file, closing(self._part(file, path)) as pieces:
                if stored.encoding == "text" or not stored.big_endian:
                    yield from in_whole(pieces, self.dtype.itemsize)
                else:
                    big = self.dtype.newbyteorder(">")
                    for piece in in_whole(pieces, self.dtype.itemsize):
                        yield np.frombuffer(piece, big).astype(self.dtype).tobytes()

    def _opened(self, path: Path) -> BinaryIO:
        if not self.stored.names:
            return voxel_files.open_regular(path)
        return voxel_files.open_voxels(self.stored.path, path)

    def _part(self, file: BinaryIO, path: Path) -> Generator[bytes, None, None]:
        """Yield the bytes of one file's voxels, in the stored order."""
        size, stored = self.size // len(self.parts), self.stored
        file.seek(0 if stored.names else stored.start)
        try:
            _skip_lines(file, stored.lines, path)
            if stored.encoding == "raw":
                yield from self._raw(file, path, size)
            elif stored.encoding == "text":
                file.seek(max(0, stored.skip), os.SEEK_CUR)
                form = text_voxels.Form(self.dtype, stored.special, stored.following)
                yield from text_voxels.read(file, path, form, size // self.dtype.itemsize)
            else:
                yield from self._inflated(file, path, size)
        except (compression.GzipDamaged, compression.ZlibDamaged) as error:
            raise ImageDamaged(f"{path}: {error}") from None
        except OSError as error:
            raise ImageError(f"{path}: {error.strerror or error}") from None

    def _raw(self, file: BinaryIO, path: Path, size: int) -> Iterator[bytes]:
        stored, there = self.stored, os.fstat(file.fileno()).st_size
        offset = file.tell() + stored.skip if stored.skip >= 0 else there - size
        missing = offset + size - there if offset >= 0 else -offset
        if missing > 0:
            raise _cut_short(path, missing, size)
        if stored.names:
            file.seek(0)
            self._refuse_other_header(path, file.read(min(there, _MOST_SKIPPED)), offset)
        file.seek(offset + size)
        self._refuse_more(path, there - offset - size, file.read(_PADDING))
        file.seek(offset)
        while size:
            piece = file.read(min(size, compression.PIECE))
            if not piece:
                raise _cut_short(path, size, self.size)
            size -= len(piece)
            yield piece

    def _inflated(self, file: BinaryIO, path: Path, size: int) -> Iterator[bytes]:
        stored, offset = self.stored, self.stored.skip
        if stored.encoding == "zlib":
            file.seek(offset, os.SEEK_CUR)  # in front of the stream, not in it
            offset = 0
        begin, there = file.tell(), os.fstat(file.fileno()).st_size
        if stored.deflated and stored.deflated != there - begin:
            raise ImageDamaged(
                f"{path}: {there - begin} bytes of compressed voxels, but its header says "
                f"{stored.deflated}"
            )
        if offset < 0:
            offset = sum(map(len, self._stream(file, path))) - size
            file.seek(begin)
        if not 0 <= offset <= _MOST_SKIPPED:
            raise ImageDamaged(f"{path}: its voxels cannot begin at byte {offset} of the stream")
        head, missing, more = b"", size, 0
        with closing(self._stream(file, path)) as pieces:
            for piece in pieces:
                head += piece
                if len(head) >= max(offset, voxel_files.START):
                    break
            if stored.names:
                self._refuse_other_header(path, head, offset)
            for piece in itertools.chain((head[offset:],), pieces):
                body = piece[:missing]
                missing -= len(body)
                more += len(piece) - len(body)
                self._refuse_more(path, more, b"")
                yield body
        if missing:
            raise _cut_short(path, missing, size)

    def _stream(self, file: BinaryIO, path: Path) -> Generator[bytes, None, None]:
        if self.stored.encoding == "zlib":
            return compression.iter_zlib_decompressed(file)
        begin = file.tell()
        if file.read(2) != compression.GZIP_MAGIC:
            raise ImageDamaged(f"{path}: its voxels are said to be gzip, and are not")
        file.seek(begin)
        return compression.iter_decompressed(file)

    def _refuse_other_header(self, path: Path, head: bytes, offset: int) -> None:
        """Refuse voxels that begin within the header of another image."""
        before = head[max(0, offset - 12) : offset]
        known = voxel_files.refuse_other_header(path, head[: voxel_files.START], offset, before)
        if (
            self.stored.skip < 0
            and not known
            and (offset > len(head) or _TEXT.search(head[:offset]))
        ):
            # In a truncated file, bytes in front of the voxels would count as voxels.
            raise ImageDamaged(
                f"{path}: {offset} bytes precede the voxels, but its header does not state how "
                "many: add the number of bytes to the header"
            )

    def _refuse_more(self, path: Path, more: int, rest: bytes) -> None:
        """Refuse data behind the voxels, except less than a row if voxels follow the header."""
        stored = self.stored
        if not more or (stored.following and stored.following.match(rest)):
            return
        is_padded = not (stored.names or stored.following) and (
            stored.encoding == "raw" or stored.ending == ".gipl"
        )
        if not is_padded or more >= min(_PADDING, self.row_size):
            raise ImageDamaged(f"{path}: {more} bytes more than the voxels of its header")


def in_whole(pieces: Iterator[bytes], width: int) -> Iterator[bytes]:
    """Yield the same bytes in pieces whose lengths are multiples of a width."""
    rest = b""
    for piece in pieces:
        piece = rest + piece
        end = len(piece) - len(piece) % width
        rest = piece[end:]
        if end:
            yield piece[:end]


def header_lines(file: BinaryIO, path: Path) -> Iterator[str]:
    """Return the lines of a header without line ends; the file is then behind the last line.

    Raises:
        ImageUnsupported: The header is too long.
        ImageError: The file cannot be read.
    """
    left = voxel_files.MAX_HEADER
    try:
        while line := file.readline(left + 1):
            left -= len(line)
            if left < 0:
                raise ImageUnsupported(
                    f"{path}: its header is longer than {voxel_files.MAX_HEADER >> 20} MiB: remove "
                    "unneeded fields, or convert it to NIfTI"
                )
            yield os.fsdecode(line.rstrip(b"\r\n"))
    except OSError as error:
        raise ImageError(f"{path}: {error.strerror or error}") from None


def pattern_names(header: Path, words: Sequence[str]) -> tuple[str, ...]:
    """Return the file names that a pattern, a first and last number and a step describe.

    A pattern with any other conversion than that of a number is returned unchanged: no file of
    that name is ever opened.

    Raises:
        ImageDamaged: The numbers are invalid.
    """
    if not _PATTERN.fullmatch(words[0]):
        return (" ".join(words),)
    numbers = range(0)
    if len(words) == 4 and all(map(_WHOLE.fullmatch, words[1:])) and int(words[3]):
        first, last, step = map(int, words[1:])
        numbers = range(first, last + (1 if step > 0 else -1), step)
    if not 0 < len(numbers) <= _MOST_FILES or min(numbers) < 0:
        raise ImageDamaged(
            f"{header}: {excerpt(' '.join(words))} is not a pattern, a first and a last "
            "number, and a step"
        )
    return tuple(words[0] % number for number in numbers)


def _skip_lines(file: BinaryIO, lines: int, path: Path) -> None:
    left = _MOST_SKIPPED
    for _ in range(lines):
        line = file.readline(left)
        left -= len(line)
        if not line.endswith(b"\n"):
            raise ImageDamaged(f"{path}: the {lines} lines in front of its voxels are missing")


def _cut_short(path: Path, missing: int, size: int) -> ImageDamaged:
    return ImageDamaged(f"{path}: cut short, {missing} of {size} bytes of voxels missing")

"""How the voxels of MetaImage, NRRD, GIPL and VTK images are stored, as their headers say.

A header is read here, by the strict part of its format that programs write, and said again in our
own words: that is what SimpleITK is given. So it opens no file of the image's maker's choice, and
the voxels begin where they were proved to begin.
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

Encoding = Literal["raw", "gzip", "zlib", "text"]

# Bytes in front of the voxels that are looked at: more than any line or element that ends there.
_MOST_SKIPPED = 1 << 20
_TEXT = re.compile(rb"[ -~]{6}")
_PADDING = 4096
_MOST_FILES = 2**15  # a file for each slice of the longest axis
_FEW = 10
# Programs make the names of several files by printf, whose other conversions can make any sign.
_PATTERN = re.compile(r"[^%]*%[0-9]{0,2}d[^%]*")
_WHOLE = re.compile(r"[-+]?[0-9]{1,9}")


@dataclass(frozen=True)
class Stored:
    """What a header says, and where and how its voxels are stored.

    Attributes:
        path: The file of the header.
        ending: That of a file with `header`, ``.mha`` for example.
        header: What it says of size, type and geometry, in our words.
        start: Where its text ends, in bytes.
        names: The files of the voxels as it names them; none if they follow the header.
        encoding: How they are written.
        big_endian: Whether in bytes from high to low.
        lines: Lines of text in front of them, in each file.
        skip: Bytes in front of them, behind these lines; -1 if they are the end of the file.
        is_planar: Whether the components of vectors lie apart, and not voxel by voxel.
        deflated: Bytes of them as they are compressed; 0 if that is not said.
        following: What may follow them, as a pattern; None if nothing but padding may.
        special: Whether NaN and infinity are numbers if they are written as text.
        misfit: Why the files cannot be those of the voxels; nothing if they can.
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
        """The files of the voxels, whether they may be opened or not."""
        return tuple(self.path.parent / name for name in self.names) or (self.path,)

    def parts(self, purpose: voxel_files.Purpose) -> tuple[Path, ...]:
        """Return the files of the voxels.

        Raises:
            ImageUnsupported: One may not be opened for that, or they are too many.
            ImageDamaged: They are not as many as there have to be.
        """
        if self.misfit:
            # Of what may be a million names, enough are looked up to tell of a file elsewhere.
            for name in self.names[:_FEW]:
                voxel_files.beside(self.path, name, purpose)
            raise ImageDamaged(f"{self.path}: the header is invalid: {self.misfit}")
        if len(self.names) > _MOST_FILES:
            raise ImageUnsupported(
                f"{self.path}: its voxels are in more than {_MOST_FILES} files: convert it to NIfTI"
            )
        found = {name: voxel_files.beside(self.path, name, purpose) for name in set(self.names)}
        return tuple(found[name] for name in self.names) or (self.path,)


@dataclass(frozen=True)
class StoredVoxels:
    """The voxels of an image in the files that were checked.

    Attributes:
        stored: How they are stored.
        parts: Their files, in order.
        dtype: The type of a number of them, little-endian.
        size: How many bytes they are in all.
        row_size: How many bytes a row of them is.
    """

    stored: Stored
    parts: tuple[Path, ...]
    dtype: np.dtype[Any]
    size: int
    row_size: int

    def pieces(self) -> Iterator[bytes]:
        """Return their bytes, little-endian, in whole numbers a piece, as many as there have to be.

        Raises:
            ImageDamaged: There are fewer or more, or they are not what the header says.
            ImageUnsupported: They are compressed or text, and in several files.
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
        """Return the bytes of one file's voxels, in the order that they are stored in."""
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
            file.seek(offset, os.SEEK_CUR)  # in front of the stream, and not in it
            offset = 0
        begin, there = file.tell(), os.fstat(file.fileno()).st_size
        if stored.deflated and stored.deflated != there - begin:
            raise ImageDamaged(
                f"{path}: {there - begin} bytes of compressed voxels, where its header says "
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
        """Refuse voxels that begin within a header which is not that of this image."""
        before = head[max(0, offset - 12) : offset]
        known = voxel_files.refuse_other_header(path, head[: voxel_files.START], offset, before)
        if (
            self.stored.skip < 0
            and not known
            and (offset > len(head) or _TEXT.search(head[:offset]))
        ):
            # Who has lost bytes at the end would take what is in front for voxels.
            raise ImageDamaged(
                f"{path}: {offset} bytes of something else precede the voxels, and its header does "
                "not say how many there have to be: say so there, in bytes"
            )

    def _refuse_more(self, path: Path, more: int, rest: bytes) -> None:
        """Refuse what follows the voxels, but for less than a row behind the header's own ones."""
        stored = self.stored
        if not more or (stored.following and stored.following.match(rest)):
            return
        is_padded = not (stored.names or stored.following) and (
            stored.encoding == "raw" or stored.ending == ".gipl"
        )
        if not is_padded or more >= min(_PADDING, self.row_size):
            raise ImageDamaged(f"{path}: {more} bytes more than voxels that its header tells of")


def in_whole(pieces: Iterator[bytes], width: int) -> Iterator[bytes]:
    """Return the same bytes in pieces whose lengths are multiples of a width."""
    rest = b""
    for piece in pieces:
        piece = rest + piece
        end = len(piece) - len(piece) % width
        rest = piece[end:]
        if end:
            yield piece[:end]


def header_lines(file: BinaryIO, path: Path) -> Iterator[str]:
    """Return the lines of a header, without their ends; the file stands behind the last one.

    Raises:
        ImageUnsupported: It is longer than headers are.
        ImageError: The file cannot be read.
    """
    left = voxel_files.MAX_HEADER
    try:
        while line := file.readline(left + 1):
            left -= len(line)
            if left < 0:
                raise ImageUnsupported(
                    f"{path}: its header is longer than {voxel_files.MAX_HEADER >> 20} MiB: remove "
                    "what says nothing of the image, or convert it to NIfTI"
                )
            yield os.fsdecode(line.rstrip(b"\r\n"))
    except OSError as error:
        raise ImageError(f"{path}: {error.strerror or error}") from None


def pattern_names(header: Path, words: Sequence[str]) -> tuple[str, ...]:
    """Return the names that a pattern, a first and a last number and a step stand for.

    A pattern with other conversions than one of a number is returned as it is: no file of that name
    is ever opened.

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
            f"{header}: {voxel_files.told(' '.join(words))} is not a pattern, a first and a last "
            "number, and a step"
        )
    return tuple(words[0] % number for number in numbers)


def _skip_lines(file: BinaryIO, lines: int, path: Path) -> None:
    left = _MOST_SKIPPED
    for _ in range(lines):
        line = file.readline(left)
        left -= len(line)
        if not line.endswith(b"\n"):
            raise ImageDamaged(f"{path}: it has not the {lines} lines in front of its voxels")


def _cut_short(path: Path, missing: int, size: int) -> ImageDamaged:
    return ImageDamaged(f"{path}: cut short, {missing} of {size} bytes of voxels missing")

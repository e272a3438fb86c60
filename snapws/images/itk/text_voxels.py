"""Voxels written as text: every word must be a number of the image's type."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from snapws.errors import ImageDamaged
from snapws.text import excerpt

_PIECE = 1 << 18
_LONGEST_WORD = 1024
_INTEGER = re.compile(rb"[-+]?[0-9]{1,40}")
_REAL = re.compile(rb"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,9})?")
_SPECIAL = re.compile(rb"[-+]?(?:nan|inf|infinity)", re.IGNORECASE)


class Form(NamedTuple):
    """The form of numbers written as text.

    Attributes:
        dtype: The type of the numbers.
        special: Whether NaN and infinity are valid.
        following: A pattern for text behind the last number; None if nothing may follow.
    """

    dtype: np.dtype[Any]
    special: bool
    following: re.Pattern[bytes] | None


def read(file: BinaryIO, path: Path, form: Form, count: int) -> Iterator[bytes]:
    """Convert numbers written as text to bytes of their type.

    Raises:
        ImageDamaged: A word is not a number of that type, or the count of numbers is wrong; or no
            white space follows the last number, which may be truncated.
    """
    scalar = _scalar(form.dtype)
    missing = count * (form.dtype.itemsize // scalar.itemsize)
    rest = b""
    while piece := file.read(_PIECE):
        text = rest + piece
        end = max(text.rfind(sign) for sign in (b" ", b"\n", b"\t", b"\r")) + 1
        text, rest = text[:end], text[end:]
        if len(rest) > _LONGEST_WORD:
            raise ImageDamaged(f"{path}: its voxels are not text, but its header says so")
        words = text.split(None, missing)
        if len(words) > missing:
            following = words.pop() + rest + file.read(_PIECE)
            if not (form.following and form.following.match(b"\n" + following)):
                raise ImageDamaged(f"{path}: more numbers than voxels in its header")
            file.seek(0, 2)
            rest = b""
        missing -= len(words)
        if words:
            yield _numbers(words, path, scalar, special=form.special).tobytes()
    if rest and missing <= 1:
        raise ImageDamaged(
            f"{path}: cut short, or no line end at the end: add one if the last number is complete"
        )
    if missing:
        raise ImageDamaged(f"{path}: cut short, {missing} of {count} voxels missing")


def _scalar(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return np.dtype(f"<f{dtype.itemsize // 2}") if dtype.kind == "c" else dtype


def _numbers(
    words: list[bytes], path: Path, dtype: np.dtype[Any], *, special: bool
) -> np.ndarray[Any, Any]:
    pattern = _REAL if dtype.kind == "f" else _INTEGER
    for word in words:
        if not pattern.fullmatch(word) and not (
            special and dtype.kind == "f" and _SPECIAL.fullmatch(word)
        ):
            raise _no_number(word, path, dtype)
    if dtype.kind != "f":
        whole = list(map(int, words))
        limits = np.iinfo(dtype)
        for number in (min(whole), max(whole)):
            if not limits.min <= number <= limits.max:
                raise _no_number(b"%d" % number, path, dtype)
        return np.array(whole, dtype)
    with np.errstate(over="ignore"):
        reals = np.array(list(map(float, words))).astype(dtype)
    for place in np.flatnonzero(~np.isfinite(reals)):
        if not _SPECIAL.fullmatch(words[int(place)]):
            raise _no_number(words[int(place)], path, dtype)
    return reals


def _no_number(word: bytes, path: Path, dtype: np.dtype[Any]) -> ImageDamaged:
    told = excerpt(word.decode("latin-1"))
    return ImageDamaged(f"{path}: {told!r} among its voxels is not a number of type {dtype.name}")

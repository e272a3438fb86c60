"""Looks for markers in everything a folder holds; knows the markers and nothing of what wrote it.

Searched are the names of files and folders, the targets of symbolic links, extended attributes,
file times and the bytes of every file: as they are, inflated (every gzip member and zlib stream,
wherever it begins), with words turned end for end, decoded from base64, hexadecimal and decimal
codes; each read as Latin-1, UTF-8, UTF-16 and UTF-32 of both byte orders, with XML references,
percent and backslash escapes undone, without regard to case.
"""

from __future__ import annotations

import base64
import binascii
import html
import os
import re
import struct
import unicodedata
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

# Encodings lie within encodings: gzip in base64 in XML. Deeper than this nothing is looked for.
_DEPTH = 3
_WINDOW = 31  # window bits of gzip; 15 of zlib

# The encodings, how many bytes a letter of a marker takes, and what shows that there is a text.
_SOME = re.compile(b".", re.DOTALL)
_ENCODINGS = {
    "latin-1": (1, _SOME),
    "utf-8": (1, re.compile(rb"[\x80-\xff]")),
    "utf-16-le": (2, re.compile(rb"(?:[^\0]\0){4}")),
    "utf-16-be": (2, re.compile(rb"(?:\0[^\0]){4}")),
    "utf-32-le": (4, re.compile(rb"(?:[^\0]\0\0\0){4}")),
    "utf-32-be": (4, re.compile(rb"(?:\0\0\0[^\0]){4}")),
}

_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{8,}")
_HEX = re.compile(rb"(?:[0-9A-Fa-f][\s:,-]?){10,}")
_CODES = re.compile(rb"(?:[0-9]{1,3}[\s,;]+){5,}")
_PERCENT = re.compile(r"(?:%[0-9a-f]{2})+", re.IGNORECASE)
_BACKSLASH = re.compile(r"\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|([0-7]{3}))", re.IGNORECASE)


class Finding(NamedTuple):
    """A marker that is there.

    Attributes:
        marker: the marker; of a time the seconds since 1970, in decimal.
        file: where it is, relative to the folder scanned.
        how: what had to be done to see it.
    """

    marker: str
    file: str
    how: str


class Scanner:
    """Finds markers.

    Args:
        texts: the markers, of letters that Latin-1 has.
        instants: times that a file must not bear, in seconds since 1970.
    """

    def __init__(self, texts: Iterable[str], instants: Iterable[int] = ()) -> None:
        self._instants = set(instants)
        # By their first letters, so that most texts are dismissed by a few looks.
        self._texts: dict[str, dict[str, str]] = {}
        for text in {*texts, *map(str, self._instants)}:
            text.encode("latin-1")
            self._texts.setdefault(_folded(text)[:2], {})[_folded(text)] = text

    def folder(self, folder: Path) -> list[Finding]:
        """Return what is found in a folder, whose own name does not count."""
        found: list[Finding] = []
        # Reading a file changes the time it was last read: all times come first.
        for path in [folder, *_below(folder)]:
            found += self._times(path, _name(path, folder))
        for path in _below(folder):
            name = _name(path, folder)
            found += [Finding(marker, name, "name") for marker in self._in_text(path.name)]
            if path.is_symlink():
                target = os.readlink(path)  # noqa: PTH115 - as it is stored
                found += [Finding(marker, name, "link target") for marker in self._in_text(target)]
                continue
            found += self._attributes(path, name)
            if path.is_file():
                found += self.data(path.read_bytes(), name)
        return found

    def data(self, data: bytes, name: str = "") -> list[Finding]:
        """Return what is found in bytes, each marker the first way that shows it."""
        found: dict[str, Finding] = {}
        seen = set()
        waiting = [("bytes", data, 0, False)]
        while waiting:
            how, blob, depth, coded = waiting.pop(0)
            if not blob or blob in seen:
                continue
            seen.add(blob)
            for form, text in _texts(blob):
                for marker in self._in_text(text):
                    found.setdefault(marker, Finding(marker, name, f"{how}, {form}"))
            for width, swapped in () if coded else _swapped(blob):
                for marker in self._among([swapped.decode("latin-1").casefold()]):
                    way = f"{how}, words of {width} turned"
                    found.setdefault(marker, Finding(marker, name, way))
            for instant in _gzip_times(blob) & self._instants:
                found.setdefault(str(instant), Finding(str(instant), name, f"{how}, gzip time"))
            if depth == _DEPTH:
                continue
            for step, more in _streams(blob):
                waiting.append((f"{how} > {step}", more, depth + 1, False))
            if not coded:  # codes within codes nobody writes
                for step, more in _decoded(blob):
                    waiting.append((f"{how} > {step}", more, depth + 1, True))
        return list(found.values())

    def _in_text(self, text: str) -> list[str]:
        return self._among(_unescaped(text))

    def _among(self, candidates: Iterable[str]) -> list[str]:
        found = set()
        for candidate in candidates:
            for start, texts in self._texts.items():
                if start in candidate:
                    found |= {marker for folded, marker in texts.items() if folded in candidate}
        return sorted(found)

    def _times(self, path: Path, name: str) -> list[Finding]:
        status = path.lstat()
        times = {"time of change": status.st_mtime, "time of access": status.st_atime}
        times["time of birth"] = getattr(status, "st_birthtime", 0.0)
        return [
            Finding(str(instant), name, how)
            for instant in self._instants
            for how, seconds in times.items()
            if abs(seconds - instant) < 3  # some file systems count in steps of two seconds
        ]

    def _attributes(self, path: Path, name: str) -> list[Finding]:
        if not hasattr(os, "listxattr"):
            return []
        found = []
        for key in os.listxattr(path):
            found += [Finding(marker, name, "attribute name") for marker in self._in_text(key)]
            for marker, _, how in self.data(os.getxattr(path, key), name):
                found.append(Finding(marker, name, f"attribute {how}"))
        return found


def _below(folder: Path) -> list[Path]:
    return sorted(
        Path(at) / name for at, folders, files in os.walk(folder) for name in (*folders, *files)
    )


def _name(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _texts(blob: bytes) -> Iterator[tuple[str, str]]:
    """Return what bytes say, in each encoding that they may be in, from every byte on."""
    for encoding, (width, sign) in _ENCODINGS.items():
        if sign.search(blob):
            for start in range(width):
                yield encoding, blob[start:].decode(encoding, "ignore")


def _unescaped(text: str) -> set[str]:
    """Return a text as it is and with the escapes of XML, URLs and programs undone, twice over."""
    found = {text}
    for _ in range(2):
        for one in list(found):
            found |= {undo(one) for sign, undo in _UNDO if sign in one}
    return {_folded(one) for one in found}


def _bytes_of(run: re.Match[str]) -> bytes:
    return bytes.fromhex(run[0].replace("%", ""))


def _without_backslashes(text: str) -> str:
    def character(match: re.Match[str]) -> str:
        return chr(int(match[3], 8) if match[3] else int(match[1] or match[2], 16))

    return _BACKSLASH.sub(character, text)


_UNDO: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("&", html.unescape),
    ("\\", _without_backslashes),
    ("%", lambda text: _PERCENT.sub(lambda run: _bytes_of(run).decode("utf-8", "replace"), text)),
    ("%", lambda text: _PERCENT.sub(lambda run: _bytes_of(run).decode("latin-1"), text)),
)


def _swapped(blob: bytes) -> Iterator[tuple[int, bytes]]:
    """Return bytes with each word of 2, 4, 8 of them turned end for end, from every start."""
    for width in (2, 4, 8):
        for start in range(width):
            end = len(blob) - (len(blob) - start) % width
            words = blob[start:end]
            turned = bytearray(len(words))
            for place in range(width):
                turned[place::width] = words[width - 1 - place :: width]
            yield width, bytes(turned)


def _gzip_times(blob: bytes) -> set[int]:
    starts = [match.start() for match in re.finditer(rb"\x1f\x8b\x08", blob)]
    return {
        struct.unpack_from("<I", blob, start + 4)[0] for start in starts if start + 8 < len(blob)
    }


def _streams(blob: bytes) -> Iterator[tuple[str, bytes]]:
    for match in re.finditer(rb"\x1f\x8b\x08", blob):
        yield "gzip", _inflated(blob[match.start() :], _WINDOW)
    for match in re.finditer(rb"\x78[\x01\x5e\x9c\xda]", blob):
        yield "zlib", _inflated(blob[match.start() :], 15)


def _decoded(blob: bytes) -> Iterator[tuple[str, bytes]]:
    compact = re.sub(rb"\s", b"", blob)
    for start in range(4):
        # A run may begin within a word, and lines may be broken anywhere.
        for runs in {blob, compact}:
            yield "base64", b"\n".join(_base64(run[start:]) for run in _BASE64.findall(runs))
    for start in range(2):
        digits = (re.sub(rb"[\s:,-]", b"", run)[start:] for run in _HEX.findall(blob))
        yield "hexadecimal", b"\n".join(binascii.unhexlify(run[: len(run) & ~1]) for run in digits)
    codes = (re.findall(rb"[0-9]+", run) for run in _CODES.findall(blob))
    yield "decimal codes", b"\n".join(bytes(int(code) & 255 for code in run) for run in codes)


def _base64(run: bytes) -> bytes:
    run = run.translate(bytes.maketrans(b"-_", b"+/"))
    end = len(run) - (len(run) % 4 == 1)
    return base64.b64decode(run[:end] + b"=" * (-end % 4))


def _inflated(data: bytes, window: int) -> bytes:
    """Inflate what can be inflated of a stream, damaged or cut short as it may be."""
    stream, found = zlib.decompressobj(window), b""
    try:
        for start in range(0, len(data), 64):
            found += stream.decompress(data[start : start + 64])
    except zlib.error:
        return found
    return found

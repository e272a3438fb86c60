"""Placeholders and other reasons why a file is missing or not the expected one.

Git LFS and git-annex leave a small pointer in the place of a large file; a failed download leaves
an HTML page. A missing file may have a broken symbolic link, or a name that differs by case.
"""

from __future__ import annotations

import os
import stat
from functools import lru_cache
from pathlib import Path

from snapws.text import printable

_LFS = (b"version https://git-lfs.github.com/spec/", b"version https://hawser.github.com/spec/")
_ANNEX = "annex/objects/"
_ANNEX_OUT = "run git annex get (or datalad get) on it"
_UNFINISHED = "a copy or download was not finished, so copy or download it again"
POINTER = 32 << 10
"""The greatest size of a git-annex pointer, in bytes."""
_PAGES = (b"<!doctype html", b"<html", b"<head", b"<body", b"<title")
NOT_THERE = "is not there"
_LINKS = 40
_MOST_NAMES = 100_000


def of_content(start: bytes) -> str:
    """Return which placeholder a file is, and the remedy; empty if no placeholder is recognised.

    Args:
        start: The first bytes of the file: 4096 or more, or all of them.
    """
    if start.startswith(_LFS):
        return "a Git LFS pointer, not the file itself: run git lfs pull"
    if _is_annexed(start):
        return f"a git-annex pointer, not the file itself: {_ANNEX_OUT}"
    text = start[:4096].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    while text.startswith((b"<?", b"<!--")):  # an XML declaration, comments of the page
        end = b"-->" if text.startswith(b"<!--") else b"?>"
        _, found, rest = text.partition(end)
        if not found:
            return ""
        text = rest.lstrip()
    if text.startswith(_PAGES):
        return "an HTML page, not the file itself: the download failed, so download it again"
    if text.startswith(b"<error>"):
        return "an error message of a server, not the file itself: download it again"
    return ""


def of_image(start: bytes) -> str:
    """Return which placeholder an image file is, as `of_content`, or that the file is empty."""
    if not start.strip(b"\0"):
        return f"{'only zeros' if start else 'an empty file'}: {_UNFINISHED}"
    return of_content(start)


def _is_annexed(start: bytes) -> bool:
    """Return whether a file is a pointer of git-annex, or a git-annex link stored as text."""
    line = start[:POINTER].split(b"\n", 1)[0].strip().replace(b"\\", b"/")
    before, found, key = line.partition(_ANNEX.encode())
    if not found or not key or not line.isascii():
        return False
    return before == b"/" or (before.endswith(b".git/") and set(before[:-5]) <= set(b"./"))


def of_missing(path: Path) -> str:
    """Return why a file is missing, in words that follow "its file …"."""
    gone = _first_missing(path)
    if (target := _dangling(gone)) is not None:
        link = "is a link" if gone == path else f"is behind {printable(str(gone))}, a link"
        reason = f"{link} to {printable(str(target))}, which is not there"
        return f"{reason}: {_ANNEX_OUT}" if _ANNEX in target.replace("\\", "/") else reason
    if (near := _near(path, gone)) is not None:
        folded = near.as_posix().casefold() == path.as_posix().casefold()
        how = "in upper and lower case" if folded else "in how its letters are encoded in Unicode"
        return f"is not there, but {printable(str(near))} is, whose name differs {how} alone"
    return NOT_THERE


def _first_missing(path: Path) -> Path:
    """Return the first part of a path, from the root on, that does not exist."""
    missing = path
    for parent in path.parents:
        if os.path.exists(parent):  # noqa: PTH110 - False, not an error, without permission
            break
        missing = parent
    return missing


def _dangling(path: Path) -> str | None:
    """Return the target of the last link in a chain of links; None if the path is not a link."""
    target = None
    for _ in range(_LINKS):
        try:
            if not stat.S_ISLNK(path.lstat().st_mode):
                break
            target = os.readlink(path)  # noqa: PTH115 - the text as stored in the link
        except (OSError, ValueError):
            break
        path = path.parent / target
    return target


def _near(path: Path, gone: Path) -> Path | None:
    """Return a file that differs from a path only by case or Unicode normalization, if any."""
    parts = path.parts[len(gone.parts) - 1 :]
    found = gone.parent
    for part in parts:
        exact = found / part
        if os.path.lexists(exact):
            found = exact
            continue
        try:
            changed = found.stat().st_mtime_ns
        except OSError:
            return None
        name = _names(str(found), changed).get(_folded(part))
        if name is None:
            return None
        found /= name
    return found if found.is_file() else None


@lru_cache(maxsize=8)
def _names(folder: str, _changed: int) -> dict[str, str]:
    """Return the names in a folder by their folded form. A changed folder is read again."""
    names: dict[str, str] = {}
    try:
        with os.scandir(folder) as entries:
            for number, entry in enumerate(entries):
                if number >= _MOST_NAMES:
                    break
                names.setdefault(_folded(entry.name), entry.name)
    except OSError:
        pass  # a folder that cannot be listed has no names to suggest
    return names


def _folded(name: str) -> str:
    from unicodedata import normalize  # lazy for a fast start: only errors need it

    return normalize("NFC", normalize("NFC", name).casefold())

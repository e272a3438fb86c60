"""Lines ``ID NAME R G B A`` of FreeSurfer and 3D Slicer, which disagree about A.

3D Slicer computes with colours from 0 to 1 and writes 255 times that: 127.5, for example.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from snapws.label_tables.entries import (
    Collector,
    Color,
    comments,
    data_lines,
    is_number,
    is_whole,
)


class Row(NamedTuple):
    """One line: its place in the file, index, name and colour of the label, and the last number."""

    place: str
    label: int
    name: str
    color: Color
    last: int


def fits(text: str) -> bool:
    """Return whether all lines can be of this format, judged by their words."""
    found = False
    is_part = is_number if _is_of_slicer(text) else is_whole
    for _, line in data_lines(text):
        words = line.split()
        if len(words) < 6 or not is_whole(words[0]) or '"' in line:
            return False
        if not all(map(is_part, words[-4:])):
            return False
        found = True
    return found


def rows(text: str, into: Collector) -> list[Row]:
    """Read the lines.

    Raises:
        TextFileError: A line is invalid.
    """
    found = []
    is_of_slicer = _is_of_slicer(text)
    for number, line in data_lines(text):
        place, words = f"line {number}", line.split()
        if len(words) < 6:
            raise into.error(place, "not of the form ID NAME R G B A")
        if is_of_slicer:
            words[-4:] = map(_rounded, words[-4:])
        found.append(
            Row(
                place,
                into.index(place, words[0]),
                " ".join(words[1:-4]),
                into.color(place, words[-4:-1]),
                into.whole(place, words[-1], "the last number", 0, 255),
            )
        )
    return found


def opaque(text: str) -> int | None:
    """Return the A of an opaque label: 0 in FreeSurfer, 255 in 3D Slicer; None if unknown.

    The comments at the top decide; without them, the A of all labels but the background.
    """
    top = " ".join(comments(text)).lower()
    if _is_of_slicer(text):
        return 255
    if "freesurfer" in top or "label name" in top:
        return 0
    said = {line.split()[-1] for _, line in data_lines(text) if line.split()[0] != "0"}
    return int(said.pop()) if said in ({"0"}, {"255"}) else None


def _is_of_slicer(text: str) -> bool:
    """Return whether the comments at the top say that 3D Slicer wrote a table."""
    return any("color table file" in line.lower() for line in comments(text))


def _rounded(word: str) -> str:
    """Return a number as a whole one; any other word as it is."""
    if is_whole(word) or not is_number(word):
        return word
    return str(math.floor(float(word) + 0.5))

"""The lookup tables of FSLeyes (``.lut``): lines ``VALUE R G B NAME``, with colours from 0 to 1.

The README in the folder of FSLeyes' tables has the format. The name may be missing.
"""

from __future__ import annotations

from snapws.label_tables.entries import Collector, Entry, data_lines, is_number, is_whole, lost


def fits(text: str) -> bool:
    """Return whether all lines can be of this format, judged by their words."""
    found = False
    for _, line in data_lines(text):
        words = line.split(None, 4)
        is_one = len(words) >= 4 and is_whole(words[0]) and all(map(is_number, words[1:4]))
        if not is_one or any(not 0 <= float(word) <= 1 for word in words[1:4]) or '"' in line:
            return False
        found = True
    return found


def parse(text: str, into: Collector) -> None:
    """Read a table.

    Raises:
        TextFileError: A line is invalid.
    """
    for number, line in data_lines(text):
        place, words = f"line {number}", line.split(None, 4)
        if len(words) < 4:
            raise into.error(place, "not of the form VALUE R G B NAME")
        color = into.unit_color(place, words[1:4])
        name = words[4] if len(words) > 4 else ""
        into.add(place, Entry(into.index(place, words[0]), name, color))


def write(entries: tuple[Entry, ...]) -> tuple[str, list[str]]:
    """Return a table as text, and remarks about lost properties."""
    lines = []
    for entry in entries:
        red, green, blue = (f"{part / 255:.5f}" for part in entry.color or (0, 0, 0))
        lines.append(f"{entry.index} {red} {green} {blue} {entry.name}\n")
    return "".join(lines), lost(entries, alpha=False, colors=True, title="a table of FSLeyes")

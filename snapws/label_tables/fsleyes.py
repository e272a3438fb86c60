"""The lookup tables of FSLeyes (``.lut``): ``VALUE R G B NAME`` a line, colours from 0 to 1.

The README among the tables of FSLeyes has the form; the name may be missing.
"""

from __future__ import annotations

from snapws.label_tables.entries import Collector, Entry, data_lines, is_number, is_whole, lost


def fits(text: str) -> bool:
    """Return whether all lines have that form, as far as words tell."""
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
        TextFileError: A line is of another form.
    """
    for number, line in data_lines(text):
        place, words = f"line {number}", line.split(None, 4)
        if len(words) < 4:
            raise into.error(place, "not of the form VALUE R G B NAME")
        color = into.unit_color(place, words[1:4])
        name = words[4] if len(words) > 4 else ""
        into.add(place, Entry(into.index(place, words[0]), name, color))


def write(entries: tuple[Entry, ...]) -> tuple[str, list[str]]:
    """Return a table as text, and what it does not hold."""
    lines = []
    for entry in entries:
        red, green, blue = (f"{part / 255:.5f}" for part in entry.color or (0, 0, 0))
        lines.append(f"{entry.index} {red} {green} {blue} {entry.name}\n")
    return "".join(lines), lost(entries, alpha=False, colors=True, what="a table of FSLeyes")

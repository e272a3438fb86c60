"""The colour tables of 3D Slicer: ``.ctbl`` and ``.txt``, and since version 5.8 ``.csv``.

The formats are documented in its developer guide, "Colors". The last number is an opacity: 255 is
opaque. In a ``.ctbl``, blanks in a name are written as underscores.
"""

from __future__ import annotations

import csv
import io
import re

from snapws.label_tables import rgba_lines
from snapws.label_tables.columns import Columns
from snapws.label_tables.entries import Collector, Entry, comments, lost, named

_COLORS = ("Color_R", "Color_G", "Color_B")


def is_continuous(text: str) -> bool:
    """Return whether a text is a continuous colour map, which has points and no labels."""
    return any("color procedural file" in line.lower() for line in comments(text))


def fits(text: str) -> bool:
    """Return whether a text is a ``.ctbl`` of 3D Slicer, not of FreeSurfer."""
    return rgba_lines.fits(text) and rgba_lines.opaque(text) in (255, None)


def parse(text: str, into: Collector) -> None:
    """Read a ``.ctbl``.

    Raises:
        TextFileError: A line is invalid.
    """
    for row in rgba_lines.rows(text, into):
        into.add(row.place, Entry(row.label, row.name.replace("_", " "), row.color, row.last))


def write(entries: tuple[Entry, ...]) -> tuple[str, list[str]]:
    """Return a ``.ctbl`` as text, and remarks about lost properties."""
    lines = ["# Color table file\n", f"# {len(entries) + 1} values\n", "0 Background 0 0 0 0\n"]
    for entry in entries:
        red, green, blue = entry.color or (0, 0, 0)
        name = re.sub(r"\s", "_", entry.name.strip())
        lines.append(f"{entry.index} {name} {red} {green} {blue} {entry.alpha}\n")
    notes = lost(entries, alpha=True, colors=True, title="a colour table of 3D Slicer")
    if changed := [entry for entry in entries if "_" in entry.name]:
        notes.append(f"it reads underscores in names as blanks: {named(changed)}")
    return "".join(lines), notes


def fits_csv(text: str) -> bool:
    """Return whether a text is a table of comma-separated columns."""
    return Columns.begin(text, ",", ("LabelValue",))


def parse_csv(text: str, into: Collector) -> None:
    """Read a table of comma-separated columns.

    Raises:
        TextFileError: A column is missing, or a line is invalid.
    """
    for row in Columns(text, ",", ("LabelValue",), into):
        words = [row.get(name) for name in _COLORS]
        alpha = row.get("Color_A")
        entry = Entry(
            into.index(row.place, row.get("LabelValue")),
            row.get("Name"),
            into.color(row.place, words) if any(words) else None,
            into.whole(row.place, alpha, "the opacity", 0, 255) if alpha else 255,
        )
        into.add(row.place, entry)


def write_csv(entries: tuple[Entry, ...]) -> tuple[str, list[str]]:
    """Return a table of comma-separated columns as text, and remarks about lost properties."""
    file, changed = io.StringIO(), []
    table = csv.writer(file, lineterminator="\n")
    table.writerow(("LabelValue", "Name", *_COLORS, "Color_A"))
    for entry in entries:
        if '"' in entry.name:
            changed.append(entry)
        name = entry.name.replace('"', "'")
        table.writerow((entry.index, name, *(entry.color or (0, 0, 0)), entry.alpha))
    notes = lost(entries, alpha=True, colors=True, title="a colour table of 3D Slicer")
    if changed:
        notes.append(f"names in it have no quotation marks, and get apostrophes: {named(changed)}")
    return file.getvalue(), notes

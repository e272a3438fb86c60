"""The colour table of FreeSurfer and FreeView (``FreeSurferColorLUT.txt``).

The last number of a line is a transparency: 0 is opaque.
"""

from __future__ import annotations

import re

from snapws.label_tables import rgba_lines
from snapws.label_tables.entries import Collector, Entry, lost, named


def fits(text: str) -> bool:
    """Return whether a text is a table of FreeSurfer, not of 3D Slicer."""
    return rgba_lines.fits(text) and rgba_lines.opaque(text) in (0, None)


def parse(text: str, into: Collector) -> None:
    """Read a table.

    Raises:
        TextFileError: A line is invalid.
    """
    rows = rgba_lines.rows(text, into)
    for row in rows:
        into.add(row.place, Entry(row.label, row.name, row.color, 255 - row.last))
    labels = [row for row in rows if row.label]
    if labels and all(row.last == 255 for row in labels):
        into.notes.append(
            "A is 255 in every line, and so all labels are transparent: FreeSurfer's opaque is 0; "
            "if the file means the opposite, read it with --format slicer"
        )


def write(entries: tuple[Entry, ...]) -> tuple[str, list[str]]:
    """Return a table as text, and remarks about lost properties."""
    lines = [f"{'#No.':<12}{'Label Name:':<52}R   G   B   A\n\n", _line(0, "Unknown", (0, 0, 0), 0)]
    changed = []
    for entry in entries:
        name = re.sub(r"\s+", "-", entry.name.strip())
        if name != entry.name:
            changed.append(entry)
        lines.append(_line(entry.index, name, entry.color or (0, 0, 0), 255 - entry.alpha))
    notes = lost(entries, alpha=True, colors=True, title="a colour table of FreeSurfer")
    if changed:
        notes.append(f"names in it have no blanks, and get hyphens: {named(changed)}")
    return "".join(lines), notes


def _line(index: int, name: str, color: tuple[int, int, int], last: int) -> str:
    red, green, blue = color
    return f"{index:<12d}{name:<52} {red:<3d} {green:<3d} {blue:<3d} {last}\n"

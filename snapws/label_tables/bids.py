"""The table of a segmentation in BIDS, ``…_dseg.tsv`` (BIDS, "Common image-derived labels").

``index`` and ``name`` are required; ``abbreviation``, ``color`` (``#RRGGBB``) and ``mapping`` are
optional.
"""

from __future__ import annotations

import csv
import io

from snapws.label_tables.columns import Columns
from snapws.label_tables.entries import Collector, Entry, lost

_NEEDED = ("index", "name")


def fits(text: str) -> bool:
    """Return whether a text is such a table."""
    return Columns.begin(text, "\t", _NEEDED)


def parse(text: str, into: Collector) -> None:
    """Read a table.

    Raises:
        TextFileError: A column is missing, or a line is invalid.
    """
    dropped: dict[str, None] = {}
    for row in Columns(text, "\t", _NEEDED, into):
        color = row.get("color")
        entry = Entry(
            into.index(row.place, row.get("index")),
            row.get("name"),
            into.hex_color(row.place, color) if color else None,
        )
        into.add(row.place, entry)
        held = (*_NEEDED, "color")
        dropped.update((name, None) for name in row.values if name not in held and row.get(name))
    if dropped:
        into.notes.append(f"a workspace does not hold the columns {', '.join(dropped)[:200]}")


def write(entries: tuple[Entry, ...]) -> tuple[str, list[str]]:
    """Return a table as text, and remarks about lost properties."""
    file = io.StringIO()
    table = csv.writer(file, delimiter="\t", lineterminator="\n")
    table.writerow((*_NEEDED, "color"))
    for entry in entries:
        red, green, blue = entry.color or (0, 0, 0)
        table.writerow((entry.index, entry.name, f"#{red:02X}{green:02X}{blue:02X}"))
    return file.getvalue(), lost(entries, alpha=False, colors=True, title="dseg.tsv")

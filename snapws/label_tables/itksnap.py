"""ITK-SNAP's label files, also those of atlases with indices of more than 16 bits."""

from __future__ import annotations

import re
from dataclasses import replace

from snapws import labels
from snapws.label_tables.entries import (
    MAX_ID,
    Collector,
    Entry,
    data_lines,
    entry_of,
    is_number,
    is_whole,
    named,
)

_INDEX = re.compile(r"[ \t]*([0-9]{5,19})(?=[ \t])")


def fits(text: str) -> bool:
    """Return whether all lines can be of this format, judged by their words."""
    found = False
    for _, line in data_lines(text):
        words = line.split(None, 7)
        if len(words) < 8 or not all(map(is_number, words[:7])) or words[7][0] != '"':
            return False
        found = True
    return found


def parse(text: str, into: Collector) -> None:
    """Read a label file.

    Raises:
        TextFileError: A line is invalid.
    """
    shortened, beyond = _shortened(text, into)
    for label in labels.parse(shortened.encode(), into.source):
        entry = entry_of(label)
        into.add(f"label {entry.index}", replace(entry, index=beyond.get(label.index, label.index)))


def write(entries: tuple[Entry, ...]) -> tuple[str, list[str]]:
    """Return a label file as text, and remarks about lost properties.

    Raises:
        InvalidValue: An index is above 65535.
    """
    notes = []
    if cut := [entry for entry in entries if '"' in entry.name]:
        notes.append(f"ITK-SNAP ends names at a quotation mark: {named(cut)}")
    return labels.format_file([entry.label() for entry in entries]), notes


def _shortened(text: str, into: Collector) -> tuple[str, dict[int, int]]:
    """Return the text with substitutes for indices above 65535, and the index of each substitute.

    The reader of label files refuses greater indices. Lines keep their numbers.
    """
    used = {line.split(None, 1)[0] for _, line in data_lines(text)}
    free = (index for index in range(labels.MAX_INDEX, 0, -1) if str(index) not in used)
    lines, beyond = re.split(r"(\r\n|\r|\n)", text), dict[int, int]()
    for number, line in enumerate(lines):
        found = _INDEX.match(line)
        if found is None or not labels.MAX_INDEX < int(found[1]) <= MAX_ID:
            continue
        index = next(free, None)
        if index is None:
            raise into.error(f"line {number // 2 + 1}", f"more than {labels.MAX_INDEX} labels")
        beyond[index] = int(found[1])
        lines[number] = f"{index}{line[found.end() :]}"
    return "".join(lines), beyond


def has_beyond(text: str) -> bool:
    """Return whether a text has an index above 65535."""
    words = (line.split(None, 1)[0] for _, line in data_lines(text))
    return any(is_whole(word) and labels.MAX_INDEX < int(word) <= MAX_ID for word in words)

"""The entries of a label table of any program, and their collector."""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from snapws.errors import TextFileError
from snapws.label_tables.colors import color_of_new_label
from snapws.labels import MAX_INDEX, Label

#: The greatest index: atlases have indices of up to ten digits, and images at most 64 bits.
MAX_ID = 2**63 - 1
_MAX_NAME = 4096
_LINE_END = re.compile(r"\r\n|\r|\n")
_WHOLE = re.compile(r"[-+]?[0-9]{1,20}", re.ASCII)
_NUMBER = re.compile(r"[-+]?([0-9]{1,40}\.?[0-9]{0,40}|\.[0-9]{1,40})([eE][-+]?[0-9]{1,3})?")
_HEX = re.compile(r"#?([0-9A-Fa-f]{6})")

Color = tuple[int, int, int]


@dataclass(frozen=True)
class Entry:
    """One label as another program describes it.

    Attributes:
        index: The voxel value, 1 to 2^63 - 1; ITK-SNAP stores at most 65535.
        name: The name, of a structure for example.
        color: Red, green, blue, each 0 to 255; None if the format or the file has no colours.
        alpha: Opacity, 0 (transparent) to 255 (opaque), in all formats.
        visible: Whether slices show it.
        mesh_visible: Whether the 3-D view shows it.
    """

    index: int
    name: str
    color: Color | None = None
    alpha: int = 255
    visible: bool = True
    mesh_visible: bool = True

    def label(self) -> Label:
        """Return the entry as a label of ITK-SNAP.

        Raises:
            InvalidValue: The index is above 65535.
        """
        color = color_of_new_label(self.index) if self.color is None else self.color
        return Label(self.index, self.name, color, self.alpha, self.visible, self.mesh_visible)

    @property
    def fits(self) -> bool:
        """Whether ITK-SNAP can store the index."""
        return self.index <= MAX_INDEX


def entry_of(label: Label) -> Entry:
    """Return a label of ITK-SNAP as an entry."""
    return Entry(
        label.index, label.name, label.color, label.alpha, label.visible, label.mesh_visible
    )


class Collector:
    """The entries of one file, collected in any order.

    Attributes:
        source: The name of the file in messages, its path for example.
        notes: Remarks about changed or lost entries, one line each.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self.notes: list[str] = []
        self._entries: dict[int, Entry] = {}
        self._places: dict[int, str] = {}

    def add(self, place: str, entry: Entry) -> None:
        """Add an entry. The background, 0, is checked but not added.

        Raises:
            TextFileError: The index is out of range or already has another name, or the name is too
                long or has control characters.
        """
        if not 0 <= entry.index <= MAX_ID:
            raise self.error(place, f"label {entry.index}: labels go from 0 to {MAX_ID}")
        if len(entry.name) > _MAX_NAME:
            raise self.error(
                place, f"label {entry.index}: its name is longer than {_MAX_NAME:,} characters"
            )
        if any(unicodedata.category(sign) in ("Cc", "Cs") for sign in entry.name):
            raise self.error(place, f"label {entry.index}: its name has a control character")
        if not entry.name.strip():
            entry = Entry(
                entry.index,
                f"Label {entry.index}",
                entry.color,
                entry.alpha,
                entry.visible,
                entry.mesh_visible,
            )
        known = self._entries.get(entry.index)
        if known is not None and known != entry:
            raise self.error(
                place,
                f"label {entry.index} means {shown(entry.name)} here and {shown(known.name)} at "
                f"{self._places[entry.index]}: remove one of them",
            )
        self._entries.setdefault(entry.index, entry)
        self._places.setdefault(entry.index, place)

    def entries(self) -> tuple[Entry, ...]:
        """Return the collected entries, by index, without the background."""
        return tuple(entry for index, entry in sorted(self._entries.items()) if index)

    def error(self, place: str, reason: str) -> TextFileError:
        """Return an error that names the file, the place in the file, and the reason."""
        return TextFileError(f"{self.source}, {place}: {reason}")

    def whole(self, place: str, text: str, name: str, least: int, most: int) -> int:
        """Convert a text to a whole number.

        Raises:
            TextFileError: The text is not a whole number, or out of range.
        """
        text = text.strip()
        value = int(text) if _WHOLE.fullmatch(text) else None
        if value is None or not least <= value <= most:
            raise self.error(
                place, f"{name} is not a whole number from {least} to {most}: {shown(text)}"
            )
        return value

    def index(self, place: str, text: str) -> int:
        """Convert a text to the index of a label.

        Raises:
            TextFileError: The text is not a whole number, or out of range.
        """
        return self.whole(place, text, "the index of a label", 0, MAX_ID)

    def color(self, place: str, words: list[str]) -> Color:
        """Convert three whole numbers, each 0 to 255, to a colour.

        Raises:
            TextFileError: A number is invalid.
        """
        red, green, blue = (self.whole(place, word, "a colour", 0, 255) for word in words)
        return red, green, blue

    def part(self, place: str, text: str, name: str) -> int:
        """Convert a number from 0 to 1 to one from 0 to 255.

        Raises:
            TextFileError: The text is not a number from 0 to 1.
        """
        text = text.strip()
        value = float(text) if _NUMBER.fullmatch(text) else math.nan
        if not 0 <= value <= 1:
            raise self.error(place, f"{name} is not a number from 0 to 1: {shown(text)}")
        return round(255 * value)

    def unit_color(self, place: str, words: list[str]) -> Color:
        """Convert three numbers, each 0 to 1, to a colour.

        Raises:
            TextFileError: A number is invalid.
        """
        red, green, blue = (self.part(place, word, "a colour") for word in words)
        return red, green, blue

    def hex_color(self, place: str, text: str) -> Color:
        """Convert ``#RRGGBB`` to a colour.

        Raises:
            TextFileError: The text has another form.
        """
        found = _HEX.fullmatch(text.strip())
        if found is None:
            raise self.error(place, f"a colour is not of the form #RRGGBB: {shown(text)}")
        red, green, blue = bytes.fromhex(found[1])
        return red, green, blue


def shown(text: str) -> str:
    """Return a text of a file for a message: quoted, on one line, and shortened."""
    return json.dumps(text if len(text) <= 60 else f"{text[:60]}…", ensure_ascii=False)


def data_lines(text: str) -> Iterator[tuple[int, str]]:
    """Return the lines that are not empty and not comments, with their numbers from 1."""
    for number, line in enumerate(_LINE_END.split(text), 1):
        line = line.strip()
        if line and not line.startswith("#"):
            yield number, line


def comments(text: str) -> list[str]:
    """Return the comments at the start of a text."""
    found = []
    for line in _LINE_END.split(text[:65536]):
        line = line.strip()
        if line and not line.startswith("#"):
            break
        found.append(line)
    return found


def is_number(word: str) -> bool:
    """Return whether a word is a number in decimal digits."""
    return _NUMBER.fullmatch(word) is not None


def is_whole(word: str) -> bool:
    """Return whether a word is a whole number in decimal digits."""
    return _WHOLE.fullmatch(word) is not None


def named(entries: list[Entry]) -> str:
    """Return the first labels, and the number of the others, as text for a remark."""
    first = ", ".join(f"{entry.index} {shown(entry.name)}" for entry in entries[:3])
    return first if len(entries) <= 3 else f"{first} and {len(entries) - 3} more"


def lost(entries: tuple[Entry, ...], *, alpha: bool, colors: bool, title: str) -> list[str]:
    """Return the remarks about properties that a format cannot store.

    Args:
        entries: The labels that are written.
        alpha: Whether the format stores opacities.
        colors: Whether the format stores colours.
        title: The name of the format in messages.
    """
    notes = []
    faint = [entry for entry in entries if entry.alpha != 255]
    if faint and not alpha:
        notes.append(f"{title} holds no opacity, which is lost for {named(faint)}")
    hidden = [entry for entry in entries if not (entry.visible and entry.mesh_visible)]
    if hidden:
        notes.append(f"{title} does not hold which labels are hidden, as are {named(hidden)}")
    if entries and not colors:
        notes.append(f"{title} holds no colours, which are lost")
    return notes

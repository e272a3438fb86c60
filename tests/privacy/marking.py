"""Markers: an invented text for each place where a name can hide."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["hidden", "key", "typed", "tag", "other tag", "file name", "date"]

#: When the files were changed, read, gzipped and their folders changed: invented instants, as a
#: date of birth would be one. Seconds since 1970.
CHANGED, READ, ZIPPED, FOLDER_CHANGED = 34_567_891, 45_678_912, 56_789_123, 67_891_234


@dataclass(frozen=True)
class Place:
    """A place where a name can hide.

    Attributes:
        name: what it is called.
        kind: ``hidden``, ``key`` (of an entry or a folder: it is named in the report) and
            ``date`` have to go always; ``typed`` is one of the five kinds of text
            that a standard archive keeps; ``tag``, of a layer, stays always; ``other tag``, by
            which nothing is looked for, in a standard archive; ``file name`` with names kept.
    """

    name: str
    kind: Kind


@dataclass
class Marks:
    """Gives out markers, and remembers where each was put.

    Attributes:
        places: the places by their markers.
        absent: places that this machine does not have, and why.
        first: the number of the first marker.
    """

    places: dict[str, Place] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    first: int = 0

    def __call__(self, place: str, kind: Kind = "hidden", *, accented: bool = False) -> str:
        """Return a new marker of 7 letters, two of them outside ASCII if `accented`."""
        number = self.first + len(self.places)
        return self.put(f"Zä{number:03d}ÿK" if accented else f"Zq{number:03d}Vk", place, kind)

    def put(self, text: str, place: str, kind: Kind = "hidden") -> str:
        """Take a marker of the form that a place asks for, a date or a UID."""
        assert self.first or place not in {known.name for known in self.places.values()}, place
        assert text not in self.places, text
        self.places[text] = Place(place, kind)
        return text

    def of(self, *kinds: Kind) -> set[str]:
        """Return the markers of some kinds."""
        return {text for text, place in self.places.items() if place.kind in kinds}

    def name_of(self, marker: str) -> str:
        """Return the place that a marker was put in."""
        return self.places[marker].name if marker in self.places else f"the time {marker}"

    def shown(self, found: Iterable[str], *kinds: Kind) -> set[str]:
        """Return the places of some kinds whose markers are among those found."""
        return {self.places[text].name for text in self.of(*kinds) & set(found)}

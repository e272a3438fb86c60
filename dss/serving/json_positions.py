"""The lines of the values of a JSON document, and faults in its text that a JSON reader ignores.

Authors of services write ``service.json`` by hand: an error names the line to edit.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import NamedTuple

_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[][{}:,]|[^][{}:,"\s]+')


class Oddity(NamedTuple):
    """A fault in a JSON text that Python's reader ignores, and other readers refuse."""

    where: str
    line: int
    what: str
    remedy: str


@dataclass
class _Open:
    """An object or a list that is not closed yet.

    Attributes:
        parent: Path of the object or list.
        place: In an object, the key of the next value, or None before this key. In a list, the
            number of the next value.
        keys: Paths of the values of the object so far.
    """

    parent: str
    place: str | int | None
    keys: set[str] = field(default_factory=set)

    @property
    def where(self) -> str:
        """Path of the next value."""
        return self.parent if self.place is None else joined(self.parent, self.place)

    def next(self) -> None:
        """Move on to the next value, after a comma."""
        self.place = self.place + 1 if isinstance(self.place, int) else None


class JsonPositions:
    """The lines of the values of a JSON document, in which NaN and infinities may stand.

    A value is found by its path, `tags[1].type` for example.

    Args:
        text: The text of the document.

    Attributes:
        oddities: The faults that a reader ignores, in the order of the text.
    """

    def __init__(self, text: str) -> None:
        self.oddities: list[Oddity] = []
        self._lines: dict[str, int] = {}
        self._look_through(text)

    def of(self, where: str) -> int | None:
        """Return the line of a value, from 1; of a missing one, the line of its parent."""
        return self._lines.get(where, self._lines.get(where.rpartition(".")[0]))

    def _look_through(self, text: str) -> None:
        inside: list[_Open] = []
        line, before = 1, 0
        for token in _TOKEN.finditer(text):
            word = token[0]
            line += text.count("\n", before, token.start())
            before = token.start()
            within = inside[-1] if inside else None
            where = within.where if within else ""
            if word in ("]", "}"):
                inside.pop()
            elif within and word == ",":
                within.next()
            elif within and within.place is None:
                within.place = json.loads(word)
                where, first = within.where, self._lines.get(within.where)
                self._lines[where] = line
                if where in within.keys:
                    self._note(where, f"is given twice, first in line {first}", "remove one")
                within.keys.add(where)
            elif word != ":":
                self._lines.setdefault(where, line)
                if word in ("{", "["):
                    inside.append(_Open(where, None if word == "{" else 0))
                elif word in ("NaN", "Infinity", "-Infinity"):
                    self._note(where, f"is {word}, which JSON does not allow", "write a number")
                else:
                    self._hold(where, json.loads(word))

    def _hold(self, where: str, value: object) -> None:
        # JSON can hold half a surrogate pair, and the server's pages break off at it.
        if isinstance(value, str) and any("\ud800" <= sign <= "\udfff" for sign in value):
            what = "contains half a surrogate pair, \\ud800 to \\udfff"
            self._note(where, what, "write the character itself")

    def _note(self, where: str, what: str, remedy: str) -> None:
        self.oddities.append(Oddity(where, self._lines[where], what, remedy))


def joined(where: str, part: str | int) -> str:
    """Return the path of a value from that of its parent, and its key or its number in a list."""
    if isinstance(part, str) and re.fullmatch("[A-Za-z0-9_-]+", part):
        return f"{where}.{part}" if where else part
    return f"{where}[{json.dumps(part)}]"

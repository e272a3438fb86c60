"""Tables with the names of columns in the first line."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from snapws.label_tables.entries import Collector


class ColumnRow(NamedTuple):
    """One row: its place in the file, and its values by column name."""

    place: str
    values: dict[str, str]

    def get(self, name: str) -> str:
        """Return the value of a column; empty if the value is missing or ``n/a``."""
        value = self.values.get(name, "").strip()
        return "" if value == "n/a" else value


class Columns:
    """The rows of a table, which are read by iteration.

    Args:
        text: The table.
        delimiter: The separator of columns.
        needed: The names of required columns.
        into: The collector; its source is named in messages.
    """

    def __init__(self, text: str, delimiter: str, needed: Sequence[str], into: Collector) -> None:
        self._text = text
        self._delimiter = delimiter
        self._needed = needed
        self._into = into

    @staticmethod
    def begin(text: str, delimiter: str, needed: Sequence[str]) -> bool:
        """Return whether the first line of a text has the names of all required columns."""
        first = text.lstrip("\r\n")[:65536].splitlines()[:1]
        names = [word.strip().strip('"') for word in first[0].split(delimiter)] if first else []
        return all(name in names for name in needed)

    def __iter__(self) -> Iterator[ColumnRow]:
        # Split lines at any line end, so that `csv` counts them.
        lines = self._text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        reader = csv.reader((f"{line}\n" for line in lines), delimiter=self._delimiter, strict=True)
        names: list[str] = []
        try:
            for words in reader:
                place = f"line {reader.line_num}"
                if not any(word.strip() for word in words):
                    continue
                if not names:
                    names = self._names(place, words)
                    continue
                if len(words) != len(names):
                    raise self._into.error(
                        place, f"{len(words)} columns, where the first line names {len(names)}"
                    )
                yield ColumnRow(place, dict(zip(names, words, strict=True)))
        except csv.Error as error:
            raise self._into.error(f"line {reader.line_num}", f"not a row: {error}") from None
        if not names:
            raise self._into.error("line 1", "the names of the columns are missing")

    def _names(self, place: str, words: list[str]) -> list[str]:
        names = [word.strip() for word in words]
        for name in self._needed:
            if names.count(name) != 1:
                raise self._into.error(place, f"it does not name exactly one column {name!r}")
        return names

"""Tables for people: the words of a record's values, in columns on a terminal or as HTML."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from snapws.text import printable

#: A listed item: field names, which are stable, and values that JSON knows.
Record = Mapping[str, Any]


class Table:
    """An object that a notebook shows as a table; a class says of which records.

    The table is the one that the command prints.
    """

    __slots__ = ()

    def _table(self) -> tuple[Iterable[Record], Sequence[str]]:
        """Return the records of the table, and the fields that are its columns."""
        raise NotImplementedError

    def _repr_html_(self) -> str:
        return to_html(*self._table())


def rows(records: Iterable[Record], columns: Sequence[str]) -> list[list[str]]:
    """Return a table as words: a row of headings, then a row for each record.

    >>> rows([{"time_point": 1, "tags": ["A", "B"], "file": None}], ["time_point", "tags", "file"])
    [['Time point', 'Tags', 'File'], ['1', 'A, B', '']]
    """
    headings = [column.replace("_", " ").capitalize() for column in columns]
    return [headings, *([word(record[column]) for column in columns] for record in records)]


def to_html(records: Iterable[Record], columns: Sequence[str]) -> str:
    """Return a table as HTML. No text of a record is markup.

    >>> to_html([{"name": "<b>"}], ["name"])
    '<table><thead><tr><th>Name</th></tr></thead><tbody><tr><td>&lt;b&gt;</td></tr></tbody></table>'
    """
    headings, *others = rows(records, columns)
    head = _row(headings, "th")
    return f"<table><thead>{head}</thead><tbody>{''.join(map(_row, others))}</tbody></table>"


def _row(words: Iterable[str], tag: str = "td") -> str:
    return f"<tr>{''.join(f'<{tag}>{escape(one)}</{tag}>' for one in words)}</tr>"


def word(value: object) -> str:
    """Return a value as it stands in a table: on one line, without control characters."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, Sequence):
        parts = [word(part) for part in value]
        return (", " if any(isinstance(part, str) for part in value) else " ").join(parts)
    return str(value)

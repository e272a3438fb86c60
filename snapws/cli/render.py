"""What the command prints: results on standard output, remarks and errors on standard error."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import typer

#: A thing that is listed: field names, which are stable, and values that JSON knows.
Record = Mapping[str, Any]


@dataclass
class _Voice:
    quiet: bool = False


_voice = _Voice()


def be_quiet(quiet: bool) -> None:
    """Leave remarks out, or not, from here on."""
    _voice.quiet = quiet


def note(text: str) -> None:
    """Make a remark, which is no result."""
    if not _voice.quiet:
        typer.echo(f"snapws: {text}", err=True)


def error(text: str) -> None:
    """Say what went wrong."""
    start = typer.style("error:", fg="red", bold=True) if _colors(sys.stderr) else "error:"
    typer.echo(f"snapws: {start} {_plain(text)}", err=True)


def result(text: str) -> None:
    """Print a line of a result."""
    typer.echo(text)


def as_json(value: object) -> None:
    """Print a result as JSON."""
    typer.echo(json.dumps(value, indent=2, allow_nan=False))


def table(records: Iterable[Record], columns: Sequence[str]) -> None:
    """Print records in columns, the fields `columns`, each under its name."""
    rows = [[column.replace("_", " ").capitalize() for column in columns]]
    rows += [[_word(record[column]) for column in columns] for record in records]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for i, row in enumerate(rows):
        padded = (word.ljust(width) for word, width in zip(row, widths, strict=True))
        line = "  ".join(padded).rstrip()
        typer.echo(typer.style(line, bold=True) if i == 0 and _colors(sys.stdout) else line)


def _word(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, str):
        return _plain(value)
    if isinstance(value, Sequence):
        parts = [_word(part) for part in value]
        return (", " if any(isinstance(part, str) for part in value) else " ").join(parts)
    return str(value)


def _plain(text: str) -> str:
    """Keep a text on its line, and the terminal as it is."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)


def _colors(stream: Any) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR")

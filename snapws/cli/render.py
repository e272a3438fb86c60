"""The output of a program: results on standard output, remarks and errors on standard error."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

from snapws import tables
from snapws.spreadsheets import guarded
from snapws.tables import Record as Record
from snapws.text import printable as printable

if TYPE_CHECKING:
    from snapws.privacy import KeptText
    from snapws.workspace import Workspace


@dataclass
class _Voice:
    program: str = "snapws"
    quiet: bool = False
    passing: str = ""


_voice = _Voice()


def begin(program: str, *, quiet: bool) -> None:
    """Set the name at the start of remarks and errors, and whether to print remarks."""
    _voice.program, _voice.quiet = program, quiet


def is_quiet() -> bool:
    """Return whether remarks are not printed."""
    return _voice.quiet


def note(text: str, *, always: bool = False) -> None:
    """Print a remark on standard error; with `always`, also if the program is quiet."""
    passing("")
    if always or not is_quiet():
        typer.echo(f"{_voice.program}: {printable(text)}", err=True)


def kept_texts(kept: Iterable[KeptText]) -> None:
    """Print remarks that list the typed texts which an archive keeps, by kind."""
    texts: dict[str, dict[str, None]] = {}
    for one in kept:
        texts.setdefault(one.kind, {})[one.text] = None
    for kind, found in texts.items():
        note(f"the archive keeps: {kind}: {', '.join(found)}")


def outside(workspace: Workspace, *, always: bool = False) -> bool:
    """Print a remark on each file outside of a workspace's folder; return whether any exist.

    Also print a warning for each image in place of which ITK-SNAP reads another file.
    """
    from snapws import sources

    for line in sources.read_instead(workspace):
        note(f"warning: {line}", always=always)
    found = sources.outside(workspace)
    for line in sources.told(found):
        note(line, always=always)
    return bool(found)


def message(error: Exception) -> str:
    """Return the line that reports an error; that of an `OSError` begins with the file's name."""
    if isinstance(error, OSError):
        return f"{error.filename or 'the system'}: {error.strerror or error}"
    return str(error)


def error(text: str) -> None:
    """Print an error."""
    passing("")
    start = typer.style("error:", fg="red", bold=True) if _colors(sys.stderr) else "error:"
    typer.echo(f"{_voice.program}: {start} {printable(' '.join(text.splitlines()))}", err=True)


def passing(text: str) -> None:
    """Show progress on a terminal, in place of the last progress text; an empty text removes it.

    Without a terminal, print nothing.
    """
    if text == _voice.passing or _voice.quiet or not sys.stderr.isatty():
        return
    # Overwrite with spaces: every terminal supports them, unlike escape sequences.
    typer.echo(f"\r{' ' * len(_voice.passing)}\r{printable(text)}", err=True, nl=False)
    _voice.passing = text


def result(text: str) -> None:
    """Print a result: unchanged into a pipe, without control characters on a terminal."""
    passing("")
    typer.echo(readable(text) if sys.stdout.isatty() else text)


def as_json(value: object) -> None:
    """Print a result as JSON."""
    passing("")
    typer.echo(_json(value, indent=2))


def as_json_line(value: object) -> None:
    """Print a result as one line of JSON, for commands that print several."""
    passing("")
    typer.echo(_json(value))


def _json(value: object, indent: int | None = None) -> str:
    """Return a value as JSON in printable ASCII; `json` itself does not escape DEL."""
    return json.dumps(value, indent=indent, allow_nan=False).replace("\x7f", "\\u007f")


def as_csv(records: Iterable[Record], columns: Sequence[str]) -> None:
    """Print the fields `columns` of records as CSV, with a header line; None is an empty cell.

    Guards texts so that no spreadsheet reads them as formulas.
    """
    passing("")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([guarded(record[column]) for column in columns] for record in records)
    result(text.getvalue().removesuffix("\n"))


def table(records: Iterable[Record], columns: Sequence[str]) -> None:
    """Print the fields `columns` of records as a table, with a header line."""
    rows = tables.rows(records, columns)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for i, row in enumerate(rows):
        padded = (word.ljust(width) for word, width in zip(row, widths, strict=True))
        line = "  ".join(padded).rstrip()
        typer.echo(typer.style(line, bold=True) if i == 0 and _colors(sys.stdout) else line)


def fields(record: Record, names: Sequence[str]) -> None:
    """Print the fields `names` of a record, one per line, without empty ones."""
    for name in names:
        if word := tables.word(record[name]):
            result(f"{name.replace('_', ' ')}: {word}")


def readable(text: str) -> str:
    """Return a text without control characters except line ends."""
    return "\n".join(map(printable, text.split("\n")))


def _colors(stream: Any) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR")

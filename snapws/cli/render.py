"""The output of a program: results on standard output, remarks and errors on standard error."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

from snapws.spreadsheets import guarded

if TYPE_CHECKING:
    from snapws.privacy import KeptText
    from snapws.workspace import Workspace

#: A thing that is listed: field names, which are stable, and values that JSON knows.
Record = Mapping[str, Any]


@dataclass
class _Voice:
    program: str = "snapws"
    quiet: bool = False
    passing: str = ""


_voice = _Voice()


def begin(program: str, *, quiet: bool) -> None:
    """Set the name that remarks and errors begin with, and whether remarks are printed."""
    _voice.program, _voice.quiet = program, quiet


def is_quiet() -> bool:
    """Return whether remarks are left out."""
    return _voice.quiet


def note(text: str, *, always: bool = False) -> None:
    """Make a remark, which is no result; `always`: even where remarks are left out."""
    passing("")
    if always or not is_quiet():
        typer.echo(f"{_voice.program}: {plain(text)}", err=True)


def kept_texts(kept: Iterable[KeptText]) -> None:
    """Print remarks on the texts that a person typed and that are in an archive, by kind."""
    texts: dict[str, dict[str, None]] = {}
    for one in kept:
        texts.setdefault(one.kind, {})[one.text] = None
    for kind, found in texts.items():
        note(f"the archive says: {kind}: {', '.join(found)}")


def outside(workspace: Workspace, *, always: bool = False) -> bool:
    """Remark which files of a workspace are outside of its folder; return whether there are any.

    Images in whose place ITK-SNAP reads another file are remarked, too.
    """
    from snapws import sources

    for line in sources.read_instead(workspace):
        note(f"warning: {line}", always=always)
    found = sources.outside(workspace)
    for line in sources.told(found):
        note(line, always=always)
    return bool(found)


def message(error: Exception) -> str:
    """Return the line of an error that is reported; the system's errors get the file's name."""
    if isinstance(error, OSError):
        return f"{error.filename or 'the system'}: {error.strerror or error}"
    return str(error)


def error(text: str) -> None:
    """Print an error."""
    passing("")
    start = typer.style("error:", fg="red", bold=True) if _colors(sys.stderr) else "error:"
    typer.echo(f"{_voice.program}: {start} {plain(' '.join(text.splitlines()))}", err=True)


def passing(text: str) -> None:
    """Show on a terminal how far something is; the next text takes its place, nothing removes it.

    On anything else than a terminal nothing is shown.
    """
    if text == _voice.passing or _voice.quiet or not sys.stderr.isatty():
        return
    # Spaces, not an escape sequence: every terminal knows them.
    typer.echo(f"\r{' ' * len(_voice.passing)}\r{plain(text)}", err=True, nl=False)
    _voice.passing = text


def result(text: str) -> None:
    """Print a result: as it is for a program that reads it, on a terminal without control signs."""
    passing("")
    typer.echo(readable(text) if sys.stdout.isatty() else text)


def as_json(value: object) -> None:
    """Print a result as JSON."""
    passing("")
    typer.echo(_json(value, indent=2))


def as_json_line(value: object) -> None:
    """Print a result as one line of JSON, where more lines follow as they come."""
    passing("")
    typer.echo(_json(value))


def _json(value: object, indent: int | None = None) -> str:
    """Return a value as JSON in printable ASCII; of the rest, `json` leaves DEL as it is."""
    return json.dumps(value, indent=indent, allow_nan=False).replace("\x7f", "\\u007f")


def as_csv(records: Iterable[Record], columns: Sequence[str]) -> None:
    """Print records as CSV, the fields `columns`, each under its own name; None is empty.

    No text is a formula to a spreadsheet.
    """
    passing("")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([guarded(record[column]) for column in columns] for record in records)
    result(text.getvalue().removesuffix("\n"))


def table(records: Iterable[Record], columns: Sequence[str]) -> None:
    """Print records in columns, the fields `columns`, each under its name."""
    rows = [[column.replace("_", " ").capitalize() for column in columns]]
    rows += [[_word(record[column]) for column in columns] for record in records]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for i, row in enumerate(rows):
        padded = (word.ljust(width) for word, width in zip(row, widths, strict=True))
        line = "  ".join(padded).rstrip()
        typer.echo(typer.style(line, bold=True) if i == 0 and _colors(sys.stdout) else line)


def fields(record: Record, names: Sequence[str]) -> None:
    """Print the fields `names` of a record, those without a value left out, one a line."""
    for name in names:
        if word := _word(record[name]):
            result(f"{name.replace('_', ' ')}: {word}")


def _word(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, Sequence):
        parts = [_word(part) for part in value]
        return (", " if any(isinstance(part, str) for part in value) else " ").join(parts)
    return str(value)


def readable(text: str) -> str:
    """Return a text without control characters, its line ends kept."""
    return "\n".join(map(plain, text.split("\n")))


def plain(text: str) -> str:
    """Return a text without control characters, on one line."""
    return "".join(
        sign if sign.isprintable() or unicodedata.category(sign) == "Zs" else "?" for sign in text
    )


def _colors(stream: Any) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR")

"""Cells of tables, guarded so that spreadsheets read no text as a formula."""

from __future__ import annotations

import re

# Leading apostrophes count, so that `unguarded` restores every text.
_FORMULA = re.compile(r"'*[=+\-@\t\r\n]")


def guarded(cell: object) -> object:
    """Return a cell to write: a text that begins like a formula gets a leading apostrophe.

    Numbers stay numbers.
    """
    return f"'{cell}" if isinstance(cell, str) and _FORMULA.match(cell) else cell


def unguarded(text: str) -> str:
    """Return the original text of a cell that `guarded` returned."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text

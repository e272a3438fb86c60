"""Cells of tables that spreadsheets open: a text is never taken for a formula."""

from __future__ import annotations

import re

# The apostrophes in front belong to it: so each text comes back as it was.
_FORMULA = re.compile(r"'*[=+\-@\t\r\n]")


def guarded(cell: object) -> object:
    """Return a cell as it is written: a text that begins like a formula behind an apostrophe.

    Numbers stay numbers.
    """
    return f"'{cell}" if isinstance(cell, str) and _FORMULA.match(cell) else cell


def unguarded(text: str) -> str:
    """Return the text of a cell that was written by `guarded`."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text

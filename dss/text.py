"""Text for people: without control characters, on one line, cut to a length."""

from __future__ import annotations

TEXT_LIMIT = 300
"""Characters of a server's text that an error shows."""

_LOOKED_AT = 20 * TEXT_LIMIT


def printable(text: str) -> str:
    """Return a text with a blank for each control character, so that a terminal obeys none."""
    return "".join(sign if sign.isprintable() else " " for sign in text)


def one_line(text: str) -> str:
    """Return a text as one line without control characters or runs of blanks."""
    return " ".join(printable(text).split())


def shown(text: str) -> str:
    """Return a server's text as one line for a message, at most `TEXT_LIMIT` characters long."""
    line = one_line(text[:_LOOKED_AT])  # bounds the work for a very long text
    return line if len(line) <= TEXT_LIMIT else line[: TEXT_LIMIT - 1] + "…"

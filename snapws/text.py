"""Untrusted texts for people: on one line, without control characters, cut to a length."""

from __future__ import annotations

import unicodedata

_EXCERPT = 100


def printable(text: str) -> str:
    """Return a text with a question mark in place of each control character and line break.

    Blanks of all kinds stay.
    """
    if text.isprintable():
        return text
    return "".join(
        sign if sign.isprintable() or unicodedata.category(sign) == "Zs" else "?" for sign in text
    )


def excerpt(text: str) -> str:
    """Return the first 100 characters of a text, printable, for a message."""
    return printable(text[:_EXCERPT])

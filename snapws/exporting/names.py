"""Names of files that are exported together: speaking, valid on any system, each used once."""

from __future__ import annotations

import unicodedata

from snapws.arrays import safe_name


class Names:
    """The names that are given to files, without extension.

    Args:
        taken: Names that no file may have.
    """

    def __init__(self, *taken: str) -> None:
        self._taken = {_key(name) for name in taken}

    def new(self, text: str, otherwise: str) -> str:
        """Return a new name that speaks of a text, or the other text if that gives none.

        >>> names = Names("study")
        >>> names.new("T1/T2", "layer-000"), names.new("t1_t2", ""), names.new("..", "layer-002")
        ('T1_T2', 't1_t2-2', 'layer-002')
        """
        stem = safe_name(text) or otherwise
        name, number = stem, 1
        while _key(name) in self._taken:
            number += 1
            name = f"{stem}-{number}"
        self._taken.add(_key(name))
        return name


def _key(name: str) -> str:
    # Some file systems ignore case and Unicode normalization.
    return unicodedata.normalize("NFC", name).casefold()

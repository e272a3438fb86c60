"""Names of files that are exported together: speaking, valid on any system, each used once."""

from __future__ import annotations

import unicodedata

from snapws.arrays import safe_name


class Names:
    """The names that are given to files.

    Args:
        taken: Names of files that exist already.
    """

    def __init__(self, *taken: str) -> None:
        self._taken = {_key(name) for name in taken}

    def new(self, text: str, otherwise: str, *extensions: str) -> str:
        """Return the name of new files without their extensions, all of which are free.

        Args:
            text: The text that the name speaks of.
            otherwise: The name if the text gives none.
            extensions: The extensions of the files.

        >>> names = Names("study.mrml")
        >>> names.new("T1/T2", "layer-000", ".nrrd"), names.new("t1_t2", "", ".nrrd", ".tfm")
        ('T1_T2', 't1_t2-2')
        >>> names.new("..", "layer-002", ".nrrd"), names.new("study", "", ".nrrd")
        ('layer-002', 'study')
        """
        stem = safe_name(text) or otherwise
        name, number = stem, 1
        while any(_key(name + extension) in self._taken for extension in extensions):
            number += 1
            name = f"{stem}-{number}"
        self._taken |= {_key(name + extension) for extension in extensions}
        return name


def _key(name: str) -> str:
    # Some file systems ignore case and Unicode normalization.
    return unicodedata.normalize("NFC", name).casefold()

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.privacy import markers
from tests.privacy.marking import CHANGED, FOLDER_CHANGED, READ, ZIPPED, Kind, Marks
from tests.privacy.scanner import Scanner

#: What each kind of archive may say. Tags of layers stay in both: services find layers by them.
ALLOWED: dict[str, tuple[Kind, ...]] = {
    "standard": ("typed", "tag", "other tag"),
    "strict": ("tag",),
}
PRIVACIES = tuple(ALLOWED)


@pytest.fixture(scope="session")
def study(tmp_path_factory) -> markers.Study:
    """A workspace with an image and a mesh of every format."""
    folder = tmp_path_factory.mktemp("privacy")
    return markers.build(folder / "study")


@pytest.fixture
def leaks() -> Callable[[Path | bytes, Marks, tuple[Kind, ...]], set[str]]:
    """Return what a folder or bytes say that they may not: place, file, and how it was found."""

    def look(where: Path | bytes, marks: Marks, allowed: tuple[Kind, ...]) -> set[str]:
        scanner = Scanner(marks.places, [CHANGED, READ, ZIPPED, FOLDER_CHANGED])
        found = scanner.folder(where) if isinstance(where, Path) else scanner.data(where)
        permitted = marks.of(*allowed)
        return {
            f"{marks.name_of(marker)} in {file or 'bytes'}: {how}"
            for marker, file, how in found
            if marker not in permitted
        }

    return look

"""What waits on the disk to be told: whole, and in order."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dss.serving.job import Attached
from dss.serving.worker.outbox import Line, Outbox


def told(outbox: Outbox) -> list[Attached | Line]:
    """Take everything out."""
    items = []
    while outbox:
        items.append(outbox.first())
        outbox.done()
    return items


@pytest.mark.parametrize(
    "left",
    [
        b"",
        bytes(64),
        b'{"category": "info", "mess',
        b"\xff\xfe",
        b"7",
        b"[]",
        b'{"of": "another version"}',
        b'{"category": "info", "message": "one", "of": "another version"}',
    ],
)
def test_what_a_power_cut_leaves_is_passed_over(tmp_path: Path, left: bytes) -> None:
    outbox = Outbox(tmp_path)
    for words in ("one", "two", "three"):
        outbox.put(Line("info", words))
    (tmp_path / "000002.json").write_bytes(left)
    later = Outbox(tmp_path)
    later.put(Line("error", "four"))
    assert told(later) == [Line("info", "one"), Line("info", "three"), Line("error", "four")]


def test_one_that_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    Outbox(tmp_path).put(Line("info", "one"))
    (tmp_path / "000002.json").mkdir()
    assert told(Outbox(tmp_path)) == [Line("info", "one")]


def test_it_has_its_name_when_it_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "note.txt").write_bytes(b"a note")
    folder = tmp_path / "reports"
    named: list[list[str]] = []
    sync = os.fsync

    def note(number: int) -> None:
        sync(number)
        named.append(sorted(file.name for file in folder.glob("0*")))

    monkeypatch.setattr(os, "fsync", note)
    outbox = Outbox(folder)
    outbox.put(Attached("Note", tmp_path / "note.txt", "text/plain"))
    outbox.put(Line("info", "one"))
    attached = ["000001.data", "000001.json"]
    assert named == [[], attached[:1], attached]
    item = outbox.first()
    assert isinstance(item, Attached)
    assert item.file.read_bytes() == b"a note"

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


def repeated(folder: Path, *items: Attached | Line) -> list[Attached | Line]:
    """Return what a function that runs again in another process has to say, beyond the first."""
    outbox = Outbox(folder)
    for item in items:
        outbox.put(item)
    return told(outbox)


def send(outbox: Outbox) -> None:
    while outbox:
        outbox.begin()
        outbox.done()


def test_what_was_sent_is_not_said_again_by_a_later_process(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_bytes(b"a note")
    note = Attached("Note", tmp_path / "note.txt", "text/plain")
    slice_done, error = Line("info", "slice done"), Line("error", "no head")
    first = Outbox(tmp_path / "reports")
    for item in (slice_done, slice_done, note, error):
        first.put(item)
    send(first)
    warning = Line("warning", "slice done")
    again = [slice_done] * 3
    # What was said twice is there twice; another category or content is another line or file.
    found = repeated(tmp_path / "reports", *again, warning, note, error)
    assert found == [slice_done, warning, error]
    (tmp_path / "note.txt").write_bytes(b"another note")
    (attached,) = repeated(tmp_path / "reports", note)
    assert isinstance(attached, Attached)


def test_what_was_about_to_be_sent_is_not_said_again_but_what_was_not_is(tmp_path: Path) -> None:
    lines = [Line("info", words) for words in ("one", "two", "three")]
    first = Outbox(tmp_path)
    for line in lines:
        first.put(line)
    first.begin()
    first.done()
    first.begin()
    first.again()  # nothing of it has left
    later = Outbox(tmp_path)
    later.clear()
    for line in lines:
        later.put(line)
    later.begin()  # and here it is killed
    final = Outbox(tmp_path)
    final.clear()
    for line in lines:
        final.put(line)
    assert told(final) == lines[2:]

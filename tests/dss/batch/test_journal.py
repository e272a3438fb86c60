"""The journal of a batch: whole lines count, whatever ends the process that writes them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dss.batch import journal, table
from dss.batch.journal import Case, Status, Step
from dss.errors import JournalError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a batch of two cases, of which one has failed."""
    with journal.opened(tmp_path) as opened:
        opened.bind(server="http://127.0.0.1:1", service="Segment")
        opened.add("a", Path("/data/a.itksnap"))
        opened.add("b", Path("/data/b.itksnap"))
        case = opened.content.cases["a"]
        opened.note(case, Step.CREATING, before=[3, 4])
        opened.note(case, Step.CREATED, ticket=5)
        opened.note(case, Step.QUEUED)
        opened.note(case, Step.ENDED, status="failed", reason="no brain")
        opened.note(case, Step.KEPT, files=["failed/a_5/log.json"])
        opened.note(case, Step.DONE)
    return tmp_path


def test_all_that_was_noted_is_read_again(folder: Path) -> None:
    case = journal.read(folder).cases["a"]
    assert (case.step, case.status, case.ticket) == (Step.DONE, Status.FAILED, 5)
    assert (case.reason, case.files, case.before) == ("no brain", ("failed/a_5/log.json",), (3, 4))
    assert case.seconds is not None
    assert journal.read(folder).cases["b"] == Case("b", Path("/data/b.itksnap"))


@pytest.mark.parametrize("cut", range(1, 40, 7))
def test_a_line_that_was_cut_off_does_not_count_and_is_written_over(folder: Path, cut: int) -> None:
    file = folder / journal.NAME
    whole = file.read_bytes()
    file.write_bytes(whole[:-cut])
    assert journal.read(folder).cases["a"].step is Step.KEPT
    with journal.opened(folder) as opened:
        opened.note(opened.content.cases["a"], Step.DONE)
    assert journal.read(folder).cases["a"].step is Step.DONE
    assert file.read_bytes().count(b"\n") == whole.count(b"\n")


def test_a_damaged_line_is_refused_and_left_as_it_is(folder: Path) -> None:
    file = folder / journal.NAME
    damaged = file.read_bytes().replace(b'"step": "creating"', b'"step": "cre\x00ting"')
    file.write_bytes(damaged)
    with pytest.raises(JournalError, match="line 4, is damaged"):
        journal.read(folder)
    with pytest.raises(JournalError, match="line 4"), journal.opened(folder):
        pass
    assert file.read_bytes() == damaged


def test_another_service_or_workspace_is_refused(folder: Path) -> None:
    with journal.opened(folder) as opened:
        with pytest.raises(JournalError, match="begun with service Segment, not Other"):
            opened.bind(server="http://127.0.0.1:1", service="Other")
        with pytest.raises(JournalError, match=r"case a .* is /data/a.itksnap, not /data/c"):
            opened.add("a", Path("/data/c.itksnap"))


@pytest.mark.skipif(os.name == "nt", reason="links take a privilege there")
def test_a_journal_that_leads_elsewhere_is_not_followed(folder: Path, tmp_path: Path) -> None:
    link = tmp_path / "linked"
    link.mkdir()
    (link / journal.NAME).symlink_to(folder / journal.NAME)
    before = (folder / journal.NAME).read_bytes()
    with pytest.raises(JournalError, match="cannot be used"), journal.opened(link):
        pass
    assert (folder / journal.NAME).read_bytes() == before


def test_a_folder_without_a_journal_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="there is no journal of a batch"):
        journal.read(tmp_path)


def test_a_reason_of_several_lines_stays_in_its_cell_and_is_no_formula(tmp_path: Path) -> None:
    case = Case("a", Path("a.itksnap"), step=Step.DONE, status=Status.FAILED)
    case.reason = "=first\tline\nsecond \x1b[2Jline"
    lines = table.write(tmp_path, [case]).read_text(encoding="utf-8").splitlines()
    assert lines[1:] == ["a\t\tfailed\t\t'=first line second [2Jline\t"]

"""The space on the disk of a work folder."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from dss.serving.journal import Journal, Outcome, Step
from dss.serving.runner.disk_space import DiskSpace
from dss.serving.settings import Settings
from dss.serving.workdir import folder_of, is_too_deep

MANAGER = """
import multiprocessing
if __name__ == "__main__":
    with multiprocessing.Manager() as manager:
        manager.dict()
"""


class Disk:
    """A disk that has as much space as the test says, and more for each ticket that goes."""

    def __init__(self, workdir: Path) -> None:
        self._workdir = workdir
        self.free = 100
        self.ticket_size = 0

    def left(self, workdir: Path) -> int:
        assert workdir == self._workdir
        return self.free - self.ticket_size * len(list(workdir.glob("ticket_*")))


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    made = Disk(tmp_path)
    monkeypatch.setattr("dss.serving.workdir.free", made.left)
    return made


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    made = Journal(tmp_path)
    yield made
    made.close()


@pytest.fixture
def space(journal: Journal, tmp_path: Path) -> DiskSpace:
    return DiskSpace(journal, Settings(provider="lab", workdir=tmp_path, min_free=100))


def test_jobs_are_at_work_with_less_than_a_claim_needs(space: DiskSpace, disk: Disk) -> None:
    """A job that is at work is only ended at a quarter of what a further ticket must find."""
    for free, suffices, short in [
        (100, True, False),
        (99, False, False),
        (25, False, False),
        (24, False, True),
    ]:
        disk.free = free
        assert (space.suffices(), space.is_short()) == (suffices, short)


@pytest.mark.skipif(os.name == "nt", reason="POSIX only")
@pytest.mark.parametrize(("length", "warns"), [(40, False), (51, False), (52, True), (90, True)])
def test_a_work_folder_too_deep_for_sockets(
    journal: Journal, caplog: pytest.LogCaptureFixture, length: int, warns: bool
) -> None:
    workdir = Path("/nowhere".ljust(length, "x"))
    space = DiskSpace(journal, Settings(provider="lab", workdir=workdir))
    space.explain("ValueError: no head in this image")
    assert caplog.text == ""
    space.explain("EOFError: EOFError")
    assert ("a shorter --workdir" in caplog.text) == warns


@pytest.mark.skipif(os.name == "nt", reason="POSIX only")
def test_a_manager_has_room_where_there_is_no_warning() -> None:
    """The socket is where it is taken to be."""
    with TemporaryDirectory(dir="/tmp") as folder:
        workdir = Path(folder).resolve()
        workdir /= "x" * (50 - len(str(workdir)))
        assert not is_too_deep(workdir)
        temporary = folder_of(workdir, 1) / "tmp"
        temporary.mkdir(parents=True)
        done = subprocess.run(
            [sys.executable, "-c", MANAGER],
            env={**os.environ, "TMPDIR": str(temporary)},
            capture_output=True,
            encoding="utf-8",
            timeout=300,
            check=False,
        )
    assert done.returncode == 0, done.stderr


def test_it_is_said_once_that_there_is_none(
    space: DiskSpace, disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    for free, times in [(100, 0), (99, 1), (99, 1), (3, 1), (100, 1), (99, 2)]:
        disk.free = free
        space.suffices()
        assert caplog.text.count("no ticket is claimed") == times


def test_finished_tickets_make_room_the_oldest_first(
    space: DiskSpace, journal: Journal, disk: Disk, tmp_path: Path
) -> None:
    for ticket in (1, 2, 3, 4):
        journal.add_claimed(ticket, "Neck", "0" * 40)
        folder_of(tmp_path, ticket).mkdir()
        if ticket != 4:
            journal.record(ticket, Step.FINISHED, outcome=Outcome.SUCCESS)
    disk.free, disk.ticket_size = 120, 10
    assert space.suffices()
    left = [folder_of(tmp_path, ticket).exists() for ticket in (1, 2, 3, 4)]
    assert left == [False, False, True, True]
    disk.free = 100
    assert not space.suffices()
    assert [entry.ticket for entry in journal.open_entries()] == [4]
    assert folder_of(tmp_path, 4).exists()

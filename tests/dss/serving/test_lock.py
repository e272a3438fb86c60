"""The lock of a work folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dss.errors import JournalError
from dss.serving.journal import NAME
from dss.serving.lock import held, holder, locked
from tests.dss.serving.lab import until

HOLD = """
import sys
from pathlib import Path
from dss.serving.lock import locked
with locked(Path(sys.argv[1]), "another, process 7"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_folder_is_locked_by_one_process(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    assert not held(folder)
    assert holder(folder) == ""
    words = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout
        assert other.stdout.readline().strip() == b"held"
        assert held(folder)
        assert holder(folder) == "another, process 7"
        refused = pytest.raises(JournalError, match="is in use by another, process 7")
        with refused, locked(folder, "me"):
            pass
        assert holder(folder) == "another, process 7"
        other.kill()
        other.wait()
    # A killed process holds nothing, whatever its file says.
    assert not held(folder)
    with locked(folder, "me, with a longer name than it"):
        assert held(folder)
        assert holder(folder) == "me, with a longer name than it"
    with locked(folder, "I"):
        assert holder(folder) == "I"
    assert not held(folder)


def test_a_child_process_does_not_inherit_the_lock(tmp_path: Path) -> None:
    """A process that the holder has started does not hold it any longer."""
    words = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    with locked(tmp_path, "me"):
        child = subprocess.Popen(words, stdin=subprocess.PIPE, close_fds=False)
    try:
        assert child.poll() is None
        until(lambda: not held(tmp_path))
    finally:
        child.communicate()


def test_a_path_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "work"
    with pytest.raises(JournalError, match="cannot be a work folder"), locked(folder, "me"):
        pass


def test_a_path_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    """As Python has a path of bytes that are not UTF-8."""
    folder = tmp_path / "w\udce4rk" / "a"
    with pytest.raises(JournalError) as refused, locked(folder, "me"):
        pass
    assert "its path is not UTF-8; give another with --workdir" in str(refused.value)
    assert str(refused.value).isprintable()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="permissions are of POSIX")
def test_a_work_folder_is_private(tmp_path: Path) -> None:
    with locked(tmp_path / "work", "me"):
        assert (tmp_path / "work").stat().st_mode & 0o777 == 0o700


def prepared(folder: Path) -> Path:
    """A work folder as a stranger packs it: its journal would be believed, its links followed."""
    folder.mkdir()
    victim = folder.parent / "mine"
    victim.mkdir()
    (victim / "letter.txt").write_text("mine")
    (folder / "ticket_00000001").symlink_to(victim)
    (folder / "runner.lock").symlink_to(victim / "letter.txt")
    return victim / "letter.txt"


@pytest.mark.skipif(os.name == "nt", reason="links take a privilege on Windows")
def test_a_work_folder_that_somebody_prepared_is_refused(tmp_path: Path) -> None:
    letter = prepared(tmp_path / "dss-work")
    with pytest.raises(JournalError, match="--trust-workdir"), locked(tmp_path / "dss-work", "me"):
        pass
    assert letter.read_text() == "mine"


@pytest.mark.skipif(os.name == "nt", reason="links take a privilege on Windows")
@pytest.mark.parametrize("kind", ["link", "FIFO"])
def test_a_lock_that_is_no_file_is_neither_followed_nor_waited_for(
    tmp_path: Path, kind: str
) -> None:
    letter = prepared(tmp_path / "dss-work")
    if kind == "FIFO":
        (tmp_path / "dss-work" / "runner.lock").unlink()
        os.mkfifo(tmp_path / "dss-work" / "runner.lock")
    refused = pytest.raises(JournalError, match="cannot be a work folder")
    with refused, locked(tmp_path / "dss-work", "me", trusted=True):
        pass
    assert letter.read_text() == "mine"
    assert holder(tmp_path / "dss-work") == ""
    assert not held(tmp_path / "dss-work")


def test_a_work_folder_is_this_users_in_its_place(tmp_path: Path) -> None:
    work = tmp_path / "work"
    with locked(work, "me"):
        (work / "ticket_00000001").mkdir()
    with locked(work, "me again"):
        pass
    moved = work.rename(tmp_path / "moved")
    with pytest.raises(JournalError, match="nothing proves"), locked(moved, "me"):
        pass
    with locked(moved, "me", trusted=True):
        pass
    with locked(moved, "me, with no doubt any more"):
        pass


def test_other_files_in_a_work_folder_are_no_reason_to_refuse_it(tmp_path: Path) -> None:
    (tmp_path / "service.py").touch()
    with locked(tmp_path, "me"):
        pass


@pytest.mark.skipif(os.name != "posix", reason="a home folder is named otherwise there")
def test_a_user_without_a_home_is_told_where_a_proof_can_be_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "none"))
    work = tmp_path / "work"
    with locked(work, "me"):
        (work / NAME).touch()
    with pytest.raises(JournalError, match="set XDG_STATE_HOME to a folder"), locked(work, "me"):
        pass
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with locked(work, "me", trusted=True):
        pass
    with locked(work, "me"):
        pass

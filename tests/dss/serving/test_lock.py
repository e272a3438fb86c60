"""The lock of a work folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dss.errors import JournalError
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


def test_held_by_one(tmp_path: Path) -> None:
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


def test_not_inherited(tmp_path: Path) -> None:
    """A process that the holder has started does not hold it any longer."""
    words = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    with locked(tmp_path, "me"):
        child = subprocess.Popen(words, stdin=subprocess.PIPE, close_fds=False)
    try:
        assert child.poll() is None
        until(lambda: not held(tmp_path))
    finally:
        child.communicate()


def test_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "work"
    with pytest.raises(JournalError, match="cannot be a work folder"), locked(folder, "me"):
        pass


def test_a_path_that_is_no_text(tmp_path: Path) -> None:
    """As Python has a path of bytes that are not UTF-8."""
    folder = tmp_path / "w\udce4rk" / "a"
    with pytest.raises(JournalError) as refused, locked(folder, "me"):
        pass
    assert "its path is not UTF-8; give another with --workdir" in str(refused.value)
    assert str(refused.value).isprintable()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="permissions are of POSIX")
def test_private(tmp_path: Path) -> None:
    with locked(tmp_path / "work", "me"):
        assert (tmp_path / "work").stat().st_mode & 0o777 == 0o700

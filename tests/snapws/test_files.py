"""A save that is killed leaves the old file or the new one."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time

import pytest

from snapws import Label, Workspace
from snapws.files import atomic_files, atomic_write

#: Saves the workspace over and over, each time whole, with another number of labels.
SAVER = """
import sys
from snapws import Label, Workspace
workspace = Workspace.open(sys.argv[1])
for count in range(1, 10**6):
    workspace.main.nickname = str(count)
    workspace.labels = [Label(i, "x" * 50) for i in range(1, 200 + count % 50)]
    workspace.save()
    print("saved", flush=True)
"""


def test_killed_at_any_point(base):
    base.labels = [Label(1, "one")]
    base.save()
    delays = random.Random(0)
    for _ in range(10):
        with subprocess.Popen(
            [sys.executable, "-c", SAVER, str(base.path)], stdout=subprocess.PIPE
        ) as saver:
            for _ in range(delays.randint(1, 5)):
                saver.stdout.readline()
            time.sleep(delays.uniform(0.0, 0.05))  # to be in the midst of anything
            saver.kill()
        found = Workspace.open(base.path)
        assert len(found.labels) == 199 + int(found.main.nickname) % 50


def test_errors_name_the_file_that_was_meant(base, tmp_path):
    with pytest.raises(FileNotFoundError) as caught, atomic_write(tmp_path / "no" / "labels.txt"):
        pass
    assert caught.value.filename == str(tmp_path / "no" / "labels.txt")
    with (
        pytest.raises(OSError, match="No space") as caught,
        atomic_write(tmp_path / "labels.txt"),
    ):
        raise OSError(28, "No space left on device")
    assert caught.value.filename == str(tmp_path / "labels.txt")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["inputs"]


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_a_private_file_is_private_from_the_start(tmp_path):
    with atomic_write(tmp_path / "secret", 0o600) as aside:
        assert aside.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("when", ["while it is made", "before it is opened"])
def test_a_folder_that_another_removes_meanwhile_is_made_again(tmp_path, monkeypatch, when):
    """Its maker has failed: one moment it is there, and the next it is not."""
    folder, make, open_ = tmp_path / "out", os.mkdir, os.open
    raced = []

    def making(path, *more, **further):
        if str(path) == str(folder) and not raced:
            raced.append(path)
            raise FileExistsError(17, "File exists", str(path))
        return make(path, *more, **further)

    def opening(path, *more, **further):
        if str(path) == str(folder) and not raced:
            raced.append(path)
            folder.rmdir()
        return open_(path, *more, **further)

    if when == "while it is made":
        monkeypatch.setattr(os, "mkdir", making)
    else:
        monkeypatch.setattr(os, "open", opening)
    with atomic_files(folder, last="b") as aside:
        (aside / "b").write_text("all")
    assert raced
    assert (folder / "b").read_text() == "all"


def test_a_file_in_the_place_of_the_folder_is_told(tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(FileExistsError), atomic_files(tmp_path / "out", last="b"):
        pass
    assert (tmp_path / "out").read_text() == "mine"

"""What killed processes leave behind is put back or removed; what only looks like it stays."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from snapws import Workspace, files, leftovers
from snapws.archive import archive
from snapws.verify import verify_archive
from snapws.wt import main as wt

posix = pytest.mark.skipif(os.name == "nt", reason="POSIX only")

BEGIN = "import os, signal, sys\nfrom pathlib import Path\nfrom snapws import files, leftovers\n"
DIE = "os.kill(os.getpid(), signal.SIGKILL)\n"

#: Dies while files move to their place, when the first is in it.
MOVING = f"""{BEGIN}
folder = Path(sys.argv[1])
replace = Path.replace
def moving(path, target):
    replace(path, target)
    if path.parent.name == "new":
        {DIE}
Path.replace = moving
with files.atomic_files(folder, last="last.txt") as aside:
    for name in ("first.txt", "last.txt"):
        (aside / name).write_text("new")
"""

#: Dies while what another process has left is put back, when so many files are in their place.
UNDOING = f"""{BEGIN}
folder, left = Path(sys.argv[1]), {{restored}}
replace = Path.replace
def undoing(path, target):
    global left
    replace(path, target)
    left -= target.parent == folder
    if not left:
        {DIE}
Path.replace = undoing
with files.atomic_files(folder, last="last.txt"):
    {DIE}
"""

#: Dies while a file is written.
WRITING = f"""{BEGIN}
with files.atomic_write(Path(sys.argv[1], "picture.png")) as aside:
    aside.write_text("half")
    {DIE}
"""

#: Has inodes of few digits, as a new file system in memory does.
FEW_DIGITS = """
import os
lstat = os.lstat
def of_few_digits(path):
    found = lstat(path)
    return os.stat_result((found[0], 7, *found[2:]))
os.lstat = of_few_digits
"""

#: Dies while a temporary folder holds a copy of a scan.
COPYING = f"""{BEGIN}
with leftovers.temporary("dss-", Path(sys.argv[1])) as folder:
    (folder / "layer_000.nii.gz").write_text("scan")
    {DIE}
"""


def killed(code: str, folder: Path) -> None:
    done = subprocess.run([sys.executable, "-c", code, str(folder)], timeout=300)
    assert done.returncode == -signal.SIGKILL


def texts(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    for name in ("first.txt", "last.txt", "other.txt"):
        (tmp_path / "out" / name).write_text("old")
    return tmp_path / "out"


def use(folder: Path) -> None:
    """Use the folder again, without success."""
    with pytest.raises(InterruptedError), files.atomic_files(folder, last="last.txt"):
        raise InterruptedError


@posix
def test_next_use_restores_files_that_a_killed_process_was_replacing(folder):
    before = texts(folder)
    killed(MOVING, folder)
    assert texts(folder) != before
    assert "last.txt" not in texts(folder)
    use(folder)
    assert texts(folder) == before


@posix
@pytest.mark.parametrize("restored", [1, 2, 3])
def test_what_is_put_back_stays_when_that_is_cut_short_too(folder, restored):
    before = texts(folder)
    killed(MOVING, folder)

    killed(UNDOING.format(restored=restored), folder)
    use(folder)

    assert texts(folder) == before


@posix
def test_what_has_come_since_a_process_was_killed_stays(folder):
    killed(MOVING, folder)
    (folder / "last.txt").write_text("newer")
    use(folder)
    assert (folder / "last.txt").read_text() == "newer"
    (folder / "last.txt").unlink()
    use(folder)
    assert set(texts(folder).values()) == {"old"}


@posix
def test_a_folder_in_the_way_of_what_is_put_back_stops_nothing(folder):
    killed(MOVING, folder)
    (folder / "first.txt").unlink()
    (folder / "first.txt" / "mine").mkdir(parents=True)
    use(folder)
    assert (folder / "first.txt" / "mine").is_dir()


@posix
def test_next_use_removes_the_half_written_file_of_a_killed_process(folder):
    before = texts(folder)
    killed(WRITING, folder)
    assert len(texts(folder)) == len(before) + 1
    files.write_bytes(folder / "other.txt", b"old")
    assert texts(folder) == before


@posix
def test_a_leftover_with_an_inode_of_few_digits_is_removed_too(folder, monkeypatch):
    before = texts(folder)
    killed(FEW_DIGITS + WRITING, folder)
    monkeypatch.setattr(os, "lstat", os.lstat)  # so that it is put back
    exec(FEW_DIGITS, {})

    files.write_bytes(folder / "picture.png", b"new")

    assert texts(folder) == {**before, "picture.png": "new"}


@posix
def test_next_use_removes_the_temporary_folder_of_a_killed_process(tmp_path):
    killed(COPYING, tmp_path)
    assert [*texts(tmp_path).values()] == ["scan"]
    with leftovers.temporary("dss-", tmp_path):
        pass
    assert [*tmp_path.iterdir()] == []


@posix
@pytest.mark.parametrize("code", [MOVING, WRITING, COPYING], ids=["move", "file", "temporary"])
@pytest.mark.parametrize("how", ["unpacked", "no state", "other host", "replaced", "drop-in"])
def test_what_cannot_be_proved_to_be_ours_stays(folder, tmp_path, monkeypatch, code, how):
    """A folder that was packed and unpacked has the same names, but is none that we made."""
    killed(code, folder)
    if how == "unpacked":
        shutil.copytree(folder, tmp_path / "copy", symlinks=True)
        folder = tmp_path / "copy"
    elif how == "no state":
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "elsewhere"))
    elif how == "other host":
        monkeypatch.setattr(leftovers, "host", lambda: "another")
    elif how == "replaced":
        (left,) = (path for path in folder.iterdir() if path.suffix != ".txt")
        shutil.move(left, tmp_path / "moved")
        left.write_text("mine") if code == COPYING else left.mkdir()
    before = sorted(path.name for path in folder.iterdir())
    if how == "drop-in":
        with leftovers.staying():
            use(folder)
            files.write_bytes(folder / "other.txt", b"old")
            list(leftovers.found(folder, "temporary"))
    else:
        use(folder)
        files.write_bytes(folder / "other.txt", b"old")
        with leftovers.temporary("dss-", folder):
            pass
    assert sorted(path.name for path in folder.iterdir()) == before


@posix
def test_what_a_living_process_has_on_its_way_stays(tmp_path):
    with leftovers.temporary("dss-", tmp_path) as living, leftovers.temporary("dss-", tmp_path):
        assert living.is_dir()


def plant(folder: Path, victim: Path, kind: str) -> Path:
    """Plant what an earlier release took for a leftover of its own, and undid."""
    left = folder / ".appearing-0123456789ab"
    if kind == "a file":
        left.write_text("begun")
        return left
    if kind == "a link":
        left.symlink_to(victim.parent)
        return left
    for name in ("new", "old"):
        (left / name).mkdir(parents=True)
    (left / "new" / "workspace.itksnap").write_text("new")
    name = {"parent": f"../{victim.parent.name}/{victim.name}", "absolute": str(victim)}
    names = name.get(kind, "notes.txt")
    (left / "begun").write_bytes(
        b"\xff\0" if kind == "malformed" else names.encode() + b"\0workspace.itksnap"
    )
    if kind == "old is a link":
        (left / "old").rmdir()
        (left / "old").symlink_to(victim.parent)
    return left


KINDS = ["parent", "absolute", "bare name", "old is a link", "a link", "a file", "malformed"]


@posix
@pytest.mark.parametrize("kind", KINDS)
def test_a_packed_folder_removes_and_moves_nothing(base, tmp_path, kind):
    """Names in it lead elsewhere; the archive is written all the same."""
    victim = tmp_path / "home" / "letter.txt"
    victim.parent.mkdir()
    victim.write_text("mine")
    out = tmp_path / "out"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    left = plant(out, victim, kind)
    report = archive(base, out / "x.itksnap")
    assert texts(victim.parent) == {"letter.txt": "mine"}
    assert (out / "notes.txt").read_text() == "mine"
    assert os.path.lexists(left)
    assert Workspace.open(report.workspace).layers()


@posix
def test_a_planted_leftover_does_not_stop_an_archive_of_a_folder(base, tmp_path):
    archive(base, tmp_path / "out")
    plant(tmp_path / "out", tmp_path / "home" / "letter.txt", "parent")
    archive(base, tmp_path / "out")
    assert [one.message[:11] for one in verify_archive(tmp_path / "out", base)] == [".appearing-"]


@posix
def test_the_drop_in_undoes_nothing(base, tmp_path):
    out = tmp_path / "out"
    archive(base, out / "last.txt.itksnap")
    killed(MOVING, out)
    before = sorted(path.name for path in out.iterdir())
    assert wt(["-i", str(base.path), "-a", str(out / "x.itksnap")]) == 0
    assert wt(["-i", str(base.path), "-o", str(out / "x.itksnap")]) == 0
    assert set(before) <= {path.name for path in out.iterdir()}


@posix
def test_notes_of_missing_files_are_removed(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "out").mkdir()
    killed(COPYING, tmp_path / "out")
    shutil.rmtree(tmp_path / "out")
    with leftovers.temporary("dss-"):
        pass
    assert [*(tmp_path / "state" / "snapws").iterdir()] == []


@posix
@pytest.mark.parametrize("how", ["writable by others", "a link", "a file"])
def test_a_state_folder_that_others_may_write_is_not_used(tmp_path, monkeypatch, how):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    state = tmp_path / "state" / "snapws"
    state.parent.mkdir()
    if how == "a link":
        (tmp_path / "theirs").mkdir()
        state.symlink_to(tmp_path / "theirs")
    elif how == "a file":
        state.touch()
    else:
        state.mkdir()
        state.chmod(0o777)
    assert leftovers.state_folder() is None
    with leftovers.temporary("dss-", tmp_path) as folder:
        assert folder.is_dir()
    assert not folder.exists()


@posix
def test_a_folder_that_a_stranger_holds_is_not_waited_for_for_ever(base, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_PATIENCE", 0.2)
    (tmp_path / "out").mkdir()
    hold = (
        "import fcntl, os, sys; held = os.open(sys.argv[1], os.O_RDONLY); "
        "fcntl.flock(held, fcntl.LOCK_SH); print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(tmp_path / "out")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(Exception, match="another process has held this folder for 0.2 s"):
            archive(base, tmp_path / "out")
        assert [*(tmp_path / "out").iterdir()] == []
        holder.communicate()
    archive(base, tmp_path / "out")


@posix
def test_a_proof_is_not_lost_where_it_cannot_be_written_again(tmp_path, monkeypatch):
    """As on a disk that is full: the file is emptied, and then nothing can be written."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    leftovers.remember(tmp_path)
    assert leftovers.is_remembered(tmp_path)

    def full(path: Path, *_: object, **__: object) -> None:
        path.open("w").close()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_text", full)
    leftovers.remember(tmp_path)
    assert leftovers.is_remembered(tmp_path)

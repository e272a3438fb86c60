"""What every writer does with devices, FIFOs, streams, links, folders and empty names."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
from typer.testing import CliRunner

from snapws import Label, Workspace, WorkspaceError, targets
from snapws import report as reports
from snapws.cli.app import app
from snapws.pictures import scene as scenes
from snapws.wt import main as wt

posix = pytest.mark.skipif(os.name == "nt", reason="no FIFOs, devices, owners on Windows")


@pytest.fixture
def study(tmp_path: Path) -> Path:
    nibabel.save(nibabel.Nifti1Image(np.ones((8, 8, 8), "<i2"), np.eye(4)), tmp_path / "t1.nii")
    workspace = Workspace()
    workspace.set_main(tmp_path / "t1.nii").nickname = "T1"
    workspace.labels = [Label(1, "one")]
    return workspace.save(tmp_path / "study.itksnap")


def run(*words: object) -> int:
    return CliRunner().invoke(app, [str(word) for word in words]).exit_code


def copy(study: Path, to: str) -> int:
    """Write an image; give an exit code as the commands do."""
    try:
        Workspace.open(study).main.copy_image(to)
    except WorkspaceError:
        return 1
    return 0


Writer = Callable[[Path, str], int]

#: All that write a file where a user says, each with an ending that it takes, and what the file
#: begins with.
WRITERS: dict[str, tuple[Writer, str, bytes]] = {
    "edit -o": (lambda s, to: run("labels", "clear", s, "-o", to), ".itksnap", b"<"),
    "new": (lambda s, to: run("new", to, s.with_name("t1.nii")), ".itksnap", b"<"),
    "show": (lambda s, to: run("show", s, "-o", to, "--size", 32), ".png", b"\x89PNG"),
    "compare": (lambda s, to: run("compare", s, s, "--picture", to), ".png", b"\x89PNG"),
    "report": (lambda s, to: run("report", s, "-o", to), ".html", b"<!"),
    "archive --report": (
        lambda s, to: run("archive", s, s.with_name("archive"), "--report", to),
        ".json",
        b"{",
    ),
    "labels": (lambda s, to: run("labels", "export", s, to), ".txt", b"#"),
    "wt -o": (lambda s, to: wt(["-i", str(s), "-o", to]), ".itksnap", b"<"),
    "wt -prd": (
        lambda s, to: wt(["-i", str(s), "-layers-pick", "M", "-prd", "LayerMetaData", to]),
        ".txt",
        b"",
    ),
    "image": (lambda s, to: copy(s, to), ".nii", b"\\\x01"),
}

each_writer = pytest.mark.parametrize("name", WRITERS)


def read_all(fifo: Path, into: list[bytes]) -> threading.Thread:
    thread = threading.Thread(target=lambda: into.append(fifo.read_bytes()), daemon=True)
    thread.start()
    return thread


@posix
@pytest.mark.parametrize("way", ["itself", "a link"])
@each_writer
def test_a_fifo_is_written_through(study, tmp_path, name, way):
    write, ending, start = WRITERS[name]
    fifo = tmp_path / f"fifo{ending}"
    os.mkfifo(fifo)
    target = fifo
    if way == "a link":
        target = tmp_path / f"link{ending}"
        target.symlink_to(fifo.name)
    came: list[bytes] = []
    thread = read_all(fifo, came)
    assert write(study, str(target)) == 0
    thread.join(300)
    assert came
    assert came[0].startswith(start)
    assert came[0]
    assert stat.S_ISFIFO(fifo.stat().st_mode)
    assert target.is_symlink() is (way == "a link")


@posix
@pytest.mark.parametrize("way", ["itself", "a link"])
@each_writer
def test_a_device_stays_a_device(study, tmp_path, name, way):
    write, ending, _ = WRITERS[name]
    device = tmp_path / f"device{ending}"
    try:
        os.mknod(device, stat.S_IFCHR | 0o666, os.makedev(1, 3))
        device.open("wb").close()
    except PermissionError:
        pytest.skip("this user may make no devices here")
    target = device
    if way == "a link":
        target = tmp_path / f"link{ending}"
        target.symlink_to(device)
    assert write(study, str(target)) == 0
    assert stat.S_ISCHR(device.lstat().st_mode)
    assert target.is_symlink() is (way == "a link")


@posix
@each_writer
def test_what_a_link_leads_to_stays(study, tmp_path, name):
    """Whoever packed the folder chose what it leads to."""
    write, ending, start = WRITERS[name]
    mine = tmp_path / "mine"
    mine.write_bytes(b"<mine>")
    mine.chmod(0o600)
    (tmp_path / "packed").mkdir()
    link = tmp_path / "packed" / f"out{ending}"
    link.symlink_to(mine)
    code = write(study, str(link))
    assert mine.read_bytes() == b"<mine>"
    if name in ("report", "new"):
        assert code == 1  # what it leads to is no report; there is a file of that name
    else:
        assert code == 0
        assert not link.is_symlink()
        assert link.read_bytes().startswith(start)


@each_writer
def test_an_empty_name_is_refused(study, tmp_path, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert WRITERS[name][0](study, "") in (1, 2, 255)
    after = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    assert after == before


def test_a_current_folder_that_is_gone_stops_no_absolute_path(study, tmp_path, monkeypatch):
    workspace = Workspace.open(study)
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    if os.name == "posix":  # elsewhere a current folder cannot be removed
        (tmp_path / "gone").rmdir()
    assert Workspace.open(workspace.save(tmp_path / "saved.itksnap")).main.nickname == "T1"


@each_writer
def test_a_folder_is_refused(study, tmp_path, name):
    write, ending, _ = WRITERS[name]
    folder = tmp_path / f"folder{ending}"
    folder.mkdir()
    (folder / "mine").touch()
    assert write(study, str(folder)) in (1, 2, 255)
    assert [path.name for path in tmp_path.glob("folder*/*")] == ["mine"]


@posix
@pytest.mark.parametrize("stream", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "a link"])
@pytest.mark.parametrize("kind", ["file", "pipe"])
def test_standard_output_is_written_to_where_it_is(study, tmp_path, stream, kind):
    """As a file it is the one that the shell opened, and keeps what was in it before."""
    if stream.startswith("/proc") and not Path("/proc/self").exists():
        pytest.skip("this system has no /proc")
    if stream == "a link":
        stream = str(tmp_path / "link")
        Path(stream).symlink_to("/dev/stdout")
    code = "import sys; from snapws.wt import main; print('before', flush=True); "
    words = [sys.executable, "-c", f"{code} sys.exit(main(sys.argv[1:]))", "-i", str(study)]
    words += ["-o", stream, "-P", "-layers-pick", "M"]
    out = tmp_path / "out"
    with out.open("wb") as file:
        done = subprocess.run(
            words, stdout=file if kind == "file" else subprocess.PIPE, timeout=300
        )
    assert done.returncode == 0
    said = (out.read_bytes() if kind == "file" else done.stdout).decode()
    assert said.startswith("before\n<?xml")
    assert said.endswith("</registry>\nINFO: picked layer Layers.Layer[000]\n")


@posix
def test_a_command_writes_a_picture_to_standard_output(study):
    code = "from snapws.cli import main; raise SystemExit(main())"
    words = [sys.executable, "-c", code, "show", str(study), "-o", "/dev/stdout", "--size", "32"]
    done = subprocess.run(words, stdout=subprocess.PIPE, timeout=300)
    assert done.returncode == 0
    assert done.stdout.startswith(b"\x89PNG")


@posix
def test_a_fifo_without_a_reader_is_given_up(study, tmp_path, monkeypatch):
    fifo = tmp_path / "fifo.itksnap"
    os.mkfifo(fifo)
    monkeypatch.setattr("snapws.targets._PATIENCE", 0.2)
    with pytest.raises(WorkspaceError, match="no program reads this FIFO: start its reader"):
        Workspace.open(study).save(fifo)
    assert stat.S_ISFIFO(fifo.stat().st_mode)


@posix
def test_a_reader_of_a_fifo_may_come_late(study, tmp_path):
    fifo = tmp_path / "fifo.itksnap"
    os.mkfifo(fifo)
    came: list[bytes] = []
    reader = threading.Timer(0.3, lambda: came.append(fifo.read_bytes()))
    reader.start()
    Workspace.open(study).save(fifo)
    reader.join(20)
    assert b"<registry>" in came[0]


@posix
def test_nothing_goes_through_a_fifo_before_all_is_there(study, tmp_path):
    workspace = Workspace.open(study)
    study.with_name("t1.nii").write_bytes(study.with_name("t1.nii").read_bytes()[:-9])
    fifo = tmp_path / "fifo.nii"
    os.mkfifo(fifo)
    with pytest.raises(Exception, match="t1.nii"):
        workspace.main.copy_image(fifo)


@posix
def test_a_fifo_of_ones_own_is_written_through_where_all_have_theirs(tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    os.mkfifo(shared / "out.png")
    assert targets.is_stream(shared / "out.png")
    shared.chmod(0o777)
    with pytest.raises(PermissionError, match="may exchange"):
        targets.is_stream(shared / "out.png")


@posix
@pytest.mark.skipif(os.name == "posix" and os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("kind", ["link to a FIFO", "FIFO"])
def test_a_stranger_does_not_choose_where_a_picture_goes(study, tmp_path, kind):
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    target = shared / "out.png"
    if kind == "FIFO":
        os.mkfifo(target)
        os.chown(target, 65534, 65534)
    else:
        os.mkfifo(tmp_path / "fifo")
        target.symlink_to(tmp_path / "fifo")
        os.chown(target, 65534, 65534, follow_symlinks=False)
    with pytest.raises(PermissionError, match="another user made"):
        scenes.save_picture(Workspace.open(study).picture(size=32), target)


@posix
@pytest.mark.skipif(os.name == "posix" and os.geteuid() != 0, reason="only root gives files away")
def test_a_workspace_is_not_saved_through_a_strangers_link(study, tmp_path):
    link = tmp_path / "link.itksnap"
    link.symlink_to(study)
    os.chown(link, 65534, 65534, follow_symlinks=False)
    before = study.read_bytes()
    workspace = Workspace.open(link)
    workspace.main.nickname = "new"
    with pytest.raises(Exception, match="a link that another user made"):
        workspace.save()
    assert study.read_bytes() == before


@posix
def test_a_link_in_a_folder_that_all_may_write_is_not_saved_through(study, tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    (shared / "link.itksnap").symlink_to(study)
    with pytest.raises(Exception, match="a link that another user made or may exchange"):
        Workspace.open(shared / "link.itksnap").save()


@posix
def test_a_link_to_a_disk_is_refused(tmp_path):
    device = tmp_path / "disk"
    try:
        os.mknod(device, stat.S_IFBLK | 0o600, os.makedev(7, 255))
    except PermissionError:
        pytest.skip("this user may make no devices here")
    (tmp_path / "link").symlink_to(device)
    with pytest.raises(PermissionError, match="a disk"):
        targets.is_stream(tmp_path / "link")


def test_a_report_that_is_a_link_to_a_report_is_replaced(study, tmp_path):
    page = tmp_path / "page.html"
    reports.save_page(reports.report_page(Workspace.open(study)), page)
    before = page.read_bytes()
    try:
        (tmp_path / "link.html").symlink_to(page)
    except OSError:
        pytest.skip("links take a privilege on Windows")
    reports.save_page(before + b"<!-- new -->", tmp_path / "link.html")
    assert page.read_bytes() == before
    assert not (tmp_path / "link.html").is_symlink()

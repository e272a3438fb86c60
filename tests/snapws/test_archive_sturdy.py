"""Archives when things go wrong: an archive is there as a whole, or it is not there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from snapws import (
    ArchiveError,
    ImageChanged,
    ImageDamaged,
    ImageError,
    LayerFileMissing,
    Workspace,
)
from snapws.archive import archive
from snapws.packing import Progress
from snapws.verify import verify
from tests.snapws.test_images import write_nifti

posix = pytest.mark.skipif(os.name == "nt", reason="POSIX only")

ARCHIVE = "import sys; from snapws import Workspace; from snapws.archive import archive; "
RUN = ARCHIVE + "archive(Workspace.open(sys.argv[1]), sys.argv[2])"


def noise(path: Path, megabytes: int) -> Path:
    voxels = np.random.default_rng(megabytes).integers(0, 4000, megabytes << 19)
    return write_nifti(path, voxels.astype("<i2").reshape(-1, 256, 256).T)


@pytest.fixture
def large(tmp_path) -> Workspace:
    """A workspace of two layers of 16 MB, saved."""
    (tmp_path / "source").mkdir()
    workspace = Workspace()
    workspace.set_main(noise(tmp_path / "source" / "main.nii", 16))
    workspace.add_overlay(noise(tmp_path / "source" / "overlay.nii", 16))
    workspace.save(tmp_path / "source" / "study.itksnap")
    return workspace


def listing(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def in_process(code: str, *words: object, **options: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)],
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        **options,  # type: ignore[call-overload]
    )


@posix
def test_a_full_disk(large, tmp_path):
    """No file may grow beyond 1 MB, as under a quota."""
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20)); "
    before = listing(tmp_path)
    with in_process(limit + RUN, large.path, tmp_path / "out") as child:
        _, errors = child.communicate(timeout=60)
    assert child.returncode == 1
    assert "ArchiveError: cannot write the archive" in errors.splitlines()[-1]
    assert listing(tmp_path) == before


def test_a_full_file_system(large, tmp_path):
    """A file system of 4 MB, mounted where only the child sees it."""
    (tmp_path / "out").mkdir()
    mount = 'mount -t tmpfs -o size=4m none "$0" && "$1" -c "$2" "$3" "$0"; echo $?; ls -A "$0"'
    words = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    try:
        possible = subprocess.run(
            [*words, 'mount -t tmpfs none "$0"', tmp_path / "out"], capture_output=True, timeout=30
        )
    except FileNotFoundError:
        pytest.skip("there is no unshare on this machine")
    if possible.returncode:
        pytest.skip("this machine lets nobody mount a file system")
    line = [*words, mount, tmp_path / "out", sys.executable, RUN, large.path]
    done = subprocess.run(line, capture_output=True, encoding="utf-8", timeout=60)
    assert "No space left on device" in done.stderr.splitlines()[-1]
    assert done.stdout == "1\n"  # and nothing in the folder


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file that fails to read")
def test_a_read_error_midway(base, tmp_path):
    source = base.layers()[1].path
    pair = write_nifti(tmp_path / "pair.hdr", np.zeros((4, 4, 4), "<i2"), magic=b"ni1")
    pair.write_bytes(pair.read_bytes()[:348])
    (tmp_path / "pair.img").symlink_to("/proc/self/mem")
    base.layers()[1].file = pair
    with pytest.raises(ImageError, match="layer 001: .*pair.img: Input/output error"):
        archive(base, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    base.layers()[1].file = source
    archive(base, tmp_path / "out")


@posix
def test_a_killed_process(large, tmp_path):
    out = tmp_path / "out"
    with in_process(RUN, large.path, out) as child:
        deadline = time.monotonic() + 30
        while not any(path.stat().st_size > 1 << 20 for path in out.glob("*/layer_*")):
            assert time.monotonic() < deadline
            assert child.poll() is None
        os.kill(child.pid, signal.SIGKILL)
        child.communicate(timeout=30)
    assert [path.suffix for path in out.iterdir() if not path.name.startswith(".")] == []
    with pytest.raises(ArchiveError, match="holds none"):
        verify(out)
    report = archive(large, out)
    assert sorted(out.iterdir()) == sorted(report.files)
    assert verify(out, large) == ()


@posix
def test_a_killed_process_leaves_the_earlier_archive_whole(base, large, tmp_path):
    archive(base, tmp_path / "out")
    with in_process(RUN, large.path, tmp_path / "out") as child:
        deadline = time.monotonic() + 30
        while not any(p.stat().st_size > 1 << 20 for p in (tmp_path / "out").glob(".*/layer_*")):
            assert time.monotonic() < deadline
        os.kill(child.pid, signal.SIGKILL)
        child.communicate(timeout=30)
    (left,) = verify(tmp_path / "out", base)
    assert left.message.startswith(".appearing-")


def test_a_folder_that_is_not_empty(base, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "jane.nii").touch()
    with pytest.raises(ArchiveError, match=r"holds other files \(jane.nii\): choose an empty"):
        archive(base, tmp_path / "out")
    assert listing(tmp_path / "out") == ["jane.nii"]
    report = archive(base, tmp_path / "out" / "x.itksnap")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "jane.nii",
        *(path.name for path in report.files),
    }


def test_an_earlier_archive_is_replaced_as_a_whole(base, large, tmp_path):
    archive(large, tmp_path / "out")
    archive(base, tmp_path / "out")
    assert verify(tmp_path / "out", base) == ()
    base.layers()[1].file = base.folder / "truncated.nii.gz"
    before = content(tmp_path / "out")
    with pytest.raises(ImageDamaged):
        archive(base, tmp_path / "out")
    assert content(tmp_path / "out") == before


def test_files_that_cannot_be_moved_leave_the_earlier_archive(base, tmp_path):
    archive(base, tmp_path / "out" / "x.itksnap", names="keep")
    before = content(tmp_path / "out")
    other = Workspace()
    other.set_main(base.folder / "t4d.nii.gz")
    (tmp_path / "out" / "y.itksnap").mkdir()
    with pytest.raises(ArchiveError, match="y.itksnap is a folder"):
        archive(other, tmp_path / "out" / "y.itksnap", names="keep")
    (tmp_path / "out" / "y.itksnap").rmdir()
    in_the_way = tmp_path / "out" / "layer_000_t4d.nii.gz"
    (in_the_way / "full").mkdir(parents=True)
    archive(other, tmp_path / "out" / "y.itksnap", names="keep")
    assert in_the_way.is_file()
    after = content(tmp_path / "out")
    assert {name: after[name] for name in before} == before


def test_two_archives_into_one_folder_take_turns(base, large, tmp_path):
    with in_process(RUN, large.path, tmp_path / "out") as child, ThreadPoolExecutor(4) as pool:
        for report in pool.map(lambda one: archive(one, tmp_path / "out"), [base, large] * 2):
            assert report.workspace.name == "workspace.itksnap"
        child.communicate(timeout=60)
    assert child.returncode == 0
    assert verify(tmp_path / "out") == ()


def test_one_fails_while_another_waits_for_the_folder(base, tmp_path):
    """The one that fails removes the folder that it made, under the feet of the other."""
    broken = Workspace()
    broken.set_main(base.folder / "truncated.nii.gz")
    begun, errors = threading.Event(), []

    def hold(_progress: Progress) -> None:
        begun.set()
        time.sleep(0.3)

    def fail() -> None:
        try:
            archive(broken, tmp_path / "new" / "out", progress=hold)
        except ImageDamaged as error:
            errors.append(error)

    thread = threading.Thread(target=fail)
    thread.start()
    assert begun.wait(30)
    archive(base, tmp_path / "new" / "out")
    thread.join(30)
    assert len(errors) == 1
    assert verify(tmp_path / "new" / "out") == ()


@pytest.mark.parametrize("change", ["written", "shortened", "replaced"])
def test_a_layer_that_changes_while_it_is_read(large, tmp_path, change):
    path = large.layers()[1].path

    def write(progress: Progress) -> None:
        if progress.layer == 1 and progress.done < 2 << 20:
            if change == "written":
                with path.open("rb+") as file:
                    file.seek(-2, os.SEEK_END)
                    file.write(b"xx")
                os.utime(path)
            elif change == "shortened":
                os.truncate(path, 3 << 20)
            else:
                path.with_suffix(".new").write_bytes(path.read_bytes())
                path.with_suffix(".new").replace(path)

    with pytest.raises(ImageChanged, match="layer 001: .*overlay.nii was written to while"):
        archive(large, tmp_path / "out", progress=write)
    assert not (tmp_path / "out").exists()


def test_whoever_watches_can_stop_it(large, tmp_path):
    def stop(progress: Progress) -> None:
        if progress.done > 4 << 20:
            raise KeyboardInterrupt

    threads = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        archive(large, tmp_path / "out", progress=stop)
    assert not (tmp_path / "out").exists()
    assert threading.active_count() == threads


@posix
def test_a_pipe_is_no_layer(base, tmp_path):
    """Reading one would wait for ever."""
    os.mkfifo(tmp_path / "pipe.nii")
    base.layers()[1].file = tmp_path / "pipe.nii"
    with pytest.raises(LayerFileMissing, match="layer 001: .*pipe.nii is no file"):
        archive(base, tmp_path / "out")


def test_progress_goes_to_the_end_of_each_layer(large, tmp_path):
    told: list[Progress] = []
    archive(large, tmp_path / "out", progress=told.append)
    for layer in (0, 1):
        done = [one.done for one in told if one.layer == layer]
        assert done == sorted(done)
        assert done[-1] == 16 << 20
    assert {one.total for one in told} == {16 << 20}

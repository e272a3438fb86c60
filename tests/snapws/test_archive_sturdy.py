"""Archives when things go wrong: an archive is there as a whole, or it is not there."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snapws import (
    ArchiveError,
    ImageChanged,
    ImageDamaged,
    ImageError,
    LayerFileMissing,
    Workspace,
    images,
    packing,
)
from snapws.archive import archive
from snapws.images import ImageHeader
from snapws.images.voxel_hash import VoxelHash
from snapws.packing import Progress
from snapws.verify import verify_archive
from tests import warm
from tests.snapws.images.test_images import write_nifti

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


def in_process(code: str, *words: object, **options: Any) -> subprocess.Popen[str]:
    line = [sys.executable, "-c", code, *words]
    return warm.Process(line, stderr=subprocess.PIPE, encoding="utf-8", **options)


@posix
def test_a_full_disk(large, tmp_path):
    """No file may grow beyond 1 MB, as under a quota."""
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20)); "
    before = listing(tmp_path)
    with in_process(limit + RUN, large.path, tmp_path / "out") as child:
        _, errors = child.communicate(timeout=300)
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
            [*words, 'mount -t tmpfs none "$0"', tmp_path / "out"], capture_output=True, timeout=300
        )
    except FileNotFoundError:
        pytest.skip("there is no unshare on this machine")
    if possible.returncode:
        pytest.skip("this machine lets nobody mount a file system")
    line = [*words, mount, tmp_path / "out", sys.executable, RUN, large.path]
    done = subprocess.run(line, capture_output=True, encoding="utf-8", timeout=300)
    assert "No space left on device" in done.stderr.splitlines()[-1]
    assert done.stdout == "1\n"  # and nothing in the folder


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file that fails to read")
def test_a_read_error_in_a_later_layer(base, tmp_path):
    source = base.layers()[1].path
    (tmp_path / "bad.nii").symlink_to("/proc/self/mem")
    base.layers()[1].file = tmp_path / "bad.nii"
    with pytest.raises(ImageError, match="layer 001: .*bad.nii: Input/output error"):
        archive(base, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    base.layers()[1].file = source
    archive(base, tmp_path / "out")


def wait_for_a_layer(folder: Path, child: subprocess.Popen[str]) -> None:
    """Wait until a megabyte of a layer has been written aside."""
    deadline = time.monotonic() + 300
    while sum(size(path) for path in folder.glob(".*/new/layer_*")) < 1 << 20:
        assert time.monotonic() < deadline
        assert child.poll() is None
        time.sleep(0.005)


def size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # it has got its name
        return 0


@posix
def test_a_killed_process(large, tmp_path):
    out = tmp_path / "out"
    with in_process(RUN, large.path, out) as child:
        wait_for_a_layer(out, child)
        os.kill(child.pid, signal.SIGKILL)
        child.communicate(timeout=300)
    assert [path.suffix for path in out.iterdir() if not path.name.startswith(".")] == []
    with pytest.raises(ArchiveError, match="holds none"):
        verify_archive(out)
    report = archive(large, out)
    assert sorted(out.iterdir()) == sorted(report.files)
    assert verify_archive(out, large) == ()


@posix
def test_a_killed_process_leaves_the_earlier_archive_whole(base, large, tmp_path):
    archive(base, tmp_path / "out")
    with in_process(RUN, large.path, tmp_path / "out") as child:
        wait_for_a_layer(tmp_path / "out", child)
        os.kill(child.pid, signal.SIGKILL)
        child.communicate(timeout=300)
    (left,) = verify_archive(tmp_path / "out", base)
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
    assert verify_archive(tmp_path / "out", base) == ()
    base.layers()[1].file = base.folder / "truncated.nii.gz"
    before = content(tmp_path / "out")
    with pytest.raises(ImageDamaged):
        archive(base, tmp_path / "out")
    assert content(tmp_path / "out") == before


def test_files_that_cannot_be_moved_leave_the_earlier_archive(base, tmp_path):
    archive(base, tmp_path / "out" / "x.itksnap", names="keep")
    other = Workspace()
    other.set_main(base.folder / "t4d.nii.gz")
    (tmp_path / "out" / "y.itksnap").mkdir()
    with pytest.raises(ArchiveError, match="y.itksnap is a folder"):
        archive(other, tmp_path / "out" / "y.itksnap", names="keep")
    (tmp_path / "out" / "y.itksnap").rmdir()
    in_the_way = tmp_path / "out" / "layer_000_t4d.nii.gz"
    (in_the_way / "full").mkdir(parents=True)
    before = listing(tmp_path / "out")
    with pytest.raises(ArchiveError, match="layer_000_t4d.nii.gz in it is a folder"):
        archive(other, tmp_path / "out" / "y.itksnap", names="keep")
    assert listing(tmp_path / "out") == before


INTERRUPTED = """
import os, pathlib, signal, sys
from snapws import Workspace
from snapws.archive import archive
earlier, new, out, name, how = sys.argv[1:]
steps = 0
def step(do, at):
    def done(*args, **kwargs):
        global steps
        result = do(*args, **kwargs)
        steps += 1
        if steps == at:
            if how == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            raise KeyboardInterrupt if how == "interrupt" else OSError(28, "No space left")
        return result
    return done
def run(at):
    def begin(progress):  # to count from when the files have been made
        global steps
        steps = 0
    workspace = Workspace.open(new)
    for method in ("replace", "unlink", "mkdir", "write_text"):
        setattr(pathlib.Path, method, step(getattr(pathlib.Path, method), at))
    os.link = step(os.link, at)
    archive(workspace, f"{out}/{at}/{name}", names="keep", progress=begin)
for at in range(1, 60):
    archive(Workspace.open(earlier), f"{out}/{at}/{name}", names="keep")
    child = os.fork()
    if child == 0:
        try:
            run(at)
        except BaseException:
            os._exit(1)
        os._exit(0)
    if os.waitpid(child, 0)[1] == 0:
        break
print(at)
"""


@posix
@pytest.mark.parametrize("how", ["kill", "interrupt", "full"])
@pytest.mark.parametrize("name", [".", "x.itksnap"])
def test_wherever_it_ends_an_archive_is_there_as_a_whole_or_not_at_all(base, tmp_path, how, name):
    """The earlier archive shares names with the new one, and has other content."""
    earlier = Workspace()
    for number in (2, 1, 0):
        image = tmp_path / "earlier" / base.layers()[number].path.name
        image.parent.mkdir(exist_ok=True)
        image.write_bytes((base.folder / "t4d.nii.gz").read_bytes())
        earlier.add_anatomical(image)
    earlier.save(tmp_path / "earlier" / "earlier.itksnap")
    whole = {}
    for which, one in (("earlier", earlier), ("new", base)):
        report = archive(one, tmp_path / which / "a" / name, names="keep")
        whole[which] = content(report.workspace.parent)
    shared = whole["earlier"].keys() & whole["new"].keys()
    assert len(shared) > 1
    last = report.workspace.name
    out = tmp_path / "out"
    words = [earlier.path, base.path, out, name, how]
    with in_process(INTERRUPTED, *words, stdout=subprocess.PIPE) as child:
        ends, errors = child.communicate(timeout=300)
    assert errors == ""
    assert 10 < int(ends) < 59
    broken = Workspace()
    broken.set_main(base.folder / "truncated.nii.gz")
    for at in range(1, int(ends) + 1):
        there = files_of(out / str(at))
        is_new = all(there.get(one) == data for one, data in whole["new"].items())
        if how == "kill":
            assert is_new or last not in there or there == whole["earlier"], at
        else:
            assert is_new or there == whole["earlier"], at
        assert is_new or at < int(ends)
        with pytest.raises(ImageDamaged):  # it fails, but puts back what was there
            archive(broken, out / str(at) / name)
        assert is_new or content(out / str(at)) == whole["earlier"], at


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_what_comes_into_the_folder_meanwhile_stays(base, tmp_path):
    out = tmp_path / "out"

    def write(_progress: Progress) -> None:
        (out / "notes.txt").write_text("mine")

    with pytest.raises(ArchiveError, match="notes.txt has come into it meanwhile"):
        archive(base, out, progress=write)
    assert listing(out) == ["notes.txt"]


@pytest.mark.parametrize("name", ["layer_000_notes.txt", "workspace.itksnap", "layer_001_a/b.nii"])
def test_what_only_looks_like_an_archive_stays(base, tmp_path, name):
    path = tmp_path / "out" / name
    path.parent.mkdir(parents=True)
    if path.suffix == ".itksnap":
        base.as_saved_in(path.parent).save(path)
    else:
        path.touch()
    before = listing(tmp_path / "out")
    with pytest.raises(ArchiveError, match="holds other files|is not an archive"):
        archive(base, tmp_path / "out")
    assert listing(tmp_path / "out") == before


def test_a_workspace_is_not_archived_over_its_own_images(base, tmp_path):
    archive(base, tmp_path / "ar")
    study = Workspace()
    study.set_main(base.layers()[0].path)
    study.add_overlay(next((tmp_path / "ar").glob("layer_001_*")))
    before = content(tmp_path / "ar")
    with pytest.raises(ArchiveError, match="layer_001_.* is part of the workspace itself"):
        archive(study, tmp_path / "ar")
    with pytest.raises(ArchiveError, match="layer_001_.* is part of the workspace itself"):
        archive(study, tmp_path / "ar" / "other.itksnap")
    assert content(tmp_path / "ar") == before
    archive(study, tmp_path / "elsewhere")


def test_two_archives_into_one_folder_take_turns(base, large, tmp_path):
    with in_process(RUN, large.path, tmp_path / "out") as child, ThreadPoolExecutor(4) as pool:
        for report in pool.map(lambda one: archive(one, tmp_path / "out"), [base, large] * 2):
            assert report.workspace.name == "workspace.itksnap"
        child.communicate(timeout=300)
    assert child.returncode == 0
    assert verify_archive(tmp_path / "out") == ()


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
    assert begun.wait(300)
    archive(base, tmp_path / "new" / "out")
    thread.join(300)
    assert len(errors) == 1
    assert verify_archive(tmp_path / "new" / "out") == ()


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

    threads = {*threading.enumerate()}
    with pytest.raises(KeyboardInterrupt):
        archive(large, tmp_path / "out", progress=stop)
    assert not (tmp_path / "out").exists()
    assert not {*threading.enumerate()} - threads


@posix
def test_a_pipe_is_no_layer(base, tmp_path):
    """Reading one would wait for ever."""
    os.mkfifo(tmp_path / "pipe.nii")
    base.layers()[1].file = tmp_path / "pipe.nii"
    with pytest.raises(LayerFileMissing, match="layer 001: .*pipe.nii is not a file"):
        archive(base, tmp_path / "out")


def test_progress_goes_to_the_end_of_each_layer(large, tmp_path):
    told: list[Progress] = []
    archive(large, tmp_path / "out", progress=told.append)
    for layer in (0, 1):
        done = [one.done for one in told if one.layer == layer]
        assert done == sorted(done)
        assert done[-1] == 16 << 20
    assert {one.total for one in told} == {16 << 20}


def test_a_failed_layer_ends_the_others(large, base, tmp_path):
    large.layers()[1].file = base.folder / "truncated.nii.gz"
    told: list[Progress] = []
    with pytest.raises(ImageDamaged, match="layer 001"):
        archive(large, tmp_path / "out", progress=lambda one: (told.append(one), time.sleep(0.05)))
    assert max((one.done for one in told if one.layer == 0), default=0) < 16 << 20


def test_whoever_watches_is_told_of_one_thing_at_a_time(large, tmp_path):
    inside, most = 0, 0

    def watch(_progress: Progress) -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        time.sleep(0.002)
        inside -= 1

    archive(large, tmp_path / "out", progress=watch)
    assert most == 1


def test_images_that_have_to_be_in_memory_take_turns(tmp_path):
    """Of vector images, all is held until the components are interleaved."""
    workspace = Workspace()
    for number in range(4):
        voxels = np.full((128, 128, 16, 1, 3), number, "<i2")
        path = write_nifti(tmp_path / f"{number}.nii", voxels, intent_code=1007)
        workspace.add_anatomical(path) if number == 0 else workspace.add_overlay(path)
    order: list[int] = []

    def watch(progress: Progress) -> None:
        order.append(progress.layer)
        time.sleep(0.005)

    archive(workspace, tmp_path / "out", progress=watch)
    assert len(order) > 4
    changes = sum(one != other for one, other in itertools.pairwise(order))
    assert changes == 3


def test_image_under_several_layers_is_read_and_hashed_once(tmp_path, monkeypatch):
    path = noise(tmp_path / "a.nii", 2)
    (tmp_path / "below").mkdir()
    linked = tmp_path / "below" / "b.nii"
    linked.hardlink_to(path)
    workspace = Workspace()
    workspace.set_main(path)
    workspace.add_anatomical(tmp_path / "below" / ".." / "a.nii")
    workspace.add_anatomical(linked)
    read, hashed = [], []
    voxels_of, update = ImageHeader.voxels, VoxelHash.update
    monkeypatch.setattr(
        ImageHeader, "voxels", lambda header: read.append(header.path) or voxels_of(header)
    )
    monkeypatch.setattr(
        VoxelHash,
        "update",
        lambda one, piece: hashed.append(len(piece)) or update(one, piece),
    )
    told = {}
    report = archive(
        workspace, tmp_path / "out", progress=lambda one: told.update({one.layer: one})
    )
    assert len(read) == 1
    assert sum(hashed) == 2 << 20
    layers = report.files[:3]
    assert {file.name[9:] for file in layers} == {layers[0].name[9:]}
    assert len({file.read_bytes() for file in layers}) == 1
    assert len({file.stat().st_ino for file in layers}) == 3  # copies, which can be edited
    assert all(told[number].done == told[number].total for number in range(3))
    assert verify_archive(report.workspace) == ()

    again = Workspace.open(report.workspace)
    again.add_anatomical(again.layers()[0].path)
    taken = archive(again, tmp_path / "again")
    assert len(taken.taken) == 4


def test_what_is_wrong_with_an_image_is_known_to_the_layer_that_waits_for_it(tmp_path, monkeypatch):
    """The first layer waits for the second, whose thread takes its time to end after an error."""
    path = noise(tmp_path / "a.nii", 2)
    path.write_bytes(path.read_bytes()[:-9])
    (tmp_path / "first.nii").symlink_to(path)
    workspace = Workspace()
    workspace.set_main(tmp_path / "first.nii")
    workspace.add_anatomical(path)
    second_is_read = threading.Event()
    read, write, check = images.read_header, images.write_nifti, packing._refuse_changed

    def read_header(file, *given):
        if file.name == "first.nii":
            assert second_is_read.wait(300)
        return read(file, *given)

    def write_nifti(*given, **more):
        second_is_read.set()
        return write(*given, **more)

    def refuse_changed(file, *given):
        if file == path:
            time.sleep(0.5)
        check(file, *given)

    monkeypatch.setattr("snapws.deflate.cores", lambda: 2)
    monkeypatch.setattr(images, "read_header", read_header)
    monkeypatch.setattr(images, "write_nifti", write_nifti)
    monkeypatch.setattr(packing, "_refuse_changed", refuse_changed)
    with pytest.raises(ImageDamaged, match="layer 00[01]: .*cut short"):
        archive(workspace, tmp_path / "out")


class Gate:
    """Holds the layers of an archive until they are let in, and notes which are written."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
        self.reached = {name: threading.Event() for name in names}
        self.opened = {name: threading.Event() for name in names}
        read = images.read_header

        def read_header(file, *given):
            self.reached[file.name].set()
            assert self.opened[file.name].wait(300)
            return read(file, *given)

        monkeypatch.setattr("snapws.deflate.cores", lambda: len(names))
        monkeypatch.setattr(images, "read_header", read_header)


def with_one_that_is_cut(folder: Path, *names: str) -> Workspace:
    """Make a workspace of images, and one after them whose header is cut."""
    workspace = Workspace()
    for name in (*names, "cut.nii"):
        workspace.add_anatomical(noise(folder / name, 1))
    (folder / "cut.nii").write_bytes(b"cut")
    return workspace


@posix
def test_an_interrupt_is_not_taken_for_the_failure_of_another_layer(tmp_path, monkeypatch):
    workspace = with_one_that_is_cut(tmp_path, "first.nii")
    gate = Gate(monkeypatch, "first.nii", "cut.nii")
    gate.opened["cut.nii"].set()
    main = threading.main_thread().ident

    def interrupt() -> None:
        for one in gate.reached.values():
            assert one.wait(300)
        time.sleep(0.3)  # now the failure is known, and the first layer is waited for
        signal.pthread_kill(main, signal.SIGINT)
        time.sleep(0.3)
        gate.opened["first.nii"].set()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(interrupt)
        with pytest.raises(KeyboardInterrupt):
            archive(workspace, tmp_path / "out")


def test_a_layer_that_waits_for_another_to_be_read_whole_is_not_read_after_a_failure(
    tmp_path, monkeypatch
):
    workspace = with_one_that_is_cut(tmp_path, "first.nii", "second.nii")
    gate = Gate(monkeypatch, "first.nii", "second.nii", "cut.nii")
    whole = property(lambda header: header.path.name != "cut.nii")
    monkeypatch.setattr(ImageHeader, "needs_whole_image", whole)
    write, written = packing._Packer._write, []

    def hold(packer, header, *given):
        written.append(header.path.name)
        gate.opened["second.nii"].set()
        assert gate.reached["second.nii"].wait(300)
        time.sleep(0.3)  # now the second waits
        gate.opened["cut.nii"].set()
        assert packer._stop.wait(300)
        return write(packer, header, *given)

    monkeypatch.setattr(packing._Packer, "_write", hold)
    gate.opened["first.nii"].set()
    with pytest.raises(ImageError, match="layer 002: "):
        archive(workspace, tmp_path / "out")
    assert written == ["first.nii"]


def test_damaged_image_under_several_layers_is_reported_for_one_of_them(tmp_path):
    path = noise(tmp_path / "a.nii", 2)
    path.write_bytes(path.read_bytes()[:-9])
    workspace = Workspace()
    workspace.set_main(path)
    for _ in range(5):
        workspace.add_anatomical(path)
    with pytest.raises(ImageDamaged, match="layer 00[0-5]: .*cut short"):
        archive(workspace, tmp_path / "out")
    assert not (tmp_path / "out").exists()

"""What a function is given: a job."""

from __future__ import annotations

import io
import os
import sys
import threading
from pathlib import Path
from typing import Any

import psutil
import pytest
from PIL import Image

from dss import service
from dss.cli import hooks as commands
from dss.errors import CommandFailed, JobCancelled, ServiceError
from dss.provider import Category
from dss.serving import hooks
from dss.serving.job import Attached, Job
from snapws import LayerFileMissing, Workspace
from tests.dss.serving.lab import until

BRAIN = Path(__file__).parents[3] / "fixtures" / "brain"

posix = pytest.mark.skipif(os.name == "nt", reason="its commands are of POSIX")


class Notes:
    """Reports as a list."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.values: list[float] = []
        self.files: list[Attached] = []
        self.contents: list[bytes] = []

    def attach(self, attached: Attached) -> None:
        self.contents.append(attached.file.read_bytes())
        self.files.append(attached)

    def log(self, category: Category, message: str) -> None:
        self.told.append((category, message))

    def progress(self, value: float) -> None:
        self.values.append(value)


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def job(notes: Notes, tmp_path: Path) -> Job:
    workdir = tmp_path / "work dir"
    workdir.mkdir()
    return Job(7, Workspace(), workdir, notes)


def python(job: Job, code: str, **options: Any) -> Path:
    return job.run(sys.executable, "-c", code, **options)


# -------------------------------------------------------------------- what it tells


def test_lines_and_copies_of_files_are_reported_in_order(job: Job, notes: Notes) -> None:
    (job.workdir / "a.txt").write_text("first", encoding="ascii")
    (job.workdir / "b.bin").write_bytes(b"\0")
    job.log("one", attach="a.txt")
    job.warn("two", attach=("All of it", job.workdir / "b.bin"))
    job.attach("Again", "a.txt", "text/csv")
    (job.workdir / "a.txt").write_text("second", encoding="ascii")
    job.log("three")
    assert notes.told == [("info", "one"), ("warning", "two"), ("info", "three")]
    assert [(one.description, one.mime_type) for one in notes.files] == [
        ("a.txt", "text/plain"),
        ("All of it", "application/octet-stream"),
        ("Again", "text/csv"),
    ]
    assert notes.contents == [b"first", b"\0", b"first"]
    with pytest.raises(OSError, match="nowhere"):
        job.attach("Lost", "nowhere.txt")


def test_a_service_may_call_another(job: Job, notes: Notes) -> None:
    inner = service(name="Inner")(lambda job: job.log("inner"))

    @service(name="Outer")
    def outer(job: Job) -> None:
        inner(job)
        job.log("outer")

    outer(job)
    assert notes.told == [("info", "inner"), ("info", "outer")]


def test_phases_move_the_progress_and_are_logged(job: Job, notes: Notes) -> None:
    with job.phase("First", 0.0, 0.4) as phase:
        phase.progress(0.5)
        phase.progress(0.25)
        phase.progress(0.5)
        phase.progress(1.0)
    with job.phase("Second", 0.4, 1.0) as phase:
        phase.progress(0.5)
        job.progress(0.1)
    assert notes.values == pytest.approx([0.2, 0.4, 0.7, 1.0])
    assert [message.split(" in ")[0] for _, message in notes.told] == [
        "First: done",
        "Second: done",
    ]


def test_failed_phase_is_not_done(job: Job, notes: Notes) -> None:
    with pytest.raises(KeyError), job.phase("First", 0.0, 0.4):
        raise KeyError
    assert (notes.values, notes.told) == ([], [])


@pytest.mark.parametrize(("start", "end"), [(0.5, 0.4), (-0.1, 0.5), (0.5, 1.1), (float("nan"), 1)])
def test_phase_outside_of_its_range_is_refused(job: Job, start: float, end: float) -> None:
    with (
        pytest.raises(ValueError, match="start and end must be in order"),
        job.phase("A", start, end),
    ):
        pass


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), float("inf")])
def test_progress_outside_of_its_range_is_refused(job: Job, notes: Notes, value: float) -> None:
    refused = pytest.raises(ValueError, match="progress must be within 0 to 1")
    with refused:
        job.progress(value)
    with job.phase("First", 0.0, 0.5) as phase, refused:
        phase.progress(value)
    assert notes.values == [0.5]


# -------------------------------------------------------------------- commands


def test_the_output_of_each_command_is_kept(job: Job, notes: Notes) -> None:
    code = "import os, sys; print(os.getcwd(), flush=True); print('2', file=sys.stderr)"
    first = python(job, code)
    second = python(job, "print('second')")
    assert first.read_text(encoding="utf-8").splitlines()[0] == str(job.workdir.resolve())
    assert len(first.read_text(encoding="utf-8").splitlines()) == 2
    assert second.read_text().strip() == "second"
    assert notes.files == []


def test_a_command_gets_its_words_and_environment(job: Job) -> None:
    code = "import os, sys; print(sys.argv[1:], os.environ['COLOUR'], sys.stdin.read() == '')"
    made = job.run(sys.executable, "-c", code, 3, 0.5, job.workdir, env={"COLOUR": "red"})
    assert made.read_text().strip() == f"{['3', '0.5', str(job.workdir)]} red True"


def test_a_command_must_write_its_file(job: Job, notes: Notes) -> None:
    made = python(job, "open('a.mat', 'w').write('1')", makes="a.mat")
    assert made == job.workdir / "a.mat"
    # What an earlier command has made does not count.
    with pytest.raises(CommandFailed, match="did not write a.mat: no output"):
        python(job, "pass", makes="a.mat")
    assert notes.files == []  # it printed nothing that could be attached
    with pytest.raises(CommandFailed, match="did not write a.mat: I cannot"):
        python(job, "print('I cannot')", makes="a.mat")
    assert [one.mime_type for one in notes.files] == ["text/plain"]


def test_the_output_of_a_failed_command_is_attached(job: Job, notes: Notes) -> None:
    code = "import sys; print('what it did'); sys.exit('no such transform')"
    with pytest.raises(CommandFailed, match="failed, exit code 1: .*no such transform") as failed:
        python(job, code)
    assert failed.value.output.read_bytes() == notes.contents[0]
    assert b"what it did" in notes.contents[0]
    assert notes.files[0].description.startswith("Output of python")
    assert str(job.workdir) not in str(failed.value)


def test_unprintable_output_is_cut_in_the_reason(job: Job, notes: Notes) -> None:
    with pytest.raises(CommandFailed) as failed:
        python(job, r"import os; os.write(1, b'\xff\xfe\x1b[31m' + b'x' * 10**6); os._exit(3)")
    assert len(str(failed.value)) < 500
    assert len(notes.contents[0]) > 10**6


def test_a_missing_program_is_named(job: Job) -> None:
    with pytest.raises(CommandFailed, match="no-such-program cannot be run: No such file"):
        job.run("/somewhere/no-such-program", "-d", 3)


@posix
def test_a_program_that_is_not_executable_is_named(job: Job) -> None:
    (job.workdir / "plain").write_text("text", encoding="ascii")
    with pytest.raises(CommandFailed, match="plain cannot be run: Permission denied"):
        job.run(job.workdir / "plain")


FAMILY = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
time.sleep(600 if sys.argv[1:] else 0)
"""


def child_of(job: Job) -> int:
    (file,) = job.workdir.glob(".output_*")
    until(lambda: file.read_text().endswith("\n"))
    return int(file.read_text())


def is_gone(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return True


def test_a_cancelled_command_is_killed_with_its_children(job: Job) -> None:
    children: list[int] = []

    def cancel() -> None:
        until(lambda: list(job.workdir.glob(".output_*")))
        children.append(child_of(job))
        job.cancel()

    thread = threading.Thread(target=cancel)
    thread.start()
    with pytest.raises(JobCancelled, match="the work on ticket 7 was cancelled"):
        job.run(sys.executable, "-c", FAMILY, "stay")
    thread.join()
    until(lambda: is_gone(children[0]))
    assert job.cancelled


@posix
def test_processes_that_a_command_leaves_are_killed(job: Job) -> None:
    """A command that ends well and leaves a child: that ends with it."""
    job.run(sys.executable, "-c", FAMILY)
    pid = child_of(job)
    until(lambda: is_gone(pid))


def test_nothing_begins_once_cancelled(job: Job, notes: Notes) -> None:
    assert not job.cancelled
    job.cancel()
    with pytest.raises(JobCancelled):
        python(job, "open('made', 'w')")
    with pytest.raises(JobCancelled), job.phase("First", 0.0, 1.0):
        pass
    assert list(job.workdir.iterdir()) == []
    assert notes.told == []


# ---------------------------------------------------------------------- what it shows


def test_a_picture_of_the_workspace_as_it_is(job: Job, notes: Notes) -> None:
    job.workspace.set_main(BRAIN / "target.nii.gz")
    job.attach_picture("Before")
    job.workspace.add_segmentation(BRAIN / "target_labels.nii.gz")
    job.attach_picture("After", layers=["M", "S"], slices=(28, 35, 30))
    job.attach_picture("Again", layers=["M"])
    before, after, again = notes.contents
    assert [(one.description, one.mime_type) for one in notes.files] == [
        ("Before", "image/png"),
        ("After", "image/png"),
        ("Again", "image/png"),
    ]
    with Image.open(io.BytesIO(after)) as picture:
        assert picture.size[0] > 3 * 200
    assert before == again != after
    job.workspace.add_overlay("gone.nii").display.sticky = True
    with pytest.raises(LayerFileMissing, match=r"gone\.nii"):
        job.attach_picture("Never")
    assert len(notes.files) == 3


def test_pictures_where_their_library_is_not_installed(
    job: Job, notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who reads it cannot install anything: it says that this is not for him to mend."""
    monkeypatch.setitem(sys.modules, "PIL", None)
    job.workspace.set_main(BRAIN / "target.nii.gz")
    with pytest.raises(ServiceError, match="not installed completely where it runs.*Pillow"):
        job.attach_picture("Never")
    assert notes.files == []


# -------------------------------------------------------------------- when it is over


def test_nothing_more_is_said_once_it_is_closed(job: Job, notes: Notes) -> None:
    """A thread that the function has left would have something to say for ever."""
    job.log("one")
    job.progress(0.25)
    job.close()
    (job.workdir / "note.txt").write_text("late", encoding="ascii")
    job.log("two", attach="note.txt")
    job.warn("three")
    job.attach("Note", "note.txt")
    job.show_attached()
    job.progress(0.5)
    assert (notes.told, notes.values, notes.files) == ([("info", "one")], [0.25], [])


@pytest.mark.parametrize(
    ("progress", "lines"),
    [
        pytest.param(r"(\d+)%", ["0%", "25%", "50%"], id="percent"),
        pytest.param(r"(\d+) of (\d+)", ["1 of 4", "0 of 0", "2 of 4"], id="done of total"),
        pytest.param(lambda line: float(line) if line else None, ["", "0.5", "7"], id="function"),
    ],
)
@pytest.mark.parametrize("end", [r"\n", r"\r"], ids=["lines", "a bar"])
def test_printed_progress_moves_the_bar_within_its_phase(
    job: Job, notes: Notes, progress: str, lines: list[str], end: str
) -> None:
    code = f"print(*{lines!r}, '', sep='{end}', end='')"
    with job.phase("half", 0.0, 0.5):
        job.run(sys.executable, "-c", code, progress=progress)
    assert 0.25 in notes.values
    assert max(notes.values) == 0.5


def test_progress_is_told_while_the_program_runs(job: Job, notes: Notes) -> None:
    code = (
        "import pathlib, time; print('40%', flush=True)\n"
        "while not pathlib.Path('go').exists(): time.sleep(0.01)"
    )
    running = threading.Thread(
        target=lambda: job.run(sys.executable, "-c", code, progress=r"(\d+)%")
    )
    running.start()
    until(lambda: 0.4 in notes.values)
    (job.workdir / "go").touch()
    running.join(60)
    assert not running.is_alive()


@pytest.mark.parametrize("progress", ["(", "no group", "(a)(b)(c)"])
def test_invalid_rule_for_the_progress_is_refused_before_the_command_runs(
    job: Job, progress: str
) -> None:
    with pytest.raises(ValueError, match="progress: "):
        job.run(sys.executable, "-c", "open('ran', 'w')", progress=progress)
    assert not (job.workdir / "ran").exists()


def test_hooks_of_a_program_report_through_the_job(job: Job, notes: Notes) -> None:
    """Their order stays; a file shows with the next line, as every attachment does."""
    calls = "\n".join(
        f"subprocess.run([sys.executable, '-c', {code!r}, *{words!r}], check=True)"
        for code, words in (
            (HOOK.format("progress"), ["0.4", "segmenting"]),
            (HOOK.format("attach"), ["map.txt", "The map"]),
            (HOOK.format("progress"), ["0.8", "cleaning"]),
        )
    )
    python(job, f"import subprocess, sys; open('map.txt', 'w').write('x')\n{calls}")
    assert notes.told == [("info", "segmenting"), ("info", "cleaning")]
    assert [(one.description, one.file.name) for one in notes.files] == [("The map", "map.txt")]
    assert notes.values == [0.4, 0.8]


HOOK = "import sys; from dss.cli import hooks; sys.exit(hooks.{}())"


@pytest.mark.parametrize(
    ("hook", "words", "code", "error"),
    [
        pytest.param("progress", ["0.5"], 1, "in a command of a job", id="alone"),
        pytest.param("progress", ["40"], 2, "VALUE from 0 to 1", id="percent"),
        pytest.param("progress", [], 2, "usage: dss-progress", id="no value"),
        pytest.param("attach", ["gone.txt"], 1, "gone.txt is not a file", id="no file"),
        pytest.param("attach", [], 2, "usage: dss-attach", id="no name"),
    ],
)
def test_hook_with_wrong_words_says_so(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    hook: str,
    words: list[str],
    code: int,
    error: str,
) -> None:
    monkeypatch.delenv(hooks.FOLDER, raising=False)
    monkeypatch.setattr(sys, "argv", ["hook", *words])
    assert getattr(commands, hook)() == code
    assert error in capsys.readouterr().err

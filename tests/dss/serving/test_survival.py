"""What happens to machines, and that no ticket is lost by it: real processes, really killed."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy
import psutil
import pytest
from nibabel.nifti1 import Nifti1Image

from dss import Client, Middleware, TicketStatus
from tests import ports, warm
from tests.dss.serving.lab import Lab, command_line, stop, until

#: A service that may be held anywhere, and another one that cannot be resumed. Both count their
#: runs, and say a line, attach a file and show progress in each.
HELD = """
    import nibabel, numpy, pathlib, sabotage
    from dss import service

    def segment(job):
        with open(FOLDER + f"/runs_{job.ticket}", "a") as runs:
            runs.write("run ")
        job.progress(0.25)
        with job.phase("Segmentation", 0.25, 0.75):
            sabotage.hold(job.ticket, "function")
            image = nibabel.load(job.workspace.layer(tag="Target").path)
            labels = (numpy.asarray(image.dataobj) > 0).astype("u1")
            nibabel.save(nibabel.Nifti1Image(labels, image.affine), "labels.nii.gz")
            pathlib.Path("note.txt").write_text(f"note of {job.ticket}")
            job.attach("Note", "note.txt")
        job.workspace.add_segmentation("labels.nii.gz", nickname="Result", tags={"Result"})

    again = service(name="NAME", tags=["Target"])(segment)
    never = service(name="NAME_once", tags=["Target"], resumable=False)(segment)
"""

MOMENTS = [
    "before download",
    "after download",
    "function",
    "before archive",
    "after archive",
    "before send",
    "after a file",
    "after send",
    "before set_status",
    "after set_status",
]


@pytest.fixture
def busy_user(middleware: Middleware) -> Client:
    """A user who may have many tickets."""
    middleware.add_user("busy@example.org", tier="xnat")
    return Client(middleware.login("busy@example.org"))


def runs(lab: Lab, ticket: int) -> int:
    """Count how often the function was run for a ticket."""
    file = lab.folder / f"runs_{ticket}"
    return len(file.read_text().split()) if file.exists() else 0


def stored(lab: Lab, ticket: int) -> dict[str, tuple[int, int]]:
    """Return the files of a ticket's result on the server: when each was written, and its place."""
    (folder,) = (
        folder
        for folder in lab.middleware.folder.glob("store/**/results")
        if int(folder.parent.name) == ticket
    )
    return {file.name: (file.stat().st_mtime_ns, file.stat().st_ino) for file in folder.iterdir()}


def said(lab: Lab, ticket: int) -> str:
    """Return the messages of a ticket's log."""
    return "\n".join(line.message for line in lab.lines(ticket))


def check_result(lab: Lab, ticket: int) -> None:
    """Make sure that a ticket succeeded once, with the right voxels, and was told of once."""
    result = lab.result(ticket)
    given = Nifti1Image.from_filename(result.layer(tag="Target").path)
    labels = Nifti1Image.from_filename(result.layer(tag="Result").path)
    assert numpy.array_equal(numpy.asarray(labels.dataobj), numpy.asarray(given.dataobj) > 0)
    steps = lab.rows(f"select step, note from events where ticket = {ticket}")
    assert [note for step, note in steps if step == "finished"] == ["success"]
    assert [step for step, _ in steps].count("claimed") == 1


def check_file_name(lab: Lab, ticket: int) -> None:
    """Make sure that the user has the function's line and its attachment once."""
    told = [line for line in lab.lines(ticket) if line.message.startswith("Segmentation: done")]
    assert len(told) == 1
    (note,) = told[0].attachments
    file = lab.user.fetch_attachment(note, lab.folder / f"note_{ticket}")
    assert file.read_text() == f"note of {ticket}"


@pytest.mark.skipif(os.name == "nt", reason="kill -9 is of POSIX")
def test_runner_killed_at_any_step(lab: Lab, busy_user: Client) -> None:
    """One runner, killed with ten tickets at ten steps, and two of a service that is no resumer."""
    lab.user = busy_user
    once = lab.offer(f"{lab.name}_once")
    lab.write(HELD)
    held = {lab.submit(): moment for moment in MOMENTS}
    cut = lab.submit(service=once)
    done = lab.submit(service=once)
    lab.hold({**held, cut: "function", done: "after a file"})
    with lab.running("--workers", len(held) + 2) as runner:
        until(lambda: all(lab.held(ticket) for ticket in (*held, cut, done)))
        (half,) = (ticket for ticket, moment in held.items() if moment == "after a file")
        before = {ticket: stored(lab, ticket) for ticket in (half, done)}
        early = ("before download", "after download", "function")
        worked = [ticket for ticket, moment in held.items() if moment not in early]
        until(lambda: all("Segmentation: done" in said(lab, ticket) for ticket in worked))
        runner.kill()
        runner.wait()
    until(lambda: not lab.left())

    again = lab.run("--once", "--workers", 2)
    assert again.returncode == 1, again.stderr
    assert again.stderr.endswith("tickets: 11 success, 1 failed\n")
    for ticket, moment in held.items():
        check_result(lab, ticket)
        assert runs(lab, ticket) == (2 if moment == "function" else 1), moment
        check_file_name(lab, ticket)
    for ticket, files in before.items():
        now = stored(lab, ticket)
        assert files
        assert {name: now[name] for name in files} == files
        assert set(now) > set(files)
    check_result(lab, done)
    assert runs(lab, cut) == 1
    assert "cannot take it up again" in lab.error(cut)
    assert not lab.left()


@pytest.mark.skipif(os.name == "nt", reason="kill -9 is of POSIX")
def test_workers_killed_at_any_step(lab: Lab) -> None:
    """Their runner goes on without them; the function is not run again by it."""
    lab.write(HELD)
    held = {lab.submit(): moment for moment in MOMENTS}
    lab.hold(held)
    with lab.running("--once", "--workers", len(held)) as runner:
        until(lambda: all(lab.held(ticket) for ticket in held))
        for ticket in held:
            os.kill(lab.held(ticket) or 0, signal.SIGKILL)
        assert runner.wait(300) == 1
    for ticket, moment in held.items():
        if moment == "function":
            assert "SIGKILL" in lab.error(ticket)
        else:
            check_result(lab, ticket)
            assert runs(lab, ticket) == 1, moment
    assert not lab.left()


@pytest.mark.skipif(os.name == "nt", reason="kill -9 is of POSIX")
def test_line_that_was_sent_is_not_said_again_by_the_run_after_a_kill(lab: Lab) -> None:
    """Killed between the function's last words and their step in the journal, it runs again."""
    lab.write(
        """
        import sabotage
        from dss import service

        @service(name="NAME")
        def work(job):
            (job.workdir / "note.txt").write_text("a note")
            job.log("done", attach=("Note", job.workdir / "note.txt"))
            sabotage.hold(job.ticket, "function")
            job.log("really done")
        """
    )
    ticket = lab.submit()
    lab.hold({ticket: "function"})
    with lab.running() as runner:
        until(lambda: lab.held(ticket) and "done" in said(lab, ticket))
        runner.kill()
        runner.wait()
    until(lambda: not lab.left())
    assert lab.run("--once").returncode == 0
    told = [line for line in lab.lines(ticket) if line.message.endswith("done")]
    assert [line.message for line in told] == ["done", "really done"]
    assert [len(line.attachments) for line in told] == [1, 0]


@pytest.mark.skipif(os.name == "nt", reason="kill -9 is of POSIX")
def test_killed_again_and_again(lab: Lab) -> None:
    """A ticket whose function takes its runner along is not begun for ever."""
    lab.write(
        """
        import os, signal, time
        from dss import service

        @service(name="NAME")
        def fell(job):
            job.progress(0.5)
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(600)
        """
    )
    ticket = lab.submit()
    for _ in range(3):
        assert lab.run("--once", **warm.OWN_CHILDREN).returncode == -signal.SIGKILL
        assert lab.status(ticket) is TicketStatus.CLAIMED
    assert lab.run("--once").returncode == 1
    assert "cut short 3 times" in lab.error(ticket)


@pytest.mark.skipif(os.name == "nt", reason="kill -9 is of POSIX")
def test_failure_told_once(lab: Lab) -> None:
    """Killed between the line of a failure and its report: the user reads it once."""
    lab.write(
        """
        import sabotage
        from dss import service

        @service(name="NAME")
        def fail(job):
            raise RuntimeError("no head in this image")
        """
    )
    before, after = lab.submit(), lab.submit()
    lab.hold({before: "before set_status", after: "after set_status"})
    with lab.running("--once", "--workers", 2) as runner:
        until(lambda: lab.held(before) and lab.held(after))
        runner.kill()
        runner.wait()
    assert lab.run("--once").returncode == 1
    for ticket in (before, after):
        assert lab.error(ticket) == "no head in this image"
        (line,) = lab.lines(ticket, "error")
        assert len(line.attachments) == 1


def test_middleware_away(tmp_path: Path) -> None:
    """It stops while one job is in its function and another one in its upload, and comes back."""
    with ports.reserved() as port, Middleware(tmp_path / "middleware", port=port) as middleware:
        middleware.add_user("user@example.org")
        lab = Lab(middleware, tmp_path, Client(middleware.login("user@example.org")))
        lab.write(HELD)
        at_work, uploading = lab.submit(), lab.submit()
        lab.hold({at_work: "function", uploading: "after a file"})
        with lab.running("--once", "--workers", 2) as runner:
            until(lambda: lab.held(at_work) and lab.held(uploading))
            middleware.stop()
            lab.let_go()
            waiting = "select distinct ticket from events where step = 'waiting'"
            until(lambda: len(lab.rows(waiting)) == 2)
            assert lab.rows("select step from tickets order by ticket") == [
                ("packaged",),
                ("packaged",),
            ]
            assert runner.poll() is None
            middleware.start()
            assert runner.wait(300) == 0
        for ticket in (at_work, uploading):
            check_result(lab, ticket)
            check_file_name(lab, ticket)
            assert runs(lab, ticket) == 1
        assert "Traceback" not in lab.log


def test_progress_never_goes_back(lab: Lab) -> None:
    """The user's bar, over a restart of the work."""
    lab.write(
        """
        import sabotage
        from dss import service

        @service(name="NAME")
        def slow(job):
            with job.phase("First", 0.0, 0.5) as phase:
                phase.progress(0.5)
                phase.progress(0.25)
            sabotage.hold(job.ticket, "function")
            job.progress(0.6)
        """
    )
    ticket = lab.submit()
    lab.hold({ticket: "function"})
    seen = []

    def look(value: float) -> bool:
        seen.append(lab.user.progress(ticket))
        return seen[-1] >= value

    with lab.running("--once") as runner:
        until(lambda: look(0.5))
        until(lambda: lab.held(ticket))
        runner.kill()
        runner.wait()
    with lab.running("--once") as runner:
        until(lambda: look(0.0) and runner.poll() is not None)
    look(0.0)
    assert lab.status(ticket) is TicketStatus.SUCCESS
    assert seen == sorted(seen)
    assert seen[-1] >= 0.6


#: Functions that do not heed that their ticket is gone.
DEAF = """
    import json, pathlib, subprocess, sys, time
    from dss import service

    @service(name="NAME")
    def deaf(job):
        kind = json.loads(pathlib.Path(FOLDER, "plan.json").read_text())[str(job.ticket)]
        child = subprocess.Popen(["sleep", "601"], start_new_session=True)
        pathlib.Path(FOLDER, f"began_{kind}").touch()
        if kind == "sleep":
            time.sleep(600)
        elif kind == "busy":
            sum(range(10**12))
        elif kind == "command":
            job.run("sh", "-c", "sleep 600 & sleep 600; true")
        elif kind == "catching":
            while True:
                try:
                    job.run("sleep", "600")
                except BaseException:
                    pass
"""
KINDS = ["sleep", "busy", "command", "catching"]


def begin_deaf(lab: Lab, kinds: Sequence[str] = KINDS) -> dict[str, int]:
    """Submit a ticket for each kind of deafness."""
    lab.write(DEAF)
    tickets = {kind: lab.submit() for kind in kinds}
    plan = {ticket: kind for kind, ticket in tickets.items()}
    (lab.folder / "plan.json").write_text(json.dumps(plan), encoding="ascii")
    return tickets


@pytest.mark.skipif(os.name == "nt", reason="its commands are of POSIX")
def test_deleted_by_its_user(lab: Lab) -> None:
    tickets = begin_deaf(lab)
    with lab.running("--workers", len(tickets)) as runner:
        until(lambda: all((lab.folder / f"began_{kind}").exists() for kind in tickets))
        for ticket in tickets.values():
            lab.user.delete(ticket)
        until(lambda: lab.rows("select count(*) from tickets where removed") == [(len(tickets),)])
        until(lambda: len(lab.left()) == len(jobs(lab)))
        assert not list(lab.workdir.glob("ticket_*"))
        assert lab.rows("select distinct step, outcome from tickets") == [("finished", "deleted")]
        assert stop(runner) == 0
    assert "4 deleted" in lab.log
    assert not lab.left()


@pytest.mark.skipif(os.name == "nt", reason="its commands are of POSIX")
def test_time_is_up(lab: Lab) -> None:
    tickets = begin_deaf(lab)
    done = lab.run("--once", "--workers", len(tickets), "--timeout", "1s")
    assert done.returncode == 1, done.stderr
    for ticket in tickets.values():
        assert "its time is up: the limit is 1 s" in lab.error(ticket)
    assert not lab.left()


@pytest.mark.skipif(os.name == "nt", reason="its commands are of POSIX")
def test_deaf_job_of_a_killed_runner(lab: Lab) -> None:
    """It cannot notice that its runner is gone; the next runner ends it before it begins again."""
    (ticket,) = begin_deaf(lab, ["busy"]).values()
    with lab.running() as runner:
        until((lab.folder / "began_busy").exists)
        before = {one.pid for one in lab.left()}
        runner.kill()
        runner.wait()
    assert {one.pid for one in lab.left()} == before
    assert lab.run("--once", "--timeout", "1s").returncode == 1
    assert "its time is up" in lab.error(ticket)
    assert not lab.left()


#: Runs what a file says for its ticket, once, and may be held then.
TOLD = """
    import pathlib, sabotage
    from dss import service

    @service(name="NAME")
    def work(job):
        words = pathlib.Path(FOLDER, f"words_{job.ticket}")
        if words.exists():
            command = words.read_text().split()
            words.unlink()
            job.run(*command)
        sabotage.hold(job.ticket, "function")
"""


@pytest.mark.skipif(os.name == "nt", reason="its commands are of POSIX")
def test_all_are_told_to_end_at_once(lab: Lab) -> None:
    """As a machine that is shut down does it: a job is given its time, whatever it ran is not."""
    lab.write(TOLD)
    alone, running = lab.submit(), lab.submit()
    lab.hold({alone: "function"})
    (lab.folder / f"words_{running}").write_text("sleep 602", encoding="ascii")
    with lab.running("--workers", 2) as runner:
        until(lambda: lab.held(alone))
        until(lambda: any("602" in command_line(one) for one in lab.left()))
        runner.send_signal(signal.SIGTERM)
        for one in lab.left():
            with suppress(psutil.NoSuchProcess):  # told by the runner before
                one.send_signal(signal.SIGTERM)
        until(lambda: len(jobs(lab)) < 2)
        lab.let_go()
        assert runner.wait(300) == 0
    assert lab.status(alone) is TicketStatus.SUCCESS
    assert lab.status(running) is TicketStatus.CLAIMED
    assert lab.lines(running, "error") == []
    assert lab.run("--once").returncode == 0
    assert lab.status(running) is TicketStatus.SUCCESS


def jobs(lab: Lab) -> list[int]:
    """Return the first processes of the jobs that run, and of those that wait for one."""
    worker = {"dss.serving.worker", "tests.warm"}  # a fork keeps the command line that it has
    return [one.pid for one in lab.left() if worker.intersection(command_line(one))]


@pytest.mark.skipif(os.name == "nt", reason="its commands are of POSIX")
def test_what_a_job_starts_can_be_told_to_end(lab: Lab) -> None:
    lab.write(
        """
        import multiprocessing, pathlib, time
        from dss import service
        from dss.errors import CommandFailed

        def stay():
            pathlib.Path("on").touch()
            time.sleep(600)

        @service(name="NAME")
        def work(job):
            with multiprocessing.get_context("fork").Pool(1) as pool:  # which ends them at its end
                pool.apply_async(stay)
                while not pathlib.Path("on").exists():
                    time.sleep(0.05)
            try:
                job.run("sh", "-c", "kill -TERM $$")
            except CommandFailed as error:
                job.log(str(error))
        """
    )
    ticket = lab.submit()
    assert lab.run("--once", "--timeout", "20s").returncode == 0
    assert lab.status(ticket) is TicketStatus.SUCCESS
    assert "sh failed, exit code -15: no output" in said(lab, ticket)

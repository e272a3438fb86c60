"""The runner, from outside: `dss run` as its users start it."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from contextlib import closing
from functools import partial
from pathlib import Path
from threading import Thread
from unittest import mock

import numpy
import pytest
import requests
from nibabel.nifti1 import Nifti1Image

from dss import Client, Middleware, Session, TicketStatus
from dss.login import Credentials
from dss.serving.runner import Runner
from dss.serving.settings import Settings
from tests.dss.serving.lab import LAB, SERVICE, Lab, stop, until

posix = pytest.mark.skipif(os.name == "nt", reason="POSIX only")


def test_tickets_succeed(lab: Lab) -> None:
    tickets = [lab.submit(), lab.submit()]
    done = lab.run("--once", "--workers", 2)
    assert done.returncode == 0, done.stderr
    assert done.stderr.endswith("tickets: 2 success\n")
    for ticket in tickets:
        result = lab.result(ticket)
        image = Nifti1Image.from_filename(result.layer(tag="Result").path)
        assert numpy.asarray(image.dataobj).any()
        assert [entry.message for entry in lab.lines(ticket)][-1].startswith("Segmentation: done")


def test_missing_tag(lab: Lab) -> None:
    ticket = lab.submit(tag="Sourse")
    assert lab.run("--once").returncode == 1
    assert "Target" in lab.error(ticket)


# -------------------------------------------------------------------- what a function may do

#: A service whose function does for each ticket what `plan.json` says.
MISBEHAVING = """
    import ctypes, json, multiprocessing, os, pathlib, signal, subprocess, sys, threading, time
    from dss import service
    from snapws import Workspace

    def raises(job):
        raise ValueError("no head in this image")

    def raises_nothing_to_say(job):
        raise RuntimeError

    def raises_many_lines(job):
        raise RuntimeError("one\\n\\n  two\\x1b[31m\\n" + "long " * 1000)

    def raises_private_names(job):
        import getpass, socket
        pathlib.Path(f"/home/{getpass.getuser()}/secrets on {socket.gethostname()}/a.txt").stat()

    def raises_unprintable(job):
        raise RuntimeError("caf\\udce9 \\ud800")

    def raises_without_string(job):
        class Odd(Exception):
            def __str__(self):
                raise KeyError("no word")
        raise Odd

    def exits(job):
        raise SystemExit(3)

    def exits_well(job):
        sys.exit(0)

    def interrupts(job):
        raise KeyboardInterrupt

    def leaves(job):
        os._exit(3)

    def leaves_well(job):
        os._exit(0)

    def crashes(job):
        ctypes.string_at(0)

    def aborts(job):
        os.abort()

    def kills_itself(job):
        os.kill(os.getpid(), signal.SIGKILL)

    def returns_nonsense(job):
        return 42

    def returns_empty(job):
        return Workspace()

    def returns_lost_layer(job):
        job.workspace.add_overlay("nowhere.nii.gz")

    def loses_its_layer(job):
        os.unlink(job.workspace.layer(tag="Target").path)

    def recurses(job):
        return recurses(job)

    def forks(job):
        subprocess.Popen(["sleep", "602"], start_new_session=True)
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                time.sleep(603)
            os._exit(0)
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(604)

    def leaves_thread(job):
        threading.Thread(target=time.sleep, args=(605,)).start()

    def leaves_pool(job):
        multiprocessing.get_context("spawn").Process(target=time.sleep, args=(606,)).start()

    def talks(job):
        for _ in range(20_000):
            print("x" * 100)
            print("y" * 100, file=sys.stderr)
        os.system("head -c 3000000 /dev/zero")

    def talks_bytes(job):
        os.write(1, b"\\xff\\xfe{}\\n")
        sys.stdout.buffer.write(b"\\x80\\n")
        print("caf\\u00e9")

    def speaks_as_the_process(job):
        print('{"step": "finished", "outcome": "failed", "number": 1}', flush=True)
        os.write(1, b'{"sent": "x", "size": 1}\\n')

    def closes(job):
        sys.stdin.close()
        for number in (0, 1, 2):
            os.close(number)

    def closes_streams(job):
        sys.stdout.close()
        sys.stderr = None
        threading.Thread(target=time.sleep, args=(607,)).start()

    def closes_all(job):
        os.closerange(0, 256)

    def reads(job):
        assert sys.stdin.read() == ""

    def goes_elsewhere(job):
        os.chdir("/")

    def goes_nowhere(job):
        os.mkdir("gone")
        os.chdir("gone")
        os.rmdir(job.workdir / "gone")

    def removes_its_folder(job):
        import shutil
        shutil.rmtree(job.workdir)

    def takes_signals(job):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM):
            signal.signal(number, signal.SIG_IGN)

    def mangles_environment(job):
        os.environ.clear()

    def looks_around(job):
        found = [name for name in os.environ if "TOKEN" in name]
        others = [one.name for one in job.workdir.parent.parent.glob("ticket_*")]
        job.log(json.dumps([sorted(os.listdir()), str(job.workdir) == os.getcwd(), found]))

    @service(name="NAME", tags=["Target"])
    def misbehave(job):
        plan = json.loads(pathlib.Path(FOLDER, "plan.json").read_text())
        return globals()[plan[str(job.ticket)]](job)
"""

#: What the user reads of those that fail.
FAILING = {
    "raises": "ValueError: no head in this image",
    "raises_nothing_to_say": "RuntimeError",
    "raises_many_lines": "^one two .{0,6}long long",
    "raises_private_names": "No such file",
    "raises_unprintable": "caf",
    "raises_without_string": "Odd",
    "exits": "SystemExit: 3",
    "exits_well": "SystemExit",
    "interrupts": "KeyboardInterrupt",
    "leaves": "exit code 3",
    "leaves_well": "exit code 0",
    "crashes": "SIGSEGV",
    "aborts": "SIGABRT",
    "kills_itself": "SIGKILL",
    "returns_nonsense": "returned int instead of a workspace",
    "returns_empty": ".",
    "returns_lost_layer": "nowhere.nii.gz",
    "loses_its_layer": "layer 000",
    "recurses": "maximum recursion depth",
    "closes_all": ".",
}
SUCCEEDING = [
    "forks",
    "leaves_thread",
    "leaves_pool",
    "talks",
    "talks_bytes",
    "speaks_as_the_process",
    "closes",
    "closes_streams",
    "reads",
    "goes_elsewhere",
    "goes_nowhere",
    "removes_its_folder",
    "takes_signals",
    "mangles_environment",
    "looks_around",
]


@pytest.fixture(scope="module")
def busy(middleware: Middleware, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A lab whose user may have many tickets."""
    middleware.add_user("submitter@example.org", tier="xnat")
    user = Client(middleware.login("submitter@example.org"))
    return Lab(middleware, tmp_path_factory.mktemp("busy"), user)


@pytest.fixture(scope="module")
def behaved(busy: Lab) -> dict[str, int]:
    """The tickets of all that functions may do, done by one runner."""
    busy.write(MISBEHAVING)
    tickets = {what: busy.submit() for what in (*FAILING, *SUCCEEDING)}
    plan = {ticket: what for what, ticket in tickets.items()}
    (busy.folder / "plan.json").write_text(json.dumps(plan), encoding="ascii")
    with busy.running("--once", "--workers", 2, DSS_TOKEN="secret") as runner:
        assert runner.wait(1200) == 1
    return tickets


@posix
@pytest.mark.parametrize("what", FAILING)
def test_function_fails(busy: Lab, behaved: dict[str, int], what: str) -> None:
    said = busy.error(behaved[what])
    assert re.search(FAILING[what], said), said
    assert len(said) < 700
    assert said.isprintable()
    # What the process said last, or where in the function it went wrong; if there is something.
    in_result = what.startswith("returns") or what == "loses_its_layer"
    silent = what in ("leaves", "leaves_well", "kills_itself", "closes_all")
    attached = busy.lines(behaved[what], "error")[0].attachments
    assert len(attached) == (0 if in_result or silent else 1)


@posix
@pytest.mark.parametrize("what", SUCCEEDING)
def test_function_succeeds(busy: Lab, behaved: dict[str, int], what: str) -> None:
    assert busy.status(behaved[what]) is TicketStatus.SUCCESS, busy.lines(behaved[what])


@posix
def test_nothing_left_of_functions(busy: Lab, behaved: dict[str, int]) -> None:
    assert not busy.left()
    assert not list(busy.workdir.glob(".starting_*"))
    ended = busy.rows("select outcome, count(*) from tickets group by 1 order by 1")
    assert ended == [("failed", len(FAILING)), ("success", len(SUCCEEDING))]
    assert "\nTraceback" not in busy.log
    (line,) = (one.message for one in busy.lines(behaved["looks_around"]) if "[[" in one.message)
    assert json.loads(line) == [[], True, []]


@posix
def test_private_names(busy: Lab, behaved: dict[str, int]) -> None:
    """Neither the message nor the traceback says where this ran."""
    import getpass
    import socket

    for what in FAILING:
        (line,) = busy.lines(behaved[what], "error")
        texts = [line.message]
        for number, attached in enumerate(line.attachments):
            file = busy.user.fetch_attachment(attached, busy.folder / f"{what}_{number}")
            texts.append(file.read_text(encoding="utf-8"))
        for text in texts:
            for name in (getpass.getuser(), socket.gethostname(), str(busy.folder), "/home/"):
                if name != "root" or "/root" in text:
                    assert name not in text, what
            assert str(Path(sys.prefix)) not in text
        if what.startswith("raises") and "string" not in what:
            assert "Traceback" in texts[1], what


@posix
def test_memory(lab: Lab) -> None:
    lab.write(
        """
        import time
        from dss import service

        @service(name="NAME")
        def eat(job):
            if job.ticket % 2:
                eaten = bytearray(400_000_000)
                time.sleep(600)
        """
    )
    tickets = [lab.submit(), lab.submit()]
    assert lab.run("--once", "--memory", "300M").returncode == 1
    greedy, modest = sorted(tickets, key=lambda ticket: ticket % 2 == 0)
    assert "of memory: the limit is 0.30 GB" in lab.error(greedy)
    assert lab.status(modest) is TicketStatus.SUCCESS


def test_time_is_up_for_the_function_alone(lab: Lab) -> None:
    """What comes after it, the packing and the upload, may take as long as it does."""
    lab.write("import sabotage\n" + textwrap.dedent(SERVICE))
    ticket = lab.submit()
    lab.hold({ticket: "before archive"})
    with lab.running("--once", "--timeout", "5s") as runner:
        until(lambda: lab.held(ticket))
        time.sleep(7.0)  # longer than the limit, and than it takes to see that
        lab.let_go()
        assert runner.wait(300) == 0
    assert lab.result(ticket)


def small_disk(lab: Lab) -> list[object]:
    """Return what a runner is started by, so that its work folder is a disk of 64 MB."""
    lab.workdir.mkdir()
    words = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    mount = 'mount -t tmpfs -o size=64m none "$0"'
    try:
        possible = subprocess.run([*words, mount, lab.workdir], capture_output=True, timeout=300)
    except FileNotFoundError:
        pytest.skip("there is no unshare on this machine")
    if possible.returncode:
        pytest.skip("this machine lets nobody mount a file system")
    return [*words, mount + ' && "$@"', lab.workdir]


@pytest.mark.parametrize(
    ("much", "reason"), [(56, "filled the disk"), (100, "filled the disk|No space left")]
)
def test_full_disk(lab: Lab, much: int, reason: str) -> None:
    """A disk of 64 MB, which only the runner sees: the job that fills it fails, no other."""
    (lab.folder / "much").write_text(str(much), encoding="ascii")
    lab.write(
        """
        import pathlib, time
        from dss import service

        @service(name="NAME")
        def fill(job):
            if job.ticket == int(pathlib.Path(FOLDER, "greedy").read_text()):
                with open("much", "wb") as file:
                    for _ in range(int(pathlib.Path(FOLDER, "much").read_text())):
                        file.write(bytes(10**6))
                        file.flush()
                        time.sleep(0.02)
                time.sleep(600)
        """
    )
    greedy, modest = lab.submit(), lab.submit()
    (lab.folder / "greedy").write_text(str(greedy), encoding="ascii")
    with lab.running("--once", "--min-free", "40M", before=small_disk(lab)) as runner:
        assert runner.wait(300) == 1
    assert re.search(reason, lab.error(greedy))
    assert lab.status(modest) is TicketStatus.SUCCESS


def test_a_job_that_has_not_filled_the_disk_goes_on(lab: Lab) -> None:
    lab.write(
        """
        import pathlib, time
        from dss import service

        @service(name="NAME")
        def innocent(job):
            others = job.workdir.parent.parent / "of somebody else"
            others.write_bytes(bytes(57_000_000))
            while "is nearly full" not in pathlib.Path(FOLDER, "runner.log").read_text():
                time.sleep(0.05)
            time.sleep(2)
            others.unlink()
        """
    )
    ticket = lab.submit()
    with lab.running("--once", "--min-free", "40M", before=small_disk(lab)) as runner:
        assert runner.wait(300) == 0
    assert lab.status(ticket) is TicketStatus.SUCCESS
    assert lab.log.count("is nearly full") == 1


def test_no_room(lab: Lab) -> None:
    """Nothing is claimed that the disk has no room for."""
    ticket = lab.submit()
    with lab.running("--min-free", "900T") as runner:
        until(lambda: "no ticket is claimed" in lab.log)
        assert stop(runner) == 0
    assert lab.status(ticket) is TicketStatus.READY
    assert lab.log.count("no ticket is claimed") == 1


def test_once_without_what_a_ticket_takes(lab: Lab) -> None:
    """It does not wait for what nobody brings: it ends, and says for want of what."""
    ticket = lab.submit()
    done = lab.run("--once", "--min-free", "900T")
    assert done.returncode == 1
    assert "dss: error: no ticket is claimed: less than 900.0 TB free" in done.stderr
    done = lab.run("--once", "--memory", "1M")
    assert done.returncode == 1
    assert re.search("dss: error: .*of memory: the limit is 0.00 GB\n", done.stderr), done.stderr
    assert lab.status(ticket) is TicketStatus.READY


# -------------------------------------------------------------------- how it ends

#: A service that works until the test says so, and does not mind being told to end.
LONG = """
    import pathlib, time
    from dss import service

    @service(name="NAME")
    def work(job):
        pathlib.Path(FOLDER, "began").touch()
        while not pathlib.Path(FOLDER, "go_on").exists():
            time.sleep(0.05)
"""


@posix
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopped_within_grace(lab: Lab, number: signal.Signals) -> None:
    lab.write(LONG)
    ticket, other = lab.submit(), lab.submit()
    with lab.running() as runner:
        until((lab.folder / "began").exists)
        runner.send_signal(number)
        until(lambda: "stopping; 1 at work" in lab.log)
        lab.let_go()
        assert runner.wait(300) == 0
    assert lab.status(ticket) is TicketStatus.SUCCESS
    assert lab.status(other) is TicketStatus.READY
    assert lab.log.endswith("tickets: 1 success\n")
    assert "Traceback" not in lab.log
    assert not lab.left()


@posix
def test_stopped_without_grace(lab: Lab) -> None:
    """The next start finishes what was left."""
    lab.write(LONG)
    ticket = lab.submit()
    with lab.running("--grace", "0s") as runner:
        until((lab.folder / "began").exists)
        assert stop(runner) == 0
    assert "left for the next start" in lab.log
    assert "Traceback" not in lab.log
    assert lab.status(ticket) is TicketStatus.CLAIMED
    assert not lab.left()
    lab.let_go()
    again = lab.run("--once")
    assert again.returncode == 0
    assert "taken up again" in again.stderr
    assert lab.status(ticket) is TicketStatus.SUCCESS


@posix
def test_stopped_twice(lab: Lab) -> None:
    lab.write(LONG)
    lab.submit()
    with lab.running("--grace", "10m") as runner:
        until((lab.folder / "began").exists)
        runner.send_signal(signal.SIGTERM)
        until(lambda: "stopping" in lab.log)
        assert stop(runner) == 0
    assert "left for the next start" in lab.log
    assert "Traceback" not in lab.log
    assert not lab.left()


@posix
def test_stopped_twice_while_the_server_stalls(lab: Lab) -> None:
    """No answer is waited for, however long that would be."""
    settings = Settings(LAB, lab.workdir, min_free=0, interval=0.1)
    runner = Runner(
        lab.file,
        lambda: Credentials(lab.home).open_session(retry_for=0.0, timeout=(5.0, 600.0)),
        settings,
    )
    running = Thread(target=runner.run)
    running.start()
    until(lambda: hasattr(runner, "_claims") and runner._claims.waiting == 0)
    os.kill(lab.middleware.pid, signal.SIGSTOP)
    try:
        time.sleep(1.0)  # by now it waits for an answer
        runner.stop()
        runner.stop()
        running.join(300)
        assert not running.is_alive()
    finally:
        os.kill(lab.middleware.pid, signal.SIGCONT)
        running.join(300)


def test_stopped_by_a_signal_in_the_middle_of_an_abort(tmp_path: Path) -> None:
    """A handler waits for nothing that the thread which it interrupts may hold."""
    runner = Runner(tmp_path / "service.py", mock.Mock(), Settings(LAB, tmp_path))
    with Session("http://127.0.0.1:9") as session:
        runner._session = session
        with session._connections._cutting:
            handler = Thread(target=lambda: (runner.stop(), runner.stop()), daemon=True)
            handler.start()
            handler.join(30)
            assert not handler.is_alive()
        until(session._connections.broken.is_set)


@posix
def test_stopped_while_idle(lab: Lab) -> None:
    with lab.running() as runner:
        until(lambda: "for testlab" in lab.log)
        assert stop(runner) == 0
    assert lab.log.endswith("tickets: none\n")


# -------------------------------------------------------------------- what it refuses


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """Make sure that a runner gave up in one line; give it."""
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("dss: error: ")
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def (:\n", "invalid syntax (my_service.py, line 1)"),
        ("import no_such_package\n", "No module named 'no_such_package' (my_service.py, line 1)"),
        ("x = 1\n", "declares no service"),
        ("\n\nraise SystemExit(3)\n", "SystemExit: 3 (my_service.py, line 3)"),
        ("import os\nos._exit(4)\n", "4"),
        ("import os\nos.abort()\n", "SIGABRT"),
        ("print('{not json')\nprint('[1]')\nimport sys; sys.exit('gone')\n", "gone"),
        (None, "there is no service file"),
    ],
)
def test_service_file_refused(lab: Lab, text: str | None, said: str) -> None:
    ticket = lab.submit()
    if text is None:
        lab.file.unlink()
    else:
        lab.write(text)
    assert said in refused(lab.run("--once"))
    assert lab.status(ticket) is TicketStatus.READY


@posix
def test_a_journal_that_is_damaged_meanwhile(lab: Lab) -> None:
    """Not one that can be gone on with: it is said in a line, and no job is left."""
    lab.write(LONG)
    lab.submit()
    with lab.running() as runner:
        until((lab.folder / "began").exists)
        with (lab.workdir / "journal.sqlite3").open("r+b") as file:
            size = file.seek(0, os.SEEK_END)
            for place in (24, 92):  # by which others see that it has changed
                file.seek(place)
                file.write((10**6).to_bytes(4, "big"))
            file.seek(4096)
            file.write(b"\xff" * (size - 4096))
        lab.let_go()
        assert runner.wait(300) == 1
    (line,) = (line for line in lab.log.splitlines() if line.startswith("dss: error: "))
    assert re.search("journal.sqlite3 cannot be .* malformed", line)
    assert "Traceback" not in lab.log
    until(lambda: not lab.left())
    assert "malformed" in refused(lab.run("--once"))


def test_one_work_folder_one_runner(lab: Lab) -> None:
    with lab.running("--instance", "first") as runner:
        until(lambda: "for testlab" in lab.log)
        said = refused(lab.run("--once", "--instance", "second"))
        assert f"in use by first, process {runner.pid}" in said
        assert stop(runner) == 0
    # What it is bound to.
    assert "instance first" in refused(lab.run("--once", "--instance", "second"))
    assert f"provider {LAB}" in refused(lab.run("--once", "--provider", "otherlab"))
    with closing(sqlite3.connect(lab.workdir / "journal.sqlite3")) as database, database:
        database.execute("update meta set value = 'http://127.0.0.1:9' where key = 'server'")
    assert "server http://127.0.0.1:9" in refused(lab.run("--once"))


def test_not_logged_in(lab: Lab) -> None:
    ticket = lab.submit()
    Credentials(lab.home).forget()
    assert "dss login" in refused(lab.run("--once"))
    assert lab.status(ticket) is TicketStatus.READY


def test_not_offered(lab: Lab) -> None:
    ticket = lab.submit()
    text = lab.file.read_text(encoding="utf-8")
    lab.write(text.replace(lab.name, "Unheard"))
    assert "declares (Unheard)" in refused(lab.run())
    lab.write(text)
    assert "no service Nonsense" in refused(lab.run("--service", "Nonsense"))
    assert lab.status(ticket) is TicketStatus.READY


def test_server_away_at_start(lab: Lab) -> None:
    other = lab.folder / "elsewhere"
    said = refused(lab.run("--server", "http://127.0.0.1:9", "--workdir", other))
    assert "http://127.0.0.1:9" in said
    assert not other.exists()


def test_a_run_that_cannot_begin_binds_nothing(lab: Lab) -> None:
    """The provider is mistyped: the right one finds the work folder as if that had not been."""
    ticket = lab.submit()
    said = refused(lab.run("--once", "--provider", "otherlab", "--instance", "mistaken"))
    assert "otherlab does not offer you" in said
    assert "you can serve for: testlab" in said
    assert not lab.workdir.exists()
    lab.write("x = 1\n")
    assert "declares no service" in refused(lab.run("--once"))
    assert not lab.workdir.exists()
    lab.write(SERVICE)
    done = lab.run("--once")
    assert done.returncode == 0, done.stderr
    assert lab.status(ticket) is TicketStatus.SUCCESS


# -------------------------------------------------------------------- its options


def test_several_services(lab: Lab) -> None:
    """All of a file are served, or those that are asked for, by name or hash."""
    other = lab.offer(f"{lab.name}_other")
    lab.write(
        """
        from dss import service

        @service(name="NAME")
        def one(job):
            job.log("one")

        @service(name="NAME_other", resources={"gpu": 1})
        def other(job):
            job.log("other")

        @service(name="NAME_nowhere")
        def nowhere(job):
            job.log("nowhere")
        """
    )
    first, second, third, fourth = (lab.submit(service=one) for one in (lab.hash, other) * 2)
    done = lab.run("--once", "--gpus", "0", "--max-tickets", 1, "--service", other)
    assert done.stderr.endswith("tickets: 1 success\n")
    assert [lab.status(one).value for one in (first, second, third, fourth)] == [
        "ready",
        "success",
        "ready",
        "ready",
    ]
    assert lab.run("--max-tickets", 1, "--service", lab.name).returncode == 0
    assert lab.status(first) is TicketStatus.SUCCESS
    assert lab.run("--once", "--gpus", "0").stderr.endswith("tickets: 2 success\n")
    said = [lab.lines(ticket, "info")[-1].message for ticket in (first, second, third)]
    assert said == ["one", "other", "one"]
    assert lab.run("--once").stderr.endswith("tickets: none\n")


def test_log_in_json_and_clean_work_folder(lab: Lab) -> None:
    good, bad = lab.submit(), lab.submit(tag="Other")
    done = lab.run("--once", "--log-json", "--keep", "0s", "--instance", "probe")
    *lines, last = done.stderr.splitlines()
    assert last == "dss: tickets: 1 success, 1 failed"
    records = [json.loads(line) for line in lines]
    assert {"time", "level", "message"} <= set.intersection(*(set(one) for one in records))
    steps = {
        ticket: [one["step"] for one in records if one.get("ticket") == ticket]
        for ticket in (good, bad)
    }
    whole = ["claimed", "downloaded", "processing", "processed", "packaged", "uploaded", "finished"]
    assert steps[good] == whole
    assert steps[bad] == ["claimed", "downloaded", "failing", "finished"]
    moved = {one["step"]: one["bytes"] for one in records if "bytes" in one}
    assert set(moved) == {"downloaded", "packaged", "uploaded"}
    assert moved["packaged"] == moved["uploaded"] > 0
    timed = {one["step"] for one in records if one.get("seconds", -1) >= 0}
    assert timed == {*whole, "failing"} - {"claimed", "processing"}
    assert any("probe" in line.message for line in lab.lines(good))
    # The next start removes what is older than --keep.
    assert lab.run("--once", "--keep", "0s").returncode == 0
    assert not list(lab.workdir.glob("ticket_*"))
    assert lab.rows("select count(*) from tickets where removed") == [(2,)]


def test_files_of_finished_tickets_are_kept(lab: Lab) -> None:
    ticket = lab.submit()
    lab.run("--once")
    lab.run("--once")
    (folder,) = lab.workdir.glob("ticket_*")
    assert folder.name == f"ticket_{ticket:08d}"
    if os.name == "posix":
        assert folder.stat().st_mode & 0o077 == 0
        assert lab.workdir.stat().st_mode & 0o077 == 0


def test_done_again_after_a_retry(lab: Lab) -> None:
    """Its owner queues a failed ticket again: nothing of the first time is left."""
    lab.write(
        """
        import pathlib
        from dss import service

        @service(name="NAME")
        def second_time(job):
            job.progress(0.8)
            flag = pathlib.Path(FOLDER, "flag")
            if not flag.exists():
                flag.touch()
                raise RuntimeError("not yet")
            assert not list(job.workdir.iterdir())
        """
    )
    ticket = lab.submit()
    assert lab.run("--once").stderr.endswith("tickets: 1 failed\n")
    lab.user.retry(ticket)
    assert lab.run("--once").stderr.endswith("tickets: 1 success\n")
    assert lab.status(ticket) is TicketStatus.SUCCESS
    assert lab.rows("select step, outcome, reason from tickets") == [("finished", "success", "")]


def test_metrics_say_what_waits_at_the_server_while_all_workers_are_busy(lab: Lab) -> None:
    lab.write(LONG)
    lab.submit()
    with lab.running("--metrics", 0, "--interval", "0.2s") as runner:
        until((lab.folder / "began").exists)
        (address,) = re.findall(r"http://127\.0\.0\.1:\d+/metrics", lab.log)
        read = partial(requests.get, address, timeout=60)
        for number in (1, 2):  # the second one comes when nothing but the metrics asks for it
            lab.submit()
            said = f'dss_server_queue_tickets{{service="{lab.name}"}} {number}.0\n'
            until(lambda said=said: said in read().text)
        assert re.search(r"^dss_server_silent_seconds [0-9.e-]+$", read().text, re.MULTILINE)
        lab.let_go()
        assert stop(runner) == 0


# -------------------------------------------------------------------- the file is edited meanwhile

#: A service that says which edition of its file it is of.
EDITION = """
    from dss import service

    @service(name="NAME")
    def work(job):
        job.log("edition ONE")
"""


def test_a_service_that_is_gone_from_the_file(lab: Lab) -> None:
    """Its tickets are not claimed until it is back."""
    with lab.running("--interval", "1s") as runner:
        until(lambda: "for testlab" in lab.log)
        lab.write(EDITION.replace("NAME", "Other"))
        ticket = lab.submit()
        until(lambda: f"no longer declares {lab.name}" in lab.log)
        time.sleep(2.0)
        assert lab.status(ticket) is TicketStatus.READY
        assert lab.log.count("no longer declares") == 1
        lab.write(EDITION)
        until(lambda: lab.status(ticket) is TicketStatus.SUCCESS)
        assert stop(runner) == 0
    assert lab.rows("select outcome from tickets") == [("success",)]


@pytest.mark.parametrize("seconds", [3, 600], ids=["an old edition", "one that hangs"])
def test_a_worker_that_waits_is_of_the_file_as_it_is(lab: Lab, seconds: int) -> None:
    """What gets ready with another edition of it is not waited for, nor given a ticket."""
    lab.write(EDITION)
    with lab.running("--interval", "1s") as runner:
        until(lambda: "for testlab" in lab.log)
        slow = f"""
            import pathlib, time
            pathlib.Path(FOLDER, "importing").touch()
            time.sleep({seconds})
        """
        lab.write(textwrap.dedent(slow) + textwrap.dedent(EDITION))
        ticket = lab.submit()
        until((lab.folder / "importing").exists)
        lab.write(EDITION.replace("ONE", "TWO"))
        until(lambda: lab.status(ticket) is TicketStatus.SUCCESS)
        assert stop(runner) == 0
    assert "edition TWO" in [line.message for line in lab.lines(ticket)]


# -------------------------------------------------------------------- logins and claims lost


def test_login_lost_meanwhile(lab: Lab) -> None:
    """The result waits until there is a login again."""
    lab.write(LONG)
    ticket = lab.submit()
    with lab.running("--max-tickets", 1) as runner:
        until((lab.folder / "began").exists)
        lab.log_out()
        lab.let_go()
        until(lambda: "not logged in" in lab.log or "dss login" in lab.log)
        assert runner.poll() is None
        lab.log_in()
        assert runner.wait(300) == 0
    assert lab.status(ticket) is TicketStatus.SUCCESS
    assert "Traceback" not in lab.log


#: `dss`, killed as soon as the server has given it a ticket.
KILLED_BY_CLAIM = """
import os, signal, sys
from dss.provider import Provider

claim = Provider.claim

def killed(*words):
    claim(*words)
    os.kill(os.getpid(), signal.SIGKILL)

Provider.claim = killed
from dss.cli import main
sys.argv = sys.argv[1:]
main()
"""


@posix
def test_claim_lost(lab: Lab) -> None:
    """Killed between the server's answer to a claim and the journal."""
    lost, waiting = lab.submit(), lab.submit()
    killed = lab.run("--once", before=[sys.executable, "-c", KILLED_BY_CLAIM])
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert lab.status(lost) is TicketStatus.CLAIMED
    assert lab.rows("select ticket from tickets") == []

    warned = lab.run("--once")
    assert warned.returncode == 0
    assert "1 claims had no answer" in warned.stderr
    assert "--adopt" in warned.stderr
    assert lab.status(lost) is TicketStatus.CLAIMED
    assert lab.status(waiting) is TicketStatus.SUCCESS

    adopted = lab.run("--once", "--adopt")
    assert adopted.returncode == 0, adopted.stderr
    lab.result(lost)
    claims = lab.rows("select outcome from claims order by id")
    assert (f"ticket {lost}",) in claims
    assert "had no answer" not in lab.run("--once").stderr

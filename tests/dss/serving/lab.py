"""A laboratory for tests of the runner: the real middleware, a service's file, runners to kill."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import nibabel
import numpy
import psutil
import pytest

from dss import Admin, Client, Middleware, TicketStatus
from dss.login import Credentials
from dss.middleware import ADMINISTRATOR
from dss.records import LogEntry
from dss.serving import processes
from dss.serving.journal import reading
from snapws import Workspace
from tests import warm

LAB = "testlab"

#: What comes before the installed packages on the lab's machine.
_PACKAGES = Path(__file__).with_name("plain")

_LIMIT = 300.0

_numbers = count(1)

#: A service that adds a segmentation of all that is not zero.
SERVICE = """
    import nibabel, numpy
    from dss import service
    from snapws import Label

    @service(name="NAME", tags=["Target"])
    def segment(job):
        image = nibabel.load(job.workspace.layer(tag="Target").path)
        with job.phase("Segmentation", 0.0, 0.9):
            labels = (numpy.asarray(image.dataobj) > 0).astype("u1")
            nibabel.save(nibabel.Nifti1Image(labels, image.affine), "labels.nii.gz")
        job.workspace.add_segmentation("labels.nii.gz", nickname="Result", tags={"Result"})
        job.workspace.labels = [*job.workspace.labels, Label(1, "Bright")]
"""


class Lab:
    """A service of a provider with a login of its own, and a user of it.

    Attributes:
        middleware: The server, shared with other tests.
        folder: Where everything is.
        name: Name of the service; `NAME` in a service's text is replaced by it, and `FOLDER` by
            the folder.
        hash: Its hash.
        user: Somebody who submits tickets.
        workdir: The runner's work folder.
    """

    def __init__(self, middleware: Middleware, folder: Path, user: Client) -> None:
        number = next(_numbers)
        self.middleware = middleware
        self.folder = folder
        self.name = f"Served{number}_{os.getpid()}"
        self.user = user
        self.workdir = folder / "work"
        self.home = folder / "home"
        self.home.mkdir()
        self.file = folder / "my_service.py"
        self.hash = self.offer(self.name)
        self.email = f"provider{number}_{os.getpid()}@example.org"
        middleware.add_user(self.email)
        with middleware.login(ADMINISTRATOR) as session:
            Admin(session).add_user(LAB, self.email)
        self.log_in()
        self.write(SERVICE)
        self._study = self._make_study()

    def log_in(self) -> None:
        """Keep a new login of the provider, as `dss login` does."""
        with self.middleware.login(self.email) as session:
            Credentials(self.home).save(session)

    def log_out(self) -> None:
        """Have the server forget the provider's login, which is still kept here."""
        with Credentials(self.home).open_session() as session:
            cookie = session.cookie
        file = self.middleware.folder / "db.sqlite3"
        with closing(sqlite3.connect(file, timeout=30)) as server, server:
            words = "delete from sessions where session_id = ?"
            gone = server.execute(words, (cookie and cookie.value,))
        assert gone.rowcount == 1

    def offer(self, name: str) -> str:
        """Have the provider offer a service; give its hash."""
        description = self.folder / f"description of {name}"
        description.mkdir()
        tag = {"name": "Target", "type": "MainImage", "hint": "a scan", "required": True}
        service = {"name": name, "version": "1.0.0", "shortdesc": "a test", "tags": [tag]}
        (description / "service.json").write_text(json.dumps(service), encoding="utf-8")
        return self.middleware.publish(description, LAB)

    def write(self, text: str) -> Path:
        """Write the service's file, which can import `sabotage`."""
        shutil.copy(Path(__file__).with_name("sabotage.py"), self.folder)
        text = textwrap.dedent(text).replace("NAME", self.name)
        text = text.replace("FOLDER", repr(str(self.folder)))
        self.file.write_text(text, encoding="utf-8")
        return self.file

    def hold(self, moments: Mapping[int, str]) -> None:
        """Set at which moment `sabotage` holds the process of which ticket."""
        plan = {str(ticket): moment for ticket, moment in moments.items()}
        (self.folder / "moments.json").write_text(json.dumps(plan), encoding="utf-8")

    def held(self, ticket: int) -> int | None:
        """Return the process that is held with a ticket, None where there is none yet."""
        file = self.folder / f"held_{ticket}"
        return int(file.read_text(encoding="ascii")) if file.exists() else None

    def let_go(self) -> None:
        """Let all go on that are held."""
        (self.folder / "go_on").touch()

    def submit(self, *, tag: str = "Target", service: str | None = None) -> int:
        """Submit a small workspace, to the service of a hash; give the ticket."""
        if tag != "Target":
            workspace = Workspace.open(self._study.path or "")
            workspace.main.tags = frozenset({tag})
            return self.user.submit(workspace, service or self.hash)
        return self.user.submit(self._study, service or self.hash)

    def run(
        self, *options: object, before: Sequence[object] = (), **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a runner to its end, by a program that gets its words after its own."""
        words, environment = self._words(*options), self._environment(variables)
        if not before:
            return warm.captured(
                words, timeout=_LIMIT, env=environment, cwd=self.folder, loaded=_loaded(options)
            )
        return subprocess.run(
            [*map(str, before), *words],
            env=environment,
            cwd=self.folder,
            capture_output=True,
            encoding="utf-8",
            timeout=_LIMIT,
            check=False,
        )

    @contextmanager
    def running(
        self, *options: object, before: Sequence[object] = (), **variables: str
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Start a runner, as `run`, which is killed at the end of the block if it still runs.

        What it prints is in the file `runner.log` of the folder.
        """
        with (self.folder / "runner.log").open("ab") as log:
            start = subprocess.Popen if before else partial(warm.Process, loaded=_loaded(options))
            process = start(
                [*map(str, before), *self._words(*options)],
                env=self._environment(variables),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            yield process
        except BaseException:
            sys.stdout.write(self.log)  # where whoever looks into a failure finds it
            raise
        finally:
            process.kill()
            process.wait()

    @property
    def log(self) -> str:
        """What the runners of `running` have printed."""
        return (self.folder / "runner.log").read_text(encoding="utf-8")

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Ask the journal."""
        with reading(self.workdir) as database:
            return database.execute(query).fetchall()

    def status(self, ticket: int) -> TicketStatus:
        return self.user.status(ticket)

    def lines(self, ticket: int, category: str | None = None) -> list[LogEntry]:
        """Return the ticket's log, all of it or the lines of a category."""
        log = self.user.detail(ticket).log
        return [entry for entry in log if category in (None, entry.category)]

    def error(self, ticket: int) -> str:
        """Return the reason of a ticket that failed: the one error in its log."""
        assert self.status(ticket) is TicketStatus.FAILED
        (entry,) = self.lines(ticket, "error")
        return entry.message

    def result(self, ticket: int) -> Workspace:
        """Fetch the result of a ticket that succeeded."""
        assert self.status(ticket) is TicketStatus.SUCCESS, [e.message for e in self.lines(ticket)]
        return Workspace.open(self.user.download(ticket, self.folder / f"result{ticket}"))

    def left(self) -> list[psutil.Process]:
        """List the processes of jobs that run now, whatever has become of their parents."""
        found = []
        for process in psutil.process_iter():
            try:
                mark = process.environ().get(processes.MARK, "")
                if mark.startswith(str(self.folder.resolve())) and process.is_running():
                    found.append(process)
            except (psutil.Error, OSError):  # ended meanwhile, or somebody else's
                continue
        return [one for one in found if lives(one)]

    def _words(self, *options: object) -> list[str]:
        program = str(Path(sys.executable).with_name("dss"))
        own = ["run", str(self.file), "--provider", LAB, "--workdir", str(self.workdir)]
        return [program, *own, "--min-free", "10M", *map(str, options)]

    def _environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        home = {"HOME": str(self.home), "USERPROFILE": str(self.home)}
        # A server that a developer has set is not the one to be tested.
        kept = {k: v for k, v in os.environ.items() if not k.startswith("ITKSNAP_WT_")}
        return warm.with_workers({**kept, **home, "PYTHONPATH": str(_PACKAGES), **variables})

    def _make_study(self) -> Workspace:
        voxels = numpy.random.default_rng(1).integers(0, 3, (9, 8, 7), numpy.int16)
        nibabel.save(nibabel.Nifti1Image(voxels, numpy.eye(4)), self.folder / "scan.nii.gz")
        study = Workspace()
        study.add_anatomical(self.folder / "scan.nii.gz", tags={"Target"})
        study.save(self.folder / "study.itksnap")
        return study


def _loaded(options: Sequence[object]) -> str:
    """Return what a runner is to be a fork of."""
    return "dask" if "dask" in options else "commands"


def command_line(process: psutil.Process) -> list[str]:
    """Return the command line of a process; it is empty when the process has ended."""
    try:
        return list(process.cmdline())
    except (psutil.Error, OSError):
        return []


def lives(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except (psutil.Error, OSError):
        return False


def until(condition: Callable[[], object], *, limit: float = 300.0) -> None:
    """Wait until something holds.

    Raises:
        AssertionError: It does not in time.
    """
    end = time.monotonic() + limit
    pause = 0.02
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(pause)
        pause = min(0.3, pause * 1.3)  # most conditions cost a request


def stop(process: subprocess.Popen[bytes], *, limit: float = 300.0) -> int:
    """End a runner; return its exit code."""
    process.send_signal(signal.SIGTERM)
    return process.wait(limit)


@pytest.fixture
def lab(middleware: Middleware, tmp_path: Path, client: Client) -> Lab:
    return Lab(middleware, tmp_path, client)

"""A laboratory to do harm to: its middleware, its runner, its users and their tickets."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import nibabel
import numpy
import psutil

from dss import Admin, Client, Middleware, MiddlewareFailed, TicketStatus
from dss.login import Credentials
from dss.middleware import ADMINISTRATOR
from dss.serving import processes
from snapws import Workspace
from tests import warm
from tests.chaos import services

LAB = "chaoslab"
NAMES = ("ChaosAgain", "ChaosOnce")
LACKS = -1
"""A ticket without the layer that the service asks for; other modes are of `services`."""

# Below the ports that systems give to outgoing connections: while the server is away, one of those
# could take its port.
_PORTS = range(20000, 32000)


@dataclass
class Wish:
    """A ticket as its user means it.

    Attributes:
        number: Its number here; its scan is made from it.
        service: Name of the service.
        mode: What is to happen: one of the modes of `services`, or `LACKS`.
        voxels: The scan.
        affine: Its geometry.
        at: When it is submitted, in seconds from the beginning.
        deleted_after: Seconds after which its user deletes it; None for most.
        ticket: Its number at the server, once it is submitted.
        deleted: Whether it was deleted.
        retried: Whether its user has queued it again after it failed.
    """

    number: int
    service: str
    mode: int
    voxels: numpy.ndarray
    affine: numpy.ndarray
    at: float
    deleted_after: float | None
    ticket: int = 0
    deleted: bool = False
    retried: bool = False


def wishes(count: int, seed: int, seconds: float) -> list[Wish]:
    """Make up tickets, each with a scan of its own; one in eight is not to succeed, and so on."""
    generator = numpy.random.default_rng(seed)
    made = []
    for number in range(count):
        kind = number % 16
        mode = {3: services.RAISES, 8: services.COMMAND_FAILS, 13: LACKS}.get(kind, services.WORKS)
        shape = tuple(generator.integers(6, 14, 3))
        voxels = generator.integers(0, 200, shape, numpy.uint8)
        voxels[0, 0, 0] = generator.integers(20, 200)
        voxels[0, 0, 1] = max(mode, 0)
        affine = numpy.diag([*generator.uniform(0.5, 2.0, 3), 1.0])
        affine[:3, 3] = generator.uniform(-50, 50, 3)
        made.append(
            Wish(
                number=number,
                service=NAMES[number % 5 == 2],
                mode=mode,
                voxels=voxels,
                affine=affine.astype(numpy.float32).astype(float),
                # A third waits from the beginning; the others come until a little before the end.
                at=0.0 if number % 3 == 0 else float(generator.uniform(0, 0.85 * seconds)),
                deleted_after=float(generator.uniform(0, 6)) if number % 10 == 6 else None,
            )
        )
    return sorted(made, key=lambda wish: wish.at)


@dataclass
class Strike:
    """A kill: when, whom, at which moment, and for which ticket, where that is known."""

    at: float
    victim: str
    moment: str
    ticket: int | None = None


@dataclass
class Site:
    """All that runs, and the folder that it is in.

    Attributes:
        folder: Where everything is.
        workers: How many workers the runner has.
        starts: How often what was started.
        ended: Exit codes of runners that ended by themselves.
        has_server: Whether the middleware runs.
    """

    folder: Path
    workers: int
    starts: Counter[str] = field(default_factory=Counter)
    ended: list[int] = field(default_factory=list)
    has_server: bool = True

    def __post_init__(self) -> None:
        self.workdir = self.folder / "work"
        self.record = self.folder / "record"
        self.home = self.folder / "home"
        self.log = self.folder / "runner.log"
        for folder in (self.record, self.home):
            folder.mkdir()
        self._runner: subprocess.Popen[bytes] | None = None
        self._stack = ExitStack()

    def open(self) -> None:
        """Start the middleware, with a provider of the services and a user."""
        for _ in range(50):
            # What is tried is seeded, where it listens is not: two trials may run side by side.
            port = random.SystemRandom().choice(_PORTS)
            self.middleware = Middleware(self.folder / "middleware", port=port)
            with suppress(MiddlewareFailed):  # the port is in use
                self.middleware.start()
                break
        self._stack.callback(self.middleware.stop)
        tag = {"name": "Target", "type": "MainImage", "hint": "a scan", "required": True}
        self.hashes = {}
        for name in NAMES:
            description = self.folder / name
            description.mkdir()
            service = {"name": name, "version": "1.0.0", "shortdesc": "a trial", "tags": [tag]}
            (description / "service.json").write_text(json.dumps(service), encoding="utf-8")
            self.hashes[name] = self.middleware.publish(description, LAB)
        self.middleware.add_user("provider@example.org")
        with self.middleware.login(ADMINISTRATOR) as session:
            Admin(session).add_user(LAB, "provider@example.org")
        with self.middleware.login("provider@example.org") as session:
            Credentials(self.home).save(session)
        self.middleware.add_user("user@example.org", tier="xnat")
        session = self._stack.enter_context(self.middleware.login("user@example.org"))
        self.user = Client(session)

    def close(self) -> None:
        """End everything, however it is."""
        if self._runner:
            self._runner.kill()
            self._runner.wait()
        processes.kill(f"{self.workdir.resolve()}/", beginning=True)
        self._stack.close()

    # ---------------------------------------------------------------- the runner

    def keep_runner(self) -> None:
        """Start the runner again if it has ended."""
        if self._runner and self._runner.poll() is None:
            return
        if self._runner and self._runner.returncode != -signal.SIGKILL:
            self.ended.append(self._runner.returncode)
            # 1: it has found no server, and has nothing to go on with.
            last = self.log.read_text(encoding="utf-8", errors="replace")[-1000:]
            assert self._runner.returncode == 1, f"the runner ended: {last}"
        self.starts["runner"] += 1
        with self.log.open("ab") as log:
            self._runner = warm.Process(
                self._words(), env=self._environment(), stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, cwd=self.folder,
            )  # fmt: skip

    def stop_runner(self, limit: float) -> int:
        """End it; return its exit code."""
        assert self._runner
        self._runner.terminate()
        return self._runner.wait(limit)

    def _words(self) -> list[str]:
        program = str(Path(sys.executable).with_name("dss"))
        options = ["--adopt", "--workers", self.workers, "--min-free", "10M", "--interval", "1s"]
        own = ["run", services.__file__, "--provider", LAB, "--workdir", self.workdir]
        return [program, *map(str, [*own, *options])]

    def _environment(self) -> dict[str, str]:
        own = {"HOME": str(self.home), "CHAOS_RECORD": str(self.record)}
        return {k: v for k, v in os.environ.items() if not k.startswith("ITKSNAP_WT_")} | own

    # ---------------------------------------------------------------- harm

    def kill(self, victim: str, choose: random.Random) -> list[Strike]:
        """Kill -9 one of a kind, or all; give what was killed: nothing, where there is none."""
        if victim == "everything":
            # As when the power fails.
            return [
                strike
                for each in ("runner", "middleware", "workers")
                for strike in self.kill(each, choose)
            ]
        if victim == "runner":
            return self._end(self._runner.pid if self._runner else None, victim)
        if victim == "middleware":
            there, self.has_server = self.has_server, False
            return self._end(self.middleware.pid, victim) if there else []
        family = [one for one in self.left_over() if _is_worker(one) == (victim != "command")]
        if victim != "workers" and family:
            # Of several, rather one that is at work than one that waits for it.
            at_work = [one for one in family if _ticket_of(one)]
            family = [choose.choice(at_work if at_work and choose.random() < 0.8 else family)]
        return [strike for one in family for strike in self._end(one.pid, victim.rstrip("s"))]

    def _end(self, pid: int | None, victim: str) -> list[Strike]:
        try:
            process = psutil.Process(pid)
            if pid is None or process.status() == psutil.STATUS_ZOMBIE:
                return []
            ticket = _ticket_of(process)
            process.kill()
        except psutil.Error:
            return []
        return [Strike(0.0, victim, "", ticket)]

    def start_server(self) -> None:
        """Start the middleware again that was killed."""
        self.starts["middleware"] += 1
        self.middleware.restart()
        self.has_server = True

    def left_over(self) -> list[psutil.Process]:
        """List the processes of jobs: those with their mark."""
        found = []
        for one in psutil.process_iter():
            try:
                marked = (
                    one.environ().get(processes.MARK, "").startswith(f"{self.workdir.resolve()}/")
                )
                if marked and one.status() != psutil.STATUS_ZOMBIE:
                    found.append(one)
            except (psutil.Error, OSError):  # it has ended, or is somebody else's
                continue
        return found

    # ---------------------------------------------------------------- the user

    def submit(self, wish: Wish) -> None:
        """Submit a ticket."""
        file = self.folder / "scan.nii.gz"
        nibabel.save(nibabel.Nifti1Image(wish.voxels, wish.affine), file)
        study = Workspace()
        study.add_anatomical(file, tags={"Other" if wish.mode == LACKS else "Target"})
        study.save(self.folder / "study.itksnap")
        wish.ticket = self.user.submit(study, self.hashes[wish.service])

    def retry(self, wish: Wish) -> None:
        """Queue a ticket again, if it has failed."""
        if self.user.status(wish.ticket) is TicketStatus.FAILED:
            self.user.retry(wish.ticket)
            wish.retried = True

    def delete(self, wish: Wish) -> None:
        """Delete a ticket."""
        self.user.delete(wish.ticket)
        wish.deleted = True


def _is_worker(process: psutil.Process) -> bool:
    try:
        return "dss.serving.worker" in process.cmdline()
    except psutil.Error:
        return False


def _ticket_of(process: psutil.Process) -> int | None:
    """Return which ticket's folder a process is in; None while there is none."""
    try:
        parts = Path(process.cwd()).parts
    except (psutil.Error, OSError):
        return None
    return next((int(part[7:]) for part in parts if part.startswith("ticket_")), None)

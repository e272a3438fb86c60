"""A site for tests of batches: the real middleware, a provider at work, a user with a cohort."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path

import nibabel
import numpy

from dss import Admin, Client, Middleware, Provider, TicketStatus
from dss.errors import DssError, NotFound
from dss.login import Credentials
from dss.middleware import ADMINISTRATOR
from snapws import Workspace
from tests import ports, warm

LAB, NAME = "batchlab", "Segment"
USER, WORKER = "user@example.org", "worker@example.org"
REASON = "no brain is in the scan"
QUOTA = 10
"""Tickets that the middleware allows to a guest."""

LIMIT = 300.0  # seconds, generous: of a wait for an event
_TAG = {"name": "Target", "type": "MainImage", "hint": "a scan", "required": True}


class Site:
    """A middleware, a provider that works in a thread, and a user with a folder.

    Args:
        folder: An empty folder.
        refused: Numbers of the cases that the provider fails.

    Attributes:
        done: The tickets that the provider was given of each case.
        paused: Set while the provider rests.
    """

    def __init__(self, folder: Path, refused: Iterable[int] = ()) -> None:
        self.folder = folder
        self.refused = set(refused)
        self.done: dict[int, set[int]] = defaultdict(set)
        self.out = folder / "out"
        self.home = folder / "home"
        self.home.mkdir()
        self._stack = ExitStack()
        self._end = threading.Event()
        self.paused = threading.Event()
        self.trouble: list[Exception] = []
        self._over: set[int] = set()  # tickets that nothing more happens to

    def __enter__(self) -> Site:
        port = self._stack.enter_context(ports.reserved())
        self.middleware = self._stack.enter_context(
            Middleware(self.folder / "middleware", port=port)
        )
        for email in (USER, WORKER):
            self.middleware.add_user(email)
        description = self.folder / "description"
        description.mkdir()
        words = {"name": NAME, "version": "1.0.0", "shortdesc": "a test", "tags": [_TAG]}
        (description / "service.json").write_text(json.dumps(words), encoding="utf-8")
        self.hash = self.middleware.publish(description, LAB)
        with self.middleware.login(ADMINISTRATOR) as session:
            Admin(session).add_user(LAB, WORKER)
        session = self._stack.enter_context(self.middleware.login(USER))
        Credentials(self.home).save(session)
        self.client = Client(session)
        worker = self._stack.enter_context(self.middleware.login(WORKER))
        worker.retry_for = 1.0
        self._thread = threading.Thread(target=self._provide, args=[Provider(worker)], daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join(LIMIT)
        self._stack.close()

    # ---------------------------------------------------------------- the provider

    def _provide(self, provider: Provider) -> None:
        while not self._end.wait(0.1):
            if self.paused.is_set():
                continue
            try:
                while provider.claim([self.hash], LAB, "thread"):
                    pass
                for ticket in self._claimed(provider):
                    self._work(provider, ticket)
            except DssError:
                continue  # the middleware was killed, or the ticket deleted
            except Exception as error:  # noqa: BLE001 - for the test
                self.trouble.append(error)
                return

    def _claimed(self, provider: Provider) -> Iterator[int]:
        """Yield tickets at work, those of claims whose answers were lost, too."""
        with suppress(NotFound):
            for ticket in count(1):
                status = None if ticket in self._over else provider.status(ticket)
                if status is TicketStatus.CLAIMED:
                    yield ticket
                elif status is not None and status.final:
                    self._over.add(ticket)

    def _work(self, provider: Provider, ticket: int) -> None:
        workspace = Workspace.open(provider.download(ticket, self.folder / "work" / str(ticket)))
        scan = nibabel.load(workspace.main.path)
        voxels = numpy.asarray(scan.dataobj)
        number = int(voxels[0, 0, 0])
        self.done[number].add(ticket)
        if number in self.refused:
            notes = self.folder / "notes.txt"
            notes.write_text(f"notes of case {number}", encoding="utf-8")
            provider.attach(ticket, "Notes", notes, "text/plain")
            provider.fail(ticket, REASON)
            return
        labels = workspace.folder / "labels.nii.gz"
        image = nibabel.Nifti1Image((voxels > number).astype("u1"), scan.affine)
        nibabel.save(image, labels)
        workspace.add_segmentation(labels, nickname="Brain")
        provider.upload(ticket, workspace)
        provider.succeed(ticket)

    # ---------------------------------------------------------------- the user

    def add_cases(self, cases: int) -> Path:
        """Make workspaces, each of a scan with its number in it, and a table of them."""
        lines = ["case\tage\tworkspace"]
        for number in range(cases):
            folder = self.folder / "studies" / f"{number:02d}"
            folder.mkdir(parents=True)
            voxels = numpy.random.default_rng(number).integers(0, 99, (6, 5, 4), numpy.int16)
            voxels[0, 0, 0] = number
            nibabel.save(nibabel.Nifti1Image(voxels, numpy.eye(4)), folder / "scan.nii.gz")
            study = Workspace()
            study.add_anatomical(folder / "scan.nii.gz", nickname="T1", tags={"Target"})
            study.save(folder / "study.itksnap")
            lines.append(f"sub-{number:02d}\t{number}\tstudies/{number:02d}/study.itksnap")
        table = self.folder / "cases.tsv"
        table.write_text("\n".join([*lines, ""]), encoding="utf-8")
        return table

    def words(self, *given: object) -> list[str]:
        """Return a command line of dss batch submit; by default of the table of cases."""
        program = str(Path(sys.executable).with_name("dss"))
        given = given or (self.folder / "cases.tsv", NAME)
        out = self.out.relative_to(self.folder)  # as one types it
        quick = ("--out", out, "--interval", "0.2s", "--patience", "2s", "--timeout", LIMIT)
        return [program, "batch", "submit", *map(str, given), *map(str, quick)]

    def run(
        self, *given: object, options: Sequence[str] = (), code: int | None = 0
    ) -> subprocess.CompletedProcess[str]:
        """Run a batch to its end, and hold its exit code."""
        words = [*self.words(*given), *options]
        done = warm.captured(words, "", timeout=2 * LIMIT, env=self.environment(), cwd=self.folder)
        assert code is None or done.returncode == code, done.stdout + done.stderr
        return done

    @contextmanager
    def running(self, *given: object) -> Iterator[subprocess.Popen[bytes]]:
        """Start a batch, which is killed at the end of the block if it still runs."""
        with (self.folder / "batch.log").open("ab") as log:
            process = warm.Process(
                self.words(*given),
                env=self.environment(),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("ITKSNAP_WT_", "DSS_"))}
        return {**kept, "HOME": str(self.home), "USERPROFILE": str(self.home)}

    def table(self) -> list[dict[str, str]]:
        """Return the rows of the table that the batch has written."""
        with (self.out / "results.tsv").open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file, delimiter="\t"))

    def records(self) -> list[dict[str, object]]:
        """Return the lines of the batch's journal, whole ones."""
        lines = (self.out / "batch.jsonl").read_bytes().split(b"\n")[:-1]
        return [json.loads(line) for line in lines]

    def problems(self, cases: int) -> list[str]:
        """Return what is not as it must be after all cases have come to their end."""
        found = [str(error) for error in self.trouble]
        rows = {row["case"]: row for row in self.table()}
        if len(rows) != cases:
            return [*found, f"{len(rows)} rows of {cases} cases"]
        for number in range(cases):
            row = rows[f"sub-{number:02d}"]
            wanted = "failed" if number in self.refused else "success"
            if row["status"] != wanted:
                found.append(f"{row} is not {wanted}")
            if self.done[number] != {int(row["ticket"])}:
                found.append(f"case {number} was sent as {self.done[number]}, not once: {row}")
            found += [
                f"{name} of {row} is missing"
                for name in row["files"].split("; ")
                if not (self.out / name).is_file()
            ]
            if wanted == "success":
                found += self._problems_of_result(number)
        if left := self.client.tickets():
            found.append(f"left on the server: {left}")
        return found

    def _problems_of_result(self, number: int) -> list[str]:
        name = f"sub-{number:02d}"
        workspace = Workspace.open(self.out / "results" / name / f"{name}.itksnap")
        names = [layer.existing().name for layer in workspace.layers()]
        if names != [f"{name}_T1.nii.gz", f"{name}_Brain.nii.gz"]:
            return [f"{name} has the layers {names}"]
        scan = numpy.asarray(nibabel.load(workspace.main.path).dataobj)
        return [] if scan[0, 0, 0] == number else [f"{name} has the scan of {scan[0, 0, 0]}"]

"""The argument of a service's function: a job, which is the work for one ticket."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol, Union

from dss.errors import CommandFailed, JobCancelled, ServiceError
from dss.serving import hooks
from dss.serving.failure import printed

if TYPE_CHECKING:
    from dss.provider import Category
    from snapws import Workspace

_LAST_LENGTH = 200

File = Union[str, "os.PathLike[str]"]


class Attached(NamedTuple):
    """A file for the user.

    Attributes:
        description: What it is, for people.
        file: Where it is on this machine.
        mime_type: Its type, ``text/plain`` for example.
    """

    description: str
    file: Path
    mime_type: str


class Reports(Protocol):
    """Receives the log lines, files and progress of a job: waits for the disk, not the server."""

    def attach(self, attached: Attached) -> None:
        """Keep a file as it is now; the user sees it with the next line of the log."""

    def log(self, category: Category, message: str) -> None:
        """Add a line to the ticket's log."""

    def progress(self, value: float) -> None:
        """Set how much is done, 0 to 1."""


class Phase:
    """A part of a job, which moves the user's progress bar from `start` to `end`."""

    def __init__(self, job: Job, start: float, end: float) -> None:
        self._job = job
        self._start = start
        self._end = end

    def progress(self, fraction: float) -> None:
        """Report how much of this phase is done, 0 to 1.

        Raises:
            ValueError: `fraction` is not within 0 to 1.
        """
        if not 0 <= fraction <= 1:
            raise ValueError(f"progress must be within 0 to 1, got {fraction}")
        self._job.progress(self._start + fraction * (self._end - self._start))


class Job:
    """The work for one ticket.

    Attributes:
        ticket: The ticket's number.
        workspace: Its workspace, downloaded and verified; the function may edit it.
        workdir: A folder for the function's files, empty at first, and the current folder of its
            process. Its files are there until the result is delivered.
    """

    def __init__(self, ticket: int, workspace: Workspace, workdir: Path, reports: Reports) -> None:
        self.ticket = ticket
        self.workspace = workspace
        workspace.image_folder = workdir
        self.workdir = workdir
        self._reports = reports
        self._progress = 0.0
        self._part = (0.0, 1.0)
        self._cancelled = threading.Event()
        self._commands = 0
        self._loose: list[str] = []  # attached, and no line has come that shows it
        self._closed = False

    @property
    def cancelled(self) -> bool:
        """Return whether to end: the ticket was deleted, its time is up, or the runner stops."""
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """End the work: `run` stops its command and raises `JobCancelled`, and so does `phase`."""
        self._cancelled.set()

    def close(self) -> None:
        """Ignore all further reports: a thread that the function left behind might never end."""
        self._closed = True

    def log(self, message: str, attach: File | tuple[str, File] | None = None) -> None:
        """Add a line to the ticket's log, for the user.

        Args:
            message: The line.
            attach: A file that goes along, under its name, or a pair of description and file.
        """
        self._say("info", message, attach)

    def warn(self, message: str, attach: File | tuple[str, File] | None = None) -> None:
        """Add a warning to the ticket's log; see `log`."""
        self._say("warning", message, attach)

    def attach(self, description: str, file: File, mime_type: str | None = None) -> None:
        """Attach a file to the next line of the log; its content is taken now.

        Whoever learns the address of an attachment can read it without a login.

        Args:
            description: Its title for the user.
            file: The file, from `workdir` if its path is relative.
            mime_type: Its type; by the file's name if none is given.

        Raises:
            OSError: The file cannot be read.
        """
        from mimetypes import guess_type

        if self._closed:
            return
        path = self.workdir / file
        kind = mime_type or guess_type(path.name)[0] or "application/octet-stream"
        self._reports.attach(Attached(str(description), path, kind))
        self._loose.append(str(description))

    def attach_picture(
        self,
        description: str,
        *,
        layers: Iterable[str | int] | None = None,
        slices: Sequence[int] | None = None,
    ) -> None:
        """Attach a picture of the workspace as it is now to the next line of the log.

        The user sees it among the ticket's results: the three views, without any text of the
        workspace; see `snapws.pictures.scene.picture`.

        Args:
            description: Its title for the user.
            layers: Specifications of the layers to draw; by default all layers.
            slices: The voxel (i, j, k from 0) of the main image that the views go through; without
                it, the centre of the segmentation, or of the image.

        Raises:
            ServiceError: Pillow (extra `pictures`) is not installed where the service runs.
            snapws.WorkspaceError: The workspace cannot be drawn; see `snapws.pictures.picture`.
            OSError: The picture cannot be written.
        """
        from snapws import PictureError
        from snapws.pictures import scene

        try:
            picture = self.workspace.picture(layers=layers, slices=slices)
        except PictureError as error:  # which its user cannot mend
            raise ServiceError(
                f"the service is not installed completely where it runs: {error}"
            ) from error
        file = self.workdir / ".picture.png"
        scene.save_picture(picture, file)
        self.attach(description, file, "image/png")

    def show_attached(self) -> None:
        """Add a line for files that were attached after the last line, if there are any."""
        if self._loose:
            self.log(f"Attached: {', '.join(self._loose)}")

    def progress(self, value: float) -> None:
        """Report how much of the job is done, 0 to 1; a lower value than before is ignored.

        Raises:
            ValueError: `value` is not within 0 to 1.
        """
        if not 0 <= value <= 1:
            raise ValueError(f"progress must be within 0 to 1, got {value}")
        if value > self._progress and not self._closed:
            self._progress = value
            self._reports.progress(value)

    @contextmanager
    def phase(self, name: str, start: float, end: float) -> Iterator[Phase]:
        """Do a part of the job: the progress bar moves from `start` to `end`, and the log says so.

        Args:
            name: Name of the part, for the log.
            start: Progress of the whole job at its beginning, 0 to 1.
            end: Progress at its end.

        Raises:
            ValueError: `start` and `end` are not in order, or not within 0 to 1.
            JobCancelled: The work is to end; nothing of this part was done.
        """
        if not 0 <= start <= end <= 1:
            raise ValueError(f"start and end must be in order within 0 to 1, got {start} and {end}")
        self._refuse_cancelled(name)
        self.progress(start)
        begin = time.monotonic()
        around, self._part = self._part, (start, end)
        try:
            yield Phase(self, start, end)
        finally:
            self._part = around
        self.progress(end)
        self.log(f"{name}: done in {time.monotonic() - begin:.1f} s")

    def run(
        self,
        *command: str | os.PathLike[str] | float,
        makes: str | None = None,
        env: Mapping[str, str] | None = None,
        progress: hooks.Rule | None = None,
    ) -> Path:
        """Run a command in `workdir`, and wait for it.

        It ends, with its children, when the work is to end. If it fails, what it printed is
        attached to the ticket. It can run ``dss-progress VALUE [MESSAGE]`` and ``dss-attach FILE
        [DESCRIPTION]`` meanwhile.

        Args:
            command: Its words; numbers are written out.
            makes: A file that it has to make, relative to `workdir`: not every program tells in
                its exit code when it could not.
            env: Variables that its environment has besides.
            progress: How to read its progress from a line that it prints: a regular expression with
                one group, percent, or with two, done and total; or a function that returns 0 to 1,
                or None. It moves the user's bar within the `phase` that the command is run in.

        Returns:
            The file that it had to make; else the file with what it printed, both streams.

        Raises:
            ValueError: There are no words, or one is None; the expression is invalid.
            CommandFailed: It is not there, failed, or did not make its file.
            JobCancelled: The work is to end.
        """
        if not command or None in command:
            raise ValueError(f"not the words of a command: {command}")
        words = [
            os.fsdecode(word) if isinstance(word, (bytes, os.PathLike)) else str(word)
            for word in command
        ]
        program = Path(words[0]).name
        self._refuse_cancelled(program)
        self._commands += 1
        output = self.workdir / f".output_{self._commands:03d}.txt"
        target = self.workdir / makes if makes else None
        said = self.workdir / ".reports"
        said.mkdir(exist_ok=True)
        printed_progress = hooks.PrintedProgress(output, progress) if progress is not None else None
        if target:
            target.unlink(missing_ok=True)
        try:
            with output.open("wb") as out:
                child = subprocess.Popen(  # noqa: S603 - the service's own words
                    words,
                    cwd=self.workdir,
                    env={**os.environ, hooks.FOLDER: str(said), **(env or {})},
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    start_new_session=os.name == "posix",
                )
        except OSError as error:
            reason = f"{program} cannot be run: {error.strerror}"
            raise CommandFailed(reason, output=output) from error

        def pass_on() -> None:
            self._pass_on(said, printed_progress)

        try:
            code = self._wait(child, program, pass_on)
        finally:
            _end(child)
        pass_on()
        if code:
            self._refuse_cancelled(program)  # then nothing has failed
        if code or (target and not target.exists()):
            reason = f"exit code {code}" if code else f"it did not make {makes}"
            shown = printed(output)
            if shown.strip():
                told = output.with_suffix(".told.txt")
                told.write_text(shown, encoding="utf-8")
                self.attach(f"Output of {program}", told, "text/plain")
            last = " / ".join(line for line in shown.split("\n") if line.strip())[-_LAST_LENGTH:]
            raise CommandFailed(f"{program} failed, {reason}: {last or 'no word'}", output=output)
        return target or output

    def _wait(self, child: subprocess.Popen[bytes], program: str, look: Callable[[], None]) -> int:
        while True:
            with suppress(subprocess.TimeoutExpired):
                return child.wait(0.2)
            look()
            self._refuse_cancelled(program)

    def _pass_on(self, said: Path, printed_progress: hooks.PrintedProgress | None) -> None:
        """Report to the user a command's progress, lines and files."""
        found = [printed_progress.new()] if printed_progress else []
        for report in hooks.take(said):
            found.append(report.progress)
            with suppress(OSError):  # the file is gone again
                if report.file:
                    self.attach(report.message, report.file)
                elif report.message:
                    self.log(report.message)
        start, end = self._part
        for value in found:
            if value is not None and 0 <= value <= 1:
                self.progress(start + value * (end - start))

    def _refuse_cancelled(self, what: str) -> None:
        if self.cancelled:
            raise JobCancelled(f"{what}: the work on ticket {self.ticket} is to end")

    def _say(
        self, category: Category, message: str, attach: File | tuple[str, File] | None
    ) -> None:
        if self._closed:
            return
        if attach is not None:
            description, file = attach if isinstance(attach, tuple) else (Path(attach).name, attach)
            self.attach(description, file)
        self._loose.clear()
        self._reports.log(category, str(message))


def from_elsewhere(result: Workspace, *folders: Path) -> str:
    """Return a line that names the layers of a result whose files are outside of the ticket's.

    It is for the user, too, and so names no path; it is empty where there are none.
    """
    from snapws.sources import outside

    found = ", ".join(dict.fromkeys(source.where for source in outside(result, folders)))
    if not found:
        return ""
    return f"files from outside of the ticket's folder become part of its result: {found}"


def _end(child: subprocess.Popen[bytes]) -> None:
    """End a command that has not ended by itself, and whatever it has left running."""
    if sys.platform != "win32":
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            return  # nobody is left of its group, or only what has ended (as macOS says it)
        finally:
            child.wait()
    elif child.poll() is None:
        subprocess.run(  # noqa: S603
            ["taskkill", "/F", "/T", "/PID", str(child.pid)],  # noqa: S607
            capture_output=True,
            check=False,
        )
        child.wait()

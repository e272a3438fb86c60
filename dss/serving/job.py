"""The job: the argument of a service's function, with everything that belongs to one ticket."""

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
from dss.serving import containers, hooks
from dss.serving.failure import printed

if TYPE_CHECKING:
    from dss.provider import Category
    from snapws import Workspace

_LAST_LENGTH = 200

File = Union[str, "os.PathLike[str]"]


class Attached(NamedTuple):
    """A file for the user.

    Attributes:
        description: Title of the file for the user.
        file: Path on this machine.
        mime_type: Type of the file, ``text/plain`` for example.
    """

    description: str
    file: Path
    mime_type: str


class Reports(Protocol):
    """The receiver of the log lines, files and progress of a job; no call waits for the server."""

    def attach(self, attached: Attached) -> None:
        """Keep a copy of a file as it is now; the user sees it with the next line of the log."""

    def log(self, category: Category, message: str) -> None:
        """Add a line to the ticket's log."""

    def progress(self, value: float) -> None:
        """Set the progress, 0 to 1."""


class Phase:
    """A part of a job, which moves the user's progress bar from `start` to `end`."""

    def __init__(self, job: Job, start: float, end: float) -> None:
        self._job = job
        self._start = start
        self._end = end

    def progress(self, fraction: float) -> None:
        """Set the progress of this phase, 0 to 1.

        Raises:
            ValueError: `fraction` is not within 0 to 1.
        """
        if not 0 <= fraction <= 1:
            raise ValueError(f"progress must be within 0 to 1, got {fraction}")
        self._job.progress(self._start + fraction * (self._end - self._start))


class Job:
    """The work for one ticket.

    Attributes:
        ticket: Number of the ticket.
        workspace: The ticket's workspace, downloaded and verified; the function may edit it.
        workdir: A folder for the function's files, empty at first. It is the current folder of the
            process. Its files stay until the result is delivered.
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
        self._loose: list[str] = []  # files that no line of the log shows yet
        self._closed = False

    @property
    def cancelled(self) -> bool:
        """Return whether to end: the ticket was deleted, its time is over, or the runner stops."""
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """Cancel the work: `run` kills its command, and `run` and `phase` raise `JobCancelled`."""
        self._cancelled.set()

    def close(self) -> None:
        """Ignore all further reports, as of a thread that the function has left running."""
        self._closed = True

    def log(self, message: str, attach: File | tuple[str, File] | None = None) -> None:
        """Add a line to the ticket's log, for the user.

        Args:
            message: The line.
            attach: A file to attach, titled by its name, or a pair of title and file.
        """
        self._say("info", message, attach)

    def warn(self, message: str, attach: File | tuple[str, File] | None = None) -> None:
        """Add a warning to the ticket's log; see `log`."""
        self._say("warning", message, attach)

    def attach(self, description: str, file: File, mime_type: str | None = None) -> None:
        """Attach a copy of a file as it is now to the next line of the log.

        Anybody who knows the URL of an attachment can read it without a login.

        Args:
            description: Title of the file for the user.
            file: The file. A relative path starts at `workdir`.
            mime_type: Type of the file; by default guessed from its name.

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

        The picture shows the three views, without any text of the workspace; see
        `snapws.pictures.scene.picture`. The user sees it with the ticket's log.

        Args:
            description: Title of the picture for the user.
            layers: Specifications of the layers to draw; by default all layers.
            slices: The voxel (i, j, k from 0) of the main image that all three views cross; by
                default the centre of the segmentation, or of the image if there is none.

        Raises:
            ServiceError: Pillow (extra `pictures`) is not installed where the service runs.
            snapws.WorkspaceError: The workspace cannot be drawn; see `snapws.pictures.picture`.
            OSError: The picture cannot be written.
        """
        from snapws import PictureError
        from snapws.pictures import scene

        try:
            picture = self.workspace.picture(layers=layers, slices=slices)
        except PictureError as error:  # the user cannot install it
            raise ServiceError(
                f"the service is not installed completely where it runs: {error}"
            ) from error
        file = self.workdir / ".picture.png"
        scene.save_picture(picture, file)
        self.attach(description, file, "image/png")

    def show_attached(self) -> None:
        """Add a line to the log if files were attached after its last line."""
        if self._loose:
            self.log(f"Attached: {', '.join(self._loose)}")

    def progress(self, value: float) -> None:
        """Set the progress of the job, 0 to 1; a lower value than before is ignored.

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
        """Run a part of the job, which moves the progress bar from `start` to `end`.

        At the end of the part, the log gets a line with its name and duration.

        Args:
            name: Name of the part, for the log.
            start: Progress of the whole job when the part begins, 0 to 1.
            end: Progress of the whole job when the part ends, 0 to 1.

        Raises:
            ValueError: `start` and `end` are not in order, or not within 0 to 1.
            JobCancelled: The work was cancelled; this part was not begun.
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

        If the work is cancelled, the command and its child processes are killed. If the command
        fails, its output is attached to the ticket. While it runs, it can call ``dss-progress VALUE
        [MESSAGE]`` and ``dss-attach FILE [DESCRIPTION]``.

        Args:
            command: The program and its arguments; numbers are converted to text.
            makes: A file that the command must write, relative to `workdir`: some programs exit
                with 0 although they failed.
            env: Further variables for the environment of the command.
            progress: How to read the progress from a printed line: a regular expression with one
                group (percent) or two groups (done and total), or a function that returns a number
                from 0 to 1, or None. The progress moves the user's bar within the current `phase`.

        Returns:
            The file `makes`, or else a file with the output of the command, both streams.

        Raises:
            ValueError: There is no argument, an argument is None, or the expression is invalid.
            CommandFailed: The program does not exist, failed, or did not write the file `makes`.
            JobCancelled: The work was cancelled.
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
            self._refuse_cancelled(program)  # a killed command has not failed
        if code or (target and not target.exists()):
            reason = f"exit code {code}" if code else f"it did not write {makes}"
            shown = printed(output)
            if shown.strip():
                told = output.with_suffix(".told.txt")
                told.write_text(shown, encoding="utf-8")
                self.attach(f"Output of {program}", told, "text/plain")
            last = " / ".join(line for line in shown.split("\n") if line.strip())[-_LAST_LENGTH:]
            raise CommandFailed(f"{program} failed, {reason}: {last or 'no output'}", output=output)
        return target or output

    def run_container(
        self,
        image: str,
        *command: str | os.PathLike[str] | float,
        makes: str | None = None,
        env: Mapping[str, str] | None = None,
        progress: hooks.Rule | None = None,
        engine: str | None = None,
    ) -> Path:
        """Run a command in a container, by docker, podman or apptainer, as `run` runs one here.

        `workdir` is its current folder, under another path; words that begin with that path, or
        contain it, name the same files there. The input's layers lie elsewhere: copy or save into
        `workdir` what the program has to read. The GPUs of the job are there, too.

        Args:
            image: The image, as the engine names it.
            command: As for `run`.
            makes: As for `run`.
            env: Variables that the program has in the container.
            progress: As for `run`.
            engine: The engine; by default the first one that is installed.

        Returns:
            As `run` does.

        Raises:
            ServiceError: No engine is installed.
            CommandFailed: It failed, or did not make its file.
            JobCancelled: The work is to end; the container is ended, too.
        """
        words = [os.fsdecode(w) if isinstance(w, os.PathLike) else str(w) for w in command]
        name = f"dss-{self.ticket}-{os.getpid()}-{self._commands + 1}"
        begin, end = containers.command(
            image, words, self.workdir, name=name, env=env or {}, engine=engine
        )
        try:
            return self.run(*begin, makes=makes, progress=progress)
        except JobCancelled:
            if end:  # the engine's server runs the container, not the command that was ended
                with suppress(OSError, subprocess.SubprocessError):
                    subprocess.run(end, capture_output=True, check=False, timeout=30)  # noqa: S603
            raise

    def _wait(self, child: subprocess.Popen[bytes], program: str, look: Callable[[], None]) -> int:
        while True:
            with suppress(subprocess.TimeoutExpired):
                return child.wait(0.2)
            look()
            self._refuse_cancelled(program)

    def _pass_on(self, said: Path, printed_progress: hooks.PrintedProgress | None) -> None:
        """Send the progress, lines and files of a command to the user."""
        found = [printed_progress.new()] if printed_progress else []
        for report in hooks.take(said):
            found.append(report.progress)
            with suppress(OSError):  # the file was removed meanwhile
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
            raise JobCancelled(f"{what}: the work on ticket {self.ticket} was cancelled")

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
    """Return a warning that names the layers of a result with files outside of the folders.

    The user reads it, too, so it contains no paths. It is empty if all files are in the folders.
    """
    from snapws.sources import outside

    found = ", ".join(dict.fromkeys(source.where for source in outside(result, folders)))
    if not found:
        return ""
    return f"files from outside of the ticket's folder become part of its result: {found}"


def _end(child: subprocess.Popen[bytes]) -> None:
    """Kill a command that still runs, and all processes that it has left running."""
    if sys.platform != "win32":
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            return  # the group has ended, or, on macOS, has only ended processes
        finally:
            child.wait()
    elif child.poll() is None:
        subprocess.run(  # noqa: S603
            ["taskkill", "/F", "/T", "/PID", str(child.pid)],  # noqa: S607
            capture_output=True,
            check=False,
        )
        child.wait()

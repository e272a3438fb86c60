"""A worker from outside: started, watched, ended with all that it has started."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from subprocess import Popen

from dss.serving import failure, processes
from dss.serving.journal import Step
from dss.serving.messages import (
    Ack,
    Cancel,
    ImportFailed,
    JobOver,
    Order,
    ProcessExited,
    Reached,
    Ready,
    RunnerMessage,
    WorkerEvent,
    as_line,
    from_line,
)
from dss.serving.settings import Limits

OF_PYTHON = {
    "PYTHONUNBUFFERED": "1",
    "PYTHONUTF8": "1",
    # No word of the author's is one that cannot be printed.
    "PYTHONIOENCODING": "utf-8:backslashreplace",
}
"""How Python runs an author's code: its environment variables."""

_LOOK = 0.25
_LONGEST_LOOK = 1.0
_GRACE = 5.0
_SEARCH = 5.0  # seconds between two looks at all processes of the machine
_DRAIN = 2.0  # seconds for what an ended process has said to be heard, if its line does not end


class Supervisor:
    """A worker: a process of `dss.serving.worker`, which gets ready and waits for its order.

    Args:
        file: The service's file.
        workdir: The work folder.
        limits: What the job may use.
        heard: Is called, from another thread, with what the process says, and at its end with
            `ProcessExited`.
        variables: Variables that its environment has besides.
    """

    def __init__(
        self,
        file: Path,
        workdir: Path,
        limits: Limits,
        heard: Callable[[WorkerEvent], None],
        *,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self._limits = limits
        self._heard = heard
        self._mark = f"{workdir.resolve()}/{os.urandom(6).hex()}"
        self._printed = workdir / f".starting_{os.urandom(6).hex()}"
        self._began: float | None = None
        self._over: str | None = None
        self._ended_well = False
        self._kill_at: float | None = None
        self._speaking = threading.Lock()
        self._telling = threading.Lock()
        self._limiting = threading.Lock()
        self._end_told = False
        self._search_at = 0.0
        try:
            with self._printed.open("wb") as printed:
                self._process = Popen(  # noqa: S603 - our own words only
                    [sys.executable, "-m", "dss.serving.worker", str(file.resolve())],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=printed,
                    env={**environment(self._mark), **(variables or {})},
                    # A signal from the keyboard is for the runner, which gives its jobs time to
                    # end.
                    start_new_session=os.name == "posix",
                )
        except OSError:
            self._printed.unlink(missing_ok=True)
            raise
        self._first = processes.known(self._process.pid)
        self._listening = threading.Thread(target=self._listen, name="job", daemon=True)
        self._listening.start()
        threading.Thread(target=self._watch, name="watch", daemon=True).start()

    def order(self, order: Order) -> None:
        """Send the worker its order."""
        self._say(order)

    def answer(self, number: int) -> None:
        """Acknowledge a message, which is in the journal now."""
        self._say(Ack(number))

    def cancel(self) -> None:
        """Ask the worker to end, and kill it if it does not."""
        if self._kill_at is None:
            self._kill_at = time.monotonic() + _GRACE
        self._say(Cancel())

    def kill(self) -> None:
        """End it at once."""
        self._kill_at = 0.0
        processes.kill(self._mark, self._first)

    def _say(self, message: RunnerMessage) -> None:
        pipe = self._process.stdin
        try:
            with self._speaking:
                if pipe and not pipe.closed:
                    pipe.write(as_line(message))
                    pipe.flush()
        except OSError:  # it has ended, which `_watch` tells
            return

    def _tell(self, said: WorkerEvent) -> None:
        """Pass on what it says; nothing after its end."""
        with self._telling:
            if not self._end_told:
                self._end_told = isinstance(said, ProcessExited)
                self._heard(said)

    def _listen(self) -> None:
        assert self._process.stdout  # noqa: S101 - a pipe
        with self._process.stdout as lines:
            for line in lines:
                try:
                    said = from_line(line)
                except ValueError:  # cut off in the middle
                    continue
                if isinstance(said, Ready) and self._refuse_excess():
                    continue  # it would take an order, only to be ended right after it
                if isinstance(said, Reached):
                    self._began = time.monotonic() if said.step is Step.PROCESSING else None
                elif isinstance(said, (ImportFailed, JobOver)):
                    self._ended_well = True
                    self._kill_at = time.monotonic() + _GRACE
                self._tell(said)

    def _watch(self) -> None:
        try:
            self._keep_limits()
            processes.kill(self._mark, self._first)  # what it has left running
        finally:
            code = self._process.wait()
            # The line ends with the last that holds it, which may be one that nobody finds.
            self._listening.join(_DRAIN)
            self._end(code)

    def _end(self, code: int) -> None:
        """See to what is left of a process that has ended with a code, and tell its end."""
        # What could not be said to it is tried once more by closing the line.
        with self._speaking, suppress(OSError):
            if self._process.stdin:
                self._process.stdin.close()
        printed = ""
        with suppress(OSError):  # a runner that was started meanwhile has removed it
            printed = self._printed.read_text("utf-8", "replace")
            self._printed.unlink(missing_ok=True)
        if self._over:
            self._tell(ProcessExited(self._over, printed, limit=True))
        else:
            cancelled = self._kill_at is not None
            why = None if self._ended_well or (cancelled and not code) else failure.ended(code)
            self._tell(ProcessExited(why, printed))

    def _keep_limits(self) -> None:
        """Stay until it has ended, and see that it does when it has to."""
        look = _LOOK
        while not self._ends_within(look):
            look = min(_LONGEST_LOOK, look * 1.2)
            self._refuse_excess()
            now = time.monotonic()
            if self._kill_at is not None and now >= self._kill_at:
                processes.kill(self._mark, self._first)

    def _refuse_excess(self) -> bool:
        """End the process if it exceeds its limits; return whether it has ever done so."""
        with self._limiting:
            if self._over is None and (over := self._exceeded(time.monotonic())):
                self._over = over
                self.cancel()
            return self._over is not None

    def _ends_within(self, seconds: float) -> bool:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
            return True
        return False

    def _exceeded(self, now: float) -> str | None:
        seconds, memory = self._limits.seconds, self._limits.memory
        began = self._began  # the thread that listens changes it
        if seconds is not None and began is not None and now - began > seconds:
            return f"its time is up: the limit is {seconds:g} s"
        if memory is not None and (held := self._held(now)) > memory:
            self._kill_at = 0.0  # it would not get better
            return f"it holds {held / 1e9:.2f} GB of memory: the limit is {memory / 1e9:.2f} GB"
        return None

    def _held(self, now: float) -> int:
        """Return the memory of the job; that of processes which only bear its mark now and then."""
        mark = self._mark if now >= self._search_at else ""
        if mark:
            self._search_at = now + _SEARCH
        return processes.memory(mark, self._first)


def environment(mark: str) -> dict[str, str]:
    """Return the environment for an author's code: the runner's, marked, without its login.

    Args:
        mark: Value of `dss.serving.processes.MARK` in it.
    """
    kept = {name: value for name, value in os.environ.items() if name != "DSS_TOKEN"}
    return {**kept, **OF_PYTHON, processes.MARK: mark}

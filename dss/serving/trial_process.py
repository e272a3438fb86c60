"""A trial of a service in a process of its own, as ``python -m dss.serving.trial_process``.

Whatever the author's code does to its process, crash, leave or change folders, the caller goes on.
"""

from __future__ import annotations

import _thread
import faulthandler
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from dss.errors import DssError, ServiceError
from dss.serving import failure, trial
from snapws import leftovers
from snapws.errors import WorkspaceError

_INTERRUPTED = 130
_GRACE = 5.0  # seconds for the author's code to end by an interrupt
_PATIENCE = 10.0  # seconds for its process to end


def run(
    file: Path,
    workspace: Path,
    output: Path | None,
    *,
    name: str | None = None,
    tell: Callable[[str], None],
) -> Path:
    """Do a service's work on a workspace as `dss.serving.trial.run` does, in another process.

    If this process is interrupted, the other one is ended, and of a trial without `output` nothing
    stays.

    Args:
        file: As for `dss.serving.trial.run`.
        workspace: As for `dss.serving.trial.run`.
        output: As for `dss.serving.trial.run`.
        name: As for `dss.serving.trial.run`.
        tell: As for `dss.serving.trial.run`.

    Returns:
        The workspace of the result.

    Raises:
        ServiceError: As for `dss.serving.trial.run`; or the process crashed.
    """
    place = output or Path(tempfile.mkdtemp(prefix="dss-service-"))
    try:
        # The folder is this process's: it is removed however the other one ends.
        with leftovers.temporary("dss-") as given:
            words = [str(file), str(workspace), str(place), name, str(given)]
            code, said = _do(words, tell)
    except BaseException:
        if output is None:
            shutil.rmtree(place, ignore_errors=True)
        raise
    if output is None:
        with suppress(OSError):  # it is not empty
            place.rmdir()
    if error := said.get("error"):
        raise ServiceError(error)
    if not (result := said.get("result")):
        raise ServiceError(
            f"the service crashed: {failure.ended(code)}; its user would read the same, and what "
            f"it made is in {place}"
        )
    return Path(result)


def _do(words: list[str | None], tell: Callable[[str], None]) -> tuple[int, dict[str, str]]:
    """Run the process; return its exit code, and what it has said beside the lines to tell."""
    said: dict[str, str] = {}
    with subprocess.Popen(  # noqa: S603 - our own words only
        [sys.executable, "-m", "dss.serving.trial_process", json.dumps(words)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        # A signal from the keyboard is for this process, which ends the other one.
        start_new_session=os.name == "posix",
    ) as process:
        assert process.stdin  # noqa: S101 - a pipe
        assert process.stdout  # noqa: S101 - a pipe
        try:
            for line in process.stdout:
                said |= json.loads(line)
                if line_to_tell := said.pop("told", ""):
                    tell(line_to_tell)
            return process.wait(), said
        except BaseException:
            process.stdin.close()  # by which it ends, and the programs that it runs
            with suppress(subprocess.TimeoutExpired):
                process.wait(_PATIENCE)
            raise
        finally:
            process.kill()


def main() -> int:
    """Run the trial that the only word describes; return the exit code."""
    # The author's code has its own streams: neither the line to the caller nor its end.
    listen, speak = os.dup(0), os.fdopen(os.dup(1), "w", encoding="utf-8")
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    if sys.platform != "win32":  # a forked process that stays does not keep the caller waiting
        os.register_at_fork(after_in_child=lambda: os.close(speak.fileno()))
    faulthandler.enable()
    threading.Thread(target=_end_with_caller, args=(listen,), daemon=True).start()

    def say(**words: str) -> None:
        speak.write(json.dumps(words) + "\n")
        speak.flush()

    file, workspace, output, name, given = json.loads(sys.argv[1])
    try:
        result = trial.run(
            Path(file),
            Path(workspace),
            Path(output),
            name=name,
            tell=lambda line: say(told=line),
            given=Path(given),
        )
        say(result=str(result))
    except KeyboardInterrupt:
        return _INTERRUPTED
    except (DssError, WorkspaceError, OSError) as error:
        say(error=str(error))
        return 1
    return 0


def _end_with_caller(line: int) -> None:
    """Interrupt the author's code when the caller has ended or is interrupted; then end at once."""
    while os.read(line, 1):
        pass
    if sys.platform == "win32":
        _thread.interrupt_main()
    else:  # which wakes it from a system call, too
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    time.sleep(_GRACE)
    os._exit(_INTERRUPTED)


if __name__ == "__main__":
    sys.exit(main())

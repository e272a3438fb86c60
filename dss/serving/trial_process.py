"""A trial of a service in a process of its own, as ``python -m dss.serving.trial_process``.

Whatever the author's code does to its process, crash, leave or change folders, the caller goes on.
"""

from __future__ import annotations

import faulthandler
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from dss.errors import DssError, ServiceError
from dss.serving import failure, trial
from snapws.errors import WorkspaceError

_INTERRUPTED = 130


def run(
    file: Path,
    workspace: Path,
    output: Path | None,
    *,
    name: str | None = None,
    tell: Callable[[str], None],
) -> Path:
    """Do a service's work on a workspace as `dss.serving.trial.run` does, in another process.

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
    words = json.dumps([str(file), str(workspace), str(place), name])
    result = error = ""
    with subprocess.Popen(  # noqa: S603 - our own words only
        [sys.executable, "-m", "dss.serving.trial_process", words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        try:
            assert process.stdout  # noqa: S101 - a pipe
            for line in process.stdout:
                said = json.loads(line)
                if "told" in said:
                    tell(said["told"])
                result, error = said.get("result", result), said.get("error", error)
            code = process.wait()
        finally:
            process.kill()
    if output is None:
        with suppress(OSError):  # it is not empty
            place.rmdir()
    if error:
        raise ServiceError(error)
    if not result:
        raise ServiceError(
            f"the service crashed: {failure.ended(code)}; its user would read the same, and what "
            f"it made is in {place}"
        )
    return Path(result)


def main() -> int:
    """Run the trial that the only word describes; return the exit code."""
    # The author's code has its own streams: neither the line to the caller nor its end.
    listen, speak = os.dup(0), os.fdopen(os.dup(1), "w", encoding="utf-8")
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    faulthandler.enable()
    threading.Thread(target=_end_with_caller, args=(listen,), daemon=True).start()

    def say(**words: str) -> None:
        speak.write(json.dumps(words) + "\n")
        speak.flush()

    file, workspace, output, name = json.loads(sys.argv[1])
    try:
        result = trial.run(
            Path(file),
            Path(workspace),
            Path(output),
            name=name,
            tell=lambda line: say(told=line),
        )
        say(result=str(result))
    except KeyboardInterrupt:
        return _INTERRUPTED
    except (DssError, WorkspaceError, OSError) as error:
        say(error=str(error))
        return 1
    return 0


def _end_with_caller(line: int) -> None:
    while os.read(line, 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())

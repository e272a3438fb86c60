"""The process of one job, as ``python -m dss.serving.worker SERVICE.py``.

The worker imports the service's file, reports that it is ready, waits for an order, and works on
the ticket step by step (`dss.serving.worker.steps`). When its standard input ends, the runner has
ended: then the worker kills all processes that it has started, and exits.
"""

from __future__ import annotations

import faulthandler
import math
import os
import signal
import sys
import time
import traceback
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from dss.errors import JobCancelled, NotLoggedIn, ServiceError
from dss.http.session import Session
from dss.serving import failure, processes
from dss.serving.declaration import Function, Service, load
from dss.serving.job import Job
from dss.serving.messages import Declared, ImportFailed, JobOver, Ready, Waiting
from dss.serving.workdir import OUTPUT
from dss.serving.worker.channel import Channel
from dss.serving.worker.steps import TicketRun

if TYPE_CHECKING:
    from snapws import Workspace

_SHUTDOWN = 30.0  # a failure within so many seconds after SIGTERM may be caused by the signal


def _not_declared(_job: Job) -> None:
    raise ServiceError("this service is no longer offered here")


class _Shutdown:
    """A handler that keeps SIGTERM from ending this process when the machine is shut down.

    The runner decides whether there is time for the job. The signal is handled rather than ignored,
    because the commands of the job would inherit an ignored signal.

    """

    def __init__(self) -> None:
        self._begun = -math.inf
        signal.signal(signal.SIGTERM, self._note)
        if sys.platform != "win32":
            signal.siginterrupt(signal.SIGTERM, False)  # so that no library call fails with EINTR
            os.register_at_fork(after_in_child=self._leave)

    def surviving(self, function: Function) -> Function:
        """Wrap a function, so that a failure shortly after SIGTERM cancels the job instead."""

        def survives(job: Job) -> Workspace | None:
            try:
                return function(job)
            except BaseException:
                if time.monotonic() - self._begun < _SHUTDOWN:
                    job.cancel()
                raise

        return survives

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self._begun = time.monotonic()

    def _leave(self) -> None:
        """Reset SIGTERM in a forked process: pools end their processes with that signal."""
        if signal.getsignal(signal.SIGTERM) == self._note:  # keep a handler of the author
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def main() -> int:
    """Do at most one job, and return the exit code."""
    with suppress(OSError):  # let the system kill this process first when memory is short
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    shutdown = _Shutdown()
    # The author's code and its processes get their own streams, not those of the runner.
    listen, speak = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    faulthandler.enable()
    channel = Channel(listen, speak)
    file = Path(sys.argv[1]).resolve()
    try:
        services = load(file)
    except BaseException as error:  # noqa: BLE001 - whatever the author's file raises, exits too
        channel.say(ImportFailed(failure.located(error, file)))
        return 1
    import snapws.archive  # noqa: F401 - imported before a ticket waits for it

    declared = (Declared(one.name, dict(one.resources)) for one in services.values())
    channel.say(Ready(tuple(declared)))
    order = channel.order()
    if order is None:
        return 0
    order.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (order.folder / OUTPUT).open("ab") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    service = services.get(order.service) or Service(order.service, _not_declared)
    try:
        with Session(
            order.server, cookie=order.cookie, verify=order.verify, retry_for=order.retry_for
        ) as session:
            channel.on_cancel = session.abort  # or a call might wait without an end
            service = replace(service, function=shutdown.surviving(service.function))
            TicketRun(service, file, order, session, channel).run()
        channel.say(JobOver("done"))
    except JobCancelled:
        channel.say(JobOver("cancelled"))
    except NotLoggedIn as error:
        channel.say(Waiting(str(error)))
        channel.say(JobOver("login"))
    return 0


if __name__ == "__main__":
    code = 1
    try:
        code = main()
    except BaseException:  # noqa: BLE001 - printed here, because os._exit does not
        traceback.print_exc()
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):  # the author's code has closed it
            stream.flush()
    processes.kill_others()
    # Exit without waiting for threads of the author's code.
    os._exit(code)

"""Serve tickets with a service's file."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from enum import Enum
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Protocol

import typer

from dss.cli.shared import Connection, MaxSize, seconds, service_file, size, warn_if_readable
from dss.errors import ServiceError
from snapws.cli import render
from snapws.extras import install_hint

if TYPE_CHECKING:
    from dss.http.session import Session
    from dss.serving.runner.executors import Executor
    from dss.serving.settings import Settings

_QUICK = (5.0, 20.0)  # time-outs of a loop that has other things to see to


class ExecutorName(str, Enum):
    """Where jobs are done."""

    LOCAL = "local"
    DASK = "dask"


def run(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="SERVICE.py", help="The service's file, or its folder.", show_default=False
        ),
    ],
    provider: Annotated[
        str,
        typer.Option("--provider", metavar="NAME", help="For whom to claim.", show_default=False),
    ],
    connection: Connection,
    services: Annotated[
        list[str] | None,
        typer.Option(
            "--service",
            metavar="NAME|HASH",
            help="Which services; by default all that the file declares. Say it again for more.",
        ),
    ] = None,
    instance: Annotated[
        str | None,
        typer.Option("--instance", metavar="ID", help="Name of this runner in the tickets' logs."),
    ] = None,
    workers: Annotated[
        int, typer.Option("--workers", min=1, help="How many tickets to work on at once.")
    ] = 1,
    workdir: Annotated[
        Path,
        typer.Option("--workdir", metavar="DIR", help="The work folder, with the journal."),
    ] = Path("dss-work"),
    once: Annotated[
        bool, typer.Option("--once", help="Work off what waits now, then end.")
    ] = False,
    max_tickets: Annotated[
        int | None,
        typer.Option("--max-tickets", min=1, help="End after so many tickets.", show_default=False),
    ] = None,
    ticket: Annotated[
        int | None,
        typer.Option(
            "--ticket",
            metavar="N",
            min=1,
            help="Work on this ticket alone, then end.",
            show_default=False,
        ),
    ] = None,
    executor: Annotated[
        ExecutorName, typer.Option("--executor", help="Where jobs are done.")
    ] = ExecutorName.LOCAL,
    scheduler: Annotated[
        str | None,
        typer.Option("--scheduler", metavar="ADDRESS", help="Dask's scheduler: tcp://HOST:8786."),
    ] = None,
    gpus: Annotated[
        str | None,
        typer.Option(
            metavar="0,1",
            help="The GPUs for services that need some; by default those that are there.",
            show_default=False,
        ),
    ] = None,
    keep: Annotated[
        float,
        typer.Option(parser=seconds, metavar="TIME", help="How long to keep finished files."),
    ] = "7d",  # type: ignore[assignment] # which the parser reads
    timeout: Annotated[
        float | None,
        typer.Option(
            parser=seconds, metavar="TIME", help="How long a job may take.", show_default=False
        ),
    ] = None,
    memory: Annotated[
        int | None,
        typer.Option(
            parser=size, metavar="SIZE", help="Memory that a job may hold.", show_default=False
        ),
    ] = None,
    min_free: Annotated[
        int,
        typer.Option(parser=size, metavar="SIZE", help="Room on the disk that a claim needs."),
    ] = "2G",  # type: ignore[assignment]
    max_size: MaxSize = None,
    grace: Annotated[
        float,
        typer.Option(parser=seconds, metavar="TIME", help="Time to end in, when stopped."),
    ] = "60s",  # type: ignore[assignment]
    interval: Annotated[
        float,
        typer.Option(parser=seconds, metavar="TIME", help="Between two looks for tickets."),
    ] = "10s",  # type: ignore[assignment]
    adopt: Annotated[
        bool,
        typer.Option(
            "--adopt",
            help="Find tickets whose claim had no answer; for a login that no other runner uses.",
        ),
    ] = False,
    trust_workdir: Annotated[
        bool,
        typer.Option(
            "--trust-workdir",
            help="Go on with a work folder that was moved, or begun with another home folder.",
        ),
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Replace nicknames, label names, annotation texts.")
    ] = False,
    log_json: Annotated[bool, typer.Option("--log-json", help="Log in lines of JSON.")] = False,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            "--metrics", metavar="PORT", min=0, max=65535, help="Serve figures for Prometheus."
        ),
    ] = None,
) -> None:
    """Claim tickets, work on them, deliver the results.

    Stop it with Ctrl-C or SIGTERM: it finishes what it can within --grace, and the next start goes
    on with the rest; a second signal ends it at once. Killed, it loses nothing either.

    With --once it ends with exit code 1 if a ticket has failed, with --ticket unless that ticket
    has succeeded.

    Its log goes to standard error; with --quiet, only the warnings and errors of it.
    """
    from dss.login import Credentials
    from dss.serving.contact import Contact
    from dss.serving.gpus import parse
    from dss.serving.journal import Outcome
    from dss.serving.monitoring import logs
    from dss.serving.runner import Runner
    from dss.serving.runner.executors import LocalExecutor
    from dss.serving.runner.gpu_pool import GpuPool
    from dss.serving.settings import Limits, Settings

    if (executor is ExecutorName.DASK) != (scheduler is not None):
        raise typer.BadParameter("--executor dask and --scheduler ADDRESS belong together")
    if ticket is not None and (adopt or max_tickets is not None):
        raise typer.BadParameter("--ticket is one ticket: without --adopt and --max-tickets")
    if scheduler is not None and gpus is not None:
        raise typer.BadParameter("--gpus is for jobs of this machine: Dask knows its workers' own")
    try:
        devices = None if gpus is None else parse(gpus)
    except ValueError as error:
        raise typer.BadParameter(f"--gpus: {error}") from error
    verify = connection.verify

    def open_session() -> Session:
        return Credentials().open_session(
            connection.server, timeout=_QUICK, retry_for=0.0, verify=verify
        )

    settings = Settings(
        provider=provider,
        workdir=workdir,
        services=tuple(services or ()),
        instance=instance,
        workers=workers,
        once=once or ticket is not None,
        max_tickets=max_tickets if ticket is None else 1,
        ticket=ticket,
        keep=keep,
        limits=Limits(timeout, memory),
        min_free=min_free,
        max_size=max_size,
        grace=grace,
        interval=interval,
        adopt=adopt,
        trusted=trust_workdir,
        privacy="strict" if strict else "standard",
        verify=verify,
        retry_for=connection.retry_for,
    )
    file = service_file(file)
    warn_if_readable(connection.server or Credentials().server)
    contact = Contact()
    with ExitStack() as stack:
        if metrics_port is not None:
            from dss.serving.monitoring import metrics  # needs prometheus_client

            port = stack.enter_context(metrics.serve(workdir, metrics_port, contact))
            render.note(f"figures for Prometheus: http://127.0.0.1:{port}/metrics")
        places = (
            _dask(scheduler, file, settings)
            if scheduler
            else LocalExecutor(file, workdir, settings.limits, GpuPool(devices))
        )
        runner = Runner(file, open_session, settings, places, contact)
        level = logging.WARNING if render.is_quiet() else logging.INFO
        stack.enter_context(logs.showing(sys.stderr, as_json=log_json, level=level))
        stack.enter_context(stopping(runner))
        outcomes = runner.run()
    ended = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.items() if count)
    render.note(f"tickets: {ended or 'none'}")
    missed = ticket is not None and not outcomes[Outcome.SUCCESS]
    if missed or (settings.once and outcomes[Outcome.FAILED]):
        raise typer.Exit(1)


class Stoppable(Protocol):
    """What ends soon when it is told to, and at once when it is told again."""

    def stop(self) -> None:
        """End."""


@contextmanager
def stopping(runner: Stoppable) -> Iterator[None]:
    """Have a runner stopped by Ctrl-C, SIGTERM and, unless under nohup, the end of its terminal."""

    def stop(number: int, _frame: FrameType | None) -> None:
        # A terminal and its shell send SIGHUP each: it is no wish to end at once.
        if number not in hung_up:
            runner.stop()
        if number == hangup:
            hung_up.append(number)

    hung_up: list[int] = []
    hangup = getattr(signal, "SIGHUP", None)  # Windows has none
    numbers = [signal.SIGTERM, signal.SIGINT]
    if hangup is not None and signal.getsignal(hangup) is not signal.SIG_IGN:
        numbers.append(hangup)
    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _dask(scheduler: str, file: Path, settings: Settings) -> Executor:
    """Return the workers of a Dask cluster that have what the services need."""
    from dss.serving.runner.executors import describe

    try:
        from dss.serving.runner.dask import DaskExecutor, together
    except ImportError as error:
        raise ServiceError(f"--executor dask lacks {error.name}; {install_hint('dask')}") from error
    declared = describe(file)
    # What a service needs that was chosen by its hash is not known yet: then all of them count.
    chosen = [one for one in declared if one.name in settings.services] or declared
    needed = together(one.resources for one in chosen)
    return DaskExecutor(scheduler, file, settings.workdir, settings.limits, needed)

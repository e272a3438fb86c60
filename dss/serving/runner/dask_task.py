"""A job on a worker of a Dask cluster: the task that runs there.

It connects to the runner, starts a worker as `LocalExecutor` does, and passes on the messages of
both. The worker lives as long as the line: where it breaks, the worker is ended. What goes through
Dask itself names files and limits, and no login.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from distributed import get_worker

from dss.serving.messages import (
    Ack,
    Cancel,
    Kill,
    Order,
    ProcessExited,
    WorkerEvent,
    as_line,
    from_line,
)
from dss.serving.runner.supervisor import Supervisor
from dss.serving.settings import Limits
from snapws import leftovers

IDENTITY = "folder.id"
"""File in a work folder by which a worker knows whether it has the runner's, or its own."""

CONNECT_LIMIT = 10.0
"""Seconds for a worker to connect, and for its first words."""

LONGEST_LINE = 2**26
"""Bytes of the longest message."""

# Seconds after which a runner's machine that says nothing is taken for gone. The runner gives this
# one up later, so that a job is not at work in two places.
_GIVES_UP = 20


@dataclass(frozen=True)
class Place:
    """What a task has to know; it passes through the scheduler, so there is no login in it.

    Attributes:
        host: Address of the runner.
        port: The port it listens at.
        token: What it is expected to say first; good for one connection.
        encrypted: Whether the line is.
        file: The service's file.
        workdir: The work folder.
        identity: What tells that folder from another of this path.
        limits: What the job may use.
    """

    host: str
    port: int
    token: str = field(repr=False)
    encrypted: bool
    file: Path
    workdir: Path
    identity: str
    limits: Limits


async def work(place: Place) -> None:
    """Be a worker of a runner: the task that runs on the cluster."""
    worker = get_worker()
    context: ssl.SSLContext | None = None
    if place.encrypted:
        context = worker.security.get_connection_args("worker")["ssl_context"]
    reader, writer = await asyncio.wait_for(
        asyncio.open_connection(place.host, place.port, ssl=context, limit=LONGEST_LINE),
        CONNECT_LIMIT,
    )
    try:
        keep_alive(writer, _GIVES_UP)
        writer.write(place.token.encode() + b"\n")
        if not await reader.readline():
            # The runner has no such job any more, or this is Dask's repetition of a lost one.
            return
        async with _folder(place, worker.local_directory) as folder:
            await _relay(place, folder, reader, writer)
    finally:
        writer.close()


async def _relay(
    place: Place, folder: Path, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Start a worker, and pass messages on between it and the runner until one of them ends."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    leaving = False

    def pass_on(said: WorkerEvent) -> None:
        # What it says of being killed from here would look like a failure of its own.
        if not leaving and not writer.is_closing():
            writer.write(as_line(said))
        if isinstance(said, ProcessExited):
            ended.set()

    def heard(said: WorkerEvent) -> None:
        with suppress(RuntimeError):  # the loop is closed: this worker is about to end
            loop.call_soon_threadsafe(pass_on, said)

    job = Supervisor(place.file, folder, place.limits, heard)
    hearing = asyncio.ensure_future(_obey(job, folder, reader))
    ending = asyncio.ensure_future(ended.wait())
    try:
        await asyncio.wait({hearing, ending}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        hearing.cancel()
        ending.cancel()
        if not ended.is_set():  # the runner has hung up, or this worker is told to end
            leaving = True
            await asyncio.to_thread(job.kill)
        with suppress(OSError):
            await writer.drain()


async def _obey(job: Supervisor, folder: Path, reader: asyncio.StreamReader) -> None:
    """Do what the runner says until it hangs up."""
    with suppress(OSError, ValueError):
        async for line in reader:
            match from_line(line):
                case Order() as order:
                    job.order(replace(order, folder=folder / order.folder.name))
                case Ack(number):
                    job.answer(number)
                case Cancel():
                    job.cancel()
                case Kill():
                    await asyncio.to_thread(job.kill)


@asynccontextmanager
async def _folder(place: Place, local: str) -> AsyncIterator[Path]:
    """Yield the work folder if it is the runner's; else one that is removed afterwards."""
    if await asyncio.to_thread(read_identity, place.workdir) == place.identity:
        yield place.workdir
        return
    own = leftovers.temporary("dss_", Path(local))
    folder = await asyncio.to_thread(own.__enter__)
    try:
        yield folder
    finally:
        await asyncio.to_thread(own.__exit__, None, None, None)


def read_identity(workdir: Path) -> str | None:
    """Return the identity of a work folder; None if it is missing or cannot be read."""
    try:
        return (workdir / IDENTITY).read_text(encoding="ascii")
    except OSError:
        return None


def keep_alive(writer: asyncio.StreamWriter, seconds: int) -> None:
    """Have a line break when the machine at its other end is gone, where the system can."""
    line: Any = writer.get_extra_info("socket")
    line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    settings = {
        "TCP_KEEPIDLE": seconds // 2,
        "TCP_KEEPALIVE": seconds // 2,  # the same, on macOS
        "TCP_KEEPINTVL": max(1, seconds // 10),
        "TCP_KEEPCNT": 5,
        "TCP_USER_TIMEOUT": 1000 * seconds,
    }
    for name, value in settings.items():
        if hasattr(socket, name):
            line.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)

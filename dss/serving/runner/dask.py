"""Jobs on the workers of a Dask cluster, as the runner has them.

A task of the cluster (`dss.serving.runner.dask_task`) is a place for one job. It connects to
the runner; where the line breaks, the job is ended on one side and begun again on the other.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from distributed import Client, Future

from dss.backoff import Backoff
from dss.serving.messages import (
    Accepted,
    Ack,
    Cancel,
    Kill,
    Order,
    ProcessExited,
    RunnerMessage,
    WorkerEvent,
    as_line,
    from_line,
)
from dss.serving.runner.dask_task import (
    CONNECT_LIMIT,
    IDENTITY,
    LONGEST_LINE,
    Place,
    keep_alive,
    read_identity,
    work,
)
from dss.serving.runner.executors import Worker
from dss.serving.settings import Limits

_LOST = "its Dask worker was lost"
_SCHEDULER_PATIENCE = 4.0  # for one try, of which there is no end
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 30.0
# Seconds after which a worker's machine that says nothing is taken for gone: it gives up earlier.
_GIVES_UP = 60

_log = logging.getLogger(__name__)


def together(resources: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Return the resources that suffice for each of several services: of each the most."""
    most: dict[str, float] = {}
    for one in resources:
        for name, amount in one.items():
            most[name] = max(amount, most.get(name, 0.0))
    return most


class DaskExecutor:
    """Workers as tasks of a Dask cluster.

    The service's file has to be at the same path on the workers. If the work folder is there too,
    it is used; else a job has a folder of its own, which goes with it. A cluster that is away, or
    has no room, is waited for.

    Args:
        scheduler: The scheduler's address: `tcp://HOST:8786`, or `tls://` with the certificates
            that Dask's configuration names.
        file: The service's file.
        workdir: The work folder.
        limits: What each job may use.
        resources: What of a Dask worker each job takes up, besides one of its threads.
    """

    gpus = None  # which worker has some, the scheduler knows

    def __init__(
        self,
        scheduler: str,
        file: Path,
        workdir: Path,
        limits: Limits,
        resources: Mapping[str, float],
    ) -> None:
        self._scheduler = scheduler
        self._file = file.absolute()
        self._workdir = workdir.absolute()
        self._limits = limits
        self._resources = dict(resources)
        self._client: Client | None = None
        self._server: asyncio.Server | None = None
        self._expected: dict[str, _Remote] = {}
        self._remotes: set[_Remote] = set()
        self._reaching = asyncio.Lock()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="dask", daemon=True)
        self._thread.start()

    def start(self, heard: Callable[[WorkerEvent], None], gpus: tuple[str, ...] = ()) -> Worker:  # noqa: ARG002
        """Ask the cluster for a place, and start a process there."""
        remote = _Remote(self._loop, heard)
        self._loop.call_soon_threadsafe(self._employ, remote)
        return remote

    def close(self) -> None:
        """End all jobs, and leave the cluster."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    # ---------------------------------------------------------------- in the thread of the loop

    def _employ(self, remote: _Remote) -> None:
        self._remotes.add(remote)
        remote.task = self._loop.create_task(self._see_to(remote))
        remote.task.add_done_callback(lambda task: self._end(remote, task))

    def _end(self, remote: _Remote, task: asyncio.Task[ProcessExited]) -> None:
        self._expected.pop(remote.token, None)
        self._remotes.remove(remote)
        remote.hang_up()
        remote.heard(ProcessExited(None) if task.cancelled() else task.result())

    async def _see_to(self, remote: _Remote) -> ProcessExited:
        """Get a place for a worker, hear it out, and give how it ended."""
        try:
            while True:
                future = await self._submit(remote)
                try:
                    if reader := await remote.line:
                        return await remote.listen(reader)
                    if future.status == "error":
                        raise await future.exception()
                finally:
                    with suppress(Exception):  # the scheduler is away, and with it the task
                        await future.cancel()
                # The cluster went, or threw it out.
                await asyncio.sleep(_FIRST_PAUSE)
        except Exception as error:  # noqa: BLE001 - whatever Dask raises: the runner has to hear
            return ProcessExited(f"Dask did not start it: {error or type(error).__name__}")

    async def _submit(self, remote: _Remote) -> Future[Any]:
        """Submit a task; where it ends and has not connected, the line is given up."""
        client = await self._reach()
        host, port = await self._listen(client)
        line = remote.line = self._loop.create_future()
        self._expected[remote.token] = remote
        place = Place(
            host=host,
            port=port,
            token=remote.token,
            encrypted=_is_encrypted(client),
            file=self._file,
            workdir=self._workdir,
            identity=_identify(self._workdir),
            limits=self._limits,
        )
        future: Future[Any] = client.submit(
            work,
            place,
            key=f"dss-run-{secrets.token_hex(8)}",
            pure=False,
            retries=0,
            resources=self._resources,
        )

        def give_up() -> None:
            if not line.done():
                line.set_result(None)

        future.add_done_callback(lambda _: self._loop.call_soon_threadsafe(give_up))
        return future

    async def _reach(self) -> Client:
        """Connect to the scheduler, however long it takes for it to be there."""
        # What it says of itself is said here, once and in the runner's form.
        logging.getLogger("distributed").setLevel(logging.CRITICAL)
        async with self._reaching:
            backoff, warned = Backoff(_FIRST_PAUSE, _LONGEST_PAUSE), False
            while self._client is None or self._client.status != "running":
                before, self._client = self._client, None
                try:
                    if before:
                        await before.close()
                    self._client = await Client(
                        self._scheduler,
                        asynchronous=True,
                        set_as_default=False,
                        timeout=_SCHEDULER_PATIENCE,
                        name="dss-run",
                    )
                    _log.info("jobs are done by the Dask cluster at %s", self._scheduler)
                except Exception as error:  # noqa: BLE001 - as many kinds as ways to be away
                    if not warned:
                        warned = True
                        what = f"{error or type(error).__name__}".splitlines()[0]
                        _log.warning("no Dask cluster at %s: %s", self._scheduler, what)
                    await asyncio.sleep(backoff.next())
            return self._client

    async def _listen(self, client: Client) -> tuple[str, int]:
        """Open the port that workers connect to, once; give its address."""
        async with self._reaching:
            if self._server is None:
                # The scheduler's own word for where it is: workers on other machines reach that.
                contact = urlsplit(client.scheduler_info()["address"])
                security = client.security.get_listen_args("client")
                self._server = await asyncio.start_server(
                    self._answer,
                    _own_address(contact.hostname or "", contact.port or 0),
                    ssl=security["ssl_context"] if _is_encrypted(client) else None,
                    limit=LONGEST_LINE,
                )
        host, port = self._server.sockets[0].getsockname()[:2]
        return host, port

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer whoever connects: a worker that is expected, once; for all others hang up."""
        try:
            keep_alive(writer, _GIVES_UP)
            first = await asyncio.wait_for(reader.readline(), CONNECT_LIMIT)
            remote = self._expected.pop(first.decode("ascii", "replace").strip(), None)
            if remote is not None:
                remote.pick_up(reader, writer)
                return
        except (OSError, ValueError, asyncio.TimeoutError) as error:
            _log.debug("somebody connected and said nothing: %s", error)
        writer.close()

    async def _close(self) -> None:
        tasks = [remote.task for remote in self._remotes]
        for remote in self._remotes:
            remote.give_up()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._server:
            self._server.close()
        if self._client:
            await self._client.close()


class _Remote:
    """A worker, as the runner has it; all but its first four methods is for the loop's thread.

    Attributes:
        heard: Is called with what it says.
        token: By what it is known when it connects.
        task: What sees to it.
        line: What it says, once it has connected; None where it never will.
    """

    task: asyncio.Task[ProcessExited]
    line: asyncio.Future[asyncio.StreamReader | None]

    def __init__(
        self, loop: asyncio.AbstractEventLoop, heard: Callable[[WorkerEvent], None]
    ) -> None:
        self._loop = loop
        self.heard = heard
        self.token = secrets.token_hex(32)
        self._writer: asyncio.StreamWriter | None = None

    def order(self, order: Order) -> None:
        """Send the worker its order."""
        self._loop.call_soon_threadsafe(self._tell, order)

    def answer(self, number: int) -> None:
        """Acknowledge a message, which is in the journal now."""
        self._loop.call_soon_threadsafe(self._tell, Ack(number))

    def cancel(self) -> None:
        """End it soon; at once where it has not begun."""
        self._loop.call_soon_threadsafe(self._tell, Cancel())

    def kill(self) -> None:
        """End it at once."""
        self._loop.call_soon_threadsafe(self._tell, Kill())

    def pick_up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Begin to speak with it."""
        if self.line.done():
            writer.close()  # too late; one that is submitted anew may connect yet
            return
        self._writer = writer
        self.line.set_result(reader)
        self._tell(Accepted())

    async def listen(self, reader: asyncio.StreamReader) -> ProcessExited:
        """Pass on what it says; give how it ended."""
        ended = ProcessExited(_LOST, lost=True)
        # A line that breaks off is an end like any other.
        with suppress(OSError, ValueError):
            async for line in reader:
                said = from_line(line)
                if isinstance(said, ProcessExited):
                    ended = said
                else:
                    self.heard(said)
        return ended

    def give_up(self) -> None:
        """End it without a word."""
        if self._writer:
            self._writer.close()
        else:
            self.task.cancel()

    def hang_up(self) -> None:
        """End the line, which ends the job."""
        if self._writer:
            self._writer.close()

    def _tell(self, message: RunnerMessage) -> None:
        if self._writer:
            if not self._writer.is_closing():
                self._writer.write(as_line(message))
        elif isinstance(message, (Cancel, Kill)):
            self.give_up()


def _identify(workdir: Path) -> str:
    """Return the identity of a work folder, which it keeps for its life.

    Network file systems are slow to tell of changes: so it is made once.
    """
    with suppress(FileExistsError), (workdir / IDENTITY).open("x", encoding="ascii") as file:
        file.write(secrets.token_hex(16))
    return read_identity(workdir) or ""


def _is_encrypted(client: Client) -> bool:
    return str(client.scheduler_info()["address"]).startswith("tls://")


def _own_address(host: str, port: int) -> str:
    """Return the address under which this machine is known where a host is."""
    family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind) as way:
        way.connect(address)  # which sends nothing
        return str(way.getsockname()[0])

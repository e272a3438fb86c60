"""The overview as metrics of Prometheus, and a server for them on loopback.

Each request reads all numbers from the journal. If that cannot be read, the answer is 503.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from socketserver import ThreadingTCPServer

from dss.errors import JournalError, ServiceError
from dss.serving.contact import Contact
from dss.serving.journal import Outcome
from dss.serving.monitoring.overview import Overview, overview
from snapws.extras import install_hint

try:
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        InfoMetricFamily,
        Metric,
        SummaryMetricFamily,
    )
    from prometheus_client.exposition import MetricsHandler
    from prometheus_client.registry import Collector
except ModuleNotFoundError as error:
    raise ServiceError(
        f"metrics need the package prometheus_client; {install_hint('service')}"
    ) from error

_HOST = "127.0.0.1"
_PATIENCE = 10.0  # seconds within which a client must send its request

_log = logging.getLogger("dss.serving")


class _Metrics(Collector):
    """A collector that reads the journal at each request.

    Args:
        find: Returns the overview of that moment.
        contact: What the runner has heard from the server; None where that is not known.
    """

    def __init__(self, find: Callable[[], Overview], contact: Contact | None) -> None:
        self._find = find
        self._contact = contact

    def collect(self) -> Iterator[Metric]:
        found = self._find()
        yield _number("runner_up", "Whether the runner runs.", found.runner.up)
        runner = {name: getattr(found.runner, name) for name in ("server", "provider", "instance")}
        yield InfoMetricFamily("dss_runner", "The runner's server and provider.", runner)
        yield from _of_open_tickets(found)
        yield from _of_finished_tickets(found)
        yield from _of_steps(found)
        yield _number(
            "claims_lost",
            "Claims without a known answer; each may have taken a ticket.",
            found.lost_claims,
        )
        if self._contact is not None:
            yield from _of_server(self._contact)


def _of_open_tickets(found: Overview) -> Iterator[Metric]:
    tickets = found.running + found.waiting
    standing: defaultdict[tuple[str, str], int] = defaultdict(int)
    for ticket in tickets:
        standing[ticket.service, ticket.step.value] += 1
    by_step = GaugeMetricFamily(
        "dss_tickets_open",
        "Tickets that are not finished, by the last step that they have reached.",
        labels=("service", "step"),
    )
    for labels, count in sorted(standing.items()):
        by_step.add_metric(labels, count)
    yield by_step
    yield _number("tickets_waiting", "Open tickets that wait for the server.", len(found.waiting))
    files, moved = (sum(getattr(one, name) for one in tickets) for name in ("files", "bytes"))
    yield _number("upload_files", "Files of open tickets' results that the server has.", files)
    yield _number("upload_bytes", "Bytes of open tickets' results that the server has.", moved)


def _of_finished_tickets(found: Overview) -> Iterator[Metric]:
    ended = CounterMetricFamily(
        "dss_tickets_finished", "Tickets that ended, by outcome.", labels=("service", "outcome")
    )
    last = GaugeMetricFamily(
        "dss_last_success_timestamp_seconds",
        "When a ticket last succeeded, in seconds of the epoch.",
        labels=("service",),
    )
    for row in found.finished:
        ended.add_metric((row.service, row.outcome.value), row.count)
        if row.outcome is Outcome.SUCCESS:
            last.add_metric((row.service,), row.last.timestamp())
    yield ended
    yield last


def _of_steps(found: Overview) -> Iterator[Metric]:
    labels = ("service", "step")
    seconds = SummaryMetricFamily(
        "dss_step_seconds", "Time from one step to the next.", labels=labels
    )
    moved = CounterMetricFamily(
        "dss_step_bytes", "Bytes transferred or written from one step to the next.", labels=labels
    )
    for row in found.steps:
        seconds.add_metric((row.service, row.step.value), row.count, row.seconds)
        moved.add_metric((row.service, row.step.value), row.bytes)
    yield seconds
    yield moved


def _of_server(contact: Contact) -> Iterator[Metric]:
    queue = GaugeMetricFamily(
        "dss_server_queue_tickets",
        "Tickets that wait at the server for a runner, by service.",
        labels=("service",),
    )
    for name, number in sorted(contact.queue.items()):
        queue.add_metric((name,), number)
    yield queue
    yield _number(
        "server_silent_seconds",
        "How long ago the server last answered the runner.",
        contact.silent_seconds,
    )


def _number(name: str, meaning: str, value: float | None) -> Metric:
    """Return a metric of one value; None for one whose value is not known yet."""
    return GaugeMetricFamily(f"dss_{name}", meaning, value)


def _registry(find: Callable[[], Overview], contact: Contact | None) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(_Metrics(find, contact))
    return registry


def text(found: Overview, contact: Contact | None = None) -> str:
    """Return an overview in the text format of Prometheus.

    Args:
        found: The overview.
        contact: What the runner has heard from the server; None where that is not known.
    """
    return generate_latest(_registry(lambda: found, contact)).decode()


@contextmanager
def serve(folder: Path, port: int, contact: Contact | None = None) -> Iterator[int]:
    """Serve the metrics of a work folder at `/metrics` on loopback, until the block ends.

    Args:
        folder: The work folder.
        port: The port; 0 chooses a free one.
        contact: What the runner of this process hears from the server.

    Yields:
        The port.

    Raises:
        OSError: The port is in use.
    """

    def find() -> Overview:
        try:
            return overview(folder)
        except OSError as error:
            raise JournalError(str(error)) from error

    metrics = _registry(find, contact)

    class Handler(MetricsHandler):
        registry = metrics
        timeout = _PATIENCE

        def do_GET(self) -> None:  # noqa: N802 - so named there
            if self.path.partition("?")[0] != "/metrics":
                self.send_error(HTTPStatus.NOT_FOUND)
                return
            if contact is not None:
                contact.is_read = True
            self.path = "/metrics"  # names of metrics in a query are not heeded
            try:
                super().do_GET()
            except JournalError as error:
                self.send_error(HTTPStatus.SERVICE_UNAVAILABLE, explain=str(error))

        def refuse(self) -> None:
            self.send_response(HTTPStatus.METHOD_NOT_ALLOWED)
            self.send_header("Allow", "GET")
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = refuse  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - so named there
            _log.debug(format, *args)

    # Not http.server's own server, which looks up the host's name; this may take long.
    class Server(ThreadingTCPServer):
        allow_reuse_address = os.name == "posix"  # on Windows it would take over a port in use
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002
            gone = isinstance(sys.exc_info()[1], OSError)
            level = logging.DEBUG if gone else logging.ERROR
            _log.log(level, "the metrics could not be sent", exc_info=True)

    try:
        server = Server((_HOST, port), Handler)
    except OSError as error:
        raise type(error)(error.errno, error.strerror, f"{_HOST}:{port}") from None
    with server:
        thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()

"""An overview in the text format of Prometheus, and a server for it on loopback.

The format is version 0.0.4 of https://prometheus.io/docs/instrumenting/exposition_formats. This
module writes it without prometheus_client: each request reads all numbers from the journal, so a
registry of metrics would have no use. If the journal cannot be read, the answer is 503.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from dss.errors import JournalError
from dss.serving.contact import Contact
from dss.serving.journal import Outcome
from dss.serving.monitoring.overview import Overview, overview

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_HOST = "127.0.0.1"
_PATIENCE = 10.0  # seconds within which a client must send its request

_log = logging.getLogger("dss.serving")

Sample = tuple[str, Mapping[str, str], float]
"""The suffix of the metric's name in a sample, the labels and the value of the sample."""


def text(found: Overview, contact: Contact | None = None) -> str:
    """Return an overview in the text format of Prometheus.

    Args:
        found: The overview.
        contact: What the runner has heard from the server; None where that is not known.
    """
    open_tickets = found.running + found.waiting
    standing: defaultdict[tuple[str, str], int] = defaultdict(int)
    for ticket in open_tickets:
        standing[ticket.service, ticket.step.value] += 1
    runner = {name: getattr(found.runner, name) for name in ("server", "provider", "instance")}
    steps = [({"service": row.service, "step": row.step.value}, row) for row in found.steps]
    ends = [({"service": row.service, "outcome": row.outcome.value}, row) for row in found.finished]
    metrics = (
        _metric("runner_up", "gauge", "Whether the runner runs.", [("", {}, found.runner.up)]),
        _metric(
            "runner_info",
            "gauge",
            "The runner's server and provider.",
            [("", runner, 1)],
        ),
        _metric(
            "tickets_open",
            "gauge",
            "Tickets that are not finished, by the last step that they have reached.",
            (
                ("", {"service": service, "step": step}, count)
                for (service, step), count in sorted(standing.items())
            ),
        ),
        _metric(
            "tickets_waiting",
            "gauge",
            "Open tickets that wait for the server.",
            [("", {}, len(found.waiting))],
        ),
        _metric(
            "tickets_finished_total",
            "counter",
            "Tickets that ended, by outcome.",
            (("", labels, row.count) for labels, row in ends),
        ),
        _metric(
            "last_success_timestamp_seconds",
            "gauge",
            "When a ticket last succeeded, in seconds of the epoch.",
            (
                ("", {"service": row.service}, row.last.timestamp())
                for _, row in ends
                if row.outcome is Outcome.SUCCESS
            ),
        ),
        _metric(
            "step_seconds",
            "summary",
            "Time from one step to the next.",
            (
                sample
                for labels, row in steps
                for sample in (("_sum", labels, row.seconds), ("_count", labels, row.count))
            ),
        ),
        _metric(
            "step_bytes_total",
            "counter",
            "Bytes transferred or written from one step to the next.",
            (("", labels, row.bytes) for labels, row in steps),
        ),
        _metric(
            "upload_files",
            "gauge",
            "Files of open tickets' results that the server has.",
            [("", {}, sum(ticket.files for ticket in open_tickets))],
        ),
        _metric(
            "upload_bytes",
            "gauge",
            "Bytes of open tickets' results that the server has.",
            [("", {}, sum(ticket.bytes for ticket in open_tickets))],
        ),
        _metric(
            "claims_lost",
            "gauge",
            "Claims without a known answer; each may have taken a ticket.",
            [("", {}, found.lost_claims)],
        ),
        *(() if contact is None else _server_metrics(contact)),
    )
    return "".join(metrics)


def _server_metrics(contact: Contact) -> Iterator[str]:
    yield _metric(
        "server_queue_tickets",
        "gauge",
        "Tickets that wait at the server for a runner, by service.",
        (("", {"service": name}, number) for name, number in sorted(contact.queue.items())),
    )
    silent = contact.silent_seconds
    yield _metric(
        "server_silent_seconds",
        "gauge",
        "How long ago the server last answered the runner.",
        () if silent is None else [("", {}, silent)],
    )


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
    from http.server import BaseHTTPRequestHandler
    from socketserver import ThreadingTCPServer

    class Handler(BaseHTTPRequestHandler):
        timeout = _PATIENCE

        def do_GET(self) -> None:
            if self.path.partition("?")[0] != "/metrics":
                self.send_error(404)
                return
            if contact is not None:
                contact.is_read = True
            try:
                body = text(overview(folder), contact).encode()
            except (JournalError, OSError) as error:
                self.send_error(503, explain=str(error))
                return
            self.send_response(200)
            self.send_header("Content-Type", CONTENT_TYPE)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def refuse(self) -> None:
            self.send_response(405)
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


def _metric(name: str, kind: str, meaning: str, samples: Iterable[Sample]) -> str:
    lines = [f"# HELP dss_{name} {meaning}", f"# TYPE dss_{name} {kind}"]
    for suffix, labels, value in samples:
        pairs = ",".join(f'{label}="{_escaped(said)}"' for label, said in labels.items())
        lines.append(f"dss_{name}{suffix}{f'{{{pairs}}}' if pairs else ''} {_number(value)}")
    return "".join(f"{line}\n" for line in lines)


def _number(value: float) -> str:
    return repr(value) if isinstance(value, float) else str(int(value))


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")

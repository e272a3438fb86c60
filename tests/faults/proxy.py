"""A TCP proxy that does to the traffic what bad networks do, one request at a time.

It stands between the code under test and the real middleware, on the loopback address. A `Rule` of
`tests.faults.faults` says which request is to suffer, and what. Everything else passes as it is.
"""

from __future__ import annotations

import re
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any, NoReturn

from dss import Middleware
from tests import ports

if TYPE_CHECKING:
    from tests.faults.faults import Rule

HOST = "127.0.0.1"
HOLD = 15.0
"""Seconds for which a held answer waits for its client to give up; clients here are quicker."""


class Proxy:
    """Listens on a port of its own and passes requests on to the middleware, but for the rules.

    Attributes:
        uploads: Names of the files that went to the server whole.
        endless: How many answers did not end.
        hold: Seconds for which they go on, if their clients bear them so long.
        sane: Set it, and they end at once.
    """

    def __init__(self, middleware: Middleware, *rules: Rule) -> None:
        self.middleware = middleware
        self.rules = rules
        self.uploads: list[str] = []
        self.endless = 0
        self.hold = HOLD
        self.sane = threading.Event()
        self.closing = threading.Event()
        self._lock = threading.Lock()
        self._clients: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._own_port = ExitStack()
        self._port = self._own_port.enter_context(ports.reserved())
        self.listen()
        for rule in rules:
            if rule.at == "start":
                self.refuse()
                self._run(rule.refuse, self)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self._port}"

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def listen(self) -> None:
        listener = socket.create_server((HOST, self._port))
        self._deaf = threading.Event()
        self._listener = threading.Thread(target=self._accept, args=(listener, self._deaf))
        self._listener.start()

    @property
    def has_hung_up(self) -> bool:
        """Whether no connection to a client is left."""
        return all(client.fileno() < 0 for client in self._clients)

    def refuse(self) -> None:
        """Stops listening: once this returns, connections are refused."""
        self._deaf.set()
        # Closing a listener does not wake who waits for it everywhere; a connection does.
        with suppress(OSError), socket.create_connection((HOST, self._port), timeout=HOLD):
            pass
        self._listener.join()

    def kill_server(self) -> None:
        """Kills the middleware, starts it again on its folder, and only then is reached again."""
        self.refuse()
        self.middleware.stop()
        self.middleware.start()
        self.listen()

    def close(self) -> None:
        """Leaves all clients; what faults have kept back reaches the server before this returns."""
        self.closing.set()
        self.sane.set()
        self.refuse()
        for client in self._clients:
            _shut(client)
        for thread in self._threads:
            thread.join(HOLD)
        # Where a fault was about to listen again.
        self.refuse()
        self._own_port.close()

    def _accept(self, listener: socket.socket, deaf: threading.Event) -> None:
        with listener:
            while True:
                client, _ = listener.accept()
                if deaf.is_set():
                    client.close()
                    return
                client.settimeout(HOLD)
                self._clients.append(client)
                self._run(self._serve, client)

    def _run(self, target: Callable[[Any], object], argument: object) -> None:
        self._threads.append(threading.Thread(target=target, args=(argument,)))
        self._threads[-1].start()

    def _serve(self, client: socket.socket) -> None:
        # The client goes away, or the fault is to leave it.
        with client, suppress(OSError, HungUp):
            while request := self._receive(client):
                self._exchange(request)

    def _receive(self, client: socket.socket) -> Request | None:
        data = b""
        while b"\r\n\r\n" not in data:
            more = client.recv(65536)
            if not more:
                return None
            data += more
        head, _, start = data.partition(b"\r\n\r\n")
        return Request(self, client, head, start)

    def _exchange(self, request: Request) -> None:
        with self._lock:
            rule = next((rule for rule in self.rules if rule.befalls(request.name)), None)
        if rule is None:
            request.reply(bytes(request.ask()))
        else:
            rule.apply(request)


class HungUp(Exception):
    """The proxy has left the client."""


class Request:
    """A request on its way; its body is read from the client when somebody wants it."""

    def __init__(self, proxy: Proxy, client: socket.socket, head: bytes, start: bytes) -> None:
        self.proxy = proxy
        self._client = client
        self._line, _, fields = head.partition(b"\r\n")
        self._fields = re.sub(rb"(?i)^connection:.*\r\n", b"", fields + b"\r\n", flags=re.M)
        self._body = start
        method, path = self._line.decode("latin-1").split()[:2]
        self.name = f"{method} {path.lstrip('/')}"
        assert b"transfer-encoding" not in fields.lower(), "bodies of unknown length are not sent"
        length = re.search(rb"(?im)^content-length: *(\d+)", fields)
        self.length = int(length[1]) if length else 0

    def body(self, limit: int | None = None) -> bytes:
        wanted = self.length if limit is None else min(limit, self.length)
        while len(self._body) < wanted:
            more = self._client.recv(65536)
            if not more:
                raise HungUp
            self._body += more
        return self._body[:wanted]

    def flip(self, place: int) -> None:
        """Changes one bit of the body."""
        body = bytearray(self.body())
        body[place] ^= 0x10
        self._body = bytes(body)

    def ask(self, *, index: str | None = None) -> Answer:
        """Passes the request on; for the file of another index where one is given."""
        line = self._line
        if index is not None:
            line = re.sub(rb"/\d+ ", f"/{index} ".encode(), line)
        with self._send(line, self.body()) as server:
            self.proxy.uploads += [
                n.decode() for n in re.findall(rb'filename="([^"]+)"', self._body)
            ]
            answer = b""
            while more := server.recv(65536):
                answer += more
        if not answer:
            self.hang_up()
        return Answer(answer)

    def ask_in_part(self, size: int) -> AbstractContextManager[object]:
        """Passes on the head and a part of the body; leaves the server with the context."""
        return self._send(self._line, self.body(size))

    @contextmanager
    def _send(self, line: bytes, body: bytes) -> Iterator[socket.socket]:
        address = (HOST, self.proxy.middleware.port)
        with socket.create_connection(address, timeout=HOLD) as server:
            # The end of the connection is the end of the answer, however the server frames it.
            head = line + b"\r\n" + self._fields + b"Connection: close\r\n\r\n"
            server.sendall(head + body)
            yield server

    def reply(self, answer: bytes) -> None:
        self._client.sendall(answer)

    def shut(self) -> None:
        _shut(self._client)

    def hang_up(self, *, reset: bool = False) -> NoReturn:
        """Closes the connection to the client, politely or not."""
        if reset:
            linger = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
            self._client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        else:
            self.shut()
        raise HungUp

    def hold(self) -> NoReturn:
        """Says nothing more until the client gives up."""
        while self._client.recv(65536):
            pass
        raise HungUp


class Answer:
    """An answer of the server, whole, and what can be made of it."""

    def __init__(self, raw: bytes) -> None:
        self.head, _, self.raw_body = raw.partition(b"\r\n\r\n")
        self.head = re.sub(rb"(?i)\r\nconnection:[^\r]*", b"", self.head)
        self.chunked = b"transfer-encoding: chunked" in self.head.lower()
        self.body = _dechunked(self.raw_body) if self.chunked else self.raw_body

    def __bytes__(self) -> bytes:
        return self.head + b"\r\n\r\n" + self.raw_body

    def framed(self, how: str, body: bytes | None = None) -> bytes:
        """Gives it with another framing: by length, in one chunk, by the end (or as it was)."""
        body = self.body if body is None else body
        how = how or ("chunk" if self.chunked else "length")
        if how == "chunk":
            framing = b"Transfer-Encoding: chunked"
            body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        elif how == "length":
            framing = b"Content-Length: %d" % len(body)
        else:
            framing = b"Connection: close"
        head = re.sub(rb"(?i)\r\n(transfer-encoding|content-length):[^\r]*", b"", self.head)
        return head + b"\r\n" + framing + b"\r\n\r\n" + body


def _shut(client: socket.socket) -> None:
    with suppress(OSError):  # it may be shut already
        client.shutdown(socket.SHUT_RDWR)


def _dechunked(raw: bytes) -> bytes:
    body = b""
    while raw:
        size, _, raw = raw.partition(b"\r\n")
        body += raw[: int(size, 16)]
        raw = raw[int(size, 16) + 2 :]
    return body

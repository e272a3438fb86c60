"""A server whose answers never end, each in its own way; it says when its client has left."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import suppress
from dataclasses import dataclass

_PAUSE = 0.02
_PATIENCE = 120.0
"""Seconds after which the server gives up; clients here are quicker."""

_OK = b"HTTP/1.1 200 OK\r\n"


@dataclass(frozen=True)
class Endless:
    """An answer without an end: how it starts, and what comes again and again."""

    start: bytes
    again: bytes


ANSWERS = {
    "status line": Endless(b"HTTP/1.1 200 ", b"x"),
    "header line": Endless(_OK + b"X-Long: ", b"x"),
    "header lines": Endless(_OK, b"X: y\r\n"),
    "100 Continue": Endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "100 Continue with headers": Endless(b"HTTP/1.1 100 Continue\r\nX: ", b"y\r\nX: y"),
    "body": Endless(_OK + b"Content-Length: 9999999\r\n\r\n", b"x"),
    "body to the end of the connection": Endless(b"HTTP/1.0 200 OK\r\n\r\n", b"x"),
    "chunks": Endless(_OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "size of a chunk": Endless(_OK + b"Transfer-Encoding: chunked\r\n\r\n", b"0"),
    "trailers": Endless(_OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n"),
    "redirect": Endless(
        b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 999999\r\n\r\n", b"x"
    ),
    "refusal": Endless(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 999999\r\n\r\n", b"x"),
    "failure": Endless(b"HTTP/1.1 503 Busy\r\nContent-Length: 999999\r\n\r\n", b"x"),
}
"""What does not end."""

HANDSHAKE = Endless(b"\x16\x03\x03\x40\x00\x02\x00\x3f\xf0\x03\x03", b"x")
"""The greeting of a TLS server, which is announced to be long."""


class EndlessServer:
    """Answers every request without an end, a piece every few milliseconds.

    Args:
        answer: What it answers.
        context: Where given, it speaks TLS.
        greets: Whether it answers before anything is asked.
        tunnel: Whether it is a proxy that answers a CONNECT as it should, and then itself.

    Attributes:
        seen: What it was sent, after TLS.
        begun: How many answers it has begun.
        left: Set when a client has left before the server gave up.
    """

    def __init__(
        self,
        answer: Endless,
        *,
        context: ssl.SSLContext | None = None,
        greets: bool = False,
        tunnel: bool = False,
    ) -> None:
        self.seen = b""
        self.begun = 0
        self.left = threading.Event()
        self._answer = answer
        self._context = context
        self._greets = greets
        self._tunnel = tunnel
        self._closing = threading.Event()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"{'https' if context else 'http'}://127.0.0.1:{self.port}"
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def __enter__(self) -> EndlessServer:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        # Closing a listener does not wake who waits for it everywhere; a connection does.
        with socket.create_connection(("127.0.0.1", self.port)):
            pass
        self._accepting.join(120)
        for thread in self._threads:
            thread.join(120)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            if self._closing.is_set():
                connection.close()
                return
            self._threads.append(
                threading.Thread(target=self._serve, args=(connection,), daemon=True)
            )
            self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:
            connection.settimeout(_PATIENCE)
            if self._tunnel:
                _read_head(connection)
                connection.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
            client = connection
            if self._context:
                client = self._context.wrap_socket(connection, server_side=True)
            with client:
                if not self._greets:
                    self.seen += _read_head(client)
                self._drip(client)

    def _drip(self, client: socket.socket) -> None:
        try:
            client.sendall(self._answer.start)
            self.begun += 1
            for _ in range(int(_PATIENCE / _PAUSE)):
                if self._closing.wait(_PAUSE):
                    return
                client.sendall(self._answer.again)
        except OSError:
            self.left.set()


def _read_head(client: socket.socket) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head:
        more = client.recv(65536)
        if not more:
            raise OSError("the client has left")
        head += more
    return head

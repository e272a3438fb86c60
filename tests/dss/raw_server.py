"""A server that answers, byte for byte, what a test tells it: for what the real one never does."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from socketserver import BaseServer

from dss import Session

WORKSPACE = b"<registry>\n</registry>\n"
"""The smallest workspace file."""

DROP = b""
"""An answer of no bytes: the connection is closed after the request was read."""


def answer(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def listing(*names: str) -> bytes:
    return answer("".join(f'{i},"{name}"\r\n' for i, name in enumerate(names)).encode())


def sent(name: str, body: bytes = WORKSPACE) -> bytes:
    return answer(body, f'Content-Disposition: attachment; filename="{name}"')


def chunked(name: str, body: bytes) -> bytes:
    head = f'HTTP/1.1 200 OK\r\nContent-Disposition: attachment; filename="{name}"\r\n'
    framing = f"Transfer-Encoding: chunked\r\n\r\n{len(body):x}\r\n"
    return (head + framing).encode() + body + b"\r\n0\r\n\r\n"


def unframed(name: str, body: bytes) -> bytes:
    """What a proxy of HTTP/1.0 makes of an answer."""
    head = f'HTTP/1.0 200 OK\r\nContent-Disposition: attachment; filename="{name}"\r\n\r\n'
    return head.encode() + body


class RawServer:
    """Answers requests with `answers`, in order; the last one again and again.

    Attributes:
        requests: Every request, head and body.
        connections: How many connections were accepted.
        keep_alive: Whether a connection serves more than one request.
        closed: Set whenever a connection has been closed.
        says_close: Whether an answer says that it is the last of its connection.
        drips: How many bytes of an answer come at once, if not all; the others come singly.
    """

    def __init__(self, port: int = 0) -> None:
        self.answers: list[bytes] = []
        self.keep_alive = False
        self.says_close = True
        self.drips: int | None = None
        self.closed = threading.Event()
        self.requests: list[bytes] = []
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        if not self._open:
            return
        # Closing a listener does not wake who waits for it everywhere; a connection does.
        self._open = False
        with socket.create_connection(("127.0.0.1", self.port)):
            pass
        self._thread.join(120)
        self._listener.close()

    def session(self, retry_for: float = 2.0) -> Session:
        """A session with this server that gives up soon."""
        return Session(self.url, retry_for=retry_for)

    def heads(self) -> list[str]:
        return [r.split(b"\r\n")[0].decode() for r in self.requests]

    _open = True

    def _serve(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            if not self._open:
                connection.close()
                return
            self.connections += 1
            connection.settimeout(5)
            with connection:
                try:
                    while self._exchange(connection) and self.keep_alive:
                        pass
                except OSError:
                    continue  # the client went away, which some tests want
            self.closed.set()

    def _exchange(self, connection: socket.socket) -> bool:
        request = b""
        while b"\r\n\r\n" not in request:
            more = connection.recv(65536)
            if not more:
                return False
            request += more
        head, _, body = request.partition(b"\r\n\r\n")
        length = next(
            (
                int(line.split(b":")[1])
                for line in head.split(b"\r\n")
                if line.lower().startswith(b"content-length:")
            ),
            0,
        )
        while len(body) < length:
            more = connection.recv(65536)
            if not more:
                break
            body += more
        self.requests.append(head + b"\r\n\r\n" + body)
        reply = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if self.says_close and not self.keep_alive:
            # Said beforehand, so that no client sends its next request into the closing connection.
            reply = reply.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
        connection.sendall(reply[: self.drips])
        for byte in reply[self.drips :] if self.drips is not None else b"":
            time.sleep(0.02)
            connection.sendall(bytes([byte]))
        return reply != DROP


@contextmanager
def serving(server: BaseServer) -> Iterator[None]:
    """Have a server of the standard library serve until the end of the block, whatever happens.

    One that is only closed goes on accepting on a socket that is no more, as fast as it can.
    """
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    with server:
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()

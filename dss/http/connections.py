"""The connections of a session: they report failed connects, keep a deadline and can be aborted.

A request is sent once its connection is complete, including TLS and the CONNECT of a proxy. A
failure before that point is kept apart from a later one: after a later failure nobody knows how
much of the request the server received. A deadline or an abort shuts the socket down from another
thread, which ends a handshake, a proxy's answer, a response's header and its body alike.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, InvalidStateError, wait
from contextlib import contextmanager, suppress
from http.client import HTTPResponse, IncompleteRead
from threading import Event, Lock
from typing import Any

from requests.adapters import HTTPAdapter
from requests.exceptions import InvalidProxyURL
from urllib3 import PoolManager
from urllib3.connection import HTTPConnection

from dss.http.deadline import Deadline, in_thread


class NotConnected(Exception):
    """The connection failed before any of the request was sent; `__cause__` is the reason."""


class Connections(HTTPAdapter):
    """The connections of one session, which uses one connection at a time.

    Attributes:
        broken: Set when the connections were aborted. No new connection is made then.
        deadline: The deadline of the current request, or of the last request.
    """

    deadline: Deadline

    def __init__(self) -> None:
        self.broken = Event()
        self._aborted: Future[Any] = Future()
        self._socket: socket.socket | None = None
        self._cutting = Lock()
        super().__init__()

    def abort(self) -> None:
        """Abort the request of another thread: its current or next connect, read or write fails."""
        self.broken.set()
        with suppress(InvalidStateError):  # it was aborted before
            self._aborted.set_result(None)
        self._cut()

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Set a deadline for the request that is made inside this context."""
        with Deadline(seconds, self._cut) as self.deadline:
            yield

    @property
    def cut(self) -> bool:
        """Return whether the current request was aborted, or its deadline has passed."""
        return self.broken.is_set() or self.deadline.passed

    def move(self, size: int) -> None:
        """Count bytes of a file. A file has a minimum rate instead of a deadline."""
        self.deadline.move(size)

    def _cut(self) -> None:
        with self._cutting, suppress(OSError):  # the socket may be closed already
            if self._socket is not None:
                # Not SSLSocket.shutdown: after that call, the socket would send without TLS.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """Make the manager of direct connections."""
        super().init_poolmanager(*args, **options)
        self._watch(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        """Return the manager of the connections through a proxy."""
        known = proxy in self.proxy_manager
        manager = super().proxy_manager_for(proxy, **options)
        if not known:
            self._watch(manager)
        return manager

    def get_connection_with_tls_context(self, *args: Any, **options: Any) -> Any:
        """Return the pool of connections for a request.

        Raises:
            InvalidProxyURL: The URL of the proxy is invalid.
        """
        try:
            return super().get_connection_with_tls_context(*args, **options)
        except (TypeError, UnicodeError):
            # The library's message contains the URL, and so perhaps a password.
            raise InvalidProxyURL("invalid URL of the proxy") from None

    def _watch(self, manager: PoolManager) -> None:
        """Make a manager create watched connections, whatever their scheme."""
        manager.pool_classes_by_scheme = {
            scheme: type(pool.__name__, (pool,), {"ConnectionCls": self._watched(pool)})
            for scheme, pool in manager.pool_classes_by_scheme.items()
        }

    def _watched(self, pool: Any) -> type:
        kind = pool.ConnectionCls
        return type(kind.__name__, (_Watched, kind), {"owner": self})

    def connect(self, connect: Callable[[], socket.socket]) -> socket.socket:
        """Connect before the deadline. The system's name look-up has no timeout of its own.

        Raises:
            TimeoutError: The deadline has passed, or the connections were aborted.
        """
        attempt = in_thread(connect)
        try:
            wait([attempt, self._aborted], self.deadline.left(), FIRST_COMPLETED)
            if not attempt.done():
                raise TimeoutError
            return attempt.result()
        except BaseException:
            attempt.add_done_callback(_close)
            raise

    def opened(self, connection: Any) -> None:
        """Set the timeout of a new socket: first the plain socket, then each TLS layer on top.

        A plain socket is not shut down before it is used: a shutdown while Python wraps it in TLS
        would leave a socket that nobody closes. The timeout of the socket ends the handshake, and
        counts for the handshake as a whole.

        Raises:
            TimeoutError: The deadline has passed, or the connections were aborted.
        """
        self.used(None if type(connection) is socket.socket else connection)
        timeout, left = connection.gettimeout(), max(0.001, self.deadline.left())
        connection.settimeout(left if timeout is None else min(timeout, left))

    def used(self, connection: Any) -> None:
        """Set the socket that is shut down at the deadline, if any.

        Raises:
            TimeoutError: The deadline has passed, or the connections were aborted.
        """
        with self._cutting:
            # TLS within TLS is not a socket object. The socket below it is known already.
            if connection is None or isinstance(connection, socket.socket):
                self._socket = connection
        if self.cut:
            raise TimeoutError


def _close(attempt: Future[socket.socket]) -> None:
    if not attempt.exception():
        attempt.result().close()


class _Answer(HTTPResponse):
    """A response that refuses negative chunk sizes, which http.client would read without end."""

    def _safe_read(self, amt: int) -> bytes:
        if amt < 0:
            raise IncompleteRead(b"")
        return super()._safe_read(amt)  # type: ignore[misc,no-any-return] # not in its types


class _Watched(HTTPConnection):
    """A connection of any scheme that reports each of its sockets to its owner."""

    owner: Connections
    response_class = _Answer
    _sock: Any = None

    @property
    def sock(self) -> Any:  # the setter reports each new socket
        return self._sock

    @sock.setter
    def sock(self, connection: Any) -> None:
        self._sock = connection
        if connection is not None:
            self.owner.opened(connection)

    def _new_conn(self) -> socket.socket:
        return self.owner.connect(super()._new_conn)

    def _tunnel(self) -> None:
        self.owner.used(self.sock)
        super()._tunnel()
        self.owner.opened(self.sock)

    def connect(self) -> None:
        try:
            super().connect()
            self.owner.used(self.sock)
        except Exception as error:
            raise NotConnected from error

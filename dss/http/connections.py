"""The connections of a session: they tell when none came about, keep a deadline, can be broken off.

A request leaves when its connection is there: with TLS, and through a proxy that has answered the
CONNECT. What fails before that is told apart from what fails later, of which nobody knows how much
the server got. A deadline and a break cut the socket from another thread: so they end a handshake,
a proxy's answer, a head and a body alike.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import Future
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
    """No connection came about, so that nothing of the request has left; its cause says why."""


class Connections(HTTPAdapter):
    """The connections of one session, which has one at a time.

    Attributes:
        broken: Set when they were broken off: none is made any more.
        deadline: That of the request under way, or of the last one.
    """

    deadline: Deadline

    def __init__(self) -> None:
        self.broken = Event()
        self._socket: socket.socket | None = None
        self._cutting = Lock()
        super().__init__()

    def abort(self) -> None:
        """End what another thread does here: what it reads or sends fails, now or next time."""
        self.broken.set()
        self._cut()

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Keep a deadline for the request that is made meanwhile."""
        with Deadline(seconds, self._cut) as self.deadline:
            yield

    @property
    def cut(self) -> bool:
        """Return whether the request under way was aborted, or its deadline has passed."""
        return self.broken.is_set() or self.deadline.passed

    def move(self, size: int) -> None:
        """Count bytes of a file, which has a least rate instead of a deadline."""
        self.deadline.move(size)

    def _cut(self) -> None:
        with self._cutting, suppress(OSError):  # it may be closed already
            if self._socket is not None:
                # Not the method of a TLS socket: from that on, it would send in the clear.
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
            # With the address in it, and so perhaps a password.
            raise InvalidProxyURL("not the address of a proxy") from None

    def _watch(self, manager: PoolManager) -> None:
        """Have a manager make connections that are watched, whatever they are else."""
        manager.pool_classes_by_scheme = {
            scheme: type(pool.__name__, (pool,), {"ConnectionCls": self._watched(pool)})
            for scheme, pool in manager.pool_classes_by_scheme.items()
        }

    def _watched(self, pool: Any) -> type:
        kind = pool.ConnectionCls
        return type(kind.__name__, (_Watched, kind), {"owner": self})

    def connect(self, connect: Callable[[], socket.socket]) -> socket.socket:
        """Connect while there is time: the system looks up a name for as long as it likes."""
        attempt = in_thread(connect)
        try:
            return attempt.result(self.deadline.left())
        except BaseException:
            attempt.add_done_callback(_close)
            raise

    def opened(self, connection: Any) -> None:
        """Bound what is done with a new socket: bare first, then with TLS, which it may have twice.

        A bare socket is not cut until it is used: while Python makes it a TLS socket, a cut would
        leave one behind that nobody closes. A handshake ends with the time-out of its socket, which
        counts for the whole of it.

        Raises:
            TimeoutError: The deadline has passed, or the connections were broken off.
        """
        self.used(None if type(connection) is socket.socket else connection)
        timeout, left = connection.gettimeout(), max(0.001, self.deadline.left())
        connection.settimeout(left if timeout is None else min(timeout, left))

    def used(self, connection: Any) -> None:
        """Note the socket that is cut at the deadline, if any.

        Raises:
            TimeoutError: The deadline has passed, or the connections were broken off.
        """
        with self._cutting:
            # TLS within TLS is no socket, but leads to the one that is known.
            if connection is None or isinstance(connection, socket.socket):
                self._socket = connection
        if self.cut:
            raise TimeoutError


def _close(attempt: Future[socket.socket]) -> None:
    if not attempt.exception():
        attempt.result().close()


class _Answer(HTTPResponse):
    """An answer whose chunks have a size: a negative one would be all that ever comes."""

    def _safe_read(self, amt: int) -> bytes:
        if amt < 0:
            raise IncompleteRead(b"")
        return super()._safe_read(amt)  # type: ignore[misc,no-any-return] # not in its types


class _Watched(HTTPConnection):
    """A connection, of whatever kind: how it comes about is watched."""

    owner: Connections
    response_class = _Answer
    _sock: Any = None

    @property
    def sock(self) -> Any:  # each socket that it gets is noted
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

"""The connections of a session: they tell when none came about, and can be broken off.

A request leaves when its connection is there: with TLS, and through a proxy that has answered the
CONNECT. What fails before that is told apart from what fails later, of which nobody knows how much
the server got.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Timer
from typing import Any

from requests.adapters import HTTPAdapter
from requests.exceptions import InvalidProxyURL
from urllib3 import PoolManager
from urllib3.connection import HTTPConnection


class NotConnected(Exception):
    """No connection came about, so that nothing of the request has left; its cause says why."""


class Connections(HTTPAdapter):
    """The connections of one session, which has one at a time.

    Attributes:
        broken: Set when they were broken off: none is made any more.
    """

    def __init__(self) -> None:
        self.broken = Event()
        self._socket: socket.socket | None = None
        super().__init__()

    def break_off(self) -> None:
        """End what another thread does here: what it reads or sends fails, now or next time."""
        self.broken.set()
        if self._socket is not None:
            with suppress(OSError):  # it may be closed already
                # Not the method of a TLS socket: from that on, it would send in the clear.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    @contextmanager
    def over_in(self, seconds: float | None) -> Iterator[None]:
        """Break off what lasts longer than some seconds; afterwards there may be connections again.

        Time-outs do not: they begin anew with each byte that comes.
        """
        if seconds is None:
            yield
            return
        timer = Timer(seconds, self.break_off)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()
            self.broken.clear()

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """Make the manager of direct connections."""
        super().init_poolmanager(*args, **options)
        self._watch(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        """Give the manager of the connections through a proxy."""
        known = proxy in self.proxy_manager
        manager = super().proxy_manager_for(proxy, **options)
        if not known:
            self._watch(manager)
        return manager

    def get_connection_with_tls_context(self, *args: Any, **options: Any) -> Any:
        """Give the pool of connections for a request.

        Raises:
            InvalidProxyURL: The address of the proxy is none.
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

    def opened(self, connection: socket.socket) -> None:
        """Take note of a connection, as soon as it is there."""
        self._socket = connection
        if self.broken.is_set():
            raise TimeoutError


class _Watched(HTTPConnection):
    """A connection, of whatever kind: how it comes about is watched."""

    owner: Connections

    def connect(self) -> None:
        try:
            super().connect()
            self.owner.opened(self.sock)
        except Exception as error:
            raise NotConnected from error

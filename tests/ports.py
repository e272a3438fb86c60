"""Ports for programs that are told on which one to listen."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def reserved() -> Iterator[int]:
    """Choose a free port of 127.0.0.1, which the system gives to nobody else meanwhile.

    On Linux, a server with SO_REUSEADDR can listen on a port to which another such socket is bound,
    unless that one listens. The system gives such a port to nobody who asks for any free one.
    Elsewhere the port is free when it is chosen; another program may take it later.
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        port: int = holder.getsockname()[1]
        if sys.platform != "linux":
            holder.close()
        yield port

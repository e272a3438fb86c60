"""Ports for programs that are told on which one to listen."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def reserved() -> Iterator[int]:
    """Choose a free port of 127.0.0.1, which the system gives to nobody else meanwhile.

    On Linux, a program that reuses addresses, as servers do, can listen on a port to which a socket
    is bound that does so, too, and does not listen. To nobody does the system give such a port
    unasked. Elsewhere the port is free when it is chosen, and no more is known.
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        port: int = holder.getsockname()[1]
        if sys.platform != "linux":
            holder.close()
        yield port

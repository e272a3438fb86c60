"""Answers that never end, as a fault: what is asked is done, and its answer is not over."""

from __future__ import annotations

import time

from tests.faults.proxy import Request

_PAUSE = 0.02
_OK = b"HTTP/1.1 200 OK\r\n"

KINDS: dict[str, tuple[bytes, bytes]] = {
    "head": (_OK + b"X-Long: ", b"x"),
    "heads": (_OK, b"X: y\r\n"),
    "continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "body": (_OK + b"Content-Length: 9999999\r\n\r\n", b"x"),
    "chunks": (_OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
}
"""How an answer starts, and what comes again and again."""


def never_end(request: Request, kind: str) -> None:
    """The server does what is asked; its answer never ends: in this way, or in each in turn."""
    request.ask()
    start, again = KINDS[kind or list(KINDS)[request.proxy.endless % len(KINDS)]]
    request.proxy.endless += 1
    request.reply(start)
    end = time.monotonic() + request.proxy.hold
    while time.monotonic() < end and not request.proxy.sane.wait(_PAUSE):
        request.reply(again)  # the client leaves earlier, which ends this
    request.hang_up()

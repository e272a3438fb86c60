"""What can befall a request, and the mini notation that says which one it befalls."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from tests.faults.endless import never_end
from tests.faults.proxy import HOLD, Proxy, Request


@dataclass
class Rule:
    """A fault, and the request that it befalls.

    Args:
        fault: A name of `FAULTS`, with its argument: `cut-answer:100`.
        at: Method and path, with `*`, and which of the requests that match: `POST api/tickets` is
            the first, `#2` the second, `#2+` it and all that follow, `#1-3` the first three. Or
            `start`, before any request, for `refuse`.

    Attributes:
        fired: How many requests it befell.
    """

    fault: str
    at: str
    fired: int = 0
    _seen: int = field(default=0, repr=False)

    def __post_init__(self) -> None:
        name, _, self._argument = self.fault.partition(":")
        self._act = FAULTS[name]
        form = re.fullmatch(r"start|([A-Z*]+ [^# ]+)(?:#(\d+)(\+|-(\d+))?)?", self.at)
        assert form is not None, f"no request: {self.at!r}"
        assert (self.at == "start") <= (name == "refuse"), f"no fault for a start: {self.fault!r}"
        self._pattern = form[1] or ""
        self._first = int(form[2] or 1)
        self._last = float("inf") if form[3] == "+" else int(form[4] or self._first)

    def befalls(self, request: str) -> bool:
        """Counts a request, `METHOD path`, and tells whether it is one of those meant."""
        if not fnmatchcase(request, self._pattern):
            return False
        self._seen += 1
        if not self._first <= self._seen <= self._last:
            return False
        self.fired += 1
        return True

    def apply(self, request: Request) -> None:
        self._act(request, self._argument)

    def refuse(self, proxy: Proxy) -> None:
        """Lets nobody listen: for as many seconds as the argument says, or to the end."""
        self.fired += 1
        _listen_later(proxy, self._argument)


def _part(argument: str, whole: int) -> int:
    """How many bytes `half`, `100` or `-9` (all but nine) of a whole are."""
    if argument == "half":
        return whole // 2
    return int(argument) if not argument.startswith("-") else whole + int(argument)


# Faults. Each gets the request and its argument: how much (`half`, 100, or all but -9 bytes), which
# status, index or name, how many seconds. It answers the client or leaves it.


def _drop_request(request: Request, _: str) -> None:
    """The request is lost: nothing reaches the server, and the connection ends."""
    request.body()
    request.hang_up()


def _reset_request(request: Request, _: str) -> None:
    """The request is lost, and the connection is reset."""
    request.body()
    request.hang_up(reset=True)


def _stall_request(request: Request, _: str) -> None:
    """The request is lost, and nothing is said."""
    request.body()
    request.hold()


def _late(request: Request, _: str) -> None:
    """The request reaches the server when the client has given it up and has finished."""
    request.body()
    request.proxy.closing.wait(HOLD)
    request.ask()


def _flip_request(request: Request, place: str) -> None:
    """One bit of the request's body, at this place, is another on the way."""
    request.flip(_part(place, request.length))
    request.reply(bytes(request.ask()))


def _cut_request(request: Request, size: str) -> None:
    """Only that much of the request's body reaches the server; the connection is reset."""
    with request.ask_in_part(_part(size, request.length)):
        pass
    request.hang_up(reset=True)


def _refuse(request: Request, seconds: str) -> None:
    """After this answer (or from the start) nobody listens: for some seconds, or to the end."""
    answer = request.ask()
    answer.head += b"\r\nConnection: close"
    request.proxy.refuse()
    request.reply(bytes(answer))
    request.shut()
    _listen_later(request.proxy, seconds)


def _listen_later(proxy: Proxy, seconds: str) -> None:
    if seconds and not proxy.closing.wait(float(seconds)):
        proxy.listen()


def _close_idle(request: Request, _: str) -> None:
    """After this answer the connection is closed, unannounced."""
    request.reply(bytes(request.ask()))
    request.hang_up()


def _delay(request: Request, seconds: str) -> None:
    """The answer comes some seconds later."""
    answer = request.ask()
    request.proxy.closing.wait(float(seconds))
    request.reply(bytes(answer))


def _trickle(request: Request, pieces: str) -> None:
    """The answer comes in so many pieces, one after the other."""
    answer = bytes(request.ask())
    step = len(answer) // int(pieces) + 1
    for start in range(0, len(answer), step):
        request.reply(answer[start : start + step])
        request.proxy.closing.wait(0.02)


def _status(request: Request, status: str) -> None:
    """A proxy answers with this status; nothing reaches the server."""
    request.body()
    request.reply(_text(status, b"<h1>proxy</h1>\r\nno luck", b"text/html"))


def _status_after(request: Request, status: str) -> None:
    """The server does what is asked, and this status comes as the answer."""
    request.ask()
    request.reply(_text(status, b"internal server error", b"text/html"))


def _portal(request: Request, _: str) -> None:
    """A page to log in to the network comes as the answer; nothing reaches the server."""
    request.body()
    request.reply(_text("200", b"<html><title>Guest network</title></html>", b"text/html"))


def _portal_after(request: Request, _: str) -> None:
    """The server does what is asked, and a page to log in to the network comes."""
    request.ask()
    _portal(request, _)


def _text(status: str, body: bytes, kind: bytes) -> bytes:
    head = b"HTTP/1.1 %b Fault\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n"
    return head % (status.encode(), kind, len(body)) + body


def _drop_answer(request: Request, _: str) -> None:
    """The server does what is asked; its answer is lost, and the connection ends."""
    request.ask()
    request.hang_up()


def _reset_answer(request: Request, _: str) -> None:
    """The server does what is asked; its answer is lost, and the connection is reset."""
    request.ask()
    request.hang_up(reset=True)


def _stall_answer(request: Request, size: str) -> None:
    """The server does what is asked; its answer stays away, or stops after that much."""
    answer = request.ask()
    if size:
        request.reply(answer.head + b"\r\n\r\n" + answer.raw_body[: int(size)])
    request.hold()


def _cut_answer(request: Request, size: str) -> None:
    """The connection ends when that much of the answer's body has come."""
    answer = request.ask()
    kept = answer.raw_body[: _part(size, len(answer.raw_body))]
    request.reply(answer.head + b"\r\n\r\n" + kept)
    request.hang_up()


def _cut_head(request: Request, size: str) -> None:
    """The connection ends when so many bytes of the answer's head have come."""
    request.reply(bytes(request.ask())[: int(size)])
    request.hang_up()


def _half_chunk(request: Request, _: str) -> None:
    """The answer is announced as one chunk, and ends in the middle of it."""
    answer = request.ask()
    missing = len(answer.body) - len(answer.body) // 2
    request.reply(answer.framed("chunk")[: -missing - len(b"\r\n0\r\n\r\n")])
    request.hang_up()


def _no_length(request: Request, size: str) -> None:
    """The answer comes without a length, ended by the connection; or that much of it."""
    answer = request.ask()
    kept = answer.body[: _part(size, len(answer.body))] if size else answer.body
    request.reply(answer.framed("close", kept))
    request.hang_up()


def _short(request: Request, size: str) -> None:
    """Only that much of the body comes, framed as if it were the whole."""
    answer = request.ask()
    request.reply(answer.framed("", answer.body[: _part(size, len(answer.body))]))


def _lost_line(request: Request, number: str) -> None:
    """This line of the answer is not there: the list was made while files came."""
    answer = request.ask()
    lines = answer.body.splitlines(keepends=True)
    del lines[int(number)]
    request.reply(answer.framed("", b"".join(lines)))


def _flip(request: Request, place: str) -> None:
    """One bit of the answer's body, at this place, is another on the way."""
    answer = request.ask()
    body = bytearray(answer.body)
    body[_part(place, len(body))] ^= 0x10
    request.reply(answer.framed("", bytes(body)))


def _name(request: Request, name: str) -> None:
    """The answer says that the file has this name."""
    answer = request.ask()
    other = b'\\1filename="%b"' % name.encode()
    answer.head = re.sub(rb"(?im)^(content-disposition:.*)filename=[^\r]*", other, answer.head)
    request.reply(bytes(answer))


def _no_name(request: Request, _: str) -> None:
    """The answer does not say what name the file has."""
    answer = request.ask()
    answer.head = re.sub(rb"(?im)^content-disposition:.*\r\n", b"", answer.head)
    request.reply(bytes(answer))


def _index(request: Request, index: str) -> None:
    """The file of another index comes, under its own name: the list has shifted."""
    request.reply(bytes(request.ask(index=index)))


def _swap(request: Request, index: str) -> None:
    """The file of another index comes, under the name of the one asked for."""
    request.reply(request.ask().framed("", request.ask(index=index).body))


def _kill_before(request: Request, _: str) -> None:
    """The server is killed while the request is on its way; it starts again."""
    request.body()
    request.proxy.kill_server()
    request.hang_up()


def _kill_during(request: Request, _: str) -> None:
    """The server is killed when half of the request has come to it; it starts again."""
    with request.ask_in_part(request.length // 2):
        request.proxy.kill_server()
    request.hang_up(reset=True)


def _kill_after(request: Request, _: str) -> None:
    """The server is killed when it has done what is asked, its answer lost; it starts again."""
    request.ask()
    request.proxy.kill_server()
    request.hang_up()


def _kill_during_answer(request: Request, size: str) -> None:
    """The server is killed when that much of its answer has come; it starts again."""
    answer = request.ask()
    request.reply(answer.head + b"\r\n\r\n" + answer.raw_body[: _part(size, len(answer.raw_body))])
    request.proxy.kill_server()
    request.hang_up()


FAULTS: dict[str, Callable[[Request, str], None]] = {
    "drop-request": _drop_request,
    "reset-request": _reset_request,
    "stall-request": _stall_request,
    "late": _late,
    "flip-request": _flip_request,
    "cut-request": _cut_request,
    "refuse": _refuse,
    "close-idle": _close_idle,
    "delay": _delay,
    "trickle": _trickle,
    "status": _status,
    "status-after": _status_after,
    "portal": _portal,
    "portal-after": _portal_after,
    "drop-answer": _drop_answer,
    "reset-answer": _reset_answer,
    "stall-answer": _stall_answer,
    "endless": never_end,
    "cut-answer": _cut_answer,
    "cut-head": _cut_head,
    "half-chunk": _half_chunk,
    "no-length": _no_length,
    "short": _short,
    "lost-line": _lost_line,
    "flip": _flip,
    "name": _name,
    "no-name": _no_name,
    "index": _index,
    "swap": _swap,
    "kill-before": _kill_before,
    "kill-during": _kill_during,
    "kill-after": _kill_after,
    "kill-during-answer": _kill_during_answer,
}
"""What can happen to a request; the words after a colon are the argument."""

"""Whether, how long and how often a call that may be sent again is sent again.

The time begins with the first failure, so that a call that failed late, as a long download does, is
tried again like any other. The pauses grow, and each is a little random: clients that lost the
server together do not come back together.
"""

from __future__ import annotations

import random
import ssl
import time
from collections.abc import Iterator

import requests
from urllib3.exceptions import LocationParseError, NewConnectionError

from dss.errors import BadAnswer, DssError, shown

PATIENCE = 60.0
"""Seconds, by default, for which a call is sent again after its first failure."""

FIRST_PAUSE = 0.25
LONGEST_PAUSE = 8.0
"""Seconds between two tries: the first pause, doubled each time up to the longest."""

MAX_FAILURES = 4
"""Tries at a server that fails in a way that may last: 500 is its answer to many a wrong input."""


class Tries:
    """The tries of one call.

    Args:
        patience: Seconds after the first failure within which another try may begin.
        within: Seconds from now within which the whole call has to be over, None for no limit.
    """

    def __init__(self, patience: float, within: float | None = None) -> None:
        self._patience = patience
        self._over = None if within is None else time.monotonic() + within
        self._end: float | None = None
        self._pause = FIRST_PAUSE
        self._failures = 0

    def bound(self, seconds: float) -> float:
        """Cut a time-out to what is left of the time of the whole call."""
        if self._over is None:
            return seconds
        return max(0.001, min(seconds, self._over - time.monotonic()))

    def pause(self, failure: DssError) -> bool:
        """Wait for the next try; False, and no wait, where there is none after this failure."""
        now = time.monotonic()
        if self._end is None:
            self._end = now + self._patience
            if self._over is not None:
                self._end = min(self._end, self._over)
        if isinstance(failure, BadAnswer) or getattr(failure, "status", None) == 500:
            self._failures += 1
        left = self._end - now
        if left <= 0 or self._failures >= MAX_FAILURES:
            return False
        # The last try is made when the time is just over, however long the pauses have become.
        time.sleep(min(left, self._pause * random.uniform(0.5, 1.0)))  # noqa: S311 - no secret
        self._pause = min(2 * self._pause, LONGEST_PAUSE)
        return True


class Lost(Exception):
    """A try of a call without an answer of the API.

    Attributes:
        failure: What to say of it.
        sent: Whether any of the request may have reached the server.
        lasting: Whether another try would fail the same way.
    """

    def __init__(self, failure: DssError, *, sent: bool = True, lasting: bool = False) -> None:
        super().__init__(str(failure))
        self.failure = failure
        self.sent = sent
        self.lasting = lasting


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Give an error and those it was made from, which the libraries keep in several places."""
    todo: list[object] = [error]
    seen: list[object] = []
    while todo:
        cause = todo.pop(0)
        if isinstance(cause, BaseException) and cause not in seen:
            seen.append(cause)
            # Not its context: that leads on to whatever error the caller is handling meanwhile.
            todo += [*cause.args, getattr(cause, "reason", None), cause.__cause__]
            yield cause


def never_sent(error: Exception) -> bool:
    """Tell whether a request failed before any of it can have reached the server."""
    # A ProxyError says nothing: it is what a lost answer becomes behind a proxy. But a proxy that
    # refuses to connect is told of in words of `http.client`, which come before the request.
    never = (requests.ConnectTimeout, NewConnectionError)
    return is_lasting(error) or any(
        isinstance(cause, never) or str(cause).startswith("Tunnel connection failed")
        for cause in _causes(error)
    )


def is_lasting(error: Exception) -> bool:
    """Tell whether another try would fail alike: a certificate not trusted, an impossible URL."""
    lasting = (
        ssl.SSLCertVerificationError,
        requests.exceptions.InvalidURL,
        requests.exceptions.InvalidSchema,
        requests.exceptions.InvalidProxyURL,
        LocationParseError,
    )
    return any(isinstance(cause, lasting) or _speaks_no_tls(cause) for cause in _causes(error))


def _speaks_no_tls(error: BaseException) -> bool:
    return isinstance(error, ssl.SSLError) and error.reason in (
        "WRONG_VERSION_NUMBER",
        "RECORD_LAYER_FAILURE",
        "HTTP_REQUEST",
    )


def reason(error: Exception) -> str:
    """Give the words of the system for a failure, without the libraries' wrapping."""
    if isinstance(error, requests.Timeout):
        return "timed out"
    causes = [c for c in _causes(error) if not isinstance(c, requests.RequestException)]
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                f"its certificate is not trusted: {shown(cause.verify_message)}; where your "
                "network has its own certificate authority, give its bundle"
            )
        if _speaks_no_tls(cause):
            return "it does not speak TLS: is it http:// instead of https://?"
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
    return shown(str(causes[-1] if causes else error))

"""Retries: whether, how long and how often a call is sent again, with exponential backoff.

The time for retries begins with the first failure: a call that fails late, like a long download, is
retried like any other. The pauses grow and are randomized a little, so that clients that lost the
server at the same moment do not come back at the same moment.
"""

from __future__ import annotations

import random
import ssl
import time
from collections.abc import Iterator
from threading import Event

import requests
from requests.exceptions import InvalidSchema, InvalidURL
from urllib3.exceptions import LocationParseError

from dss.backoff import Backoff
from dss.errors import DssError, InvalidResponse
from dss.http.connections import NotConnected
from dss.text import shown

RETRY_FOR = 60.0
"""Seconds, by default, for which a call is sent again after its first failure."""

FIRST_PAUSE = 0.25
LONGEST_PAUSE = 8.0
"""Seconds between two attempts: the first pause, doubled each time up to the longest."""

MAX_FAILURES = 4
"""Attempts after failures that may be permanent: the server answers 500 to many invalid inputs."""

_SHORTEST = 0.001  # seconds, the minimum timeout of an attempt

NOTICED = 1.5
"""Seconds after which the user is told why a call takes so long."""


class Attempts:
    """The attempts at one call.

    Args:
        retry_for: Seconds after the first failure within which another attempt may begin.
        within: Seconds from now to the deadline of the call with all attempts, None for no limit.
        broken: Ends the attempts, and a pause between two, when it is set.
    """

    def __init__(self, retry_for: float, within: float | None, broken: Event) -> None:
        self._patience = retry_for
        self._broken = broken
        self._begin = time.monotonic()
        self._over = None if within is None else self._begin + within
        self._end: float | None = None
        self._noticed = False
        self._backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        self._failures = 0

    def bound(self, seconds: float) -> float:
        """Return a timeout, cut to the seconds that the call has left."""
        if self._over is None:
            return seconds
        return max(_SHORTEST, min(seconds, self._over - time.monotonic()))

    def pause(self, failure: DssError) -> bool:
        """Wait before the next attempt and return True; return False if no attempt is left."""
        now = time.monotonic()
        if self._end is None:
            self._end = now + self._patience
            if self._over is not None:
                self._end = min(self._end, self._over)
        if isinstance(failure, InvalidResponse) or getattr(failure, "status", None) == 500:
            self._failures += 1
        left = self._end - now
        if left <= 0 or self._failures >= MAX_FAILURES:
            return False
        # The last attempt begins when the time is just over, however long the pauses are by then.
        share = random.uniform(0.5, 1.0)  # noqa: S311 - no secret
        seconds = min(left, self._backoff.next() * share)
        return not self._broken.wait(seconds) and not self._is_over()

    def _is_over(self) -> bool:
        return self._over is not None and self._over - time.monotonic() < _SHORTEST

    def noticed(self) -> float | None:
        """Return the seconds left for retries, once, when the call has taken `NOTICED` seconds."""
        now = time.monotonic()
        if self._noticed or self._end is None or now - self._begin < NOTICED:
            return None
        self._noticed = True
        return max(0.0, self._end - now)


class AttemptFailed(Exception):
    """An attempt at a call failed: the API did not answer.

    Attributes:
        failure: The error to raise if no further attempt is made.
        sent: Whether any part of the request may have reached the server.
        permanent: Whether another attempt would fail the same way.
    """

    def __init__(self, failure: DssError, *, sent: bool = True, permanent: bool = False) -> None:
        super().__init__(str(failure))
        self.failure = failure
        self.sent = sent
        self.permanent = permanent


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and its causes, which the libraries keep in several places."""
    todo: list[object] = [error]
    seen: list[object] = []
    while todo:
        cause = todo.pop(0)
        if isinstance(cause, BaseException) and cause not in seen:
            seen.append(cause)
            # Not __context__: it may be an unrelated error that the caller is just handling.
            todo += [*cause.args, getattr(cause, "reason", None), cause.__cause__]
            yield cause


def never_sent(error: Exception) -> bool:
    """Return whether a request failed before any part of it was sent."""
    return any(isinstance(cause, NotConnected) for cause in _causes(error)) or is_no_address(error)


def is_no_address(error: Exception) -> bool:
    """Return whether the URL of the server, or of a proxy, is invalid."""
    kinds = (InvalidURL, InvalidSchema, LocationParseError)
    return any(isinstance(cause, kinds) for cause in _causes(error))


def is_permanent(error: Exception) -> bool:
    """Return whether a retry would fail the same way: an untrusted certificate, an invalid URL."""
    return never_sent(error) and any(
        is_no_address(error)
        or isinstance(cause, ssl.SSLCertVerificationError)
        or _speaks_no_tls(cause)
        for cause in _causes(error)
    )


def _speaks_no_tls(error: BaseException) -> bool:
    return isinstance(error, ssl.SSLError) and error.reason in (
        "WRONG_VERSION_NUMBER",
        "RECORD_LAYER_FAILURE",
        "HTTP_REQUEST",
    )


def reason(error: Exception) -> str:
    """Return the system's message for a failure, without the libraries' wrapping."""
    causes = [c for c in _causes(error) if not isinstance(c, requests.RequestException)]
    if is_no_address(error) and not isinstance(error, InvalidSchema):
        # The library's message contains the URL, and so perhaps a password.
        return "invalid URL of the server, or of the proxy in HTTP_PROXY or HTTPS_PROXY"
    if isinstance(error, requests.Timeout) or any(isinstance(c, TimeoutError) for c in causes):
        return "timed out"
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

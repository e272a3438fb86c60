"""Requests to one server, each with a deadline and retried only where a repetition does no harm.

This module owns the deadlines, the cookie, the decision which calls are retried, and the mapping of
responses to errors. A call without `if_lost` can be repeated: it changes nothing, or changes the
same thing again. It is retried after a failure of the network or of the server. A call that must
not happen twice states in `if_lost` the possible outcome of a lost response, and how to check. If
the server can answer that, the call also passes `was_done`: the server is asked first, and the call
is repeated only if it was not done. A request that was never sent is always retried.

The server closes a connection after 10 s without traffic and answers a `HEAD` with a body. So a
connection is not reused after 5 s, and `HEAD` is never sent.
"""

from __future__ import annotations

import json
import logging
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from http.cookiejar import Cookie
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import requests
import urllib3
from requests.cookies import RequestsCookieJar
from urllib3.exceptions import HTTPError, InsecureRequestWarning

from dss.errors import (
    DssError,
    InvalidResponse,
    NetworkFailed,
    NotLoggedIn,
    OutcomeUnknown,
    Refused,
    ServerFailed,
)
from dss.http.connections import Connections, NotConnected
from dss.http.responses import Received, digest_of, raise_for_response, save, start_of, text_of
from dss.http.retry import (
    RETRY_FOR,
    AttemptFailed,
    Attempts,
    is_no_address,
    is_permanent,
    never_sent,
    reason,
)
from dss.text import shown

if TYPE_CHECKING:
    from dss.transfer.allowance import Allowance

COOKIE_NAME = "webpy_session_id"
TIMEOUT = (10.0, 60.0)
"""Seconds, by default, to connect or to send, and without a byte while waiting for an answer.

Their sum is the deadline of a request, by the clock. During the transfer of a file, each
`dss.http.deadline.BLOCK` of its bytes has that time, which makes a minimum rate.
"""

_MAX_IDLE = 5.0
# A call that is never repeated does not use a connection that the server may just be closing.
_MAX_IDLE_ONCE = 1.0
_BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_LOOPBACK = {"127.0.0.1", "::1", "localhost"}

_log = logging.getLogger(__name__)
# Once a call: why it takes so long, for the user who waits for it.
_waiting = logging.getLogger(f"{__name__}.waiting")

T = TypeVar("T")


class Body(Protocol):
    """The body of a request as a stream: its length in bytes, and its bytes at each iteration."""

    content_type: str

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[bytes]: ...


class _Counted:
    """A body that counts its bytes as they are sent. Then the answer has the full deadline."""

    def __init__(self, body: Body, connections: Connections) -> None:
        self._body = body
        self._connections = connections

    def __len__(self) -> int:
        return len(self._body)

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._body:
            yield piece
            self._connections.move(len(piece))
        self._connections.deadline.renew()


class _Http(requests.Session):
    """A session that ignores redirects, because following one reads the whole body first."""

    def get_redirect_target(self, resp: requests.Response) -> None:  # noqa: ARG002
        return None


class _Jar(RequestsCookieJar):
    """Cookies with unique names: the server's cookie replaces the one of a restored login."""

    def set_cookie(self, cookie: Cookie, *args: Any, **kwargs: Any) -> None:
        for old in [c for c in self if c.name == cookie.name]:
            self.clear(old.domain, old.path, old.name)
        super().set_cookie(cookie, *args, **kwargs)


def is_loopback(host: str) -> bool:
    """Return whether a host name or address is this machine, so that no network is involved."""
    try:
        return host in _LOOPBACK or ip_address(host).is_loopback
    except ValueError:  # a name
        return False


def server_url(text: str) -> str:
    """Return the URL of a server without surrounding blanks and without a trailing slash.

    Raises:
        NetworkFailed: The URL is invalid. The message leaves out a password in it.
    """
    url = text.strip().rstrip("/")
    form = r"https?://(\[[^]/]+\]|[^/:?#@]+)(:\d+)?(/[^?#@]*)?"
    if not re.fullmatch(form, url, re.IGNORECASE):
        known = re.sub("[?#].*", "?…", re.sub("//.*@", "//…@", shown(url)))
        raise NetworkFailed(f"not the URL of a server, like https://host: {known!r}")
    return url


class Session:
    """A connection to one server with one login, for one thread at a time.

    Args:
        server: URL of the middleware. A trailing slash is removed.
        cookie: Value of the session cookie of an earlier login.
        timeout: Seconds to connect or to send, and seconds without a byte while reading. Their
            sum is the deadline of a request, and the time in which 64 kB of a file have to move.
        retry_for: Seconds after the first failure within which a call may be retried.
        verify: True, the path of a bundle of certificate authorities, or False. False accepts
            any certificate: anybody on the network path can then read the login and the images.

    Attributes:
        server: URL of the server, without a trailing slash.
        host: The host in that URL.
        retry_for: As above. It may be changed at any time.
        user: E-mail address of the user, set by a login in this session.

    Raises:
        NetworkFailed: The URL is invalid, or the bundle does not exist.
    """

    def __init__(
        self,
        server: str,
        *,
        cookie: str | None = None,
        timeout: tuple[float, float] = TIMEOUT,
        retry_for: float = RETRY_FOR,
        verify: bool | str = True,
    ) -> None:
        self.server = server_url(server)
        if verify is not False and not verify:
            raise NetworkFailed("an empty name is not a bundle of certificate authorities")
        for bundle in (verify, *map(os.environ.get, _BUNDLES if verify is True else ())):
            if isinstance(bundle, str) and not Path(bundle).exists():
                raise NetworkFailed(f"no bundle of certificate authorities: {shown(bundle)}")
        if verify is False:
            # The user asked for it, and needs no warning at each request.
            urllib3.disable_warnings(InsecureRequestWarning)
        name = re.sub(r":\d+$", "", self.server.split("/")[2]).lower()
        self.host = name.strip("[]")
        self.retry_for = retry_for
        self.user: str | None = None
        self._timeout = timeout
        self._verify = verify
        self._used = time.monotonic()
        self._connections = Connections()
        self._http = _Http()
        self._http.mount("http://", self._connections)
        self._http.mount("https://", self._connections)
        # Ignore the login in a .netrc, and use no proxy for this machine.
        self._http.auth = _no_other_login
        self._proxies = {"no_proxy": self.host} if self.host in _LOOPBACK else None
        self._http.headers["Accept-Encoding"] = "identity"
        self._http.cookies = _Jar()
        if cookie is not None:
            domain = self.host if "." in self.host else f"{name}.local"
            self._http.cookies.set(COOKIE_NAME, cookie, domain=domain)

    def __repr__(self) -> str:
        return f"Session({self.server!r})"

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the login stays valid."""
        self._http.close()

    def abort(self) -> None:
        """Abort the current call from another thread: it fails soon and is not retried.

        The session cannot be used afterwards.
        """
        self._connections.abort()

    @property
    def aborted(self) -> bool:
        """Return whether its calls were aborted; their errors then say nothing of the server."""
        return self._connections.broken.is_set()

    def clone(self) -> Session:
        """Open a second session with the same login, for another thread."""
        cookie = self.cookie
        return Session(
            self.server,
            cookie=cookie.value if cookie else None,
            timeout=self._timeout,
            retry_for=self.retry_for,
            verify=self._verify,
        )

    @property
    def cookie(self) -> Cookie | None:
        """The session cookie, None before the first answer (or when it was not accepted)."""
        return next((c for c in self._http.cookies if c.name == COOKIE_NAME), None)

    def get_text(
        self,
        path: str,
        read: Callable[[str], T] = str,  # type: ignore[assignment] # text stays text
        *,
        if_lost: str | None = None,
        was_done: Callable[[], T | None] | None = None,
        within: float | None = None,
    ) -> T:
        """GET a text. Some GETs of this API change something and state `if_lost`.

        Args:
            path: Path of the call, without a slash at its beginning.
            read: As for `post_form`.
            if_lost: As for `post_form`.
            was_done: As for `post_form`.
            within: Seconds to the deadline of the call with all its retries.
        """
        return self._call(
            "GET", path, _text(read), if_lost=if_lost, was_done=was_done, within=within
        )

    def get_json(self, path: str, *, within: float | None = None) -> object:
        """GET a JSON document, optionally within some seconds."""
        return self.get_text(path, _json, within=within)

    def get_file(self, path: str, target: Path, allowance: Allowance | None = None) -> Received:
        """GET a file as a stream into `target`. Each attempt overwrites `target`.

        Raises:
            TooLarge: The file exceeds the allowance. This is not retried.
            TransferFailed: The file was truncated at every attempt.
            OSError: `target` cannot be written.
        """
        return self._call(
            "GET",
            path,
            lambda response, call: save(response, call, target, self._connections.move, allowance),
        )

    def get_digest(self, path: str, most: int | None = None) -> tuple[str | None, str]:
        """GET a file and return its name and the SHA-256 of its bytes, in hex digits.

        Reading stops after more than `most` bytes. The digest is then one of the beginning only.

        Raises:
            TransferFailed: The file was truncated at every attempt.
        """
        return self._call(
            "GET",
            path,
            lambda response, call: digest_of(response, call, self._connections.move, most),
        )

    def get_start(self, path: str, size: int) -> tuple[str | None, bytes]:
        """GET a file's name and its first bytes, at most `size`, and close the connection.

        Raises:
            TransferFailed: The file was truncated at every attempt.
        """
        try:
            return self._call(
                "GET",
                path,
                lambda response, call: start_of(response, call, size, self._connections.move),
            )
        finally:
            self._http.close()

    def post_form(
        self,
        path: str,
        fields: Mapping[str, str],
        read: Callable[[str], T] = str,  # type: ignore[assignment] # text stays text
        *,
        if_lost: str | None,
        was_done: Callable[[], T | None] | None = None,
    ) -> T:
        """POST a form. A character that UTF-8 cannot encode (a lone surrogate) becomes `?`.

        Args:
            path: Path of the call, without a slash at its beginning.
            fields: The form.
            read: Reads the answer, and raises `InvalidResponse` if the answer is invalid. That
                counts as a lost answer: nobody knows whether the call was done.
            if_lost: Text for the user: the possible outcome if the answer is lost, and how to
                check. None if the call may be repeated.
            was_done: Asks the server whether the call was done, and returns the lost answer, or
                None if it was not. Without this function, a call that was sent is not repeated.
        """
        data = {k: v.encode("utf-8", "replace") for k, v in fields.items()}
        return self._call("POST", path, _text(read), data=data, if_lost=if_lost, was_done=was_done)

    def post_body(
        self,
        path: str,
        body: Body,
        read: Callable[[str], T] = str,  # type: ignore[assignment] # text stays text
        *,
        if_lost: str | None,
    ) -> T:
        """POST a stream. Each attempt sends the stream from its beginning."""
        return self._call("POST", path, _text(read), data=body, if_lost=if_lost)

    def _call(
        self,
        method: str,
        path: str,
        read: Callable[[requests.Response, str], T],
        *,
        data: Mapping[str, bytes] | Body | None = None,
        if_lost: str | None = None,
        was_done: Callable[[], T | None] | None = None,
        within: float | None = None,
    ) -> T:
        """Send a request, retry where that is safe, and read the answer."""
        attempts = Attempts(self.retry_for, within, self._connections.broken)
        in_doubt: DssError | None = None
        while True:
            try:
                once = if_lost is not None and was_done is None
                return self._try(method, path, read, data, attempts, once=once)
            except Refused:
                # A retry may be refused because the first attempt was done after all.
                answer = self._settle(in_doubt, if_lost, was_done) if in_doubt else None
                if answer is None:
                    raise
                return answer
            except KeyboardInterrupt:
                if if_lost is not None:
                    _log.warning("interrupted in the middle of a request: %s", if_lost)
                raise
            except AttemptFailed as failed:
                failure = failed.failure
                if failed.sent and if_lost is not None:
                    in_doubt = failure
                    answer = self._settle(failure, if_lost, was_done)
                    if answer is not None:
                        return answer
                if not failed.permanent and attempts.pause(failure):
                    if (left := attempts.noticed()) is None:
                        _log.info("%s; trying again", failure)
                    else:
                        _waiting.info("%s; trying again for %.0f s", failure, left)
                    continue
            if in_doubt:
                raise _unknown(in_doubt, if_lost) from in_doubt
            raise failure

    def _settle(
        self, failure: DssError, if_lost: str | None, was_done: Callable[[], T | None] | None
    ) -> T | None:
        """Return the lost answer if the server says that the call was done, None if not.

        Raises:
            OutcomeUnknown: The server cannot be asked.
        """
        if was_done is None:
            raise _unknown(failure, if_lost) from failure
        try:
            return was_done()
        except (NetworkFailed, ServerFailed, InvalidResponse, NotLoggedIn) as error:
            raise _unknown(failure, if_lost) from error

    def _try(
        self,
        method: str,
        path: str,
        read: Callable[[requests.Response, str], T],
        data: Mapping[str, bytes] | Body | None,
        attempts: Attempts,
        *,
        once: bool,
    ) -> T:
        """Send a request once and read its answer.

        Raises:
            AttemptFailed: No valid answer came, or the server failed.
        """
        call = f"{method} {path}"
        if time.monotonic() - self._used > (_MAX_IDLE_ONCE if once else _MAX_IDLE):
            self._http.close()
        connect, wait = self._timeout
        kind = getattr(data, "content_type", None)
        sent = (
            data if data is None or isinstance(data, Mapping) else _Counted(data, self._connections)
        )
        try:
            with (
                self._connections.within(attempts.bound(connect + wait)),
                self._http.request(
                    method,
                    f"{self.server}/{path}",
                    data=sent,
                    headers={"Content-Type": kind} if kind else None,
                    timeout=(attempts.bound(connect), attempts.bound(wait)),
                    proxies=self._proxies,
                    verify=self._verify,
                    allow_redirects=False,
                    stream=True,
                ) as response,
            ):
                try:
                    raise_for_response(response, call, self.server)
                    answer = read(response, call)
                except InvalidResponse as error:
                    raise AttemptFailed(error, permanent=True) from None
                if self._connections.cut:  # a body without a length may look complete
                    raise AttemptFailed(self._no_answer(call))
                return answer
        except (NotConnected, requests.RequestException, HTTPError) as error:
            failure = self._no_answer(call, reason(error))
            failure.__cause__ = None if is_no_address(error) else error
            raise AttemptFailed(
                failure, sent=not never_sent(error), permanent=is_permanent(error)
            ) from None
        except AttemptFailed:
            # The server may silently close the connection after a failure.
            self._http.close()
            if self._connections.cut:
                raise AttemptFailed(self._no_answer(call)) from None
            raise
        finally:
            self._used = time.monotonic()

    def _no_answer(self, call: str, why: str = "") -> NetworkFailed:
        if self._connections.cut:  # the deadline or an abort is the cause of any other error
            passed = self._connections.deadline.passed
            why = f"timed out: {self._connections.deadline}" if passed else "broken off"
        return NetworkFailed(f"no answer from {self.server}: {why} ({call})")


def _unknown(failure: DssError, if_lost: str | None) -> OutcomeUnknown:
    return OutcomeUnknown(f"{failure}; the request was sent: {if_lost}")


def _text(read: Callable[[str], T]) -> Callable[[requests.Response, str], T]:
    return lambda response, call: read(text_of(response, call))


def _json(text: str) -> object:
    try:
        return json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise InvalidResponse(f"the server did not answer with JSON: {shown(text)!r}") from error


def _no_number(name: str) -> object:
    raise ValueError(f"{name} is not valid JSON, though Python reads and writes it")


def _no_other_login(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request

"""Requests to one server: the only module that talks HTTP.

It owns the timeouts, the cookie, the decision which calls may be repeated, and the mapping of
answers to errors. A call that changes something states its *doubt*: what may have happened, and how
to find out, should the answer be lost. A call without a doubt changes nothing, or the same again
when repeated, and is repeated after a failure of the network or of the server.

The server closes a connection after 10 s without traffic and answers a `HEAD` with a body: no
connection is used again after half that time, and `HEAD` is never sent.
"""

from __future__ import annotations

import hashlib
import json
import re
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.cookiejar import Cookie
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, TypeVar

import requests
from requests.cookies import RequestsCookieJar
from urllib3.exceptions import HTTPError, LocationParseError, NewConnectionError

from dss.errors import (
    BadAnswer,
    DssError,
    NetworkFailed,
    OutcomeUnknown,
    ServerFailed,
    TransferFailed,
    refusal,
    shown,
)

COOKIE_NAME = "webpy_session_id"
PAUSES = (0.25, 1.0, 2.0)
"""Seconds to wait before each further try of a call that may be repeated."""

_MAX_IDLE = 5.0
_MAX_TEXT = 64 * 2**20
_CHUNK = 256 * 2**10
_LOOPBACK = {"127.0.0.1", "::1", "localhost"}

T = TypeVar("T")


class Body(Protocol):
    """What a request sends as a stream: its length in bytes, and the bytes, as often as asked."""

    content_type: str

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[bytes]: ...


@dataclass(frozen=True)
class Received:
    """A file as it came.

    Attributes:
        name: Its name according to the answer's Content-Disposition, None where it has none.
        size: Bytes received.
        sha256: Hex digest of these bytes.
        length_given: Whether the answer said how many bytes it has (they were compared).
        chunked: Whether the answer came in chunks, so that its end was marked.
    """

    name: str | None
    size: int
    sha256: str
    length_given: bool
    chunked: bool


class _Jar(RequestsCookieJar):
    """Cookies, one of a name: a restored login and the server's copy of it are the same."""

    def set_cookie(self, cookie: Cookie, *args: Any, **kwargs: Any) -> None:
        for old in [c for c in self if c.name == cookie.name]:
            self.clear(old.domain, old.path, old.name)
        super().set_cookie(cookie, *args, **kwargs)


class Session:
    """A connection to one server with one login; for one thread at a time.

    Args:
        server: URL of the middleware; a trailing slash is dropped, the server does not bear it.
        cookie: Value of the session cookie of an earlier login.
        timeout: Seconds to connect, and seconds without a byte while reading.
        verify: True, or the path of a bundle of certificate authorities.

    Raises:
        NetworkFailed: The URL is none.
    """

    def __init__(
        self,
        server: str,
        *,
        cookie: str | None = None,
        timeout: tuple[float, float] = (10.0, 60.0),
        verify: bool | str = True,
    ) -> None:
        self.server = server.strip().rstrip("/")
        parts = re.match(r"https?://(\[[^]/]+\]|[^/:?#@]+)(:\d+)?(/[^?#]*)?$", self.server)
        if parts is None:
            raise NetworkFailed(f"not the URL of a server, like https://host: {shown(server)!r}")
        self.host = parts[1].strip("[]").lower()
        self._timeout = timeout
        self._verify = verify
        self._used = time.monotonic()
        self._http = requests.Session()
        # Neither a proxy nor a .netrc of the environment has a say in talking to this machine;
        # elsewhere proxies have, and `auth` keeps a .netrc from adding a second login.
        self._http.trust_env = self.host not in _LOOPBACK
        self._http.auth = _no_other_login
        self._http.headers["Accept-Encoding"] = "identity"
        self._http.cookies = _Jar()
        if cookie is not None:
            domain = self.host if re.search("[.:]", self.host) else f"{self.host}.local"
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
        """Closes the connection; the login stays valid."""
        self._http.close()

    @property
    def cookie(self) -> Cookie | None:
        """The session cookie, None before the first answer (or when it was not accepted)."""
        return next((c for c in self._http.cookies if c.name == COOKIE_NAME), None)

    def get_text(self, path: str, *, doubt: str | None = None) -> str:
        """GETs a text. Some GETs of this API change something: those state a doubt."""
        return self._call("GET", path, _text, doubt=doubt)

    def get_json(self, path: str) -> object:
        """GETs a JSON document."""
        text = self.get_text(path)
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise BadAnswer(f"GET {path} did not answer with JSON: {shown(text)!r}") from error

    def get_file(self, path: str, target: Path) -> Received:
        """GETs a file as a stream into `target`, which is overwritten, at each try anew.

        Raises:
            TransferFailed: At every try the answer ended early.
            OSError: `target` cannot be written.
        """

        def save(response: requests.Response, call: str) -> Received:
            return _save(response, call, target)

        return self._call("GET", path, save)

    def post_form(self, path: str, fields: Mapping[str, str], *, doubt: str | None) -> str:
        """POSTs fields; a character that is not Unicode text (a lone surrogate) becomes `?`."""
        data = {k: v.encode("utf-8", "replace") for k, v in fields.items()}
        return self._call("POST", path, _text, data=data, doubt=doubt)

    def post_body(self, path: str, body: Body, *, doubt: str) -> str:
        """POSTs a stream."""
        headers = {"Content-Type": body.content_type}
        return self._call("POST", path, _text, data=body, headers=headers, doubt=doubt)

    def _call(
        self,
        method: str,
        path: str,
        read: Callable[[requests.Response, str], T],
        *,
        data: Any = None,
        headers: Mapping[str, str] | None = None,
        doubt: str | None = None,
    ) -> T:
        """Sends a request, again where that is safe, and reads its answer."""
        call = f"{method} {path}"
        for pause in (*PAUSES, None):
            if time.monotonic() - self._used > _MAX_IDLE:
                self._http.close()
            failure: DssError
            sent, lasting = True, False
            try:
                with self._http.request(
                    method,
                    f"{self.server}/{path}",
                    data=data,
                    headers=headers,
                    timeout=self._timeout,
                    verify=self._verify,
                    allow_redirects=False,
                    stream=True,
                ) as response:
                    self._judge(response, call)
                    return read(response, call)
            except (requests.RequestException, HTTPError) as error:
                failure = NetworkFailed(f"no answer from {self.server}: {_reason(error)} ({call})")
                failure.__cause__ = error
                sent = not _never_sent(error)
                lasting = _lasting(error)
            except (ServerFailed, _CutOff) as error:
                # The server may drop the connection after a failure without a word.
                self._http.close()
                failure = error
            finally:
                self._used = time.monotonic()
            if sent and doubt is not None:
                raise OutcomeUnknown(f"{failure}; the request was sent: {doubt}") from failure
            if pause is None or lasting:
                raise failure
            time.sleep(pause)
        raise AssertionError("the last try returns or raises")

    def _judge(self, response: requests.Response, call: str) -> None:
        """Raises the error that an answer stands for; returns where it is the one asked for."""
        status = response.status_code
        if status == 200:
            encoding = response.headers.get("Content-Encoding", "identity")
            if encoding != "identity":
                raise BadAnswer(f"{self.server} sent {shown(encoding)} unasked ({call})")
            return
        if 300 <= status < 400:
            place = shown(response.headers.get("Location", "nowhere"))
            raise BadAnswer(
                f"{self.server} redirects to {place} ({status} to {call}); "
                "the API does not redirect: is the URL of the server right?"
            )
        text = _body(response, call).decode("utf-8", "replace")
        if 400 <= status < 500:
            raise refusal(status, text, call=call, server=self.server)
        if status >= 500:
            raise ServerFailed(f"{shown(text) or 'failure'} ({self.server}, {status} to {call})")
        raise BadAnswer(f"{self.server} answered {status} to {call}")


class _CutOff(TransferFailed):
    """The bytes of a file ended before the file did."""


def _no_other_login(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _body(response: requests.Response, call: str) -> bytes:
    """Reads a body that has to fit into memory."""
    body = bytearray()
    for chunk in response.iter_content(_CHUNK):
        body += chunk
        if len(body) > _MAX_TEXT:
            raise BadAnswer(f"{call} answered with more than {_MAX_TEXT >> 20} MB of text")
    return bytes(body)


def _text(response: requests.Response, call: str) -> str:
    """Reads a body as UTF-8, which is what the server writes, though it does not say so."""
    try:
        return _body(response, call).decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadAnswer(f"{call} did not answer in UTF-8: {error}") from error


def _save(response: requests.Response, call: str, target: Path) -> Received:
    """Streams a body into a file, counting and digesting it."""
    given = response.headers.get("Content-Length", "")
    disposition = response.headers.get("Content-Disposition", "")
    # The server does not escape quotes in the name: it ends at the last one.
    name = re.search(r'filename="?(.*?)"?$', disposition)
    digest = hashlib.sha256()
    size = 0
    try:
        with target.open("wb") as out:
            for chunk in response.iter_content(_CHUNK):
                out.write(chunk)
                digest.update(chunk)
                size += len(chunk)
    except requests.RequestException as error:
        raise _CutOff(f"the file was cut off: {_reason(error)} ({call})") from error
    if given.isdecimal() and size != int(given):
        raise _CutOff(f"the file was cut off after {size} of {given} bytes ({call})")
    return Received(
        name=name.group(1) if name else None,
        size=size,
        sha256=digest.hexdigest(),
        length_given=given.isdecimal(),
        chunked="chunked" in response.headers.get("Transfer-Encoding", ""),
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and those it was made from, which the libraries keep in several places."""
    todo: list[object] = [error]
    seen: list[object] = []
    while todo:
        cause = todo.pop(0)
        if isinstance(cause, BaseException) and cause not in seen:
            seen.append(cause)
            # Not its context: that leads on to whatever error the caller is handling meanwhile.
            todo += [*cause.args, getattr(cause, "reason", None), cause.__cause__]
            yield cause


def _never_sent(error: Exception) -> bool:
    """Whether a request failed before any of it can have reached the server."""
    # A ProxyError says nothing: it is what a lost answer becomes behind a proxy.
    never = (requests.ConnectTimeout, NewConnectionError)
    return _lasting(error) or any(isinstance(cause, never) for cause in _causes(error))


def _lasting(error: Exception) -> bool:
    """Whether another try would fail the same way: a certificate not trusted, an impossible URL."""
    lasting = (
        ssl.SSLCertVerificationError,
        requests.exceptions.InvalidURL,
        LocationParseError,
    )
    return any(isinstance(cause, lasting) for cause in _causes(error))


def _reason(error: Exception) -> str:
    """The words of the system for a failure, without the libraries' wrapping."""
    if isinstance(error, requests.Timeout):
        return "timed out"
    causes = [c for c in _causes(error) if not isinstance(c, requests.RequestException)]
    for cause in causes:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
    return shown(str(causes[-1] if causes else error))

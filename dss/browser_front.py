"""The login for browsers at a local middleware, as a wrapper of the server's WSGI application.

The server's pages need a Google login, which a middleware on one's own machine does not have. The
URL that `dss middleware` prints contains a key, which logs one browser in as one user. A page
without a login asks for this key or for a token. A foreign web site can make a browser send
requests to this machine; requests that name another host are therefore refused.

The wrapper runs in the process of the server.
"""

from __future__ import annotations

import html
import io
import secrets
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlencode

from snapws.loopback import is_this_machine

_Start = Callable[..., Any]
_App = Callable[[dict[str, Any], _Start], Iterable[bytes]]

_PAGES = ("/", "/services", "/token", "/admin", "/adminservices", "/admintickets")
_LOGIN = "/browser-login"
_MOST_POSTED = 4096
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'"

_ASKS = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Log in</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>body {{ font: 1.1em sans-serif; max-width: 34em; margin: 4em auto; padding: 0 1em }}
input, button {{ font: inherit; padding: .4em; margin: .3em 0; width: 100%;
  box-sizing: border-box }}
</style></head><body>
<h1>Log in</h1>
<p>{told}</p>
<form method="post" action="{action}"><label for="key">Key or token</label>
<input id="key" name="key" type="password" autocomplete="off" autofocus required>
<input type="hidden" name="to" value="{to}"><button>Log in</button></form>
</body></html>
"""
_TOLD = (
    "This middleware runs on one machine, without Google. <code>dss middleware</code> has "
    "printed a URL that logs one browser in, and tokens. Each key or token is for one login."
)
_WRONG = "That is not a valid key or token, or it was used before: each is for one login."


class Answer(NamedTuple):
    """The server's answer to a request of this wrapper."""

    status: str
    headers: list[tuple[str, str]]
    body: bytes


class Front:
    """The server's application behind a login for browsers.

    Args:
        app: The server's application.
        database: The server's database.
        user: E-mail address of the user as whom the key logs in.
        key: The key for one login.
        is_trusting: Whether every browser is logged in as this user, without a key.
    """

    def __init__(
        self, app: _App, database: Path, user: str, key: str, *, is_trusting: bool = False
    ) -> None:
        self._app = app
        self._database = database
        self._user = user
        self._key: str | None = key
        self._is_trusting = is_trusting
        self._lock = Lock()

    def __call__(self, environ: dict[str, Any], start: _Start) -> Iterable[bytes]:
        """Return the server's answer to a request, or a page that asks for the key."""
        path, method = environ.get("PATH_INFO", "/"), environ.get("REQUEST_METHOD", "GET")
        grants = self._is_trusting or path in (*_PAGES, _LOGIN)
        if not _is_from_here(environ, is_for_browsers=grants):
            return _text(start, "403 Forbidden", "this server is for its own machine only\n")
        if path == _LOGIN and method == "POST":
            return self._log_in(environ, start)
        if path == "/api/token" and self._is_trusting and method == "GET":
            return _text(start, "200 OK", self._token())
        if path in _PAGES and method == "GET":
            return self._page(environ, start, path)
        return self._app(environ, start)

    def _page(self, environ: dict[str, Any], start: _Start, path: str) -> Iterable[bytes]:
        given = parse_qs(environ.get("QUERY_STRING", "")).get("key", [])
        if given:
            cookie = self._by_key(given[0], environ)
            return _moved(start, path, cookie) if cookie else _asked(start, path, _WRONG)
        if self._is_logged_in(environ):
            return self._app(environ, start)
        if self._is_trusting:
            with self._lock:
                cookie = self._lend(environ)
            if cookie:
                return _moved(start, path, cookie)
        return _asked(start, path, _TOLD)

    def _log_in(self, environ: dict[str, Any], start: _Start) -> Iterable[bytes]:
        try:
            length = min(int(environ.get("CONTENT_LENGTH") or 0), _MOST_POSTED)
        except ValueError:
            length = 0
        posted = parse_qs(environ["wsgi.input"].read(length).decode("ascii", "replace"))
        key, to = posted.get("key", [""])[0].strip(), posted.get("to", ["/"])[0]
        to = to if to in _PAGES else "/"
        cookie = self._by_key(key, environ) or self._log_in_by(key, environ)
        return _moved(start, to, cookie) if cookie else _asked(start, to, _WRONG)

    def _by_key(self, given: str, environ: Mapping[str, Any]) -> str | None:
        """Return the cookie of a login by the key, and use the key up; None if the key is wrong."""
        with self._lock:
            if self._key is None or not secrets.compare_digest(given.encode(), self._key.encode()):
                return None
            cookie = self._lend(environ)
            if cookie:
                self._key = None
            return cookie

    def _lend(self, environ: Mapping[str, Any]) -> str | None:
        """Return the cookie of a login by the user's token; the token stays valid."""
        token = self._token()
        try:
            return self._log_in_by(token, environ)
        finally:
            with closing(sqlite3.connect(self._database, timeout=30)) as database, database:
                database.execute("update users set passwd=? where email=?", (token, self._user))

    def _token(self) -> str:
        """Return the user's token for the next login."""
        with closing(sqlite3.connect(self._database, timeout=30)) as database:
            found = database.execute("select passwd from users where email=?", (self._user,))
            row = found.fetchone()
        return str(row[0]) if row else ""

    def _log_in_by(self, token: str, environ: Mapping[str, Any]) -> str | None:
        """Return the cookie of a login by a token; None if the server refuses it."""
        form = urlencode({"token": token}).encode()
        asked = {
            "REQUEST_METHOD": "POST",
            "CONTENT_TYPE": "application/x-www-form-urlencoded",
            "CONTENT_LENGTH": str(len(form)),
            "wsgi.input": io.BytesIO(form),
        }
        answer = self._answer("/api/login", {**_without_cookie(environ), **asked})
        if not answer.status.startswith("200"):
            return None
        cookies = [value for name, value in answer.headers if name.lower() == "set-cookie"]
        # Browsers do not send this cookie with requests from pages of other sites.
        return f"{cookies[0]}; SameSite=Strict" if cookies else None

    def _is_logged_in(self, environ: Mapping[str, Any]) -> bool:
        try:
            if not SimpleCookie(environ.get("HTTP_COOKIE", "")):
                return False
        except CookieError:
            return False
        return self._answer("/api/services", environ).status.startswith("200")

    def _answer(self, path: str, environ: Mapping[str, Any]) -> Answer:
        """Send a request to the server's application and return the answer."""
        found: list[Any] = ["500", []]

        def start(status: str, headers: list[tuple[str, str]], *_: Any) -> None:
            found[:] = [status, headers]

        asked = {"wsgi.input": io.BytesIO(), "CONTENT_LENGTH": "0", **environ}
        pieces = self._app({**asked, "PATH_INFO": path, "QUERY_STRING": ""}, start)
        try:
            body = b"".join(pieces)
        finally:
            close = getattr(pieces, "close", None)
            if close:
                close()
        return Answer(found[0], found[1], body)


def _is_from_here(environ: Mapping[str, Any], *, is_for_browsers: bool) -> bool:
    """Return whether a request comes from this machine, not from a page of another site.

    Requests for pages must also name this machine as their host: the owner of a foreign host name
    can let this name point to the loopback address. Other requests need a login, which a page of
    another site does not have.
    """
    named = [f"//{environ.get('HTTP_HOST', '')}"] if is_for_browsers else []
    if environ.get("HTTP_ORIGIN"):
        named.append(environ["HTTP_ORIGIN"])
    return is_this_machine(*named)


def _without_cookie(environ: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in environ.items() if key != "HTTP_COOKIE"}


def _moved(start: _Start, to: str, cookie: str) -> list[bytes]:
    """Redirect to a page, so that the key does not stay in the URL."""
    start(
        "303 See Other",
        [
            ("Location", to),
            ("Set-Cookie", cookie),
            ("Cache-Control", "no-store"),
            ("Referrer-Policy", "no-referrer"),
            ("Content-Length", "0"),
        ],
    )
    return []


def _asked(start: _Start, to: str, told: str) -> list[bytes]:
    page = _ASKS.format(told=told, action=_LOGIN, to=html.escape(to)).encode()
    start(
        "401 Unauthorized",
        [
            ("Content-Type", "text/html; charset=utf-8"),
            ("Content-Length", str(len(page))),
            ("Cache-Control", "no-store"),
            ("Content-Security-Policy", _POLICY),
        ],
    )
    return [page]


def _text(start: _Start, status: str, text: str) -> list[bytes]:
    body = text.encode()
    start(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]

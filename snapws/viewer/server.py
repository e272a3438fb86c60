"""The server of the page: on the loopback interface, for whoever has its address.

The address carries a token, without which nothing is answered. What is served are this package's
page, NiiVue, and the files that the workspaces name, each by number and never by path.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, NamedTuple

from snapws.errors import InvalidValue, LayerNotFound, WorkspaceError
from snapws.loopback import is_this_machine
from snapws.viewer.bundle import find_bundle
from snapws.workspace import Workspace

if TYPE_CHECKING:
    from snapws.viewer.stage import Stage

_ADDRESS = "127.0.0.1"
_STAGE = "snapws.viewer.stage"
_PATIENCE = 60  # seconds that a connection may keep still
_PIECE = 1 << 18
_NOWHERE = "there is no such page: open the printed address"

# NiiVue holds its shaders' fonts and pictures in addresses of the kind data:.
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "connect-src 'self' data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_JSON, _BINARY = "application/json", "application/octet-stream"
_OWN = {
    "": ("view.html", "text/html; charset=utf-8"),
    "view.js": ("view.js", "text/javascript; charset=utf-8"),
    "view.css": ("view.css", "text/css; charset=utf-8"),
}


class _IdleOver(Exception):
    """Nobody has asked for anything for as long as was said."""


class Answer(NamedTuple):
    """What is sent: its type, its length in bytes, and its pieces."""

    type: str
    length: int
    pieces: Iterable[bytes]


class Viewer:
    """The page of some workspaces, served until it is closed, or nobody has asked for a while.

    Args:
        workspaces: Their files, which are opened when they are looked at.
        port: The port of the loopback interface; 0 for any that is free.
        idle: Minutes without a request after which `serve` ends; None for never. An open page
            asks every few seconds.

    Attributes:
        address: The address of the page, with its token.
        first_address: Another one, for a single use: what starts a browser with it may show it
            to other users of the machine.

    Raises:
        PictureError: NiiVue is not installed.
        InvalidValue: The port is taken, or not free for this user.
    """

    def __init__(self, workspaces: Sequence[Path], *, port: int = 0, idle: float | None = None):
        self._paths = tuple(workspaces)
        self._bundle = find_bundle()
        self._stages: dict[int, Stage] = {}
        self._opening = Lock()
        self._loading = Thread(target=import_module, args=(_STAGE,))
        self._token = secrets.token_urlsafe(24)
        self._once: str | None = secrets.token_urlsafe(24)
        try:
            self._server = _Server(self, port, idle)
        except OSError as error:
            raise InvalidValue(
                f"port {port} of this machine: {error.strerror or error}: choose another --port"
            ) from None
        self.port: int = self._server.server_address[1]
        root = f"http://{_ADDRESS}:{self.port}"
        self.address = f"{root}/{self._token}/"
        self.first_address = f"{root}/{self._once}"

    def serve(self) -> None:
        """Answer requests until `close` is called by another thread, or the time is over."""
        # The browser starts meanwhile.
        self._loading.start()
        try:
            self._server.serve_forever(poll_interval=0.2)
        except _IdleOver:
            return

    def close(self) -> None:
        """End `serve`, and close the port."""
        self._server.shutdown()
        self.release()

    def release(self) -> None:
        """Close the port, where `serve` has ended."""
        self._server.server_close()
        if self._loading.is_alive():
            self._loading.join()

    def moved_to(self, path: str) -> str | None:
        """Return where the address for a single use leads, the first time; None for others."""
        with self._opening:
            if self._once is None or not _same(path.removeprefix("/"), self._once):
                return None
            self._once = None
        return f"/{self._token}/"

    def admits(self, path: str) -> bool:
        """Return whether a path begins with the token."""
        token, slash, _ = path.removeprefix("/").partition("/")
        return bool(slash) and _same(token, self._token)

    def answer(self, path: str) -> Answer | None:
        """Return what is at a path; None if there is nothing, or the token is wrong.

        Raises:
            WorkspaceError: A workspace, or a file of it, cannot be shown.
        """
        if not self.admits(path):
            return None
        rest = path.removeprefix("/").partition("/")[2]
        if rest in _OWN:
            name, kind = _OWN[rest]
            return _whole(kind, files("snapws.viewer").joinpath(name).read_bytes())
        if rest == "niivue.js":
            return self._niivue()
        if rest == "workspaces.json":
            return _as_json([one.name for one in self._paths])
        if rest == "alive":
            return _as_json(True)
        for pattern, find in _ROUTES:
            if match := pattern.fullmatch(rest):
                which, *numbers = map(int, match.groups())
                return find(self._stage(which), *numbers)
        return None

    def _niivue(self) -> Answer:
        module, tail = self._bundle
        size = module.stat().st_size

        def pieces() -> Iterable[bytes]:
            with module.open("rb") as file:
                while piece := file.read(_PIECE):
                    yield piece
            yield tail

        return Answer("text/javascript; charset=utf-8", size + len(tail), pieces())

    def _stage(self, which: int) -> Stage:
        if which >= len(self._paths):
            raise LayerNotFound(f"there is no workspace {which}")
        from snapws.viewer.stage import Stage  # not at the top, see serve

        with self._opening:
            if which not in self._stages:
                self._stages[which] = Stage(Workspace.open(self._paths[which]))
            return self._stages[which]


def _same(given: str, meant: str) -> bool:
    return secrets.compare_digest(given.encode("utf-8", "replace"), meant.encode())


def _whole(kind: str, body: bytes) -> Answer:
    return Answer(kind, len(body), (body,))


def _as_json(value: object) -> Answer:
    return _whole(_JSON, json.dumps(value, allow_nan=False).encode())


def _volume(stage: Stage, number: int) -> Answer:
    volume = stage.volume(number)

    def pieces() -> Iterable[bytes]:
        yield volume.block
        yield from volume.pieces()

    return Answer(_BINARY, len(volume.block) + volume.nbytes, pieces())


_NUMBER = "([0-9]{1,6})"
_ROUTES: tuple[tuple[re.Pattern[str], Callable[..., Answer]], ...] = (
    (re.compile(f"w/{_NUMBER}/contents.json"), lambda stage: _as_json(stage.contents())),
    (re.compile(f"w/{_NUMBER}/cursor.json"), lambda stage: _as_json(stage.cursor())),
    (re.compile(f"w/{_NUMBER}/layer/{_NUMBER}.nii"), _volume),
    (
        re.compile(f"w/{_NUMBER}/layer/{_NUMBER}/{_NUMBER}.json"),
        lambda stage, number, time_point: _as_json(stage.display(number, time_point)),
    ),
    (
        re.compile(f"w/{_NUMBER}/annotations.mz3"),
        lambda stage: _whole(_BINARY, stage.annotations().to_mz3()),
    ),
    (
        re.compile(f"w/{_NUMBER}/mesh/{_NUMBER}/{_NUMBER}/{_NUMBER}.mz3"),
        lambda stage, *numbers: _whole(_BINARY, stage.mesh(*numbers).to_mz3()),
    ),
)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    # On Windows two programs could have a port at once.
    allow_reuse_address = os.name == "posix"

    def __init__(self, viewer: Viewer, port: int, idle: float | None) -> None:
        self.viewer = viewer
        self._idle = idle
        self._last = time.monotonic()
        self._working = 0
        self._lock = Lock()
        super().__init__((_ADDRESS, port), _Handler)

    def service_actions(self) -> None:
        """Raise `_IdleOver` when nothing has been asked for long enough; called now and then."""
        with self._lock:
            quiet = 0.0 if self._working else time.monotonic() - self._last
        if self._idle is not None and quiet > self._idle * 60:
            raise _IdleOver

    def begins(self, change: int) -> None:
        """Count a request that begins (1) or ends (-1)."""
        with self._lock:
            self._working += change
            self._last = time.monotonic()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Write nothing about a browser that has gone."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _PATIENCE
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "snapws", ""

    def do_GET(self) -> None:
        """Answer one request."""
        if not self._is_from_here():
            self._refuse(HTTPStatus.FORBIDDEN, "this page is for its own machine alone")
            return
        path = self.path.partition("?")[0]
        if place := self.server.viewer.moved_to(path):
            self._begin(HTTPStatus.SEE_OTHER, {"Location": place, "Content-Length": "0"})
            return
        if not self.server.viewer.admits(path):  # nor does it keep the server from being idle
            self._refuse(HTTPStatus.NOT_FOUND, _NOWHERE)
            return
        self.server.begins(1)
        try:
            self._send(path)
        finally:
            self.server.begins(-1)

    def _send(self, path: str) -> None:
        try:
            found = self.server.viewer.answer(path)
        except (WorkspaceError, OSError) as error:
            self._refuse(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))
            return
        except Exception as error:  # noqa: BLE001 - an answer without a word would say nothing
            why = f"{type(error).__name__}: {error}"
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, why)
            return
        if found is None:
            self._refuse(HTTPStatus.NOT_FOUND, _NOWHERE)
            return
        self._begin(
            HTTPStatus.OK, {"Content-Type": found.type, "Content-Length": str(found.length)}
        )
        try:
            for piece in found.pieces:
                self.wfile.write(piece)
        except (WorkspaceError, OSError):
            # The browser has gone, or the file is damaged: the page says so when it reads why.
            self.close_connection = True

    def _is_from_here(self) -> bool:
        """Return whether neither another machine's name nor another page is behind a request."""
        host = self.headers.get("Host", "")
        origin = self.headers.get("Origin")
        return is_this_machine(f"//{host}") and origin in (None, f"http://{host}")

    def _refuse(self, status: HTTPStatus, why: str) -> None:
        body = json.dumps({"error": why}).encode()
        self._begin(status, {"Content-Type": _JSON, "Content-Length": str(len(body))})
        self.wfile.write(body)

    def _begin(self, status: HTTPStatus, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**_HEADERS, **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse what is no request, or none of `do_GET`, with the headers of all answers."""
        self.close_connection = True
        self._refuse(HTTPStatus(code), explain or message or HTTPStatus(code).phrase)

    def log_message(self, *_: Any) -> None:
        """Write nothing: the address holds the token."""

"""A server with TLS, whose certificate a throw-away authority has signed."""

from __future__ import annotations

import http.server
import ssl
import threading
from pathlib import Path
from types import TracebackType

import trustme


class HttpsServer:
    """It says to everybody that they are logged in as Jane.

    Attributes:
        url: its URL.
        bundle: the file of the authority that signed its certificate.
    """

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        self.bundle = folder / "authority.pem"
        authority.cert_pem.write_to_path(str(self.bundle))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self.url = f"https://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> HttpsServer:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        answer = b"logged in as jane@example.org \n"
        self.send_response(200)
        self.send_header("Set-Cookie", f"webpy_session_id={'0' * 40}; HttpOnly; Path=/")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_POST = do_GET  # noqa: N815 - the name that the base class looks for

    def log_message(self, *_: object) -> None:
        """Log nothing."""

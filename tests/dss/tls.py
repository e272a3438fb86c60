"""TLS for tests: certificates that are thrown away, and servers that bear them."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
import struct
import sys
import threading
from contextlib import suppress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


def self_signed(folder: Path) -> Path:
    """Writes key and certificate of 127.0.0.1, signed by nobody but itself, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.timezone.utc)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    file = folder / "self-signed.pem"
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, *form)
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return file


class Forwarder:
    """Passes connections on to a port of this machine.

    With a context it speaks TLS itself; as a tunnel it is an HTTP proxy that knows CONNECT only.

    Attributes:
        seen: What it was sent, after TLS.
        faults: What befalls the next connections, one after the other, as by a firewall: `reset`,
            `close` or `swallow` what comes first; or `block`, which answers the first request in
            the clear, in the middle of TLS.
    """

    def __init__(
        self, port: int, *, context: ssl.SSLContext | None = None, tunnel: str = ""
    ) -> None:
        self.seen = b""
        self.faults: list[str] = []
        self._target = port
        self._context = context
        self._tunnel = tunnel
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"{'https' if context else 'http'}://127.0.0.1:{self.port}"
        self._open = True
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def __enter__(self) -> Forwarder:
        return self

    def __exit__(self, *_: object) -> None:
        self._open = False
        with socket.create_connection(("127.0.0.1", self.port)):
            pass
        self._thread.join(120)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            if not self._open:
                connection.close()
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.settimeout(30)
            client = connection
            fault = self.faults.pop(0) if self.faults else ""
            if fault in ("reset", "close", "swallow"):
                _break(connection, fault)
                return
            if self._context:
                client = self._context.wrap_socket(connection, server_side=True)
            with client:
                if fault == "block":
                    self.seen += client.recv(65536)
                    socket.socket.sendall(client, b"HTTP/1.1 403 Blocked\r\n\r\n")
                    while socket.socket.recv(client, 65536):
                        pass
                    return
                if self._tunnel:
                    while b"\r\n\r\n" not in self.seen:
                        self.seen += client.recv(65536)
                    client.sendall(f"HTTP/1.1 {self._tunnel}\r\n\r\n".encode())
                    if not self._tunnel.startswith("200"):
                        return
                with socket.create_connection(("127.0.0.1", self._target), 30) as server:
                    back = threading.Thread(target=_pump, args=(server, client), daemon=True)
                    back.start()
                    while piece := client.recv(65536):
                        self.seen += piece
                        server.sendall(piece)
                    server.shutdown(socket.SHUT_WR)
                    back.join(300)


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(65536):
            target.sendall(piece)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


def _break(connection: socket.socket, fault: str) -> None:
    """Ends a connection at its first bytes; or reads on, and never says a word."""
    while connection.recv(65536) and fault == "swallow":
        pass
    if fault == "reset":
        linger = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

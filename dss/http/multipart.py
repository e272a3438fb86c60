"""A file as the body of a request: a multipart form, read from the disk while it is sent."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path

from dss.errors import TransferFailed
from dss.text import shown

_CHUNK = 32 * 2**10  # bytes that have to leave within the timeout of sending
_SENDABLE = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,254}")


class FileBody:
    """A multipart form with some fields and one file. Each iteration reads the file again.

    Args:
        file: The file. Its size must not change before it is sent.
        name: The file's name on the server: letters, digits, `.`, `_`, `-`, no leading dot. The
            server stores other names too, but cannot list or send back some of them.
        fields: Further fields of the form.

    Raises:
        TransferFailed: The name is not allowed, or the file cannot be read.
    """

    def __init__(self, file: Path, name: str, fields: Mapping[str, str]) -> None:
        if not _SENDABLE.fullmatch(name):
            raise TransferFailed(
                f"{file}: a file cannot be sent as {shown(name)!r}; rename it to letters, digits, "
                "'.', '_' and '-', not starting with '.'"
            )
        boundary = secrets.token_hex(20)
        self.content_type = f"multipart/form-data; boundary={boundary}"
        self._file = file
        try:
            self._size = file.stat().st_size
        except OSError as error:
            raise TransferFailed(f"{file}: {error.strerror}") from error
        head = "".join(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'
            for key, value in fields.items()
        )
        head += (
            f'--{boundary}\r\nContent-Disposition: form-data; name="myfile"; filename="{name}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        )
        self._head = head.encode("utf-8", "replace")
        self._tail = f"\r\n--{boundary}--\r\n".encode()

    def __len__(self) -> int:
        return len(self._head) + self._size + len(self._tail)

    def __iter__(self) -> Iterator[bytes]:
        yield self._head
        sent = 0
        try:
            with self._file.open("rb") as source:
                while chunk := source.read(_CHUNK):
                    sent += len(chunk)
                    if sent > self._size:
                        break
                    yield chunk
        except OSError as error:
            raise TransferFailed(f"{self._file}: {error.strerror}; nothing was stored") from error
        if sent != self._size:
            raise TransferFailed(f"{self._file} changed while it was sent; nothing was stored")
        yield self._tail

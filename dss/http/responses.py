"""Responses of the server: their errors, and their bodies as text or as a file."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import requests

from dss.errors import InvalidResponse, ServerFailed, TransferFailed, refusal
from dss.http.retry import AttemptFailed, reason
from dss.text import shown

if TYPE_CHECKING:
    from dss.transfer.allowance import Allowance

# Bytes of a response that is not a file. To parse the longest one takes seconds and some 100 MB.
_MAX_TEXT = 10 * 2**20
# Reading in small chunks lets the TCP window grow. The server copies the rest of the file at each
# send, so a large window makes it fast.
_CHUNK = 64 * 2**10
_PASSING = (408, 429)  # client errors that are worth retrying: too late, or too many requests


@dataclass(frozen=True)
class Received:
    """A received file.

    Attributes:
        name: The name in the response's Content-Disposition, None without a name.
        size: Bytes received.
        length_given: Whether the response had a Content-Length (`size` was compared with it).
        chunked: Whether the response was chunked, which marks its end.
    """

    name: str | None
    size: int
    length_given: bool
    chunked: bool


def raise_for_response(response: requests.Response, call: str, server: str) -> None:
    """Raise the error that the status of a response stands for; return if the status is 200.

    Args:
        response: The response. Its body has not been read.
        call: Method and path of the request, for messages.
        server: URL of the server, for messages.

    Raises:
        AttemptFailed: The server failed (5xx, 408 or 429).
        Refused: The server refused the call (another 4xx).
        InvalidResponse: Something other than the API answered.
    """
    status = response.status_code
    if status == 200:
        encoding = response.headers.get("Content-Encoding", "identity")
        if encoding != "identity":
            raise InvalidResponse(
                f"{server} answered with the Content-Encoding {shown(encoding)}, which was not "
                f"requested ({call})"
            )
        return
    if 300 <= status < 400:
        place = shown(response.headers.get("Location", "nowhere"))
        raise InvalidResponse(
            f"{server} redirects to {place} ({status} to {call}); "
            "the API does not redirect: is the URL of the server right?"
        )
    text = body_of(response, call).decode("utf-8", "replace")
    if status >= 500 or status in _PASSING:
        message = f"{shown(text) or 'failure'} ({server}, {status} to {call})"
        raise AttemptFailed(ServerFailed(message, status=status))
    if 400 <= status < 500:
        raise refusal(status, text, call=call, server=server)
    raise InvalidResponse(f"{server} answered {status} to {call}")


def body_of(response: requests.Response, call: str) -> bytes:
    """Read a body into memory, up to a limit.

    Raises:
        InvalidResponse: The body exceeds the limit.
    """
    body = bytearray()
    for chunk in response.iter_content(_CHUNK):
        body += chunk
        if len(body) > _MAX_TEXT:
            raise InvalidResponse(
                f"{call} answered with more than {_MAX_TEXT >> 20} MB of text: no more is read"
            )
    return bytes(body)


def text_of(response: requests.Response, call: str) -> str:
    """Read a body as UTF-8. The server writes UTF-8 without declaring it.

    Raises:
        AttemptFailed: Nothing marks the end of the body: it may be truncated (`1` of ticket 12).
        InvalidResponse: The body is not UTF-8, or too long.
    """
    text = body_of(response, call)
    if not (_length(response) or _chunked(response)):
        raise AttemptFailed(
            InvalidResponse(f"nothing tells whether the answer to {call} came whole")
        )
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidResponse(f"{call} did not answer in UTF-8: {error}") from error


def name_of(response: requests.Response) -> str | None:
    """Return the name of the file in a response, None if it has no name."""
    disposition = response.headers.get("Content-Disposition", "")
    # The server does not escape quotes in a name, so the last quote ends the name.
    name = re.search(r'filename="?(.*?)"?$', disposition)
    return name.group(1) if name else None


def save(
    response: requests.Response,
    call: str,
    target: Path,
    came: Callable[[int], None],
    allowance: Allowance | None = None,
) -> Received:
    """Stream a body into a file and count its bytes against an allowance, if one is given.

    Args:
        response: The response. Its body has not been read.
        call: Method and path of the request, for messages.
        target: The file, which is overwritten.
        came: Called with the size of each chunk (in the functions below, too).
        allowance: The bytes that a download may still write, None for no limit.

    Raises:
        AttemptFailed: The body is truncated.
        TooLarge: The body exceeds the allowance, which then gets its bytes back.
        OSError: The file cannot be written.
    """
    size = taken = 0
    try:
        if allowance and (given := _length(response)):
            allowance.take(int(given))  # before the first byte is read
            taken = int(given)
        with target.open("wb") as out:
            for chunk in chunks_of(response, call, came):
                size += len(chunk)
                if allowance and size > taken:
                    allowance.take(size - taken)
                    taken = size
                out.write(chunk)
    except BaseException:
        if allowance:
            allowance.give_back(taken)
        raise
    return Received(
        name=name_of(response),
        size=size,
        length_given=bool(_length(response)),
        chunked=_chunked(response),
    )


def digest_of(
    response: requests.Response,
    call: str,
    came: Callable[[int], None],
    most: int | None = None,
) -> tuple[str | None, str]:
    """Return the name of a file and the SHA-256 of its bytes, in hex digits, storing nothing.

    Reading stops after more than `most` bytes. The digest is then one of the beginning only.

    Raises:
        AttemptFailed: The body is truncated.
    """
    digest, size = hashlib.sha256(), 0
    for chunk in chunks_of(response, call, came):
        digest.update(chunk)
        size += len(chunk)
        if most is not None and size > most:
            break
    return name_of(response), digest.hexdigest()


def start_of(
    response: requests.Response, call: str, size: int, came: Callable[[int], None]
) -> tuple[str | None, bytes]:
    """Return the name of a file and its first bytes, at most `size`.

    Raises:
        AttemptFailed: The body is truncated.
    """
    start = b""
    for chunk in chunks_of(response, call, came):
        start += chunk
        if len(start) >= size:
            break
    return name_of(response), start[:size]


def chunks_of(
    response: requests.Response, call: str, came: Callable[[int], None]
) -> Iterator[bytes]:
    """Yield a body in chunks, and check that it has as many bytes as the header announces.

    Raises:
        AttemptFailed: The body is truncated.
    """
    given = _length(response)
    size = 0
    came(0)
    try:
        for chunk in response.iter_content(_CHUNK):
            size += len(chunk)
            came(len(chunk))
            yield chunk
    except requests.RequestException as error:
        failure = TransferFailed(f"the file was cut off: {reason(error)} ({call})")
        raise AttemptFailed(failure) from error
    if given and size != int(given):
        raise AttemptFailed(
            TransferFailed(f"the file was cut off after {size} of {given} bytes ({call})")
        )


def _length(response: requests.Response) -> str:
    """Return the length that the header announces, as text; empty if it announces none."""
    given = response.headers.get("Content-Length", "")
    return given if re.fullmatch("[0-9]{1,18}", given) else ""


def _chunked(response: requests.Response) -> bool:
    return "chunked" in response.headers.get("Transfer-Encoding", "").lower()

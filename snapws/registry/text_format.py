r"""The plain-text format of a registry: ``a.b.c = value`` lines, as ITK-SNAP exports folders.

In UTF-8, bytes up to 0x20 (blank), from 0x7f on and the percent sign are written as ``%xx``.

>>> registry = parse(b"Name = Left%20Hippocampus", "example")
>>> registry["Name"]
'Left Hippocampus'
>>> to_bytes(registry)
b'Name = Left%20Hippocampus\n'
"""

from __future__ import annotations

import re
from pathlib import Path

from snapws import paths
from snapws.errors import RegistryError, WorkspaceError
from snapws.registry import Registry

_ESCAPED = re.compile(rb"%([0-9a-fA-F]{2})")


def parse(data: bytes, source: str) -> Registry:
    """Read the plain-text format. Empty lines and lines that begin with ``#`` are skipped.

    Raises:
        RegistryError: A line is not ``key = value``, or its text is not UTF-8 or cannot be stored.
    """
    registry = Registry()
    for number, line in enumerate(data.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith(b"#"):
            continue
        # A key never has a blank, but may have an equals sign.
        key, equals, value = (line + b" ").partition(b" = ")
        if not equals:
            key, equals, value = line.partition(b"=")
        where = f"{source}, line {number}"
        if not equals:
            raise RegistryError(f"{where}: not of the form 'key = value'")
        try:
            registry[_decode(key.strip())] = _decode(value.strip())
        except UnicodeDecodeError:
            raise RegistryError(f"{where}: the text is not UTF-8") from None
        except RegistryError as error:
            raise RegistryError(f"{where}: {error}") from None
    return registry


def read_file(path: Path) -> Registry:
    """Read a registry file in either format, plain text or XML.

    Raises:
        RegistryError: The file is invalid.
        WorkspaceError: The file cannot be read.
    """
    try:
        data = paths.read_file(path)
    except OSError as error:
        raise WorkspaceError(f"cannot read {path}: {error.strerror}") from None
    if not data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return parse(data, str(path))
    from snapws.registry import xml_format

    return xml_format.parse(data, str(path)).registry


def to_bytes(registry: Registry) -> bytes:
    """Return the plain-text format, with entries in canonical order and without empty folders."""
    lines = [f"{_encode_key(key)} = {_encode(value)}\n" for key, value in registry.walk()]
    return "".join(lines).encode("ascii")


def _encode_key(key: str) -> str:
    encoded = _encode(key)
    return f"%23{encoded[1:]}" if encoded.startswith("#") else encoded  # it would be a comment


def _encode(text: str) -> str:
    return "".join(
        chr(byte) if 0x20 < byte < 0x7F and byte != 0x25 else f"%{byte:02x}"
        for byte in text.encode()
    )


def _decode(text: bytes) -> str:
    return _ESCAPED.sub(lambda found: bytes([int(found[1], 16)]), text).decode()

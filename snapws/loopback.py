"""Which requests a server on the loopback interface takes: those that name this machine.

A page of a stranger's site can make a browser send requests here, and a name that a stranger owns
can lead here.
"""

from __future__ import annotations

from urllib.parse import urlsplit

_NAMES = ("127.0.0.1", "localhost", "::1")


def is_this_machine(*addresses: str) -> bool:
    """Return whether addresses, as ``//localhost:8000`` or ``http://127.0.0.1``, name this machine.

    >>> is_this_machine("//127.0.0.1:8000", "http://localhost")
    True
    >>> is_this_machine("//example.org:8000")
    False
    """
    try:
        return all(urlsplit(one).hostname in _NAMES for one in addresses)
    except ValueError:
        return False

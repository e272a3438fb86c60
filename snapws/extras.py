"""The optional packages that an extra of this distribution installs."""

from __future__ import annotations


def install_hint(extra: str) -> str:
    """Return how to install an extra, as the end of a message."""
    return f"run: pip install 'snapws[{extra}]' (in the checkout: '.[{extra}]')"

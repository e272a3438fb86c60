"""NiiVue, as the installed package ipyniivue brings it: one module of JavaScript."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from snapws.errors import PictureError
from snapws.extras import install_hint

# The module exports a widget alone. Where it makes its viewer, the name of NiiVue's class stands.
_MADE = re.compile(rb"Creating new Niivue instance.{0,400}?=\s*new ([\w$]{1,40})\(", re.DOTALL)


class Bundle(NamedTuple):
    """The module.

    Attributes:
        path: Its file.
        tail: What follows the file's content, so that the module exports ``Niivue``.
    """

    path: Path
    tail: bytes


def find_bundle() -> Bundle:
    """Find NiiVue in the installed package ipyniivue, which is not imported.

    Raises:
        PictureError: It is not installed, or a version of it whose module is of another kind.
    """
    package = find_spec("ipyniivue")
    if package is None or package.origin is None:
        raise PictureError(
            f"the viewer needs NiiVue: install the extra viewer; {install_hint('viewer')}"
        )
    path = Path(package.origin).parent / "static" / "widget.js"
    try:
        made = _MADE.search(path.read_bytes())
    except OSError as error:
        raise PictureError(f"{path}: {error.strerror}: install ipyniivue again") from None
    if made is None:
        raise PictureError(
            f"{path}: this version of ipyniivue has no NiiVue that is known here: "
            "install the version that the extra viewer names"
        )
    return Bundle(path, b"\nexport{%b as Niivue};\n" % made[1])

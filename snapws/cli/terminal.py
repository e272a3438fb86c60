"""Pictures on a terminal that supports the protocol of kitty, the protocol of iTerm2, or sixel.

They are for people who work on a server over SSH and cannot open the file of a picture there.
"""

from __future__ import annotations

import base64
import io
import os
import re
import sys
import time
from collections.abc import Iterator
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

_KITTY_PIECE = 4096
_PATIENCE = 0.5  # seconds to wait for a terminal's answer
_ANSWER = re.compile(rb"\x1b\[\?\d+((?:;\d+)*)c")  # the class of the terminal, then its features
_COLORS = 255


def drawing() -> str | None:
    """Return the protocol of the terminal for pictures: ``kitty``, ``iterm2``, ``sixel``, or None.

    Queries the terminal if the environment does not name it.
    """
    if not sys.stdout.isatty():
        return None
    term, program = os.environ.get("TERM", ""), os.environ.get("TERM_PROGRAM", "")
    # tmux and screen do not pass pictures to the terminal around them.
    if not term.startswith(("screen", "tmux")):
        if os.environ.get("KITTY_WINDOW_ID") or term in ("xterm-kitty", "xterm-ghostty"):
            return "kitty"
        if program in ("iTerm.app", "WezTerm") or os.environ.get("LC_TERMINAL") == "iTerm2":
            return "iterm2"
    return "sixel" if term != "dumb" and "4" in _attributes() else None


def encoded(image: Image, protocol: str) -> str:
    """Return the escape sequences that draw a picture in a protocol of `drawing`."""
    if protocol == "sixel":
        return _sixel(image)
    file = io.BytesIO()
    image.save(file, "PNG")
    text = base64.b64encode(file.getvalue()).decode("ascii")
    if protocol == "iterm2":
        return f"\x1b]1337;File=inline=1;size={file.tell()}:{text}\x07\n"
    pieces = [text[at : at + _KITTY_PIECE] for at in range(0, len(text), _KITTY_PIECE)]
    return "".join(_kitty(pieces)) + "\n"


def _kitty(pieces: list[str]) -> Iterator[str]:
    for number, piece in enumerate(pieces):
        first = "a=T,f=100," if number == 0 else ""  # draw; PNG
        yield f"\x1b_G{first}m={int(number < len(pieces) - 1)};{piece}\x1b\\"


def _sixel(image: Image) -> str:
    """Encode a picture as sixel: bands of six rows, and in each band one colour after another."""
    import numpy as np

    reduced = image.convert("RGB").quantize(_COLORS)
    palette = np.array(reduced.getpalette() or [], dtype=int).reshape(-1, 3)
    pixels = np.asarray(reduced)
    height, width = pixels.shape
    parts = [f'\x1bPq"1;1;{width};{height}']
    parts += [
        f"#{number};2;{red};{green};{blue}"
        for number, (red, green, blue) in enumerate(palette * 100 // 255)
    ]
    for top in range(0, height, 6):
        band = pixels[top : top + 6]
        weights = 1 << np.arange(len(band))
        for number in np.unique(band):
            column = weights @ (band == number)
            parts.append(f"#{number}{_runs(bytes(63 + column.astype(np.uint8)).decode())}$")
        parts.append("-")
    return "".join(parts) + "\x1b\\\n"


def _runs(signs: str) -> str:
    """Shorten repeated characters as in sixel: ``!``, the count, and the character."""
    found = ((sign, len(list(same))) for sign, same in groupby(signs))
    return "".join(f"!{count}{sign}" if count > 3 else sign * count for sign, count in found)


def _attributes() -> list[str]:
    """Query the features of the terminal (DA1); return none if it does not answer."""
    if sys.platform == "win32":
        return []  # Windows has no such terminals
    import select
    import termios
    import tty

    try:
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
    except OSError:
        return []
    try:
        before = termios.tcgetattr(terminal)
        try:
            tty.setcbreak(terminal, termios.TCSAFLUSH)
            os.write(terminal, b"\x1b[c")
            answer, end = b"", time.monotonic() + _PATIENCE
            while not (found := _ANSWER.search(answer)):
                left = max(0.0, end - time.monotonic())
                piece = select.select([terminal], [], [], left)[0] and os.read(terminal, 64)
                if not piece:  # no answer, or the terminal is gone
                    return []
                answer += piece
        finally:
            termios.tcsetattr(terminal, termios.TCSAFLUSH, before)
    except (OSError, termios.error):
        return []
    finally:
        os.close(terminal)
    return found[1].decode("ascii").split(";")

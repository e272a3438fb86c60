"""Pictures on a terminal, where it can draw: by the protocol of kitty, of iTerm2, or sixel."""

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
_ANSWER = re.compile(rb"\x1b\[\?\d+((?:;\d+)*)c")  # its class; then its features
_COLORS = 255


def drawing() -> str | None:
    """Return how the terminal of standard output draws: ``kitty``, ``iterm2``, ``sixel``, or None.

    If the environment does not tell, the terminal itself is asked.
    """
    if not sys.stdout.isatty():
        return None
    term, program = os.environ.get("TERM", ""), os.environ.get("TERM_PROGRAM", "")
    # Within tmux and screen, the program outside cannot be drawn on.
    if not term.startswith(("screen", "tmux")):
        if os.environ.get("KITTY_WINDOW_ID") or term in ("xterm-kitty", "xterm-ghostty"):
            return "kitty"
        if program in ("iTerm.app", "WezTerm") or os.environ.get("LC_TERMINAL") == "iTerm2":
            return "iterm2"
    return "sixel" if term != "dumb" and "4" in _attributes() else None


def encoded(image: Image, protocol: str) -> str:
    """Return the escape sequences that draw a picture, by one of the protocols of `drawing`."""
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
    """Encode as sixel: bands of six rows, of each the colours one after the other."""
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
    """Shorten repeated signs as sixel has it: ``!`` and how often."""
    found = ((sign, len(list(same))) for sign, same in groupby(signs))
    return "".join(f"!{count}{sign}" if count > 3 else sign * count for sign, count in found)


def _attributes() -> list[str]:
    """Ask the terminal for its features (DA1); none where it cannot be asked or is silent."""
    if sys.platform == "win32":
        return []  # it has no such terminals
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
                if not piece:  # silence, or nobody is there any more
                    return []
                answer += piece
        finally:
            termios.tcsetattr(terminal, termios.TCSAFLUSH, before)
    except (OSError, termios.error):
        return []
    finally:
        os.close(terminal)
    return found[1].decode("ascii").split(";")

"""What is told of a failure: to the user in one line, and in a traceback, without private names."""

from __future__ import annotations

import getpass
import os
import re
import signal
import socket
import traceback
from contextlib import suppress
from pathlib import Path

_LONGEST = 500
_READ = 2**20
# A path, of this or another system: a drive, a second backslash or nothing, then its parts, the
# last of which is what is told. A part has blanks only where another part follows.
_LETTER = r"[^\s\\/:*?\"'<>|,;()]"
_PART = rf"[\\/](?:{_LETTER}| (?=(?:{_LETTER}+ ){{0,2}}{_LETTER}+[\\/]))*"
# Where it may begin: not in a URL, but for one of a file, and after the colon of a search path.
_BEGIN = r"(?:(?<![\w:/.])|(?<=\w:)(?=/[^/])|(?<=file://))"
_PATH = re.compile(
    rf"(?:(?<![\w:/.])[A-Za-z]:|(?<!\\)\\(?=\\)|{_BEGIN})(?:{_PART})*[\\/]({_LETTER}*)"
)


def told(error: BaseException) -> str:
    """Give what the user is told of an error: its message in one line, or its kind without one."""
    words = "".join(sign if sign.isprintable() else " " for sign in _text_of(error))
    message = " ".join(words.split()) or type(error).__name__
    if not isinstance(error, (OSError, MemoryError)) and _is_technical(error):
        message = f"{type(error).__name__}: {message}"
    return scrubbed(message)[:_LONGEST]


def located(error: BaseException, file: Path) -> str:
    """Give what is told of an error, and the line of a file in which it arose."""
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename) == file
    ]
    return told(error) + (f" ({file.name}, line {lines[-1]})" if lines else "")


def full(error: BaseException, file: Path) -> str:
    """Give the traceback of an error from a file on, without paths and names of users and hosts."""
    begin = error.__traceback__
    while begin and Path(begin.tb_frame.f_code.co_filename) != file:
        begin = begin.tb_next
    kind, trace = type(error), begin or error.__traceback__
    return scrubbed("".join(traceback.format_exception(kind, error, trace)))


def ended(code: int) -> str:
    """Say how a process ended that should have said so itself."""
    if code >= 0:
        return f"its process ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    hint = ": perhaps for want of memory" if name == "SIGKILL" else ""
    return f"its process was ended by {name}{hint}"


def printed(file: Path) -> str:
    """Give the end of what a program printed, from a whole line on, scrubbed."""
    with file.open("rb") as output:
        size = output.seek(0, os.SEEK_END)
        output.seek(max(0, size - _READ))
        text = output.read().decode("utf-8", "replace")
    # Half a path is not known for one.
    return scrubbed(text if size <= _READ else text.partition("\n")[2])


def scrubbed(text: str) -> str:
    """Take out what says where this ran: folders, the user's name, the machine's."""
    text = text.encode("utf-8", "replace").decode("utf-8")  # names that are no Unicode have halves
    text = _PATH.sub(lambda found: found.group(1) or "…", text)
    names = {socket.gethostname(), socket.getfqdn()}
    with suppress(OSError, KeyError, ImportError):  # a user without a name
        names.add(getpass.getuser())
    with suppress(OSError, RuntimeError):  # or without a home
        names.add(Path.home().name)
    for name in sorted(filter(_is_telling, names), key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "…", text)
    return text


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - an error of the author's that cannot even say what it is
        return ""


def _is_telling(name: str) -> bool:
    return len(name) > 2 and name not in ("root", "localhost", "home")


def _is_technical(error: BaseException) -> bool:
    """Whether only the kind of an error says what its message means: KeyError: 'x'."""
    return type(error).__module__ == "builtins" and not isinstance(error, RuntimeError)

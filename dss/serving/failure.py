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
from types import TracebackType

_LONGEST = 500
_READ = 2**20
# A path, of this or another system: how it begins, then its parts, the last of which is what is
# told. A part has blanks only where another part follows.
_LETTER = r"[^\s\\/:*?\"'<>|,;()]"
_PART = rf"[\\/](?:{_LETTER}| (?=(?:{_LETTER}+ ){{0,2}}{_LETTER}+[\\/]))*"
# Lines of a program go out, too: a slash before a blank or = divides, and so does one after a
# bracket, if no other follows; \n is a sign.
_NAMED = rf"(?=[\\/]+(?!=){_LETTER})"
_SIGN = r"(?<=\\[nrt])"
_BEGIN = "|".join(
    (
        rf"(?:(?<![\w:/.])|{_SIGN})[A-Za-z]:{_NAMED}",  # a drive
        # \\server\share
        rf"(?<!\\)\\(?=\\+(?:{_LETTER}{{2,}}[\\/]|{_LETTER}[\\/]+{_LETTER}{{2}}))",
        rf"(?:(?<![\w:/.])|{_SIGN})(?=\\\w{{2,}}{_LETTER}*\\|\\/)",  # \Users\jane
        # Not in a URL, but for one of a file, and after the colon of a search path.
        rf"(?:(?<![\w:/.)\]}}])|{_SIGN}|(?<=:)(?=/[^/])|(?<=file://))(?=/){_NAMED}",
        rf"(?:(?<=[)\]}}])|(?<=\dm))(?=/+{_LETTER}+/)",  # or after a colour of a terminal
    )
)
_PATH = re.compile(rf"(?:{_BEGIN})(?:{_PART})*[\\/]({_LETTER}*)")


def told(error: BaseException) -> str:
    """Give what the user is told of an error: its message in one line, or its kind without one."""
    words = "".join(sign if sign.isprintable() else " " for sign in _text_of(error))
    message = " ".join(words.split()) or type(error).__name__
    if not isinstance(error, (OSError, MemoryError)) and _is_technical(error):
        message = f"{type(error).__name__}: {message}"
    return scrubbed(message)[:_LONGEST]


def located(error: BaseException, file: Path) -> str:
    """Give what is told of an error, and in which line of a file it arose, of a resolved path."""
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename) == file
    ]
    return told(error) + (f" ({file.name}, line {lines[-1]})" if lines else "")


def full(error: BaseException, file: Path) -> str:
    """Give the traceback of an error from a file on, without paths and names of users and hosts."""
    trace = _within(error, file) or error.__traceback__
    return scrubbed("".join(traceback.format_exception(type(error), error, trace)))


def arose_in(error: BaseException, file: Path) -> bool:
    """Tell whether an error arose in a file, of a resolved path, or in what that called."""
    return _within(error, file) is not None


def _within(error: BaseException, file: Path) -> TracebackType | None:
    begin = error.__traceback__
    while begin and Path(begin.tb_frame.f_code.co_filename) != file:
        begin = begin.tb_next
    return begin


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

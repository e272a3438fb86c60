"""Takes out of a text what says where it came from: folders, the user's name, the machine's.

What programs print has no grammar: paths are known by how they look. In quotes one may have any
signs; elsewhere a comma, a bracket or a fourth blank ends it.
"""

from __future__ import annotations

import getpass
import re
import socket
from contextlib import suppress
from pathlib import Path

_NOWHERE = "…"

_LETTER = r"(?:[^\s\\/:*?\"'<>|,;()]|(?<=\w)'(?=\w))"
# Of a path that is not quoted, one part, and what divides it from the one before. It has blanks
# only where another part follows.
_PART = rf"[\\/](?:{_LETTER}| (?=(?:{_LETTER}+ ){{0,2}}{_LETTER}+[\\/]))*"
# Lines of a program go out, too: a slash before a blank or = divides, and so does one after a
# bracket, if no other follows; \n is a sign.
_NAMED = rf"(?=[\\/]+(?!=){_LETTER})"
_SIGN = r"(?:(?<=\\[nrt])|(?<=\\x[0-9a-f]{2})|(?<=\\u[0-9a-f]{4}))"
_ABSOLUTE = "|".join(
    (
        rf"(?:(?<![\w:/.])|{_SIGN})[A-Za-z]:{_NAMED}",  # a drive
        # \\server\share
        rf"(?<!\\)\\(?=\\+(?:{_LETTER}{{2,}}[\\/]|{_LETTER}[\\/]+{_LETTER}{{2}}))",
        rf"(?:(?<![\w:/.])|{_SIGN})(?=\\\w{{2,}}{_LETTER}*\\|\\/)",  # \Users\jane
        # Also after the colon of a search path.
        rf"(?:(?<![\w:/.)\]}}])|{_SIGN}|(?<=:)(?=/[^/]))(?=/){_NAMED}",
        rf"(?:(?<=[)\]}}])|(?<=\dm))(?=/+{_LETTER}+/)",  # or after a colour of a terminal
        rf"(?<![\w\\/.])(?:~\w*|\.\.?){_NAMED}",  # from a home, or from where the program runs
    )
)

# Of a path that begins anywhere, what it takes to be none of: and/or, mm/s, a/b/c, one\ntwo.
_ENDINGS = "nii|gz|mh[ad]|z?raw|nhdr|nrrd|gipl|hdr|img|mg[hz]|mnc|dcm|ima|vt[kp]|stl|itksnap"
_ENDINGS += "|mat|txt|csv|tsv|json|xml|ya?ml|log|zip|tar|png|jpe?g|py"
_DIVIDER = r"(?:/+|\\\\+|\\(?![nrt]))"
_RELATIVE = (
    # From the begin of a word on: within it, each letter would look at all that follow.
    r"(?<![^\s:*?\"'<>|,;()=\[\]{}])(?<!\x1b\[)"
    rf"(?:(?![=\[\]{{}}]){_LETTER}){{1,255}}{_DIVIDER}"
    rf"(?:{_LETTER}{{2,}}{_DIVIDER}(?:{_LETTER}+{_DIVIDER})*|(?={_LETTER}+\.(?:{_ENDINGS})\b))"
)

# Quotes are those at the borders of words: one within a word is a letter.
_QUOTED_LETTER = r"(?!(?P=quote)(?!\w))(?:[^\\/:*?\"<>|%\n]|:(?![\\/\s]))"
_QUOTED_PART = rf"(?!\s)(?:{_QUOTED_LETTER})+"
_QUOTED = (
    r"(?<!\w)(?P<before>b?(?P<quote>['\"]))(?=[^\n]{1,1000}?(?P=quote)(?!\w))(?:"
    rf"(?:[A-Za-z]:)?(?:{_QUOTED_PART})?/+(?:{_QUOTED_PART}/+)*"
    rf"|[A-Za-z]:\\+(?:{_QUOTED_PART}\\+)*|(?:{_QUOTED_PART}\\\\+){{2,}}"
    rf")(?P<quoted>(?:{_QUOTED_PART})?)(?=(?P=quote)(?!\w))"
)

_URL = r"(?<!\w)(?P<scheme>[A-Za-z][A-Za-z0-9+.-]{1,20})://[^\s'\"<>]*"
_FOUND = re.compile(
    rf"(?P<url>{_URL})|{_QUOTED}|(?:(?:{_ABSOLUTE})(?:{_PART})*[\\/]|{_RELATIVE})(?P<last>{_LETTER}*)"
)


def scrubbed(text: str) -> str:
    """Take out folders, the name of the user and that of the machine.

    Of a path its last part stays, if that has an ending; of the URL of a server all but who logs
    in, and what follows a question mark.
    """
    text = text.encode("utf-8", "replace").decode("utf-8")  # names that are no Unicode have halves
    text = _FOUND.sub(_told, text)
    for name in sorted(filter(_is_telling, _names()), key=len, reverse=True):
        text = re.sub(rf"(?<![^\W_]){re.escape(name)}(?![^\W_])", _NOWHERE, text, flags=re.I)
    return text


def _told(found: re.Match[str]) -> str:
    """Give what stays of what looks like a path, or like a URL."""
    if found["url"]:
        if found["scheme"].lower() in ("http", "https"):
            return re.sub(r"[?#].*", "?…", re.sub("//[^/]*@", "//…@", found["url"]))
        return _end(re.split(r"[\\/]", found["url"])[-1])
    if found["quote"]:
        inside, last = found[0].removeprefix(found["before"]), found["quoted"]
        is_word = inside.count("/") == 1 and not re.search(r"^/|[\s.]", inside)  # as is mm/s
        if is_word or not re.search(r"\w", inside):
            return found[0]
        return found["before"] + _end(last)
    return _end(found["last"])


def _end(last: str) -> str:
    return last if re.search(r"\w\.\w", last) else _NOWHERE


def _names() -> set[str]:
    machine = {socket.gethostname(), socket.getfqdn()}
    names = machine | {name.partition(".")[0] for name in machine}
    with suppress(OSError, KeyError, ImportError):  # a user without a name
        names.add(getpass.getuser())
    with suppress(OSError, RuntimeError):  # or without a home
        names.add(Path.home().name)
    return names


def _is_telling(name: str) -> bool:
    return len(name) > 2 and name.lower() not in ("root", "localhost", "home")

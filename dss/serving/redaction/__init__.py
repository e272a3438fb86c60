"""Redaction of texts: removes folders, and names of users and machines.

The output of programs has no grammar, so paths are recognized by their look. A path in quotes may
have any characters. Outside of quotes, a comma, a bracket or a fourth blank ends a path.
"""

from __future__ import annotations

import re

from dss.serving.redaction.known_names import ADDRESSES, COMMON, names_here
from dss.serving.redaction.variables import NOWHERE as _NOWHERE
from dss.serving.redaction.variables import without_values

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

# Endings by which a path that begins anywhere differs from and/or, mm/s, a/b/c, one\ntwo.
# A last part with another ending may be a person: jane.doe.
_ENDINGS = "nii|gz|mh[ad]|z?raw|nhdr|nrrd|gipl|hdr|img|mg[hz]|mnc|dcm|ima|vt[kp]|stl|itksnap"
_ENDINGS += "|mat|txt|csv|tsv|json|xml|ya?ml|log|zip|tar|png|jpe?g|py"
_KEPT = re.compile(
    rf"\w\.(?:{_ENDINGS}|ply|obj|byu|y|nrrd|bv(?:al|ec)|m[hg]d|pyc|ipynb|so(?:\.\d+)*|dll|dylib|exe|sh|bat"
    "|c|cc|cpp|cu|h|hpp|m|r|jl|js|html?|css|pdf|md|rst|toml|ini|cfg|conf|lock|tmp|bak|out|err|pid|sock"
    "|bz2|xz|zst|whl|egg|h5|hdf5|np[yz]|pkl|pickle|pth?|onnx|ckpt|safetensors|db|sqlite3?|gif|webp|svg"
    r"|bmp|tiff?|xlsx?|docx?|lta|xfm|tfm|label|annot|trk|tck)$",
    re.IGNORECASE,
)
# Folders whose folders are users.
_HOMES = re.compile(
    r"(?:^|[\\/:])(?:home|Users|Documents and Settings|Benutzer)[\\/]+$",
    re.IGNORECASE,
)
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
    """Redact folders, names of users and machines, values of variables, and secrets.

    The last part of a path is kept if it ends like a file name. A URL is kept without its login and
    its query. Names of users are those of this machine and any name before an @. Names of machines
    are those that this machine knows, IP addresses, and anything that looks like a host name.
    """
    text = text.encode("utf-8", "replace").decode("utf-8")  # names that are no Unicode have halves
    text = without_values(text)
    text = _FOUND.sub(_told, text)
    text = ADDRESSES.sub(_NOWHERE, text)
    if names := sorted(filter(_is_telling, names_here()), key=len, reverse=True):
        any_name = "|".join(re.escape(name) for name in names)
        text = re.sub(rf"(?<![^\W_])(?:{any_name})(?![^\W_])", _NOWHERE, text, flags=re.I)
    return text


def _told(found: re.Match[str]) -> str:
    """Return the redacted form of a match that looks like a path or a URL."""
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
    return _end(found["last"], found[0].removesuffix(found["last"]))


def _end(last: str, folder: str = "") -> str:
    return last if _KEPT.search(last) and not _HOMES.search(folder) else _NOWHERE


def _is_telling(name: str) -> bool:
    return len(name) > 2 and name.lower() not in COMMON

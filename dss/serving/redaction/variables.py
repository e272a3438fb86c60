"""Redaction of values: of secrets, and of environment variables that a program printed.

A value is redacted if its name sounds like a secret, or is a variable of this process. A text with
several variables of an environment is a dump: there, every name in capitals counts as a variable.
"""

from __future__ import annotations

import os
import re

NOWHERE = "…"

_SECRET = re.compile(
    r"token(?!iz)|secret|passw(?:or)?d|passwd|passphrase|credential|cookie|session[-_. ]?id"
    r"|(?:api|access|private|secret)[-_. ]?key|auth(?!or)|authorization",
    re.IGNORECASE,
)
_TO_THE_END = re.compile("cookie|authorization", re.IGNORECASE)
_SHORTEST = 6  # of a secret that is looked for everywhere

# What makes a text a dump: so many variables that every environment has, or so many lines of names
# in capitals.
_USUAL = frozenset(
    (
        *("HOME", "HOSTNAME", "LANG", "LOGNAME", "OLDPWD", "PATH", "PWD", "PYTHONPATH", "SHELL"),
        *("SHLVL", "SSH_CLIENT", "TERM", "TMPDIR", "USER", "USERNAME", "USERPROFILE"),
    )
)
_FEW, _MANY = 3, 5

_NAME = r"[A-Za-z_][\w.-]{0,80}"
_HEAD = re.compile(
    rf"(?P<quote>['\"])(?P<key>{_NAME})(?P=quote)\s{{0,4}}:\s{{0,4}}"  # 'name': value
    rf"|(?<![\w.$-])(?P<name>-{{0,2}}{_NAME})[ \t]{{0,4}}=(?!=)[ \t]{{0,4}}"  # name=value
    rf"|(?<![\w.$-])(?P<word>{_NAME}):[ \t]{{1,4}}"  # name: value
    rf"|(?<![\w-])(?P<flag>--?{_NAME})[ \t]{{1,4}}(?![\s-])"  # --name value
)
_QUOTED = re.compile(r"""b?'(?:[^'\\\n]|\\.)*'|b?"(?:[^"\\\n]|\\.)*"|""")
_WORD = re.compile(r"[^\s,;)\]}]*")
_ITEM = re.compile(r"[^,}\]\n\0]*")
_LINE = re.compile(r"[^\n\0]*")
_IN_DUMP = re.compile(rf"(?:[^\s\0]|[^\S\n](?!{_NAME}=))*")

_SHAPES = re.compile(
    r"(?<!\w)eyJ[\w-]{5,2000}\.[\w-]{5,9000}\.[\w-]*"  # a web token
    r"|(?<!\w)(?:gh[opsur]_|github_pat_|glpat-|xox[abeprs]-|sk-|hf_|pypi-)[\w-]{10,}"
    r"|(?<!\w)(?:AKIA|ASIA)[0-9A-Z]{16}(?!\w)"
    r"|-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[^-]*(?:-----END [A-Z ]{0,40}-----)?"
    r"|(?<!\w)(?:(?<=Bearer )|(?<=Basic )|(?<=bearer )|(?<=basic ))[\w.~+/=-]{6,}"
)


def without_values(text: str) -> str:
    """Return a text with the values of environment variables and secrets redacted."""
    text = _SHAPES.sub(NOWHERE, text)
    heads = list(_HEAD.finditer(text))
    is_dump = "environ(" in text or _is_dump(heads)
    parts, end = [], 0
    for head in heads:
        if head.start() >= end and (value := _hidden(head, is_dump=is_dump)):
            quote = re.match(r"b?['\"]", value)
            shown = f"{quote[0]}{NOWHERE}{quote[0][-1]}" if quote else NOWHERE
            parts += [text[end : head.end()], shown]
            end = head.end() + len(value)
    text = "".join([*parts, text[end:]])
    secrets = {
        value
        for name, value in os.environ.items()
        if _SECRET.search(name) and len(value) >= _SHORTEST
    }
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, NOWHERE)
    return text


def _is_dump(heads: list[re.Match[str]]) -> bool:
    known = {*_USUAL, *os.environ}
    names = {head["key"] or head["name"] for head in heads} & known
    lines = sum(_begins_line(head) and head["name"].isupper() for head in heads if head["name"])
    return len(names) >= _FEW or lines >= _MANY


def _begins_line(head: re.Match[str]) -> bool:
    return head.start() == 0 or head.string[head.start() - 1] in "\n\0"


def _hidden(head: re.Match[str], *, is_dump: bool) -> str:
    """Return the value after a name if it has to be redacted, else an empty text."""
    name = (head["key"] or head["name"] or head["word"] or head["flag"]).lstrip("-")
    is_variable = bool(head["key"] or head["name"])
    in_dump = is_dump and is_variable and bool(name.isupper() or head["key"] or _begins_line(head))
    is_secret = _SECRET.search(name) and not name.endswith(("Error", "Exception"))
    own = os.environ.get(name, "") if is_variable else ""
    if not (in_dump or is_secret or own or (is_variable and name in _USUAL)):
        return ""
    text, start = head.string, head.end()
    if (quoted := _QUOTED.match(text, start)) and quoted[0]:
        return quoted[0]
    if own and text.startswith(own, start):
        return own
    kind = _WORD
    if head["key"]:
        kind = _ITEM
    elif in_dump:
        kind = _IN_DUMP
    elif _TO_THE_END.search(name):
        kind = _LINE
    found = kind.match(text, start)
    return found[0] if found else ""

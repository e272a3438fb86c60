"""Differences on purpose, told from others in command lines that nobody has looked at.

Recorded rows with a name have their deviations by that name (`deviations`). A random command line
has any number of commands, and ends at the first that fails, in the reference or here. So what
differs is excused if the last command that was run here is one that differs on purpose, in the way
that the list of deviations says; and texts are compared without what differs on purpose in them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from snapws.wt.commands import find
from snapws.wt.run import UsageError
from tests.conformance.replay import Result

Row = dict[str, Any]


class Refusal(NamedTuple):
    """A command that is refused here, and not by the reference.

    Attributes:
        commands: Its long names; none for any.
        words: What the message has to say.
    """

    commands: tuple[str, ...]
    words: str


#: What is refused here on purpose where the reference goes on.
REFUSALS = (
    Refusal(("-i",), r"line \d+: |the file is empty"),
    Refusal(("-tags-add", "-tags-add-exclusive"), "cannot be a tag|no layer is picked"),
    Refusal(("-tags-delete",), "no layer is picked"),
    Refusal(("-props-registry-dump",), "has no folder"),
    Refusal(("-props-set-mcd", "-props-set-contrast"), " is not one of "),
    Refusal(("-props-set-contrast",), "two or more points"),
    Refusal(("-props-set-transform",), "has no inverse"),
    Refusal(("-a", "-A"), "cut short|bytes of voxels missing|is not there"),
)

#: What works here on purpose where the reference fails, by the long name of the command.
WORKS = (
    *("-props-set-sticky", "-props-set-alpha", "-tags-add-excl", "-tags-del", "-annot-list", "-h"),
    *("-a", "-A"),
)
#: The same, for commands that work with these words alone.
WORKS_WITH = {
    "-layers-pick": r"(?i:main|seg)|[AaOo].*:-\d+",
    "-labels-set": ".*crlf.*",
    "-labels-add": ".*crlf.*",
    "-props-registry-load": r".*\.itksnap",
    "-props-registry-get": ".*",
    "-props-registry-set": ".*",
    "-props-registry-dump": ".*",
}


def unexcused(result: Result, row: Row) -> list[str]:
    """Return how a result differs from a recorded row, differences on purpose left out."""
    if result.rc and row["rc"] and _command(result.stderr) != _command(row["stderr"]):
        found = result.differences(row) or [f"failed at another command: {result.stderr}"]
        return [] if _refused_on_purpose(result) else found
    if (result.rc == 0) != (row["rc"] == 0):
        if _refused_on_purpose(result) if result.rc else _works_on_purpose(row):
            return []
        return result.differences(row)
    plain = Result(result.folder, result.rc, result.stdout, result.stderr, dict(result.files))
    expected = {**row, "files": dict(row["files"])}
    for text in NORMALIZED:
        plain.stdout, expected["stdout"] = text(plain.stdout), text(expected["stdout"])
        for files in (plain.files, expected["files"]):
            files |= {name: text(found) for name, found in files.items() if found is not None}
    return plain.differences(expected)


def _command(stderr: str) -> str:
    """Return the name of the command at which a command line failed."""
    found = re.search(r"for command (\S+) : ", stderr)
    return found[1] if found else ""


def _refused_on_purpose(result: Result) -> bool:
    command = _long(_command(result.stderr))
    return any(command in one.commands and re.search(one.words, result.stderr) for one in REFUSALS)


def _works_on_purpose(row: Row) -> bool:
    command = _command(row["stderr"])
    if command in WORKS:
        return True
    form = WORKS_WITH.get(_long(command))
    pairs = zip(row["argv"], row["argv"][1:], strict=False)
    return form is not None and any(
        re.fullmatch(form, word) for name, word in pairs if name == command
    )


def _long(name: str) -> str:
    try:
        return find(name).names[0]
    except UsageError:
        return name


def _rounded(text: str) -> str:
    """Write numbers with the six digits of the reference, as it writes zero."""
    return re.sub(
        r"(?<![\w.{/-])-?\d+\.\d+(?:e[-+]?\d+)?(?![\w.}/])", lambda one: f"{float(one[0]):g}", text
    )


def _without_empty(text: str) -> str:
    """Remove empty folders, which the reference leaves behind, and empty tags of new meshes."""
    before = ""
    text = re.sub(
        r'( *<entry key="MeshType".*\n(?:.*\n){0,3}?) *<entry key="Tags" value="" />\n', r"\1", text
    )
    while text != before:
        before, text = text, re.sub(r' *<folder key="[^"]*" >\n *</folder>\n', "", text)
    return text


def _without_mesh_paths(text: str) -> str:
    """Write paths of meshes as they were typed, and the format of those in capitals."""
    text = re.sub(r"\{DIR\}/(tri\.[A-Za-z]+)", r"\1", text)
    return re.sub(r'(tri\.VTK" />\n *<entry key="Format" value=)"[^"]*"', r'\1"VTK Mesh"', text)


def _without_api(text: str) -> str:
    return re.sub(r"(?m)^\[WorkspaceAPI\].*\n?", "", text)


#: What is done to both texts before they are compared.
NORMALIZED: tuple[Callable[[str], str], ...] = (
    _rounded,
    _without_empty,
    _without_mesh_paths,
    _without_api,
    lambda text: text.replace("&#10;", "\n"),
)

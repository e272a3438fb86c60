"""The description of a service, `service.json`: create it, check it, find missing tags.

The rules come from the middleware, which fails without some of the fields; from its older version
on Postgres, whose columns have a limited length; and from ITK-SNAP, which knows four types of
layers.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from dss.errors import ServiceError
from dss.records import ServiceTag
from dss.serving.json_positions import JsonPositions, joined
from dss.text import shown
from snapws import LayerFileMissing, Role, Workspace, files

FILE = "service.json"
"""Name of the description; the middleware looks for it at the top of a git repository."""

CODE = "my_service.py"
"""Name of the file with the code of a new service."""

NAME_LIMIT = 40
"""Maximum number of characters in the name of a service."""


@dataclass(frozen=True)
class Problem:
    """An error or a note about one field of a `service.json`.

    Attributes:
        severity: `error` if the file cannot be used, else `note`.
        where: Path of the field, `tags[1].type` for example; empty for the file as a whole.
        line: Line of the field, from 1. For a missing field, the line of the object that lacks it.
            None if the line is unknown.
        what: The fault.
        remedy: How to correct the fault.
    """

    severity: Literal["error", "note"]
    where: str
    line: int | None
    what: str
    remedy: str

    def __str__(self) -> str:
        line = f"line {self.line}" if self.line else ""
        place = ", ".join(part for part in (line, self.where) if part)
        return f"{place}: {self.what}: {self.remedy}" if place else f"{self.what}: {self.remedy}"


@dataclass(frozen=True)
class _Rule:
    """The rule for the value of a field.

    Attributes:
        remedy: What to write into the field.
        kind: Type of the value.
        absent: Consequence if the field is missing; None for an optional field.
        form: Regular expression that the whole text must match.
        wrong: The fault of a text that does not match.
        limit: Maximum number of characters.
        empty: Whether the text may be empty.
    """

    remedy: str
    kind: type = str  # object for any
    absent: str | None = None
    form: str = "(?s:.*)"
    wrong: str = ""
    limit: int | None = None
    empty: bool = False


_REFUSED = "the server refuses a service without it"
_BLANK_PAGE = "the server's page of services fails for everybody without it"

_SERVICE: Mapping[str, _Rule] = {
    "name": _Rule(
        "choose one such as MRI-NeckCut",
        absent=_REFUSED,
        form="[A-Za-z0-9._-]+",
        wrong="must consist of letters A to Z, digits, dots, '-' and '_'",
        limit=NAME_LIMIT,
    ),
    "version": _Rule(
        "write it as 1.0.0",
        absent=_REFUSED,
        form=r"[0-9]+\.[0-9]+\.[0-9]+",
        wrong="is not three numbers, by which the server finds the newest version",
        limit=40,
    ),
    "shortdesc": _Rule(
        "describe the service on one line",
        absent=_REFUSED,
        form="[^\r\n]*",
        wrong="has several lines, which older clients cannot read in a list",
        limit=78,
    ),
    "longdesc": _Rule("describe the input and the result of the service", absent=_BLANK_PAGE),
    "url": _Rule(
        'write the address of a page about the service, or ""',
        absent=_BLANK_PAGE,
        form=r"(https?://\S+)?",
        wrong="does not begin with https:// or http://",
        empty=True,
    ),
    "keywords": _Rule("write a list of texts", kind=list),
    "citation": _Rule("write the publication to cite"),
    # The service developer's manual has these two; no program is known that reads them.
    "author": _Rule("write who made the service", kind=object),
    "parameters": _Rule("write what a user may set", kind=object),
    "tags": _Rule("list the layers that the service needs", kind=list),
}

_TAG: Mapping[str, _Rule] = {
    "name": _Rule(
        "choose one such as T1-MRI",
        absent="the service finds the layer by it",
        form=r"[^\s,]+",
        wrong="must be one word without commas",
    ),
    "type": _Rule(
        "write MainImage, AnatomicImage, OverlayImage or Segmentation",
        absent="it says which layers the tag is for",
        form="MainImage|AnatomicImage|OverlayImage|Segmentation",
        wrong="is not a type of layer",
    ),
    "hint": _Rule("tell the user which layer to choose", absent="the user sees nothing else"),
    "required": _Rule(
        "write true or false, without quotes",
        kind=bool,
        absent="it says whether the service works without the layer",
    ),
}

_KINDS = {
    str: "a text",
    bool: "true or false",
    int: "a number",
    float: "a number",
    list: "a list",
    dict: "an object",
    type(None): "null",
}

# For each type of tag: the roles of its layers, and the words for these in messages.
_LAYERS: Mapping[str, tuple[tuple[Role, ...], str]] = {
    "MainImage": ((Role.MAIN,), "the main image"),
    "AnatomicImage": ((Role.MAIN, Role.OVERLAY), "the main image or an overlay"),
    "OverlayImage": ((Role.OVERLAY,), "an overlay"),
    "Segmentation": ((Role.SEGMENTATION,), "a segmentation"),
}

_CALLED = {
    Role.MAIN: "the main image",
    Role.OVERLAY: "an overlay",
    Role.SEGMENTATION: "a segmentation",
    Role.OTHER: "a layer of another kind",
}

_EXAMPLE = '''"""The service {name}: marks the bright part of the image tagged Target."""

import nibabel
from dss import service
from snapws import Label


@service(name="{name}", tags=["Target"])
def mark(job):
    target = job.workspace.layer(tag="Target")
    image = nibabel.load(target.path)
    with job.phase("Threshold", 0.0, 1.0):
        voxels = image.get_fdata()
        bright = (voxels > voxels.mean()).astype("uint8")
        file = job.workdir / "bright.nii.gz"
        nibabel.save(nibabel.Nifti1Image(bright, image.affine), file)
    job.workspace.add_segmentation(file, nickname="Bright", tags=["Result"])
    others = [label for label in job.workspace.labels if label.index != 1]
    job.workspace.labels = [*others, Label(1, "Bright", (255, 0, 0))]
    job.log("Marked what is brighter than the mean")
'''


def template(name: str) -> dict[str, Any]:
    """Return a description for the author of a service to complete; it is valid already.

    Raises:
        ServiceError: The name is not valid for a service.
    """
    document = {
        "name": name,
        "version": "0.1.0",
        "shortdesc": _placeholder(_SERVICE["shortdesc"]),
        "longdesc": _placeholder(_SERVICE["longdesc"]),
        "url": "",
        "keywords": [],
        "tags": [
            {
                "name": "Target",
                "type": "MainImage",
                "hint": "the image to work on",
                "required": True,
            }
        ],
    }
    for problem in _Check(json.dumps(document)).document(document):
        if problem.severity == "error":
            raise ServiceError(f"{problem.where}: {problem.what}: {problem.remedy}")
    return document


def _placeholder(rule: _Rule) -> str:
    """Return the text of a field that the author has still to replace."""
    return rule.remedy.capitalize()


def begin(folder: Path, name: str) -> tuple[Path, Path]:
    """Write a description and code for a new service; no existing file is overwritten.

    Args:
        folder: The folder for both files, created if it does not exist.
        name: Name of the service.

    Returns:
        The files `FILE` and `CODE`.

    Raises:
        ServiceError: One of the files already exists, or the name is not valid for a service.
        OSError: The folder cannot be created or written to.
    """
    description = json.dumps(template(name), indent=2) + "\n"
    made = folder / FILE, folder / CODE
    with files.atomic_files(folder, last=FILE) as aside:
        for file in made:
            if os.path.lexists(file):
                raise ServiceError(
                    f"{file} already exists, and nothing was written: choose another folder"
                )
        (aside / CODE).write_text(_EXAMPLE.format(name=name), encoding="utf-8", newline="\n")
        (aside / FILE).write_text(description, encoding="utf-8", newline="\n")
    return made


def problems(path: Path) -> list[Problem]:
    """Return the errors and notes about the description of a service, in the order of the file.

    Args:
        path: A `service.json`, or the folder that holds one.

    Raises:
        ServiceError: The file does not exist.
        OSError: The file cannot be read.
    """
    file = path / FILE if path.is_dir() else path
    if not file.exists():
        raise ServiceError(
            f"there is no {file.name} in {file.absolute().parent}: in another folder, dss service "
            "init writes one to be filled in"
        )
    try:
        text = file.read_bytes().decode()
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        return [Problem("error", "", line, "is not UTF-8 text", "save it as UTF-8")]
    if text.startswith("\ufeff"):
        what = "begins with a byte order mark, which the server refuses"
        return [Problem("error", "", 1, what, "save it as UTF-8 without one")]
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        said = f"{error.msg[:1].lower()}{error.msg[1:]}"
        what = f"this is not valid JSON ({said}, at column {error.colno})"
        return [Problem("error", "", error.lineno, what, "correct the error there, or just before")]
    except (ValueError, RecursionError) as error:
        return [Problem("error", "", None, f"cannot be read, {error}", "simplify the file")]
    found = _Check(text).document(document)
    return sorted(found, key=lambda problem: problem.line or 0)


def missing(tags: Sequence[ServiceTag], workspace: Workspace) -> list[str]:
    """Return a line for the user for each required tag that is missing or on a wrong layer.

    Exactly one layer must have a required tag. The type of the tag decides the role of this layer;
    an unknown type allows every role. The file of the layer must exist.

    Args:
        tags: The tags of the service.
        workspace: The workspace of a ticket.
    """
    lines = (_lacking(tag, workspace) for tag in tags if tag.required)
    return [line for line in lines if line]


def misplaced(tag: ServiceTag, workspace: Workspace) -> str:
    """Return why a tag is on wrong layers; empty if exactly one layer of a fitting role has it.

    The type of the tag decides which roles fit. The files of the layers may be missing.
    """
    roles, wanted = _LAYERS.get(tag.type, (tuple(Role), "a layer"))
    hint = f" ({shown(tag.hint)})" if tag.hint.strip() else ""
    found = workspace.layers(tag=tag.name)
    numbers = ", ".join(f"{layer.number:03d}" for layer in found)
    if not found:
        on_mesh = bool(workspace.meshes(tag=tag.name))
        if on_mesh and tag.type not in _LAYERS:
            return ""
        where = "only a mesh has" if on_mesh else "no layer has"
        return f"{where} the tag {tag.name}: give it to {wanted}{hint}"
    if len(found) > 1:
        return (
            f"{len(found)} layers have the tag {tag.name} ({numbers}): "
            f"leave it on one, {wanted}{hint}"
        )
    if found[0].role not in roles:
        return (
            f"the tag {tag.name} is on layer {numbers}, {_CALLED[found[0].role]}: "
            f"give it to {wanted} instead{hint}"
        )
    return ""


def _lacking(tag: ServiceTag, workspace: Workspace) -> str:
    if wrong := misplaced(tag, workspace):
        return wrong
    for layer in workspace.layers(tag=tag.name):  # one layer, or none if a mesh has the tag
        try:
            there = layer.path.is_file()
        except LayerFileMissing as error:
            return f"tag {tag.name}: {error}"
        if not there:
            return (
                f"the file of layer {layer.number:03d} with the tag {tag.name} does not exist: "
                "open the workspace in ITK-SNAP, put the image back and submit it again"
            )
    return ""


class _Check:
    """The check of a document that was read from `text`."""

    def __init__(self, text: str) -> None:
        self._lines = JsonPositions(text)
        self._found = [Problem("error", *oddity) for oddity in self._lines.oddities]

    def document(self, document: object) -> list[Problem]:
        """Return the problems of the document."""
        if not isinstance(document, dict):
            what = f"holds {_KINDS[type(document)]} instead of an object"
            self._add("", what, 'begin with { "name": …')
            return self._found
        self._fields("", document, _SERVICE)
        keywords = document.get("keywords")
        for i, word in enumerate(keywords if isinstance(keywords, list) else ()):
            self._fits(f"keywords[{i}]", word, _Rule("write a text"))
        self._tags(document.get("tags"))
        return self._found

    def _tags(self, tags: object) -> None:
        if not isinstance(tags, list):
            return
        names: dict[str, str] = {}
        for i, tag in enumerate(tags):
            place = f"tags[{i}]"
            if not isinstance(tag, dict):
                remedy = 'write { "name": …, "type": …, "hint": …, "required": … }'
                self._add(place, f"is {_KINDS[type(tag)]} instead of an object", remedy)
                continue
            self._fields(place, tag, _TAG)
            name = tag.get("name")
            if isinstance(name, str) and names.setdefault(name, place) != place:
                what = f"{name!r} is also the name of {names[name]}"
                self._add(f"{place}.name", what, "give each tag a name of its own")

    def _fields(self, parent: str, thing: Mapping[str, object], rules: Mapping[str, _Rule]) -> None:
        for name, rule in rules.items():
            if name in thing:
                self._fits(joined(parent, name), thing[name], rule)
            elif rule.absent is not None:
                self._add(joined(parent, name), f"is missing, and {rule.absent}", rule.remedy)
        for name in thing:
            if name not in rules:
                remedy = f"remove it, unless a client of yours reads it; known: {', '.join(rules)}"
                self._add(joined(parent, name), "is not a known field", remedy, "note")

    def _fits(self, where: str, value: object, rule: _Rule) -> None:
        if not isinstance(value, rule.kind):
            what = f"is {_KINDS[type(value)]} instead of {_KINDS[rule.kind]}"
            self._add(where, what, rule.remedy)
        elif isinstance(value, str):
            if not re.fullmatch(rule.form, value):
                self._add(where, f"{shown(value)!r} {rule.wrong}", rule.remedy)
            elif not value.strip() and not rule.empty:
                self._add(where, "is empty", rule.remedy, "note")
            elif value == _placeholder(rule):
                self._add(where, "is still the text of dss service init", rule.remedy, "note")
            if rule.limit and len(value) > rule.limit:
                what = f"has {len(value)} characters, and servers on Postgres accept {rule.limit}"
                self._add(where, what, "shorten it")

    def _add(
        self, where: str, what: str, remedy: str, severity: Literal["error", "note"] = "error"
    ) -> None:
        self._found.append(Problem(severity, where, self._lines.of(where), what, remedy))

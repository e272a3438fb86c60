"""The cases of a batch: find their workspaces, and list the data that would leave this machine."""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from dss.errors import DssError, Refused
from dss.text import shown
from snapws import Workspace, WorkspaceError, cohort, sources
from snapws.arrays import safe_name
from snapws.privacy import kept_texts, scrubbed

if TYPE_CHECKING:
    from snapws.privacy import KeptText, Privacy
    from snapws.sources import Source

COLUMNS = ("case", "workspace")
"""The required columns of a table of cases; further columns are ignored."""

_TABLE = ".tsv"


class Named(NamedTuple):
    """A case as the user named it: its name, its workspace, and where the user named it."""

    name: str
    workspace: Path
    where: str


class BadCases(Refused):
    """Cases that cannot be sent.

    Attributes:
        problems: A line for each problem.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        count = len(problems)
        super().__init__(f"{count} problem{'s' if count > 1 else ''} with the cases")
        self.problems = tuple(problems)


def named(given: Sequence[Path]) -> list[Named]:
    """Return the cases of a table, or of workspaces, folders and patterns.

    Raises:
        BadCases: A name is invalid or used twice, or a column or a value is missing.
        WorkspaceError: No workspace is in a folder, or matches a pattern.
    """
    tables = [one for one in given if one.suffix.lower() == _TABLE]
    if tables and len(given) > 1:
        raise BadCases([f"{tables[0]} is a table of cases: name it alone"])
    if tables:
        found = _read_table(tables[0])
    else:
        files = cohort.expand(given)
        found = [
            Named(safe_name(name), file, str(file))
            for name, file in zip(cohort.names(files), files, strict=True)
        ]
    _refuse_bad_names(found)
    return found


def _read_table(table: Path) -> list[Named]:
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, delimiter="\t", restval="")
            missing = [column for column in COLUMNS if column not in (rows.fieldnames or ())]
            if missing:
                raise BadCases(
                    [
                        f"{table} has no column {' and no column '.join(missing)}: expected a "
                        f"header with {' and '.join(COLUMNS)}, separated by tabs"
                    ]
                )
            found, problems = [], []
            for row in rows:
                name, workspace = ((row[column] or "").strip() for column in COLUMNS)
                where = f"{table}, line {rows.line_num}"
                if name and workspace:
                    found.append(Named(name, table.parent / workspace, where))
                elif any(isinstance(value, str) and value.strip() for value in row.values()):
                    column = COLUMNS[1] if name else COLUMNS[0]
                    problems.append(f"{where}: there is no {column}")
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadCases([f"{table} is not a table in UTF-8: {error}"]) from error
    if problems:
        raise BadCases(problems)
    if not found:
        raise BadCases([f"{table} names no case"])
    return found


def _refuse_bad_names(found: Iterable[Named]) -> None:
    problems = []
    taken: dict[str, Named] = {}
    for one in found:
        if safe_name(one.name) != one.name or not one.name.isprintable():
            problems.append(
                f"{one.where}: {shown(one.name)!r} cannot be the name of a folder: leave out "
                "separators, control characters, and dots or blanks at its ends"
            )
        # Some file systems ignore upper and lower case, and the encoding of an accent.
        elif (other := taken.setdefault(_key(one.name), one)) is not one:
            problems.append(f"{one.where}: case {one.name} has the same name as {other.where}")
    if problems:
        raise BadCases(problems)


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


@dataclass(frozen=True)
class Consent:
    """The data other than voxels that would leave this machine, for the sender to confirm.

    Attributes:
        texts: Typed texts in the archives of the cases.
        outside: The files outside of a workspace's folder, by case.
        instead: Lines about images for which ITK-SNAP reads another file.
    """

    texts: tuple[KeptText, ...]
    outside: tuple[tuple[str, tuple[Source, ...]], ...]
    instead: tuple[str, ...]


def examine(
    cases: Sequence[Named], privacy: Privacy, check: Callable[[Workspace], None]
) -> Consent:
    """Open and check the workspace of each case; nothing is sent.

    Args:
        cases: The cases.
        privacy: Which typed texts are sent, as for `snapws.archive.write_archive`.
        check: Raises `DssError` for a workspace that the service would refuse.

    Returns:
        The data that would be sent with all cases together.

    Raises:
        BadCases: A workspace or a file that it names is missing or damaged, or fails the check.
    """
    problems: list[str] = []
    texts: dict[KeptText, None] = {}
    outside: list[tuple[str, tuple[Source, ...]]] = []
    instead: list[str] = []

    def look(case: Named) -> None:
        workspace = Workspace.open(case.workspace)
        for layer in workspace.layers():
            layer.existing()
        check(workspace)
        texts.update(dict.fromkeys(kept_texts(scrubbed(workspace, privacy).registry, privacy)))
        instead.extend(f"{case.name}: {line}" for line in sources.read_instead(workspace))
        if found := sources.outside(workspace):
            outside.append((case.name, found))

    for case, outcome in zip(cases, map(_problem_of(look), cases), strict=True):
        if outcome:
            problems.append(f"case {case.name}: {outcome}")
    if problems:
        raise BadCases(problems)
    return Consent(tuple(texts), tuple(outside), tuple(instead))


def _problem_of(look: Callable[[Named], None]) -> Callable[[Named], str]:
    """Return a function that checks a case and returns its problem; empty if the case is fine."""

    def call(case: Named) -> str:
        try:
            look(case)
        except (WorkspaceError, DssError) as error:
            return str(error)
        except OSError as error:
            return f"{error.filename}: {error.strerror}"
        return ""

    return call

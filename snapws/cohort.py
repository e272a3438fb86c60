"""Many workspaces: finds their files, and processes them in parallel.

>>> from snapws import cohort
>>> cohort.names([Path("a/study.itksnap"), Path("b/study.itksnap"), Path("b/other.itksnap")])
['a_study', 'b_study', 'other']
"""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from typing import Generic, TypeVar

from snapws.errors import WorkspaceError

SUFFIX = ".itksnap"

T = TypeVar("T")

# A result stays in memory while it waits for an earlier one.
_AHEAD = 2


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """The result of the work on one workspace.

    Attributes:
        path: The workspace.
        values: The value that the work returned, alone in a tuple; empty after an error.
        error: The error, if the workspace or its files cannot be read or written.
    """

    path: Path
    values: tuple[T, ...] = ()
    error: WorkspaceError | OSError | None = None


def is_one(given: Sequence[Path]) -> bool:
    """Return whether the names are a single file, not a folder or a pattern."""
    return len(given) == 1 and not given[0].is_dir() and not _is_pattern(given[0])


def expand(given: Iterable[Path]) -> list[Path]:
    """Return the workspace files for names, folders and patterns, each once, in order.

    A folder means the workspace files in it and below it, hidden folders left out. A name with
    ``*``, ``?`` or ``[`` that does not exist is a pattern for workspace files and folders; ``**``
    in it stands for folders. Any other name is a file, whether it exists or not.

    Raises:
        WorkspaceError: No workspace file is in a folder, or matches a pattern.
    """
    found: dict[str, Path] = {}
    for name in given:
        if name.is_dir():
            members = _members(name)
        elif _is_pattern(name):
            matches = sorted(glob.glob(str(name), recursive=True))  # noqa: PTH207 - may be absolute
            members = [one for match in matches for one in _members(Path(match))]
        else:
            members = [name]
        if not members:
            raise WorkspaceError(f"{name}: no workspace ({SUFFIX}) was found there")
        for one in members:
            found.setdefault(os.path.abspath(one), one)  # noqa: PTH100 - not through links
    return list(found.values())


def archives(given: Iterable[Path]) -> list[Path]:
    """Return the folders of archives: each folder itself, or those below it that hold a workspace.

    A folder with no workspace in it or below it is returned, too, for its error to be reported.
    """
    found: dict[Path, None] = {}
    for name in given:
        is_parent = name.is_dir() and not any(name.glob(f"*{SUFFIX}"))
        below = [one.parent for one in _members(name)] if is_parent else []
        found.update(dict.fromkeys(below or [name]))
    return list(found)


def names(workspaces: Sequence[Path]) -> list[str]:
    """Return a unique name for each workspace: its file name, with folders where needed."""
    parts = [(*Path(os.path.abspath(one)).parts[1:-1], one.stem) for one in workspaces]  # noqa: PTH100
    lengths = [1] * len(parts)
    while True:
        known = ["_".join(one[-length:]) for one, length in zip(parts, lengths, strict=True)]
        times = Counter(name.casefold() for name in known)
        longer = [
            number
            for number, name in enumerate(known)
            if times[name.casefold()] > 1 and lengths[number] < len(parts[number])
        ]
        if not longer:
            return _numbered(known)
        for number in longer:
            lengths[number] += 1


def each(
    workspaces: Sequence[Path], work: Callable[[Path], T], *, threads: int | None = None
) -> Iterator[Outcome[T]]:
    """Yield the outcome of the work on each workspace, in order, as soon as it is known.

    Args:
        workspaces: The workspace files.
        work: Called with each of them, in several threads at a time.
        threads: The number of threads; by default the number of cores.
    """
    from snapws.prefetch import map_ahead

    threads = threads or os.cpu_count() or 1

    def outcome(path: Path) -> Outcome[T]:
        try:
            return Outcome(path, (work(path),))
        except (WorkspaceError, OSError) as error:
            return Outcome(path, error=error)

    yield from map_ahead(outcome, workspaces, threads, ahead=threads * _AHEAD)


def _is_pattern(name: Path) -> bool:
    return glob.has_magic(str(name)) and not name.exists()


def _members(path: Path) -> list[Path]:
    """Return the workspace files below a folder, or a file itself if it is one."""
    if not path.is_dir():
        return [path] if path.suffix == SUFFIX else []
    found = []
    for place, folders, files in os.walk(path):
        folders[:] = sorted(one for one in folders if not one.startswith("."))
        found += [Path(place, one) for one in sorted(files) if one.endswith(SUFFIX)]
    return found


def _numbered(known: list[str]) -> list[str]:
    """Return unique names: one that differs only in case from an earlier one gets a number."""
    made: dict[str, str] = {}
    for name in known:
        tries = chain([name], (f"{name}_{number}" for number in count(2)))
        free = next(one for one in tries if one.casefold() not in made)
        made[free.casefold()] = free
    return list(made.values())

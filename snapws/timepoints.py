"""Time points of a 4-D workspace: numbers, nicknames and tags."""

from __future__ import annotations

import re
from collections.abc import Iterable

from snapws.registry import Registry
from snapws.registry.fields import FolderProxy, as_tags, integer, tags, text

#: The registry folder of time points.
KEY = "TimePointProperties"


class TimePoint(FolderProxy):
    """The properties of one time point, counted from 1."""

    __slots__ = ()

    number = integer("TimePoint")
    nickname = text("Nickname")
    tags = tags()

    def __repr__(self) -> str:
        return f"<TimePoint {self.number} {self.nickname!r}>"


class _Properties(FolderProxy):
    version = integer("FormatVersion")
    size = integer("TimePoints.ArraySize")


def read(workspace: Registry) -> tuple[TimePoint, ...]:
    """Return the time points that a workspace's registry describes, in order.

    Unlike layers, they may have gaps in their numbers: all up to the size of the array are read.
    """
    folder = workspace.folder(KEY)
    if folder is None:
        return ()
    size = _Properties(folder).size
    return tuple(TimePoint(one) for i, one in _elements(folder) if i <= size)


def _elements(folder: Registry) -> list[tuple[int, Registry]]:
    """Return the numbered folders in order. They are listed, since the stated size may be huge."""
    array = folder.folder("TimePoints")
    found = []
    for name, element in ({} if array is None else array.folders).items():
        number = re.fullmatch(r"TimePoint\[([1-9][0-9]{0,8})\]", name)
        if number:
            found.append((int(number[1]), element))
    return sorted(found, key=lambda one: one[0])


def _last(workspace: Registry) -> int:
    folder = workspace.folder(KEY)
    if folder is None:
        return 0
    size = _Properties(folder).size
    return max((i for i, _ in _elements(folder) if i <= size), default=0)


def add_time_point(workspace: Registry, nickname: str = "", tags: Iterable[str] = ()) -> TimePoint:
    """Add a description of the next time point to a workspace's registry."""
    number = _last(workspace) + 1
    draft = TimePoint(Registry())
    draft.number, draft.nickname, draft.tags = number, nickname, as_tags(tags)
    folder = workspace.make_folder(KEY)
    described = _Properties(folder)
    described.version = 1
    described.size = number
    key = f"TimePoints.TimePoint[{number}]"
    folder.remove_folder(key)  # one that was left behind by a shorter array
    registry = folder.make_folder(key)
    registry.update(draft.registry)
    return TimePoint(registry)

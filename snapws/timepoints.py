"""The time points of a 4-D workspace: their numbers, nicknames and tags."""

from __future__ import annotations

from collections.abc import Iterable

from snapws.fields import View, as_tags, integer, tags, text
from snapws.registry import Registry

#: Where a workspace keeps them.
KEY = "TimePointProperties"


class TimePoint(View):
    """The properties of one time point, counted from 1."""

    __slots__ = ()

    number = integer("TimePoint")
    nickname = text("Nickname")
    tags = tags()

    def __repr__(self) -> str:
        return f"<TimePoint {self.number} {self.nickname!r}>"


class _Properties(View):
    version = integer("FormatVersion")
    size = integer("TimePoints.ArraySize")


def read(workspace: Registry) -> tuple[TimePoint, ...]:
    """Give the time points that a workspace's registry describes, in their order."""
    folder = workspace.folder(KEY)
    if folder is None:
        return ()
    found = []
    for i in range(1, _Properties(folder).size + 1):
        registry = folder.folder(f"TimePoints.TimePoint[{i}]")
        if registry is None:
            break
        found.append(TimePoint(registry))
    return tuple(found)


def add_time_point(workspace: Registry, nickname: str = "", tags: Iterable[str] = ()) -> TimePoint:
    """Describe the next time point of a workspace's registry."""
    number = len(read(workspace)) + 1
    draft = TimePoint(Registry())
    draft.number, draft.nickname, draft.tags = number, nickname, as_tags(tags)
    folder = workspace.make_folder(KEY)
    properties = _Properties(folder)
    properties.version = 1
    properties.size = number
    registry = folder.make_folder(f"TimePoints.TimePoint[{number}]")
    registry.update(draft.registry)
    return TimePoint(registry)

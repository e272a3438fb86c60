"""Mesh layers: surfaces, in one or more files per time point."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from snapws import paths
from snapws.errors import InvalidValue, LayerFileMissing
from snapws.layers import WorkspaceObject
from snapws.registry.fields import FolderProxy, integer, text
from snapws.tables import Record, Table

#: Formats of surface files as workspaces name them, by extension.
FORMATS = {
    ".vtk": "VTK Mesh",
    ".vtp": "VTP Mesh",
    ".stl": "STL Mesh",
    ".byu": "BYU Mesh",
    ".y": "BYU Mesh",
    ".vrml": "VRML Scene",
}

#: The format of files with other extensions.
INVALID_FORMAT = "INVALID FORMAT"

_TIME_POINT = re.compile(r"TimePoint\[([0-9]{3,6})\]")
_MAX_TIME_POINT = 999_999


class PolyData(NamedTuple):
    """One surface file of a mesh layer.

    Attributes:
        time_point: The time point of the file, from 1.
        number: The number of the file among those of the time point, from 0.
        file: The present path of the file, as text; the stored path if no file is found.
        format: The stored format, ``VTK Mesh`` for example.
    """

    time_point: int
    number: int
    file: str
    format: str

    @property
    def key(self) -> str:
        """The key of its registry folder, relative to the folder of the layer."""
        return _file_key(self.time_point, self.number)


class _TimePoint(FolderProxy):
    number = integer("TimePoint")


class _PolyData(FolderProxy):
    stored_path = text("AbsolutePath")
    format = text("Format")


class MeshLayer(WorkspaceObject, Table):
    """One mesh layer of a workspace.

    Attributes:
        nickname: The name that the user gave the layer; may be empty.
        type: ``StandaloneMesh`` or ``SegmentationMesh``.
        tags: The tags in stored order; assigning sorts them.
    """

    __slots__ = ()

    SECTION = "MeshLayers"
    #: The columns of lists.
    LISTED = ("mesh", "nickname", "tags", "time_point", "number", "exists", "file")
    nickname = text("NickName")
    type = text("MeshType")

    def polydata(self) -> tuple[PolyData, ...]:
        """Return the surface files, by time point."""
        found = []
        for time_point in self._time_points():
            for number, entry in enumerate(self._files(time_point)):
                file = self.workspace.resolve(entry.stored_path)
                found.append(PolyData(time_point, number, file, entry.format))
        return tuple(found)

    def records(self) -> list[dict[str, Any]]:
        """Return the fields of each surface file that lists show, as JSON knows them.

        ``exists`` is None for a file on a server.
        """
        return [
            {
                "mesh": self.number,
                "nickname": self.nickname,
                "type": self.type,
                "tags": list(self.tags),
                "time_point": surface.time_point,
                "number": surface.number,
                "format": surface.format,
                "file": surface.file,
                "exists": self.workspace.has_file(surface.file),
            }
            for surface in self.polydata()
        ]

    def _table(self) -> tuple[Iterable[Record], Sequence[str]]:
        return self.records(), self.LISTED

    def file(self, time_point: int, number: int = 0) -> str:
        """Return the path of one surface file, as text.

        Raises:
            LayerFileMissing: The layer has no such file.
        """
        for surface in self.polydata():
            if (surface.time_point, surface.number) == (time_point, number):
                return surface.file
        raise LayerFileMissing(
            f"mesh layer {self.number:03d} has no file number {number} at time point {time_point}"
        )

    def add_polydata(self, path: str | Path, time_point: int = 1) -> int:
        """Add a surface file to a time point, and return its number there, from 0.

        The file is not read; its extension gives the format.

        Raises:
            InvalidValue: The time point is less than 1.
        """
        if not 1 <= time_point <= _MAX_TIME_POINT:
            raise InvalidValue(f"time points go from 1 to {_MAX_TIME_POINT}, not {time_point}")
        folder = self.registry.make_folder(_time_point_key(time_point))
        _TimePoint(folder).number = time_point
        number = len(self._files(time_point))
        entry = _PolyData(self.registry.make_folder(_file_key(time_point, number)))
        entry.stored_path = paths.absolute(path)
        entry.format = FORMATS.get(PurePosixPath(path).suffix.lower(), INVALID_FORMAT)
        return number

    def remove_polydata(self, time_point: int, number: int) -> None:
        """Remove a surface file from a time point. The numbers of the files behind it decrease.

        Raises:
            LayerFileMissing: The layer has no such file.
        """
        self.file(time_point, number)
        count = len(self._files(time_point))
        self.registry.remove_folder(_file_key(time_point, number))
        for behind in range(number + 1, count):
            name = _file_key(time_point, behind - 1).rpartition(".")[2]
            self.registry.rename_folder(_file_key(time_point, behind), name)
        if count == 1:
            self.registry.remove_folder(_time_point_key(time_point))

    def resolve_files(self) -> None:
        """Replace every stored path by the present path of the file."""
        for time_point in self._time_points():
            for entry in self._files(time_point):
                entry.stored_path = self.workspace.resolve(entry.stored_path)

    def _time_points(self) -> list[int]:
        folder = self.registry.folder("MeshTimePoints")
        found = map(_TIME_POINT.fullmatch, folder.folders if folder else ())
        numbers = {match[0]: int(match[1]) for match in found if match}
        return sorted(n for name, n in numbers.items() if _time_point_key(n).endswith(name))

    def _files(self, time_point: int) -> list[_PolyData]:
        found: list[_PolyData] = []
        while registry := self.registry.folder(_file_key(time_point, len(found))):
            found.append(_PolyData(registry))
        return found

    def __repr__(self) -> str:
        return f"<MeshLayer {self.number:03d} {self.nickname!r}>"


class MeshList(Table, list[MeshLayer]):
    """A list of mesh layers that a notebook shows as a table."""

    __slots__ = ()

    def _table(self) -> tuple[Iterable[Record], Sequence[str]]:
        return [record for mesh in self for record in mesh.records()], MeshLayer.LISTED


def _time_point_key(time_point: int) -> str:
    return f"MeshTimePoints.TimePoint[{time_point:03d}]"


def _file_key(time_point: int, number: int) -> str:
    return f"{_time_point_key(time_point)}.PolyData[{number:03d}]"

"""The contents of a scene of 3D Slicer: what of a workspace becomes which nodes and files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from snapws import markups, mesh_formats, segmentations
from snapws.errors import ImageUnsupported, InvalidValue, LayerFileMissing
from snapws.exporting.images import speaking_name
from snapws.exporting.mrml import Document
from snapws.exporting.volume import EXTENSION, Segmentation, Volume
from snapws.layers import Layer, Role
from snapws.mesh_formats.reading import space_token
from snapws.pictures.scene import is_tile

if TYPE_CHECKING:
    from snapws.exporting.names import Names
    from snapws.exporting.scene import Create
    from snapws.images.header import ImageHeader
    from snapws.markups import Markup
    from snapws.meshes import MeshLayer, PolyData
    from snapws.workspace import Workspace

_TITLE = re.compile(rb"(# vtk DataFile Version[^\n]*\n)([^\r\n]{0,200})[^\n]*?(?=\r?\n)")
_MARKS = ".mrk.json"
_MARKED = b"SPACE=RAS"
_COLOR, _WHITE = re.compile(r"[01](\.[0-9]{1,9})?( [01](\.[0-9]{1,9})?){2}"), "1 1 1"


class Part(Protocol):
    """A part of a scene, with files and nodes of its own.

    Attributes:
        files: The names of its files.
    """

    files: list[str]

    def write(self, create: Create, document: Document, prefix: str) -> str:
        """Write the files, and add the nodes; return the ID of the one that people see.

        Args:
            create: Opens a new file.
            document: The scene.
            prefix: What stands before the names of files in the scene.
        """


class Contents:
    """The parts of a scene. Making it reads headers, no voxels.

    Args:
        workspace: The workspace.
        names: Gives the names of files.

    Attributes:
        left_out: What the scene cannot hold, a line each.
    """

    def __init__(self, workspace: Workspace, names: Names) -> None:
        self.left_out: list[str] = []
        self._workspace, self._names = workspace, names
        workspace.main.existing()
        self._main_header = workspace.main.header()
        self._volumes: dict[int, Volume] = {}
        self._segmentations: list[Segmentation] = []
        self._over: tuple[int, float] | None = None  # number and opacity
        for layer in workspace.layers():
            self._add(layer)
        self._others: list[Part] = [*self._models(), *self._markups()]

    @property
    def files(self) -> list[str]:
        """The names of all files but the scene."""
        parts: list[Part] = [*self._volumes.values(), *self._segmentations, *self._others]
        return [name for part in parts for name in part.files]

    def write(self, create: Create, prefix: str = "") -> bytes:
        """Write all files, and return the scene; see `Part.write`."""
        document, main = Document(), self._workspace.main.number
        ids = {
            number: volume.write(create, document, prefix)
            for number, volume in self._volumes.items()
        }
        for segmentation in self._segmentations:
            segmentation.reference = ids.get(main, "")
            segmentation.write(create, document, prefix)
        for part in self._others:
            part.write(create, document, prefix)
        over, opacity = self._over or (-1, 0.0)
        document.add_slice_views(ids.get(main, ""), ids.get(over, ""), opacity)
        return document.to_bytes()

    def _add(self, layer: Layer) -> None:
        layer.existing()
        where = f"layer {layer.number:03d}"
        try:
            self._add_image(layer, layer.header(), where)
        except InvalidValue as error:
            raise InvalidValue(f"{where}: {error}") from None

    def _add_image(self, layer: Layer, header: ImageHeader, where: str) -> None:
        if layer.role is Role.SEGMENTATION:
            if why := segmentations.misfit(header, self._main_header):
                raise InvalidValue(
                    f"{why}: ITK-SNAP does not open it; resample it to the main image"
                )
            number = f"layer-{layer.number:03d}"
            name = self._names.new(speaking_name(layer), number, EXTENSION)
            self._segmentations.append(Segmentation(layer, header, self._main_header, name))
        else:
            try:
                volume = Volume(layer, header, self._names)
            except ImageUnsupported as error:
                self.left_out.append(f"{where}: {error}")
                return
            self._volumes[layer.number] = volume
            self.left_out += [f"{where}: {line}" for line in volume.left_out]
            self._lay_over(layer, where)
        points = segmentations.time_points(header)
        if points > 1:
            which = "time point 2" if points == 2 else f"time points 2 to {points}"
            self.left_out.append(f"{where}: {which}: a volume of 3D Slicer has one")

    def _lay_over(self, layer: Layer, where: str) -> None:
        """Take the first sticky overlay as what is shown over the main image."""
        if layer.role is Role.MAIN or is_tile(layer):
            return
        if self._over is None:
            self._over = layer.number, layer.display.opacity
        else:
            self.left_out.append(
                f"{where}: 3D Slicer shows one overlay over the main image: this one is in the "
                "scene, and not shown"
            )

    def _models(self) -> Iterator[Part]:
        for mesh in self._workspace.meshes():
            for surface in mesh.polydata():
                where = f"mesh:{mesh.number}"
                if surface.time_point > 1:
                    self.left_out.append(
                        f"{where}: surface {surface.number} of time point {surface.time_point}: a "
                        "scene has one time point"
                    )
                    continue
                model = Model(mesh, surface, where, self._names)
                if model.unopened:
                    self.left_out.append(f"{where}: {model.unopened}")
                else:
                    yield model

    def _markups(self) -> Iterator[Part]:
        found = self._workspace.markups() if self._workspace.annotations else []
        if unknown := len(self._workspace.annotations) - len(found):
            self.left_out.append(
                f"{unknown} annotations that are neither landmarks nor lines, or have no place"
            )
        points = [one for one in found if len(one.points) == 1]
        if points:
            yield Marks("Fiducial", points, self._names.new("Landmarks", "", _MARKS))
        for number, line in enumerate((one for one in found if len(one.points) == 2), 1):
            yield Marks("Line", [line], self._names.new(f"Line {number}", "", _MARKS))


class Model:
    """A surface.

    Its file is copied. Coordinates are RAS unless the file says LPS. 3D Slicer takes them for LPS
    unless the file or the scene says RAS, so both do.

    Attributes:
        unopened: Why ITK-SNAP does not open it; empty if it does.
    """

    def __init__(self, mesh: MeshLayer, surface: PolyData, where: str, names: Names) -> None:
        workspace = mesh.workspace
        self._path = workspace.local_file(surface.file, where)
        if why := workspace.why_missing(surface.file):
            raise LayerFileMissing(f"{where} of {workspace.name}: its file {surface.file} {why}")
        self.unopened = mesh_formats.unopened(self._path)
        self._name = mesh.nickname or self._path.stem
        color = mesh.registry.get("SolidColor")
        self._color = color if _COLOR.fullmatch(color) else _WHITE
        extension = self._path.suffix.lower()
        self.files = [names.new(self._name, f"mesh-{mesh.number:03d}", extension) + extension]

    def write(self, create: Create, document: Document, prefix: str) -> str:
        """Write the mesh; see `Part.write`."""
        data = mesh_formats.read(self._path)
        title = _TITLE.match(data)
        system = "LPS" if space_token(title[2] if title else data[:80]) == b"SPACE=LPS" else "RAS"
        if title and not space_token(title[2]):
            data = b"%b%b %b%b" % (title[1], title[2].rstrip(), _MARKED, data[title.end() :])
        (name,) = self.files
        with create(name) as file:
            file.write(data)
        storage = document.add_storage("Model", prefix + name, coordinateSystem=system)
        display = document.add("ModelDisplay", color=self._color, visibility2D=True)
        return document.add("Model", self._name, {"display": display, "storage": storage})


class Marks:
    """Landmarks, or one line.

    Args:
        kind: ``Fiducial`` or ``Line``.
        found: The landmarks, or the line.
        name: The name of the file, without extension.
    """

    def __init__(self, kind: str, found: Sequence[Markup], name: str) -> None:
        self._kind, self._found, self._name = kind, found, name
        self.files = [f"{name}{_MARKS}"]

    def write(self, create: Create, document: Document, prefix: str) -> str:
        """Write the markups; see `Part.write`."""
        (name,) = self.files
        with create(name) as file:
            file.write(markups.format_file(self._found, "json").encode())
        references = {
            "display": document.add(f"Markups{self._display}Display", visibility=True),
            "storage": document.add_storage("MarkupsJson", prefix + name, coordinateSystem="LPS"),
        }
        return document.add(f"Markups{self._kind}", self._name, references)

    @property
    def _display(self) -> str:
        return self._kind if self._kind == "Fiducial" else ""

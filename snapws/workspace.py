"""The workspace: a file that names image layers, meshes, labels and annotations."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from snapws import files, paths, stand_ins, targets
from snapws.errors import (
    ImageError,
    InvalidValue,
    LayerFileMissing,
    LayerNotFound,
    RegistryError,
    WorkspaceChanged,
    WorkspaceError,
)
from snapws.layers import Layer, LayerList, Role, folder_key
from snapws.meshes import MeshLayer, MeshList
from snapws.named_files import NamedFile
from snapws.registry import Registry, xml_format
from snapws.registry.fields import as_tags
from snapws.specifications import by_specification, by_tag_or_nickname
from snapws.tables import Record, Table

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from ipyniivue import NiiVue
    from PIL.Image import Image

    from snapws.annotations import Annotation, Landmark, LineSegment
    from snapws.labels import Label
    from snapws.markups import Markup
    from snapws.timepoints import TimePoint
    from snapws.volumes import LabelVolume

#: The release of ITK-SNAP whose form of the file is written.
FORMAT_VERSION = "20250909"

AnyLayer = TypeVar("AnyLayer", Layer, MeshLayer)

_LABEL_TABLE = "ProjectMetaData.IRIS.LabelTable"


class Workspace(Table):
    """An ITK-SNAP workspace in memory.

    >>> ws = Workspace()
    >>> ws.registry["Layers.Layer[000].Role"] = "MainRole"
    >>> ws.main.nickname, ws.main.tags = "T1", ["Target"]
    >>> [(layer.number, layer.nickname, layer.tags) for layer in ws.layers(tag="Target")]
    [(0, 'T1', ('Target',))]
    >>> ws.layer(tag="Source")
    Traceback (most recent call last):
    snapws.errors.LayerNotFound: no layer has the tag 'Source'; tags in the new workspace: Target

    Attributes:
        registry: All entries of the file, also those that this package does not know.
        comments: The comments before the registry in the file.
        path: The file that the workspace was opened from or last saved to; None for a new one.
        saved_in: The folder that stored paths are relative to: ``SaveLocation`` of the file that
            was read. Setting the registry entry ``SaveLocation`` does not move the files.
    """

    __slots__ = ("_data_read", "_image_folder", "comments", "path", "registry", "saved_in")

    def __init__(self) -> None:
        self.registry = Registry()
        self.comments: tuple[str, ...] = ()
        self.path: Path | None = None
        self.saved_in = ""
        self._data_read = b""
        self._image_folder: Path | None = None

    @classmethod
    def new(cls, main: str | Path) -> Workspace:
        """Return a new, unsaved workspace with a main image.

        Raises:
            ImageError: The image cannot be read.
            LayerFileMissing: The image is on a server, or does not exist.
        """
        workspace = cls()
        workspace.set_main(main)
        return workspace

    @classmethod
    def open(cls, path: str | Path) -> Workspace:
        """Read a workspace file.

        Raises:
            RegistryError: The file is corrupt or not a workspace. The message gives line and
                reason.
            WorkspaceError: The file cannot be read.
        """
        try:
            data = paths.read_file(path, xml_format.MAX_BYTES)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            kind = RegistryError if isinstance(error, paths.StandIn) else WorkspaceError
            raise kind(f"cannot read the workspace {path}: {reason}") from None
        content = xml_format.parse(data, str(path))
        workspace = cls()
        workspace.registry, workspace.comments = content.registry, content.comments
        workspace.saved_in = workspace.registry.get("SaveLocation")
        workspace.path = Path(os.path.abspath(path))  # noqa: PTH100 - not through symbolic links
        workspace._data_read = data
        return workspace

    def save(self, path: str | Path | None = None, *, force: bool = False) -> Path:
        """Write the workspace file in one atomic step: it is never half written.

        Layers are written with the paths where their files are now, and ``SaveLocation`` is set to
        the folder of the file. Afterwards `path` is the file written.
        If the workspace was opened through a symbolic link, the link stays and its target is
        replaced. Any other link is replaced itself. A device or FIFO is written to.

        Args:
            path: The file to write; by default the one opened or last saved.
            force: Overwrite changes that another program has made since then, or a file that is
                not a workspace.

        Returns:
            The absolute path of the file written.

        Raises:
            WorkspaceChanged: Saving would overwrite changes of another program.
            WorkspaceError: The file cannot be written, or exists and is not a workspace; or the
                path is empty, or a new workspace is saved without a path.
        """
        path = self.path if path is None else path
        if path is None:
            raise WorkspaceError("a new workspace has no file yet: say where to save it")
        if not os.fspath(path):
            raise WorkspaceError("cannot save the workspace: the name of the file is empty")
        target = Path(os.path.abspath(path))  # noqa: PTH100
        data = xml_format.to_bytes(self.as_saved_in(target.parent).registry, self.comments)
        try:
            if not force and not targets.is_stream(target):
                self._refuse_loss(target)
            is_own = self.path is not None and _same_file(target, self.path)
            files.write_bytes(targets.through_link(target) if is_own else target, data)
        except OSError as error:
            raise WorkspaceError(f"cannot save the workspace {target}: {error.strerror}") from None
        self._settle_in(target.parent)
        self.path, self._data_read = target, data
        return target

    def as_saved_in(self, folder: Path) -> Workspace:
        """Return a copy with the paths that `save` would write to a file in `folder`."""
        twin = Workspace()
        twin.registry, twin.comments, twin.path = self.registry.copy(), self.comments, self.path
        twin.saved_in = self.saved_in
        twin._settle_in(folder)
        return twin

    # ---------------------------------------------------------------- layers

    def layers(self, *, tag: str | None = None, role: Role | None = None) -> list[Layer]:
        """Return the image layers in order: all, or those that have a tag, a role or both.

        Raises:
            InvalidValue: `role` is not a `Role`.
        """
        if role is not None and not isinstance(role, Role):
            raise InvalidValue(f"{role!r} is not a role: expected Role.MAIN, Role.OVERLAY …")
        return LayerList(
            layer
            for layer in self._all(Layer)
            if (tag is None or tag in layer.tags) and (role is None or layer.role is role)
        )

    def meshes(self, *, tag: str | None = None) -> list[MeshLayer]:
        """Return the mesh layers in order: all, or those that have a tag."""
        return MeshList(mesh for mesh in self._all(MeshLayer) if tag is None or tag in mesh.tags)

    def layer(
        self,
        specification: str | int | None = None,
        *,
        tag: str | None = None,
        nickname: str | None = None,
    ) -> Layer:
        """Return the one image layer of a specification, a tag or a nickname. Its file must exist.

        Args:
            specification: The number of the layer, or ``M``, ``S``, ``O:N``, ``A:N``: see
                `snapws.specifications`.
            tag: Instead of the specification, the tag of exactly one layer.
            nickname: Instead of both, the nickname of exactly one layer.

        Raises:
            LayerNotFound: No layer matches; the message names the layers of the workspace.
            AmbiguousLayer: Several layers have the tag or the nickname.
            LayerFileMissing: The file of the layer is not on this machine.
            InvalidValue: Not exactly one of the three arguments is given.
        """
        found = self.find(specification, tag=tag, nickname=nickname, meshes=False)
        assert isinstance(found, Layer)  # noqa: S101 - no meshes were asked for
        found.existing()
        return found

    def find(
        self,
        specification: str | int | None = None,
        *,
        tag: str | None = None,
        nickname: str | None = None,
        meshes: bool = True,
    ) -> Layer | MeshLayer:
        """Return one image or mesh layer, whether its file exists or not.

        Args:
            specification: See `layer`; also ``mesh:N`` for the N-th mesh layer.
            tag: Instead of the specification, the tag of exactly one layer.
            nickname: Instead of both, the nickname of exactly one layer.
            meshes: Whether mesh layers are searched, too.

        Raises:
            LayerNotFound: No layer matches; the message names the layers of the workspace.
            AmbiguousLayer: Several layers have the tag or the nickname.
            InvalidValue: Not exactly one of the three arguments is given.
        """
        if [specification, tag, nickname].count(None) != 2:
            raise InvalidValue("a layer is asked for by a specification, by a tag or by a nickname")
        layers, surfaces = self.layers(), self.meshes() if meshes else []
        if specification is not None:
            return by_specification(str(specification), layers, surfaces, self.name)
        everything: list[Layer | MeshLayer] = [*layers, *surfaces]
        if tag is not None:
            return by_tag_or_nickname("tag", tag, everything, lambda one: one.tags, self.name)
        return by_tag_or_nickname(
            "nickname", nickname or "", everything, lambda one: [one.nickname], self.name
        )

    def like(self, layer: Layer | str | int) -> Layer:
        """Return the image layer that a `Layer`, a tag or a specification names.

        A text that is the tag of a layer is a tag; any other text is a specification.

        Raises:
            LayerNotFound: No layer matches.
            AmbiguousLayer: Several layers have the tag.
            LayerFileMissing: The file of the layer is not on this machine.
        """
        if isinstance(layer, Layer):
            return layer
        is_tag = any(layer in one.tags for one in self.layers())
        return self.layer(tag=str(layer)) if is_tag else self.layer(layer)

    @property
    def main(self) -> Layer:
        """The main image layer, whether its file exists or not.

        Raises:
            LayerNotFound: The workspace has no main image.
        """
        found = self.layers(role=Role.MAIN)
        if not found:
            raise LayerNotFound(f"{self.name} has no main image: add one first")
        return found[0]

    def set_main(self, path: str | Path) -> Layer:
        """Set the main image. The settings of an old main image are discarded.

        Raises:
            ImageError: The image cannot be read.
            LayerFileMissing: The image is on a server.
        """
        from snapws import images

        file = self.local_file(paths.absolute(path), "the main image")
        dimensions = images.read_header(file).stored_shape
        mains = self.layers(role=Role.MAIN)
        if not mains:
            return self._add(path, Role.MAIN, "", (), dimensions)
        mains[0].set_image(path, Role.MAIN, dimensions)
        return mains[0]

    def set_segmentation(self, path: str | Path, *, any_size: bool = False) -> Layer:
        """Replace all segmentations by one image.

        Args:
            path: The image file; see `add_segmentation`.
            any_size: Whether to accept an image that ITK-SNAP does not open as a segmentation.

        Raises:
            LayerNotFound: The workspace has no main image.
            InvalidValue: Spatial shape or number of time points differ from the main image's.
        """
        self._need_main()
        if not any_size:
            self._refuse_misfit(path)
        old = self.layers(role=Role.SEGMENTATION)
        layer = old[0] if old else self._append_layer(Registry())
        layer.set_image(path, Role.SEGMENTATION)
        self._remove(Layer.SECTION, {other.number for other in old[1:]})
        return layer

    def add_anatomical(
        self, path: str | Path, *, nickname: str = "", tags: Iterable[str] = ()
    ) -> Layer:
        """Add an image: as the main image of a workspace without one, else as an overlay.

        Raises:
            ImageError: The image becomes the main image and cannot be read.
        """
        if not self.layers(role=Role.MAIN):
            tags = as_tags(tags)
            return _described(self.set_main(path), nickname, tags)
        return self.add_overlay(path, nickname=nickname, tags=tags)

    def add_overlay(
        self,
        path: str | Path | npt.ArrayLike,
        *,
        nickname: str = "",
        tags: Iterable[str] = (),
        like: Layer | str | int | None = None,
        file: str | Path | None = None,
    ) -> Layer:
        """Add an image as the last overlay; the file is not read.

        Args:
            path: The image file, or an array of numbers (axes x, y, z and time). An array is
                written to a NIfTI file beside the workspace, in the smallest type that holds it.
            nickname: The name of the layer for people; also names the file of an array.
            tags: The tags of the layer.
            like: For an array, the layer that has the same grid, or its tag or specification; by
                default the main image.
            file: For an array, the file to write; an existing file is never overwritten.

        Raises:
            LayerNotFound: The workspace has no main image, or `like` names no layer.
            InvalidValue: The array does not fit the grid, or the file already exists.
            WorkspaceError: The file cannot be written.
        """
        self._need_main()
        if not isinstance(path, (str, os.PathLike)):
            from snapws.arrays import intensity_values

            with self._written(intensity_values(path), like, nickname or "overlay", file) as made:
                return self._add(made, Role.OVERLAY, nickname, tags)
        _refuse_for_file(like, file)
        return self._add(path, Role.OVERLAY, nickname, tags)

    def add_segmentation(
        self,
        path: str | Path | npt.ArrayLike,
        *,
        nickname: str = "",
        tags: Iterable[str] = (),
        any_size: bool = False,
        like: Layer | str | int | None = None,
        labels: Mapping[int, str] | None = None,
        file: str | Path | None = None,
    ) -> Layer:
        """Add an image as the last segmentation.

        Its header is compared with that of the main image if both can be read. `snapws.check`
        reports files that cannot.

        Args:
            path: The image file, or an array of labels (axes x, y, z and time). An array is written
                to a NIfTI file of ``uint8`` or ``uint16`` beside the workspace.
            nickname: The name of the layer for people; also names the file of an array.
            tags: The tags of the layer.
            any_size: Whether to accept an image that ITK-SNAP does not open as a segmentation.
            like: See `add_overlay`.
            labels: Names of labels for the label table, by number. Labels that already exist keep
                colour and visibility.
            file: See `add_overlay`.

        Raises:
            LayerNotFound: The workspace has no main image, or `like` names no layer.
            InvalidValue: Spatial shape or number of time points differ from the main image's; or
                the array does not fit the grid or holds invalid labels, or the file already exists.
            WorkspaceError: The file cannot be written.
        """
        from snapws.arrays import label_values, named_labels

        self._need_main()
        table = named_labels(self, labels) if labels else None
        if isinstance(path, (str, os.PathLike)):
            _refuse_for_file(like, file)
            if not any_size:
                self._refuse_misfit(path)
            layer = self._add(path, Role.SEGMENTATION, nickname, tags)
        else:
            name = nickname or "segmentation"
            with self._written(label_values(path), like, name, file) as made:
                if not any_size:
                    self._refuse_misfit(made)
                layer = self._add(made, Role.SEGMENTATION, nickname, tags)
        if table is not None:
            self.labels = table
        return layer

    @contextmanager
    def _written(
        self,
        values: npt.NDArray[Any],
        like: Layer | str | int | None,
        name: str,
        file: str | Path | None,
    ) -> Iterator[Path]:
        """Write an array to a file for a block; if the block raises, the file is removed."""
        from snapws import arrays

        reference = self.main if like is None else self.like(like)
        made = arrays.write(self, values, reference, name=name, file=file)
        try:
            yield made
        except BaseException:
            made.unlink(missing_ok=True)
            raise

    def add_mesh(
        self,
        path: str | Path,
        *,
        time_point: int = 1,
        nickname: str = "",
        tags: Iterable[str] = (),
    ) -> MeshLayer:
        """Add a mesh layer with one surface file; the file is not read.

        Raises:
            LayerNotFound: The workspace has no main image.
            InvalidValue: The time point is less than 1.
        """
        self._need_main()
        draft = MeshLayer(self, Registry())
        draft.add_polydata(path, time_point)
        draft.type = "StandaloneMesh"
        draft.registry["Nickname"] = ""  # ITK-SNAP writes this beside NickName, and never reads it
        _described(draft, nickname, tags)
        key = folder_key(MeshLayer.SECTION, len(self.meshes()))
        folder = self.registry.make_folder(key)
        folder.update(draft.registry)
        return MeshLayer(self, folder)

    def remove(self, *layers: Layer | MeshLayer) -> None:
        """Remove image and mesh layers. The numbers of the layers behind them decrease.

        Raises:
            InvalidValue: The main image would be removed while other layers stay.
        """
        sections: dict[str, set[int]] = {Layer.SECTION: set(), MeshLayer.SECTION: set()}
        for layer in layers:
            sections[layer.SECTION].add(layer.number)
        has_main = any(isinstance(one, Layer) and one.role is Role.MAIN for one in layers)
        left = sum(len(self.numbered(section)) - len(out) for section, out in sections.items())
        if has_main and left:
            raise InvalidValue("the main image goes last: set another main image in its place")
        for section, numbers in sections.items():
            self._remove(section, numbers)

    # ------------------------------------------------- labels, time points, annotations

    @property
    def labels(self) -> tuple[Label, ...]:
        """The segmentation labels, by index; assigning replaces the whole table.

        Raises:
            LayerNotFound: The workspace has no main image, which stores the table.
            InvalidValue: A value of the table is invalid.
        """
        from snapws.labels import read_table

        return read_table(self.main.registry.folder(_LABEL_TABLE))

    @labels.setter
    def labels(self, table: Iterable[Label]) -> None:
        from snapws.labels import write_table

        write_table(self.main.registry.make_folder(_LABEL_TABLE), table)

    def volumes(self) -> list[LabelVolume]:
        """Return the volume of each label in each segmentation; see `snapws.volumes.volumes`."""
        from snapws import volumes

        return volumes.volumes(self)

    @property
    def time_points(self) -> tuple[TimePoint, ...]:
        """The described time points, in order; `add_time_point` adds one."""
        from snapws import timepoints

        return timepoints.read(self.registry)

    def add_time_point(self, nickname: str = "", tags: Iterable[str] = ()) -> TimePoint:
        """Add a description of the next time point."""
        from snapws import timepoints

        return timepoints.add_time_point(self.registry, nickname, tags)

    @property
    def annotations(self) -> tuple[Annotation, ...]:
        """The annotations, in order; `add_landmark` and `add_line` add one."""
        from snapws.annotations import read

        return read(self.registry)

    def add_landmark(
        self, position: Iterable[float], label: str, tags: Iterable[str] = ()
    ) -> Landmark:
        """Add a landmark at `position` (3 voxel coordinates of the main image) with a text."""
        from snapws.annotations import add_landmark

        return add_landmark(self.registry, position, label, tags)

    def add_line(
        self, point1: Iterable[float], point2: Iterable[float], tags: Iterable[str] = ()
    ) -> LineSegment:
        """Add a line between two points (3 voxel coordinates of the main image each)."""
        from snapws.annotations import add_line

        return add_line(self.registry, point1, point2, tags)

    def markups(self) -> list[Markup]:
        """Return the landmarks and lines in RAS mm, computed from the main image's affine.

        Raises:
            LayerNotFound: The workspace has no main image.
            LayerFileMissing: The file of the main image does not exist.
            ImageError: The header of the main image cannot be read.
        """
        from snapws.annotations import to_markups

        return to_markups(self.annotations, self._main_affine())

    def add_markups(self, markups: Iterable[Markup], tags: Iterable[str] = ()) -> None:
        """Add landmarks and lines whose points are in RAS mm; see `markups`.

        Raises:
            LayerNotFound: The workspace has no main image.
            LayerFileMissing: The file of the main image does not exist.
            ImageError: The header of the main image cannot be read.
        """
        from snapws.annotations import add_markups

        add_markups(self.registry, markups, self._main_affine(), tags)

    def _main_affine(self) -> npt.NDArray[np.float64]:
        from snapws import geometry, images

        return geometry.affine(images.read_header(self.main.existing()))

    # ------------------------------------------------------------------------ pictures

    def picture(
        self,
        *,
        layers: Iterable[str | int] | None = None,
        slices: Sequence[int] | None = None,
        size: int = 320,
        time_point: int = 1,
    ) -> Image:
        """Draw the three views through a voxel, layers over each other; see `snapws.pictures`."""
        from snapws.pictures import scene

        return scene.draw_picture(
            self, layers=layers, slices=slices, size=size, time_point=time_point
        )

    def view(self, *, height: int = 480) -> NiiVue:
        """Return a widget for a notebook to look around in; see `snapws.viewer.widget`."""
        from snapws.viewer.widget import make_widget

        return make_widget(self, height)

    def _table(self) -> tuple[Iterable[Record], Sequence[str]]:
        return [layer.record() for layer in self.layers()], Layer.LISTED

    def _repr_png_(self) -> bytes | None:
        from snapws import notebooks

        return notebooks.picture(self)

    # ------------------------------------------------------------- paths and registry

    @property
    def folder(self) -> Path:
        """The folder of the workspace file; the current folder for a new workspace."""
        return self.path.parent if self.path else Path.cwd()

    @property
    def image_folder(self) -> Path:
        """The folder for images that are added as arrays; by default `folder`."""
        return self._image_folder or self.folder

    @image_folder.setter
    def image_folder(self, folder: str | Path) -> None:
        self._image_folder = Path(folder)

    def resolve(self, stored_path: str) -> str:
        """Return the present path of a stored path; see `snapws.paths.resolve`."""
        return paths.resolve(stored_path, self.saved_in, self.folder)

    def local_file(self, path: str, what: str) -> Path:
        """Return a path as a file name on this machine, whether the file exists or not.

        Raises:
            LayerFileMissing: The path is empty, or the URL of a file on a server.
        """
        if not path:
            raise LayerFileMissing(f"{what} names no file: set its path")
        if paths.is_url(path):
            raise LayerFileMissing(
                f"{what} is at {path}, on a server: download it and set its path to the local file"
            )
        return self.folder / path

    def why_missing(self, file: str) -> str:
        """Return why the file of a layer is missing, as text; empty if it exists.

        Args:
            file: Its path as returned by `resolve`; not a URL.
        """
        why = paths.unusable(self.folder / file)
        there = (
            paths.moved(file, self.saved_in, self.folder) if why == stand_ins.NOT_THERE else None
        )
        # If the workspace has moved, the reason at the new place helps more than the old path.
        elsewhere = paths.unusable(Path(there)) if there else ""
        return f"{why}; {there} {elsewhere}" if elsewhere not in ("", stand_ins.NOT_THERE) else why

    def has_file(self, file: str) -> bool | None:
        """Return whether the file of a layer exists; None if it is on a server.

        Args:
            file: Its path as returned by `resolve`.
        """
        return None if paths.is_url(file) else not paths.unusable(self.folder / file)

    def files(self) -> Iterator[NamedFile]:
        """Yield every file that the workspace names: images, then surfaces of meshes, in order."""
        path, folder = Layer.stored_path.key, self.folder
        for layer in self.layers():
            number, key = f"{layer.number:03d}", f"{layer.key}.{path}"
            yield NamedFile(f"layer {number}", number, key, layer.file, folder, image=layer)
        for mesh in self.meshes():
            where = f"mesh:{mesh.number}"
            for one in mesh.polydata():
                number = f"{mesh.number:03d}_{one.time_point:03d}_{one.number:03d}"
                key = f"{mesh.key}.{one.key}.{path}"
                yield NamedFile(where, number, key, one.file, folder, surface=one)

    def refuse_overwriting(self, target: Path) -> None:
        """Refuse a file to be written that is the workspace or a file that the workspace names.

        Raises:
            InvalidValue: `target` is such a file.
        """
        for description, file in self._own_files():
            if _same_file(target, file):
                raise InvalidValue(f"{target} is {description}: choose another name")

    def _own_files(self) -> Iterator[tuple[str, Path]]:
        """Yield the files of the workspace, each with a description."""
        if self.path:
            yield "the workspace itself", self.path
        for one in filter(lambda one: one.is_local, self.files()):
            part = f"surface {one.surface.number}" if one.surface else "the image"
            yield f"{part} of {one.where}", one.path
            if one.image:
                with suppress(ImageError):  # without a header, only the named file is known
                    for file in one.image.header().files:
                        yield f"{part} of {one.where}", file

    def numbered(self, section: str) -> list[Registry]:
        """Return the folders of ``Layers`` or ``MeshLayers`` in order, up to the first gap."""
        parent = self.registry.folder(section)
        found: list[Registry] = []
        if parent is not None:
            while registry := parent.folder(f"Layer[{len(found):03d}]"):
                found.append(registry)
        return found

    def _all(self, kind: type[AnyLayer]) -> list[AnyLayer]:
        folders = self.numbered(kind.SECTION)
        return [kind(self, registry, number) for number, registry in enumerate(folders)]

    def _remove(self, section: str, numbers: set[int]) -> None:
        """Remove folders of layers by number, and renumber the folders behind them."""
        kept = 0
        for number in range(len(self.numbered(section))):
            key = folder_key(section, number)
            if number in numbers:
                self.registry.remove_folder(key)
                continue
            if kept < number:
                self.registry.rename_folder(key, folder_key(section, kept).partition(".")[2])
            kept += 1

    def _refuse_loss(self, target: Path) -> None:
        if not target.is_file():
            return
        if target == self.path and paths.read_file(target) != self._data_read:
            raise WorkspaceChanged(
                f"{target} has been changed by another program since it was read: open it again, "
                "save elsewhere, or force the save"
            )
        with target.open("rb") as file:
            start = file.read(100)
        if start and b"<" not in start:
            raise WorkspaceError(
                f"{target} exists and is not a workspace: choose another name, or force the save"
            )

    def _settle_in(self, folder: Path) -> None:
        for layer in self.layers():
            if layer.stored_path:
                layer.stored_path = layer.file
        for mesh in self.meshes():
            mesh.resolve_files()
        self.registry["SaveLocation"] = self.saved_in = folder.as_posix()
        self.registry["Version"] = FORMAT_VERSION

    def _add(
        self,
        path: str | Path,
        role: Role,
        nickname: str,
        tags: Iterable[str],
        dimensions: Iterable[int] = (),
    ) -> Layer:
        """Add a layer. It is attached when complete, so that an error leaves nothing behind."""
        draft = Layer(self, Registry())
        draft.set_image(path, role, dimensions)
        return self._append_layer(_described(draft, nickname, tags).registry)

    def _append_layer(self, content: Registry) -> Layer:
        number = len(self.numbered(Layer.SECTION))
        folder = self.registry.make_folder(folder_key(Layer.SECTION, number))
        folder.update(content)
        return Layer(self, folder)

    def _refuse_misfit(self, path: str | Path) -> None:
        """Refuse a segmentation that ITK-SNAP does not open over the main image."""
        from snapws import images, segmentations

        try:
            file = self.local_file(paths.absolute(path), "the segmentation")
            header, main = images.read_header(file), self.main.header()
        except WorkspaceError:  # the files may be added later, and `check` reports missing ones
            return
        if why := segmentations.misfit(header, main):
            raise InvalidValue(
                f"{path}: {why}: ITK-SNAP does not open it as a segmentation; resample it to the "
                "main image, or add it as an overlay"
            )

    def _need_main(self) -> None:
        if not self.layers(role=Role.MAIN):
            raise LayerNotFound(f"{self.name} has no main image: add one first")

    @property
    def name(self) -> str:
        """The name of the workspace file, or ``the new workspace``."""
        return self.path.name if self.path else "the new workspace"

    def __repr__(self) -> str:
        return f"<Workspace {self.name}: {len(self.layers())} layers>"


def _described(layer: AnyLayer, nickname: str, tags: Iterable[str]) -> AnyLayer:
    if nickname:
        layer.nickname = nickname
    if given := as_tags(tags):
        layer.tags = given
    return layer


def _refuse_for_file(like: object, file: object) -> None:
    if like is not None or file is not None:
        raise InvalidValue("a file has a geometry and a name: like and file are for arrays")


def _same_file(path: Path, other: Path) -> bool:
    try:
        return path.samefile(other)
    except OSError:  # one of the files does not exist, or cannot be reached
        return False

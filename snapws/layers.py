"""Image layers: an image file with a role, tags, a nickname, a transform and display settings."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snapws import files, paths
from snapws.errors import ImageUnsupported, InvalidValue, LayerFileMissing, WorkspaceError
from snapws.images import hints
from snapws.images.hints import Hints
from snapws.registry import Registry
from snapws.registry.fields import FolderProxy, tags, text
from snapws.tables import Record, Table

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from nibabel.nifti1 import Nifti1Image

    from snapws.annotations import Annotation
    from snapws.arrays import ImageArray
    from snapws.display import Display
    from snapws.images.header import ImageHeader
    from snapws.images.voxel_files import Purpose
    from snapws.timepoints import TimePoint
    from snapws.transform_files import Format, TransformFile, WrittenFormat
    from snapws.workspace import Workspace


class Role(str, Enum):
    """The role of an image in the workspace, as the file names it."""

    MAIN = "MainRole"  #: the main image, whose voxels are the grid of the workspace
    OVERLAY = "OverlayRole"  #: an image shown over or beside the main image, on its own grid
    SEGMENTATION = "SegmentationRole"  #: labels on the grid of the main image
    OTHER = ""  #: an undocumented role; the layer's registry has its text


class WorkspaceObject(FolderProxy):
    """A layer or mesh layer: a number and tags.

    Objects stay valid while the workspace is edited. When an earlier layer is removed, the number
    decreases.
    """

    __slots__ = ("_place", "workspace")

    SECTION: str
    tags = tags()

    def __init__(self, workspace: Workspace, registry: Registry, place: int = 0) -> None:
        super().__init__(registry)
        self.workspace = workspace
        self._place = place  # last known number: searching thousands of layers each time is slow

    @property
    def number(self) -> int:
        """The place in the workspace, from 0.

        Raises:
            InvalidValue: The object has been removed from the workspace.
        """
        last_seen = folder_key(self.SECTION, self._place)
        if self.workspace.registry.folder(last_seen) is self.registry:
            return self._place
        for number, registry in enumerate(self.workspace.numbered(self.SECTION)):
            if registry is self.registry:
                self._place = number
                return number
        raise InvalidValue("the layer has been removed from the workspace")

    @property
    def key(self) -> str:
        """The key of its registry folder, ``Layers.Layer[000]`` for example."""
        return folder_key(self.SECTION, self.number)

    def add_tag(self, tag: str) -> None:
        """Add a tag, if the layer does not have it yet.

        Raises:
            InvalidValue: The tag is empty, or has a comma or white space around it.
        """
        self.tags = (*self.tags, tag)

    def remove_tag(self, tag: str) -> None:
        """Remove a tag. A missing tag is not an error."""
        self.tags = tuple(other for other in self.tags if other != tag)

    def take_tag(self, tag: str) -> None:
        """Add a tag, and remove it from every other layer, time point and annotation."""
        workspace = self.workspace
        for other in (*workspace.layers(), *workspace.meshes()):
            if tag in other.tags and other.registry is not self.registry:
                other.remove_tag(tag)
        described: tuple[TimePoint | Annotation, ...]
        described = (*workspace.time_points, *workspace.annotations)
        for found in described:
            if tag in found.tags:
                found.tags = tuple(one for one in found.tags if one != tag)
        self.add_tag(tag)


class Layer(WorkspaceObject, Table):
    """One image layer of a workspace.

    Attributes:
        nickname: The name that the user gave the layer; may be empty.
        tags: The tags in stored order; assigning sorts them.
    """

    __slots__ = ()

    SECTION = "Layers"
    LISTED = ("number", "role", "nickname", "tags", "exists", "file")  #: the columns of lists
    nickname = text("LayerMetaData.CustomNickName")
    stored_path = text("AbsolutePath")  #: the path in the workspace file; see `file` for today's
    _role = text("Role")
    _dimensions = text("ProjectMetaData.Files.Grey.Dimensions")

    @property
    def role(self) -> Role:
        """The role of the image in the workspace."""
        try:
            return Role(self._role)
        except ValueError:
            return Role.OTHER

    @property
    def file(self) -> str:
        """The present path of the image file, or its URL on a server.

        If no file is found, the stored path. Assigning makes a path absolute.

        Raises:
            InvalidValue: The assigned path is empty.
        """
        return self.workspace.resolve(self.stored_path)

    @file.setter
    def file(self, path: str | os.PathLike[str]) -> None:
        if not os.fspath(path):
            raise InvalidValue("a layer needs a file: its name is empty")
        self.stored_path = paths.absolute(path)

    @property
    def path(self) -> Path:
        """The path of the image file on this machine. The file may be missing; see `existing`.

        Raises:
            LayerFileMissing: The file is on a server, or the layer names no file.
        """
        return self.workspace.local_file(self.file, f"layer {self.number:03d}")

    @property
    def hints(self) -> Hints:
        """The hints of the workspace on how to read the image file.

        Raises:
            ImageUnsupported: The hints for raw voxels are invalid, or not supported.
        """
        try:
            return hints.read(self.registry)
        except InvalidValue as error:
            raise ImageUnsupported(f"{self.file}: {error}") from None

    def header(self, purpose: Purpose = "show") -> ImageHeader:
        """Read the header of its image, and no voxels (see `snapws.images.read_header`).

        Raises:
            LayerFileMissing: The file is on a server, or the layer names no file.
            ImageError: The header cannot be read.
        """
        from snapws import images

        return images.read_header(self.path, purpose, self.hints)

    def existing(self) -> Path:
        """Return the path of the image file on this machine. The file must exist.

        Raises:
            LayerFileMissing: The file is missing or on a server, or the layer names no file.
        """
        path = self.path
        if why := self.workspace.why_missing(self.file):
            saved_in = self.workspace.saved_in or "no known folder"
            raise LayerFileMissing(
                f"layer {self.number:03d} of {self.workspace.name}: its file {self.file} {why} "
                f"(the workspace was saved in {saved_in}): put the file back, set its path, or "
                "relocate the workspace"
            )
        return path

    def array(self) -> ImageArray:
        """Open the image as an array. Its values are read on access.

        ``layer.array()[:, :, 40]`` reads only that slice of an uncompressed NIfTI file. Any other
        file is read completely, once. The axes are x, y, z; then time, if the image has several
        time points; then the component, if a voxel has several.

        Raises:
            LayerFileMissing: The file does not exist.
            ImageError: The header cannot be read.
        """
        from snapws.arrays import ImageArray

        self.existing()
        return ImageArray(self.header())

    def nibabel(self) -> Nifti1Image:
        """Read the image as a nibabel image with ITK-SNAP's affine and the axes of NIfTI.

        Raises:
            LayerFileMissing: The file does not exist.
            ImageError: The image cannot be read, or a NIfTI header cannot hold its geometry.
        """
        from snapws import arrays

        self.existing()
        return arrays.to_nibabel(self.header())

    def simpleitk(self) -> Any:
        """Read the image as a ``SimpleITK.Image``: four-dimensional if it has time points.

        Raises:
            LayerFileMissing: The file does not exist.
            ImageError: The image cannot be read, or SimpleITK is not installed or does not support
                its voxels.
        """
        from snapws import arrays

        self.existing()
        return arrays.to_simpleitk(self.header())

    @property
    def transform(self) -> npt.NDArray[np.float64]:
        """The affine transform: 4x4 float64, from main-image RAS mm to RAS mm of this layer.

        Assigning takes any 4x4 array of numbers, or nested sequences.

        Raises:
            InvalidValue: An element is not a number, or the assigned value is not 4x4, finite and
                affine.
        """
        import numpy as np

        from snapws import transforms

        # Reversed axes give -0; adding 0 makes it 0.
        return np.array(transforms.read(self.registry.folder("ImageTransform"))) + 0.0

    @transform.setter
    def transform(self, matrix: npt.ArrayLike) -> None:
        import numpy as np

        from snapws import transforms

        try:
            rows = np.asarray(matrix, dtype=np.float64)
        except (ValueError, TypeError):
            raise InvalidValue("a transform is a 4x4 matrix of numbers") from None
        checked = transforms.checked(rows.tolist() if rows.ndim == 2 else [])
        transforms.write(self.registry.make_folder("ImageTransform"), checked)

    def read_transform(
        self,
        path: str | Path,
        *,
        format: Format | None = None,  # noqa: A002 - as the option is called
        moving: str | Path | None = None,
        reference: str | Path | None = None,
        inverse: bool = False,
    ) -> TransformFile:
        """Set the transform of the layer from a file of another program.

        The format is recognised by content: a 4x4 matrix, linear transforms of ITK and ANTs (text,
        ``.mat``, ``.h5``), LTA and ``register.dat`` of FreeSurfer. A 4x4 matrix is read as RAS, the
        format of ``c3d`` and ``greedy``, unless there is a sign of another one.

        Args:
            path: The file.
            format: The format of a 4x4 matrix: ``ras`` or ``flirt``.
            moving: The image that was registered, if it is not this layer's.
            reference: The image that `moving` was registered to, if it is not the main image.
            inverse: The main image was registered to this layer.

        Returns:
            The matrix and the format of the file, and a remark if the format was assumed.

        Raises:
            TextFileError: The file is corrupt, holds no linear or no invertible transform, or is
                not plausible as RAS.
            ImageError: An image that the format depends on cannot be read.
            LayerFileMissing: An image that the format depends on does not exist.
            WorkspaceError: The file cannot be read, or needs SimpleITK, which is not installed.
        """
        from snapws import transform_files

        found = transform_files.read(
            path, self, format=format, moving=moving, reference=reference, inverse=inverse
        )
        self.transform = found.matrix
        return found

    def transform_text(
        self,
        format: WrittenFormat = "ras",  # noqa: A002
        *,
        inverse: bool = False,
    ) -> str:
        """Return the transform of the layer as text, in the file format of another program.

        Args:
            format: ``ras`` (c3d, greedy), ``itk`` (ITK, ANTs, 3D Slicer), ``fsl`` (FLIRT), ``lta``
                (FreeSurfer).
            inverse: Write the transform of a registration of the main image to the layer.

        Raises:
            TextFileError: The format or the direction needs an inverse, and the transform has none.
            ImageError: An image that the format depends on cannot be read.
            LayerFileMissing: An image that the format depends on does not exist.
        """
        from snapws import transform_files

        return transform_files.to_text(self, format, inverse=inverse)

    @property
    def display(self) -> Display:
        """The display settings of the layer."""
        from snapws.display import Display

        return Display(self.registry)

    def record(self) -> dict[str, Any]:
        """Return the fields that lists show, as JSON knows them.

        ``exists`` is None for a file on a server.
        """
        return {
            "number": self.number,
            "role": self._role.removesuffix("Role").lower(),
            "nickname": self.nickname,
            "tags": list(self.tags),
            "file": self.file,
            "exists": self.workspace.has_file(self.file),
        }

    def _table(self) -> tuple[Iterable[Record], Sequence[str]]:
        return [self.record()], self.LISTED

    def _repr_png_(self) -> bytes | None:
        from snapws import notebooks

        return notebooks.picture(self.workspace, [self.number])

    def set_image(
        self, path: str | os.PathLike[str], role: Role, dimensions: Iterable[int] = ()
    ) -> None:
        """Replace the image of the layer, and discard all of its settings.

        Args:
            path: The image file.
            role: The role of the image.
            dimensions: For the main image, its size in voxels (x, y, z).
        """
        draft = Layer(self.workspace, Registry())
        draft.file = path
        draft._role = role.value
        size = " ".join(str(length) for length in dimensions)
        if size:
            draft._dimensions = size
        self.registry.clear()
        self.registry.update(draft.registry)

    def copy_image(self, path: str | Path) -> None:
        """Copy the image, voxels and geometry unchanged, to a NIfTI file that the layer then names.

        Args:
            path: The file to write, ``.nii`` or ``.nii.gz``; an existing file is overwritten.

        Raises:
            InvalidValue: The name ends otherwise, or the workspace names that file.
            ImageError: The image cannot be read.
            WorkspaceError: The file cannot be written.
        """
        from snapws import images
        from snapws.compression import LEVEL

        if not os.fspath(path):
            raise InvalidValue("the name of the file to write is empty")
        target = Path(paths.absolute(path))
        if not target.name.lower().endswith((".nii", ".nii.gz")):
            raise InvalidValue(f"{target}: a NIfTI file's name ends in .nii or .nii.gz")
        header = self.header()
        self.workspace.refuse_overwriting(target)
        level = LEVEL if target.name.lower().endswith(".gz") else 0
        try:
            with files.atomic_write(target) as aside, aside.open("wb") as file:
                images.write_nifti(header, file, level=level)
        except OSError as error:
            raise WorkspaceError(f"cannot write {target}: {error.strerror}") from None
        self.file = str(target)
        # The hints belong to the old file; ITK-SNAP, too, leaves an empty folder.
        self.registry.remove_folder("IOHints")
        self.registry.make_folder("IOHints")

    def __repr__(self) -> str:
        return f"<Layer {self.number:03d} {self.role.name.lower()} {self.nickname!r} {self.file}>"


class LayerList(Table, list[Layer]):
    """A list of layers that a notebook shows as a table."""

    __slots__ = ()

    def _table(self) -> tuple[Iterable[Record], Sequence[str]]:
        return [layer.record() for layer in self], Layer.LISTED


def folder_key(section: str, number: int) -> str:
    """Return the key of the folder of a numbered layer."""
    return f"{section}.Layer[{number:03d}]"

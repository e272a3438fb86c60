"""A workspace as a document of NiiVue, the viewer in browsers: one file, ``.nvd``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from snapws import files
from snapws.annotations import Landmark
from snapws.display import ComponentMode
from snapws.errors import ImageUnsupported, InvalidValue, MeshUnsupported, WorkspaceError
from snapws.exporting import nvd
from snapws.exporting.scene import Exported, refuse_overwriting
from snapws.exporting.volume import is_straight
from snapws.pictures.colormaps import NAMED
from snapws.pictures.rendering import Segmentation
from snapws.viewer.label_colors import label_table
from snapws.viewer.stage import Stage, options

if TYPE_CHECKING:
    from snapws.viewer.surfaces import Shape
    from snapws.viewer.volumes import Volume
    from snapws.workspace import Workspace

    Json = dict[str, Any]

#: The ending of a document's name.
DOCUMENT = ".nvd"

# The colour maps that NiiVue has, too: a document names colour maps, and holds none.
_MAPS = {
    "Grayscale": "gray",
    "Black to red": "red",
    "Black to green": "green",
    "Black to blue": "blue",
}
_NIFTI = 1  # NiiVue's number of the format


def export_document(workspace: Workspace, target: Path, *, force: bool = False) -> Exported:
    """Write a workspace as a document of NiiVue, atomically. The workspace is not changed.

    Layers lie where `snapws.draw_picture` draws them, in their colours, contrast and opacity, with
    all time points; segmentations have the names and colours of the label table. Meshes, landmarks
    and lines are meshes.

    Args:
        workspace: The workspace.
        target: The file, whose name ends in ``.nvd``.
        force: Whether to overwrite an existing file.

    Raises:
        InvalidValue: The file already exists or is one of the workspace; a segmentation has not
            the main image's size; or the document is larger than a browser can hold.
        LayerNotFound: The workspace has no main image.
        LayerFileMissing: A file is missing.
        ImageError: An image cannot be read.
        MeshError: A mesh cannot be read.
        WorkspaceError: The file cannot be written.
    """
    refuse_overwriting(workspace, [target], force=force)
    document = _Document(workspace)
    try:
        with files.atomic_write(target) as aside, aside.open("wb") as file:
            document.write(file)
    except OSError as error:
        where = error.filename or target
        raise WorkspaceError(f"cannot write {target}: {where}: {error.strerror}") from None
    return Exported([target], document.left_out)


class _Document:
    """The parts of a document.

    Attributes:
        left_out: What it cannot hold, a line each; complete when it is written.
    """

    def __init__(self, workspace: Workspace) -> None:
        self.left_out: list[str] = []
        self._workspace = workspace
        self._stage = Stage(workspace)
        self._contents = self._stage.contents()

    def write(self, file: BinaryIO) -> None:
        images = list(self._images())
        meshes = [*self._meshes(), *self._annotations()]
        if not np.allclose(self._contents["straight"], self._contents["affine"]):
            self.left_out.append(
                "the main image's oblique place: in the document its axes run along the patient's, "
                "so that all viewers cut it along them; mm are not those of the workspace"
            )
        fields = {
            "title": self._workspace.name,
            "opts": options(self._contents),
            "sceneData": {"crosshairPos": self._stage.crosshair()},
            "labels": [],
            "imageOptionsArray": [look for look, _ in images],
        }
        nvd.write(file, fields, (volume for _, volume in images), meshes)

    def _images(self) -> Iterator[tuple[Json, Volume]]:
        for about in self._contents["layers"]:
            number, where = about["number"], f"layer {about['number']:03d}"
            try:
                look, volume = self._look(number, where)
                nvd.refuse_too_large(volume)
            except ImageUnsupported as error:
                if number == self._workspace.main.number:
                    raise
                self.left_out.append(f"{where}: {error}")
                continue
            except InvalidValue as error:
                raise InvalidValue(f"{where}: {error}") from None
            if about["tile"]:
                self.left_out.append(
                    f"{where}: ITK-SNAP shows it as a tile: it is in the document, and not shown"
                )
            if about["tags"]:
                self.left_out.append(f"{where}: its tags")
            common = {
                "name": f"{about['name']}.nii",
                "imageType": _NIFTI,
                "opacity": 0 if about["tile"] else about["opacity"],
                "colorbarVisible": False,
            }
            yield {**common, **look}, volume

    def _look(self, number: int, where: str) -> tuple[Json, Volume]:
        """Return how a layer is shown, and its image, in colours where NiiVue has none for it."""
        shown = self._stage.find(number)
        if isinstance(shown, Segmentation):
            display = self._stage.display(number, 1)
            if remark := display["remark"]:
                self.left_out.append(f"{where}: {remark}")
            return {"colormapLabel": label_table(display)}, self._stage.volume(number)
        if shown.mode is ComponentMode.GRID and shown.values > 1:
            self.left_out.append(f"{where}: its grid: the document shows the length of its vectors")
        curve = self._stage.curve(number)
        if curve is None:
            if not shown.header.dtype.names:
                self.left_out.append(f"{where}: its numbers: it is shown in colours")
            return {}, self._stage.volume(number)
        inputs, outputs = curve
        named = [theirs for ours, theirs in _MAPS.items() if shown.map is NAMED[ours]]
        ends = outputs[0], outputs[-1]
        is_plain = ends == (0, 1) and is_straight(list(zip(*curve, strict=True)))
        if not named or not is_plain:
            self.left_out.append(
                f"{where}: its numbers: NiiVue has no such colour map or contrast curve, and the "
                "document holds its colours"
            )
            return {}, self._stage.painted(number)
        look = {"colormap": named[0], "cal_min": inputs[0], "cal_max": inputs[-1]}
        return look, self._stage.volume(number)

    def _meshes(self) -> Iterator[tuple[Json, Shape]]:
        for about in self._contents["meshes"]:
            where = f"mesh:{about['number']}"
            if about["error"]:
                self.left_out.append(f"{where}: {about['error']}")
                continue
            look = {
                "name": about["name"],
                "rgba255": [*about["color"], 255],
                "opacity": about["opacity"],
            }
            for time_point, file in about["files"]:
                if time_point > 1:
                    self.left_out.append(
                        f"{where}: surface {file} of time point {time_point}: meshes of a document "
                        "have one time point"
                    )
                    continue
                try:
                    yield look, self._stage.mesh(about["number"], time_point, file)
                except (InvalidValue, MeshUnsupported) as error:
                    self.left_out.append(f"{where}: {error}")

    def _annotations(self) -> Iterator[tuple[Json, Shape]]:
        shown, every = len(self._contents["annotations"]), self._workspace.annotations
        if len(every) > shown:
            self.left_out.append(
                f"{len(every) - shown} annotations that are neither landmarks nor lines, or have "
                "no place"
            )
        if any(isinstance(one, Landmark) and one.text for one in every):
            self.left_out.append("the texts of landmarks")
        if shown:
            look = {"name": "Annotations", "rgba255": [255, 0, 0, 255], "opacity": 1}
            yield look, self._stage.annotations()

"""Whether a workspace can be worked with: its files there and whole, its segmentations in order."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, takewhile
from threading import BoundedSemaphore, Event, Lock
from typing import Literal

import numpy as np

from snapws import geometry, mesh_formats, paths, segmentations, transforms
from snapws.display import percentage_of_255
from snapws.errors import (
    ImageError,
    InvalidValue,
    LayerNotFound,
    MeshError,
    WorkspaceError,
)
from snapws.images import readings
from snapws.images.header import ImageHeader
from snapws.labels import MAX_INDEX
from snapws.layers import Layer, Role
from snapws.pictures import colormaps, rendering
from snapws.pictures.sampling import labels, scaled
from snapws.prefetch import map_ahead
from snapws.workspace import Workspace

Kind = Literal[
    "no-main",
    "file",
    "image",
    "format",
    "reading",
    "place",
    "geometry",
    "settings",
    "labels",
    "mesh",
    "privacy",
    "source",
]

_MOST_NAMED = 10
_AT_ONCE = 4  # images of a workspace that are read side by side

# Also where several workspaces are checked at a time: an image may be in memory as a whole.
_reading = BoundedSemaphore(max(2, os.cpu_count() or 1))


Severity = Literal["error", "remark"]


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, or that the user should know.

    Attributes:
        kind: ``no-main``, ``file`` (not there, or one too many), ``image`` (unreadable, not what
            its name says, or one whose header names voxels elsewhere), ``format`` (ITK-SNAP does
            not open it), ``reading`` (another program reads it otherwise), ``place`` (its header
            gives it none), ``geometry`` (not that of the main image), ``settings`` (an invalid
            transform or display setting), ``labels``, ``mesh`` (unreadable), ``privacy`` (an
            archive says more than it may) or ``source`` (it is not what it was made from).
        where: What it is about, ``layer 002`` for example.
        message: What is wrong, in a line.
        severity: ``error``: ITK-SNAP cannot open it, or will show something else than it says;
            ``remark``: the user should know.
    """

    kind: Kind
    where: str
    message: str
    severity: Severity = "error"

    @property
    def is_error(self) -> bool:
        """Whether ITK-SNAP cannot open it, or will show something else than it says."""
        return self.severity == "error"


def check_workspace(
    workspace: Workspace, layers: Collection[int] | None = None
) -> tuple[Problem, ...]:
    """Read all that a workspace names, and give what is wrong with it; nothing, if all is well.

    Every file has to be there; every image readable to its last voxel; a segmentation has to have
    size, number of time points and place of the main image, to hold labels (whole numbers from 0 to
    65535), and those that it uses have to be in the label table. Images are streamed: memory stays
    flat.

    Args:
        workspace: The workspace.
        layers: Numbers of the image layers to check, and nothing else; without them, all there is.
    """
    found = _problems(workspace, workspace.layers() if layers is None else _of(workspace, layers))
    if layers is None:
        found = chain(found, _mesh_problems(workspace))
    return tuple(found)


def _of(workspace: Workspace, numbers: Collection[int]) -> list[Layer]:
    return [layer for layer in workspace.layers() if layer.number in numbers]


def missing_file(workspace: Workspace, file: str, where: str) -> Problem | None:
    """Return the problem of a layer's file that is not on this machine; None if it is."""
    if not file:
        return Problem("file", where, "it names no file")
    if paths.is_url(file):
        return Problem("file", where, f"its file {file} is on a server")
    why = workspace.why_missing(file)
    return Problem("file", where, f"its file {file} {why}") if why else None


def _problems(workspace: Workspace, layers: list[Layer]) -> Iterator[Problem]:
    described: Collection[int] | None = None
    try:
        described = {label.index for label in workspace.labels}
    except LayerNotFound as error:
        yield Problem("no-main", "workspace", str(error))
    except WorkspaceError as error:
        yield Problem("labels", "label table", str(error))
    layers = sorted(layers, key=lambda layer: layer.role is not Role.MAIN)
    with closing(_Images(layers)) as images:
        yield from _layer_problems(workspace, layers, images, described)


def _layer_problems(
    workspace: Workspace,
    layers: Iterable[Layer],
    images: _Images,
    described: Collection[int] | None,
) -> Iterator[Problem]:
    main = _main_header(workspace, images)
    of_segmentations = [*_segmentation_opacity(workspace)]
    for layer in layers:
        where = f"layer {layer.number:03d}"
        yield from _settings(layer, where)
        if layer.role is Role.SEGMENTATION:
            yield from (replace(problem, where=where) for problem in of_segmentations)
        missing = missing_file(workspace, layer.file, where)
        if missing:
            yield missing
            continue
        try:
            header = images.header(layer)
            yield from _readings(layer, header, where)
            has_place = not (why := _refusal(partial(geometry.to_voxels, header)))
            if not has_place:
                yield Problem("place", where, why)
            if layer.role is Role.SEGMENTATION and main and has_place:
                yield from _misplaced(header, main, where)
            values = images.label_values(layer)
        except ImageError as error:
            yield Problem("image", where, str(error))
            continue
        if layer.role is Role.SEGMENTATION:
            yield from _bad_labels(values, described, where)


class _Images:
    """The images of layers, each read once, however many layers name it, and several at a time.

    Args:
        layers: The layers, in the order in which their images are asked for.
    """

    def __init__(self, layers: Sequence[Layer]) -> None:
        segmentations = (layer for layer in layers if layer.role is Role.SEGMENTATION)
        self._segmentations = {*chain.from_iterable(map(_images_of, segmentations))}
        self._headers: dict[object, ImageHeader] = {}
        self._one_header = Lock()
        self._values: dict[object, set[float] | WorkspaceError] = {}
        first: dict[object, Layer] = {}
        for layer in layers:
            for image in _images_of(layer):
                first.setdefault(image, layer)
        self._stopped = Event()
        threads = min(_AT_ONCE, os.cpu_count() or 1)
        self._coming = map_ahead(self._read, first.items(), threads, stopped=self._stopped)

    def close(self) -> None:
        """Read no more. Not left to garbage collection, which may not wait for threads."""
        self._coming.close()

    def header(self, layer: Layer) -> ImageHeader:
        """Return the header of a layer's image.

        Raises:
            ImageError: The header cannot be read.
        """
        image = _image_of(layer)
        with self._one_header:
            if image not in self._headers:
                self._headers[image] = layer.header()
            return self._headers[image]

    def label_values(self, layer: Layer) -> set[float]:
        """Read the voxels of a layer's image to their end, and return their values.

        There are values only if a segmentation has this image.

        Raises:
            ImageError: The image cannot be read.
        """
        image = _image_of(layer)
        while image not in self._values and (read := next(self._coming, None)):
            self._values.update([read])
        # An image that was not there at the beginning is not among those that come.
        found = self._values[image] if image in self._values else self._read((image, layer))[1]
        if isinstance(found, WorkspaceError):
            raise found
        return found

    def _read(self, item: tuple[object, Layer]) -> tuple[object, set[float] | WorkspaceError]:
        image, layer = item
        try:
            header = self.header(layer)
            with _reading:
                pieces = takewhile(lambda _: not self._stopped.is_set(), header.voxels())
                if image in self._segmentations or layer.role is Role.SEGMENTATION:
                    return image, _label_values(header, pieces)
                for _ in pieces:
                    pass
        except WorkspaceError as error:
            return image, error
        return image, set()


def _image_of(layer: Layer) -> tuple[object, ...]:
    """Return what names an image: its file, and the hints how to read it.

    Raises:
        ImageUnsupported: The hints are invalid.
        LayerFileMissing: The layer names no file of this machine.
    """
    return layer.path, layer.hints


def _images_of(layer: Layer) -> tuple[object, ...]:
    """Return the image of a layer, alone in a tuple; empty if the layer names none."""
    try:
        return (_image_of(layer),)
    except WorkspaceError:  # which is reported with the layer
        return ()


def _main_header(workspace: Workspace, images: _Images) -> ImageHeader | None:
    """Return the header of the main image, which segmentations are held against, if it is valid."""
    try:
        workspace.main.existing()
        header = images.header(workspace.main)
        geometry.to_voxels(header)
    except WorkspaceError:
        return None
    return header


def _mesh_problems(workspace: Workspace) -> Iterator[Problem]:
    unopened = []
    for mesh in workspace.meshes():
        where = f"mesh:{mesh.number}"
        for surface in mesh.polydata():
            missing = missing_file(workspace, surface.file, where)
            if missing:
                yield missing
                continue
            path = workspace.folder / surface.file
            try:
                data = mesh_formats.content(path).data
            except MeshError as error:
                yield Problem("mesh", where, str(error))
                continue
            if why := mesh_formats.kinds.unopened(data, path.suffix):
                unopened.append(Problem("mesh", where, f"{path}: {why}"))
    yield from unopened


def _readings(layer: Layer, header: ImageHeader, where: str) -> Iterator[Problem]:
    if why := readings.refusal(layer.path, header):
        yield Problem("format", where, why)
        return
    for difference in readings.differences(layer.path, header):
        yield Problem("reading", where, difference, "remark")


def _settings(layer: Layer, where: str) -> Iterator[Problem]:
    """Find settings that are invalid, or that ITK-SNAP takes otherwise than they are meant."""
    display = layer.display
    yield from _bad_transform(layer, where)
    reads: list[Callable[[], object]] = []
    remarks: list[Callable[[], str]] = []
    if layer.role is not Role.SEGMENTATION:  # whose colours are those of the label table
        reads += [
            lambda: display.mode,
            lambda: colormaps.color_map(display),
            lambda: rendering.contrast(display),
        ]
        remarks.append(lambda: colormaps.unknown_name(display))
        if layer.role is not Role.MAIN:  # which is opaque
            reads.append(lambda: display.opacity)
            remarks.append(lambda: _beyond_one("its opacity", display.stored_opacity))
    for read in reads:
        if why := _refusal(read):
            yield Problem("settings", where, why)
    for remark in remarks:
        with suppress(InvalidValue):  # which has been said
            if words := remark():
                yield Problem("settings", where, words, "remark")


def _segmentation_opacity(workspace: Workspace) -> Iterator[Problem]:
    """Find what is wrong with the one opacity of all segmentations."""
    try:
        stored = rendering.stored_segmentation_opacity(workspace)
    except InvalidValue as error:
        yield Problem("settings", "", str(error))
        return
    if words := _beyond_one("the opacity of the segmentations", stored):
        yield Problem("settings", "", words, "remark")


def _beyond_one(what: str, stored: float) -> str:
    """Return the line that ITK-SNAP shows an opacity of the scale to 255 as opaque; else none."""
    if not stored > 1:
        return ""
    meant = percentage_of_255(stored)
    return (
        f"{what} is {stored:g}, but goes from 0 to 1: ITK-SNAP shows it opaque; set {meant} for "
        f"{stored:g} of 255"
    )


def _bad_transform(layer: Layer, where: str) -> Iterator[Problem]:
    folder = layer.registry.folder("ImageTransform")
    try:
        matrix = transforms.read(folder)
        unused = transforms.unused(folder)
    except InvalidValue as error:
        yield Problem("settings", where, str(error))
        return
    if unused:
        yield Problem(
            "settings",
            where,
            "its transform has a matrix that is not used: without IsIdentity, ITK-SNAP takes it "
            "for the identity. Set ImageTransform.IsIdentity to 0 to use it",
            severity="remark",
        )
    if not transforms.has_inverse(matrix):
        yield Problem(
            "settings",
            where,
            "its transform has no inverse, so that the image has no place: set another one",
        )


def _refusal(read: Callable[[], object]) -> str:
    try:
        read()
    except (InvalidValue, ImageError) as error:
        return str(error)
    return ""


def _misplaced(header: ImageHeader, main: ImageHeader, where: str) -> Iterator[Problem]:
    if header.components > 1 or header.dtype.kind not in "iuf":
        yield Problem("geometry", where, "a segmentation has one real number a voxel, this has not")
    if why := segmentations.misfit(header, main):
        yield Problem("geometry", where, f"{why}: ITK-SNAP does not open it")
    elif why := segmentations.displacement(header, main):
        message = f"{why}. ITK-SNAP shows it voxel on voxel over the main image"
        yield Problem("geometry", where, message)


def _label_values(header: ImageHeader, pieces: Iterable[bytes]) -> set[float]:
    """Return the values of a segmentation's voxels, all or more than there are labels."""
    values: set[float] = set()
    dtype = header.dtype.newbyteorder("<")
    for piece in pieces:
        if dtype.kind in "iuf" and len(values) <= MAX_INDEX + 1:
            values.update(np.unique(np.frombuffer(piece, dtype)).tolist())
    return set(labels(scaled(np.array([*values]), header)).tolist())


def _bad_labels(
    values: Iterable[float], described: Collection[int] | None, where: str
) -> Iterator[Problem]:
    labels = [value for value in values if 0 <= value <= MAX_INDEX and value == int(value)]
    others = sorted(set(values) - set(labels))
    if others:
        message = (
            f"its voxels hold {_some(others)}, labels are whole numbers from 0 to {MAX_INDEX}: "
            "ITK-SNAP casts them to such"
        )
        yield Problem("labels", where, message)
    if not any(value >= 1 for value in values):
        yield Problem("labels", where, "it is empty: no voxel has a label", "remark")
    if described is not None:
        unknown = sorted(label for label in {*labels} if label and label not in described)
        if unknown:
            message = f"its labels {_some(unknown)} are not in the label table"
            yield Problem("labels", where, message)


def _some(values: Sequence[float]) -> str:
    words = [
        str(int(value)) if math.isfinite(value) and value == int(value) else f"{value:g}"
        for value in values[:_MOST_NAMED]
    ]
    if len(values) > _MOST_NAMED:
        words.append(f"and {len(values) - _MOST_NAMED} more")
    return ", ".join(words)

"""Whether a workspace can be worked with: its files there and whole, its segmentations in order."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from snapws import colormaps, geometry, images, mesh_formats, paths, readings, rendering
from snapws.errors import (
    ImageError,
    InvalidValue,
    LayerNotFound,
    MeshError,
    WorkspaceError,
)
from snapws.images import ImageHeader
from snapws.labels import MAX_INDEX
from snapws.layers import Layer, Role
from snapws.sampling import labels, scaled
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

#: How far a segmentation's corners may lie off the main image's, in widths of its voxels. Headers
#: that other programs wrote with four decimals stay below.
TOLERANCE = 0.05

_MOST_NAMED = 10


Severity = Literal["error", "remark"]


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, or that the user should know.

    Attributes:
        kind: ``no-main``, ``file`` (not there, or one too many), ``image`` (unreadable, not what
            its name says, or one whose header names voxels elsewhere), ``format`` (ITK-SNAP does
            not open it), ``reading`` (another program reads it otherwise), ``place`` (its header
            gives it none), ``geometry`` (not that of the main image), ``settings`` (a transform or
            a display setting that is none), ``labels``, ``mesh`` (unreadable), ``privacy`` (an
            archive says more than it may) or ``source`` (it is not what it was made from).
        where: what it is about, ``layer 002`` for example.
        message: what is wrong, in a line.
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


def check(workspace: Workspace) -> tuple[Problem, ...]:
    """Read all that a workspace names, and give what is wrong with it; nothing, if all is well.

    Every file has to be there; every image readable to its last voxel; a segmentation has to have
    size and place of the main image, to hold labels (whole numbers from 0 to 65535), and those that
    it uses have to be in the label table. Images are streamed: memory stays flat.
    """
    return tuple(_problems(workspace))


def missing_file(workspace: Workspace, file: str, where: str) -> Problem | None:
    """Give the problem of a layer's file, as text, that is not on this machine; None if it is."""
    if not file:
        return Problem("file", where, "it names no file")
    if paths.is_url(file):
        return Problem("file", where, f"its file {file} is on a server")
    why = paths.unusable(workspace.folder / file)
    return Problem("file", where, f"its file {file} {why}") if why else None


def _problems(workspace: Workspace) -> Iterator[Problem]:
    described: Collection[int] | None = None
    bad_opacity = _refusal(partial(rendering.segmentation_opacity, workspace))
    try:
        described = {label.index for label in workspace.labels}
    except LayerNotFound as error:
        yield Problem("no-main", "workspace", str(error))
    except WorkspaceError as error:
        yield Problem("labels", "label table", str(error))
    main: ImageHeader | None = None
    # The main image first: the segmentations are held against it.
    for layer in sorted(workspace.layers(), key=lambda layer: layer.role is not Role.MAIN):
        where = f"layer {layer.number:03d}"
        yield from _bad_settings(layer, where, bad_opacity)
        missing = missing_file(workspace, layer.file, where)
        if missing:
            yield missing
            continue
        try:
            header = images.read_header(layer.path)
            yield from _readings(layer, header, where)
            has_place = not (why := _refusal(partial(geometry.to_voxels, header)))
            if not has_place:
                yield Problem("place", where, why)
            if layer.role is not Role.SEGMENTATION:
                main = header if layer.role is Role.MAIN and has_place else main
                for _ in header.voxels():
                    pass
                continue
            if main and has_place:
                yield from _misplaced(header, main, where)
            values = _values(header)
        except ImageError as error:
            yield Problem("image", where, str(error))
            continue
        yield from _bad_labels(values, described, where)
    for mesh in workspace.meshes():
        where = f"mesh:{mesh.number}"
        for surface in mesh.polydata():
            missing = missing_file(workspace, surface.file, where)
            if missing:
                yield missing
                continue
            try:
                mesh_formats.content(workspace.folder / surface.file)
            except MeshError as error:
                yield Problem("mesh", where, str(error))


def _readings(layer: Layer, header: ImageHeader, where: str) -> Iterator[Problem]:
    if why := readings.refusal(layer.path, header):
        yield Problem("format", where, why)
        return
    for difference in readings.differences(layer.path, header):
        yield Problem("reading", where, difference, "remark")


def _bad_settings(layer: Layer, where: str, bad_opacity: str) -> Iterator[Problem]:
    display = layer.display
    reads: list[Callable[[], object]] = [lambda: layer.transform]
    if layer.role is not Role.SEGMENTATION:  # whose colours are those of the label table
        reads += [
            lambda: display.mode,
            lambda: colormaps.color_map(display),
            lambda: rendering.contrast(display),
        ]
    if layer.role is Role.OVERLAY:
        reads.append(lambda: rendering.opacity(display))
    for read in reads:
        if why := _refusal(read):
            yield Problem("settings", where, why)
    if bad_opacity and layer.role is Role.SEGMENTATION:
        yield Problem("settings", where, bad_opacity)


def _refusal(read: Callable[[], object]) -> str:
    try:
        read()
    except (InvalidValue, ImageError) as error:
        return str(error)
    return ""


def _misplaced(header: ImageHeader, main: ImageHeader, where: str) -> Iterator[Problem]:
    if header.components > 1 or header.dtype.kind not in "iuf":
        yield Problem("geometry", where, "a segmentation has one real number a voxel, this has not")
    if header.extent != main.extent:
        message = f"its size is {_size(header)}, that of the main image {_size(main)}"
        yield Problem("geometry", where, message)
        return
    expected = geometry.affine(main)
    distance = geometry.distance(main, geometry.affine(header), expected)
    if not distance <= TOLERANCE * min(geometry.spacing(expected)):
        message = f"it lies up to {distance:.3g} mm off the main image"
        yield Problem("geometry", where, message)


def _values(header: ImageHeader) -> set[float]:
    """Give the values of an image's voxels, all or more than there are labels."""
    values: set[float] = set()
    dtype = header.dtype.newbyteorder("<")
    for piece in header.voxels():
        if dtype.kind in "iuf" and len(values) <= MAX_INDEX + 1:
            values.update(np.unique(np.frombuffer(piece, dtype)).tolist())
    return set(labels(scaled(np.array([*values]), header)).tolist())


def _bad_labels(
    values: Iterable[float], described: Collection[int] | None, where: str
) -> Iterator[Problem]:
    labels = [value for value in values if 0 <= value <= MAX_INDEX and value == int(value)]
    others = sorted(set(values) - set(labels))
    if others:
        message = f"its voxels hold {_some(others)}, labels are whole numbers from 0 to {MAX_INDEX}"
        yield Problem("labels", where, message)
    if described is not None:
        unknown = sorted(label for label in {*labels} if label and label not in described)
        if unknown:
            message = f"its labels {_some(unknown)} are not in the label table"
            yield Problem("labels", where, message)


def _some(values: list[float]) -> str:
    words = [f"{value:g}" for value in values[:_MOST_NAMED]]
    if len(values) > _MOST_NAMED:
        words.append(f"and {len(values) - _MOST_NAMED} more")
    return ", ".join(words)


def _size(header: ImageHeader) -> str:
    return " x ".join(str(length) for length in header.extent)

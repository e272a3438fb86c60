"""The sections of a report about a workspace."""

from __future__ import annotations

import math
import platform
import re
from collections.abc import Callable, Collection, Iterator, Sequence, Sized
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from snapws import geometry, mesh_formats
from snapws.check import Problem
from snapws.errors import InvalidValue, MeshError, MeshUnsupported, WorkspaceError
from snapws.images.header import ImageHeader
from snapws.labels import Label
from snapws.layers import Layer, Role
from snapws.meshes import MeshLayer
from snapws.privacy import NEUTRAL_ROOT, KeptText, dropped_keys, kept_texts, scrubbed
from snapws.report.annotations import annotation_table
from snapws.report.document import (
    MOST_ROWS,
    Cell,
    Content,
    Element,
    Number,
    element,
    facts,
    instant,
    paragraph,
    section,
    swatch,
    table,
    typed,
)
from snapws.summary import image_summary
from snapws.volumes import LabelVolumes, label_volumes
from snapws.workspace import FORMAT_VERSION, Workspace

_PROGRAMS = ("snapws", "numpy", "nibabel", "lxml", "Pillow", "SimpleITK")

#: The most segmentations with volumes of labels on a page.
MOST_TABLES = 100

_YES = {True: "yes", False: "no"}

_KINDS = {
    "no-main": "main image",
    "file": "missing file",
    "image": "image",
    "format": "format",
    "reading": "other readings",
    "place": "place",
    "geometry": "geometry",
    "settings": "settings",
    "labels": "labels",
    "mesh": "mesh",
}


def notice(texts: str) -> Element:
    """Return the line that warns of the paths and other texts on a page."""
    return element(
        "p",
        f"This page shows file names and paths of this machine and {texts}: do not pass it on as "
        "anonymous.",
        class_="note",
        role="note",
    )


def summary(workspace: Workspace, found: Sequence[Problem], title: str) -> Element:
    """Return the summary of a workspace: a few numbers."""
    pairs: list[tuple[str, Cell]] = [
        ("Image layers", len(workspace.layers())),
        ("Segmentations", len(workspace.layers(role=Role.SEGMENTATION))),
        ("Labels", _count(lambda: workspace.labels)),
        ("Mesh layers", len(workspace.meshes())),
        ("Annotations", _count(lambda: workspace.annotations)),
        ("Time points described", _count(lambda: workspace.time_points)),
        ("Errors", sum(one.is_error for one in found)),
        ("Remarks", sum(not one.is_error for one in found)),
        ("Saved in", typed(workspace.registry.get("SaveLocation") or "no known folder")),
    ]
    return section(title, facts(pairs))


def problems(found: Sequence[Problem]) -> Element:
    """Return the section with missing files and other problems."""
    title = "Missing files and other problems"
    if not found:
        well = "Every file is there and can be read to its end; segmentations fit the main image."
        return section(title, paragraph(well, class_="good"))
    rows = [(typed(one.where), _what(one), _text(one.message)) for one in found[:MOST_ROWS]]
    columns = ("Where", "What", "Problem")
    return section(title, table(f"{len(found)} found", columns, rows, len(found)))


def _what(problem: Problem) -> str:
    kind = _KINDS.get(problem.kind, problem.kind)
    return kind if problem.is_error else f"{kind} (remark)"


def layers(workspace: Workspace) -> Element:
    """Return the section with image and mesh layers, and annotations."""
    columns = (
        *("Layer", "Role", "Nickname", "Tags", "File", "Size", "Spacing, mm"),
        *("Type", "Axes", "Transform"),
    )
    found = workspace.layers()
    rows = [_layer(layer) for layer in found[:MOST_ROWS]]
    content = [
        table("Image layers", columns, rows, len(found)),
        paragraph(
            "Axes: where the voxel axes run to; RAS is right, anterior, superior. Transform: the "
            "4 by 4 matrix from the main image's RAS mm to the layer's, without its last row.",
            class_="quiet",
        ),
    ]
    surfaces = [(mesh, one) for mesh in workspace.meshes() for one in mesh.polydata()]
    meshes = [
        (
            f"mesh:{mesh.number}",
            _text(mesh.nickname),
            _tags(mesh),
            typed(mesh.type),
            str(one.time_point),
            _text(_from_here(workspace, one.file)),
            typed(one.format),
        )
        for mesh, one in surfaces[:MOST_ROWS]
    ]
    if meshes:
        names = ("Mesh", "Nickname", "Tags", "Kind", "Time point", "File", "Format")
        content.append(table("Meshes", names, meshes, len(surfaces)))
    return section("Layers", *content, *annotation_table(workspace))


def labels(workspace: Workspace, unreadable: Collection[int]) -> Element:
    """Return the section with the labels and their volumes in each segmentation.

    Voxels of segmentations have the size of the main image's voxels.

    Args:
        workspace: The workspace.
        unreadable: Numbers of layers whose images cannot be read.
    """
    try:
        known = {label.index: label for label in workspace.labels}
    except WorkspaceError as error:
        known, remark = {}, [paragraph(f"There is no label table: {error}", class_="bad")]
    else:
        remark = []
    content: list[Content] = []
    main = _main_header(workspace, unreadable)
    readable = [
        layer
        for layer in workspace.layers(role=Role.SEGMENTATION)
        if layer.number not in unreadable
    ]
    for layer in readable[:MOST_TABLES]:
        name = f"Segmentation, layer {layer.number:03d}"
        try:
            header = layer.header()
            content.append(_volumes(name, known, label_volumes(header, main)))
        except WorkspaceError as error:
            content.append(paragraph(f"{name}: {error}"))
    if left_out := readable[MOST_TABLES:]:
        content.append(
            paragraph(f"{len(left_out):,} more segmentations are not listed.", class_="bad")
        )
    if not content:
        rows = [
            (Number(index), *_label(label)) for index, label in islice(known.items(), MOST_ROWS)
        ]
        columns = ("Label", "Name", "Shown in slices", "Shown in 3-D")
        content = [
            paragraph("No segmentation can be read: there are no volumes."),
            table("Labels", columns, rows, len(known)),
        ]
    return section("Labels and volumes", *remark, *content)


def _main_header(workspace: Workspace, unreadable: Collection[int]) -> ImageHeader | None:
    """Return the header of the main image, if it can be read and its affine is valid."""
    try:
        main = workspace.main
        header = None if main.number in unreadable else main.header()
        if header:
            geometry.to_voxels(header)
    except WorkspaceError:
        return None
    return header


def archive(workspace: Workspace, found: Sequence[Problem]) -> Element:
    """Return the section about the kept and removed entries of an archive; see `snapws.archive`.

    Args:
        workspace: The workspace.
        found: The problems of its files.
    """
    title = "What an archive would keep and remove"
    try:
        draft, strict = (scrubbed(workspace, "standard"), scrubbed(workspace, "strict"))
    except WorkspaceError as error:
        return section(title, paragraph(f"No archive can be made: {error}", class_="bad"))
    kinds = ("no-main", "file", "image", "mesh")
    hindered = {one.where: one.message for one in found if one.is_error and one.kind in kinds}
    written = [*_archived(workspace, hindered)]
    for one in written:
        draft.registry[one.key] = NEUTRAL_ROOT
    refused = {one.where: one.refused for one in written if one.refused}
    # A mesh that ITK-SNAP cannot open can still be archived.
    meshes = {one.where for one in found if one.kind == "mesh"} - refused.keys()
    hindered = {where: why for where, why in hindered.items() if where not in meshes} | refused
    texts = sorted(kept_texts(draft.registry), key=_in_order)
    kept = [
        (one.kind, _text(one.text), _code(one.key), _stays(strict.registry.get(one.key), one.text))
        for one in texts[:MOST_ROWS]
    ]
    removed = sorted(dropped_keys(workspace.registry, draft.registry).items())
    content = [
        table(
            "Files of the archive",
            ("Of", "File", "Becomes"),
            [
                (
                    _code(one.key.rpartition(".")[0]),
                    _text(_from_here(workspace, one.file)),
                    _text(f"refused: {one.refused}") if one.refused else _code(one.becomes),
                )
                for one in written[:MOST_ROWS]
            ],
            len(written),
        ),
        table(
            "Texts that it keeps",
            ("Kind", "Text", "Registry key", "With --strict"),
            kept,
            len(texts),
        )
        if kept
        else paragraph("It keeps no text that somebody typed."),
        table(
            "Registry entries that it leaves out, by key",
            ("Registry key", "Entries"),
            [(_code(key), count) for key, count in removed[:MOST_ROWS]],
            len(removed),
        )
        if removed
        else paragraph("It leaves out no entry of the registry."),
        paragraph(
            "Also left out: where files are and were, comments of the workspace, and of headers "
            "all but size, voxel type, scaling and geometry. Voxels are never changed: a scan of a "
            "head can still show a face."
        ),
    ]
    if hindered:
        places = ", ".join(hindered)
        remark = f"No archive can be made before this is mended: {places}."
        content.insert(0, paragraph(remark, class_="bad"))
    return section(title, *content)


def versions(workspace: Workspace | None = None) -> Element:
    """Return the section with the versions of software and format, and the time."""
    pairs: list[tuple[str, Cell]] = [("Page made", instant(datetime.now(timezone.utc)))]
    if workspace is not None:
        known = workspace.registry.get("Version") or "none given"
        pairs.append(("Format of the workspace", typed(known)))
        pairs.append(("Format written here", FORMAT_VERSION))
    pairs += [("Python", platform.python_version()), ("System", platform.platform())]
    pairs += [(name, _version(name)) for name in _PROGRAMS]
    return section("Versions", facts(pairs))


def _version(program: str) -> str:
    try:
        return version(program)
    except PackageNotFoundError:
        return "not installed"


def _count(read: Callable[[], Sized]) -> Cell:
    try:
        return len(read())
    except WorkspaceError as error:
        return _text(str(error))


def _layer(layer: Layer) -> list[Cell]:
    image = image_summary(layer)
    role = layer.registry.get("Role").removesuffix("Role").lower()
    file = _text(_from_here(layer.workspace, layer.file), "file")
    if image.problem:
        file.append(element("span", " (see the problems)", class_="bad"))
    spacing = " × ".join(f"{length:g}" for length in image.spacing or ())
    size = " × ".join(map(str, image.size or ()))
    kind = image.voxel_type or ""
    if image.components not in (1, None):
        kind += f", {image.components} components"
    return [
        f"{layer.number:03d}",
        typed(role),
        _text(layer.nickname),
        _tags(layer),
        file,
        element("span", size, class_="nowrap"),
        element("span", spacing, class_="nowrap"),
        kind,
        image.orientation or "",
        _transform(layer),
    ]


def _transform(layer: Layer) -> Cell:
    try:
        matrix = layer.transform
    except InvalidValue as error:
        return _text(str(error))
    if (matrix == np.eye(4)).all():
        return "identity"
    numbers = [[f"{number:.4f}" for number in row] for row in matrix[:3]]
    width = max(len(number) for row in numbers for number in row)
    rows = (" ".join(number.rjust(width) for number in row) for row in numbers)
    return element("pre", "\n".join(rows), class_="matrix")


def _tags(layer: Layer | MeshLayer) -> Element:
    return _text(", ".join(layer.tags))


def _volumes(name: str, known: dict[int, Label], volumes: LabelVolumes) -> Element:
    several = len(volumes.voxels) > 1
    # Enough decimals for two digits of one voxel's volume, and at least one.
    decimals = max(1, 1 - math.floor(math.log10(volumes.voxel_volume or 1)))
    found: list[tuple[int, int, int]] = []
    for time_point, counts in enumerate(volumes.voxels, 1):
        # With several time points, list only labels with voxels: all would fill pages.
        listed = {*counts} if several else {*known, *counts}
        found += [(time_point, index, counts.get(index, 0)) for index in sorted(listed - {0})]
    columns = (
        "Label",
        *(["Time point"] if several else []),
        *("Name", "Shown in slices", "Shown in 3-D", "Voxels", "Volume, mm³"),
    )
    caption = f"{name} (a voxel has {volumes.voxel_volume:g} mm³)"
    if len(found) > MOST_ROWS:
        present = [one for one in found if one[-1]]
        caption += f", without {len(found) - len(present):,} labels that no voxel has"
        found = present
    rows = [
        (
            Number(index),
            *([Number(time_point)] if several else []),
            *_label(known.get(index)),
            count,
            Number(f"{count * volumes.voxel_volume:,.{decimals}f}"),
        )
        for time_point, index, count in found[:MOST_ROWS]
    ]
    return table(caption, columns, rows, len(found))


def _label(label: Label | None) -> tuple[Cell, Cell, Cell]:
    if label is None:
        return element("span", "not in the label table", class_="bad"), "", ""
    name = element("span", swatch(label.color), typed(label.name))
    return name, _YES[label.visible], _YES[label.mesh_visible]


class _Archived(NamedTuple):
    """A file that an archive would store.

    Attributes:
        where: The layer of the file, as named by `check`.
        key: The registry key of its path.
        file: Its present path.
        becomes: Its name in the archive.
        refused: Why an archive refuses the file; empty if it is archived.
    """

    where: str
    key: str
    file: str
    becomes: str
    refused: str = ""


def _archived(workspace: Workspace, hindered: dict[str, str]) -> Iterator[_Archived]:
    for one in workspace.files():
        if one.image:
            name = f"layer_{one.number}_<hash of the voxels>.nii.gz"
            yield _Archived(one.where, one.key, one.file, name, hindered.get(one.where, ""))
            continue
        try:
            found = mesh_formats.content(one.path)
            refused = "it cannot be scrubbed (--unscrubbed-meshes takes it as it is)"
            why = refused if found.refusal else ""
        except MeshUnsupported:
            why = "it cannot be scrubbed, and is not a mesh that an archive takes as it is"
        except MeshError:
            why = "it cannot be read"
        yield _Archived(one.where, one.key, one.file, f"mesh_{one.number}_<hash>", why)


def _in_order(one: KeptText) -> tuple[str, list[tuple[int, str]]]:
    """Return a sort key: first the kind, then the key, with numbers in numeric order."""
    parts = re.findall("[0-9]+|[^0-9]+", one.key)
    return one.kind, [(int(part), "") if part.isdecimal() else (0, part) for part in parts]


def _from_here(workspace: Workspace, file: str) -> str:
    """Return a path relative to the folder of a workspace, which the page's header names."""
    path = Path(file)
    below = path.is_relative_to(workspace.folder)
    return path.relative_to(workspace.folder).as_posix() if below else file


def _stays(strict: str, text: str) -> Cell:
    if strict == text:
        return "stays"
    return f"becomes {strict!r}" if strict else "goes"


def _text(text: str, class_: str = "text") -> Element:
    return element("span", typed(text), class_=class_)


def _code(text: str) -> Element:
    return element("code", typed(text))

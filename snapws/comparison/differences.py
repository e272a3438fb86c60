"""Differences between two workspaces.

Layers of the two workspaces are matched by their voxels, then by tags, nickname and file name. The
main image, and layers without tags and nickname, are at last matched by role. If several layers
match, the one that agrees in most of these keys is chosen, and the first keys count most. If they
still tie, the order of layers decides. Layers without a match were added or removed. Meshes and
annotations are matched in the same manner, labels and time points by number.

Folders and names of files are no difference: a workspace that was moved or archived is the same
workspace.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import compress, product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snapws import geometry
from snapws.check import check_workspace
from snapws.comparison.facts import AffineMap, ComparedItem, Unread, compared_items
from snapws.layers import Role
from snapws.segmentations import misfits
from snapws.tables import Record, Table
from snapws.workspace import Workspace

if TYPE_CHECKING:
    from PIL.Image import Image

#: The items of a workspace, by kind.
Items = dict[str, list[ComparedItem]]

#: The default distance, in mm, below which two places are the same: far less than a voxel, and more
#: than rounding errors in files.
TOLERANCE = 0.001

# Differences that are reported only together with another one.
_TOLD_WITH = {"file": "voxels", "spacing": "affine"}

# Kinds with a reported order: layers are drawn over each other in this order.
_ORDERED = ("layer", "mesh")

# Kinds of problems that prevent drawing a layer.
_UNDRAWABLE = ("file", "image", "place", "settings")

_NO_MARK = (None, "", ())


@dataclass(frozen=True)
class Difference:
    """One difference between two workspaces, A and B.

    Attributes:
        place: The item that differs: ``workspace``, ``layer 001``, ``mesh:0``, ``label 5``,
            ``time point 2``, ``annotation 0``; ``layer 001 / 002`` if its number differs in B.
        what: The property that differs: ``tags``, ``voxels``, ``transform`` …; or ``layer``,
            ``mesh``, ``label``, ``time_point`` or ``annotation`` if one workspace lacks the item.
        a: The value in A, a text, a number, or tuples of them; None if A lacks the item.
        b: The value in B.
        distance_mm: The greatest distance between a corner of the image by two transforms or
            affines, in mm.
    """

    place: str
    what: str
    a: Any
    b: Any
    distance_mm: float | None = None


class Differences(Table, tuple[Difference, ...]):
    """The differences between two workspaces, which a notebook shows as a table."""

    __slots__ = ()

    def table(self) -> tuple[list[Record], list[str]]:
        """Return the records of a table for people, and the fields that are its columns."""
        columns = ["place", "what", "a", "b", "distance_mm"]
        if all(one.distance_mm is None for one in self):
            columns.pop()
        return [
            {
                **vars(one),
                "what": one.what.replace("_", " "),
                "a": _by_row(one.a),
                "b": _by_row(one.b),
            }
            for one in self
        ], columns

    def _table(self) -> tuple[list[Record], list[str]]:
        return self.table()


def compare_workspaces(a: Workspace, b: Workspace, *, tolerance: float = TOLERANCE) -> Differences:
    """Return the differences between two workspaces.

    Compared are layers and meshes with their order, roles, tags, nicknames and display settings (as
    drawn); voxels by hash (`snapws.images.voxel_hash.VoxelHash`, images are streamed), size and
    affine of images; points and values of meshes; transforms, labels, the opacity of segmentations,
    time points and annotations; no other content of the files. Transforms are compared by the
    distance of the main images' corners that they map, affines by that of the image's corners.

    A missing or corrupt file is always a difference, even if the other one is missing, too. A file
    on a server is not downloaded; its URL is compared. The name of a file is reported if voxels
    differ, and is no difference by itself.

    Args:
        a: One workspace.
        b: The other workspace.
        tolerance: The distance, in mm, up to which places are the same.

    Raises:
        InvalidValue: The number of a time point, or of annotations, is invalid.
    """
    hashes: dict[Path, str] = {}
    return compare_items(compared_items(a, hashes), compared_items(b, hashes), tolerance)


def compare_items(ours: Items, theirs: Items, tolerance: float = TOLERANCE) -> Differences:
    """Return the differences between the items of two workspaces, read at different times.

    Args:
        ours: The items of A, as `snapws.comparison.facts.compared_items` returns them.
        theirs: The items of B.
        tolerance: As for `compare_workspaces`.
    """
    return Differences(
        difference
        for kind, of_kind in ours.items()
        for difference in _differences(kind, of_kind, theirs[kind], tolerance)
    )


def draw_comparison(a: Workspace, b: Workspace, *, size: int = 240) -> Image:
    """Draw two workspaces side by side, each below its caption.

    If their main images have the same voxel grid, both show the slices of A. Overlays and
    segmentations that cannot be read are left out, and listed in the caption.

    Args:
        a: One workspace.
        b: The other.
        size: Pixels of the longest side of a view; see `snapws.pictures`.

    Raises:
        PictureError: Pillow is not installed.
        LayerNotFound: A workspace has no main image.
        LayerFileMissing: A file is not on this machine.
        InvalidValue: A display setting is invalid.
        ImageError: An image cannot be read.
    """
    from snapws.pictures.scene import Scene, beside, pillow

    pillow()  # fail before images are read
    shown, left_out = zip(*(_drawable(one) for one in (a, b)), strict=True)
    scene, slices = Scene(a, shown[0]), None
    ours, theirs = scene.grid, Scene(b, shown[1]).grid
    corners = geometry.corners(ours.shape)
    distance = AffineMap(ours.affine, corners).distance(AffineMap(theirs.affine, corners))
    if ours.shape == theirs.shape and distance <= TOLERANCE:
        slices = scene.cursor()
    captions = [
        # "Workspace A", not "A": a letter A in a picture means anterior.
        f"Workspace {name}" + (f", without layer {', '.join(missing)}" if missing else "")
        for name, missing in zip("AB", left_out, strict=True)
    ]
    drawn = [
        one.picture(layers=layers, slices=slices, size=size)
        for one, layers in zip((a, b), shown, strict=True)
    ]
    return beside(tuple(zip(captions, drawn, strict=True)))


def _drawable(workspace: Workspace) -> tuple[list[int], list[str]]:
    """Return the numbers of the layers to draw, and of those that cannot be drawn.

    The main image is always drawn: if it cannot be, drawing raises the error.
    """
    from snapws.pictures.scene import is_tile

    bad = {
        one.where for one in check_workspace(workspace) if one.is_error and one.kind in _UNDRAWABLE
    }
    unopened = misfits(workspace)
    shown, left_out = [], []
    for layer in workspace.layers():
        place = f"layer {layer.number:03d}"
        if layer.role is Role.MAIN or not (place in bad or layer.number in unopened):
            if not is_tile(layer):
                shown.append(layer.number)
        else:
            left_out.append(place.split()[-1])
    return shown, left_out


def _differences(
    kind: str, ours: list[ComparedItem], theirs: list[ComparedItem], tolerance: float
) -> Iterator[Difference]:
    found = _found_again(ours, theirs)
    # Compare ranks, not numbers: layers behind a removed layer have not been moved.
    ranks = {i: rank for rank, i in enumerate(sorted(found))}
    ranks_there = {j: rank for rank, j in enumerate(sorted(found.values()))}
    for i, one in enumerate(ours):
        if i not in found:
            yield Difference(one.place, kind, one.summary, None)
            continue
        other = theirs[found[i]]
        place = one.place
        if other.place != place:
            place += f" / {other.place.split()[-1]}"
        if kind in _ORDERED and ranks[i] != ranks_there[found[i]]:
            yield Difference(place, "number", i, found[i])
        yield from _unlike(place, one.facts, other.facts, tolerance)
    for j, other in enumerate(theirs):
        if j not in ranks_there:
            yield Difference(other.place, kind, None, other.summary)


def _found_again(ours: list[ComparedItem], theirs: list[ComparedItem]) -> dict[int, int]:
    """Return the matching items, as indices of `theirs` by index of `ours`."""
    found: dict[int, int] = {}
    taken: set[int] = set()
    count = len(ours[0].match_keys) if ours else 0
    # First all keys must agree, then fewer and fewer, at last the weakest key alone.
    for which in list(product((True, False), repeat=count))[:-1]:
        waiting: defaultdict[tuple[Any, ...], deque[int]] = defaultdict(deque)
        for j, other in enumerate(theirs):
            if j not in taken:
                waiting[tuple(compress(other.match_keys, which))].append(j)
        for i, one in enumerate(ours):
            match_keys = tuple(compress(one.match_keys, which))
            if (
                i not in found
                and not any(mark in _NO_MARK for mark in match_keys)
                and waiting[match_keys]
            ):
                found[i] = waiting[match_keys].popleft()
                taken.add(found[i])
    return found


def _unlike(
    place: str, ours: dict[str, Any], theirs: dict[str, Any], tolerance: float
) -> Iterator[Difference]:
    """Yield the facts in which two items differ."""
    unlike = {}
    for name, a in ours.items():
        b = theirs[name]
        if a is None or b is None:
            continue
        if isinstance(a, AffineMap) and isinstance(b, AffineMap):
            distance = a.distance(b)
            if not distance <= tolerance:
                unlike[name] = Difference(place, name, _told(a), _told(b), distance)
        elif isinstance(a, Unread) or a != b:
            unlike[name] = Difference(place, name, _told(a), _told(b))
    for name, difference in unlike.items():
        if _TOLD_WITH.get(name, name) in unlike:
            yield difference


def _told(fact: Any) -> Any:
    if isinstance(fact, Unread):
        return fact.told
    if isinstance(fact, AffineMap):
        return tuple(tuple(row) for row in fact.matrix.tolist())
    return fact.value if isinstance(fact, Enum) else fact


def _by_row(value: Any) -> Any:
    """Return a value as it stands in a table: a matrix or a curve row by row."""
    if isinstance(value, tuple) and value and isinstance(value[0], tuple):
        rows = [" ".join(f"{number:.5g}" for number in row) for row in value]
        if rows[-1] == "0 0 0 1":  # the last row of every affine
            return "identity" if _is_identity(value) else "; ".join(rows[:-1])
        return "; ".join(rows)
    return value


def _is_identity(rows: tuple[tuple[float, ...], ...]) -> bool:
    return all(value == (i == j) for i, row in enumerate(rows) for j, value in enumerate(row))

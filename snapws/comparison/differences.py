"""What differs between two workspaces.

Which layer of one is which of the other is told by what they hold, and where that is not enough by
what people and services know them by: first by their voxels, then by their tags, their nickname and
the name of their file; the main image, and layers that have neither tags nor nickname, at last by
their role. Of several that could be meant it is the one that agrees in most of these, the first
ones counting most; where they still tie, they go in order. What is left over has been added or
removed. Meshes and annotations are found again in the same manner, labels and time points by their
number.

Where files lie and what they are called makes no difference: a workspace that was moved or archived
is the same workspace.
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
from snapws.workspace import Workspace

if TYPE_CHECKING:
    from PIL.Image import Image

#: By how many mm places may lie apart and count as the same, if nothing else is said: far less than
#: a voxel, and more than what numbers lose where they are written down.
Items = dict[str, list[ComparedItem]]

TOLERANCE = 0.001

# What is worth telling only where something else differs.
_TOLD_WITH = {"file": "voxels", "spacing": "affine"}

# Whose order is told: that in which they lie over each other.
_ORDERED = ("layer", "mesh")

# Problems of a layer with which it cannot be drawn.
_UNDRAWABLE = ("file", "image", "place", "settings")

_NO_MARK = (None, "", ())


@dataclass(frozen=True)
class Difference:
    """One thing in which two workspaces, A and B, differ.

    Attributes:
        place: What it is about: ``workspace``, ``layer 001``, ``mesh:0``, ``label 5``,
            ``time point 2``, ``annotation 0``; with both numbers, ``layer 001 / 002``, where it has
            another in B.
        what: ``layer``, ``mesh``, ``label``, ``time_point`` or ``annotation`` where one of the two
            has no such thing; else what of it differs: ``tags``, ``voxels``, ``transform`` …
        a: Its value in A, a text, a number, or tuples of them; None where A has no such thing.
        b: Its value in B.
        distance_mm: Of transforms and affines, how far apart in mm they take a corner of the image.
    """

    place: str
    what: str
    a: Any
    b: Any
    distance_mm: float | None = None


def compare_workspaces(
    a: Workspace, b: Workspace, *, tolerance: float = TOLERANCE
) -> tuple[Difference, ...]:
    """Return what differs between two workspaces; nothing, if nothing does.

    Compared are layers and meshes (which there are, and in which order), their roles, tags,
    nicknames and display settings (as they are drawn), voxels by their hash
    (`snapws.images.voxel_hash.VoxelHash`; images are streamed: memory stays flat), size and
    affine of images, points and values of meshes, transforms, labels, the opacity of
    segmentations, time points and annotations; nothing else that the files hold. Two transforms
    are apart by the largest distance between the places to which they take a corner of the main
    images, two affines by that of a corner of the image.

    A file that is missing or damaged is a difference even where the other one is, too: nobody knows
    that there is none. A file on a server is not fetched; its address tells whether it is the same.
    The name of a file is told where voxels differ, and is no difference by itself.

    Args:
        a: One workspace.
        b: The other; the other way round the result is the same, with A and B changed about.
        tolerance: Up to how many mm apart places count as the same.

    Raises:
        InvalidValue: The number of a time point, or of annotations, is invalid.
    """
    hashes: dict[Path, str] = {}
    return compare_items(compared_items(a, hashes), compared_items(b, hashes), tolerance)


def compare_items(
    ours: Items, theirs: Items, tolerance: float = TOLERANCE
) -> tuple[Difference, ...]:
    """Return the differences between the items of two workspaces, read at times of their own.

    Args:
        ours: Those of A, as `snapws.comparison.facts.compared_items` returns them.
        theirs: Those of B.
        tolerance: As for `compare_workspaces`.
    """
    return tuple(
        difference
        for kind, of_kind in ours.items()
        for difference in _differences(kind, of_kind, theirs[kind], tolerance)
    )


def draw_comparison(a: Workspace, b: Workspace, *, size: int = 240) -> Image:
    """Draw two workspaces side by side, each below its caption.

    They are cut at the same slices, those of A, where their main images have the same voxel grid.
    Overlays and segmentations that cannot be read are left out; the caption tells which.

    Args:
        a: One workspace.
        b: The other.
        size: Pixels of the longest side of a view; see `snapws.pictures`.

    Raises:
        PictureError: Pillow is not installed.
        LayerNotFound: One has no main image.
        LayerFileMissing: A file is not on this machine.
        InvalidValue: A display setting is invalid.
        ImageError: An image cannot be read.
    """
    from snapws.pictures.scene import Scene, beside, pillow

    pillow()  # before anything is read
    shown, left_out = zip(*(_drawable(one) for one in (a, b)), strict=True)
    scene, slices = Scene(a, shown[0]), None
    ours, theirs = scene.grid, Scene(b, shown[1]).grid
    corners = geometry.corners(ours.shape)
    distance = AffineMap(ours.affine, corners).distance(AffineMap(theirs.affine, corners))
    if ours.shape == theirs.shape and distance <= TOLERANCE:
        slices = scene.cursor()
    captions = [
        # Not A and B alone: an A in a picture is anterior.
        f"Workspace {name}" + (f", without layer {', '.join(missing)}" if missing else "")
        for name, missing in zip("AB", left_out, strict=True)
    ]
    drawn = [
        one.picture(layers=layers, slices=slices, size=size)
        for one, layers in zip((a, b), shown, strict=True)
    ]
    return beside(tuple(zip(captions, drawn, strict=True)))


def _drawable(workspace: Workspace) -> tuple[list[int], list[str]]:
    """Return the numbers of the layers to draw, and of those that cannot be.

    Without its main image nothing can be drawn; drawing says why.
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
    # Ranks and not numbers: what stands behind a layer that was removed has not been moved.
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
    """Return which of theirs is which of ours."""
    found: dict[int, int] = {}
    taken: set[int] = set()
    count = len(ours[0].match_keys) if ours else 0
    # All keys have to agree, then one less, down to the weakest alone; none is not enough.
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
    """Return the facts in which a thing differs."""
    unlike = {}
    for what, a in ours.items():
        b = theirs[what]
        if a is None or b is None:
            continue
        if isinstance(a, AffineMap) and isinstance(b, AffineMap):
            distance = a.distance(b)
            if not distance <= tolerance:
                unlike[what] = Difference(place, what, _told(a), _told(b), distance)
        elif isinstance(a, Unread) or a != b:
            unlike[what] = Difference(place, what, _told(a), _told(b))
    for what, difference in unlike.items():
        if _TOLD_WITH.get(what, what) in unlike:
            yield difference


def _told(fact: Any) -> Any:
    if isinstance(fact, Unread):
        return fact.told
    if isinstance(fact, AffineMap):
        return tuple(tuple(row) for row in fact.matrix.tolist())
    return fact.value if isinstance(fact, Enum) else fact

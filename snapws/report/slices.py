"""The slices of a workspace on a page, with sliders."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np

from snapws.errors import WorkspaceError
from snapws.layers import Layer, Role
from snapws.pictures import tiles
from snapws.pictures.scene import (
    MOST_LAYERS,
    Scene,
    View,
    composed,
    is_tile,
    marks_of,
    pillow,
)
from snapws.pictures.views import round_length
from snapws.report.document import Element, element, paragraph, typed
from snapws.workspace import Workspace

if TYPE_CHECKING:
    import numpy.typing as npt

    from snapws.pictures.marks import Marks

#: The most slices of each view, and the pixels of their longest side. If layers have more
#: components in all than `MOST_WHOLE`, there are fewer slices, which limits the work.
MOST_SLICES = 48
SIZE = 256
MOST_WHOLE = 10

#: The greatest size of all pictures of a page, in characters: a page stays below 10 MB.
BUDGET = 7_500_000

#: The most meshes and annotations to name in the remark that they are not drawn.
MOST_NAMED = 100

_LONGEST = 1.5  # of a picture, its longer side in shorter ones

_QUALITIES = (85, 65, 40, 15)  # of WebP: the first with which the pictures fit
_DIRECTIONS = {
    "R": "right",
    "L": "left",
    "A": "anterior",
    "P": "posterior",
    "S": "superior",
    "I": "inferior",
    "?": "unknown",
}


def viewer(workspace: Workspace, undrawable: Collection[int]) -> list[Element]:
    """Return the three views of a workspace, each with a slider, and remarks about them.

    If a picture, a mesh or an annotation cannot be drawn, a remark gives the reason.

    Args:
        workspace: The workspace.
        undrawable: Numbers of the layers that are left out: missing or corrupt ones, and those with
            invalid display settings.
    """
    usable = [layer for layer in workspace.layers() if layer.number not in undrawable]
    remarks = []
    if not usable:
        return [paragraph("There is no picture: no image of the workspace can be read.")]
    if undrawable:
        left_out = ", ".join(f"{number:03d}" for number in sorted(undrawable))
        remarks.append(paragraph(f"Not in the pictures: layer {left_out}.", class_="bad"))
    try:
        if usable[0].role is Role.MAIN or workspace.main.number not in undrawable:
            over = [layer.number for layer in usable if not is_tile(layer)]
            beside = tiles.tiles(workspace, undrawable)
            if beside:
                numbers = ", ".join(f"{layer.number:03d}" for layer in beside)
                more = f" (the first {tiles.MOST})" if len(beside) > tiles.MOST else ""
                remarks.append(
                    paragraph(
                        f"Layer {numbers} is not in the pictures: the workspace says that it is "
                        "shown beside the main image, not over it. Below them it has pictures of "
                        f"its own{more}."
                    )
                )
            if len(over) > MOST_LAYERS:
                remarks.append(
                    paragraph(
                        f"The pictures show the main image alone: of {len(over):,} layers, which "
                        f"are to be drawn, a picture takes {MOST_LAYERS} at most.",
                        class_="bad",
                    )
                )
                over = [workspace.main.number]
                beside = []
            scene = Scene(workspace, over, marks=marks_of(workspace))
            remarks.append(_drawn(scene))
        else:
            alone = Workspace()
            alone.set_main(usable[0].path)
            scene, beside = Scene(alone), []
            remarks.append(
                paragraph(
                    "The main image cannot be drawn: the pictures show layer "
                    f"{usable[0].number:03d} alone, along its own axes."
                )
            )
        pictures = [*_views(scene), *_tiles(scene, beside, undrawable)]
        return [*remarks, *_not_drawn(scene.marks), *pictures]
    except WorkspaceError as error:
        return [*remarks, paragraph(f"There is no picture: {error}")]


def _not_drawn(marks: Marks | None) -> Iterator[Element]:
    """Yield a line for each mesh and annotation that could not be drawn."""
    left_out = marks.left_out if marks else []
    for line in left_out[:MOST_NAMED]:
        yield element("p", "Not in the pictures: ", typed(line), ".", class_="bad")
    if more := left_out[MOST_NAMED:]:
        yield paragraph(f"{len(more):,} more meshes and annotations are not drawn.", class_="bad")


def _tiles(scene: Scene, layers: Sequence[Layer], undrawable: Collection[int]) -> list[Element]:
    """Return a picture of each layer that ITK-SNAP shows as a tile, through the cursor."""
    if not layers:
        return []
    found = []
    voxel = scene.cursor()
    places = [(view, voxel[scene.grid.axis(view)]) for view in View]
    for layer in layers[: tiles.MOST]:
        name = f"{layer.number:03d} {layer.nickname or PurePath(layer.file).name}"
        try:
            tile = tiles.scene(layer, without=undrawable, marks=scene.marks)
            image = composed(tile, places, SIZE)
        except WorkspaceError as error:
            found.append(paragraph(f"There is no picture of layer {layer.number:03d}: {error}"))
            continue
        (address,) = webp([image], _QUALITIES[1])
        width, height = map(str, image.size)
        views = f"Layer {layer.number:03d}: axial, sagittal and coronal view"
        picture = element("img", src=address, alt=views, width=width, height=height)
        found.append(element("div", picture, element("p", typed(name)), class_="tile"))
    return found


def _drawn(scene: Scene) -> Element:
    """Return the text about the layers in the pictures."""
    names = [
        f"{layer.number:03d} {layer.nickname or PurePath(layer.file).name}"
        for layer in scene.layers
    ]
    first = " The first of several time points is shown." if scene.moves else ""
    return element("p", "Drawn, from below: ", typed(", ".join(names)), f".{first}", class_="drawn")


def data_uri(data: bytes, kind: str) -> str:
    """Return the content of a file as a ``data:`` URL."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def webp(pictures: Iterable[Any], quality: int) -> list[str]:
    """Return pictures of Pillow as ``data:`` URLs, compressed on all cores."""

    def address(picture: Any) -> str:
        file = io.BytesIO()
        picture.save(file, "WEBP", quality=quality)
        return data_uri(file.getvalue(), "image/webp")

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        return list(threads.map(address, pictures))


def _views(scene: Scene) -> list[Element]:
    image, _ = pillow()
    cursor = scene.cursor()
    most = max(1, min(MOST_SLICES, MOST_SLICES * MOST_WHOLE // scene.values))
    chosen = {
        view: _chosen(scene.grid.length(view), cursor[scene.grid.axis(view)], most) for view in View
    }
    drawn = scene.draw([(view, index) for view in View for index in chosen[view]], SIZE)
    drawn = [_framed(one) for one in drawn]
    frames = iter(zip(drawn, _addresses([image.fromarray(one) for one in drawn]), strict=True))
    figures = []
    for view in View:
        own = list(islice(frames, len(chosen[view])))
        height, width = own[0][0].shape[:2]
        start = cursor[scene.grid.axis(view)]
        addresses = [address for _, address in own]
        figures.append(_figure(scene, view, (width, height), chosen[view], start, addresses))
    longest = max(scene.grid.length(view) for view in View)
    some = f", at most {most} slices of each view" if longest > most else ""
    return [
        element("div", *figures, class_="views"),
        paragraph(
            element("span", "Each slider moves through the slices of its view. ", class_="moving"),
            "Letters at the edges: R right, L left, A anterior, P posterior, S superior, I "
            f"inferior of the patient. The pictures are at most {SIZE} pixels wide and high{some}, "
            "and compressed: they are not diagnostic images.",
            class_="quiet",
        ),
    ]


def _framed(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Put a long and narrow picture into the middle of a black one, for a column of the page."""
    height, width = picture.shape[:2]
    high, wide = max(height, round(width / _LONGEST)), max(width, round(height / _LONGEST))
    top, left = (high - height) // 2, (wide - width) // 2
    margins = ((top, high - height - top), (left, wide - width - left), (0, 0))
    return np.pad(picture, margins)


def _chosen(length: int, start: int, most: int = MOST_SLICES) -> range:
    """Choose slices at even distances, at most so many, including the first one to show."""
    step = -(-length // most)
    return range(start % step, length, step)


def _addresses(pictures: Sequence[Any]) -> list[str]:
    found: list[str] = []
    for quality in _QUALITIES:
        found = webp(pictures, quality)
        if sum(map(len, found)) <= BUDGET:
            break
    return found


def _figure(
    scene: Scene,
    view: View,
    size: tuple[int, int],
    slices: Sequence[int],
    start: int,
    addresses: Sequence[str],
) -> Element:
    name, letters = view.value, scene.grid.letters(view)
    length = scene.grid.length(view)
    edges = zip(("left", "right", "top", "bottom"), letters, strict=True)
    directions = ", ".join(f"{_words(letter)} at the {edge}" for edge, letter in edges)
    width, height = map(str, size)
    images = []
    for index, address in zip(slices, addresses, strict=True):
        place = f"{name.capitalize()} slice {index + 1} of {length}"
        images.append(
            element(
                "img",
                src=address,
                alt=f"{place}: {directions}",
                width=width,
                height=height,
                decoding="sync",
                data_place=place,
                **({} if index == start else {"hidden": ""}),
            )
        )
    first = slices.index(start)
    bar, share = _bar(size[0] * scene.pixel(SIZE))
    shown = element("output", images[first].get("data-place") or "", for_=name, aria_live="off")
    slider = element(
        "input",
        type="range",
        id=name,
        min="0",
        max=str(len(slices) - 1),
        value=str(first),
        autocomplete="off",
        hidden="",
    )
    stage = element(
        "div",
        *images,
        *(
            element("span", letter, class_=f"letter {edge}", aria_hidden="true")
            for edge, letter in zip(("left", "right", "top", "bottom"), letters, strict=True)
        ),
        element(
            "svg",
            element("rect", x="8", width=f"{share:.2%}", height="100%", fill="#fff"),
            class_="scale",
            aria_hidden="true",
        ),
        element("span", bar, class_="length"),
        class_="stage",
    )
    label = element("label", name.capitalize(), for_=name)
    return element("figure", stage, element("figcaption", label, shown, slider), class_="view")


def _words(letters: str) -> str:
    return "-".join(_DIRECTIONS[letter] for letter in letters)


def _bar(width: float) -> tuple[str, float]:
    """Return the length of a scale bar in mm, at most a third of the width, and its share of it."""
    length = round_length(width / 3)
    return f"{length:g} mm", float(length / width)

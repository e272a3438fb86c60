"""The document of NiiVue (``.nvd``): JSON, its images in base64, its meshes as a structured clone.

NiiVue's documentation names the fields ("Save and load scenes"). A browser holds the whole file as
one text, which limits its size.
"""

from __future__ import annotations

import binascii
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import numpy as np

from snapws.deflate import GzipWriter
from snapws.errors import InvalidValue

if TYPE_CHECKING:
    from snapws.viewer.surfaces import Shape
    from snapws.viewer.volumes import Volume

    Json = dict[str, Any]

#: The most characters of a document: a text of a browser has no more.
MOST = (1 << 29) - 25
#: The most bytes of an image that a browser unpacks.
MOST_OF_IMAGE = (1 << 31) - (1 << 20)

_ARRAYS = {"<f4": "Float32Array", "<i4": "Uint32Array", "|u1": "Uint8Array"}
_PRIMITIVE, _ARRAY, _OBJECT = 0, 1, 2  # the kinds of records of a structured clone
_DECIMALS = 5  # of mm: a coordinate is no more exact


def refuse_too_large(volume: Volume) -> None:
    """Raise an error if a browser cannot hold an image.

    Raises:
        InvalidValue: It cannot.
    """
    if volume.nbytes > MOST_OF_IMAGE:
        raise InvalidValue(
            f"its image has {volume.nbytes >> 20} MB, a browser holds up to "
            f"{MOST_OF_IMAGE >> 20} MB: leave it out, or export a scene (.mrb)"
        )


def write(
    file: BinaryIO,
    fields: Mapping[str, Any],
    images: Iterable[Volume],
    meshes: Sequence[tuple[Json, Shape]],
) -> None:
    """Write a document. Images are read, compressed and encoded in pieces.

    Args:
        file: Where to, open for writing.
        fields: The values of all fields but the images' content and the meshes.
        images: The images, in the order of the field ``imageOptionsArray``.
        meshes: Of each surface its look (``name``, ``rgba255``, ``opacity``), and its shape.

    Raises:
        InvalidValue: The document is larger than a browser can hold.
        ImageError: An image cannot be read.
    """
    out = _Text(file)
    out.add(json.dumps(fields, allow_nan=False)[:-1])
    out.add(', "meshesString": "')
    for piece in _clone([_mesh(look, shape) for look, shape in meshes]) if meshes else ():
        out.add(json.dumps(piece)[1:-1])  # a text in a text
    out.add('", "encodedImageBlobs": [')
    for number, volume in enumerate(images):
        out.add(', "' if number else '"')
        encoded = _Base64(out)
        with GzipWriter(cast("BinaryIO", encoded)) as packed:
            packed.write(volume.block)
            for voxels in volume.pieces():
                packed.write(voxels)
        encoded.finish()
        out.add('"')
    out.add("]}\n")


class _Text:
    """A file of ASCII text that is not longer than a browser can hold."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._length = file, 0

    def add(self, text: str) -> None:
        self.add_bytes(text.encode("ascii"))

    def add_bytes(self, data: bytes) -> None:
        self._length += len(data)
        if self._length > MOST:
            raise InvalidValue(
                f"the document is larger than {MOST >> 20} MB, the most that a browser opens: "
                "export a workspace with fewer layers, or a scene (.mrb)"
            )
        self._file.write(data)


class _Base64:
    """A stream that goes into a text as base64."""

    def __init__(self, out: _Text) -> None:
        self._out, self._rest = out, b""

    def write(self, data: bytes) -> int:
        whole = self._rest + data
        end = len(whole) // 3 * 3  # three bytes are four characters
        self._rest = whole[end:]
        self._out.add_bytes(binascii.b2a_base64(memoryview(whole)[:end], newline=False))
        return len(data)

    def finish(self) -> None:
        self._out.add_bytes(binascii.b2a_base64(self._rest, newline=False))


def _mesh(look: Json, shape: Shape) -> Json:
    colors = np.array(look["rgba255"], dtype="u1") if shape.colors is None else shape.colors
    return {
        **look,
        "pts": shape.points,
        "tris": shape.triangles,
        "rgba255": colors,
        "visible": True,
        "layers": [],
        "meshShaderIndex": 0,
    }


def _clone(value: Any) -> Iterator[str]:
    """Yield the JSON of a structured clone: a list of records that name each other by number."""
    records: list[tuple[int | str, Any]] = []

    def add(one: Any) -> int:
        place = len(records)
        records.append((_PRIMITIVE, one))
        if isinstance(one, dict):
            records[place] = (_OBJECT, [[add(key), add(part)] for key, part in one.items()])
        elif isinstance(one, list):
            records[place] = (_ARRAY, [add(part) for part in one])
        return place

    add(value)
    for number, (kind, content) in enumerate(records):
        if isinstance(content, np.ndarray):
            kind, content = _ARRAYS[content.dtype.str], _numbers(content)
        yield ("," if number else "[") + json.dumps([kind, content], allow_nan=False)
    yield "]"


def _numbers(array: Any) -> list[float]:
    exact = array.astype(np.float64).round(_DECIMALS) if array.dtype.kind == "f" else array
    numbers: list[float] = exact.ravel().tolist()
    return numbers

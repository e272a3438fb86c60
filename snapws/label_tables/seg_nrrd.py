"""The segments in the header of a segmentation of 3D Slicer (``.seg.nrrd``).

Slicer's documentation ("Segmentations", file format) has the keys ``SegmentN_Name``, ``_Color``
(0 to 1), ``_LabelValue`` and ``_Layer``.
"""

from __future__ import annotations

import re

from snapws.label_tables.entries import Collector, Entry

_KEY = re.compile(rb"Segment([0-9]{1,6})_(ID|Name|Color|LabelValue|Layer):=(.*)")
_ESCAPES = {"\\n": "\n", "\\\\": "\\"}


def ends(header: bytes | bytearray) -> bool:
    """Return whether the data hold the empty line that ends a header."""
    return b"\n\n" in header or b"\n\r\n" in header


def parse(header: bytes, into: Collector) -> None:
    """Read the segments.

    Args:
        header: The header of the file, at least up to the empty line.
        into: The collector of the segments.

    Raises:
        TextFileError: A segment has no label value, or the value of another segment.
    """
    segments: dict[int, dict[str, tuple[str, str]]] = {}
    for number, line in enumerate(header.split(b"\n"), 1):
        line = line.rstrip(b"\r")
        if not line:
            break
        if found := _KEY.fullmatch(line):
            key, value = found[2].decode(), _text(found[3], f"line {number}", into)
            segment = segments.setdefault(int(found[1]), {})
            if key in segment:
                raise into.error(f"line {number}", f"segment {int(found[1])} has its {key} twice")
            segment[key] = (f"line {number}", value)
    layers = {segment["Layer"][1].strip() for segment in segments.values() if "Layer" in segment}
    values = [segment["LabelValue"][1] for segment in segments.values() if "LabelValue" in segment]
    if len(layers) > 1:
        if len(set(values)) < len(values):
            raise into.error(
                "header",
                f"its segments overlap, and lie in {len(layers)} layers with the same label "
                "values: export a labelmap from 3D Slicer",
            )
        into.notes.append(
            f"its segments lie in {len(layers)} layers, which are not a segmentation for ITK-SNAP: "
            "export a labelmap from 3D Slicer"
        )
    for number, segment in sorted(segments.items()):
        _add(number, segment, into)


def _add(number: int, segment: dict[str, tuple[str, str]], into: Collector) -> None:
    place, value = segment.get("LabelValue", ("header", ""))
    if not value:
        raise into.error(
            place,
            f"segment {number} has no label value, as before Slicer 4.11: save it with a later one",
        )
    name = segment.get("Name", segment.get("ID", ("", "")))[1]
    color = None
    if "Color" in segment:
        where, text = segment["Color"]
        words = text.split()
        if len(words) != 3:
            raise into.error(where, f"the colour of segment {number} is not three numbers")
        color = into.unit_color(where, words)
    into.add(place, Entry(into.index(place, value), name, color))


def _text(data: bytes, place: str, into: Collector) -> str:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise into.error(place, "not UTF-8") from None
    return re.sub(r"\\[n\\]", lambda found: _ESCAPES[found[0]], text)

"""The colours and names of labels, as NiiVue takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from snapws.labels import Label, new_color

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    Json = dict[str, Any]

# NiiVue takes the place of no value from the first 128th of a table.
_FIRST = 64
_OPAQUE = 255
_MOST_NAMED = 5


def label_colors(present: Sequence[int], table: Iterable[Label]) -> Json:
    """Return the colours and names of labels, of those in an image and those in the table.

    A large table begins with transparent places below 0, so that no label is in its first part.
    Under ``remark`` stands a line if labels that are present have an opacity of their own, which
    NiiVue ignores unless it is 0; else it is empty.
    """
    known = {label.index: label for label in table}
    indices = sorted({0, *known, *present})
    seen = {*present}
    labels = [known.get(one) or Label(one, f"Label {one}", new_color(one)) for one in indices]
    rows = [
        (one.index, *one.color, one.alpha if one.visible and one.index else 0) for one in labels
    ]
    if below := indices[-1] // _FIRST:
        rows.insert(0, (-below, 0, 0, 0, 0))
    return {
        "present": present,
        "remark": _remark([one for one in labels if one.visible and one.index in seen]),
        "names": {one.index: one.name for one in labels if one.index},
        "colors": dict(zip("IRGBA", map(list, zip(*rows, strict=True)), strict=True)),
    }


def _remark(visible: Iterable[Label]) -> str:
    translucent = [one.index for one in visible if 0 < one.alpha < _OPAQUE]
    if not translucent:
        return ""
    numbers = ", ".join(map(str, translucent[:_MOST_NAMED]))
    more = len(translucent) - _MOST_NAMED
    named = numbers + (f" and {more:,} more" if more > 0 else "")
    return f"NiiVue shows all labels with one opacity; these have their own: {named}"


def label_table(display: Json) -> Json:
    """Return what `label_colors` returns as a table of all labels from the least to the greatest.

    Its names are those from label 0 on.
    """
    colors = display["colors"]
    least, greatest = colors["I"][0], colors["I"][-1]
    table = np.zeros((greatest - least + 1, 4), dtype=int)
    table[np.array(colors["I"]) - least] = np.transpose([colors[part] for part in "RGBA"])
    names = [display["names"].get(index, "") for index in range(greatest + 1)]
    return {"lut": table.ravel().tolist(), "min": least, "max": greatest, "labels": names}

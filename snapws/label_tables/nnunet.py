"""The labels in a ``dataset.json`` of nnU-Net, version 2 or 1 (also that of the Decathlon).

Version 2 maps names to values, version 1 values to names. A name with several values is a region.
``regions_class_order`` has the value of each region in images that nnU-Net predicts, where later
regions overwrite earlier ones.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

from snapws.errors import TextFileError
from snapws.label_tables.entries import Collector, Entry, lost, named, shown

_PLACE = '"labels"'
_DIGITS = re.compile(r"[0-9]{1,19}", re.ASCII)


def fits(text: str) -> bool:
    """Return whether a text can be a JSON object."""
    return text.lstrip().startswith("{")


def parse(text: str, into: Collector) -> None:
    """Read the labels.

    Raises:
        TextFileError: The text is not JSON, or its labels are missing or invalid.
    """
    content = _load(text, into)
    labels = content.get("labels")
    if not isinstance(labels, dict):
        raise into.error("line 1", 'no object "labels", as a dataset.json of nnU-Net has')
    if labels and all(isinstance(value, str) for value in labels.values()):
        for index, name in labels.items():
            into.add(_PLACE, Entry(_index(into, index, name), name))
    elif any(isinstance(value, list) for value in labels.values()):
        _add_regions(labels, content.get("regions_class_order"), into)
    else:
        for name, value in labels.items():
            into.add(_PLACE, Entry(_value(into, value, name), name))


def write(entries: tuple[Entry, ...], old: str, source: str) -> tuple[str, list[str]]:
    """Return a ``dataset.json`` as text, and remarks about lost properties.

    Args:
        entries: The labels.
        old: The existing ``dataset.json``, whose other content is kept; may be empty.
        source: The name of the existing file in messages.

    Raises:
        TextFileError: The existing file is not a ``dataset.json``.
    """
    content: dict[str, Any] = {}
    if old.strip():
        content = _load(old, Collector(source))
    notes = lost(entries, alpha=False, colors=False, title="a dataset.json")
    times = Counter(entry.name for entry in entries)
    labels = {"background": 0}
    twice = []
    for entry in entries:
        name = entry.name
        if times[name] > 1 or name in ("background", "ignore"):
            name = f"{name} {entry.index}"
            twice.append(entry)
        if name in labels:
            raise TextFileError(f"two labels would be called {shown(name)}: rename one of them")
        labels[name] = entry.index
    if twice:
        notes.append(f"names in it stand for one label each, and get its number: {named(twice)}")
    if [entry.index for entry in entries] != list(range(1, len(entries) + 1)):
        notes.append(
            "nnU-Net takes labels from 1 on without a gap only: renumber them, images included"
        )
    content.pop("regions_class_order", None)
    content["labels"] = labels
    return json.dumps(content, indent=4, ensure_ascii=False) + "\n", notes


def _load(text: str, into: Collector) -> dict[str, Any]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            twice = next(
                key for key, times in Counter(key for key, _ in pairs).items() if times > 1
            )
            raise into.error("line 1", f"an object has the key {shown(twice)} twice")
        return found

    try:
        content = json.loads(text, object_pairs_hook=once)
    except json.JSONDecodeError as error:
        raise into.error(f"line {error.lineno}", f"not JSON: {error.msg}") from None
    except (RecursionError, ValueError):  # a number with thousands of digits
        raise into.error("line 1", "the JSON is too deep, or has too long a number") from None
    if not isinstance(content, dict):
        raise into.error("line 1", "not a JSON object")
    return content


def _index(into: Collector, text: str, name: str) -> int:
    if not _DIGITS.fullmatch(text):
        raise into.error(_PLACE, f"the value of {shown(name)} is not a whole number: {shown(text)}")
    return int(text)


def _value(into: Collector, value: object, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise into.error(
            _PLACE, f"the value of {shown(name)} is not a whole number: {shown(str(value))}"
        )
    return value


def _add_regions(labels: dict[str, Any], order: object, into: Collector) -> None:
    """Add the regions, with the labels that they have in predicted images.

    As in nnU-Net, a name with a single value is a region, too.
    """
    regions = []
    for name, value in labels.items():
        parts = [_value(into, one, name) for one in (value if isinstance(value, list) else [value])]
        if name == "ignore":
            into.add(_PLACE, Entry(_value(into, value, name), name))
        elif any(parts):
            regions.append(name)
    if not isinstance(order, list) or len(order) != len(regions):
        raise into.error(
            _PLACE,
            f"regions_class_order must have {len(regions)} values, one for each region",
        )
    for name, value in zip(regions, order, strict=True):
        into.add(_PLACE, Entry(_value(into, value, name), name))
    into.notes.append(
        "its labels are regions, which overlap: in an image that nnU-Net has predicted, a region "
        "has only the voxels that no later region overwrites "
        f"({' < '.join(map(shown, regions[:6]))})"
    )

"""What of a workspace may leave the machine: the documented keys, and nothing else.

A key is kept when it stands in the lists below and its value is of the kind that the list gives, so
that no text slips out where a number belongs. Texts that a person typed to be read (nicknames,
label names, annotation texts) are kept and listed; see `KeptText`.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from snapws.registry import Registry

_NUMBERS = r"[-+0-9.eE ]*"
_FLAG = "[01]?"
_COLOR_MAPS = (
    "Grayscale|Jet|Hot|Cool|Copper|HSV|Spring|Summer|Autumn|Winter|Custom"
    "|(Black|Blue|Red|White) to (black|blue|green|red|white)( to (black|blue|red|white))?"
    r"|Speed image \((blue to black to white|semi-transparent overlay)\)"
)
_TYPED = "(?s:.*)"
_INDEX = r"\[[0-9]+\]"

_COLOR_MAP = {
    r"ColorMap\.Preset": f"(?i:{_COLOR_MAPS})",
    r"ColorMap\.NumberOfControlPoints": _NUMBERS,
    rf"ColorMap\.ControlPoint{_INDEX}\.(Index|(Left|Right)\.[RGBA])": _NUMBERS,
    rf"ColorMap\.ControlPoint{_INDEX}\.Type": "Continuous|Discontinuous",
    r"Curve\.NumberOfControlPoints": _NUMBERS,
    rf"Curve\.ControlPoint{_INDEX}\.(tValue|xValue)": _NUMBERS,
}

#: Keys of a layer's folder, and what their values look like.
LAYER_KEYS = {
    "Role": "(Main|Overlay|Segmentation|Snap|Label)Role",
    "Tags": _TYPED,
    r"LayerMetaData\.CustomNickName": _TYPED,
    r"LayerMetaData\.(Alpha|Sticky)": _NUMBERS,
    r"LayerMetaData\.DisplayMapping\.(UseRGB|RenderAsGrid)": _FLAG,
    r"LayerMetaData\.DisplayMapping\.SelectedScalarRep": "Component|Magnitude|Maximum|Average",
    r"LayerMetaData\.DisplayMapping\.SelectedComponent": _NUMBERS,
    **{
        rf"LayerMetaData\.DisplayMapping\.((Component|Magnitude|Maximum|Average)\.)?{key}": value
        for key, value in _COLOR_MAP.items()
    },
    r"ImageTransform\.IsIdentity": _FLAG,
    rf"ImageTransform\.(Matrix\.Element{_INDEX}{_INDEX}|Offset\.Element{_INDEX})": _NUMBERS,
    r"ProjectMetaData\.Files\.Grey\.Dimensions": _NUMBERS,
    # The labels themselves are written from the table as it is read.
    r"ProjectMetaData\.IRIS\.LabelTable\.NumberOfElements": _NUMBERS,
}

#: Keys of the workspace itself, and what their values look like.
WORKSPACE_KEYS = {
    r"Annotations\.Format": "ITK-SNAP Annotation File",
    r"Annotations\.FormatDate": _NUMBERS,
    r"Annotations\.Annotations\.ArraySize": _NUMBERS,
    rf"Annotations\.Annotations\.Element{_INDEX}\.Type": "(Landmark|LineSegment)Annotation",
    rf"Annotations\.Annotations\.Element{_INDEX}\.(Tags|Text)": _TYPED,
    rf"Annotations\.Annotations\.Element{_INDEX}\.(Color|Plane|Point[12]|Pos|Offset)": _NUMBERS,
    rf"Annotations\.Annotations\.Element{_INDEX}\.(Selected|VisibleInAll(Planes|Slices))": _FLAG,
    r"TimePointProperties\.FormatVersion": _NUMBERS,
    r"TimePointProperties\.TimePoints\.ArraySize": _NUMBERS,
    rf"TimePointProperties\.TimePoints\.TimePoint{_INDEX}\.TimePoint": _NUMBERS,
    rf"TimePointProperties\.TimePoints\.TimePoint{_INDEX}\.(Nickname|Tags)": _TYPED,
}


#: Kinds of text that a person typed to be read, by the keys that hold them.
TYPED_TEXTS = {
    "layer nickname": r"Layers\..*\.CustomNickName",
    "label name": r"Layers\..*\.LabelTable\..*\.Label",
    "time point nickname": r"TimePointProperties\..*\.Nickname",
    "annotation text": r"Annotations\..*\.Text",
}


@dataclass(frozen=True)
class KeptText:
    """A text that a person typed and that is in an archive.

    Attributes:
        kind: one of `TYPED_TEXTS`.
        key: the registry key that holds it.
        text: the text itself, never empty.
    """

    kind: str
    key: str
    text: str


def copy_kept(source: Registry, target: Registry, keys: dict[str, str]) -> None:
    """Copy the entries whose key and value match a pair of `keys` from one folder to another."""
    for key, value in source.walk():
        if any(
            re.fullmatch(pattern, key) and re.fullmatch(allowed, value)
            for pattern, allowed in keys.items()
        ):
            target[key] = value


def kept_texts(registry: Registry) -> tuple[KeptText, ...]:
    """List the texts that somebody typed and that a workspace's registry holds."""
    return tuple(
        KeptText(kind, key, value)
        for key, value in registry.walk()
        for kind, pattern in TYPED_TEXTS.items()
        if value and re.fullmatch(pattern, key)
    )


def dropped_keys(before: Registry, after: Registry) -> Counter[str]:
    """Count the entries of one tree that the other lacks, by key, indices written as ``[]``."""
    return Counter(re.sub(r"\[[0-9]+\]", "[]", key) for key, _ in before.walk() if key not in after)

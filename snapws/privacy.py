"""What of a workspace may leave the machine: the documented keys, and nothing else.

A key is kept when it stands in the lists below and its value is of the kind that the list gives: no
text, and no row of digits that is no number of that kind, slips out where a number belongs. Texts
that a person typed to be read (nicknames, label names, annotation texts) and tags are kept, and
listed; see `KeptText`.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from snapws.registry import Registry

_FLAG = "[01]"
_COUNT = "-?[0-9]{1,5}"
_NUMBER = r"[-+]?([0-9]{1,19}(\.[0-9]{0,20})?|\.[0-9]{1,20})([eE][-+]?[0-9]{1,3})?"
_INDEX = r"\[[0-9]{1,5}\]"
_AXIS = r"\[[0-2]\]"
_TYPED = "(?s:.*)"
_COLOR_MAPS = (
    "Grayscale|Jet|Hot|Cool|Copper|HSV|Spring|Summer|Autumn|Winter|Custom"
    "|(Black|Blue|Red|White) to (black|blue|green|red|white)( to (black|blue|red|white))?"
    r"|Speed image \((blue to black to white|semi-transparent overlay)\)"
)


def _numbers(count: int, number: str = _NUMBER) -> str:
    return " +".join([f"({number})"] * count) + " *"


_MAPPING = {
    r"ColorMap\.Preset": f"(?i:{_COLOR_MAPS})",
    r"ColorMap\.NumberOfControlPoints": _COUNT,
    rf"ColorMap\.ControlPoint{_INDEX}\.Index": _NUMBER,
    rf"ColorMap\.ControlPoint{_INDEX}\.(Left|Right)\.[RGBA]": _COUNT,
    rf"ColorMap\.ControlPoint{_INDEX}\.Type": "Continuous|Discontinuous",
    r"Curve\.NumberOfControlPoints": _COUNT,
    rf"Curve\.ControlPoint{_INDEX}\.(tValue|xValue)": _NUMBER,
}

#: Keys of a layer's folder, and what their values look like.
LAYER_KEYS = {
    "Role": "(Main|Overlay|Segmentation|Snap|Label)Role",
    "Tags": _TYPED,
    r"LayerMetaData\.CustomNickName": _TYPED,
    r"LayerMetaData\.Alpha": _NUMBER,
    r"LayerMetaData\.Sticky": _FLAG,
    r"LayerMetaData\.DisplayMapping\.(UseRGB|RenderAsGrid)": _FLAG,
    r"LayerMetaData\.DisplayMapping\.SelectedScalarRep": "Component|Magnitude|Maximum|Average",
    r"LayerMetaData\.DisplayMapping\.SelectedComponent": _COUNT,
    **{
        rf"LayerMetaData\.DisplayMapping\.((Component|Magnitude|Maximum|Average)\.)?{key}": value
        for key, value in _MAPPING.items()
    },
    r"ImageTransform\.IsIdentity": _FLAG,
    rf"ImageTransform\.(Matrix\.Element{_AXIS}{_AXIS}|Offset\.Element{_AXIS})": _NUMBER,
    r"ProjectMetaData\.Files\.Grey\.Dimensions": _numbers(3, _COUNT),
    # The labels themselves are written from the table as it is read.
    r"ProjectMetaData\.IRIS\.LabelTable\.NumberOfElements": _COUNT,
}

_ANNOTATION = rf"Annotations\.Annotations\.Element{_INDEX}\."
_TIME_POINT = rf"TimePointProperties\.TimePoints\.TimePoint{_INDEX}\."

#: Keys of the workspace itself, and what their values look like.
WORKSPACE_KEYS = {
    r"Annotations\.Format": "ITK-SNAP Annotation File",
    r"Annotations\.FormatDate": "20[0-9]{6}",
    r"Annotations\.Annotations\.ArraySize": _COUNT,
    f"{_ANNOTATION}Type": "(Landmark|LineSegment)Annotation",
    f"{_ANNOTATION}(Tags|Text)": _TYPED,
    f"{_ANNOTATION}(Color|Point[12]|Pos)": _numbers(3),
    f"{_ANNOTATION}Offset": _numbers(2),
    f"{_ANNOTATION}Plane": _COUNT,
    f"{_ANNOTATION}(Selected|VisibleInAll(Planes|Slices))": _FLAG,
    r"TimePointProperties\.FormatVersion": _COUNT,
    r"TimePointProperties\.TimePoints\.ArraySize": _COUNT,
    f"{_TIME_POINT}TimePoint": _COUNT,
    f"{_TIME_POINT}(Nickname|Tags)": _TYPED,
}

#: Kinds of text that a person typed to be read, by the keys that hold them.
TYPED_TEXTS = {
    "layer nickname": r"Layers\..*\.CustomNickName",
    "label name": r"Layers\..*\.LabelTable\..*\.Label",
    "time point nickname": r"TimePointProperties\..*\.Nickname",
    "annotation text": r"Annotations\..*\.Text",
    "tags": r".*\.Tags",
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

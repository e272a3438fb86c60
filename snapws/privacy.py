"""The entries of a workspace that an archive keeps: documented keys with valid values.

A key is kept if the lists below have it and its value matches the pattern of the list. So neither a
text nor a patient's number is kept where a small number belongs. Texts that a person typed to be
read (nicknames, label names, annotation texts) are kept, or replaced if privacy is strict. Tags are
kept, since services find layers by them. `kept_texts` lists the kept texts.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from snapws.archive_names import STANDARD_ARRAYS
from snapws.errors import ArchiveError
from snapws.layers import Layer, folder_key
from snapws.meshes import FORMATS, INVALID_FORMAT, MeshLayer
from snapws.registry import Registry
from snapws.workspace import FORMAT_VERSION, Workspace

Privacy = Literal["standard", "strict"]

#: ``SaveLocation`` of every archive's workspace. Readers resolve the paths below it relative to the
#: folder of the archive.
NEUTRAL_ROOT = "/archive"

#: The folder of a mesh layer that says how each array of the mesh is shown.
ARRAYS = "DataArrayProperties"

_FLAG = "[01]"
_COUNT = "-?[0-9]{1,5}"
_NUMBER = r"[-+]?([0-9]{1,19}(\.[0-9]{0,20})?|\.[0-9]{1,20})([eE][-+]?[0-9]{1,3})?"
_OPACITY = r"[0-9]{1,3}(\.[0-9]{1,9})?"
_INDEX = r"\[[0-9]{1,6}\]"
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

#: Keys of a layer's folder, and patterns of their values.
LAYER_KEYS = {
    "Role": "(Main|Overlay|Segmentation|Snap|Label)Role",
    "Tags": _TYPED,
    r"LayerMetaData\.CustomNickName": _TYPED,
    r"LayerMetaData\.Alpha": _OPACITY,
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
    r"ProjectMetaData\.IRIS\.LabelState\.SegmentationAlpha": _NUMBER,
    # The labels themselves are written from `Workspace.labels`.
    r"ProjectMetaData\.IRIS\.LabelTable\.NumberOfElements": _COUNT,
}

_ANNOTATION = rf"Annotations\.Annotations\.Element{_INDEX}\."
_TIME_POINT = rf"TimePointProperties\.TimePoints\.TimePoint{_INDEX}\."

#: Keys of the workspace itself, and patterns of their values.
WORKSPACE_KEYS = {
    r"Annotations\.Format": "ITK-SNAP Annotation File",
    r"Annotations\.FormatDate": "20150624",
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

#: Keys of the display settings of one mesh array, and patterns of their values. Arrays have the
#: neutral names that an archive gives them; see `set_arrays`.
ARRAY_KEYS = {
    "ArrayName": "|".join(["array_[0-9]{1,6}", *sorted(STANDARD_ARRAYS)]),
    "ArrayType": "(Point|Cell|Field)Data",
    "ActiveComponent": _COUNT,
    "ActiveVectorMode": "Magnitude|Component",
    **{key.replace("Curve", "IntensityCurve", 1): value for key, value in _MAPPING.items()},
}

#: Keys of a mesh layer's folder, and patterns of their values.
MESH_KEYS = {
    "SolidColor": _numbers(3),
    "SliceViewOpacity": _OPACITY,
    **{
        rf"DataArrayProperties\.DataArray{_INDEX}\.{key}": value
        for key, value in ARRAY_KEYS.items()
    },
    "MeshType": "(Standalone|Segmentation)Mesh",
    "(NickName|Tags)": _TYPED,
    rf"MeshTimePoints\.TimePoint{_INDEX}\.TimePoint": _COUNT,
    rf"MeshTimePoints\.TimePoint{_INDEX}\.PolyData{_INDEX}\.Format": "|".join(
        [*FORMATS.values(), INVALID_FORMAT]
    ),
}

#: Kinds of text that a person typed to be read: the pattern of their keys, and the substitute in a
#: strict archive. Tags have no substitute.
TYPED_TEXTS = {
    "layer nickname": (r"Layers\.Layer\[([0-9]+)\]\..*\.CustomNickName", "Layer {}"),
    "mesh nickname": (r"MeshLayers\.Layer\[([0-9]+)\]\.NickName", "Mesh {}"),
    "label name": (r"Layers\..*\.LabelTable\.Element\[([0-9]+)\]\.Label", "Label {}"),
    "time point nickname": (r"TimePointProperties\..*\[([0-9]+)\]\.Nickname", "Time point {}"),
    "annotation text": (r"Annotations\..*\[([0-9]+)\]\.Text", "Annotation {}"),
    "tags": (r".*\.Tags", ""),
}

# Arrays: the key of their size, the names of their elements, and the number of the first element.
_ARRAYS = {
    r"Annotations\.Annotations": ("ArraySize", "Element[{}]", 0),
    r"TimePointProperties\.TimePoints": ("ArraySize", "TimePoint[{}]", 1),
    r"MeshLayers\..*\.IntensityCurve": ("NumberOfControlPoints", "ControlPoint[{}]", 0),
    r"Layers\..*\.Curve": ("NumberOfControlPoints", "ControlPoint[{}]", 0),
    r"(Mesh)?Layers\..*\.ColorMap": ("NumberOfControlPoints", "ControlPoint[{:04d}]", 0),
}

# Services find layers by tag. Tags of time points and annotations are not needed.
_NEEDED_TAGS = r"(Mesh)?Layers\..*"


@dataclass(frozen=True)
class KeptText:
    """A text that a person typed and that is in an archive.

    Attributes:
        kind: One of `TYPED_TEXTS`, or ``file name`` where names are kept.
        key: The registry key of the text.
        text: The text itself, never empty.
    """

    kind: str
    key: str
    text: str


def scrubbed(workspace: Workspace, privacy: Privacy) -> Workspace:
    """Return a copy of a workspace with only the entries that an archive keeps, and no path.

    Layers and meshes are numbered from 0, in their order. Labels are written from
    `Workspace.labels`.

    Raises:
        ArchiveError: The role of a layer is not known.
    """
    copy = Workspace()
    _copy(workspace.registry, copy.registry, WORKSPACE_KEYS)
    for number, layer in enumerate(workspace.layers()):
        folder = copy.registry.make_folder(folder_key(Layer.SECTION, number))
        _copy(layer.registry, folder, LAYER_KEYS)
        if "Role" not in folder:
            role = layer.registry.get("Role")
            raise ArchiveError(f"layer {number:03d} has the role {role!r}, which is not known")
    for number, mesh in enumerate(workspace.meshes()):
        folder = copy.registry.make_folder(folder_key(MeshLayer.SECTION, number))
        _copy(mesh.registry, folder, MESH_KEYS)
        _drop_unread_surfaces(folder, mesh)
    _drop_unread(copy.registry)
    strict = privacy == "strict"
    if workspace.labels:
        table = workspace.labels
        copy.labels = (
            [replace(one, name=f"Label {one.index}") for one in table] if strict else table
        )
    if strict:
        _replace_typed(copy.registry)
    _drop_empty(copy.registry)
    copy.registry["SaveLocation"] = copy.saved_in = NEUTRAL_ROOT
    copy.registry["Version"] = FORMAT_VERSION
    return copy


def set_arrays(copy: Workspace, mesh: MeshLayer, names: Mapping[str, str]) -> None:
    """Copy the display settings of a mesh's arrays to the archived workspace, under neutral names.

    Arrays without a neutral name are left out: no file of the mesh has them.

    Args:
        copy: The archived workspace, as returned by `scrubbed`.
        mesh: The mesh layer in the original workspace.
        names: The neutral names of arrays, by original name.
    """
    key = f"{mesh.key}.{ARRAYS}"
    copy.registry.remove_folder(key)
    arrays = neutral_arrays(mesh.registry.folder(ARRAYS), names)
    if arrays.folders:
        copy.registry.make_folder(key).update(arrays)


def neutral_arrays(folder: Registry | None, names: Mapping[str, str]) -> Registry:
    """Return the kept display settings of arrays, under neutral names."""
    kept = Registry()
    number = 0
    while folder and (array := folder.folder(f"DataArray[{number:03d}]")):
        name = names.get(array.get("ArrayName"))
        if name is not None:
            target = kept.make_folder(f"DataArray[{len(kept.folders):03d}]")
            _copy(array, target, ARRAY_KEYS)
            target["ArrayName"] = name
        number += 1
    _drop_unread(kept, f"{MeshLayer.SECTION}.{ARRAYS}")
    return kept


def _copy(source: Registry, target: Registry, keys: dict[str, str]) -> None:
    """Copy the entries whose key and value match a pair of `keys`."""
    for key, value in source.walk():
        if any(
            re.fullmatch(pattern, key) and re.fullmatch(allowed, value)
            for pattern, allowed in keys.items()
        ):
            target[key] = value


def _drop_unread(registry: Registry, path: str = "") -> None:
    """Remove elements beyond the stated size of an array: no reader sees them.

    Args:
        registry: A folder.
        path: Its key.
    """
    for pattern, (size, name, first) in _ARRAYS.items():
        if re.fullmatch(pattern, path):
            last = first + int(registry.get(size) or 0) - 1
            for element in list(registry.folders):
                digits = re.search("[0-9]+", element)
                number = int(digits[0]) if digits else -1
                if not first <= number <= last or element != name.format(number):
                    registry.remove_folder(element)
    for name, folder in registry.folders.items():
        _drop_unread(folder, f"{path}.{name}".lstrip("."))


def _drop_unread_surfaces(registry: Registry, mesh: MeshLayer) -> None:
    """Remove the entries of surface files behind a gap in the numbering: no reader sees them."""
    if mesh.registry.folder(ARRAYS):
        _drop_unread_arrays(registry)
    files = [one.key for one in mesh.polydata()]
    read = {"", *files, *(file.rpartition(".")[0] for file in files)}
    for key, _ in list(registry.walk()):
        if key.rpartition(".")[0] not in read and not key.startswith(f"{ARRAYS}."):
            del registry[key]


def _drop_unread_arrays(registry: Registry) -> None:
    """Remove arrays without a name, and arrays behind a gap in the numbering."""
    arrays = registry.folder(ARRAYS)
    registry.remove_folder(ARRAYS)
    kept = neutral_arrays(arrays, own_names(arrays))
    if kept.folders:
        registry.make_folder(ARRAYS).update(kept)


def own_names(arrays: Registry | None) -> dict[str, str]:
    """Return a mapping of the names of arrays in a workspace to themselves."""
    names = (array.get("ArrayName") for array in (arrays.folders.values() if arrays else ()))
    return {name: name for name in names if name}


def _drop_empty(registry: Registry) -> None:
    for name in list(registry.folders):
        folder = registry.folder(name)
        assert folder is not None  # noqa: S101 - it has just been listed
        _drop_empty(folder)
        if not folder.entries and not folder.folders:
            registry.remove_folder(name)


def _replace_typed(registry: Registry) -> None:
    for typed in kept_texts(registry):
        pattern, substitute = TYPED_TEXTS[typed.kind]
        if typed.kind == "tags":
            if not re.fullmatch(_NEEDED_TAGS, typed.key):
                del registry[typed.key]
        elif typed.kind != "label name":  # label names are already replaced, by index
            number = re.fullmatch(pattern, typed.key)
            registry[typed.key] = substitute.format(number[1] if number else "")


def kept_texts(registry: Registry, privacy: Privacy = "standard") -> tuple[KeptText, ...]:
    """Return the texts in a registry that a person typed.

    Args:
        registry: The registry of a workspace or of an archive.
        privacy: The privacy of the archive; in a strict one, a person typed only the tags.
    """
    return tuple(
        KeptText(kind, key, value)
        for key, value in registry.walk()
        for kind, (pattern, substitute) in TYPED_TEXTS.items()
        if value and re.fullmatch(pattern, key) and not (substitute and privacy == "strict")
    )


def dropped_keys(before: Registry, after: Registry) -> Counter[str]:
    """Count the entries that `after` lacks, by key, with indices written as ``[]``.

    >>> before, after = Registry(), Registry()
    >>> before["Layers.Layer[000].History"] = before["Layers.Layer[001].History"] = "/home/jane"
    >>> dropped_keys(before, after)
    Counter({'Layers.Layer[].History': 2})
    """
    return Counter(re.sub(r"\[[0-9]+\]", "[]", key) for key, _ in before.walk() if key not in after)

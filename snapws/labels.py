"""Segmentation labels: the label table of a workspace, and ITK-SNAP's label files."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from snapws import paths
from snapws.errors import InvalidValue, TextFileError
from snapws.registry import Registry
from snapws.registry.fields import FolderProxy, integer, integers, text
from snapws.tables import Record, Table

#: The greatest label: voxels of a segmentation have 16 bits in ITK-SNAP.
MAX_INDEX = 65535

_WHOLE = "[0-9]{1,9}"

#: The columns of a label file before the name: their pattern and greatest value.
_COLUMNS = {
    "index": (_WHOLE, MAX_INDEX),
    **{f"{color} (0 to 255)": (_WHOLE, 255) for color in ("red", "green", "blue")},
    "opacity (0 to 1, with a decimal point)": (r"([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", 1),
    "visibility (0 or 1)": (_WHOLE, 10**9),
    "visibility of the mesh (0 or 1)": (_WHOLE, 10**9),
}
_FORM = 'a line is IDX R G B A VIS MSH "LABEL"'
_MOST_TOLD = 40
#: The colours that ITK-SNAP gives to labels 1, 2, …, repeated after the last one.
_NEW_COLORS = bytes.fromhex(
    "ff0000 00ff00 0000ff ffff00 00ffff ff00ff ffefd5 0000cd cd853f d2b48c 66cdaa 000080 "
    "008b8b 2e8b57 ffe4e1 6a5acd dda0dd e9967a a52a2a fffafa 9370db da70d6 4b0082 ffb6c1 "
    "3cb371 ffebcd ffe4c4 daa520 008080 bc8f8f ff69b4 ffdab9 deb887 7fff00 8b4513 7cfc00 "
    "ffffe0 4682b4 006400 ee82ee eee8aa f0fff0 f5deb3 b8860b 20b2aa ff1493 191970 708090 "
    "228b22 f8f8ff f5fffa ffa07a 90ee90 adff2f 4169e1 ff6347 faf0e6 800000 32cd32 f4a460 "
    "fffff0 7b68ee ffa500 add8e6 ffc0cb 7fffd4 ff8c00 8fbc8f dc143c fdf5e6 fffaf0 00ced1 "
    "00ff7f 800080 fffacd fa8072 9400d3 b22222 ff7f50 87ceeb 6495ed f0e68c faebd7 fff5ee "
    "6b8e23 87cefa 00008b 8b008b f5f5dc ba55d3 ffe4b5 ffdead 00bfff d2691e fff8dc 2f4f4f "
    "483d8b afeeee 808000 b0e0e6 fff0f5 8b0000 f0ffff ffd700 d8bfd8 778899 db7093 48d1cc "
    "ff00ff c71585 9acd32 bdb76b f0f8ff e6e6fa 00fa9a 556b2f 40e0d0 9932cc cd5c5c fafad2 "
    "5f9ea0 008000 ff4500 e0ffff b0c4de 8a2be2 1e90ff f08080 98fb98 a0522d"
)

_BY_INDEX = (-1, -1, -1)  # no colour given: use that of `new_color`

_FILE_HEADER = """\
################################################
# ITK-SnAP Label Description File
# File format:
# IDX   -R-  -G-  -B-  -A--  VIS MSH  LABEL
################################################
    0     0    0    0        0  0  0    "Clear Label"
"""


def new_color(index: int) -> tuple[int, int, int]:
    """Return the colour, each part 0 to 255, that ITK-SNAP gives to a new label.

    >>> new_color(2), new_color(7)
    ((0, 255, 0), (255, 239, 213))
    """
    if index < 1:
        return 0, 0, 0
    start = 3 * (index - 1) % len(_NEW_COLORS)
    red, green, blue = _NEW_COLORS[start : start + 3]
    return red, green, blue


@dataclass(frozen=True)
class Label:
    """One label of a segmentation.

    Attributes:
        index: The voxel value, 1 to 65535; 0, the background, is never in a table.
        name: The name, of a structure for example.
        color: Red, green, blue, each 0 to 255; by default the colour of `new_color`.
        alpha: Opacity, 0 to 255.
        visible: Whether slices show it.
        mesh_visible: Whether the 3-D view shows it.
    """

    index: int
    name: str
    color: tuple[int, int, int] = _BY_INDEX
    alpha: int = 255
    visible: bool = True
    mesh_visible: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.index <= MAX_INDEX:
            raise InvalidValue(f"label {self.index}: labels go from 0 to {MAX_INDEX}")
        if self.color == _BY_INDEX:
            object.__setattr__(self, "color", new_color(self.index))
        if any(not 0 <= part <= 255 for part in (*self.color, self.alpha)):
            raise InvalidValue(f"label {self.index}: colours and opacity go from 0 to 255")


class LabelTable(Table, tuple[Label, ...]):
    """The labels of a workspace, which a notebook shows as a table."""

    __slots__ = ()

    #: The columns of lists.
    LISTED = ("index", "color", "alpha", "visible", "mesh_visible", "name")

    def _table(self) -> tuple[Iterable[Record], Sequence[str]]:
        return [asdict(label) for label in self], self.LISTED


class _Element(FolderProxy):
    """The folder of one label in a registry."""

    index = integer("Index")
    name = text("Label")
    color = integers("Color", 3)
    alpha = integer("Alpha", 255)
    flags = integers("Flags", 2)  # mesh, then slices: label files have them in reverse order


class _Table(FolderProxy):
    size = integer("NumberOfElements")


def read_table(folder: Registry | None) -> LabelTable:
    """Read the labels of a ``LabelTable`` folder, in order of their index.

    Raises:
        InvalidValue: A value is invalid or out of range.
    """
    if folder is None:
        return LabelTable()
    labels = []
    for i in range(_Table(folder).size):
        registry = folder.folder(f"Element[{i}]")
        if registry is None:
            break
        element = _Element(registry)
        red, green, blue = element.color
        mesh_visible, visible = (part != 0 for part in element.flags)
        color = (red, green, blue)
        labels.append(
            Label(element.index, element.name, color, element.alpha, visible, mesh_visible)
        )
    return LabelTable(_in_order(labels))


def write_table(folder: Registry, labels: Iterable[Label]) -> None:
    """Replace the labels of a ``LabelTable`` folder, without label 0. The last of an index wins."""
    draft = Registry()
    table = [label for label in _in_order(labels) if label.index != 0]
    _Table(draft).size = len(table)
    for i, label in enumerate(table):
        element = _Element(draft.make_folder(f"Element[{i}]"))
        element.index = label.index
        element.name = label.name
        element.color = label.color
        element.alpha = label.alpha
        element.flags = (int(label.mesh_visible), int(label.visible))
    for name in [name for name in folder.folders if name.startswith("Element[")]:
        folder.remove_folder(name)
    folder.update(draft)


def read_file(path: str | Path) -> tuple[Label, ...]:
    """Read a label file with lines ``IDX R G B A VIS MSH "LABEL"``. Labels are sorted by index.

    Raises:
        TextFileError: The file cannot be read, or a line is invalid; the message names the line.
    """
    try:
        data = paths.read_file(path)
    except OSError as error:
        raise TextFileError(f"{path}: {error.strerror}") from None
    return parse(data, str(path))


def parse(data: bytes, source: str) -> tuple[Label, ...]:
    """Read the content of a label file; see `read_file`.

    Lines end with LF, CR LF or CR.

    Raises:
        TextFileError: The file is not a label file, or has no label; the message names line and
            word.
    """
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in data:
        raise TextFileError(
            f"{source}, line 1: UTF-16 or binary data, but label files are UTF-8: save it as UTF-8"
        )
    try:
        content = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        content = data.decode("latin-1")
    labels = []
    for number, line in enumerate(re.split("\r\n|\r|\n", content), 1):
        line = line.strip()
        if line and not line.startswith("#"):
            labels.append(_parse_line(line, f"{source}, line {number}"))
    if not labels:
        raise TextFileError(f"{source}, line 1: the file has no label; {_FORM}")
    return _in_order(labels)


def format_file(labels: Iterable[Label]) -> str:
    """Return labels as the text of a label file.

    Raises:
        InvalidValue: A name has a quotation mark or a line break; the format cannot store these.
    """
    lines = [_FILE_HEADER]
    for label in _in_order(labels):
        if label.index == 0:
            continue
        for sign, word in (("\n", "line break"), ("\r", "line break"), ('"', "quotation mark")):
            if sign in label.name:
                raise InvalidValue(
                    f"label {label.index}: a label file cannot hold a {word} in a name: "
                    "rename the label"
                )
        # Readers compute int(255 * A): round up, so that they get the same opacity.
        alpha = math.ceil(label.alpha * 10000 / 255) / 10000
        red, green, blue = label.color
        lines.append(
            f"{label.index:5d} {red:5d} {green:4d} {blue:4d} {alpha:8g}  {label.visible:d}  "
            f'{label.mesh_visible:d}    "{label.name}"\n'
        )
    return "".join(lines)


def shifted(labels: Iterable[Label], offset: int, pattern: str = "%s") -> tuple[Label, ...]:
    """Return labels with a shifted index and a new name, without label 0.

    Args:
        labels: The labels.
        offset: The number to add to each index.
        pattern: A C ``printf`` pattern with one ``%s`` for the old name; ``%%`` is a percent sign.

    >>> (label,) = shifted([Label(3, "Hippocampus", (255, 0, 0))], 100, "left %s")
    >>> label.index, label.name
    (103, 'left Hippocampus')

    Raises:
        InvalidValue: The pattern is invalid, or an index is out of range.
    """
    pieces = pattern.replace("%%", "\0").split("%")
    if len(pieces) != 2 or not pieces[1].startswith("s"):
        raise InvalidValue(f"the pattern {pattern!r} does not have exactly one %s")
    before, after = (piece.replace("\0", "%") for piece in (pieces[0], pieces[1][1:]))
    return tuple(
        Label(
            label.index + offset,
            f"{before}{label.name}{after}",
            label.color,
            label.alpha,
            label.visible,
            label.mesh_visible,
        )
        for label in labels
        if label.index != 0
    )


def _parse_line(line: str, where: str) -> Label:
    words = line.split(None, len(_COLUMNS))
    values = []
    for word, (column, (form, most)) in zip(words, _COLUMNS.items(), strict=False):
        if not re.fullmatch(form, word) or not 0 <= float(word) <= most:
            raise TextFileError(f"{where}: {_word(word)} is not a valid {column}; {_FORM}")
        values.append(float(word))
    if len(words) <= len(_COLUMNS):
        raise TextFileError(f"{where}: there is nothing behind {_word(words[-1])}; {_FORM}")
    index, red, green, blue, opacity, visible, mesh_visible = values
    color = (int(red), int(green), int(blue))
    name, alpha = _parse_name(words[-1], where), int(255 * opacity)
    return Label(int(index), name, color, alpha, bool(visible), bool(mesh_visible))


def _parse_name(text: str, where: str) -> str:
    """Return the name between the first two quotation marks of a text, as ITK-SNAP reads it."""
    before, opened, rest = text.partition('"')
    name, closed, behind = rest.partition('"')
    if before or not opened or not closed:
        raise TextFileError(f"{where}: {_word(text)} is not a name in quotation marks; {_FORM}")
    # ITK-SNAP ignores the rest of the line; but a second label there must not be lost.
    if re.match(r"\s*[0-9]+(\s+[0-9.]+){6}\s", behind):
        word = behind.split()[0]
        raise TextFileError(f"{where}: {_word(word)} begins a second label; a line has one")
    return name


def _word(word: str) -> str:
    return repr(word if len(word) <= _MOST_TOLD else f"{word[:_MOST_TOLD]}…")


def _in_order(labels: Iterable[Label]) -> tuple[Label, ...]:
    return tuple(label for _, label in sorted({label.index: label for label in labels}.items()))

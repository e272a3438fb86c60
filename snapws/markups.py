"""Landmarks of other programs: markups of 3D Slicer (``.mrk.json``, ``.fcsv``) and tables (CSV).

Here a place is in RAS mm. Files of 3D Slicer say which system their numbers are in; those that do
not are read only where the caller says it.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from snapws import paths
from snapws.errors import InvalidValue, TextFileError
from snapws.spreadsheets import guarded, unguarded
from snapws.text import excerpt

#: Axes that run right, anterior, superior; or left, posterior, superior.
System = Literal["ras", "lps"]
Format = Literal["json", "fcsv", "csv"]
Point = tuple[float, float, float]

_MAX_BYTES = 16 << 20
_MAX_POINTS = 100_000
_SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/"
    "Schema/markups-schema-v1.0.3.json#"
)
# Up to version 4.10 ``.fcsv`` files hold a number.
_SYSTEMS: dict[str, System] = {"RAS": "ras", "LPS": "lps", "0": "ras", "1": "lps"}
_FCSV_COLUMNS = "id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID"
_COLUMNS = ("kind", "text", "x", "y", "z", "x2", "y2", "z2")


@dataclass(frozen=True)
class Markup:
    """A landmark, which is one point with a text, or a line, which is two.

    Attributes:
        points: One or two points, each x, y, z in RAS mm.
        text: What stands beside a landmark.
    """

    points: tuple[Point, ...]
    text: str = ""


def read_file(
    path: str | Path,
    *,
    format: Format | None = None,  # noqa: A002 - as the option is called
    system: System | None = None,
) -> list[Markup]:
    """Read landmarks and lines from a file.

    Args:
        path: The file.
        format: Its form; without it, as its content says.
        system: What its numbers are in, where it does not say so itself.

    Raises:
        TextFileError: The file cannot be read, is damaged, or does not say its system.
        InvalidValue: `format` or `system` is not one of those that are known.
    """
    _refuse_unknown(format, system)
    try:
        words = paths.read_file(path, _MAX_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise TextFileError(f"{path}: not a text file of landmarks") from None
    except OSError as error:
        raise TextFileError(f"{path}: {error.strerror}") from None
    except ValueError:
        raise TextFileError("the name of the file of landmarks is not valid") from None
    read = {"json": _read_json, "fcsv": _read_fcsv, "csv": _read_csv}
    found = read[format or _recognised(words)](words, path, system)
    if sum(len(one.points) for one in found) > _MAX_POINTS:
        raise TextFileError(f"{path}: more than {_MAX_POINTS} points are not read")
    return found


def format_file(
    markups: Iterable[Markup],
    format: Format,  # noqa: A002
    system: System = "lps",
) -> str:
    """Return landmarks and lines as the text of a file.

    Raises:
        InvalidValue: `format` or `system` is not one of those that are known; or ``.fcsv``, which
            holds landmarks alone, is to hold a line.
    """
    _refuse_unknown(format, system)
    placed = [
        Markup(tuple(turned(point, system) for point in one.points), one.text) for one in markups
    ]
    if format == "json":
        return _format_json(placed, system)
    if format == "fcsv":
        return _format_fcsv(placed, system)
    return _format_csv(placed, system)


def turned(point: Sequence[float], system: System) -> Point:
    """Convert a point from RAS mm to a system, or back.

    >>> turned((1.0, 2.0, 3.0), "lps")
    (-1.0, -2.0, 3.0)
    """
    x, y, z = point
    return (x, y, z) if system == "ras" else (0.0 - x, 0.0 - y, z)


def form_of(path: str | Path) -> Format:
    """Return the form that the name of a file to write stands for.

    Raises:
        InvalidValue: It has another ending.
    """
    name = Path(path).name.lower()
    endings: dict[str, Format] = {".json": "json", ".fcsv": "fcsv", ".csv": "csv"}
    for ending, form in endings.items():
        if name.endswith(ending):
            return form
    raise InvalidValue(f"{path}: landmarks are written as .mrk.json, .fcsv or .csv")


def _refuse_unknown(form: str | None, system: str | None) -> None:
    if form is not None and form not in get_args(Format):
        raise InvalidValue(f"{form!r} is not a form of landmarks: {', '.join(get_args(Format))}")
    if system is not None and system not in get_args(System):
        raise InvalidValue(f"{system!r} is not a coordinate system: ras or lps")


def _recognised(words: str) -> Format:
    if words.lstrip().startswith("{"):
        return "json"
    return "fcsv" if words.startswith("#") else "csv"


def _system(stated: str, wanted: System | None, path: str | Path) -> System:
    """Return the system that a file states, or that the caller says of a file that does not."""
    if not stated and wanted is None:
        raise TextFileError(f"{path}: does not say whether it is in RAS or LPS: say --system")
    found = _SYSTEMS.get(stated.upper()) if stated else wanted
    if found is None or (wanted is not None and wanted != found):
        raise TextFileError(
            f"{path}: its coordinate system is {excerpt(stated)}, not {wanted or 'RAS or LPS'}"
        )
    return found


# --------------------------------------------------------------------------- .mrk.json


def _read_json(words: str, path: str | Path, wanted: System | None) -> list[Markup]:
    try:
        document = json.loads(words)
    except (ValueError, RecursionError):
        raise TextFileError(f"{path}: not valid JSON") from None
    nodes = document.get("markups") if isinstance(document, dict) else None
    if not isinstance(nodes, list) or not all(isinstance(node, dict) for node in nodes):
        raise TextFileError(f"{path}: JSON, but not a markups file of 3D Slicer")
    return [one for node in nodes for one in _read_node(node, path, wanted)]


def _read_node(node: dict[str, Any], path: str | Path, wanted: System | None) -> list[Markup]:
    kind = str(node.get("type", ""))
    if kind not in ("Fiducial", "Line"):
        raise TextFileError(
            f"{path}: markups of type {excerpt(kind)}: ITK-SNAP has landmarks (Fiducial) and lines "
            "(Line) alone"
        )
    if (units := node.get("coordinateUnits", "mm")) not in ("mm", ["mm"]):
        raise TextFileError(f"{path}: its coordinates are in {excerpt(str(units))}, not in mm")
    system = _system(str(node.get("coordinateSystem", "")), wanted, path)
    controls = node.get("controlPoints", [])
    if not isinstance(controls, list) or not all(isinstance(one, dict) for one in controls):
        raise TextFileError(f"{path}: its control points are not a list of points")
    placed = [one for one in controls if one.get("positionStatus", "defined") == "defined"]
    points = [turned(_point(one.get("position"), path), system) for one in placed]
    if kind == "Line":
        if len(points) != 2:
            raise TextFileError(f"{path}: a line has two points, one of it has {len(points)}")
        return [Markup(tuple(points))]
    return [
        Markup((point,), str(one.get("label") or ""))
        for point, one in zip(points, placed, strict=True)
    ]


def _format_json(markups: Sequence[Markup], system: System) -> str:
    landmarks = [one for one in markups if len(one.points) == 1]
    nodes = [_node("Fiducial", system, [(one.points[0], one.text) for one in landmarks])]
    if len(landmarks) < len(markups):
        nodes = nodes if landmarks else []
    for one in markups:
        if len(one.points) == 2:
            ends = [(point, f"L-{n}") for n, point in enumerate(one.points, 1)]
            nodes.append(_node("Line", system, ends))
    return json.dumps({"@schema": _SCHEMA, "markups": nodes}, indent=2) + "\n"


def _node(kind: str, system: System, points: Iterable[tuple[Point, str]]) -> dict[str, Any]:
    return {
        "type": kind,
        "coordinateSystem": system.upper(),
        "coordinateUnits": "mm",
        "controlPoints": [
            {"id": str(n), "label": text, "position": list(point), "positionStatus": "defined"}
            for n, (point, text) in enumerate(points, 1)
        ],
    }


# ------------------------------------------------------------------------------ tables


def _read_fcsv(words: str, path: str | Path, wanted: System | None) -> list[Markup]:
    fields = dict(re.findall(r"^#\s*(\w+)\s*=\s*(.*?)\s*$", words, re.MULTILINE))
    system = _system(fields.get("CoordinateSystem", ""), wanted, path)
    columns = [name.strip() for name in fields.get("columns", _FCSV_COLUMNS).split(",")]
    lines = [line for line in words.splitlines() if line.strip() and not line.startswith("#")]
    found = []
    for row in _rows(lines, path):
        one = dict(zip(columns, row, strict=False))
        point = _point([one.get(axis) for axis in "xyz"], path)
        found.append(Markup((turned(point, system),), one.get("label", "")))
    return found


def _format_fcsv(markups: Sequence[Markup], system: System) -> str:
    if any(len(one.points) != 1 for one in markups):
        raise InvalidValue("a .fcsv file holds landmarks alone: write lines as .mrk.json or .csv")
    head = [
        "# Markups fiducial file version = 4.13",
        f"# CoordinateSystem = {system.upper()}",
        f"# columns = {_FCSV_COLUMNS}",
    ]
    rows = [
        [n, *one.points[0], 0, 0, 0, 1, 1, 1, 0, " ".join(one.text.split()), "", ""]
        for n, one in enumerate(markups)
    ]
    return "\n".join(head) + "\n" + _table(rows)


def _read_csv(words: str, path: str | Path, wanted: System | None) -> list[Markup]:
    """Read a table whose first line names its columns; ``x_ras`` or ``x_lps`` says the system."""
    names, *rows = _rows(words.splitlines(keepends=True), path) or [[]]
    names = [name.strip().lower() for name in names]
    stated = next((name[2:] for name in names if re.fullmatch(r"x_(ras|lps)", name)), "")
    names = [re.sub(r"_(ras|lps)$", "", name) for name in names]
    if not {"x", "y", "z"} <= set(names):
        raise TextFileError(
            f"{path}: the first line of a table of landmarks names its columns: text, x, y, z"
        )
    system = _system(stated, wanted, path)
    found = []
    for row in rows:
        one = dict(zip(names, row, strict=False))
        points = [_point([one.get(axis) for axis in "xyz"], path)]
        if any(one.get(f"{axis}2") for axis in "xyz"):
            points.append(_point([one.get(f"{axis}2") for axis in "xyz"], path))
        text = unguarded(one.get("text") or one.get("label") or one.get("name") or "")
        found.append(Markup(tuple(turned(point, system) for point in points), text))
    return found


def _format_csv(markups: Sequence[Markup], system: System) -> str:
    names = [f"{name}_{system}" if name[0] in "xyz" else name for name in _COLUMNS]
    rows: list[list[object]] = [list(names)]
    for one in markups:
        ends = [number for point in one.points for number in point]
        kind = "landmark" if len(one.points) == 1 else "line"
        rows.append([kind, guarded(one.text), *ends, *[""] * (6 - len(ends))])
    return _table(rows)


def _rows(lines: list[str], path: str | Path) -> list[list[str]]:
    try:
        return [row for row in csv.reader(lines, strict=True) if row]
    except csv.Error:
        raise TextFileError(f"{path}: not a valid table: a quotation mark is missing") from None


def _table(rows: Iterable[Iterable[object]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()


def _point(values: Any, path: str | Path) -> Point:
    try:
        x, y, z = (float(value) for value in values)
    except (TypeError, ValueError):
        raise TextFileError(f"{path}: a point is not three numbers") from None
    if not all(map(math.isfinite, (x, y, z))):
        raise TextFileError(f"{path}: a point is not three finite numbers")
    return x, y, z

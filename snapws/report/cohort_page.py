"""Many workspaces as one page: pictures, problems, volumes and decisions.

The page sorts and filters its rows, and keeps decisions in the browser, by ``cohort.js``.
"""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median

from snapws.check import Problem, check_workspace
from snapws.errors import WorkspaceError
from snapws.layers import Role
from snapws.pictures.scene import Scene, is_tile, pillow
from snapws.pictures.views import View
from snapws.report import contents
from snapws.report.document import Element, Number, element, page, paragraph, section, table, typed
from snapws.report.slices import webp
from snapws.segmentations import misfits
from snapws.volumes import LabelVolume, volumes
from snapws.workspace import Workspace

#: Pixels of a slice on the contact sheet. 200 cases of five slices stay below 20 MB.
SIZE = 160
_QUALITY = 65

DECISIONS = ("accept", "edit", "reject")

#: The distance of an outlier from the median, in robust standard deviations. One is 1.4826 times
#: the median distance from the median, or 1.2533 times the mean distance if that is 0 (Iglewicz
#: and Hoaglin, 1993).
OUTLYING = 3.5
_OF_MEDIAN, _OF_MEAN = 1.4826, 1.2533
_FEWEST = 5  # volumes needed to find outliers


@dataclass(frozen=True)
class Case:
    """The results for one workspace.

    Attributes:
        name: A name that no other case has.
        path: The workspace.
        problems: The problems of `check_workspace`, or the error that it cannot be read.
        volumes: The labels of its segmentations; empty if they cannot be measured.
        empty: Numbers of the segmentations in which no voxel has a label.
        sheet: A data URL with a picture of its slices; empty if it cannot be drawn.
    """

    name: str
    path: Path
    problems: tuple[Problem, ...]
    volumes: tuple[LabelVolume, ...] = ()
    empty: tuple[int, ...] = ()
    sheet: str = ""

    @property
    def is_readable(self) -> bool:
        """Whether the workspace itself can be read; its images may still be missing or corrupt."""
        return all(one.where != "workspace" for one in self.problems)


def read_case(path: Path, name: str) -> Case:
    """Check, measure and draw one workspace; each error becomes a problem of the case.

    Raises:
        PictureError: Pillow is not installed.
    """
    pillow()
    try:
        workspace = Workspace.open(path)
    except WorkspaceError as error:
        return Case(name, path, (Problem("file", "workspace", str(error)),))
    problems = check_workspace(workspace)
    measured, empty = _measured(workspace)
    return Case(name, path, problems, measured, empty, _sheet(workspace, problems))


def cohort_page(cases: Sequence[Case], pages: dict[str, str] | None = None) -> bytes:
    """Return a page of HTML about many workspaces, with those to look at first on top.

    Args:
        cases: The workspaces.
        pages: The address of each case's own page, by its name.
    """
    outliers = find_outliers(cases)
    ranked = sorted(cases, key=lambda case: (_rank(case, outliers.get(case.name, ())), case.name))
    rows = [
        _row(number, case, outliers.get(case.name, []), (pages or {}).get(case.name))
        for number, case in enumerate(ranked)
    ]
    names = "\0".join(sorted(case.name for case in cases))
    key = hashlib.sha256(names.encode()).hexdigest()[:16]
    header = [
        element("p", "ITK-SNAP workspaces", class_="kind"),
        element("h1", f"{len(cases)} workspaces"),
        contents.notice("texts of the workspaces"),
    ]
    columns = (("Case", "name"), ("Slices", ""), ("Found", "rank"), ("Decision", "decision"))
    head = [
        element("th", *_heading(title, by), scope="col", **({"data_by": by} if by else {}))
        for title, by in columns
    ]
    made = element(
        "table",
        element("caption", "Cases, those to look at first on top"),
        element("thead", element("tr", *head)),
        element("tbody", *rows),
        class_="cohort",
        data_key=key,
    )
    well = sum(_rank(case, outliers.get(case.name, ())) >= _WELL for case in cases)
    counted = f"{len(cases)} workspaces, {well} without errors, empty segmentations or outliers."
    found = section(
        "Cases",
        paragraph(counted),
        _controls(),
        element(
            "div", made, class_="scroll", tabindex="0", role="region", aria_label="Table: Cases"
        ),
    )
    title = f"{len(cases)} workspaces"
    return page(title, header, [found, _volumes(cases)], parts=("report", "cohort"))


def find_outliers(cases: Iterable[Case]) -> dict[str, list[str]]:
    """Return lines by case, one for each outlying volume and for each label that only it lacks.

    A volume is compared with those of other cases for the same segmentation (by its order in the
    workspace), time point and label, if at least five cases have it.
    """
    cases = [case for case in cases if case.volumes or case.empty]
    known: dict[tuple[int, int, int], dict[str, LabelVolume]] = defaultdict(dict)
    for case in cases:
        places = {number: at for at, number in enumerate(_segmentations(case))}
        for one in case.volumes:
            known[places[one.layer], one.time_point, one.label][case.name] = one
    found: dict[str, list[str]] = defaultdict(list)
    for (_, point, label), of_cases in sorted(known.items()):
        if len(of_cases) < _FEWEST:
            continue
        name = next(iter(of_cases.values())).name
        what = f"label {label}" + (f" ({name})" if name else "")
        what += f" at time point {point}" if point > 1 else ""
        middle, spread = _middle_and_spread([one.volume_mm3 for one in of_cases.values()])
        for case in cases:
            measured = of_cases.get(case.name)
            volume = measured.volume_mm3 if measured else 0.0
            if measured is None and len(of_cases) > len(cases) / 2 and not case.empty:
                found[case.name].append(f"{what} is absent: {len(of_cases)} other cases have it")
            elif measured and abs(volume - middle) > OUTLYING * spread:
                line = f"{what} has {volume:,.1f} mm³: the median is {middle:,.1f} mm³"
                found[case.name].append(line)
    return dict(found)


def _middle_and_spread(found: Sequence[float]) -> tuple[float, float]:
    middle = median(found)
    distances = [abs(one - middle) for one in found]
    return middle, _OF_MEDIAN * median(distances) or _OF_MEAN * fmean(distances)


def _measured(workspace: Workspace) -> tuple[tuple[LabelVolume, ...], tuple[int, ...]]:
    try:
        measured = tuple(volumes(workspace))
    except WorkspaceError:
        return (), ()  # the check has already reported the error
    labelled = {one.layer for one in measured}
    found = [layer.number for layer in workspace.layers(role=Role.SEGMENTATION)]
    return measured, tuple(number for number in found if number not in labelled)


def _sheet(workspace: Workspace, problems: Iterable[Problem]) -> str:
    """Return slices through the segmentation: three axial, one sagittal, one coronal."""
    bad = {one.where for one in problems if one.is_error and one.kind not in ("labels", "geometry")}
    undrawable = misfits(workspace).keys()
    shown = [
        layer.number
        for layer in workspace.layers()
        if f"layer {layer.number:03d}" not in bad
        and layer.number not in undrawable
        and not is_tile(layer)
    ]
    try:
        scene = Scene(workspace, shown)
        cursor = scene.cursor()
        places = []
        for view in View:
            at, length = cursor[scene.grid.axis(view)], scene.grid.length(view)
            step = length // 8 if view is View.AXIAL else 0
            chosen = {max(0, at - step), at, min(length - 1, at + step)}
            places += [(view, index) for index in sorted(chosen)]
        drawn = scene.draw(places, SIZE)
    except WorkspaceError:
        return ""
    image, _ = pillow()
    height = max(one.shape[0] for one in drawn)
    canvas = image.new("RGB", (sum(one.shape[1] + 2 for one in drawn), height))
    left = 0
    for one in drawn:
        canvas.paste(image.fromarray(one), (left, (height - one.shape[0]) // 2))
        left += one.shape[1] + 2
    (address,) = webp([canvas], _QUALITY)
    return address


_UNREADABLE, _ERRORS, _EMPTY, _OUTLIERS, _WELL = range(5)


def _rank(case: Case, outliers: Sequence[str]) -> int:
    if any(one.where == "workspace" or one.kind == "file" for one in case.problems if one.is_error):
        return _UNREADABLE
    if any(one.is_error for one in case.problems):
        return _ERRORS
    if case.empty:
        return _EMPTY
    return _OUTLIERS if outliers else _WELL


def _segmentations(case: Case) -> list[int]:
    return sorted({*case.empty, *(one.layer for one in case.volumes)})


def _row(number: int, case: Case, outliers: list[str], address: str | None) -> Element:
    name = typed(case.name)
    heading = element("a", name, href=address) if address else name
    sheet: Element | str = "none"
    if case.sheet:
        alt = f"Slices of {case.name}: axial, sagittal, coronal"
        sheet = element("img", src=case.sheet, alt=alt, class_="sheet", loading="lazy")
    rank = _rank(case, outliers)
    errors = sum(one.is_error for one in case.problems)
    said = [
        *dict.fromkeys(f"{one.where}: {one.kind}" for one in case.problems if one.is_error),
        *(f"layer {one:03d} is empty: no voxel has a label" for one in case.empty),
        *outliers,
    ]
    remarks = len(case.problems) - errors
    lines = [element("li", typed(line)) for line in said]
    found = [element("ul", *lines, class_="bad")] if lines else [paragraph("well", class_="good")]
    if case.problems:
        details = [
            element("li", typed(f"{one.severity}: {one.where}: {one.message}"))
            for one in case.problems[:100]
        ]
        summary = f"{_count(errors, 'error')}, {_count(remarks, 'remark')}"
        found.append(element("details", element("summary", summary), element("ul", *details)))
    choices = [element("option", one, value=one) for one in DECISIONS]
    undecided = element("option", "undecided", value="")
    decision = element("select", undecided, *choices, aria_label=f"Decision on {case.name}")
    note = element("input", type="text", aria_label=f"Note on {case.name}", maxlength="1000")
    place = element("span", typed(str(case.path)), class_="file quiet")
    return element(
        "tr",
        element("th", heading, place, scope="row"),
        element("td", sheet),
        element("td", *found),
        element("td", decision, note),
        data_name=case.name,
        data_workspace=str(case.path),
        data_rank=f"{rank} {number:06d}",
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _heading(title: str, by: str) -> list[Element | str]:
    return [element("button", title, type="button")] if by else [title]


def _controls() -> Element:
    shows = (
        ("", "all"),
        ("found", "to look at"),
        ("undecided", "undecided"),
        *((one, one) for one in DECISIONS),
    )
    return element(
        "div",
        element("label", "Find ", element("input", type="search", id="find")),
        element(
            "label",
            "Show ",
            element("select", *(element("option", text, value=v) for v, text in shows), id="only"),
        ),
        element("button", "Save decisions (TSV)", type="button", id="save"),
        element("output", "", id="shown", aria_live="polite"),
        class_="controls",
        hidden="",
    )


def _volumes(cases: Sequence[Case]) -> Element:
    rows = [
        (
            typed(case.name),
            Number(f"{one.layer:03d}"),
            Number(one.time_point),
            Number(one.label),
            typed(one.name),
            one.voxels,
            Number(f"{one.volume_mm3:,.1f}"),
        )
        for case in cases
        for one in case.volumes
    ]
    if not rows:
        return section("Volumes", paragraph("There is no segmentation that can be measured."))
    columns = ("Case", "Layer", "Time point", "Label", "Name", "Voxels", "Volume, mm³")
    return section("Volumes", table("Labels of all cases", columns, rows))


def relative(target: Path, page_file: Path) -> str:
    """Return the address of a file as a page in another file links it."""
    from urllib.parse import quote

    return quote(Path(os.path.relpath(target, page_file.parent)).as_posix())

"""A report about a workspace: one self-contained page of HTML that loads nothing from a network.

`contents` makes the text of the page, `slices` its pictures, `document` its markup. Style sheet and
script are files beside these modules.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from pathlib import Path

from snapws import cohort
from snapws.check import check_workspace
from snapws.errors import WorkspaceError
from snapws.files import write_bytes
from snapws.report import contents
from snapws.report.cohort_page import Case, cohort_page, read_case, relative
from snapws.report.document import MARK, Element, element, instant, page, section, typed
from snapws.report.slices import viewer
from snapws.segmentations import misfits
from snapws.targets import is_stream
from snapws.workspace import Workspace


def write_report(workspace: Workspace, target: str | Path) -> None:
    """Write a page of HTML about a workspace. Only an earlier report is overwritten.

    Args:
        workspace: The workspace; its missing and corrupt files are shown on the page.
        target: The file of the page, or a stream such as ``/dev/stdout``.

    Raises:
        WorkspaceError: The file exists and is not a report, or its folder does not exist.
        OSError: The file cannot be written.
    """
    refuse_overwriting(Path(target))  # before images are read
    save_page(report_page(workspace), Path(target))


def write_cohort_report(
    workspaces: Sequence[Path],
    target: str | Path,
    pages: str | Path | None = None,
    *,
    on_case: Callable[[Case], None] = lambda _: None,
) -> tuple[Case, ...]:
    """Write one page of HTML about many workspaces, and maybe a page of each.

    A workspace that cannot be read is shown as such. The workspaces are read side by side.

    Args:
        workspaces: Their files.
        target: The page, written as by `write_report`.
        pages: A folder for the page of each case, made if it does not exist, or None.
        on_case: Called with each case, in the order of the workspaces, as soon as it is read.

    Returns:
        The cases, in the order of the workspaces.

    Raises:
        PictureError: Pillow is not installed.
        WorkspaceError: A file exists and is not a report, or its folder does not exist.
        OSError: A page cannot be written.
    """
    target = Path(target)
    refuse_overwriting(target)
    names = dict(zip(workspaces, cohort.names(workspaces), strict=True))
    files = {}
    if pages is not None:
        Path(pages).mkdir(exist_ok=True)
        files = {path: Path(pages) / f"{name}.html" for path, name in names.items()}

    def work(path: Path) -> Case:
        case = read_case(path, names[path])
        if path in files and case.is_readable:
            save_page(report_page(Workspace.open(path)), files[path])
        return case

    cases: list[Case] = []
    for outcome in cohort.each(workspaces, work):
        if outcome.error:
            raise outcome.error
        for case in outcome.values:
            cases.append(case)
            on_case(case)
    addresses = {
        names[path]: relative(file, target) for path, file in files.items() if file.exists()
    }
    save_page(cohort_page(cases, addresses), target)
    return tuple(cases)


def report_page(workspace: Workspace) -> bytes:
    """Return a page of HTML about a workspace: slices, layers, labels, problems, archive, versions.

    All images are read, as streams. Missing and corrupt files are shown on the page, and raise no
    error.
    """
    name, place = "New workspace", element("p", typed(str(workspace.folder)), class_="quiet")
    if workspace.path:
        name = workspace.path.name
        if workspace.path.exists():
            changed = datetime.fromtimestamp(workspace.path.stat().st_mtime, timezone.utc)
            place.append(element("span", ", last changed ", instant(changed)))
    header = [
        element("p", "ITK-SNAP workspace", class_="kind"),
        element("h1", typed(name)),
        place,
        contents.notice("texts of the workspace"),
    ]
    return page(name, header, [*sections(workspace), contents.versions(workspace)])


def sections(workspace: Workspace, title: str = "Workspace") -> list[Element]:
    """Return the parts of the page about the workspace itself; the first has a title."""
    found = check_workspace(workspace)

    def having(*kinds: str) -> set[int]:
        places = {one.where for one in found if one.is_error and one.kind in kinds}
        return {one.number for one in workspace.layers() if f"layer {one.number:03d}" in places}

    unreadable = having("file", "image")
    undrawable = having("file", "image", "place", "settings")
    undrawable |= misfits(workspace).keys()
    return [
        contents.summary(workspace, found, title),
        section("Pictures", *viewer(workspace, undrawable)),
        contents.problems(found),
        contents.layers(workspace),
        contents.labels(workspace, unreadable),
        contents.archive(workspace, found),
    ]


def save_page(data: bytes, target: Path) -> None:
    """Write a page to a file. Only an earlier report is overwritten.

    Raises:
        WorkspaceError: The file exists and is not a report, or its folder does not exist.
        OSError: The file cannot be written.
    """
    refuse_overwriting(target)
    write_bytes(target, data)


def refuse_overwriting(target: Path) -> None:
    """Refuse a file that is not an earlier report, or that is in a missing folder.

    Raises:
        WorkspaceError: The file exists and is not a report, or its folder does not exist.
        OSError: The file cannot be read.
    """
    if is_stream(target):
        return
    if not target.parent.is_dir():
        raise WorkspaceError(f"{target}: there is no such folder: make it first")
    if target.is_file():
        with target.open("rb") as file:
            is_page = MARK in file.read(1000)
    else:
        is_page = not target.exists()
    if not is_page:
        raise WorkspaceError(f"{target} exists and is not a report: choose another name")

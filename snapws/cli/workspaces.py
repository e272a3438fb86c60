"""The subcommands on whole workspaces."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from snapws import cohort
from snapws.cli import many, render
from snapws.cli.frame import Listing, Saving
from snapws.cli.many import WorkspaceFiles
from snapws.cli.options import Properties, WorkspaceFile, existing
from snapws.compression import LEVEL
from snapws.errors import WorkspaceError
from snapws.files import write_bytes
from snapws.targets import is_stream
from snapws.workspace import Workspace

if TYPE_CHECKING:
    from snapws.check import Problem
    from snapws.packing import ArchiveReport, Progress

_ELSEWHERE = "another program has saved the workspace: its file names were checked, not its texts"


def new(
    workspace: WorkspaceFile,
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="The main image.", show_default=False)
    ],
    properties: Properties,
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite an existing workspace.")
    ] = False,
) -> None:
    """Make a new workspace with a main image."""
    if workspace.exists() and not force and not is_stream(workspace):
        raise WorkspaceError(
            f"{workspace} already exists: choose another name, or overwrite it with --force"
        )
    made = Workspace.new(existing(file))
    properties.apply(made.main)
    made.save(workspace)
    render.note(f"saved {workspace}")


def check(workspaces: WorkspaceFiles, listing: Listing) -> None:
    """List the problems of workspaces and their files.

    The command reads every file, and finds missing and damaged ones. It checks that segmentations
    have the size and position of the main image, and that each label in them has a description.
    ITK-SNAP cannot open a file with an error, or shows it differently; a remark is worth knowing.
    Exit 1 if there is an error.
    """
    from snapws.check import check_workspace

    def work(path: Path) -> _Checked:
        opened = Workspace.open(path)
        return _Checked(
            check_workspace(opened), str(path), f"{len(opened.layers())} layers, all well"
        )

    found = cohort.expand(workspaces)
    _report(found, work, listing, alone=cohort.is_one(workspaces))


def relocate(
    workspace: WorkspaceFile,
    old: Annotated[
        str, typer.Option("--from", metavar="OLD", help="The old folder, as layers list shows it.")
    ],
    new: Annotated[str, typer.Option("--to", metavar="NEW", help="The folder of the files now.")],
    saving: Saving,
) -> None:
    """Change paths after files were moved.

    Paths below the folder OLD become paths below NEW. Both can be Windows or POSIX paths.
    """
    from snapws.relocation import relocate_files

    with saving.edit(workspace) as opened:
        files = relocate_files(opened, old, new)
        render.note(f"paths moved from {old} to {new}: {len(files)}")
        for one in files:
            if not (opened.folder / one.new).exists():
                render.note(f"warning: {one.new} does not exist")


def archive(
    workspaces: WorkspaceFiles,
    destination: Annotated[
        Path,
        typer.Argument(
            metavar="DIR|FILE",
            help="A folder, or an .itksnap file in one; for several workspaces, the folder of "
            "their archives.",
            show_default=False,
        ),
    ],
    listing: Listing,
    keep_names: Annotated[
        bool, typer.Option("--keep-names", help="Keep file names; they may identify a person.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Replace nicknames, label names, annotation texts.")
    ] = False,
    level: Annotated[
        int, typer.Option("--level", min=1, max=9, help="Compression, from fast (1) to small (9).")
    ] = LEVEL,
    report: Annotated[
        Path | None,
        typer.Option(
            "--report",
            metavar="FILE.json",
            help="Write a report of the files, the kept texts and the removed ones.",
            show_default=False,
        ),
    ] = None,
    unscrubbed_meshes: Annotated[
        bool,
        typer.Option("--unscrubbed-meshes", help="Copy meshes that cannot be scrubbed unchanged."),
    ] = False,
) -> None:
    """Write copies that name no person.

    An archive holds the workspace, its images and its meshes, under names made from their content.
    It keeps texts that somebody typed, such as nicknames, and the command shows them; --strict
    replaces them. Before it writes, the command lists the files outside of the workspace's folder.
    It prints the written files, the workspace last.
    """
    from snapws.archive import write_archive

    if report:
        _refuse_report(report, destination)
    found, alone = cohort.expand(workspaces), cohort.is_one(workspaces)
    folders = [destination]
    if not alone:
        folders = [destination / name for name in cohort.names(found)]
        destination.mkdir(exist_ok=True)
    targets = dict(zip(found, folders, strict=True))
    made: dict[str, ArchiveReport] = {}

    def work(path: Path) -> ArchiveReport:
        opened = Workspace.open(path)
        if not alone:
            render.note(f"archiving {path}")
        render.outside(opened)
        made[targets[path].name] = one = write_archive(
            opened,
            targets[path],
            names="keep" if keep_names else "hash",
            privacy="strict" if strict else "standard",
            level=level,
            unscrubbed_meshes=unscrubbed_meshes,
            progress=_Bar(),
        )
        if not alone:
            _remark(one)
        return one

    try:
        many.show_each(
            found,
            work,
            lambda one: listing.show_lines([str(file) for file in one.files]),
            data=lambda one: [str(file) for file in one.files],
            key="files",
            alone=alone,
            as_json=listing.json,
            threads=1,  # each archive is made on all cores
        )
    finally:
        if report and made:
            records = [{"archive": name, **one.record()} for name, one in made.items()]
            content = made[destination.name].record() if alone else records
            write_bytes(report, (json.dumps(content, indent=2) + "\n").encode())
    if alone:
        _remark(made[destination.name])
    render.note("voxels are unchanged: a scan of a head can still show a face")


def _remark(made: ArchiveReport) -> None:
    render.kept_texts(made.kept)
    for file in made.unscrubbed:
        render.note(f"warning: {file.name} was copied unchanged, with all its texts")


def verify(
    folders: Annotated[
        list[Path],
        typer.Argument(
            metavar="DIR...",
            help="The folders of archives, or a folder above them.",
            show_default=False,
        ),
    ],
    listing: Listing,
    against: Annotated[
        Path | None,
        typer.Option(
            "--against",
            metavar="WORKSPACE",
            help="The workspace that the archive was made from.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """List the files of an archive that do not match their names.

    The command reads every layer, and compares its hash with its name. The folder must contain all
    files of the workspace and no others. With --against, voxels and geometry must equal those of
    the workspace that the archive was made from. Exit 1 if there is a problem.
    """
    from snapws.verify import is_made_here, verify_archive

    found = cohort.archives(folders)
    alone = found == folders and len(found) == 1
    if against and len(found) > 1:
        raise typer.BadParameter("--against needs a single archive")
    source = Workspace.open(against) if against else None

    def work(folder: Path) -> _Checked:
        problems = verify_archive(folder, source)
        if not is_made_here(Workspace.open(next(folder.glob("*.itksnap")))):
            render.note(f"{_ELSEWHERE}{'' if alone else f' ({folder})'}")
        return _Checked(problems, str(folder), "every file matches its name")

    _report(found, work, listing, alone=alone)


def wt(context: typer.Context) -> None:
    """Run a command line of itksnap-wt unchanged.

    snapws wt -h lists its commands.
    """
    from snapws.wt import main

    raise typer.Exit(main(context.args))


def _refuse_report(report: Path, destination: Path) -> None:
    """Refuse a report that cannot be written, or not at that place, before writing the archive."""
    if is_stream(report):
        return
    if report.suffix != ".json":
        raise typer.BadParameter(f"{report} is not a name for a report: it must end in .json")
    if not report.parent.is_dir():
        raise WorkspaceError(f"{report}: the folder {report.parent} does not exist: make it first")
    folder = destination.parent if destination.suffix == ".itksnap" else destination
    if report.resolve().parent == folder.resolve():
        raise WorkspaceError(f"{report} is in the archive's folder: write the report elsewhere")


class _Bar:
    """Shows the progress of an archive on a terminal, as a part of the layers begun."""

    def __init__(self) -> None:
        self._layers: dict[int, Progress] = {}

    def __call__(self, progress: Progress) -> None:
        self._layers[progress.layer] = progress
        done = sum(one.done for one in self._layers.values())
        total = sum(one.total for one in self._layers.values())
        signs = "#" * (20 * done // total)
        render.passing(f"archiving [{signs:20}] {100 * done // total} %")


@dataclass(frozen=True)
class _Checked:
    """The problems of a workspace or an archive, and the text to print if it has none."""

    problems: tuple[Problem, ...]
    about: str
    well: str

    def show(self) -> None:
        for problem in self.problems:
            line = f"{problem.severity}: {problem.where}: {problem.message}"
            render.result(render.printable(line))
        if not self.is_bad():
            render.note(f"{self.about}: {'no errors' if self.problems else self.well}")

    def is_bad(self) -> bool:
        return any(problem.is_error for problem in self.problems)


def _report(
    found: list[Path], work: Callable[[Path], _Checked], listing: Listing, *, alone: bool
) -> None:
    many.show_each(
        found,
        work,
        _Checked.show,
        data=lambda checked: [vars(problem) for problem in checked.problems],
        key="problems",
        alone=alone,
        as_json=listing.json,
        is_bad=_Checked.is_bad,
    )
